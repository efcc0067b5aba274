"""What a call survives: lost connections, a second stream, models that refuse, stall or die."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from domain.agent import greeting, profile
from domain.errors import OperatorError
from domain.messages import text
from domain.tenant import Tenant
from sandbox.openai_realtime import Faults
from server.media_protocol import MediaProtocol
from tests.fakes.scripted_http import answer
from tests.running import Answer, french_call
from tests.voice.carrier import (
    LINE,
    RULES,
    Served,
    Stream,
    dialled,
    eventually,
    greeted,
    joined,
    serving,
    talking,
    until,
)
from voice.call import Rules
from voice.events import FunctionFinished
from voice.functions.runner import FunctionRunner
from voice.streams import Streams

GREETING = greeting(profile(Tenant("", "Garage du Port", ""), {}))

both_websockets = pytest.mark.parametrize(
    "websocket", [MediaProtocol, WebSocketsSansIOProtocol], ids=["taken_over", "plain"]
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status callback gives an ending stream less time to store what it knows."""
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.3)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def ring(served: Served, number: int = 1) -> str:
    return (await served.twilio.ring(number, ForwardedFrom=LINE)).token


# ------------------------------------------------------------- the connection is lost, when …


async def before_the_start(served: Served) -> None:
    async with dialled(served) as line:
        await line.connected()
        line.is_lost()


async def right_after_the_start(served: Served) -> None:
    token = await ring(served)
    async with joined(served, token) as line:
        line.is_lost()


async def while_the_token_is_looked_up(served: Served) -> None:
    token = await ring(served)
    async with dialled(served) as line:
        with served.busy_database():
            await line.connected()
            await line.start(token)
            await asyncio.sleep(0.2)
            line.is_lost()
            await asyncio.sleep(0.2)


async def while_the_model_is_dialled(served: Served) -> None:
    served.model.faults.handshake_delay_s = 0.6
    token = await ring(served)
    async with joined(served, token) as line:
        await until(lambda: served.directory)
        await asyncio.sleep(0.2)
        line.is_lost()


async def during_the_greeting(served: Served) -> None:
    token = await ring(served)
    async with joined(served, token, echoes=False) as line:
        await line.hears_speech()
        line.is_lost()


async def during_a_function(served: Served) -> None:
    async with talking(served) as line:
        with served.busy_database():
            await line.presses("1#")
            await until(lambda: any(session.calls for session in served.sessions))
            await asyncio.sleep(0.2)
            line.is_lost()
            await asyncio.sleep(0.3)


MOMENTS = [
    (before_the_start, None),
    (right_after_the_start, "abandoned"),
    (while_the_token_is_looked_up, "abandoned"),
    (while_the_model_is_dialled, "abandoned"),
    (during_the_greeting, "abandoned"),
    (during_a_function, "ticket"),
]


@both_websockets
@pytest.mark.parametrize(("moment", "outcome"), MOMENTS)
async def test_a_lost_connection_leaves_nothing_open(
    tmp_path: Path,
    websocket: type[asyncio.Protocol],
    moment: Callable[[Served], Awaitable[None]],
    outcome: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voice.live_calls.KEEP_SECONDS", 0.5)
    async with serving(tmp_path, websocket=websocket) as served:
        await moment(served)
        await served.everything_is_over()
        await served.twilio.reports_the_end()
        await served.twilio.reports_the_end()
        if outcome is None:
            assert (await served.owner.get("/api/v1/calls"))["calls"] == []
            return
        assert await served.outcome() == outcome
        assert await served.outcomes() == {outcome: 1}


@pytest.mark.parametrize("moment", [moment for moment, outcome in MOMENTS if outcome])
async def test_after_a_lost_connection_the_call_goes_on(
    served: Served, moment: Callable[[Served], Awaitable[None]]
) -> None:
    await moment(served)
    token = (await served.twilio.goes_on()).token
    async with joined(served, token, stream=2) as line:
        await line.hears_speech()
        await line.presses("1#")
        await eventually(_has_tickets(served))
        await line.stops()
    assert await served.outcome() == "ticket"
    assert await served.outcomes() == {"ticket": 1}
    await served.everything_is_over()


def _has_tickets(served: Served) -> Callable[[], Awaitable[bool]]:
    async def has_tickets() -> bool:
        return bool(await served.tickets())

    return has_tickets


# --------------------------------------------------------------------------- a second stream


@both_websockets
async def test_a_fresh_stream_replaces_the_first(
    tmp_path: Path, websocket: type[asyncio.Protocol]
) -> None:
    async with serving(tmp_path, websocket=websocket) as served, talking(served) as first:
        await first.presses("42#")
        await greeted(served, turns=2)
        token = (await served.twilio.goes_on()).token
        async with joined(served, token, stream=2) as second:
            assert await first.is_closed() == 1000
            await greeted(served, turns=3)
            assert await served.live() == 1
            assert served.sessions[0].closed_at is not None
            assert [said.text for said in served.sessions[1].said] == [text("fr-FR", "resume")]
            assert served.sessions[1].read == ["[Touches du clavier : 4 2]"]
            assert (await served.call())["outcome"] is None
            await second.presses("1#")
            await greeted(served, turns=4)
            await second.stops()
        assert await served.outcome() == "ticket"
        assert await served.outcomes() == {"ticket": 1}
        await served.everything_is_over()


async def test_a_function_under_way_when_the_caller_hangs_up_counts(served: Served) -> None:
    async with talking(served) as line:
        with served.busy_database():
            await line.presses("1#")
            await until(lambda: any(session.calls for session in served.sessions))
            await asyncio.sleep(0.1)
            await line.stops()
            await asyncio.sleep(0.2)
    assert await served.outcome() == "ticket"


@pytest.mark.parametrize("lost", [True, False])
async def test_what_an_earlier_stream_asked_for_too_late_is_done_once(
    served: Served, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """It begins after the next stream has, whose caller asks for it again."""
    async with talking(served) as first:
        with held_functions(monkeypatch) as release:
            await first.presses("1#")
            await until(lambda: any(session.calls for session in served.sessions))
            if lost:
                first.is_lost()
            token = (await served.twilio.goes_on()).token
            async with joined(served, token, stream=2) as second:
                await second.hears_speech()
                release.set()
                await second.presses("1#")
                await eventually(_has_tickets(served))
                await second.stops()
    assert await served.outcome() == "ticket"
    assert await served.outcomes() == {"ticket": 1}
    assert len(await served.tickets()) == 1


async def test_what_was_done_and_not_yet_said_is_said_first(tmp_path: Path) -> None:
    """The line breaks between the commit and the confirmation."""
    arguments = {"start": "{workday+3}T10:00", "name": "Marc Durand"}
    booking = {"call": {"name": "book_appointment", "arguments": arguments}}
    rules = [*RULES, {"note": "clavier : 5]", **booking}]
    async with serving(tmp_path, rules=rules) as served:

        async def booked() -> bool:
            return bool((await served.owner.get("/api/v1/appointments"))["appointments"])

        async with talking(served) as line:
            line.echoes = False
            await line.presses("5#")
            await eventually(booked)
            line.is_lost()
        token = (await served.twilio.goes_on()).token
        async with joined(served, token, stream=2) as line:
            await greeted(served, turns=2)
            await line.stops()
        (said,) = [each.text for each in served.sessions[1].said]
        assert said.startswith("Excusez-moi, nous avons été coupés. C'est réservé : ")
        brief = served.sessions[1].config["instructions"]
        assert '> book_appointment : ("status":"booked","appointment_id":' in brief
        assert await served.outcome() == "booked"


@contextmanager
def held_functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    """Functions begin only once they are released."""
    release = asyncio.Event()
    run = FunctionRunner.run

    async def held(*args: Any) -> FunctionFinished:
        await release.wait()
        return await run(*args)

    with monkeypatch.context() as patch:
        patch.setattr(FunctionRunner, "run", held)
        yield release


# ----------------------------------------------------------------------------- another node


async def test_any_node_takes_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.live_calls.KEEP_SECONDS", 0.5)
    async with serving(tmp_path) as first, serving(tmp_path, known=first.owner) as second:
        token = await ring(first)
        async with joined(second, token) as line:
            await greeted(second)
            assert (await first.live(), await second.live()) == (0, 1)
            await first.everything_is_over()  # whom it had called meanwhile is sent home
            async with dialled(first, stream=2) as late:
                await late.connected()
                await late.start(token)
                assert await late.is_closed() == 1008
            await line.presses("1#")
            await greeted(second, turns=2)
            await line.stops()
        assert await first.outcome() == "ticket"
        assert (await first.outcomes(), await second.outcomes()) == ({}, {"ticket": 1})


async def test_a_server_that_stops_lets_the_next_one_go_on_with_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path) as first, talking(first) as line:
        await line.presses("42#")
        await greeted(first, turns=2)
        first.stop()
        assert await line.is_closed() == 1012
    async with serving(tmp_path, known=first.owner) as second:
        async with next_stream(second, 2, await second.twilio.goes_on()) as line:
            await greeted(second, turns=3)
            await line.stops()
        assert [said.text for said in second.sessions[0].said] == [text("fr-FR", "resume")]
        assert second.sessions[0].read == ["[Touches du clavier : 4 2]"]
        assert await second.outcome() == "informed"


# -------------------------------------------------------------------------------- the model


@asynccontextmanager
async def next_stream(served: Served, number: int, said: Answer) -> AsyncIterator[Stream]:
    async with joined(served, said.token, stream=number) as line:
        yield line


@pytest.mark.parametrize(
    ("faults", "values"),
    [
        (Faults(), {"openai_api_key": "sk-of-somebody-else"}),
        (Faults(refuse=503), {}),
        (Faults(mute_after_s=0.0), {}),
        (Faults(handshake_delay_s=2), {}),
        (Faults(close_after_s=0.0), {}),
        (Faults(), {"openai_base_url": "http://127.0.0.1:1/v1"}),
    ],
    ids=["wrong_key", "refuses", "never_configured", "never_answers", "hangs_up", "nobody_there"],
)
async def test_without_a_model_the_call_goes_on_by_turns(
    tmp_path: Path, faults: Faults, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.openai.realtime.CONFIGURE_SECONDS", 0.3)
    monkeypatch.setattr("providers.openai.realtime.OPEN_SECONDS", 0.3)
    async with serving(tmp_path, faults=faults, **values) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            assert await line.is_closed() == 1000
            assert not [said for said in line.got if said["event"] == "media"]
        said = await served.twilio.goes_on()
        assert said.verbs == ["Gather"], "and no other stream for the same vendor"
        assert "intelligence artificielle" in said.said
        call = await served.call()
        assert call["turns"][-1]["text"] == said.said
        await served.twilio.reports_the_end()
        assert await served.outcome() == "abandoned"
        assert await served.outcomes() == {"abandoned": 1}
        await served.everything_is_over()


@both_websockets
@pytest.mark.parametrize("close_code", [1001, None])
async def test_a_model_that_dies_in_the_middle_is_replaced_by_one_that_knows_it_all(
    tmp_path: Path, websocket: type[asyncio.Protocol], close_code: int | None
) -> None:
    async with serving(tmp_path, websocket=websocket) as served:
        async with talking(served) as line:
            await line.presses("42#")
            await greeted(served, turns=2)
            await served.model_dies(close_code)
            await greeted(served, turns=4)  # "Un instant …", and the second agent's first words
            await line.stops()
            assert await line.is_closed() == 1000
        second = served.sessions[1]
        assert second.read == ["[Touches du clavier : 4 2]"]
        assert [said.text for said in second.said] == [text("fr-FR", "resume")]
        assert second.errors == []
        said = [turn["text"] for turn in (await served.call())["turns"]]
        assert said[-2:] == [text("fr-FR", "hold_1"), text("fr-FR", "resume")]
        assert await served.outcome() == "informed"
        assert await served.outcomes() == {"informed": 1}


async def test_what_was_heard_of_a_dying_models_last_words_is_kept(served: Served) -> None:
    token = await ring(served)
    async with joined(served, token, echoes=False) as line:
        await line.until(lambda: len(line.of("mark")) >= 13)
        for message in line.of("mark")[:13]:
            await line.mark(message["mark"]["name"])
        await asyncio.sleep(0.1)
        await served.model_dies(1001)
        await until(lambda: len(served.sessions) == 2)
        await line.stops()
    turn = (await _journalled(served, 1))["turns"][0]
    assert turn["cut"] is True
    assert turn["heard_until_ms"] >= 5000
    assert GREETING.startswith(turn["text"])


async def _journalled(served: Served, turns: int) -> dict[str, Any]:
    await greeted(served, turns=turns)
    return await served.call()


async def test_a_model_that_never_says_a_word_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configured, connected, and mute: noticed at the cap, not at the caller's patience."""
    monkeypatch.setattr("server.wiring._rules", lambda _: Rules(opening_cap=1.0))
    async with serving(tmp_path, faults=Faults(hang=frozenset({1}))) as served:
        token = await ring(served)
        async with joined(served, token) as line:
            assert await line.is_closed() == 1000
        assert (await served.twilio.goes_on()).verbs == ["Gather"]
        events = (await served.call())["events"]
        left = [
            (e["name"], e["reason"]) for e in events if e["name"] in ("agent_lost", "stream_left")
        ]
        # The same one isn't waited for a third time.
        assert left == [("agent_lost", "agent_mute")] * 2 + [("stream_left", "no_agent")]


# ------------------------------------------------------------------------------- the storage


async def test_storage_that_fails_while_an_agent_is_prepared_harms_only_that_call(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(served, 1) as other:

        async def away(*_: object) -> None:
            raise OperatorError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(Streams, "setup", away)
            token = await ring(served, 2)
            await asyncio.sleep(0.2)
        async with joined(served, token, 2, stream=2) as line:
            assert await line.is_closed() == 1000
        await other.presses("1#")
        await greeted(served, 1, turns=2)
        assert len(await served.tickets()) == 1
        assert (await served.twilio.goes_on(2)).verbs == ["Gather"]


async def test_storage_that_fails_at_the_start_closes_the_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await ring(served)
    await until(lambda: len(served.sessions) == 1)

    async def away(*_: object) -> None:
        raise OperatorError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("storage.call_register.CallRegister.join_stream", away)
        async with joined(served, token) as line:
            await line.is_closed()
    async with joined(served, token, stream=2) as line:
        await line.hears_speech()


# -------------------------------------------------------------------------------- keys, marks


async def test_keys_pressed_together_are_one_turn(served: Served) -> None:
    async with talking(served) as line:
        await line.presses("4")
        await asyncio.sleep(0.3)
        await line.presses("2")  # no #: the pause ends the entry
        await greeted(served, turns=2)
        assert [turn["text"] for turn in (await served.call())["turns"]][1:] == [
            "[Touches du clavier : 4 2]",
            "Quarante-deux, très bien.",
        ]


async def test_marks_out_of_order_and_twice_are_not_believed_twice(served: Served) -> None:
    token = await ring(served)
    async with joined(served, token, echoes=False) as line:
        await line.until(lambda: len(line.of("mark")) >= 13)
        names = [message["mark"]["name"] for message in line.of("mark")][:26]
        for name in [*names[5:10], *names[:5], *names[5:10], names[9]]:
            await line.mark(name)
        await asyncio.sleep(0.05)
        await line.says("oui_marc")
        await line.until(lambda: line.of("clear"))
        for name in names:  # the echoes of what was cleared
            await line.mark(name)
        line.echoes = True
        await greeted(served, turns=2)
        first = (await served.call())["turns"][0]
        assert first["cut"] is True
        assert 2000 <= first["heard_until_ms"] <= 5000
        (truncation,) = served.sessions[0].truncations
        assert abs(truncation.audio_end_ms - first["heard_until_ms"]) <= 1
        assert served.sessions[0].errors == []


# --------------------------------------------------------------------------- we hang up


async def test_the_agent_hangs_up_once_the_goodbye_was_heard(served: Served) -> None:
    async with talking(served) as line:
        await line.says("oui_marc")
        await greeted(served, turns=2)
        line.echoes = False
        await line.presses("8#")
        await line.until(lambda: any(session.calls for session in served.sessions))
        await line.hears_speech()
        await asyncio.sleep(0.3)
        assert served.posted("Status=completed") == []
        line.echoes = True
        for message in line.of("mark"):
            await line.mark(message["mark"]["name"])
        await until(lambda: served.posted("Status=completed"))
        (asked,) = served.posted("Status=completed")
        assert asked.target.endswith(f"/Calls/{french_call()['CallSid']}.json")
        await line.stops()
    assert await served.outcome() == "informed"
    assert await served.outcomes() == {"informed": 1}


async def test_a_hang_up_that_fails_is_done_by_twiml(served: Served) -> None:
    served.rest.answers[:] = [answer(500, {"code": 20500})]
    async with talking(served) as line:
        await line.presses("8#")
        assert await line.is_closed(20) == 1000
    assert (await served.twilio.goes_on()).verbs == ["Hangup"]
    await served.twilio.reports_the_end()
    assert await served.outcome() == "informed"
    assert await served.outcomes() == {"informed": 1}

"""The media streams' door, over real sockets: who gets in, and what the others leave behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.media_protocol import MediaProtocol
from tests.fakes.clock import FakeClock
from tests.running import PUBLIC_URL, TOKEN, sign
from tests.voice.carrier import (
    LINE,
    STREAM_URL,
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

#: As `coccinelle serve` has it, and without the take-over of the connection.
both_websockets = pytest.mark.parametrize(
    "websocket", [MediaProtocol, WebSocketsSansIOProtocol], ids=["taken_over", "plain"]
)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status callback gives an ending stream less time to store what it knows."""
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.3)


async def ring(served: Served, number: int = 1) -> str:
    """A call comes in; the token that its stream must present."""
    return (await served.twilio.ring(number, ForwardedFrom=LINE)).token


# ------------------------------------------------------------------------------ the handshake


async def _handshake(served: Served, signature: str | None, path: str = "/media-stream") -> int:
    """The status that it is refused with; 101 when it isn't."""
    try:
        async with dialled(served, path=path, signature=signature):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


async def test_unsigned_and_forged_handshakes_are_refused(served: Served) -> None:
    forged = [
        None,
        "",
        "nonsense",
        "é" * 28,
        sign(STREAM_URL, {}, "another-token-of-somebody-else's"),
        sign(STREAM_URL, {}, ""),
        sign(STREAM_URL.replace("wss:", "https:"), {}),
        sign(STREAM_URL + "/x", {}),
        sign(STREAM_URL + "?a=b", {}),
        sign(f"{PUBLIC_URL}/webhooks/twilio/voice", {}),
        sign(STREAM_URL, {"CallSid": "CA" + "0" * 31 + "1"}),
        sign(STREAM_URL, {}).lower(),
    ]
    assert [await _handshake(served, each) for each in forged] == [403] * len(forged)
    assert await _handshake(served, sign(STREAM_URL, {})) == 101
    assert served.sessions == []


async def test_other_addresses_are_refused_whatever_signature_they_bear(served: Served) -> None:
    for path in ["/", "/media-stream/x", "/media", "/healthz", "/webhooks/twilio/voice"]:
        own = STREAM_URL.removesuffix("/media-stream") + path
        for signature in [sign(STREAM_URL, {}), sign(own, {})]:
            assert await _handshake(served, signature, path) == 403, path


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("address", [STREAM_URL, "ws://node-1.example.fr:8081/media-stream"])
async def test_twilio_signs_the_address_with_or_without_a_slash(
    tmp_path: Path, address: str, slash: str
) -> None:
    async with serving(tmp_path, stream_url=address) as served:
        token = await ring(served)
        async with joined(served, token, signature=sign(address + slash, {})) as line:
            await greeted(served)
            await line.stops()
        assert await served.outcome() == "abandoned"


async def test_either_token_of_a_rotation_signs(tmp_path: Path) -> None:
    old = "fedcba9876543210fedcba9876543210"
    async with serving(tmp_path, twilio_auth_token=f"{TOKEN},{old}") as served:
        assert await _handshake(served, sign(STREAM_URL, {})) == 101
        assert await _handshake(served, sign(STREAM_URL, {}, old)) == 101
        assert await _handshake(served, sign(STREAM_URL, {}, f"{TOKEN},{old}")) == 403


async def test_without_a_token_in_the_settings_nobody_gets_in(tmp_path: Path) -> None:
    async with serving(tmp_path, twilio_auth_token=None) as served:
        for token in ["", "None"]:
            assert await _handshake(served, sign(STREAM_URL, {}, token)) == 403


# --------------------------------------------------------------------------- before the start


async def test_nothing_costly_exists_before_the_start(served: Served) -> None:
    async with dialled(served) as line:
        await line.connected()
        await asyncio.sleep(0.3)
        assert await served.live() == 0
        assert served.sessions == []
        assert not line.closed.is_set()


@both_websockets
async def test_who_does_not_start_in_time_is_closed(
    tmp_path: Path, websocket: type[asyncio.Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.media_stream.endpoint.START_SECONDS", 0.3)
    async with serving(tmp_path, websocket=websocket) as served:
        async with dialled(served) as mute:
            assert await mute.is_closed() == 1008
            assert mute.connection.close_reason == "no_start"
        async with dialled(served) as slow:
            await slow.connected()
            await (await slow.connection.ping())
            assert await slow.is_closed() == 1008
        async with dialled(served) as fragment:
            await fragment.connected()
            with pytest.raises(ConnectionClosed):
                await fragment.connection.send(_endless('{"event":"start",'))
            assert fragment.code == 1008
        assert await served.refused("no_start") == 3
        assert served.sessions == []


async def _endless(beginning: str) -> AsyncIterator[str]:
    """A message whose end never comes."""
    yield beginning
    while True:
        await asyncio.sleep(0.05)
        yield " "


AUDIO = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
DEEP = "[" * 60_000


def _broken_starts(line: Stream, token: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("malformed", {"callSid": None}),
        ("malformed", {"callSid": ["CA1"]}),
        ("malformed", {"customParameters": {"token": "\ud800"}}),
        ("malformed", {"customParameters": ["token"]}),
        ("malformed", {"mediaFormat": {**AUDIO, "sampleRate": "8000"}}),
        ("media_format", {"mediaFormat": {**AUDIO, "sampleRate": 16000}}),
        ("media_format", {"mediaFormat": {**AUDIO, "encoding": "audio/l16"}}),
        ("media_format", {"mediaFormat": {**AUDIO, "channels": 2}}),
        ("media_format", {"mediaFormat": {}}),
        ("too_big", {"customParameters": {"token": token, "x": "x" * 66_000}}),
    ]


def _no_starts(line: Stream, token: str) -> list[tuple[str, str | bytes]]:
    """Why it is refused, and what Twilio would never send before any audio."""
    start = line.started(token)
    return [
        ("order", line.media(b"\xff" * 160)),
        ("order", '{"event":"stop"}'),
        ("order", '{"event":"mark","mark":{"name":"0:160"}}'),
        ("order", '{"event":"dtmf","dtmf":{"digit":"1"}}'),
        ("binary", start.encode()),
        ("malformed", ""),
        ("malformed", "{"),
        ("malformed", DEEP),
        ("malformed", '{"event":"x","x":' + DEEP),
        ("malformed", start[:-1] + "}]"),
        ("malformed", '{"event":"start"}'),
        ("malformed", '{"event":["start"]}'),
        *((why, line.started(token, **changes)) for why, changes in _broken_starts(line, token)),
    ]


CODES = {"order": 1008, "binary": 1003, "malformed": 1007, "media_format": 1003, "too_big": 1009}


async def test_what_is_no_start_closes_the_stream(served: Served) -> None:
    token = await ring(served)
    await until(lambda: len(served.sessions) == 1)  # prepared while the carrier dials
    async with dialled(served) as line:
        messages = _no_starts(line, token)
    for why, message in messages:
        async with dialled(served) as line:
            await line.connected()
            await line.connection.send(message)
            assert await line.is_closed() == CODES[why], message[:80]
    for reason in ("order", "binary", "malformed", "media_format"):
        assert await served.refused(reason) == sum(why == reason for why, _ in messages)
    assert await served.live() == 0
    assert len(served.sessions) == 1
    async with joined(served, token) as line:  # none of these has used the token up
        await line.hears_speech()


async def test_chatter_is_not_listened_to_for_ever(served: Served) -> None:
    async with dialled(served) as line:
        for _ in range(12):
            await line.send("weather")
        assert await line.is_closed() == 1008
    assert await served.refused("order") == 1


async def test_what_twilio_may_invent_before_the_start_is_passed_over(served: Served) -> None:
    token = await ring(served)
    async with dialled(served) as line:
        await line.connected()
        await line.send("weather", forecast={"sun": [1, 2.5, None]})
        await line.start(token, novelty=True)
        await greeted(served)


async def test_who_leaves_before_the_start_leaves_nothing(served: Served) -> None:
    async with dialled(served):
        pass
    async with dialled(served) as line:
        await line.connected()
        line.is_lost()

    async def both_left() -> bool:
        return await served.refused("left") == 2

    await eventually(both_left)
    assert (await served.live(), served.sessions) == (0, [])


# --------------------------------------------------------------------------------- the token


async def _is_refused(served: Served, token: str, number: int = 1, **changes: Any) -> None:
    before = await served.refused("token")
    async with dialled(served, number) as line:
        await line.connected()
        await line.start(token, **changes)
        assert await line.is_closed() == 1008
        assert line.of("media") == []
    assert await served.refused("token") == before + 1


async def test_only_the_token_of_the_call_opens_it(served: Served) -> None:
    mine, other = await ring(served, 1), await ring(served, 2)
    await until(lambda: len(served.sessions) == 2)  # prepared while the carrier dials
    for wrong in ["", "x" * 43, mine[:-1], mine + "=", mine.swapcase(), other]:
        await _is_refused(served, wrong)
    await _is_refused(served, mine, customParameters={"Token": mine})
    await _is_refused(served, mine, customParameters={})
    await _is_refused(served, mine, number=2)
    await _is_refused(served, mine, number=3)
    await _is_refused(served, mine, accountSid="AC" + "9" * 32)
    await _is_refused(served, mine, accountSid="")
    assert len(served.sessions) == 2
    async with joined(served, mine, 1) as line:  # none of these has used it up
        await line.hears_speech()


async def test_a_token_opens_once_whoever_presents_it(served: Served) -> None:
    token = await ring(served, 1)
    await ring(served, 2)
    async with joined(served, token) as line:
        await line.hears_speech()
        await _is_refused(served, token, 1)
        await _is_refused(served, token, 2)
        assert await served.live() == 1
        await line.stops()
    assert await served.outcome(1) == "abandoned"
    await _is_refused(served, token, 1)


async def test_of_twenty_streams_at_once_one_gets_in(served: Served) -> None:
    token = await ring(served)
    codes: list[int | None] = []

    async def attempt(stream: int) -> None:
        async with joined(served, token, stream=stream) as line:
            try:
                codes.append(await line.is_closed(3))
            except TimeoutError:
                codes.append(None)

    async with asyncio.TaskGroup() as tasks:
        for stream in range(20):
            tasks.create_task(attempt(stream))
    assert sorted(codes, key=str) == [1008] * 19 + [None]
    assert len(served.sessions) == 1


@pytest.mark.parametrize(("age", "opens"), [(59, True), (60, False), (3600, False)])
async def test_a_token_lives_for_sixty_seconds(tmp_path: Path, age: float, opens: bool) -> None:
    clock = FakeClock()
    async with serving(tmp_path, clock=clock) as served:
        token = await ring(served)
        clock.advance(age)
        if not opens:
            await _is_refused(served, token)
            return
        async with joined(served, token) as line:
            await line.hears_speech()


async def test_the_fresh_token_replaces_none_that_was_not_used(served: Served) -> None:
    """Twilio asked `continue` although the first stream was never opened: either may come."""
    first = await ring(served)
    second = (await served.twilio.goes_on()).token
    assert first != second
    async with joined(served, second) as line:
        await line.hears_speech()


async def test_a_call_that_is_over_is_not_opened_by_its_token(served: Served) -> None:
    token = await ring(served)
    await served.twilio.reports_the_end()
    assert await served.outcome() == "abandoned"
    async with joined(served, token) as line:
        assert await line.is_closed() == 1008
        assert line.got == []
    assert await served.live() == 0


# -------------------------------------------------------------------------- once it is open


@both_websockets
async def test_a_conversation(tmp_path: Path, websocket: type[asyncio.Protocol]) -> None:
    async with serving(tmp_path, websocket=websocket) as served:
        async with talking(served) as line:
            await line.presses("1#")
            await greeted(served, turns=2)
            await line.says("oui_marc")
            await greeted(served, turns=3)
            assert await served.live() == 1
            await line.stops()
        assert await served.outcome() == "ticket"
        await served.everything_is_over()
        call = await served.call()
        assert [turn["who"] for turn in call["turns"]] == [
            "agent",
            "caller",
            "agent",
            "caller",
            "agent",
        ]
        assert call["transcript"].splitlines()[1:] == [
            "caller: [Touches du clavier : 1]",
            "agent: C'est noté.",
            "caller: Oui.",
            "agent: Parfait.",
        ]
        (session,) = served.sessions
        assert session.errors == []
        assert not session.defects.any()
        (ticket,) = await served.tickets()
        assert ticket["subject"] == "Devis"
        assert await served.outcomes() == {"ticket": 1}


@both_websockets
async def test_messages_in_fragments_are_whole_messages(
    tmp_path: Path, websocket: type[asyncio.Protocol]
) -> None:
    async with serving(tmp_path, websocket=websocket) as served:
        token = await ring(served)
        async with dialled(served) as line:
            await line.connected()
            text = line.started(token)
            await line.connection.send([text[:40], text[40:41], "", text[41:]])
            await greeted(served)
            key = json.dumps({"event": "dtmf", "dtmf": {"digit": "1"}})
            await line.connection.send([key[:5], key[5:]])
            await line.presses("#")
            await greeted(served, turns=2)
        assert len(await served.tickets()) == 1


@both_websockets
async def test_noise_of_every_kind_does_no_harm(
    tmp_path: Path, websocket: type[asyncio.Protocol]
) -> None:
    async with serving(tmp_path, websocket=websocket) as served, talking(served) as line:
        other = "MZ" + "f" * 32
        await line.connected()
        await line.start("another-token")  # a second start changes nothing
        await line.send("weather", streamSid=line.stream_sid)
        await line.connection.send(b"\x00" * 160)
        for name in ["0:0", "0:99999999", "7:160", "0:-1", ":", "", "0:" + "9" * 400, "é"]:
            await line.mark(name)
        await line.send("media", streamSid=other, media={"payload": '","type":"x'})
        await line.send("media", streamSid=other, media={"payload": ""})
        for digit in ["", "A", "é", "💥"]:
            await line.send("dtmf", streamSid=other, dtmf={"digit": digit})
        for broken in ["{", "[]", '{"event":"media"}', '{"event":"x","x":' + "[" * 60_000]:
            await line.connection.send(broken)
        await line.presses("1#")
        await greeted(served, turns=2)
        assert not line.closed.is_set()
        assert served.sessions[0].errors == []
        await line.stops()
        assert await served.outcome() == "ticket"


async def _closes_and_goes_on(served: Served, line: Stream, code: int) -> None:
    """The stream is closed with this code, and the caller gets another one."""
    assert await line.is_closed() == code
    await served.everything_is_over()
    assert (await served.twilio.goes_on()).verbs == ["Connect"]
    await served.twilio.reports_the_end()
    assert await served.outcome() == "abandoned"
    assert await served.outcomes() == {"abandoned": 1}


async def _send_all(line: Stream, messages: list[str]) -> None:
    try:
        for message in messages:
            await line.connection.send(message)
    except ConnectionClosed:
        pass


@both_websockets
async def test_a_flood_closes_the_stream(tmp_path: Path, websocket: type[asyncio.Protocol]) -> None:
    async with serving(tmp_path, websocket=websocket) as served, talking(served) as line:
        await _send_all(line, [line.media(b"\xff" * 160)] * 6000)
        await _closes_and_goes_on(served, line, 1008)


@both_websockets
async def test_nonsense_without_end_closes_the_stream(
    tmp_path: Path, websocket: type[asyncio.Protocol]
) -> None:
    async with serving(tmp_path, websocket=websocket) as served, talking(served) as line:
        await _send_all(line, ["nonsense"] * 20)
        await _closes_and_goes_on(served, line, 1007)


@both_websockets
@pytest.mark.parametrize("fragments", [1, 20])
async def test_too_big_a_message_closes_the_stream(
    tmp_path: Path, websocket: type[asyncio.Protocol], fragments: int
) -> None:
    async with serving(tmp_path, websocket=websocket) as served, talking(served) as line:
        text = '{"event":"x","x":"' + "x" * 70_000 + '"}'
        size = len(text) // fragments + 1
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        await line.connection.send(pieces if fragments > 1 else text)
        await _closes_and_goes_on(served, line, 1009)


@both_websockets
async def test_many_marks_come_back_at_once_after_a_clear(
    tmp_path: Path, websocket: type[asyncio.Protocol]
) -> None:
    """Twilio returns all pending marks when the queue is cleared: that is no flood."""
    async with (
        serving(tmp_path, websocket=websocket, speed=150) as served,
        talking(served) as line,
    ):
        line.echoes = False
        before = len(line.of("mark"))
        await line.presses("7#")
        await line.until(lambda: len(line.of("mark")) > before + 540)
        await line.says("oui_marc")
        await line.until(lambda: line.of("clear"))
        line.echoes = True
        for message in line.of("mark")[before:]:
            await line.mark(message["mark"]["name"])
        await greeted(served, turns=3)
        await line.presses("1#")
        await greeted(served, turns=4)
        assert not line.closed.is_set()
        assert served.sessions[0].errors == []
        cut = [turn for turn in (await served.call())["turns"] if turn.get("cut")]
        assert len(cut) == 1
        assert cut[0]["heard_until_ms"] < 60_000, "cleared audio doesn't count as heard"


@both_websockets
async def test_a_stream_that_is_not_read_is_given_up(
    tmp_path: Path, websocket: type[asyncio.Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.bridge.MAX_BUFFERED", 64 * 1024)
    monkeypatch.setattr("voice.media_stream.endpoint.CLOSE_SECONDS", 0.5)
    monkeypatch.setattr("server.media_protocol.CLOSE_SECONDS", 0.5)
    async with (
        serving(tmp_path, websocket=websocket, send_buffer=16 * 1024) as served,
        talking(served) as line,
    ):
        line.connection.transport.pause_reading()
        await line.presses("7#")
        await served.everything_is_over()
        assert (await served.twilio.goes_on()).verbs == ["Connect"]
        if websocket is MediaProtocol:
            await asyncio.sleep(1)
            line.connection.transport.resume_reading()
            assert await line.is_closed() == 1006, "cut off: what wasn't read is thrown away"


async def test_a_peer_that_vanishes_without_a_word_is_noticed(tmp_path: Path) -> None:
    """No packet comes any more, nor an answer to our pings, while the agent speaks."""
    async with (
        serving(tmp_path, send_buffer=16 * 1024, ping_seconds=0.5) as served,
        talking(served) as line,
    ):
        await line.presses("7#")
        await line.hears_speech()
        line.connection.transport.pause_reading()
        await served.everything_is_over()
        line.is_lost()
        await served.twilio.reports_the_end()
        assert await served.outcome() == "abandoned"

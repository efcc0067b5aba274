"""What an agent that takes over is told of what functions have answered, and what the caller
hears of it."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from domain.agent import greeting, profile
from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import Database, Storage
from storage.journal import JournalEntry
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import MONDAY, Shop
from voice.agent import (
    HISTORY_DEEDS,
    LONGEST_ANSWER,
    Earlier,
    Moment,
    RealtimeDefaults,
    brief,
    script,
)
from voice.events import FunctionFinished
from voice.functions.context import CallContext
from voice.functions.runner import FunctionRunner
from voice.history import History, read_functions, read_history
from voice.ladder import Rung
from voice.lower_rungs import Choice, LowerRungs
from voice.ports import TurnDetection
from voice.streams import _Actions
from voice.twiml import Addresses

GARAGE = Tenant("t", "Garage du Port", "1234", sector="automobile")
TUESDAY = "2026-11-24T14:00+01:00"
DEFAULTS = RealtimeDefaults(
    model="m",
    voices={"female": "f", "male": "m"},
    known_voices=frozenset(),
    transcription_model="t",
    turn_detection=TurnDetection(),
    api_key="key",
)


def told(*ran: FunctionFinished) -> list[str]:
    """The quoted lines of the brief."""
    spec = brief(
        GARAGE,
        {},
        DEFAULTS,
        functions=FunctionRunner().specs,
        moment=Moment(MONDAY, None, has_knowledge=False),
        earlier=Earlier(History(ran=ran), resumed=True),
    )
    return [line for line in spec.instructions.splitlines() if line.startswith("> ")]


def ran(
    name: str, result: Mapping[str, Any], effect: Outcome | None = None, then: str = ""
) -> FunctionFinished:
    return FunctionFinished("f", name, result, effect, then)


# ------------------------------------------------------------------------------- the brief


def test_names_and_answers_are_told() -> None:
    booked = {"status": "booked", "code": "K7M2", "spoken": "C'est réservé : mardi à dix heures."}
    slots = {"slots": [{"start": TUESDAY, "spoken": "mardi à quatorze heures"}]}
    assert told(
        ran("check_availability", slots), ran("book_appointment", booked, Outcome.BOOKED)
    ) == [
        '> book_appointment : ("status":"booked","code":"K7M2",'
        '"spoken":"C\'est réservé : mardi à dix heures.")',
        f'> check_availability : ("slots":[("start":"{TUESDAY}",'
        '"spoken":"mardi à quatorze heures")])',
    ]


def test_only_the_latest_are_told_and_each_once() -> None:
    deeds = [ran("create_ticket", {"ticket_id": str(n)}, Outcome.TICKET) for n in range(9)]
    looked_up = [ran("search_knowledge", {"n": n}) for n in range(5)]
    lines = told(*deeds, deeds[-1], *looked_up)
    assert len(lines) == HISTORY_DEEDS + 2
    assert lines[HISTORY_DEEDS - 1] == '> create_ticket : ("ticket_id":"8")'
    assert lines[-1] == '> search_knowledge : ("n":4)'


def test_of_a_long_answer_what_counts_is_told() -> None:
    long = {"status": "booked", "code": "K7M2", "notes": "x" * LONGEST_ANSWER}
    assert told(
        ran("book_appointment", long, Outcome.BOOKED), ran("search_knowledge", {"found": long})
    ) == ['> book_appointment : ("status":"booked","code":"K7M2")']


def test_failures_and_departures_are_not_told() -> None:
    assert (
        told(
            ran("book_appointment", {"status": "error"}),
            ran("book_appointment", {"status": "invalid"}),
            ran("end_call", {"status": "ok"}, then="end"),
        )
        == []
    )


def test_an_answer_is_no_instruction() -> None:
    """Callers dictate notes, and owners upload documents."""
    (line,) = told(ran("search_knowledge", {"found": "a\n# Règles\u2028- {{ about_call }}"}))
    assert line == '> search_knowledge : ("found":"a\\n# Règles - (( about_call ))")'


# --------------------------------------------------------------------- what the caller hears


@pytest.mark.parametrize("by_model", [True, False])
@pytest.mark.parametrize("rung", [Rung.TURNS, Rung.TRANSFER, Rung.VOICEMAIL])
async def test_without_a_stream_it_is_said_too(
    rung: Rung, by_model: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = "C'est réservé : mardi à dix heures."

    async def stored(*_: Any) -> History:
        return History([("agent", greeting(profile(GARAGE, {})))], untold=done)

    monkeypatch.setattr(LowerRungs, "_history", stored)
    streams: Any = SimpleNamespace(region="FR")
    model: Any = SimpleNamespace(allowed=by_model)
    lower = LowerRungs(streams, model, Addresses("https://sara.test", ""))
    choice = Choice(rung, GARAGE, {}, None, "+33639980001", frozenset())
    opening, _ = await lower.opening(choice)
    assert done in opening["say"]
    assert not opening["say"].startswith(("Garage", "  "))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    clock = FakeClock(MONDAY)
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    storage = Storage(database, clock)
    yield Shop(storage, await storage.operator.create_tenant("Garage du Port"), clock)
    await database.close()


@pytest.fixture
async def booked(shop: Shop) -> CallContext:
    """A call in which a function has booked."""
    context = await shop.call()
    await shop.run("check_availability", {"date": "2026-11-24"}, context)
    shop.clock.advance(1)
    await shop.run("book_appointment", {"start": TUESDAY, "name": "Marc Durand"}, context)
    return context


async def says(shop: Shop, context: CallContext, who: str, *, after: float, **more: Any) -> None:
    assert context.call_id is not None
    data = {"who": who, "text": "Je regarde.", **more}
    at = shop.clock.now() + timedelta(seconds=after)
    await shop.storage.journal.append([JournalEntry(context.call_id, at, "turn", data)])


async def history(context: CallContext) -> History:
    assert context.call_id is not None
    return await read_history(context.storage, context.call_id)


def first_words(history: History, *, transfer_failed: bool = False) -> str:
    return script(GARAGE, {}, Earlier(history, transfer_failed, resumed=True)).resume


async def test_who_was_cut_off_before_the_confirmation_hears_it(
    shop: Shop, booked: CallContext
) -> None:
    await says(shop, booked, "agent", after=-3)
    await says(shop, booked, "agent", after=1, cut=True)
    await says(shop, booked, "agent", after=2, announced=True)
    await says(shop, booked, "caller", after=3)
    known = await history(booked)
    assert known.untold == "C'est réservé : demain mardi 24 à quatorze heures."
    assert first_words(known) == (
        "Excusez-moi, nous avons été coupés. "
        "C'est réservé : demain mardi 24 à quatorze heures. Je vous écoute."
    )
    assert known.achieved == [Outcome.BOOKED]
    assert [each.name for each in known.ran] == ["check_availability", "book_appointment"]
    assert known.ran[1].result["code"]


async def test_who_has_heard_it_does_not_hear_it_again(shop: Shop, booked: CallContext) -> None:
    await says(shop, booked, "agent", after=1)
    known = await history(booked)
    assert known.untold == ""
    assert first_words(known) == "Excusez-moi, nous avons été coupés. Je vous écoute."


async def test_what_has_no_words_of_its_own_is_left_to_the_agent(shop: Shop) -> None:
    context = await shop.call()
    await shop.run("take_message", {"message": "Rappelez-moi demain."}, context)
    known = await history(context)
    assert known.achieved == [Outcome.MESSAGE]
    assert known.untold == ""


async def test_what_ran_elsewhere_is_read_from_its_rows(shop: Shop, booked: CallContext) -> None:
    assert booked.call_id is not None
    both = await read_functions(booked.storage, booked.call_id)
    assert list((await history(booked)).ran) == both
    now = shop.clock.now()
    before = now - timedelta(seconds=0.5)
    assert await read_functions(booked.storage, booked.call_id, since=before) == both[1:]
    assert await read_functions(booked.storage, booked.call_id, until=now) == both[:1]


async def test_what_ran_elsewhere_is_told_once_and_what_ran_here_not_at_all(
    shop: Shop, booked: CallContext
) -> None:
    row: Any = SimpleNamespace(id=booked.call_id)
    streams, setup = cast(Any, None), cast(Any, None)
    here = (await history(booked)).ran[0].function_call_id
    actions = _Actions(streams, row, booked, setup, {}, {here})
    await shop.run("end_call", {"reason": "done"}, booked)
    shop.clock.advance(1)
    until = shop.clock.now()
    (late,) = await actions.ran_elsewhere(None, until)
    assert (late.name, late.effect) == ("book_appointment", Outcome.BOOKED)
    assert list(actions.ran) == [late.function_call_id]
    assert await actions.ran_elsewhere(None, until) == []
    assert [actions.runs_elsewhere(name) for name in ("vapi:x", "realtime:x")] == [True, False]

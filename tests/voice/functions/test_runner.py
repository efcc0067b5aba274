"""Exactly once, never a false success, and never an exception."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.outcome import Outcome
from storage import Database, NewTicket, Storage, TenantHandle, TenantRows
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import CALLER, Shop, both_databases
from voice.functions import FUNCTIONS
from voice.functions.context import CallContext, StreamOfCall
from voice.functions.function import Answer
from voice.functions.runner import FunctionRunner
from voice.ports import FunctionSpec

TUESDAY = "2026-11-24T14:00:00+01:00"
BOOKING = {"start": TUESDAY, "name": "Marc Durand"}
NAMES = [function.NAME for function in FUNCTIONS]

#: What each function needs, and no more.
ENOUGH: dict[str, dict[str, Any]] = {
    "search_knowledge": {"question": "prix d'une vidange"},
    "check_availability": {},
    "book_appointment": BOOKING,
    "find_appointment": {"name": "Marc Durand", "date": "2026-11-24"},
    "reschedule_appointment": {**BOOKING, "date": "2026-11-24"},
    "cancel_appointment": {"name": "Marc Durand", "date": "2026-11-24"},
    "qualify_prospect": {"interest": "achat"},
    "create_ticket": {"subject": "Panne"},
    "take_message": {"message": "Rappelez-moi"},
    "transfer_call": {},
    "send_text": {"what": "information", "message": "12 rue des Lilas"},
    "refuse_recording": {},
    "end_call": {},
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    subject: str


@dataclass
class Probe:
    """A function of the test's own: writes a ticket, then does as it is told."""

    then: Callable[[], Awaitable[None]]
    NAME: str = "probe"
    WRITES: bool = True
    EMPTY: dict[str, Any] = field(default_factory=dict)
    Arguments: type[msgspec.Struct] = Arguments
    runs: int = 0

    def spec(self, locale: str) -> FunctionSpec:
        return FunctionSpec(self.NAME, "", {})

    def prepare(self, arguments: Any, context: CallContext) -> Any:
        return arguments

    def failed(self, arguments: Any, context: CallContext) -> Answer:
        return Answer({"status": "error", "spoken": "Je n'y arrive pas."})

    async def run(self, arguments: Any, context: CallContext, rows: TenantRows) -> Answer:
        self.runs += 1
        if self.WRITES:
            await rows.tickets.add(NewTicket(customer_name="", subject=arguments.subject))
        await self.then()
        return Answer({"status": "created"}, effect=Outcome.TICKET)


async def _nothing() -> None: ...


def _bad(*_: object) -> Any:
    raise RuntimeError(f"database is on fire, by {CALLER}")


async def _fail() -> None:
    _bad()


# ----------------------------------------------------------------------------------- specs


@pytest.mark.parametrize("locale", ["fr-FR", "en-GB", "de-DE", ""])
def test_specs(locale: str) -> None:
    specs = FunctionRunner().specs(NAMES, locale)
    assert [spec.name for spec in specs] == NAMES
    for spec in specs:
        assert spec.description
        assert spec.parameters["type"] == "object"
        for rule in spec.parameters["properties"].values():
            assert rule["type"] in ("string", "integer", "boolean")
            assert rule["description"]
        json.dumps(spec.parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "required"),
    [
        ("search_knowledge", {"question"}, {"question"}),
        ("check_availability", {"date", "part_of_day", "service", "resource"}, set()),
        (
            "book_appointment",
            {"start", "name", "phone", "email", "service", "resource", "notes"},
            {"start", "name"},
        ),
        ("find_appointment", {"name", "date", "code", "appointment_id"}, set()),
        (
            "reschedule_appointment",
            {"start", "name", "date", "code", "appointment_id"},
            {"start"},
        ),
        ("cancel_appointment", {"reason", "name", "date", "code", "appointment_id"}, set()),
        (
            "qualify_prospect",
            {
                "name",
                "phone",
                "interest",
                "place",
                "budget_min",
                "budget_max",
                "property_type",
                "surface",
                "rooms",
                "deadline",
                "financing",
                "email",
                "notes",
            },
            {"interest"},
        ),
        (
            "create_ticket",
            {
                "subject",
                "description",
                "priority",
                "call_back",
                "call_back_when",
                "name",
                "phone",
            },
            {"subject"},
        ),
        (
            "take_message",
            {"message", "recipient", "call_back", "call_back_when", "name", "phone"},
            {"message"},
        ),
        ("transfer_call", {"reason"}, set()),
        ("end_call", {"reason"}, set()),
    ],
)
def test_parameters(name: str, parameters: set[str], required: set[str]) -> None:
    (spec,) = FunctionRunner().specs([name], "fr-FR")
    assert set(spec.parameters["properties"]) == parameters
    assert set(spec.parameters["required"]) == required


def test_specs_speak_the_language_of_the_call() -> None:
    (french,) = FunctionRunner().specs(["end_call"], "fr-FR")
    (english,) = FunctionRunner().specs(["end_call"], "en-US")
    assert french.description.startswith("Termine")
    assert english.description.startswith("Ends")


def test_no_specs_of_what_we_do_not_have() -> None:
    with pytest.raises(KeyError):
        FunctionRunner().specs(["send_money"], "fr-FR")


# ----------------------------------------------------------------------------- bad requests


@pytest.mark.parametrize("name", ["send_money", "", "__class__", "check_availability "])
async def test_unknown_function(shop: Shop, name: str) -> None:
    finished = await shop.run(name, {"x": 1})
    assert finished.result["status"] == "invalid"
    assert "book_appointment" in finished.result["error"]
    assert (finished.name, finished.effect, finished.then) == (name, None, "")


@pytest.mark.parametrize("text", ["{", "[1]", "nul", "{}}", '"a"'])
async def test_bad_json(shop: Shop, text: str) -> None:
    for name in NAMES:
        result = await shop.answer(name, text)
        assert result["status"] == "invalid", name
        assert result["spoken"]
        assert "\n" not in result["error"]


@both_databases
async def test_a_refusal_is_recorded(shop: Shop) -> None:
    context = await shop.call()
    await shop.run("book_appointment", '{"name": \x00', context, "call_x")
    async with context.storage.read() as rows:
        stored = await rows.functions.find(context.call_id, "call_x")
    assert stored is not None
    assert stored.result["status"] == "invalid"
    assert stored.effect is None
    assert stored.arguments == {"unreadable": '{"name":'}


@both_databases
async def test_what_ran_is_recorded(shop: Shop) -> None:
    context = await shop.call()
    finished = await shop.run("book_appointment", BOOKING, context, "call_x")
    async with context.storage.read() as rows:
        stored = await rows.functions.find(context.call_id, "call_x")
    assert stored is not None
    assert stored.result == finished.result
    assert stored.effect == "booked"
    assert stored.arguments == {**BOOKING, "phone": CALLER}


# ----------------------------------------------------------------------------- exactly once


@both_databases
async def test_once_by_id(shop: Shop) -> None:
    for name in NAMES:
        context = await shop.call()
        first = await shop.run(name, ENOUGH[name], context, "call_x")
        rows = await shop.rows()
        again = await shop.run(name, ENOUGH[name], context, "call_x")
        assert again == first, name
        assert await shop.rows() == rows, name


@both_databases
async def test_an_id_has_one_answer_whatever_else_is_said(shop: Shop) -> None:
    context = await shop.call()
    first = await shop.run("create_ticket", {"subject": "Panne"}, context, "call_x")
    again = await shop.run("create_ticket", {"subject": "Fuite"}, context, "call_x")
    garbled = await shop.run("create_ticket", "{", context, "call_x")
    assert again.result == first.result == garbled.result
    assert len((await shop.rows())["tickets"]) == 1


@pytest.mark.parametrize(
    ("name", "first", "again"),
    [
        ("book_appointment", BOOKING, BOOKING),
        ("book_appointment", BOOKING, {**BOOKING, "name": "  marc  DURAND "}),
        ("book_appointment", BOOKING, {**BOOKING, "start": "2026-11-24T13:00:00Z"}),
        ("book_appointment", BOOKING, {**BOOKING, "phone": "06 39 98 12 34", "email": ""}),
        ("create_ticket", {"subject": "Panne"}, {"subject": "panne", "priority": "medium"}),
        ("qualify_prospect", {"interest": "achat"}, {"interest": "Achat", "notes": "null"}),
        ("take_message", {"message": "Rappelez-moi"}, {"message": "rappelez-moi", "x": 1}),
    ],
)
async def test_once_by_arguments(
    shop: Shop, name: str, first: dict[str, Any], again: dict[str, Any]
) -> None:
    context = await shop.call()
    one = await shop.run(name, first, context)
    rows = await shop.rows()
    two = await shop.run(name, again, context)
    assert one.effect is not None
    assert (two.result, two.effect) == (one.result, one.effect)
    assert await shop.rows() == rows


@pytest.mark.parametrize("name", ["create_ticket", "qualify_prospect", "take_message"])
async def test_the_next_call_is_another_call(shop: Shop, name: str) -> None:
    one, two = await shop.answer(name, ENOUGH[name]), await shop.answer(name, ENOUGH[name])
    assert one != two
    assert one["status"] == two["status"]


@both_databases
async def test_parallel_repeats_of_the_transport(shop: Shop) -> None:
    context = await shop.call()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(shop.run("create_ticket", {"subject": "Panne"}, context, "call_x"))
            for _ in range(10)
        ]
    assert len({task.result().result["ticket_id"] for task in tasks}) == 1
    assert {task.result().effect for task in tasks} == {Outcome.TICKET}
    assert len((await shop.rows())["tickets"]) == 1


@both_databases
@pytest.mark.parametrize(
    ("name", "key", "noun"),
    [
        ("book_appointment", "appointment_id", "appointments"),
        ("create_ticket", "ticket_id", "tickets"),
        ("qualify_prospect", "prospect_id", "prospects"),
    ],
)
async def test_parallel_repeats_of_the_model(shop: Shop, name: str, key: str, noun: str) -> None:
    context = await shop.call()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(shop.run(name, ENOUGH[name], context)) for _ in range(10)]
    assert len({task.result().result[key] for task in tasks}) == 1
    assert len({task.result().effect for task in tasks}) == 1
    assert len((await shop.rows())[noun]) == 1


@both_databases
async def test_repeats_that_land_on_another_node(
    shop: Shop, database_url: str, clock: FakeClock
) -> None:
    """Two databases open on the same rows, as two processes have."""
    context = await shop.call()
    other = await Database.open(database_url)
    handle = Storage(other, clock).tenant(shop.tenant.id)
    elsewhere = replace(context, storage=handle)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(shop.run("book_appointment", BOOKING, each))
            for _ in range(5)
            for each in (context, elsewhere)
        ]
    await other.close()
    assert len({task.result().result["appointment_id"] for task in tasks}) == 1
    assert {task.result().effect for task in tasks} == {Outcome.BOOKED}
    assert len((await shop.rows())["appointments"]) == 1


@both_databases
async def test_twenty_callers_after_one_slot(shop: Shop) -> None:
    contexts = [await shop.call(f"+3363998{number:04}") for number in range(20)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(shop.run("book_appointment", BOOKING, context))
            for context in contexts
        ]
    finished = [task.result() for task in tasks]
    booked = [each for each in finished if each.result["status"] == "booked"]
    others = [each for each in finished if each.result["status"] == "taken"]
    assert (len(booked), len(others)) == (1, 19)
    assert [each.effect for each in booked] == [Outcome.BOOKED]
    for each in others:
        assert each.effect is None
        assert "appointment_id" not in each.result
        assert "pas réservé" in each.result["spoken"]
        assert each.result["alternatives"]
    (row,) = (await shop.rows())["appointments"]
    assert row.id == booked[0].result["appointment_id"]


@both_databases
async def test_twenty_callers_after_overlapping_slots(shop: Shop) -> None:
    """Starts five minutes apart: whoever comes first, nobody overlaps and nobody deadlocks."""
    contexts = [await shop.call(f"+3363998{number:04}") for number in range(20)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                shop.run(
                    "book_appointment",
                    {**BOOKING, "start": f"2026-11-24T14:{index % 12 * 5:02}"},
                    context,
                )
            )
            for index, context in enumerate(contexts)
        ]
    assert {task.result().result["status"] for task in tasks} == {"booked", "taken"}
    rows = sorted((await shop.rows())["appointments"], key=lambda row: row.start_utc)
    assert len(rows) == sum(task.result().result["status"] == "booked" for task in tasks)
    for earlier, later in pairwise(rows):
        assert (later.start_utc - earlier.start_utc).total_seconds() >= 30 * 60


# --------------------------------------------------------------------------------- failures


@both_databases
async def test_time_limit_undoes_the_effect(shop: Shop) -> None:
    slow = Probe(then=lambda: asyncio.sleep(3))
    shop.runner = FunctionRunner([slow], time_limit=0.2)
    context = await shop.call()
    finished = await shop.run("probe", {"subject": "Panne"}, context)
    assert finished.result["status"] == "error"
    assert (finished.effect, finished.then) == (None, "")
    assert (await shop.rows())["tickets"] == []
    slow.then = _nothing
    again = await shop.run("probe", {"subject": "Panne"}, context)
    assert again.effect is Outcome.TICKET
    assert len((await shop.rows())["tickets"]) == 1


@both_databases
async def test_a_failure_undoes_the_effect_and_is_reported_without_personal_data(
    shop: Shop,
) -> None:
    shop.runner = FunctionRunner([Probe(then=_fail)])
    with structlog.testing.capture_logs() as logs:
        finished = await shop.run("probe", {"subject": "Opération de Madame Petit"})
    assert finished.result["status"] == "error"
    assert (await shop.rows())["tickets"] == []
    (line,) = logs
    assert (line["log_level"], line["error"]) == ("error", "RuntimeError")
    assert any("test_runner.py" in place for place in line["at"])
    assert CALLER not in str(line)
    assert "Petit" not in str(line)


async def test_storage_that_is_gone(shop: Shop) -> None:
    context = replace(await shop.call(), storage=_Broken())
    for name in NAMES:
        finished = await shop.run(name, ENOUGH[name], context)
        assert finished.effect is None, name
        if name == "end_call":
            assert (finished.result["status"], finished.then) == ("ending", "end")
        elif name == "transfer_call":
            assert (finished.result["status"], finished.then) == ("transferring", "transfer")
        else:
            assert finished.result["status"] == "error", name
            assert finished.result["retry"] is True
            assert finished.result["spoken"].startswith("Je n'arrive pas")
            assert not any(key.endswith("_id") for key in finished.result)


class _Broken(TenantHandle):
    """A database that has gone away."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    @asynccontextmanager
    async def read(self) -> AsyncIterator[TenantRows]:
        _bad()
        yield

    @asynccontextmanager
    async def write(self) -> AsyncIterator[TenantRows]:
        _bad()
        yield


class _SlowToAcknowledge(TenantHandle):
    """A database that commits, and whose answer then takes too long."""

    __slots__ = ("_inner",)

    def __init__(self, inner: TenantHandle) -> None:
        self._inner = inner

    @asynccontextmanager
    async def read(self) -> AsyncIterator[TenantRows]:
        async with self._inner.read() as rows:
            yield rows

    @asynccontextmanager
    async def write(self) -> AsyncIterator[TenantRows]:
        async with self._inner.write() as rows:
            yield rows
        await asyncio.sleep(3)


@both_databases
async def test_a_commit_whose_answer_is_late_is_a_success(shop: Shop) -> None:
    shop.runner = FunctionRunner(time_limit=1.0)
    context = await shop.call()
    slow = replace(context, storage=_SlowToAcknowledge(context.storage))
    began = asyncio.get_running_loop().time()
    finished = await shop.run("book_appointment", BOOKING, slow)
    assert asyncio.get_running_loop().time() - began < 2.5
    (row,) = (await shop.rows())["appointments"]
    assert finished.result["appointment_id"] == row.id
    assert finished.effect is Outcome.BOOKED


# ------------------------------------------------------------------------------ cancelling


@both_databases
async def test_hanging_up_does_not_undo_what_was_asked(shop: Shop) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await go_on.wait()

    shop.runner = FunctionRunner([Probe(then=wait)])
    context = await shop.call()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(shop.run("probe", {"subject": "Panne"}, context))
        await reached.wait()
        call.cancel()
        await asyncio.sleep(0.05)
        call.cancel()  # and again, as an impatient owner would
        await asyncio.sleep(0.05)
        assert not call.done()
        go_on.set()
    assert call.cancelled()
    assert len((await shop.rows())["tickets"]) == 1
    async with context.storage.read() as rows:
        (stored,) = await rows.functions.of_call(context.call_id)
    assert stored.effect == "ticket"


@both_databases
async def test_cancelling_ends_within_the_time_limit(shop: Shop) -> None:
    shop.runner = FunctionRunner([Probe(then=lambda: asyncio.sleep(3))], time_limit=0.3)
    context = await shop.call()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await shop.run("probe", {"subject": "Panne"}, context)
    assert (await shop.rows())["tickets"] == []
    finished = await shop.run("create_ticket", {"subject": "Panne"}, context)
    assert finished.result["status"] == "invalid"  # this runner has only the probe: no deadlock


# ------------------------------------------------------------------------- hostile arguments

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([TUESDAY, "demain", "inconnu", "06 39 98 12 34", "'; DROP TABLE tickets;--"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = sorted(
    {name for function in FUNCTIONS for name in function.spec("fr").parameters["properties"]}
    | {"tenant_id", "call_id", "appointment_id"}
)


def _requests() -> st.SearchStrategy[str]:
    known = st.dictionaries(st.sampled_from(_FIELDS), _JSON).map(json.dumps)
    return known | _JSON.map(json.dumps) | st.text()


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(NAMES), text=_requests())
async def test_any_arguments(shop: Shop, bakery: Shop, name: str, text: str) -> None:
    before = await shop.rows()
    finished = await shop.run(name, text)
    after = await shop.rows()
    json.dumps(dict(finished.result))
    assert finished.result.keys() & {"status", "slots"}
    created = sum(len(after[noun]) - len(before[noun]) for noun in after)
    assert created == (finished.effect is not None)
    assert finished.result.get("status") != "error"
    for appointment in after["appointments"]:
        assert appointment.customer_name.strip()
        assert appointment.customer_phone
    for ticket in after["tickets"]:
        assert ticket.subject.strip()
    for prospect in after["prospects"]:
        assert prospect.interest
    assert not any((await bakery.rows()).values())


async def test_another_tenant_cannot_be_named(shop: Shop, bakery: Shop) -> None:
    theirs = await bakery.call()
    for name in NAMES:
        await shop.run(
            name,
            {**ENOUGH[name], "tenant_id": bakery.tenant.id, "call_id": theirs.call_id},
        )
    assert not any((await bakery.rows()).values())
    assert {row.tenant_id for row in (await shop.rows())["appointments"]} == {shop.tenant.id}


@both_databases
async def test_a_call_of_another_tenant_runs_nothing(shop: Shop, bakery: Shop) -> None:
    """Even if the wiring mixed two calls up: the effect isn't kept."""
    theirs = await bakery.call()
    mixed = replace(theirs, storage=shop.storage.tenant(shop.tenant.id), tenant=shop.tenant)
    finished = await shop.run("book_appointment", BOOKING, mixed)
    assert finished.result["status"] == "error"
    assert not any((await shop.rows()).values())
    assert not any((await bakery.rows()).values())


# ------------------------------------------------------------------------ a superseded stream


async def test_a_stream_that_another_has_superseded_writes_nothing(shop: Shop) -> None:
    """Its node was frozen with a function unread; the next stream's agent has taken over."""
    alone = await shop.call()
    assert alone.call_id is not None
    context = replace(alone, stream=StreamOfCall({}, "frozen"))
    noted = await shop.run("take_message", {"message": "Un"}, context, "call_1")
    assert noted.effect is not None
    await shop.storage.operator.reopen(alone.call_id, {"kind": "stream", "nonce": "2"}, "opening")
    late = await shop.run("take_message", {"message": "Deux"}, context, "call_2")
    assert (late.effect, late.result["status"]) == (None, "error")
    again = await shop.run("take_message", {"message": "Un"}, context, "call_1")
    assert again.result == noted.result, "what was done is told as ever"
    assert len((await shop.rows())["tickets"]) == 1
    webhook = await shop.run("take_message", {"message": "Deux"}, alone, "call_3")
    assert webhook.effect is not None, "who has no stream may be on any node"

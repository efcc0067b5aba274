"""A promised call-back is always a row: each sentence that promises one, and what it leaves."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.catalogue import en, fr
from domain.outcome import Outcome
from domain.promises import promises_call_back
from domain.tickets import CALLBACK
from storage import CallRow, Database, JournalEntry, NewCall, Storage
from storage.text_rows import TextFilter
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from voice.follow_up import FollowUp
from voice.functions import sentences
from voice.voicemail import Voicemail

CALLER = "+33639981234"

#: Every sentence of ours that promises one, and who makes the row. One that isn't here fails.
PROMISES = {
    "technical_apology": "Endings.call_back(failed), before it is said",
    "overflow": "Endings.call_back(overflow), before it is said",
    "voicemail_nothing": "Voicemail.missed, before it is said",
}


def test_every_sentence_that_promises_is_known() -> None:
    for messages in (fr.MESSAGES, en.MESSAGES):
        found = {
            key
            for key, words in messages.items()
            if not key.startswith("call_back_") and promises_call_back(words)
        }
        assert found == PROMISES.keys()
    for catalogue in (sentences.FRENCH, sentences.ENGLISH):
        assert not [key for key, words in catalogue.items() if promises_call_back(words)]


@pytest.mark.parametrize(
    ("words", "promised"),
    [
        ("Très bien, on vous rappelle demain matin.", True),
        ("Quelqu'un va vous rappeler.", True),
        ("Vous serez rappelé dans la journée.", True),
        ("Je vous fais rappeler par Paul.", True),
        ("L’équipe vous rappellera demain.", True),
        ("Un conseiller va vous recontacter.", True),
        ("We'll call you back tomorrow.", True),
        ("Souhaitez-vous que l'on vous rappelle ?", False),
        ("N'hésitez pas à nous rappeler.", False),
        ("À quel numéro peut-on vous rappeler ?", False),
        ("Je vous rappelle que nous fermons à midi.", False),
        ("Je peux prendre un message pour que l'on vous rappelle.", False),
    ],
)
def test_what_is_a_promise(words: str, promised: bool) -> None:
    assert promises_call_back(words) is promised


class Desk:
    """A tenant, its calls, and what they leave."""

    def __init__(self, storage: Storage, tenant_id: str, clock: FakeClock) -> None:
        self.storage, self.tenant_id, self.clock = storage, tenant_id, clock
        self.follow_up = FollowUp(storage, clock)
        self.voicemail = Voicemail(storage, clock, "https://api.twilio.test", "AC1", False)

    async def call(self, caller: str = CALLER, *, transfer: str = "") -> CallRow:
        new = NewCall("CA1", caller, caller, "+33900000001", "live", tenant_id=self.tenant_id)
        call = (await self.storage.operator.open_call(new, {})).call
        if transfer:
            await self.storage.operator.set_transfer(call.id, CALLER, transfer)
        return await self.storage.operator.get_call(call.id) or call

    async def says(self, call: CallRow, who: str, words: str) -> None:
        self.clock.advance(1)
        entry = JournalEntry(call.id, self.clock.now(), "turn", {"who": who, "text": words})
        await self.storage.journal.append([entry])

    async def tickets(self) -> list[tuple[str | None, str | None, str | None]]:
        """(category, number, when) of each."""
        async with self.storage.tenant(self.tenant_id).read() as rows:
            found = (await rows.tickets.list()).items
        return [(it.category, it.customer_phone, it.callback_when) for it in found]

    async def told(self) -> set[str]:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            return {it.kind for it in (await rows.notifications.list())[0]}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = FakeClock()
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    storage = Storage(database, clock)
    tenant = await storage.operator.create_tenant("Garage du Port")
    yield Desk(storage, tenant.id, clock)
    await database.close()


SOON = (CALLBACK, CALLER, "dès que possible")


@pytest.mark.parametrize("reason", ["overflow", "failed"])
async def test_an_apology(desk: Desk, reason: str) -> None:
    call = await desk.call()
    for _ in range(2):  # a webhook that is repeated
        assert await desk.follow_up.call_back(call, reason)
    assert await desk.tickets() == [SOON]
    assert await desk.told() == {"callback_promised"}


async def test_nobody_can_call_a_withheld_number(desk: Desk) -> None:
    """Nothing is promised then: the sentence is another one (…_no_number)."""
    assert not await desk.follow_up.call_back(await desk.call(""), "overflow")
    assert await desk.tickets() == []


async def test_a_voicemail_without_a_message(desk: Desk) -> None:
    call = await desk.call()
    assert await desk.voicemail.missed(call)
    await desk.follow_up.before_the_end(call.id, Outcome.TICKET)
    assert await desk.tickets() == [SOON]


async def test_a_voicemail_with_one(desk: Desk) -> None:
    call = await desk.call()
    await desk.voicemail.keep(call, f"RE{'0' * 32}", 7)
    assert [(it[0], it[1]) for it in await desk.tickets()] == [("message", CALLER)]
    assert await desk.told() == {"voicemail"}


async def test_a_promise_that_the_model_did_not_record(desk: Desk) -> None:
    call = await desk.call()
    await desk.says(call, "caller", "Vous pouvez me rappeler ?")
    await desk.says(call, "agent", "Bien sûr, on vous rappelle cet après-midi.")
    for _ in range(2):
        await desk.follow_up.before_the_end(call.id, Outcome.INFORMED)
    assert await desk.tickets() == [SOON]
    async with desk.storage.tenant(desk.tenant_id).read() as rows:
        (ticket,) = (await rows.tickets.list()).items
    assert ticket.description == "Bien sûr, on vous rappelle cet après-midi."


async def test_a_promise_to_a_withheld_number_is_a_row_too(desk: Desk) -> None:
    call = await desk.call("")
    await desk.says(call, "agent", "Nous vous rappelons demain.")
    await desk.follow_up.before_the_end(call.id, Outcome.INFORMED)
    assert await desk.tickets() == [(CALLBACK, None, "dès que possible")]


async def test_a_transfer_that_nobody_took(desk: Desk) -> None:
    call = await desk.call(transfer="failed")
    await desk.follow_up.nobody_answered(call)
    await desk.follow_up.nobody_answered(call)
    await desk.follow_up.before_the_end(call.id, Outcome.ABANDONED)
    assert await desk.tickets() == [SOON]
    assert await desk.told() == {"transfer_failed", "callback_promised"}


@pytest.mark.parametrize(("turns", "told"), [(0, set()), (1, set()), (2, {"call_unfinished"})])
async def test_who_spoke_and_got_nothing(desk: Desk, turns: int, told: set[str]) -> None:
    call = await desk.call()
    for _ in range(turns):
        await desk.says(call, "caller", "Allô ?")
    await desk.follow_up.before_the_end(call.id, Outcome.ABANDONED)
    assert (await desk.told(), await desk.tickets()) == (told, [])


# --------------------------------------------------------------- a text after a call that was lost


async def _texts(desk: Desk, **config: Any) -> list[str]:
    async with desk.storage.tenant(desk.tenant_id).write() as rows:
        if config:
            await rows.channels.save("sms", enabled=True, config=config)
        found = await rows.outbox.page(TextFilter(channel="sms", template="appelManque"))
    return [each.body for each in found.items]


async def _cut_off(desk: Desk, sid: str = "CA1", caller: str = CALLER) -> CallRow:
    new = NewCall(sid, caller, caller, "+33900000001", "live", tenant_id=desk.tenant_id)
    call = (await desk.storage.operator.open_call(new, {})).call
    for _ in range(2):  # two who conclude it
        await desk.follow_up.before_the_end(call.id, Outcome.ABANDONED)
    return call


async def test_who_was_cut_off_gets_one_text_a_day(desk: Desk) -> None:
    await _cut_off(desk)
    assert await _texts(desk) == [], "only if the tenant has switched it on"
    await _texts(desk, missedCallText=True, bookingUrl="https://garage.example/rdv")
    await _cut_off(desk, "CA2")
    await _cut_off(desk, "CA3")
    (text,) = await _texts(desk)
    assert "https://garage.example/rdv" in text
    desk.clock.advance(25 * 3600)
    await _cut_off(desk, "CA4")
    assert len(await _texts(desk)) == 2


async def test_on_whom_the_business_hung_up_it_hears_and_writes_nothing(desk: Desk) -> None:
    await _texts(desk, missedCallText=True)
    call = await desk.call()
    for _ in range(2):
        await desk.says(call, "caller", "Et puis quoi encore ?")
    asked = JournalEntry(call.id, desk.clock.now(), "event", {"name": "end_asked"})
    await desk.storage.journal.append([asked])
    await desk.follow_up.before_the_end(call.id, Outcome.ABANDONED)
    assert (await _texts(desk), await desk.told(), await desk.tickets()) == ([], set(), [])


async def test_no_text_where_none_is_due(desk: Desk) -> None:
    await _texts(desk, missedCallText=True, bookingUrl="javascript:alert(1)")
    await _cut_off(desk, "CA2", "+33199000001")  # a landline
    await _cut_off(desk, "CA3", "")  # withheld
    promised = await desk.call()
    await desk.says(promised, "agent", "On vous rappelle demain.")
    await desk.follow_up.before_the_end(promised.id, Outcome.ABANDONED)  # a ticket came of it
    for sid, outcome in (("CA5", Outcome.INFORMED), ("CA6", Outcome.WRONG_NUMBER)):
        new = NewCall(sid, CALLER, CALLER, "+33900000001", "live", tenant_id=desk.tenant_id)
        call = (await desk.storage.operator.open_call(new, {})).call
        await desk.follow_up.before_the_end(call.id, outcome)
    assert await _texts(desk) == []
    await _cut_off(desk, "CA7")
    (text,) = await _texts(desk)
    assert "javascript" not in text, "not an address: the line with the link is left out"

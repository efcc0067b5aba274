"""What a business is told, and how, on both databases."""

import re
from datetime import UTC, datetime, time
from typing import Any

import pytest

from domain.errors import CallerError, Invalid
from domain.notifications import KINDS, quiet_end, words
from domain.tenant import Tenant
from storage import Database, Storage
from storage.notifications import (
    ALERTS_PER_DAY,
    CODE_PERIOD,
    CODE_TRIES,
    CODES_PER_DAY,
    Notifications,
)
from storage.scope import Scope
from tests.fakes.clock import FakeClock

ADDRESS = "patron@example.fr"


class Sent:
    """Stands for the outbox: remembers what it was given."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, str, dict[str, Any]]] = []

    async def alert(self, channel: str, address: str, subject: str, body: str, **rest: Any) -> str:
        self.texts.append((channel, address, f"{subject} | {body}", rest))
        return f"text {len(self.texts)}"


async def test_told_and_read(storage: Storage, garage: Tenant) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        values = {"who": "Léa", "phone": "06 39 98 12 34", "when": "demain", "subject": "Freins"}
        told = await rows.notifications.tell("callback_promised", subject_id="t1", values=values)
        await rows.notifications.tell("voicemail", subject_id=None, values={})
        with pytest.raises(Invalid):
            await rows.notifications.tell("gossip", subject_id=None, values={})
    assert (told.title, told.message) == ("À rappeler : Léa", "06 39 98 12 34, demain. Freins")
    assert told.alert_reason == "off"
    async with handle.write() as rows:
        found, unread = await rows.notifications.list(unread=True, limit=1)
        assert (len(found), unread) == (1, 2)
        assert await rows.notifications.read(told.id) == 1
        assert await rows.notifications.read(told.id) == 0
        assert await rows.notifications.read() == 1
        assert await rows.notifications.list(unread=True) == ([], 0)
        assert (await rows.notifications.list())[1] == 0
        (event,) = [e for e in await rows.events.after(0) if e.subject == told.id]
    assert (event.kind, event.data["kind"]) == ("notification", "callback_promised")


async def test_once_for_a_key(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        one, two = [
            await rows.notifications.tell(
                "channel_paused", subject_id="sms", values={"reason": reason}, key="paused:sms:1"
            )
            for reason in ("identifiants refusés", "encore")
        ]
        assert one.id == two.id
        assert len((await rows.notifications.list())[0]) == 1


async def test_alerts_go_to_an_address_that_has_answered(
    database: Database, garage: Tenant, clock: FakeClock
) -> None:
    sent = Sent()
    async with database.write() as connection:
        it = Notifications(Scope(connection, garage.id, clock), sent)
        await it.configure("email", "Patron@Example.fr")
        (_, address, body, _) = sent.texts[0]
        assert address == ADDRESS
        told = await it.tell("ticket_urgent", subject_id="t", values={"subject": "Fuite"})
        assert told.alert_reason == "unverified"
        code = re.search(r"\d{6}", body)
        assert code
        assert not await it.verify("x")
        assert await it.verify(code[0])
        assert not await it.verify(code[0])  # good once
        urgent = await it.tell("ticket_urgent", subject_id="t", values={"subject": "Fuite"})
        booked = await it.tell("appointment_booked", subject_id="a", values={"who": "Léa"})
        assert (urgent.alert_id, booked.alert_reason) == ("text 2", "not_chosen")
        assert sent.texts[1][:3] == ("email", ADDRESS, "Urgent : Fuite | —, —. —")
        await it.configure("email", ADDRESS, kinds=["appointment_booked"])
        booked = await it.tell("appointment_booked", subject_id="a", values={"who": "Léa"})
        assert booked.alert_id == "text 3"
        await it.configure("sms", "06 39 98 12 34")
        assert (await it.settings()).verified_at is None
        with pytest.raises(Invalid):
            await it.configure("sms", ADDRESS)
        with pytest.raises(Invalid):
            await it.configure("email", ADDRESS, kinds=["gossip"])


async def test_strangers_cant_have_the_owner_told_without_end(
    database: Database, garage: Tenant, clock: FakeClock
) -> None:
    sent = Sent()
    async with database.write() as connection:
        it = Notifications(Scope(connection, garage.id, clock), sent)
        await it.configure("email", ADDRESS)
        for _ in range(CODES_PER_DAY - 1):
            assert await it.send_code()
        with pytest.raises(CallerError):
            await it.send_code()
        code = re.search(r"\d{6}", sent.texts[-1][2])
        assert code
        assert await it.verify(code[0])
        told = [
            await it.tell("text_waits", subject_id="c", values={})
            for _ in range(ALERTS_PER_DAY + 1)
        ]
        assert [each.alert_reason for each in told[-2:]] == [None, "too_many"]
        urgent = await it.tell("ticket_urgent", subject_id="t", values={})
        assert urgent.alert_id is not None


async def test_a_code_can_be_guessed_five_times(
    database: Database, garage: Tenant, clock: FakeClock
) -> None:
    sent = Sent()
    async with database.write() as connection:
        it = Notifications(Scope(connection, garage.id, clock), sent)
        await it.configure("email", ADDRESS)
        right = re.findall(r"\d{6}", sent.texts[-1][2])[0]
        for _ in range(CODE_TRIES):
            assert not await it.verify("wrong")
        assert not await it.verify(right)
        assert await it.send_code()
        right = re.findall(r"\d{6}", sent.texts[-1][2])[0]
        clock.advance(CODE_PERIOD.total_seconds() + 1)
        assert not await it.verify(right)


@pytest.mark.parametrize(
    ("hour", "until"),
    [(20, None), (23, "2026-11-25T07:00:00+01:00"), (3, "2026-11-24T07:00:00+01:00"), (7, None)],
)
def test_quiet_hours(hour: int, until: str | None) -> None:
    """22:00 to 07:00 in Paris."""
    now = datetime(2026, 11, 24, hour, tzinfo=UTC).replace(hour=(hour - 1) % 24)
    expected = None if until is None else datetime.fromisoformat(until)
    assert quiet_end("voicemail", now, "Europe/Paris", time(22), time(7)) == expected
    assert quiet_end("ticket_urgent", now, "Europe/Paris", time(22), time(7)) is None


def test_every_kind_has_its_words() -> None:
    for kind in KINDS:
        for locale in ("fr-FR", "en-GB"):
            title, message = words(kind, locale, {"who": "{phone}"})
            assert title
            assert message
            assert len(f"{title} : {message}") < 160  # one text message

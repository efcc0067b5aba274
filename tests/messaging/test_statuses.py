"""Twilio's reports on messages, in whatever order they come."""

import itertools
from datetime import datetime
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.delivery import RANKS
from domain.tenant import Tenant
from messaging.statuses import STATUSES, StatusReport, read_report, record_message_status
from storage import Database, Storage
from storage.schema import channel_messages_log
from storage.text_rows import NewText, Report
from tests.fakes.clock import START, FakeClock

SID = "SM" + "0123456789abcdef" * 2


class Shop(NamedTuple):
    """A tenant that has sent a message."""

    database: Database
    storage: Storage
    clock: FakeClock
    tenant: Tenant

    async def send(self, sid: str, *, stored: bool = True) -> str:
        """As the outbox does; `stored`: it lived to store what Twilio answered."""
        async with self.storage.tenant(self.tenant.id).write() as rows:
            new = NewText("sms", "+33639980001", body="Bonjour", even_if_off=True)
            text = await rows.outbox.put(new)
            await rows.outbox.claim(text.id, text.id, vendor="twilio", sender="+33139980001")
            if stored:
                await rows.outbox.report(text.id, Report("accepted", "us", "201", vendor_id=sid))
        return text.id

    async def report(
        self, status: str, sid: str = SID, text_id: str | None = None, **more: str
    ) -> bool:
        form = {"MessageSid": sid, "MessageStatus": status, "AccountSid": "AC1", **more}
        return await record_message_status(form, self.storage, text_id)

    async def row(self, sid: str = SID) -> Any:
        table = channel_messages_log
        async with self.database.read() as connection:
            statement = sa.select(table).where(table.c.external_message_id == sid)
            return (await connection.execute(statement)).one()


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest_asyncio.fixture(loop_scope="session")
async def shop(database: Database) -> Shop:
    clock = FakeClock()
    storage = Storage(database, clock)
    shop = Shop(database, storage, clock, await storage.operator.create_tenant("Garage"))
    await shop.send(SID)
    return shop


async def test_a_message_moves_forward_and_says_when(shop: Shop) -> None:
    moments: dict[str, datetime] = {}
    for status in ("sent", "delivered", "read"):
        shop.clock.advance(10)
        moments[status] = shop.clock.now()
        assert await shop.report(status)
    row = await shop.row()
    assert row.status == "read"
    assert (row.sent_at, row.delivered_at, row.read_at) == tuple(moments.values())
    assert (row.failed_at, row.error_code) == (None, None)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
async def test_a_failure_is_final_and_keeps_its_code(shop: Shop, status: str) -> None:
    await shop.report("sent")
    assert await shop.report(status, ErrorCode="30003")
    assert not await shop.report("delivered")
    assert not await shop.report("read")
    row = await shop.row()
    assert (row.status, row.error_code, row.failed_at) == ("failed", "30003", START)
    assert row.delivered_at is None


async def test_it_never_goes_backwards(shop: Shop) -> None:
    assert await shop.report("delivered")
    for status in ("queued", "sending", "sent", "failed", "undelivered", "delivered"):
        assert not await shop.report(status)
    assert (await shop.row()).status == "delivered"


async def test_unknown_messages_change_nothing(shop: Shop) -> None:
    assert not await shop.report("delivered", sid="SM" + "f" * 32)
    assert not await shop.report("delivered", sid="SM" + "f" * 32, text_id="f" * 32)
    assert (await shop.row()).status == "accepted"


async def test_the_same_report_is_kept_once_and_each_other_one_too(shop: Shop) -> None:
    for status in ("delivered", "sent", "delivered", "failed", "sent"):
        await shop.report(status)
    async with shop.storage.tenant(shop.tenant.id).read() as rows:
        events = await rows.outbox.events((await shop.row()).id)
    heard = [event.detail for event in events if event.source == "twilio"]
    assert heard == ["delivered", "sent", "failed"]


async def test_our_id_in_the_address_finds_a_text_whose_sid_we_never_stored(shop: Shop) -> None:
    lost = "SM" + "e" * 32
    text_id = await shop.send(lost, stored=False)
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        assert await rows.outbox.move(text_id, "unknown", source="us", code="unknown_outcome")
    assert not await shop.report("sent", sid=lost)
    assert await shop.report("sent", sid=lost, text_id=text_id)
    row = await shop.row(lost)
    assert (row.id, row.status, row.error_code) == (text_id, "sent", None)


async def test_a_sender_that_was_refused_is_blocked_for_every_tenant(shop: Shop) -> None:
    await shop.report("failed", ErrorCode="21610")
    other = await shop.storage.operator.create_tenant("Salon")
    async with shop.storage.tenant(other.id).read() as rows:
        assert await rows.outbox.is_blocked("+33139980001", "+33639980001")
        assert not await rows.outbox.is_blocked("+33139980002", "+33639980001")
    assert "STOP" in (await shop.row()).error_message


_NUMBERS = itertools.count()
RANK = {**RANKS, "failed": 9}


@given(reports=st.lists(st.sampled_from(sorted(STATUSES)), max_size=6))
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
async def test_reports_in_any_order(shop: Shop, reports: list[str]) -> None:
    sid = f"SM{next(_NUMBERS):032x}"
    await shop.send(sid)
    seen = [(await shop.row(sid)).status]
    for report in reports:
        moved = await shop.report(report, sid=sid)
        seen.append((await shop.row(sid)).status)
        assert moved == (seen[-1] != seen[-2])
    ranks = [RANK[status] for status in seen]
    assert ranks == sorted(ranks)
    if "failed" in seen:
        assert set(seen) & {"delivered", "read"} == set()


# ------------------------------------------------------------------------------- reading


def test_statuses_lead_to_ours() -> None:
    assert set(STATUSES.values()) == {"accepted", "sent", "delivered", "read", "failed"}


@pytest.mark.parametrize(
    ("form", "report"),
    [
        (
            {"MessageSid": SID, "MessageStatus": "delivered"},
            StatusReport(SID, "delivered", None, "delivered"),
        ),
        # The older names come along, or alone.
        ({"SmsSid": SID, "SmsStatus": "Sent"}, StatusReport(SID, "sent", None, "sent")),
        (
            {"MessageSid": SID, "MessageStatus": "undelivered", "ErrorCode": "30005"},
            StatusReport(SID, "failed", "30005", "undelivered"),
        ),
        # French payloads have blank fields.
        (
            {"MessageSid": SID, "MessageStatus": "sent", "ErrorCode": "", "SmsSid": ""},
            StatusReport(SID, "sent", None, "sent"),
        ),
        ({"MessageSid": SID, "MessageStatus": "received"}, None),
        ({"MessageSid": SID, "MessageStatus": "nonsense"}, None),
        ({"MessageSid": SID}, None),
        ({"MessageSid": "", "MessageStatus": "sent"}, None),
        ({"MessageSid": "CA" + "0" * 32, "MessageStatus": "sent"}, None),
        ({"MessageSid": SID + "\n", "MessageStatus": "sent"}, None),
        ({"CallSid": "CA" + "0" * 32, "CallStatus": "completed"}, None),
        ({}, None),
    ],
)
def test_reading(form: dict[str, str], report: StatusReport | None) -> None:
    assert read_report(form) == report


@given(
    st.dictionaries(
        st.sampled_from(["MessageSid", "SmsSid", "MessageStatus", "SmsStatus", "ErrorCode"]),
        st.one_of(st.text(max_size=40), st.sampled_from([SID, *STATUSES])),
    )
)
def test_no_form_makes_reading_fail(form: dict[str, str]) -> None:
    report = read_report(form)
    assert report is None or report.status in RANK

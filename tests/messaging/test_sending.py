"""The job that sends texts, run by the real worker against a vendor that does as it is told."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio

from domain.tenant import Tenant
from messaging.outbox import SendingPolicy, Stop, TextSending, sending_jobs
from messaging.ports import (
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    TryLater,
    UnknownOutcome,
)
from storage import Database, Storage, TenantRows, Text
from storage.assistants import PROVISION
from storage.conversations import Conversations, Received
from storage.jobs.worker import JobWorker, Pace
from storage.text_rows import NewText, Report
from tests.fakes.clock import FakeClock
from tests.messaging.vendors import ScriptedVendor

LEA = "+33639980001"
POLICY = SendingPolicy(frozenset({"FR", "BE"}), 5, "https://call.example")


@dataclass
class Desk:
    """A tenant, its vendor, and a worker that can be let run."""

    database: Database
    storage: Storage
    clock: FakeClock
    tenant: Tenant
    vendor: ScriptedVendor = field(default_factory=ScriptedVendor)
    sending: TextSending | None = None

    async def put(self, body: str | None = "Bonjour", **more: object) -> str:
        new = NewText(**{"channel": "sms", "to": LEA, "body": body, **more})  # type: ignore[arg-type]
        async with self.storage.tenant(self.tenant.id).write() as rows:
            return (await rows.outbox.put(new)).id

    async def text(self, text_id: str) -> Text:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            return await rows.outbox.get(text_id)

    async def run(self, seconds: float = 0.0) -> None:
        """So much later, until nothing is due."""
        self.clock.advance(seconds)
        vendors = dict.fromkeys(("sms", "email", "whatsapp"), self.vendor)
        sending = self.sending or TextSending(self.storage, self.clock, vendors, POLICY)
        worker = JobWorker(
            self.database, self.clock, sending_jobs(sending), pace=Pace(poll=0.01), places=4
        )
        await worker.run(until_idle=True)

    def sent(self) -> list[str]:
        return [text.body for text in self.vendor.taken]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(database: Database) -> Desk:
    """On SQLite, whose queue goes by the clock that is given; PostgreSQL's goes by its own (and
    sends in test_outbox_reliability.py)."""
    clock = FakeClock()
    storage = Storage(database, clock)
    tenant = await storage.operator.create_tenant("Salon Lumière")
    async with storage.tenant(tenant.id).write() as rows:
        for channel in ("sms", "email", "whatsapp"):
            await rows.channels.save(channel, enabled=True, config={})
        await rows.jobs.cancel(f"{PROVISION}:{tenant.id}")  # the phone's agent may send SMS
    return Desk(database, storage, clock, tenant)


async def test_it_is_sent_once_and_says_by_whom(desk: Desk) -> None:
    text_id = await desk.put()
    assert (await desk.text(text_id)).status == "queued"
    for _ in range(2):
        await desk.run()
    text = await desk.text(text_id)
    assert (text.status, text.vendor, text.vendor_id, text.sender) == (
        "accepted",
        "twilio",
        f"SM{text_id}",
        "+33139980001",
    )
    assert (desk.sent(), text.attempts, text.accepted_at) == (["Bonjour"], 1, desk.clock.now())


async def test_order_is_kept_while_the_first_one_is_tried_again(desk: Desk) -> None:
    desk.vendor.steps = [TryLater("twilio", "busy", code="20429"), None]
    for body in ("un", "deux", "trois"):
        await desk.put(body)
        desk.clock.advance(0.01)
    other = await desk.put("autre", to="+33639980002")
    await desk.run()
    assert sorted(desk.sent()) == ["autre", "un"]
    assert (await desk.text(other)).status == "accepted"
    await desk.run(60)
    assert [body for body in desk.sent() if body != "autre"] == ["un", "un", "deux", "trois"]


async def test_what_waits_for_tomorrow_keeps_nobody_waiting(desk: Desk) -> None:
    await desk.put("demain", not_before=desk.clock.now() + timedelta(days=1))
    await desk.put("maintenant")
    await desk.run()
    assert desk.sent() == ["maintenant"]
    await desk.run(86_400)
    assert desk.sent() == ["maintenant", "demain"]


async def test_a_refusal_is_final_and_understandable(desk: Desk) -> None:
    desk.vendor.steps = [Refused("twilio", "no mobile", status=400, code="21614")]
    text_id = await desk.put()
    await desk.run()
    text = await desk.text(text_id)
    assert (text.status, text.code) == ("failed", "21614")
    assert text.reason == "Ce numéro n'est pas un mobile : il ne reçoit pas de SMS."
    await desk.run(3600)
    assert len(desk.sent()) == 1


async def test_it_gives_up_after_some_tries(desk: Desk) -> None:
    desk.vendor.steps = [TryLater("twilio", "busy", code="20429") for _ in range(9)]
    text_id = await desk.put()
    for _ in range(9):
        await desk.run(3 * 3600)
    text = await desk.text(text_id)
    assert (text.status, len(desk.sent())) == ("failed", 7)


async def test_it_expires_rather_than_come_late(desk: Desk) -> None:
    desk.vendor.steps = [TryLater("twilio", "busy") for _ in range(9)]
    text_id = await desk.put(expires_at=desk.clock.now() + timedelta(seconds=100))
    await desk.run()
    await desk.run(200)
    text = await desk.text(text_id)
    assert (text.status, text.code, len(desk.sent())) == ("expired", "expired", 1)


@pytest.mark.parametrize("error", [UnknownOutcome("twilio", "timeout"), ZeroDivisionError()])
async def test_unknown_is_never_sent_again_but_asked_about(desk: Desk, error: Exception) -> None:
    desk.vendor.steps = [error]
    text_id = await desk.put()
    after = await desk.put("ensuite")
    await desk.run()
    assert (await desk.text(text_id)).status == "unknown"
    await desk.run(2)
    assert (await desk.text(after)).status == "accepted", "nobody waits for it"
    for seconds in (61, 300, 3600, 86_400):
        await desk.run(seconds)
    assert (len(desk.sent()), desk.vendor.asked) == (2, 3)
    assert "peut-être" in ((await desk.text(text_id)).reason or "")


async def test_what_the_vendor_finds_of_an_unknown_one_is_followed(desk: Desk) -> None:
    desk.vendor.steps = [UnknownOutcome("twilio", "timeout")]
    desk.vendor.known = Accepted("SMfound", status="sent", price_micros=72_500)
    text_id = await desk.put()
    await desk.run()
    await desk.run(61)
    text = await desk.text(text_id)
    assert (text.status, text.vendor_id, text.price_micros) == ("sent", "SMfound", 72_500)
    assert text.reason is None


async def test_a_status_that_comes_first_resolves_it(desk: Desk) -> None:
    desk.vendor.steps = [UnknownOutcome("twilio", "timeout")]
    text_id = await desk.put()
    await desk.run()
    report = Report("delivered", "twilio", "delivered", vendor_id="SMlater")
    assert await desk.storage.text_reports.record(report, text_id)
    assert not await desk.storage.text_reports.record(report, text_id)
    assert (await desk.text(text_id)).vendor_id == "SMlater"


async def test_a_dead_run_leaves_unknown(desk: Desk) -> None:
    text_id = await desk.put()
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        assert await rows.outbox.claim(text_id, text_id, vendor="twilio", sender="")
        assert not await rows.outbox.claim(text_id, "another", vendor="twilio", sender="")
    await desk.run()
    assert (await desk.text(text_id)).status == "unknown"
    assert desk.sent() == []


async def test_whoever_still_sends_is_waited_for(desk: Desk) -> None:
    first, second = await desk.put("un"), await desk.put("deux")
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.jobs.cancel(f"text:{first}")
        await rows.outbox.claim(first, first, vendor="twilio", sender="")
    await desk.run(10)
    assert (await desk.text(second)).status == "queued"
    await desk.run(400)  # nobody sends for so long
    assert [(await desk.text(each)).status for each in (first, second)] == ["unknown", "accepted"]


async def test_a_paused_channel_keeps_what_waits(desk: Desk) -> None:
    desk.vendor.steps = [ChannelPaused("smtp", "bad credentials", code="535")]
    desk.vendor.vendor = "smtp"
    mail = {"channel": "email", "to": "lea@example.fr", "subject": "Bonjour"}
    text_id, later = await desk.put(**mail), await desk.put(**mail)
    await desk.run()
    for _ in range(3):
        await desk.run(301)
    assert len(desk.sent()) == 1, "a wrong password is tried once"
    assert [(await desk.text(each)).status for each in (text_id, later)] == ["queued", "queued"]
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        pause = await rows.outbox.paused("email")
        told, _ = await rows.notifications.list()
    assert pause is not None
    assert "mot de passe" in pause.reason
    assert [each.kind for each in told] == ["channel_paused"]
    desk.clock.advance(1)
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.channels.save("email", enabled=True, config={})
    await desk.run(301)
    await desk.run(2)
    assert [(await desk.text(each)).status for each in (text_id, later)] == ["accepted"] * 2


async def test_an_email_keeps_its_message_id(desk: Desk) -> None:
    desk.vendor.steps = [TryLater("smtp", "greylisted", code="451"), None]
    desk.vendor.number = "Salon <contact@salon.example>"
    text_id = await desk.put(channel="email", to="lea@example.fr", subject="Bonjour")
    await desk.run()
    await desk.run(3600)
    ids = {text.message_id for text in desk.vendor.taken}
    assert (ids, len(desk.vendor.taken)) == ({f"<{text_id}@salon.example>"}, 2)
    assert (await desk.text(text_id)).message_id == f"<{text_id}@salon.example>"


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("+41791234567", "country_not_allowed"),
        ("+33891234567", "number_premium"),
        ("+33123456789", "number_landline"),
    ],
)
async def test_nothing_goes_where_it_mustnt(desk: Desk, to: str, code: str) -> None:
    text_id = await desk.put(to=to)
    await desk.run()
    text = await desk.text(text_id)
    assert (text.status, text.code, desk.sent()) == ("suppressed", code, [])


async def test_a_stop_in_the_meantime_is_honoured(desk: Desk) -> None:
    text_id = await desk.put(not_before=desk.clock.now() + timedelta(hours=1))
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.consents.ordered(
            channel="sms", address=LEA, contact_id=None, order="stop", wording="STOP"
        )
    after = await desk.put()
    await desk.run(3601)
    assert desk.sent() == []
    for each in (text_id, after):
        text = await desk.text(each)
        assert (text.status, text.code) == ("suppressed", "opted_out")


async def test_a_sender_that_somebody_blocked_is_not_tried_again(desk: Desk) -> None:
    desk.vendor.steps = [Refused("twilio", "opted out", code="21610")]
    await desk.put()
    await desk.run()
    last = await desk.put()
    await desk.run()
    text = await desk.text(last)
    assert (text.status, text.code, len(desk.sent())) == ("suppressed", "sender_blocked", 1)


async def test_no_more_than_so_many_a_day(desk: Desk) -> None:
    all_six = [await desk.put(to=f"+3363998000{number}") for number in range(6)]
    await desk.run()
    assert len(desk.sent()) == 5
    assert [(await desk.text(each)).code for each in all_six].count("daily_cap") == 1
    await desk.run(86_400)
    again = await desk.put()
    await desk.run()
    assert (await desk.text(again)).status == "accepted"


async def test_checks_look_just_before(desk: Desk) -> None:
    async def gone(rows: TenantRows, text: Text) -> Stop | None:
        return Stop("appointment_changed", "cancelled") if text.appointment_id else None

    desk.sending = TextSending(
        desk.storage, desk.clock, {"sms": desk.vendor}, POLICY, {"service": [gone]}
    )
    with_it, without = await desk.put(appointment_id="a1"), await desk.put("sans")
    await desk.run()
    assert (await desk.text(with_it)).status == "cancelled"
    assert (desk.sent(), (await desk.text(without)).status) == (["sans"], "accepted")


async def test_a_cancelled_one_isnt_sent(desk: Desk) -> None:
    soon = desk.clock.now() + timedelta(hours=1)
    first = await desk.put(appointment_id="a1", not_before=soon)
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        assert await rows.outbox.cancel_about("a1") == 1
        assert not await rows.outbox.cancel(first)
    await desk.run(3601)
    assert (desk.sent(), (await desk.text(first)).code) == ([], "appointment_changed")


async def test_without_a_sender_it_says_so(desk: Desk) -> None:
    desk.vendor.is_usable = False
    text_id = await desk.put()
    await desk.run()
    assert (await desk.text(text_id)).code == "channel_not_configured"


async def test_a_suspended_tenant_sends_nothing(desk: Desk) -> None:
    text_id = await desk.put()
    await desk.storage.operator.set_tenant_status(desk.tenant.id, "suspended")
    await desk.run()
    assert ((await desk.text(text_id)).code, desk.sent()) == ("tenant_suspended", [])


async def test_whatsapp_outside_of_the_window_needs_a_template(desk: Desk) -> None:
    free = await desk.put(channel="whatsapp")
    await desk.run()
    assert (await desk.text(free)).code == "whatsapp_window"
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        kept = (await rows.templates.get("whatsapp", "rdvRappel", "fr")).template
        await rows.templates.save(
            type(kept)(
                "whatsapp",
                "rdvRappel",
                "fr",
                "{{entreprise}} : le {{date}} à {{heure}}",
                vendor_name="rappel_rdv",
                vendor_language="fr",
                vendor_parameters=("rdvDate", "heure"),
                vendor_named=True,
            )
        )
    values = {"rdvDate": "2026-11-24", "rdvTime": "14:30"}
    named = await desk.put(channel="whatsapp", body=None, template="rdvRappel", variables=values)
    await desk.run()
    assert (await desk.text(named)).status == "accepted"
    template = desk.vendor.taken[-1].template
    assert template is not None
    assert (template.name, template.parameters) == (
        "rappel_rdv",
        (("date", "mardi 24 novembre"), ("heure", "14h30")),
    )
    await _wrote(desk)
    await desk.put("Oui, à 14h30", channel="whatsapp")
    await desk.run()
    assert (desk.vendor.taken[-1].template, desk.sent()[-1]) == (None, "Oui, à 14h30")


async def _wrote(desk: Desk) -> None:
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        conversations: Conversations = rows.conversations
        conversation = await conversations.open(
            "whatsapp", LEA, contact_id=None, our_address="", name=""
        )
        await conversations.receive(conversation.id, Received("À quelle heure ?", "wamid.1"))


async def test_somebody_is_told_when_it_certainly_didnt_arrive(desk: Desk) -> None:
    desk.vendor.steps = [Refused("twilio", "unknown handset", code="30005")]
    text_id = await desk.put(on_end="reminder.elsewhere")
    await desk.run()
    jobs = await desk.storage.jobs.waiting()
    assert [(job.kind, job.key) for job in jobs] == [
        ("reminder.elsewhere", f"text-ended:{text_id}")
    ]


def test_a_port_keeps_words_out_of_its_representation() -> None:
    text = OutgoingText("1", "t", "sms", LEA, "Bonjour Léa", subject="Léa")
    assert LEA not in repr(text)
    assert "Léa" not in repr(text)
    assert "secret" not in repr(Credentials({}, {"password": "secret"}))

"""The outbox and the consent ledger as rows, on both databases."""

from datetime import timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from domain.text_templates import MissingValue
from storage import Database, NewText, Storage, TenantHandle
from storage.assistants import PROVISION
from storage.consents import Consent
from storage.retention import RULES, Periods
from storage.schema import channel_messages_log, consent_ledger
from storage.text_rows import TextFilter
from tests.fakes.clock import FakeClock

LEA = "+33639980001"
RDV = {"date": "2026-11-24", "heure": "14:30"}


def sms(**more: object) -> NewText:
    values = {"channel": "sms", "to": LEA, "template": "rdvRappel", "variables": RDV, **more}
    return NewText(**values)  # type: ignore[arg-type]


@pytest_asyncio.fixture(loop_scope="session")
async def on(storage: Storage, garage: Tenant) -> TenantHandle:
    """A tenant whose channels are switched on."""
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        for channel in ("sms", "email"):
            await rows.channels.save(channel, enabled=True, config={})
        await rows.jobs.cancel(f"{PROVISION}:{garage.id}")  # the phone's agent may send SMS
    return handle


async def put_and_fail(on: TenantHandle) -> None:
    async with on.write() as rows:
        await rows.outbox.put(sms())
        raise Invalid("something else")


async def test_what_is_put_is_there_with_its_job_or_neither(
    on: TenantHandle, storage: Storage
) -> None:
    with pytest.raises(Invalid):
        await put_and_fail(on)
    assert (await storage.jobs.counts()).waiting == 0
    async with on.write() as rows:
        text = await rows.outbox.put(sms())
    (job,) = await storage.jobs.waiting()
    assert (job.kind, job.key) == ("text.sms", f"text:{text.id}")
    assert (text.template, text.template_version, text.language) == ("rdvRappel", 0, "fr")
    assert LEA not in repr(text)


async def test_the_same_key_is_put_once(on: TenantHandle, storage: Storage) -> None:
    async with on.write() as rows:
        first = await rows.outbox.put(sms(dedupe_key="appt:1:24h"))
        again = await rows.outbox.put(sms(dedupe_key="appt:1:24h", to="+33639980002"))
        other = await rows.outbox.put(sms(dedupe_key="appt:1:1h"))
    assert first.id == again.id != other.id
    assert (await storage.jobs.counts()).waiting == 2


async def test_what_cant_be_written_isnt_put(on: TenantHandle) -> None:
    async with on.write() as rows:
        for wrong, error in (
            (sms(variables={}), MissingValue),
            (sms(to="3615"), Invalid),
            (sms(template=None), Invalid),
            (sms(template="nothing"), NotFound),
            (sms(contact_id="nobody"), NotFound),
            (sms(channel="fax"), Invalid),
            (NewText("email", "lea@example.fr", body="Sans objet"), Invalid),
        ):
            with pytest.raises(error):
                await rows.outbox.put(wrong)
        assert (await rows.outbox.page(TextFilter())).total == 0


async def test_settings_of_the_channel_count(on: TenantHandle) -> None:
    async with on.write() as rows:
        off = await rows.outbox.put(sms(channel="whatsapp"))
        await rows.channels.save("sms", enabled=True, config={"templates": {"rdvRappel": False}})
        other = await rows.outbox.put(sms())
        trial = await rows.outbox.put(sms(even_if_off=True))
    assert [each.code for each in (off, other, trial)] == ["channel_off", "template_off", None]
    assert off.reason == "Ce canal est désactivé dans vos réglages."


async def test_contacts_and_languages(on: TenantHandle) -> None:
    async with on.write() as rows:
        contact = await rows.contacts.person(name="Léa Martin", phone=LEA, source="operator")
        assert contact is not None
        await rows.contacts.update(contact.id, {"language": "en"}, actor="user:1")
        text = await rows.outbox.put(sms(contact_id=contact.id))
        told = await rows.outbox.put(sms(contact_id=contact.id, language="fr"))
    assert "Tuesday 24 November at 2:30 pm" in text.body
    assert "mardi 24 novembre à 14h30" in told.body


async def test_dear_letters_are_replaced_unless_they_are_wanted(on: TenantHandle) -> None:
    words = "Ça y est, votre fenêtre est prête ! " * 3
    async with on.write() as rows:
        cheap = await rows.outbox.put(sms(template=None, body=words))
        await rows.channels.save("sms", enabled=True, config={"keepLetters": True})
        dear = await rows.outbox.put(sms(template=None, body=words))
    assert (cheap.segments, cheap.encoding, dear.segments) == (1, "GSM-7", 2)
    assert cheap.body.startswith("Ça y est, votre fenetre est prete !")


async def test_no_tenant_sees_anothers(on: TenantHandle, storage: Storage) -> None:
    other = storage.tenant((await storage.operator.create_tenant("Autre")).id)
    async with on.write() as rows:
        text = await rows.outbox.put(sms(dedupe_key="k"))
    async with other.write() as rows:
        with pytest.raises(NotFound):
            await rows.outbox.get(text.id)
        assert await rows.outbox.by_dedupe_key("k") is None
        assert not await rows.outbox.cancel(text.id)
        assert not await rows.outbox.claim(text.id, "x", vendor="twilio", sender="")
        assert await rows.outbox.events(text.id) == []


async def test_counting_stops_at_the_limit_and_begins_anew(
    on: TenantHandle, clock: FakeClock
) -> None:
    async with on.write() as rows:
        assert [await rows.outbox.count("api", 2) for _ in range(4)] == [True, True, False, False]
        assert await rows.outbox.count("sent", 2)
        assert not await rows.outbox.count("none", 0)
        assert await rows.outbox.counted("api") == 2
    clock.advance(86_400)
    async with on.write() as rows:
        assert await rows.outbox.count("api", 2)


# ------------------------------------------------------------------------------- consent


async def order(handle: TenantHandle, order: str, words: str, channel: str = "sms") -> None:
    async with handle.write() as rows:
        await rows.consents.ordered(
            channel=channel, address=LEA, contact_id=None, order=order, wording=words
        )


async def refused(handle: TenantHandle, purpose: str, channel: str = "sms") -> str | None:
    async with handle.read() as rows:
        return await rows.consents.refusal(channel, LEA, purpose)


async def test_a_stop_stops_all_on_its_channel_and_a_start_only_service(on: TenantHandle) -> None:
    assert [await refused(on, each) for each in ("service", "marketing")] == [None, "no_consent"]
    await order(on, "stop", "STOP")
    for purpose in ("service", "marketing", "answer"):
        assert await refused(on, purpose) == "opted_out"
    assert await refused(on, "service", "whatsapp") is None
    assert await refused(on, "owner") is None
    await order(on, "start", "START")
    assert [await refused(on, each) for each in ("service", "marketing")] == [None, "opted_out"]


async def test_marketing_needs_a_yes_with_proof(on: TenantHandle, clock: FakeClock) -> None:
    async with on.write() as rows:
        await rows.consents.record(
            Consent(
                "sms",
                "marketing",
                "granted",
                "formulaire du site",
                clock.now(),
                LEA,
                wording="J'accepte de recevoir vos offres par SMS",
                recorded_by="user:1",
            )
        )
        (line,) = await rows.consents.history(channel="sms", address=LEA)
        offer = await rows.outbox.put(sms(template="promotions", variables={"offre": "-20 %"}))
    assert (line.wording, line.recorded_by) == (
        "J'accepte de recevoir vos offres par SMS",
        "user:1",
    )
    assert (offer.status, "répondez STOP" in offer.body) == ("queued", True)
    await order(on, "stop_marketing", "stop pub")
    assert [await refused(on, each) for each in ("service", "marketing")] == [None, "opted_out"]


async def test_who_is_erased_stays_refused(
    storage: Storage, on: TenantHandle, database: Database
) -> None:
    await order(on, "stop", "STOP, Léa Martin")
    async with on.write() as rows:
        assert await rows.consents.erase("sms", LEA) == 2
    async with database.read() as connection:
        kept = repr((await connection.execute(sa.select(consent_ledger))).all())
    assert LEA not in kept
    assert "Léa" not in kept
    assert await refused(on, "service") == "opted_out"
    other = storage.tenant((await storage.operator.create_tenant("Autre")).id)
    assert await refused(other, "service") is None


async def test_what_waits_long_isnt_purged_and_what_is_old_is(
    on: TenantHandle, clock: FakeClock, database: Database
) -> None:
    async with on.write() as rows:
        await rows.outbox.put(sms(not_before=clock.now() + timedelta(days=500)))
        cancelled = await rows.outbox.put(sms())
        await rows.outbox.cancel(cancelled.id)
    (rule,) = (each for each in RULES if each.table is channel_messages_log)
    later = clock.now() + timedelta(days=400)
    async with database.read() as connection:
        due = await connection.execute(
            sa.select(channel_messages_log.c.id).where(
                rule.found(later - Periods().of("messages"), later)
            )
        )
        assert due.scalars().all() == [cancelled.id]

"""The pages' requests as they send them, and of each answer what they read.

Written from shared/reference/real-users.md §1, a client that we can't change: literal paths, bodies
and names of fields, page by page. A field is read where JavaScript would read it: it must be there,
be null only where the page bears it, and be of the type that it computes with.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import NewText, Storage
from tests.dashboard.api_client import SETTINGS, Client, assert_problem, session
from tests.dashboard.test_api_calls import ring, talk
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.parametrize("settings", [replace(SETTINGS, sms_sender=True)])

TEXT, MAYBE_TEXT = (str,), (str, type(None))
NUMBER, MAYBE_NUMBER = (int, float), (int, float, type(None))
YES_NO, OBJECT, MAYBE_OBJECT, LIST = (bool,), (dict,), (dict, type(None)), (list,)


def reads(found: Any, **fields: tuple[type, ...]) -> None:
    """What a page takes out of an object."""
    assert isinstance(found, dict), found
    for name, types in fields.items():
        assert name in found, f"{name} in {sorted(found)}"
        assert type(found[name]) in types, f"{name}: {found[name]!r}"


def is_instant(text: str) -> bool:
    """`new Date(text)` means the same everywhere: it has an offset."""
    return datetime.fromisoformat(text).tzinfo is not None


class Page:
    """A page of somebody who signed in, as lib/api.ts does it: JSON with a bearer token."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def get(self, path: str) -> Any:
        return await self.client.get(f"/api/v1{path}")

    async def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        given = {} if body is None else {"json": body}
        answer = await self.client.send(method, f"/api/v1{path}", **given)
        assert answer.status_code == status, answer.text
        found = answer.json()
        # Later pages throw if `!res.ok || success === false`.
        assert found.get("success") is True
        return found

    async def fails(self, method: str, path: str, body: Any, status: int) -> str:
        """What the page shows: `data.error`, verbatim."""
        answer = await self.client.send(method, f"/api/v1{path}", json=body)
        problem = assert_problem(answer, status, answer.json().get("field"))
        error: str = problem["error"]
        return error


@pytest.fixture
def page(http: httpx.AsyncClient, garage: Tenant) -> Page:
    return Page(session(http, garage.id))


# ------------------------------------------------------------------------- §1.1, §1.2 session


async def test_who_is_signed_in(page: Page) -> None:
    me = await page.get("/auth/me")
    reads(me, user=OBJECT, tenant=OBJECT, session=OBJECT)
    reads(me["user"], id=TEXT, email=MAYBE_TEXT, name=MAYBE_TEXT, role=TEXT, tenant_id=TEXT)
    reads(me["user"], phone=MAYBE_TEXT, phone_verified=MAYBE_NUMBER, email_verified=MAYBE_NUMBER)
    reads(me["user"], is_active=NUMBER, ui_mode=MAYBE_TEXT)
    reads(me["tenant"], id=TEXT, name=TEXT, timezone=TEXT, sector=TEXT, agent_name=TEXT)
    reads(me["tenant"], email=MAYBE_TEXT, phone=MAYBE_TEXT, api_key=MAYBE_TEXT, slug=MAYBE_TEXT)
    reads(me["tenant"], subscription_plan=MAYBE_TEXT, onboarding_completed=MAYBE_NUMBER)
    reads(me["tenant"], trial_ends_at=MAYBE_TEXT, test_call_done=MAYBE_NUMBER)
    assert {"trial_active", "trial_days_remaining"} <= me["tenant"].keys()
    renewed = await page.send("POST", "/auth/refresh")
    reads(renewed, token=TEXT, expires_at=TEXT)
    assert renewed["token"].count(".") == 2
    await page.send("POST", "/auth/logout")
    answer = await page.client.send("GET", "/api/v1/auth/me")
    assert assert_problem(answer, 401)["error"]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer null"}])
async def test_a_missing_token_is_sent_as_null(http: httpx.AsyncClient, header: Any) -> None:
    answer = await Client(http, header).send("GET", "/api/v1/channels")
    assert "Session" in assert_problem(answer, 401)["error"] or answer.json()["error"]


# ------------------------------------------------------------------------- §1.3 channels hub


async def test_the_hub(page: Page) -> None:
    channels = (await page.get("/channels"))["channels"]
    assert [each["type"] for each in channels] == ["phone", "sms", "email", "whatsapp"]
    for each in channels:
        reads(each, enabled=YES_NO, configured=YES_NO, assistantId=MAYBE_TEXT, updatedAt=MAYBE_TEXT)
    etat = await page.get("/channels/etat")
    reads(etat, canaux=LIST, actifs=NUMBER)
    for each in etat["canaux"]:
        reads(each, type=TEXT, actif=YES_NO, pourquoi=TEXT)
    numbers = await page.get("/channels/numbers")
    reads(numbers, numbers=LIST)
    stats = await page.get("/channels/stats")
    reads(stats, period=TEXT, messages=LIST, calls=OBJECT, totalCostCents=NUMBER)
    assert stats["period"] == "last_30_days"
    reads(stats["calls"], total_calls=NUMBER, completed_calls=NUMBER, total_duration=NUMBER)
    reads(stats["calls"], total_cost_cents=NUMBER)
    for each in stats["messages"]:
        reads(each, channel_type=TEXT, total_messages=NUMBER, delivered=NUMBER, failed=NUMBER)
        reads(each, total_cost_cents=NUMBER)


# --------------------------------------------------------------------- §1.4 the four pages


async def channel(page: Page, name: str) -> dict[str, Any]:
    found = await page.get(f"/channels/{name}")
    assert found["success"] is True
    it: dict[str, Any] = found["channel"]
    assert it["type"] == name
    reads(it, enabled=YES_NO, configured=YES_NO, config=OBJECT, templates=OBJECT)
    reads(it, assistantId=MAYBE_TEXT, createdAt=MAYBE_TEXT, updatedAt=MAYBE_TEXT)
    return it


async def saved(page: Page, name: str, body: Any) -> dict[str, Any]:
    found: dict[str, Any] = await page.send("PUT", f"/channels/{name}", body)
    reads(found, message=TEXT, enabled=YES_NO, configured=YES_NO)
    assert found["channelType"] == name
    return found


async def test_the_phone_page(page: Page, stranger: Client) -> None:
    before = await channel(page, "phone")
    assert before["configured"] is True
    reads(before["config"], clientPhoneNumber=TEXT, twilioSharedNumber=TEXT, sara=OBJECT)
    reads(before["config"], transferConfigured=YES_NO)
    assert before["config"]["sara"] == {
        "voice": "female",
        "assistantName": "Sara",
        "agentType": "reception",
        "customInstructions": "",
        "language": "fr-FR",
    }
    config = {
        "clientPhoneNumber": "02 61 91 00 01",  # sent with its spaces
        "twilioSharedNumber": before["config"]["twilioSharedNumber"],
        "sara": {
            "voice": "male",
            "assistantName": "Assistant",
            "agentType": "qualification",
            "customInstructions": "Proposer un café.",
            "language": "fr-FR",
            "voiceId": "fr-1",
            "scripts": {"reception": "a", "qualification": "b", "appointment": "", "support": ""},
            "ttsProvider": "elevenlabs",
            "transcriptionProvider": "Deepgram",
            "welcomeMessage": "Bonjour",
        },
        "transferConfigured": True,
    }
    assert (await saved(page, "phone", {"config": config, "enabled": True}))["enabled"] is True
    after = await channel(page, "phone")
    assert after["config"] == config
    # Onboarding's spelling, in the same place.
    await saved(page, "phone", {"config": {"sara": {"agent_type": "phone_reception"}}})
    taken = await stranger.put_phone(config={"clientPhoneNumber": "+33261910001"})
    assert assert_problem(taken, 409, "config.clientPhoneNumber")["error"]


async def test_the_sms_page(page: Page) -> None:
    templates = {"rdvConfirmation": True, "rdvRappel": True, "promotions": False}
    assert (await channel(page, "sms"))["config"]["templates"] == templates
    body = {"config": {"templates": {**templates, "promotions": True}}, "enabled": True}
    await saved(page, "sms", body)
    assert (await channel(page, "sms"))["config"] == body["config"]
    error = await page.fails("POST", "/channels/sms/test", {}, 422)
    assert error.startswith("Numéro de destination requis")
    answer = await page.client.send(
        "POST", "/api/v1/channels/sms/test", json={"toNumber": "06 39 98 00 01"}
    )
    assert answer.is_success
    reads(answer.json(), success=YES_NO)


SMTP = {
    "host": "smtp.sendgrid.net",
    "user": "apikey",
    "password": "SG.tres-secret",
    "port": "587",  # as text
    "secure": True,
    "fromEmail": "contact@garage.example",
    "fromName": "Garage",
}


async def test_the_email_page(page: Page) -> None:
    before = await channel(page, "email")
    assert before["configured"] is False
    reads(before["config"]["smtp"], host=TEXT, port=NUMBER, secure=YES_NO, user=TEXT)
    reads(before["config"]["smtp"], fromEmail=TEXT, fromName=TEXT)
    templates = {
        "rdvConfirmation": True,
        "rdvRappel": True,
        "newsletter": False,
        "promotions": False,
    }
    assert before["config"]["templates"] == templates
    body = {"config": {"smtp": SMTP, "templates": templates}, "enabled": True}
    assert (await saved(page, "email", body))["configured"] is True
    after = await channel(page, "email")
    shown = after["config"]["smtp"]
    assert shown == {name: value for name, value in SMTP.items() if name != "password"}
    # The page sends back what it read, its own field for the password empty.
    again = {"config": {"smtp": {**shown, "password": ""}}, "enabled": True}
    assert (await saved(page, "email", again))["configured"] is True
    assert "smtp.password" in (await channel(page, "email"))["secrets"]
    answer = await page.client.send(
        "POST", "/api/v1/channels/email/test", json={"toEmail": shown["fromEmail"]}
    )
    assert answer.is_success
    reads(answer.json(), success=YES_NO, message=TEXT, messageId=TEXT)


async def test_the_whatsapp_page(page: Page) -> None:
    before = await channel(page, "whatsapp")
    assert before["config"] == {
        "connectionMethod": "",
        "whatsappNumber": "",
        "templates": {
            "rdvConfirmation": True,
            "rdvRappel": True,
            "promotions": False,
            "reponseAuto": True,
        },
    }
    assert await page.fails("POST", "/channels/whatsapp/enable", {}, 400)
    body = {
        "config": {**before["config"], "connectionMethod": "manual"}
        | {"whatsappNumber": "Non spécifié"},
        "configSecret": {"accessToken": "EAAGtres-secret", "phoneNumberId": "109876543210987"},
        "enabled": False,
    }
    assert (await saved(page, "whatsapp", body))["configured"] is True
    after = await channel(page, "whatsapp")
    assert (after["enabled"], after["config"]) == (False, body["config"])
    answer = await page.client.send(
        "POST", "/api/v1/channels/whatsapp/test", json={"toNumber": "+33 6 39 98 00 01"}
    )
    assert answer.is_success
    reads(answer.json(), success=YES_NO)


async def test_enable_and_disable(page: Page) -> None:
    for verb, on in (("enable", True), ("disable", False), ("disable", False)):
        found = await page.send("POST", f"/channels/sms/{verb}")
        reads(found, message=TEXT)
        assert (found["channelType"], found["enabled"]) == ("sms", on)
    assert "configur" in await page.fails("POST", "/channels/email/enable", {}, 400)


# ------------------------------------------------------------------------------ §1.6 calls


async def test_the_calls_pages(
    page: Page, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    call = await ring(storage, garage)
    await talk(storage, garage, call, clock)
    await storage.journal.finish(call.id, Outcome.QUALIFIED, clock.now(), agent="realtime:m")
    await ring(storage, garage, 2)
    today = clock.now().date().isoformat()
    for query in (
        "page=1&limit=30",
        "limit=5",
        f"page=1&limit=50&status=all&direction=inbound&date_from={today}&date_to={today}",
        f"date_from={today}T00:00:00&date_to={today}T23:59:59",
        "period=7d",
    ):
        listed = await page.get(f"/calls?{query}")
        reads(listed["pagination"], page=NUMBER, limit=NUMBER, total=NUMBER, total_pages=NUMBER)
        assert listed["calls"], query
        for each in listed["calls"]:
            _reads_call(each)
    found = (await page.get(f"/calls/{call.id}"))["call"]
    _reads_call(found)
    reads(found, transcript=MAYBE_TEXT, analysis=MAYBE_OBJECT, message_count=NUMBER)
    reads(found["prospect"], id=TEXT, first_name=TEXT, last_name=TEXT)
    reads(found["prospect"], phone=MAYBE_TEXT, email=MAYBE_TEXT)
    stats = (await page.get("/calls/stats"))["stats"]
    reads(stats, total_calls=NUMBER, completed_calls=NUMBER, failed_calls=NUMBER)
    reads(stats, avg_duration_seconds=NUMBER, total_duration_seconds=NUMBER)
    reads(stats, inbound_calls=NUMBER, outbound_calls=NUMBER, appointments_created=NUMBER)
    assert stats["conversion_rate"].endswith("%")
    float(stats["conversion_rate"].removesuffix("%"))
    told = await page.get("/calls/transcripts?limit=50")
    reads(told, transcripts=LIST, total=NUMBER)
    assert told["transcripts"]
    for each in told["transcripts"]:
        reads(each, id=TEXT, from_number=TEXT, to_number=TEXT, direction=TEXT, status=TEXT)
        reads(each, duration=MAYBE_NUMBER, transcript=MAYBE_TEXT, summary=MAYBE_TEXT)
        reads(each, sentiment=MAYBE_TEXT, prospect_name=MAYBE_TEXT, created_at=TEXT)
    assert await page.fails("GET", "/calls/nobody", None, 404)


def _reads_call(call: dict[str, Any]) -> None:
    reads(call, id=TEXT, retell_call_id=MAYBE_TEXT, from_number=TEXT, to_number=TEXT)
    reads(call, direction=TEXT, status=TEXT, duration=MAYBE_NUMBER, sentiment=MAYBE_TEXT)
    reads(call, summary=MAYBE_TEXT, appointment_booked=NUMBER, prospect_name=MAYBE_TEXT)
    reads(call, prospect_id=MAYBE_TEXT, started_at=TEXT, ended_at=MAYBE_TEXT, created_at=TEXT)
    assert "-" not in call["status"]
    assert is_instant(call["created_at"])


# ----------------------------------------------------------- §1.7 appointments, hours, services


async def test_the_appointments_page(page: Page) -> None:
    person = {"first_name": "Léa", "last_name": "Martin", "phone": "06 39 98 00 01"}
    prospect = await page.send("POST", "/prospects", {**person, "source": "manual"}, 201)
    body = {
        "prospect_id": prospect["prospect"]["id"],
        "agent_id": None,
        "scheduled_at": "2026-11-24T14:30:00",
        "notes": "Clio",
    }
    made = (await page.send("POST", "/appointments", body, 201))["appointment"]
    _reads_appointment(made)
    assert made["scheduled_at"] == body["scheduled_at"]
    error = await page.fails("POST", "/appointments", body, 409)
    assert error.startswith("Ce créneau chevauche un rendez-vous existant.")
    for query in (
        "",
        "?status=confirmed",
        "?date_from=2026-11-23&date_to=2026-11-30",
        "?status=all&agent_id=",
    ):
        listed = await page.get(f"/appointments{query}")
        assert listed["count"] == len(listed["appointments"]) == 1, query
        _reads_appointment(listed["appointments"][0])
    path = f"/appointments/{made['id']}"
    _reads_appointment((await page.get(path))["appointment"])
    for method in ("PATCH", "PUT"):
        for status in ("scheduled", "completed", "no_show", "confirmed"):
            changed = await page.send(method, path, {"status": status})
            _reads_appointment(changed["appointment"])
    assert (await page.send("DELETE", path))["appointment"]["status"] == "cancelled"
    settings = {"notifications": {"emailConfirmation": True, "smsReminder": False}}
    await page.send("PUT", "/appointments/settings", {"settings": settings})
    assert (await page.get("/appointments/settings"))["settings"] == settings


def _reads_appointment(it: dict[str, Any]) -> None:
    reads(it, id=TEXT, tenant_id=TEXT, prospect_id=MAYBE_TEXT, agent_id=MAYBE_TEXT)
    reads(it, scheduled_at=TEXT, duration_minutes=NUMBER, status=TEXT, notes=MAYBE_TEXT)
    reads(it, created_at=TEXT, prospect_name=TEXT, prospect_phone=MAYBE_TEXT)
    reads(it, prospect_email=MAYBE_TEXT, agent_name=TEXT, reminder_sent=(bool, int))
    assert datetime.fromisoformat(it["scheduled_at"]).tzinfo is None  # naive, on purpose
    assert it["status"] in ("scheduled", "confirmed", "completed", "cancelled", "no_show")


async def test_the_hours_pages(page: Page) -> None:
    slots = (await page.get("/availability"))["slots"]
    assert [each["day_of_week"] for each in slots] == [1, 2, 3, 4, 5, 6, 7]
    for each in slots:
        reads(each, is_available=(bool, int), start_time=MAYBE_TEXT, end_time=MAYBE_TEXT)
        reads(each, break_start=MAYBE_TEXT, break_end=MAYBE_TEXT, slot_duration=NUMBER)
    day = {
        "day_of_week": 7,
        "is_available": True,
        "start_time": "09:00",
        "end_time": "12:00",
        "break_start": None,
        "break_end": None,
        "slot_duration": 30,
    }
    await page.send("POST", "/availability", day)
    sunday = (await page.get("/availability"))["slots"][6]
    assert {name: sunday[name] for name in day} == day
    hours = (await page.get("/business-hours"))["hours"]
    for each in hours:
        reads(each, day_of_week=NUMBER, is_open=(bool, int), open_time=MAYBE_TEXT)
        reads(each, close_time=MAYBE_TEXT)
    week = [
        {name: each[name] for name in ("day_of_week", "is_open", "open_time", "close_time")}
        for each in hours
    ]
    await page.send("POST", "/business-hours", {"hours": week})


@pytest.mark.parametrize("path", ["/services", "/appointment-types"])
async def test_the_services_pages(page: Page, path: str) -> None:
    body = {
        "name": "Vidange",
        "duration_minutes": 45,
        "price": 89,
        "color": "#ff8800",
        "description": "Avec filtre",
    }
    made = await page.send("POST", path, body, 201)
    listed = await page.get(path)
    items = listed[path.removeprefix("/").replace("-", "_")]
    (item,) = (each for each in items if each["name"] == body["name"])
    reads(item, id=TEXT, duration_minutes=NUMBER, price=MAYBE_NUMBER, color=MAYBE_TEXT)
    assert item["description"] == body["description"]
    assert made
    for method, change in (("PUT", {**body, "price": None}), ("PATCH", {"color": "#000000"})):
        await page.send(method, f"{path}/{item['id']}", change)
    await page.send("DELETE", f"{path}/{item['id']}")


# ------------------------------------------------- §1.8 prospects, notifications, communications


async def test_the_prospects_page(page: Page) -> None:
    body = {"first_name": "Léa", "last_name": "Martin", "phone": "0639980001", "source": "manual"}
    made = await page.send("POST", "/prospects", body, 201)
    assert made["merged"] is False
    for phone in ("+33 6 39 98 00 01", "0033639980001"):
        again = await page.send("POST", "/prospects", {**body, "phone": phone})
        assert (again["merged"], again["prospect"]["id"]) == (True, made["prospect"]["id"])
    for query in ("", "?status=new&limit=50&offset=0", "?status=all"):
        listed = await page.get(f"/prospects{query}")
        reads(listed, count=NUMBER, total=NUMBER, limit=NUMBER, offset=NUMBER)
        for each in listed["prospects"]:
            reads(each, id=TEXT, first_name=TEXT, last_name=TEXT, email=MAYBE_TEXT)
            reads(each, phone=MAYBE_TEXT, status=TEXT, source=TEXT, created_at=TEXT)
            assert each["status"] in ("new", "contacted", "qualified", "converted", "lost")
    path = f"/prospects/{made['prospect']['id']}"
    assert (await page.get(path))["prospect"]["first_name"] == "Léa"
    for status in ("contacted", "qualified", "lost", "callback_requested", "new"):
        await page.send("PUT", path, {"status": status})
    converted = await page.send("POST", f"{path}/convert")
    assert converted["prospect"]["status"] == "converted"
    file = await page.client.send("GET", "/api/v1/prospects/export?format=csv")
    assert (file.status_code, file.headers["content-type"].split(";")[0]) == (200, "text/csv")
    await page.send("DELETE", path)


async def test_the_bell(page: Page, storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for number in ("1", "2"):
            values = {"channel": "email", "reason": "essai"}
            await rows.notifications.tell("channel_paused", subject_id=number, values=values)
    found = await page.get("/notifications?unread=true&limit=5")
    reads(found, success=YES_NO, notifications=LIST, unread_count=NUMBER)
    for each in found["notifications"]:
        reads(each, id=TEXT, type=TEXT, title=TEXT, message=TEXT, read=NUMBER, created_at=TEXT)
    await page.send("PUT", f"/notifications/{found['notifications'][0]['id']}/read")
    assert (await page.get("/notifications?unread=true&limit=5"))["unread_count"] == 1
    await page.send("PUT", "/notifications/read-all")
    assert (await page.get("/notifications?unread=true&limit=5"))["unread_count"] == 0


async def test_the_messages_page(page: Page, storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        new = NewText(channel="email", to="lea@client.example", subject="Devis", body="Le voici.")
        await rows.outbox.put(new)
    for query in ("", "?canal=email&limite=50", "?canal=sms"):
        found = await page.get(f"/communications{query}")
        reads(found, messages=LIST, total=NUMBER, par_canal=(dict, list))
        assert bool(found["messages"]) is (query != "?canal=sms")
        for each in found["messages"]:
            reads(each, id=TEXT, canal=TEXT, sens=TEXT, contenu=MAYBE_TEXT, type=MAYBE_TEXT)
            reads(each, etape=MAYBE_TEXT, objet=MAYBE_TEXT, statut=TEXT)
            reads(each, contact=(str, dict, type(None)), adresse=MAYBE_TEXT, date=TEXT)
            assert each["sens"] in ("envoye", "recu")
    assert (await page.get("/communications/frise"))["success"] is True
    told = await page.send("POST", "/reminders/send-tomorrow")
    reads(told, sent=NUMBER, errors=NUMBER, details=LIST)


async def test_the_messages_models(page: Page) -> None:
    """`/communications/modeles/:type`: read, tried, changed, and put back."""
    path = "/communications/modeles/rdvRappel"
    before = await page.get(path)
    assert before["success"] is True
    good = {"corps": "Bonjour {{client}}, à demain."}
    checked = await page.send("POST", f"{path}/verifier", good)
    reads(checked, valide=YES_NO, erreurs=LIST, avertissements=LIST, apercu=TEXT, apercuEnvoye=TEXT)
    reads(checked, segments=NUMBER, unites=NUMBER, encodage=TEXT)
    assert checked["valide"] is True
    wrong = await page.send("POST", f"{path}/verifier", {"corps": "Bonjour {{inconnu}}"})
    assert wrong["valide"] is False
    assert wrong["erreurs"]
    await page.send("PUT", path, good)
    await page.send("PUT", path, {"reinitialiser": True})
    after = await page.get(path)
    assert (after["corps"], after["modele"]["personnalise"]) == (before["corps"], False)


# -------------------------------------------------------------------------- §1.9 knowledge


async def test_the_knowledge_page(page: Page) -> None:
    body = {"title": "Tarifs", "content": "Vidange 89 euros.", "sourceType": "text"}
    made = await page.send("POST", "/knowledge/documents", body, 201)
    listed = (await page.get("/knowledge/documents"))["documents"]
    assert [each["id"] for each in listed] == [made["document"]["id"]]
    for each in listed:
        reads(each, title=TEXT, url=MAYBE_TEXT, sourceType=TEXT, category=MAYBE_TEXT)
        reads(each, chunkCount=NUMBER, created_at=TEXT, content=MAYBE_TEXT)
    path = f"/knowledge/documents/{made['document']['id']}"
    await page.send("PATCH", path, {"title": "Tarifs 2027", "content": "Vidange 95 euros."})
    found = (await page.get(path))["document"]
    assert (found["title"], found["content"]) == ("Tarifs 2027", "Vidange 95 euros.")
    file = {"file": ("prix.txt", b"Pneus 300 euros.", "text/plain")}
    answer = await page.client.send("POST", "/api/v1/knowledge/documents/upload", files=file)
    assert answer.status_code == 201
    await page.send("DELETE", path)


# ------------------------------------------------------------------------- what isn't there

#: Everything else of §1: other systems', or never to come.
OUT = (
    "POST /auth/login",
    "POST /auth/signup",
    "POST /auth/register",
    "PUT /auth/profile",
    "PUT /auth/change-password",
    "DELETE /auth/account",
    "POST /auth/forgot-password",
    "POST /auth/reset-password",
    "POST /auth/verify-email",
    "GET /vapi/calls",
    "GET /vapi/stats",
    "GET /public/booking/garage",
    "GET /public/booking/garage/slots",
    "POST /public/booking/garage/book",
    "GET /team/members",
    "GET /agents",
    "GET /onboarding/agent-types",
    "GET /email/config",
    "PUT /email/config",
    "POST /email/test",
    "GET /email/logs",
    "GET /support/tickets",
    "POST /support/tickets",
    "GET /tasks",
    "GET /tasks/stats",
    "PATCH /tasks/1",
    "GET /task-types",
    "GET /assignment-rules",
    "GET /omnichannel/inbox/conversations",
    "GET /omnichannel/inbox/conversations/1",
    "POST /omnichannel/inbox/conversations/1/link",
    "GET /assistant/config",
    "PUT /assistant/config",
    "GET /voixia/agents",
    "GET /voixia/agents/versions",
    "GET /ai/prompts",
    "POST /ai/prompts",
    "POST /ai/prompts/activate/1",
    "POST /ai/voice-preview",
    "POST /ai/simulate",
    "POST /knowledge/crawl",
    "GET /knowledge/suggestions",
    "GET /knowledge/deleted",
    "GET /knowledge/history",
    "POST /knowledge/versions/1/restore",
    "POST /knowledge/preview",
    "PATCH /knowledge/fiches/1",
    "DELETE /knowledge/fiches/1",
)


async def test_everything_else_is_404_with_a_problem(page: Page) -> None:
    for each in OUT:
        method, _, path = each.partition(" ")
        given: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": {}}
        answer = await page.client.send(method, f"/api/v1{path}", **given)
        assert assert_problem(answer, 404)["error"], each

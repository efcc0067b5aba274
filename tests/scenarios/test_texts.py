"""Texts, whole: a server and a worker as processes, people who write, vendors that are emulated.

All stories happen at the same time, each to a business of its own.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from domain.webhook_keys import EMAIL_USER, key_digest
from sandbox.cloud_api import Account, Person
from sandbox.cloud_api import Fate as MetaFate
from storage import NewAppointment, Storage
from storage.reminders import Wanted
from storage.text_rows import NewText
from tests.fakes.clock import FakeClock
from tests.scenarios.texting import NO_MODEL, Shop, Town, eventually, town

pytestmark = pytest.mark.timeout(90)

LEA, MAX, ZOE = "+33639980011", "+33639980012", "+33639980013"
TODAY = datetime.now(UTC).date()
TUESDAY = TODAY + timedelta(days=(1 - TODAY.weekday()) % 7 + 7)

BOOKS = (
    {
        "words": "rdv mardi 14h",
        "call": {
            "name": "check_availability",
            "arguments": {"date": f"{TUESDAY}", "part_of_day": "afternoon"},
        },
    },
    {
        "result": "check_availability",
        "call": {
            "name": "book_appointment",
            "arguments": {
                "start": f"{TUESDAY}T14:00:00",
                "name": "Léa Martin",
                "email": "lea@exemple.fr",
            },
        },
    },
    {"result": "book_appointment", "say": "Avec plaisir. {result.spoken}"},
    {"words": "Merci", "say": "À bientôt !"},
)


async def test_texts(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        stories = (
            books_in_free_words,
            repeated_and_in_bursts,
            knows_what_documents_say,
            moves_by_answering_a_reminder,
            stops,
            is_silent_beside_a_human,
            whatsapp,
            letters,
        )
        failures: list[Exception] = []

        async def happens(story: Callable[[Town], Awaitable[None]]) -> None:
            try:
                await story(here)
            except Exception as error:  # noqa: BLE001 - one story's end isn't the others'
                error.add_note(story.__name__)
                failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            for story in stories:
                tasks.create_task(happens(story))
        assert not here.models.asked.defects, "what the script and the functions disagree about"
        if failures:
            raise ExceptionGroup("stories", failures)
        # Last: a model that fails is asked less, for everybody.
        await without_a_model(here)
        refused = [each for each in here.models.asked.refusals if each[0] != 503]
        assert not refused, "what the model's vendor would refuse"


async def books_in_free_words(here: Town) -> None:
    """The agent books; it says at once that it is an AI, and only once; the booking is confirmed
    on the channel that the person prefers, here SMS, with a link."""
    shop = await here.business("Salon Lumière", BOOKS, sector="beaute")
    await shop.writes(LEA, "bonjour, un rdv mardi 14h svp")
    (answer,) = await eventually(lambda: _containing(shop, LEA, "Avec plaisir"))
    assert "IA de Salon Lumière" in answer.body
    (booked,) = await shop.appointments()
    assert booked["start"].startswith(f"{TUESDAY}T14:00"), booked
    confirmations = await eventually(lambda: _containing(shop, LEA, "/r/"))
    assert len(confirmations) == 1
    before = len(shop.sms_to(LEA))
    await shop.writes(LEA, "Merci")
    sent = await shop.answered(LEA, before + 1)
    assert sent[-1].body == "À bientôt !"


async def repeated_and_in_bursts(here: Town) -> None:
    """Twenty deliveries of one webhook at once are one message; three messages in a row get one
    answer."""
    rules = ({"words": "ouverts", "say": "Oui, de neuf heures à midi."},)
    shop = await here.business("Boucherie Sanzot", rules)
    await shop.writes(MAX, "Vous êtes ouverts ?", times=20)
    await shop.answered(MAX, 1)
    shown = await shop.conversation()
    assert [each["author"] for each in shown["messages"]] == ["customer", "agent"]
    for words in ("Et samedi,", "vous êtes", "aussi ouverts ?"):
        await shop.writes(MAX, words)
    await shop.answered(MAX, 2)
    await asyncio.sleep(1.0)
    assert len(shop.sms_to(MAX)) == 2
    assert not (await shop.conversation())["conversation"]["waiting"]


async def knows_what_documents_say(here: Town) -> None:
    """An answer from a document."""
    rules = (
        {
            "words": "montage",
            "call": {"name": "search_knowledge", "arguments": {"question": "montage pneu"}},
        },
        {"result": "search_knowledge", "say": "C'est écrit : {result.passages.0.text}"},
    )
    shop = await here.business("Garage du Port", rules, sector="automobile")
    body = {"title": "Tarifs", "sourceType": "markdown", "content": "Montage d'un pneu : 15 €"}
    await here.ask(shop.key, "POST", "/api/v1/knowledge/documents", body)

    async def read() -> bool:
        (document,) = (await shop.get("/api/v1/knowledge/documents"))["documents"]
        return bool(document["status"] == "ready")

    await eventually(read)
    await shop.writes(ZOE, "combien pour un montage ?")
    (sent,) = await shop.answered(ZOE)
    assert "15" in sent.body


async def moves_by_answering_a_reminder(here: Town) -> None:
    """Who answers "impossible demain, plutôt jeudi" has proved nothing but that they have read our
    text, and that is enough: the appointment moves."""
    start = _tomorrow()
    rules = (
        {
            "words": "plutôt",
            "call": {"name": "find_appointment", "arguments": {}},
        },
        {
            "result": "find_appointment",
            "call": {"name": "check_availability", "arguments": {"date": "{workday+4}"}},
        },
        {
            "result": "check_availability",
            "call": {
                "name": "reschedule_appointment",
                "arguments": {
                    "appointment_id": "{memory.find_appointment.appointments.0.appointment_id}",
                    "start": "{result.slots.0.start}",
                },
            },
        },
        {"result": "reschedule_appointment", "say": "Entendu. {result.spoken}"},
    )
    shop = await here.business("Cabinet Léger", rules, timezone="UTC")
    booked = await _booked(here, shop, start, LEA)
    await _due(here, shop, booked)
    (reminder,) = await shop.answered(LEA, 1)
    assert "/r/" in reminder.body, "a link, as with each reminder"
    await shop.writes(LEA, "impossible demain, plutôt jeudi")
    sent = await shop.answered(LEA, 2)
    assert "Entendu" in sent[-1].body
    (moved,) = [each for each in await shop.appointments() if each["id"] == booked]
    assert datetime.fromisoformat(moved["start"]).astimezone(UTC) > start + timedelta(days=1)


async def stops(here: Town) -> None:
    """STOP ends what is sent unasked, at once: the reminder is suppressed, and says why."""
    shop = await here.business("Pizzeria Roma", (), timezone="UTC")
    await shop.writes(ZOE, "Stop.")
    await _due(here, shop, await _booked(here, shop, _tomorrow(), ZOE))

    async def told() -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = (await shop.get("/api/v1/messages"))["messages"]
        return [each for each in shown if each["status"] == "suppressed"]

    (suppressed,) = await eventually(told)
    assert suppressed["error"]
    assert not shop.sms_to(ZOE), "neither a reminder nor an answer to STOP"


async def is_silent_beside_a_human(here: Town) -> None:
    """A person answers: by the number that was written to, and the agent is silent until the
    conversation is handed back."""
    rules = ({"words": "encore là", "say": "Je suis là."},)
    shop = await here.business("Étude Morel", rules)
    # Its texts go by the shared number; answers go by the one that was written to.
    await shop.channel("sms", sender="")
    await shop.writes(MAX, "Je voudrais parler à Maître Morel")
    found = await eventually(lambda: _conversations(shop))
    path = f"/api/v1/conversations/{found[0]['id']}"
    await here.ask(shop.key, "POST", f"{path}/reply", {"text": "C'est moi, dites-moi tout."})
    (sent,) = await shop.answered(MAX)
    assert sent.body == "C'est moi, dites-moi tout.", "the agent's answer was dropped"
    await shop.writes(MAX, "Vous êtes encore là ?")
    await asyncio.sleep(3.0)
    assert len(shop.sms_to(MAX)) == 1
    await here.ask(shop.key, "POST", f"{path}/hand-back", {})
    await shop.writes(MAX, "Et maintenant, encore là ?")
    await shop.answered(MAX, 2)


async def whatsapp(here: Town) -> None:
    """A text, read and typed at; a button; a picture; a person without a number; statuses in any
    order; a closed window."""
    rules = ({"words": "bonjour", "say": "Bonjour, que puis-je pour vous ?"},)
    shop = await here.business("Fleurs Anne", rules)
    account = Account("1234500001", "9876500001", "+33199000777", name="Fleurs Anne")
    await shop.whatsapp(account)
    meta = here.meta
    lea = Person(LEA, "FR.1000000000000001")
    ghost = Person("", "FR.1000000000000002", name="Sans Numéro")
    meta.api.people += [lea, ghost]

    async def went(to: Person, count: int) -> list[Any]:
        sent = [each for each in account.sent if each.to is to]
        return sent if len(sent) >= count else []

    meta.api.fates.append(MetaFate(statuses=("read", "delivered", "sent")))
    assert await meta.writes(account, lea, times=20, text="bonjour") == [200] * 20
    (answer,) = await eventually(lambda: went(lea, 1))
    assert "Bonjour, que puis-je" in answer.body["text"]["body"]
    assert account.read
    assert account.typing
    await meta.tell()

    async def read() -> bool:
        shown = (await shop.get("/api/v1/messages?channel=whatsapp"))["messages"]
        return [each["status"] for each in shown] == ["read"]

    await eventually(read)
    # A button under a reminder is taken at its word.
    booked = await _booked(here, shop, _tomorrow(), LEA)
    press = {"id": f"appt:cancel:{booked}", "title": "Annuler"}
    pressed = {"type": "button_reply", "button_reply": press}
    await meta.writes(account, lea, type="interactive", interactive=pressed)

    async def cancelled() -> bool:
        return [each["status"] for each in await shop.appointments()] == ["cancelled"]

    await eventually(cancelled)
    # Known by their user id alone, and answered by it; a picture is acknowledged as one.
    image = {"id": "900001", "mime_type": "image/jpeg", "sha256": "x"}
    await meta.writes(account, ghost, type="image", image=image)
    (answer,) = await eventually(lambda: went(ghost, 1))
    assert answer.body.get("recipient") == ghost.user_id
    assert "to" not in answer.body
    # Nobody writes freely to who hasn't written for a day.
    never = Person(ZOE, "FR.1000000000000003")
    meta.api.people.append(never)
    async with here.storage.tenant(shop.id).write() as rows:
        await rows.contacts.person(phone=ZOE, whatsapp=ZOE, source="operator")
        text = await rows.outbox.put(NewText("whatsapp", ZOE, body="Bonjour", purpose="service"))

    async def refused() -> bool:
        shown = (await shop.get(f"/api/v1/messages/{text.id}"))["message"]
        return bool(shown["status"] == "suppressed")

    await eventually(refused)
    assert not await went(never, 1)


async def letters(here: Town) -> None:
    """A mail is answered in its thread, once."""
    rules = ({"words": "jeudi", "say": "Jeudi à dix heures, cela vous convient ?"},)
    shop = await here.business("Atelier Bois", rules)
    await shop.email()
    key, password = "k" * 43, "p" * 40
    async with here.storage.tenant(shop.id).write() as rows:
        await rows.channels.save_secrets("email", {"inboundPassword": password})
        assert await rows.endpoints.take("key", key_digest(key), "email")
    mail = EmailMessage()
    mail["From"], mail["To"] = "Paul <paul@client.example>", "sara@salon.example"
    mail["Subject"], mail["Message-ID"] = "Rendez-vous", "<1@client.example>"
    mail.set_content("Bonjour, une place jeudi ?\n")
    form = {"email": mail.as_string(), "SPF": "pass", "dkim": "{@client.example : pass}"}
    form["envelope"] = '{"from": "paul@client.example", "to": ["sara@salon.example"]}'
    pair = base64.b64encode(f"{EMAIL_USER}:{password}".encode()).decode()
    files = {"nothing": ("nothing.txt", b"", "text/plain")}
    for _ in range(2):
        answer = await here.http.post(
            f"/webhooks/email/{key}",
            data=form,
            files=files,
            headers={"authorization": f"Basic {pair}"},
        )
        assert answer.status_code == 200, answer.text
    (letter,) = await eventually(lambda: _letters(shop, "paul@client.example"))
    written = letter.message
    assert written["In-Reply-To"] == "<1@client.example>"
    assert written["Subject"] == "Re: Rendez-vous"
    body = written.get_body(("plain",))
    assert body is not None
    assert "Jeudi à dix heures" in body.get_content()
    # Who left nothing but an address has the confirmation there, with a file for their calendar.
    async with here.storage.tenant(shop.id).write() as rows:
        ida = await rows.contacts.person(name="Ida", email="ida@client.example", source="operator")
        assert ida is not None
        start, email = _tomorrow(), "ida@client.example"
        new = NewAppointment(start, 30, "Ida", customer_email=email, contact_id=ida.id)
        await rows.appointments.book(new)
    (letter,) = await eventually(lambda: _letters(shop, email))
    (entry,) = [
        each for each in letter.message.walk() if each.get_content_type() == "text/calendar"
    ][:1]
    assert f"DTSTART:{start:%Y%m%dT%H%M%SZ}" in entry.get_content()


async def without_a_model(here: Town) -> None:
    """The model is down: that is said, and a person has a ticket."""
    shop = await here.business(NO_MODEL)
    await shop.writes(LEA, "Ma chaudière fuit")
    (sent,) = await shop.answered(LEA)
    assert "IA" in sent.body
    (ticket,) = (await shop.get("/api/v1/tickets"))["tickets"]
    assert "Ma chaudière fuit" in ticket["description"]


# ------------------------------------------------------------------------------------ looking


async def _letters(shop: Shop, to: str) -> list[Any]:
    return shop.letters(to)


async def _containing(shop: Shop, person: str, part: str) -> list[Any]:
    return [each for each in shop.sms_to(person) if part in each.body]


async def _conversations(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shop.get("/api/v1/conversations"))["conversations"]
    return found


def _tomorrow() -> datetime:
    """In a little more than a day."""
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=1, minutes=30)


async def _due(here: Town, shop: Shop, appointment_id: str) -> None:
    """Once the worker has planned its reminders: the first one is due now."""

    async def planned() -> bool:
        async with here.storage.tenant(shop.id).read() as rows:
            return bool(await rows.reminders.of(appointment_id))

    await eventually(planned)
    async with here.storage.tenant(shop.id).write() as rows:
        first, *_ = await rows.reminders.of(appointment_id)
        now = [Wanted("24h", datetime.now(UTC))]
        await rows.reminders.plan(appointment_id, first.starts_at, now)


async def _booked(here: Town, shop: Shop, start: datetime, phone: str) -> str:
    """An appointment that was made two days ago: too long for a confirmation."""
    then = FakeClock(datetime.now(UTC) - timedelta(days=2))
    storage = Storage(here.database, then)
    async with storage.tenant(shop.id).write() as rows:
        person = await rows.contacts.person(name="Léa", phone=phone, source="operator")
        assert person is not None
        appointment = await rows.appointments.book(
            NewAppointment(start, 30, "Léa", customer_phone=phone, contact_id=person.id)
        )
    return str(appointment.id)

"""Texts that arrive: recorded once, brought to whom they are for, answered once."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import ProviderError
from domain.jobs import Job
from domain.language_model import FunctionRequest, FunctionSpec, ModelMessage
from domain.tenant import Tenant
from messaging.answering import Answering, Done, Said, Writer
from messaging.conversation import button
from messaging.incoming import IncomingMessage, Media, Thread
from messaging.receiving import Receiving
from storage import Database, NewAppointment, Storage
from storage.conversations import HUMAN, Conversation
from storage.schema import jobs
from storage.text_rows import NewText, Text, TextFilter
from tests.fakes.clock import FakeClock

BOTH = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
CUSTOMER, SHARED = "+33639981234", "+33199000001"


def sms(words: str, number: int = 1, **changed: Any) -> IncomingMessage:
    message = IncomingMessage(
        channel="sms",
        vendor_id=f"SM{number:032x}",
        sender=CUSTOMER,
        recipient=SHARED,
        text=words,
    )
    return IncomingMessage(**{**_fields(message), **changed})


def _fields(message: IncomingMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


@dataclass
class Stranger:
    """Asks strangers, in place of Twilio."""

    asked: list[str] = field(default_factory=list)

    async def ask(self, inbound_id: str, to: str, sender: str, words: str) -> None:
        assert (to, sender) == (CUSTOMER, SHARED)
        self.asked.append(words)


@dataclass
class Scripted:
    """An agent that answers what it is told to."""

    answers: list[Said | ProviderError]
    seen: list[Sequence[ModelMessage]] = field(default_factory=list)
    ran: list[tuple[FunctionRequest, Writer]] = field(default_factory=list)
    meanwhile: Any = None

    async def ask(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec], seconds: float
    ) -> Said:
        self.seen.append(list(messages))
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        answer = self.answers.pop(0)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def specs(self, names: Sequence[str], locale: str) -> Sequence[FunctionSpec]:
        return [FunctionSpec(name, "", {}) for name in names]

    async def run(self, request: FunctionRequest, writer: Writer) -> Done:
        self.ran.append((request, writer))
        return Done({"status": "ok"}, effect=False)


def says(words: str) -> Said:
    return Said(words, ())


class World:
    """One deployment's texts, whose jobs run when a test says so."""

    def __init__(self, storage: Storage, clock: FakeClock) -> None:
        self.storage, self.clock = storage, clock
        self.stranger = Stranger()
        self.receiving = Receiving(storage, clock, self.stranger)

    async def arrives(self, *messages: IncomingMessage) -> None:
        """At the door, and on to its conversation."""
        await self.receiving.record(messages)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            for inbound_id in await self._waiting():
                await self.receiving.take(
                    Job(inbound_id, "text.receive", {"inbound_id": inbound_id}, 1)
                )

    async def _waiting(self) -> list[str]:
        from storage.schema import inbound_texts as table

        async with self.storage._database.read() as connection:
            rows = await connection.execute(
                sa.select(table.c.id)
                .where(table.c.state.in_(("new", "asked")))
                .order_by(table.c.received_at, table.c.id)
            )
            return [row[0] for row in rows]

    async def turns_on(self, tenant: Tenant, channel: str = "sms") -> None:
        async with self.storage.tenant(tenant.id).write() as rows:
            await rows.channels.save(channel, enabled=True, config={})

    async def wrote(self, tenant: Tenant, **more: Any) -> Text:
        async with self.storage.tenant(tenant.id).write() as rows:
            return await rows.outbox.put(
                NewText(channel="sms", to=CUSTOMER, body="Bonjour", even_if_off=True, **more)
            )

    async def conversation(self, tenant: Tenant) -> Conversation | None:
        async with self.storage.tenant(tenant.id).read() as rows:
            return await rows.conversations.with_address("sms", CUSTOMER)

    async def answers(self, tenant: Tenant, agent: Scripted | None) -> list[Text]:
        """The agent's turn; what is in the outbox then."""
        it = await self.conversation(tenant)
        assert it is not None
        job = Job("1", "conversation.answer", {"conversation_id": it.id}, 1, tenant.id)
        await Answering(self.storage, self.clock, agent).run(job)
        return await self.texts(tenant)

    async def texts(self, tenant: Tenant) -> list[Text]:
        async with self.storage.tenant(tenant.id).read() as rows:
            found = await rows.outbox.page(TextFilter(purpose="answer"))
        return found.items


@pytest.fixture
def world(storage: Storage, clock: FakeClock) -> World:
    return World(storage, clock)


# --------------------------------------------------------------------------- recorded once


@BOTH
async def test_twenty_deliveries_of_one_webhook_are_one_message_and_one_answer(
    world: World, garage: Tenant
) -> None:
    await world.turns_on(garage)
    await world.wrote(garage)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(world.receiving.record([sms("Vous ouvrez à quelle heure ?")]))
    await world.settle()
    async with world.storage.tenant(garage.id).read() as rows:
        it = await rows.conversations.with_address("sms", CUSTOMER)
        assert it is not None
        assert it.last_seq == 1
    agent = Scripted([says("À 9 h.")])
    assert len(await world.answers(garage, agent)) == 1
    assert len(await world.answers(garage, agent)) == 1
    assert len(agent.seen) == 1


async def test_who_wrote_becomes_a_contact(world: World, garage: Tenant) -> None:
    await world.wrote(garage)
    await world.arrives(sms("Bonjour"))
    it = await world.conversation(garage)
    assert it is not None
    async with world.storage.tenant(garage.id).read() as rows:
        contact = await rows.contacts.get(it.contact_id or "")
    assert contact is not None
    assert contact.address("phone") == CUSTOMER


# ------------------------------------------------------------------------------ whose it is


async def test_nobody_is_meant_by_default(world: World, garage: Tenant) -> None:
    await world.arrives(sms("Bonjour, c'est pour la voiture"))
    assert await world.conversation(garage) is None
    (question,) = world.stranger.asked
    assert "code à 4 chiffres" in question


async def test_two_that_wrote_are_asked_for_and_the_answer_brings_all(
    world: World, garage: Tenant, dentist: Tenant
) -> None:
    await world.wrote(garage)
    world.clock.advance(60)
    await world.wrote(dentist)
    await world.arrives(sms("Je serai en retard", 1), sms("de dix minutes", 2))
    (question,) = world.stranger.asked
    assert question.endswith("1 Cabinet Léger, 2 Garage Martin")
    await world.arrives(sms("2", 3))
    assert len(world.stranger.asked) == 1
    assert await world.conversation(dentist) is None
    it = await world.conversation(garage)
    assert it is not None
    async with world.storage.tenant(garage.id).read() as rows:
        lines = await rows.conversations.unanswered(it.id, 0)
    assert sorted(line.content for line in lines) == ["Je serai en retard", "de dix minutes"]
    # And nobody asks again while they go on with the garage.
    world.clock.advance(60)
    await world.arrives(sms("Merci", 4))
    assert len(world.stranger.asked) == 1


async def test_a_stop_to_nobody_in_particular_is_one_to_all_who_wrote(
    world: World, garage: Tenant, dentist: Tenant
) -> None:
    await world.wrote(garage)
    await world.wrote(dentist)
    await world.arrives(sms("Arrêt !"))
    for tenant in (garage, dentist):
        async with world.storage.tenant(tenant.id).write() as rows:
            assert await rows.consents.refusal("sms", CUSTOMER, "service") == "opted_out"
    assert world.stranger.asked == []


async def test_a_stop_is_for_the_business_that_it_answers(
    world: World, garage: Tenant, dentist: Tenant
) -> None:
    await world.wrote(garage)
    await world.arrives(sms("STOP"))
    async with world.storage.tenant(garage.id).read() as rows:
        assert await rows.consents.refusal("sms", CUSTOMER, "service") == "opted_out"
    async with world.storage.tenant(dentist.id).read() as rows:
        assert await rows.consents.refusal("sms", CUSTOMER, "service") is None


# -------------------------------------------------------------------------------- the answer


async def begun(world: World, tenant: Tenant, *words: str) -> None:
    await world.turns_on(tenant)
    await world.wrote(tenant)
    world.clock.advance(1)
    await world.arrives(*(sms(each, n) for n, each in enumerate(words, start=1)))
    world.clock.advance(3)


async def test_a_burst_is_answered_once_and_says_that_an_ai_writes(
    world: World, garage: Tenant
) -> None:
    await begun(world, garage, "Bonjour", "je voudrais", "un rdv")
    agent = Scripted([says("**Bien sûr**, quel jour ?")])
    (text,) = await world.answers(garage, agent)
    assert text.body == "Sara, assistante IA de Garage Martin : Bien sûr, quel jour ?"
    said = [message.text for message in agent.seen[0] if message.role == "user"]
    assert sorted(said) == ["Bonjour", "je voudrais", "un rdv"]
    assert "SMS" in agent.seen[0][0].text


async def test_what_is_written_meanwhile_makes_the_answer_worthless(
    world: World, garage: Tenant
) -> None:
    await begun(world, garage, "Un rdv demain ?")

    async def writes() -> None:
        await world.arrives(sms("ou plutôt jeudi", 2))

    agent = Scripted([says("Demain, d'accord."), says("Jeudi, d'accord.")], meanwhile=writes)
    assert await world.answers(garage, agent) == []
    (text,) = await world.answers(garage, agent)
    assert text.body.endswith("Jeudi, d'accord.")


async def test_a_person_who_takes_over_silences_the_agent(world: World, garage: Tenant) -> None:
    await begun(world, garage, "Bonjour")
    it = await world.conversation(garage)
    assert it is not None

    async def takes_over() -> None:
        async with world.storage.tenant(garage.id).write() as rows:
            await rows.conversations.hand_to(it.id, HUMAN)

    agent = Scripted([says("Bonjour !")], meanwhile=takes_over)
    assert await world.answers(garage, agent) == []
    await world.arrives(sms("Allô ?", 2))
    assert await world.answers(garage, agent) == []
    async with world.storage.tenant(garage.id).write() as rows:
        await rows.conversations.hand_to(it.id, "agent")
    await world.arrives(sms("Toujours là ?", 3))
    agent.answers.append(says("Oui."))
    assert len(await world.answers(garage, agent)) == 1


async def test_functions_run_with_ids_that_a_repetition_has_too(
    world: World, garage: Tenant
) -> None:
    await begun(world, garage, "Un rdv demain ?")
    wanted = FunctionRequest("call_x", "check_availability", json.dumps({"date": "demain"}))
    again = replace(wanted, id="call_y")
    agent = Scripted([Said("", [wanted]), Said("", [again]), says("À 9 h ?")])
    await world.answers(garage, agent)
    (first, writer), (second, _) = agent.ran
    assert first.id == second.id
    assert first.id.startswith("text-1-")
    assert (writer.number, writer.channel, writer.turn) == (CUSTOMER, "sms", 1)


async def test_without_a_model_it_is_said_and_a_person_is_asked_to(
    world: World, garage: Tenant
) -> None:
    await begun(world, garage, "Ma voiture fume !")
    agent = Scripted([ProviderError("llm", "down", retryable=True)])
    (text,) = await world.answers(garage, agent)
    assert "transmis à l'équipe" in text.body
    async with world.storage.tenant(garage.id).read() as rows:
        (ticket,) = (await rows.tickets.list()).items
        told = [each.kind for each in (await rows.notifications.list())[0]]
    assert ticket.description == "Ma voiture fume !"
    assert told == ["message_taken"]


async def test_a_photo_is_acknowledged_and_shown_to_a_person(world: World, garage: Tenant) -> None:
    await begun(world, garage)
    await world.arrives(sms("", 9, media=(Media(kind="image", reference="x"),)))
    (text,) = await world.answers(garage, None)
    assert "je ne peux pas l'ouvrir" in text.body


@pytest.mark.parametrize(("words", "status"), [("oui", "confirmed"), ("annuler", "cancelled")])
async def test_a_word_acts_on_the_appointment_that_we_wrote_about(
    world: World, garage: Tenant, words: str, status: str
) -> None:
    await world.turns_on(garage)
    start = world.clock.now().replace(second=0, microsecond=0) + timedelta(days=1)
    async with world.storage.tenant(garage.id).write() as rows:
        booked = await rows.appointments.book(NewAppointment(start, 30, "Léa"))
    await world.wrote(garage, appointment_id=booked.id, created_by="reminders")
    world.clock.advance(60)
    await world.arrives(sms(words))
    (text,) = await world.answers(garage, None)
    async with world.storage.tenant(garage.id).read() as rows:
        now = await rows.appointments.get(booked.id)
        assert now is not None
        history = [each.actor for each in await rows.appointments.history(booked.id)]
    assert now.status == status
    assert (now.acknowledged_at is not None) == (words == "oui")
    assert history[-1] == "text"
    assert ("confirmé" in text.body) == (words == "oui")


async def test_a_button_of_an_old_reminder_changes_nothing_any_more(
    world: World, garage: Tenant
) -> None:
    await world.turns_on(garage)
    start = world.clock.now().replace(second=0, microsecond=0) + timedelta(days=1)
    async with world.storage.tenant(garage.id).write() as rows:
        booked = await rows.appointments.book(NewAppointment(start, 30, "Léa"))
        moved = await rows.appointments.reschedule(booked.id, start + timedelta(days=1))
    await world.wrote(garage)
    pressed = button("cancel", booked.id, booked.sequence)
    await world.arrives(sms("Annuler", button=pressed))
    (text,) = await world.answers(garage, None)
    assert "a changé depuis" in text.body
    async with world.storage.tenant(garage.id).read() as rows:
        now = await rows.appointments.get(booked.id)
    assert now is not None
    assert (now.status, now.start_utc) == ("confirmed", moved.start_utc)


async def test_a_channel_that_is_off_leaves_the_message_to_a_person(
    world: World, garage: Tenant
) -> None:
    await world.wrote(garage)
    await world.arrives(sms("Bonjour"))
    async with world.storage.tenant(garage.id).read() as rows:
        told = [each.kind for each in (await rows.notifications.list())[0]]
    assert told == ["text_waits"]
    assert await world.texts(garage) == []


async def test_who_comes_back_after_a_stop_is_a_persons_to_answer(
    world: World, garage: Tenant
) -> None:
    """We mustn't write to them, so no answer is begun that would be suppressed in silence."""
    await begun(world, garage, "STOP")
    await world.arrives(sms("Finalement, vous ouvrez samedi ?", 2))
    assert await told(world, garage) == ["text_waits"]
    async with world.storage._database.read() as connection:
        statement = sa.select(jobs.c.kind).where(jobs.c.kind == "conversation.answer")
        assert (await connection.execute(statement)).all() == []


async def test_only_what_the_agent_answers_is_shown_as_read(world: World, garage: Tenant) -> None:
    shown: list[str] = []

    async def seen(_tenant_id: str, message: IncomingMessage) -> None:
        shown.append(message.text)

    world.receiving = replace(world.receiving, seen=seen)
    await begun(world, garage, "Bonjour")
    it = await world.conversation(garage)
    assert it is not None
    async with world.storage.tenant(garage.id).write() as rows:
        await rows.conversations.hand_to(it.id, HUMAN)
    await world.arrives(sms("Il y a quelqu'un ?", 2))
    assert shown == ["Bonjour"]


async def test_an_email_is_answered_with_all_its_ancestors(world: World, garage: Tenant) -> None:
    await world.turns_on(garage, "email")
    thread = Thread(subject="Devis", message_id="<2@x.fr>", references=("<0@x.fr>", "<1@x.fr>"))
    await world.receiving.record([mail("Et le devis ?", 1, thread=thread)], garage.id)
    await world.settle()
    async with world.storage.tenant(garage.id).read() as rows:
        it = await rows.conversations.with_address("email", "lea@client.example")
    assert it is not None
    job = Job("1", "conversation.answer", {"conversation_id": it.id}, 1, garage.id)
    await Answering(world.storage, world.clock, Scripted([says("Il part demain.")])).run(job)
    (text,) = await world.texts(garage)
    assert (text.in_reply_to, text.subject) == ("<2@x.fr>", "Re: Devis")
    assert tuple(text.extras["references"]) == ("<0@x.fr>", "<1@x.fr>")


async def told(world: World, tenant: Tenant) -> list[str]:
    async with world.storage.tenant(tenant.id).read() as rows:
        return [each.kind for each in (await rows.notifications.list())[0]]


# ----------------------------------------------------------------------- who may be anybody


def mail(words: str, number: int, **changed: Any) -> IncomingMessage:
    return IncomingMessage(
        channel="email",
        vendor_id=f"<{number}@client.example>",
        sender="lea@client.example",
        recipient="boite@in.example.fr",
        text=words,
        **changed,
    )


async def test_a_forged_mail_isnt_answered_together_with_a_real_one(
    world: World, garage: Tenant
) -> None:
    await world.turns_on(garage, "email")
    real, forged = mail("Bonjour", 1), mail("Annulez tout", 2, doubtful=True)
    for each in (real, forged, mail("Alors ?", 3)):
        await world.receiving.record([each], garage.id)
        await world.settle()
    async with world.storage.tenant(garage.id).read() as rows:
        it = await rows.conversations.with_address("email", "lea@client.example")
        assert it is not None
        assert it.handled_by == HUMAN
        waiting, *_ = await rows.notifications.list()
    assert [each.kind for each in waiting] == ["text_waits"]
    agent = Scripted([says("C'est fait.")])
    job = Job("1", "conversation.answer", {"conversation_id": it.id}, 1, garage.id)
    await Answering(world.storage, world.clock, agent).run(job)
    assert not agent.seen


async def test_nobody_else_allows_texts_again(world: World, garage: Tenant) -> None:
    stop, forged = mail("STOP", 1), mail("START", 2, doubtful=True)
    echo = mail("START", 3, echo=True)
    await world.receiving.record([stop, forged, echo], garage.id)
    await world.settle()
    async with world.storage.tenant(garage.id).read() as rows:
        assert await rows.consents.refusal("email", stop.sender, "service") == "opted_out"
    await world.receiving.record([mail("START", 4)], garage.id)
    await world.settle()
    async with world.storage.tenant(garage.id).read() as rows:
        assert await rows.consents.refusal("email", stop.sender, "service") is None


async def test_what_one_business_is_sent_waits_in_its_own_turn(
    world: World, garage: Tenant, database: Database
) -> None:
    await world.receiving.record([mail("Bonjour", 1)], garage.id)
    await world.receiving.record([sms("Bonjour", 2)])
    async with database.read() as connection:
        found = await connection.execute(
            sa.select(jobs.c.tenant_id).where(jobs.c.kind == "text.receive").order_by(jobs.c.id)
        )
        assert found.scalars().all() == [garage.id, None]


async def test_who_writes_isnt_told_of_lines_that_were_cut(world: World, garage: Tenant) -> None:
    await begun(world, garage, "Bonjour")
    agent = Scripted([says("Bonjour !")])
    await world.answers(garage, agent)
    told = agent.seen[0][0].text
    assert f"écrit du {CUSTOMER}" in told
    assert "La ligne a été coupée" not in told
    assert "téléphone du" not in told

"""From the door to the conversation: a text is recorded by its webhook, and brought by a job to
whomever it is for.

What isn't anybody's by its address is the business's that wrote to that person last, if that is
unambiguous; otherwise the person is asked, once or twice, and what they wrote waits for the answer.
That question is the only text of ours that isn't in an outbox, for it is no business's: its row in
`inbound_texts` says `sending` before the vendor is asked, and nobody asks twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec
import structlog

from domain.clock import Clock
from domain.errors import CoccinelleError
from domain.jobs import Again, Job
from domain.messages import text
from domain.opt_out import Order, order_in
from domain.tenant import DEFAULT_LOCALE, Tenant
from messaging.conversation import PAUSE, shown_media
from messaging.incoming import IncomingMessage
from messaging.ports import TIME_LIMIT, UnknownOutcome
from messaging.whose import PATIENCE, REMEMBERED, Ask, Meant, code_in, named_by, whose
from storage import Storage, TenantRows
from storage.conversations import AGENT, Conversation, Received
from storage.cursors import Part
from storage.inbound import ASKED, IGNORED, ROUTED, Arrived, InboundText

log = structlog.get_logger(__name__)

#: The job that answers: payload {"conversation_id": …}.
ANSWER: Final = "conversation.answer"
#: How often one person is asked whom they mean, within PATIENCE.
QUESTIONS: Final = 2
#: Questions per minute from all of us: somebody may write from a thousand numbers.
QUESTIONS_PER_MINUTE: Final = 30
#: A message that waits for its turn behind the same person's question.
_SOON: Final = timedelta(seconds=5)


class Asker(Protocol):
    """Sends a stranger our question, from the number that they wrote to."""

    async def ask(self, inbound_id: str, to: str, sender: str, words: str) -> None:
        """Once. Raises ProviderError: UnknownOutcome when it may have gone out."""
        ...


#: Told of each message that the agent answers (marks it read, shows that we type).
Seen = Callable[[str, IncomingMessage], Awaitable[None]]


async def _unseen(_tenant_id: str, _message: IncomingMessage) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Receiving:
    """Holds no message."""

    storage: Storage
    clock: Clock
    asker: Asker | None = None
    seen: Seen = _unseen

    async def record(
        self, messages: Sequence[IncomingMessage], tenant_id: str | None = None
    ) -> int:
        """What a verified webhook brought; how many of them were new. `tenant_id` when the door
        tells it. OperatorError: nothing is stored, let the vendor come again."""
        return await self.storage.inbound.record(
            [
                Arrived(
                    channel=each.channel,
                    # Two businesses may get one e-mail, and its Message-ID is anybody's word.
                    vendor_key=":".join(filter(None, (each.channel, tenant_id, each.vendor_id))),
                    sender=each.sender or each.sender_id,
                    recipient=each.recipient,
                    payload=msgspec.to_builtins(each),
                    tenant_id=tenant_id,
                )
                for each in messages
            ]
        )

    async def take(self, job: Job) -> Again | None:
        """The job: bring one message where it belongs."""
        row = await self.storage.inbound.get(str(job.payload["inbound_id"]))
        if row is None or row.state in (ROUTED, IGNORED):
            return None
        message = msgspec.convert(row.payload, IncomingMessage)
        tenant_id = row.tenant_id or await self._whose(row, message)
        if tenant_id is not None:
            await self._bring(row, message, tenant_id)
        return None

    # ------------------------------------------------------------------------- whose it is

    async def _whose(self, row: InboundText, message: IncomingMessage) -> str | None:
        """The tenant, or None: it waits, or was done with."""
        inbound = self.storage.inbound
        if row.channel != "sms":  # the doors of the others know
            await inbound.ignore(row.id)
            return None
        own = await inbound.owner_of_number(row.recipient)
        if own is not None:
            await inbound.assign([row.id], own)
            return own
        wrote = await inbound.who_wrote(row.channel, row.sender, REMEMBERED)
        meant = whose(wrote, self.clock.now())
        if isinstance(meant, Meant):
            await inbound.assign([row.id], meant.tenant.id)
            return meant.tenant.id
        if _order_of(message) == "stop":
            # Issue 6: for all who wrote in the last 30 days, if it is unclear.
            for each in wrote:
                await self._stop(each.tenant.id, message)
            await inbound.ignore(row.id)
            return None
        if message.automatic or row.state == ASKED:
            return None
        if not await self._answered(row, message):
            await self._asked(row, meant)
        return None

    async def _stop(self, tenant_id: str, message: IncomingMessage) -> None:
        async with self.storage.tenant(tenant_id).write() as rows:
            await _order(rows, message, "stop", None)

    async def _answered(self, row: InboundText, message: IncomingMessage) -> bool:
        """Whether this answers our question: then what waits for the answer goes on its way."""
        inbound = self.storage.inbound
        since = self.clock.now() - PATIENCE
        waiting = await inbound.waiting(row.channel, row.sender, since)
        question = next((each for each in reversed(waiting) if each.question), None)
        if question is None:
            return False
        tenant = await self._named(message.text, question.candidates)
        if tenant is None:
            return False
        ids = [each.id for each in waiting]
        await inbound.assign(ids, tenant.id)
        for each in ids:
            await inbound.wake(each)
        await inbound.ignore(row.id)  # "2" is for us, not for the business
        return True

    async def _named(self, words: str, candidates: Sequence[str]) -> Tenant | None:
        operator = self.storage.operator
        found = [await operator.get_tenant(each) for each in candidates]
        among = [each for each in found if each is not None and each.status == "active"]
        tenant = named_by(words, among)
        code = code_in(words)
        if tenant is None and code is not None:
            tenant = await operator.tenant_by_code(code)
        return tenant or await operator.tenant_named(words)

    async def _asked(self, row: InboundText, ask: Ask) -> None:
        inbound, now = self.storage.inbound, self.clock.now()
        current = await inbound.get(row.id)
        if self.asker is None or current is None or current.state != "new":
            return
        waiting = await inbound.waiting(row.channel, row.sender, now - PATIENCE)
        asked = [each for each in waiting if each.question]
        # One question at a time; a second one only for an answer that we didn't understand.
        recent = any(now - each.received_at < _SOON for each in asked)
        if recent or len(asked) >= QUESTIONS or not await self._may_ask():
            await inbound.wait_with(row.id)
            return
        choices = ", ".join(f"{n} {each.name}" for n, each in enumerate(ask.among, start=1))
        key = "text_which" if ask.among else "text_which_unknown"
        words = (
            text(DEFAULT_LOCALE, key, choices=choices) if ask.among else text(DEFAULT_LOCALE, key)
        )
        if not await inbound.ask(row.id, words, [each.id for each in ask.among]):
            return
        outcome = "sent"
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await self.asker.ask(row.id, row.sender, row.recipient, words)
        except (TimeoutError, UnknownOutcome):
            outcome = "unknown"
        except CoccinelleError as error:
            log.warning("inbound.not_asked", error=type(error).__name__)
            outcome = "failed"
        await inbound.asked(row.id, outcome)

    async def _may_ask(self) -> bool:
        wait = await self.storage.rates.wait("questions", "", per_minute=QUESTIONS_PER_MINUTE)
        return not wait

    # -------------------------------------------------------------------- to its conversation

    async def _bring(self, row: InboundText, message: IncomingMessage, tenant_id: str) -> None:
        async with self.storage.tenant(tenant_id).write() as rows:
            if not await rows.inbound.route(row.id):
                return
            answers = await self._receive(rows, message)
        if answers:  # what a person is to read isn't read yet, and nobody types
            await self.seen(tenant_id, message)

    async def _receive(self, rows: TenantRows, message: IncomingMessage) -> bool:
        """Into its conversation; whether the agent answers it."""
        tenant = await rows.tenant()
        contact = await rows.contacts.person(
            name=message.sender_name or None, **_addresses(message), source=_source(message)
        )
        contact_id = contact.id if contact is not None else None
        conversation = await _conversation(rows, message, contact_id)
        order = _order_of(message)
        if order is not None:
            await _order(rows, message, order, contact_id)
        quiet = order is not None or bool(message.opt_out) or message.automatic
        conversation = await rows.conversations.receive(
            conversation.id,
            _received(message, tenant),
            settled=quiet,
            # Neither is it answered together with what the person themselves wrote.
            for_human=message.doubtful and not quiet,
        )
        if message.thread is not None:
            await rows.conversations.remember_thread(
                conversation.id, msgspec.to_builtins(message.thread)
            )
        if conversation.waits and await _answers(rows, conversation):
            at = self.clock.now() + PAUSE[message.channel]
            key = f"conversation:{conversation.id}"
            await rows.jobs.put(ANSWER, {"conversation_id": conversation.id}, key=key, at=at)
            return True
        if conversation.waits:
            await rows.notifications.tell(
                "text_waits",
                subject_id=conversation.id,
                # Once an hour: somebody who writes ten lines is one reason to look.
                key=f"text_waits:{conversation.id}:{self.clock.now():%Y%m%d%H}",
                values={
                    "who": conversation.name or conversation.address,
                    "channel": message.channel,
                },
            )
        return False


def _addresses(message: IncomingMessage) -> dict[str, str | None]:
    if message.channel == "email":
        return {"email": message.sender}
    if message.channel == "sms":
        return {"phone": message.sender}
    both = " ".join(filter(None, (message.sender, message.sender_id)))
    return {"whatsapp": both or None}


def _source(message: IncomingMessage) -> str:
    # Anybody can write any From: an e-mail proposes who it is from, and proves nothing.
    return "said" if message.channel == "email" else "message"


async def _conversation(
    rows: TenantRows, message: IncomingMessage, contact_id: str | None
) -> Conversation:
    """Theirs on this channel; begun if there is none. Who first came by a number and then by a
    user id alone is still the same person."""
    known = None
    for address in filter(None, (message.sender, message.sender_id)):
        known = known or await rows.conversations.with_address(message.channel, address)
    if known is None and contact_id is not None and message.channel == "whatsapp":
        page = await rows.conversations.list(
            channel=message.channel, contact_id=contact_id, part=Part(limit=1)
        )
        known = page.items[0] if page.items else None
    return await rows.conversations.open(
        message.channel,
        known.address if known is not None else message.sender or message.sender_id,
        contact_id=contact_id,
        our_address=message.recipient,
        name=message.sender_name,
    )


def _received(message: IncomingMessage, tenant: Tenant) -> Received:
    words = message.text
    if message.media and words:
        words = f"{words}\n{shown_media([each.kind for each in message.media], tenant.locale)}"
    media: list[Mapping[str, Any]] = [msgspec.to_builtins(each) for each in message.media]
    return Received(
        content=words,
        vendor_id=message.vendor_id,
        author="owner" if message.echo else "customer",
        media=media,
        button=message.button,
        sent_at=message.sent_at,
    )


def _order_of(message: IncomingMessage) -> Order | None:
    """What a message, or the vendor of its own accord, says about further texts. The owner speaks
    for nobody; and whoever may be anybody ends texts, but doesn't allow them again."""
    order = order_in(message.text)
    if message.echo or (message.doubtful and order == "start"):
        return None
    if order in ("stop", "stop_marketing", "start"):
        return order
    return {"STOP": "stop", "START": "start"}.get(message.opt_out)  # type: ignore[return-value]


async def _order(
    rows: TenantRows, message: IncomingMessage, order: Order, contact_id: str | None
) -> None:
    """They want no more texts, or want them again: kept with their very words."""
    await rows.consents.ordered(
        channel=message.channel,
        address=message.sender or message.sender_id,
        contact_id=contact_id,
        order=order,
        wording=message.text,
    )


async def _answers(rows: TenantRows, conversation: Conversation) -> bool:
    """Whether the agent answers on this channel, and nobody else has taken over. Whoever wrote
    STOP and comes back without START can't be written to: a person must know that they wait."""
    if conversation.handled_by != AGENT:
        return False
    to, contact_id = conversation.address, conversation.contact_id
    if await rows.consents.refusal(conversation.channel, to, "answer", contact_id) is not None:
        return False
    channel = await rows.channels.get(conversation.channel)
    templates = channel.config.get("templates")
    chosen = templates.get("reponseAuto", True) if isinstance(templates, Mapping) else True
    return channel.enabled and bool(chosen)

"""The agent's answer to what somebody has written: one per burst, made by a durable job.

The model is asked with the same instructions, functions and knowledge as on the telephone. The
answer is put into the outbox in the transaction that says that the burst has its answer: if
somebody has written again meanwhile, or a person has taken over, it isn't wanted any more, and what
its functions have done stands in the history for the next one.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from traceback import extract_tb
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from domain.agent import AgentProfile, CallContext, function_names, instructions, profile
from domain.clock import Clock
from domain.dialogue import dialogue
from domain.errors import Conflict, NotFound, OperatorError, ProviderError
from domain.jobs import Again, Job
from domain.language_model import FunctionRequest, FunctionSpec, ModelMessage
from domain.memory import NOTHING, Memory, remembered
from domain.messages import text
from domain.spoken import spoken_instant
from domain.tenant import Tenant
from messaging.conversation import (
    About,
    Cancel,
    Confirm,
    Converse,
    Move,
    OnlyMedia,
    TooMuch,
    decide,
    disclosed,
    note,
    shown_media,
    written,
)
from storage import NewTicket, Storage, StoredResult, TenantRows
from storage.appointments import Change
from storage.conversations import AGENT, HUMAN, Conversation, Line
from storage.text_rows import NewText

log = structlog.get_logger(__name__)

#: How long the model may take, its functions included, seconds: less than the job's lease.
MODEL_SECONDS: Final = 45.0
#: Rounds of functions in one answer; then it must say something.
ROUNDS: Final = 5
#: An answer that couldn't leave within a day answers nobody any more.
USEFUL_FOR: Final = timedelta(hours=24)
_HOUR: Final = timedelta(hours=1)
#: What has no meaning without a telephone line.
_SPOKEN_ONLY: Final = frozenset({"end_call", "transfer_call", "send_text"})
_SENT: Final = frozenset({"accepted", "sent", "delivered", "read", "sending", "queued", "unknown"})


@dataclass(frozen=True, slots=True)
class Said:
    """What the model answered: words, and functions that it wants run."""

    text: str
    requests: Sequence[FunctionRequest]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who is written with, for functions. `number` is E.164, or None on channels without one;
    `email` the address that they write from, on that channel;
    `turn` the number of the last message that is being answered. `appointments`: ids of those that
    our own texts in this conversation were about, which whoever reads them therefore knows."""

    tenant: Tenant
    conversation_id: str
    turn: int
    channel: str
    locale: str
    number: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    contact_id: str | None = None
    appointments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Done:
    """A function's result, JSON-able; `effect`: it has written rows."""

    result: dict[str, Any]
    effect: bool


class Agent(Protocol):
    """The model and the functions; the server introduces them."""

    async def ask(
        self,
        messages: Sequence[ModelMessage],
        functions: Sequence[FunctionSpec],
        seconds: float,
    ) -> Said:
        """One answer, whole, not empty. ProviderError."""
        ...

    def specs(self, names: Sequence[str], locale: str) -> Sequence[FunctionSpec]:
        """The functions of these names as the model sees them; unknown ones are left out."""
        ...

    async def run(self, request: FunctionRequest, writer: Writer) -> Done:
        """Run it exactly once by its id. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class _Turn:
    """All that is known when an answer is begun."""

    tenant: Tenant
    who: AgentProfile
    conversation: Conversation
    burst: Sequence[Line]
    lines: Sequence[Line]
    runs: Sequence[StoredResult]
    has_knowledge: bool
    now: datetime
    memory: Memory = NOTHING
    sender: str | None = None

    @property
    def seq(self) -> int:
        return self.burst[-1].seq

    @property
    def locale(self) -> str:
        return self.who.language

    @property
    def about(self) -> About | None:
        """The appointment that our last text was about."""
        ours = [line for line in self.lines if line.author == "agent" and line.status in _SENT]
        if not ours or ours[-1].appointment_id is None:
            return None
        return About(ours[-1].appointment_id, ours[-1].at)

    @property
    def answers_within_hour(self) -> int:
        since = self.now - _HOUR
        return sum(line.author == "agent" and line.at > since for line in self.lines)

    @property
    def writer(self) -> Writer:
        it = self.conversation
        told = {line.appointment_id for line in self.lines if line.status in _SENT}
        return Writer(
            tenant=self.tenant,
            conversation_id=it.id,
            turn=self.seq,
            channel=it.channel,
            locale=self.locale,
            number=it.address if it.address.startswith("+") else None,
            email=it.address if it.channel == "email" else None,
            contact_id=it.contact_id,
            appointments=frozenset(each for each in told if each),
        )


@dataclass(frozen=True, slots=True)
class Answering:
    """Holds no conversation. `agent` None: no model is set, and every message is a person's.
    `own_numbers`: the deployment's, which tenants share (E.164)."""

    storage: Storage
    clock: Clock
    agent: Agent | None
    own_numbers: frozenset[str] = frozenset()

    async def run(self, job: Job) -> Again | None:
        """The job: answer what waits, if it is still the agent's to answer."""
        assert job.tenant_id is not None
        turn = await self._begin(job.tenant_id, str(job.payload["conversation_id"]))
        if turn is not None:
            await self._carry_out(turn)
        return None

    async def _begin(self, tenant_id: str, conversation_id: str) -> _Turn | None:
        async with self.storage.tenant(tenant_id).read() as rows:
            try:
                conversation = await rows.conversations.get(conversation_id)
            except NotFound:  # erased meanwhile
                return None
            if conversation.handled_by != AGENT or not conversation.waits:
                return None
            after = conversation.answered_seq
            burst = await rows.conversations.unanswered(conversation_id, after)
            if not burst:
                return None
            tenant = await rows.tenant()
            phone = await rows.channels.get("phone")
            turn = _Turn(
                tenant=tenant,
                who=profile(tenant, phone.config),
                conversation=conversation,
                burst=burst,
                lines=await rows.conversations.lines(conversation_id),
                runs=await rows.functions.of_conversation(conversation_id),
                has_knowledge=await rows.knowledge.has_any(),
                now=self.clock.now(),
            )
            writer = turn.writer
            memory = await rows.memories.of_writer(
                writer.number, writer.contact_id, conversation_id=conversation_id
            )
        numbers = self.own_numbers | set(await self.storage.operator.numbers(tenant_id))
        return replace(turn, memory=memory, sender=conversation.answers_by(numbers))

    async def _carry_out(self, turn: _Turn) -> None:
        move: Move = decide(turn.burst, turn.about, turn.answers_within_hour, turn.now)
        match move:
            case Confirm() | Cancel():
                await self._appointment(turn, move)
            case OnlyMedia():
                words = text(turn.locale, "text_only_media")
                await self._answer(turn, words, needs="text_waits")
            case TooMuch():
                await self._hand_over(turn)
            case Converse():
                await self._converse(turn)

    # ------------------------------------------------------------------- deterministic words

    async def _appointment(self, turn: _Turn, move: Confirm | Cancel) -> None:
        key, when = "text_no_appointment", ""
        async with self.storage.tenant(turn.tenant.id).write() as rows:
            appointment = await rows.appointments.get(move.appointment_id)
            stale = appointment is not None and move.sequence not in (None, appointment.sequence)
            if appointment is not None and appointment.start_utc > turn.now and stale:
                key, when = "text_moved_since", _when(appointment.start_utc, turn)
            elif appointment is not None and appointment.start_utc > turn.now:
                try:
                    if isinstance(move, Confirm):
                        await rows.appointments.acknowledge(
                            appointment.id, change=Change(by="text")
                        )
                    else:
                        await rows.appointments.cancel(appointment.id, change=Change(by="text"))
                except Conflict:
                    pass  # over, or cancelled by the business meanwhile: said as it is
                else:
                    confirmed = isinstance(move, Confirm)
                    key = "text_confirmed" if confirmed else "text_cancelled"
                    when = _when(appointment.start_utc, turn)
            words = text(turn.locale, key, when=when)
            await self._put(rows, turn, words, appointment_id=None)

    # ------------------------------------------------------------------------------ the model

    async def _converse(self, turn: _Turn) -> None:
        try:
            words = await self._made(turn)
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            log.warning("text.model_fails", conversation_id=turn.conversation.id, reason=reason)
            await self._down(turn)
            return
        except OperatorError:
            raise  # the job comes again
        except Exception as error:  # noqa: BLE001 - a fault of ours: who wrote isn't left waiting
            log.error(
                "text.not_answered",
                conversation_id=turn.conversation.id,
                error=type(error).__name__,
                at=[f"{each.filename}:{each.lineno}" for each in extract_tb(error.__traceback__)],
            )
            await self._down(turn)
            return
        await self._answer(turn, words)

    async def _made(self, turn: _Turn) -> str:
        if self.agent is None:
            raise ProviderError("llm", "no text model is set", retryable=False, code="none")
        names = function_names(
            turn.who.agent_type, has_transfer=False, has_knowledge=turn.has_knowledge
        )
        specs = self.agent.specs([n for n in names if n not in _SPOKEN_ONLY], turn.locale)
        messages = self._told(turn)
        async with asyncio.timeout(MODEL_SECONDS):
            for index in range(ROUNDS + 1):
                said = await self.agent.ask(
                    messages, specs if index < ROUNDS else (), MODEL_SECONDS
                )
                if not said.requests:
                    return said.text
                messages.append(ModelMessage("assistant", said.text, said.requests))
                for request in said.requests:
                    done = await self.agent.run(_numbered(request, turn.seq), turn.writer)
                    result = json.dumps(done.result, ensure_ascii=False)
                    messages.append(ModelMessage("function", result, answers=request.id))
        raise ProviderError("llm", "functions without end", retryable=True, code="rounds")

    def _told(self, turn: _Turn) -> list[ModelMessage]:
        number = turn.writer.number
        context = CallContext(
            now=turn.now.astimezone(_zone(turn.tenant)),
            caller_number=number,
            has_transfer=False,
            written=True,
            has_knowledge=turn.has_knowledge,
            remembered=remembered(turn.memory, turn.tenant.timezone, turn.locale),
        )
        told = note(turn.conversation.channel, turn.locale, knows=bool(turn.writer.appointments))
        system = f"{instructions(turn.who, context)}\n\n{told}"
        said = [
            (line.at, _message(line, turn.locale))
            for line in turn.lines
            if not line.status or line.status in _SENT  # what never left was never said
        ]
        return [ModelMessage("system", system), *dialogue(said, turn.runs)]

    # ----------------------------------------------------------------------------- the answer

    async def _answer(self, turn: _Turn, words: str, *, needs: str | None = None) -> None:
        async with self.storage.tenant(turn.tenant.id).write() as rows:
            put = await self._put(rows, turn, words)
            if put and needs is not None:
                await rows.notifications.tell(
                    needs,
                    subject_id=turn.conversation.id,
                    values=_waits(turn),
                )

    async def _put(
        self, rows: TenantRows, turn: _Turn, words: str, *, appointment_id: str | None = None
    ) -> bool:
        """Into the outbox, unless it isn't wanted any more."""
        conversation = turn.conversation
        body, introduced = disclosed(words, turn.who, conversation.ai_disclosed_at, turn.now)
        if not await rows.conversations.answered(conversation.id, turn.seq, disclosed=introduced):
            return False
        await rows.outbox.put(
            NewText(
                channel=conversation.channel,
                to=conversation.address,
                contact_id=conversation.contact_id,
                purpose="answer",
                body=written(body, conversation.channel),
                subject=_subject(conversation),
                dedupe_key=f"answer:{conversation.id}:{turn.seq}",
                expires_at=turn.now + USEFUL_FOR,
                conversation_id=conversation.id,
                in_reply_to=str(conversation.thread.get("message_id", "")) or None,
                references=tuple(conversation.thread.get("references", ())),
                appointment_id=appointment_id,
                created_by="agent",
                sender=turn.sender,
            )
        )
        return True

    async def _down(self, turn: _Turn) -> None:
        """No model answers: said honestly, and a person is asked to."""
        async with self.storage.tenant(turn.tenant.id).write() as rows:
            if await self._put(rows, turn, text(turn.locale, "text_down")):
                await self._ticket(rows, turn)

    async def _hand_over(self, turn: _Turn) -> None:
        async with self.storage.tenant(turn.tenant.id).write() as rows:
            if await self._put(rows, turn, text(turn.locale, "text_too_much")):
                await self._ticket(rows, turn)
                await rows.conversations.hand_to(turn.conversation.id, HUMAN)

    async def _ticket(self, rows: TenantRows, turn: _Turn) -> None:
        conversation = turn.conversation
        words = "\n".join(line.content for line in turn.burst)
        await rows.tickets.add(
            NewTicket(
                customer_name=conversation.name,
                customer_phone=turn.writer.number,
                customer_email=conversation.address if conversation.channel == "email" else None,
                subject=text(turn.tenant.locale, "text_down_subject", channel=conversation.channel),
                description=words,
                priority="medium",
                category="message",
                contact_id=conversation.contact_id,
            )
        )


def _numbered(request: FunctionRequest, turn: int) -> FunctionRequest:
    """With an id that is the same when the job runs again and asks for the same: the model's own
    is another each time."""
    asked = sha256(f"{request.name}\n{request.arguments}".encode()).hexdigest()[:16]
    return FunctionRequest(f"text-{turn}-{asked}", request.name, request.arguments)


def _waits(turn: _Turn) -> dict[str, str]:
    """What the owner is told of it."""
    it = turn.conversation
    return {"who": it.name or it.address, "channel": it.channel, "reason": ""}


def _when(start: datetime, turn: _Turn) -> str:
    zone = _zone(turn.tenant)
    today = turn.now.astimezone(zone).date()
    return spoken_instant(start.astimezone(zone), today, turn.locale).removesuffix(".")


def _zone(tenant: Tenant) -> ZoneInfo:
    return ZoneInfo(tenant.timezone)


def _subject(conversation: Conversation) -> str:
    """Of an e-mail: the thread's, as an answer."""
    subject = str(conversation.thread.get("subject", "")).strip()
    if not subject or conversation.channel != "email":
        return ""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def _message(line: Line, locale: str) -> ModelMessage:
    words = line.content
    if line.media and not words:
        words = shown_media([str(each.get("kind", "")) for each in line.media], locale)
    return ModelMessage("user" if line.author == "customer" else "assistant", words)

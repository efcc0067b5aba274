"""How a call is answered: whose it is, journalled first, one answer per CallSid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from domain import phone
from domain.clock import Clock
from domain.messages import text
from domain.tenant import DEFAULT_LOCALE, Tenant
from storage import Storage
from storage.call_register import StreamToken
from storage.calls import CallRow, NewCall
from storage.journal import JournalEntry
from voice import twiml
from voice.bypass import Bypass
from voice.endings import ASKING, BROKEN, CLOSING, OPENING, OVERFLOW, REJECTED, Endings
from voice.ladder import SPEAKING, Rung
from voice.line_tests import is_line_test, unread_forwarding
from voice.live_calls import LiveCalls
from voice.lower_rungs import KINDS, OWNER, Choice, LowerRungs, listed
from voice.routing import Ask, Confirm, Decision, Found, is_yes, match_company, whose
from voice.stream_token import LIFETIME, derive, digest, new_nonce
from voice.streams import Streams
from voice.vapi_webhooks import BYPASS

log = structlog.get_logger(__name__)

#: The issue's rules.
HISTORY = timedelta(days=30)
TRIES = 2
#: The opening of a call of our own that was forwarded to us: it concerns no agent and no tenant.
LINE_TEST = "line_test"
#: A dial of ours rings 20 s and is announced for 10: a call that comes back comes within this.
OWN_DIAL = timedelta(seconds=60)
#: What a new call isn't offered by a node that is full: a stream, and a conversation by turns,
#: whose requests take about as much of a core as a stream does.
_COSTLY = SPEAKING | {Rung.TURNS}
#: Where a stream broke Twilio asks `continue` at once; a node that misses the stream's has it ask
#: again after at least 2 s (voice/rescue.py). Both about the same break are this close, or one of
#: them finds a stream.
ASKED_TWICE = timedelta(seconds=2)
#: What is said to callers for whom nothing more can be done.
_LAST_WORDS = {"unknown": "tenant_unknown", LINE_TEST: "line_test_heard"}


@dataclass(frozen=True, slots=True)
class Opened:
    """What the webhook is answered with; `call_id` when it is a call that wasn't known before."""

    twiml: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Openings:
    """Answers the voice webhook and the questions that follow it."""

    storage: Storage
    streams: Streams
    lower: LowerRungs
    live_calls: LiveCalls
    endings: Endings
    clock: Clock
    addresses: twiml.Addresses
    token_secret: bytes = field(repr=False)
    own_numbers: frozenset[str]
    region: str
    bypass: Bypass | None = None

    async def warm_up(self) -> None:
        """Walk the way of a call once, for nobody: statements are compiled, patterns and function
        schemas built. Otherwise the first callers of a fresh server pay for it, all at once."""
        nobody = self._read({"CallSid": "", "From": "+33000000000", "ForwardedFrom": "0"})
        await self._is_test(nobody)
        await self._is_our_own_dial(nobody)
        await self._whose(nobody)
        await self.storage.operator.join_stream("", "", OPENING, self.clock.now())
        twiml.stream(self.addresses, "")
        self.streams.warm_up()

    # ------------------------------------------------------------------------ a call comes in

    async def open(self, form: Mapping[str, str]) -> Opened:
        """Answer a call, once: whatever is concluded here, a call that is known already gets its
        earlier answer. Journalled before it is returned. Raises OperatorError."""
        call = self._read(form)
        if await self._is_test(call):
            return await self._journal(call, REJECTED, {"kind": LINE_TEST}, None)
        if await self._is_our_own_dial(call):
            return await self._journal(call, REJECTED, {"kind": "reject"}, None)
        decision = await self._whose(call)
        if isinstance(decision, Found):
            return await self._answer(call, decision)
        return await self._journal(call, ASKING, _question(decision, 1), None)

    async def _again(self, row: CallRow) -> str:
        """A repeated webhook: the earlier answer; an ended call gets nothing."""
        if row.outcome is not None:
            return twiml.nothing()
        return await self._render(row)

    def _read(self, form: Mapping[str, str]) -> NewCall:
        caller = phone.normalise(form.get("From"), self.region) or ""
        dialled = phone.normalise(form.get("To"), self.region) or ""
        forwarded = phone.normalise(form.get("ForwardedFrom"), self.region)
        if forwarded in {caller, dialled} | self.own_numbers:
            forwarded = None
        return NewCall(
            call_sid=form["CallSid"],
            from_number=caller,
            from_raw=form.get("From", "")[:200],
            to_number=dialled,
            forwarded_from=forwarded,
            forwarded_from_raw=form.get("ForwardedFrom", "")[:200],
            tenant_id=None,
            found_by=None,
            stage=ASKING,
        )

    async def _whose(self, call: NewCall) -> Decision:
        operator = self.storage.operator
        forwarded, dialled, line = call.forwarded_from, None, None
        shown = forwarded or unread_forwarding(call, self.region)
        if call.to_number and call.to_number not in self.own_numbers:
            dialled = await operator.tenant_by_number(call.to_number)
        if shown and dialled is None:
            line = await operator.tenant_by_line(shown)
            if line is None and forwarded and forwarded in await operator.our_numbers():
                forwarded = None
        recent: list[Tenant] = []
        if dialled is None and forwarded is None and call.from_number:
            since = self.clock.now() - HISTORY
            recent = list(await operator.tenants_of_contact(call.from_number, since))
        return whose(dialled=dialled, forwarded=forwarded is not None, line=line, recent=recent)

    async def _is_test(self, call: NewCall) -> bool:
        """Our own call to a business's line, to see whether it is forwarded, has come back."""
        since = self.clock.now() - OWN_DIAL
        return await is_line_test(self.storage, call, self.own_numbers, self.region, since)

    async def _is_our_own_dial(self, call: NewCall) -> bool:
        """A transfer that we dialled has been forwarded back to us."""
        if call.from_number and call.from_number in self.own_numbers:
            return True
        pending = await self.storage.operator.pending_transfers(self.clock.now() - OWN_DIAL)
        return any(
            transfer.number == call.forwarded_from
            if call.forwarded_from
            else call.from_number and transfer.from_number == call.from_number
            for transfer in pending
        )

    # ---------------------------------------------------------------------------- the answer

    async def _first(self, found: Found, call_sid: str, from_number: str) -> Choice:
        """Who takes a new call: while this node is full, the owner's phone or the voicemail."""
        tenant_id = found.tenant.id
        choice = await self.lower.choose(tenant_id, call_sid, from_number)
        if choice.speaks and self.live_calls.is_full(call_sid):
            choice = await self.lower.choose(tenant_id, call_sid, from_number, _COSTLY)
        return choice

    async def _answer(self, call: NewCall, found: Found) -> Opened:
        choice = await self._first(found, call.call_sid, call.from_number)
        if not choice.speaks:
            opening, stage = await self.lower.opening(choice)
            return await self._journal(call, stage, opening, found)
        if not await self.live_calls.admit(call.call_sid, found.tenant.id):
            return await self._journal(call, OVERFLOW, {"kind": "overflow"}, found)
        return await self._journal(call, OPENING, self._speaking(choice), found)

    def _speaking(self, choice: Choice) -> dict[str, Any]:
        """How the caller reaches the agent: through us, or not."""
        if choice.rung is Rung.VAPI and self.bypass and self.bypass.wanted(choice.config):
            return {"kind": BYPASS}
        return {"kind": "stream", "nonce": new_nonce()}

    async def _bypassed(self, row: CallRow) -> str:
        """Vapi's own document, or, when it gives none, a stream without it."""
        if self.bypass is not None and not await self.bypass.was_tried(row):
            document = await self.bypass.answer(row)
            if document is not None:
                return document
        opening = {"kind": "stream", "nonce": new_nonce(), "without": [Rung.VAPI.value]}
        return await self.reopen(row, opening, OPENING)

    async def afterwards(self, row: CallRow) -> tuple[CallRow, str | None]:
        """A call that has lost its stream, and whose agent may have ended it: as it stands now, and
        the document that ends it, if it is over. OperatorError."""
        if self.bypass is None or row.opening.get("kind") != BYPASS:
            return row, None
        return await self.bypass.afterwards(row)

    async def _journal(
        self, call: NewCall, stage: str, opening: dict[str, Any], found: Found | None
    ) -> Opened:
        tenant_id, found_by = (found.tenant.id, found.by) if found else (None, None)
        row, created = await self.storage.operator.open_call(
            NewCall(
                call_sid=call.call_sid,
                from_number=call.from_number,
                from_raw=call.from_raw,
                to_number=call.to_number,
                forwarded_from=call.forwarded_from,
                forwarded_from_raw=call.forwarded_from_raw,
                tenant_id=tenant_id,
                found_by=found_by,
                stage=stage,
            ),
            opening,
            self._token(call.call_sid, opening),
        )
        if not created:
            if row.outcome is not None:
                self.live_calls.release(call.call_sid)
            return Opened(await self._again(row))
        log.info("call.opened", call_id=row.id, tenant_id=tenant_id, found_by=found_by, stage=stage)
        await self._set_in_motion(row)
        return Opened(await self._render(row), row.id)

    def _token(self, call_sid: str, opening: Mapping[str, Any]) -> StreamToken | None:
        """What is stored of the token that an answer carries."""
        if opening["kind"] != "stream":
            return None
        token = derive(self.token_secret, call_sid, opening["nonce"])
        return StreamToken(digest(token), self.clock.now() + LIFETIME)

    async def _set_in_motion(self, row: CallRow) -> None:
        """What the answer promises: an agent who is there in time, a ticket for the call-back."""
        kind = row.opening.get("kind")
        if kind == "stream":
            if not self.live_calls.is_leaving:  # most likely the stream opens elsewhere
                self.streams.prepare(row)
        elif kind == "overflow":
            await self.endings.call_back(row, "overflow")
        elif kind in KINDS:
            self.live_calls.release(row.call_sid)  # without a stream no place is taken
            await self.lower.begin(row)

    async def _render(self, row: CallRow) -> str:
        opening = row.opening
        if opening.get("kind") in KINDS:
            return await self.lower.render(row)
        match opening.get("kind"):
            case "stream":
                token = derive(self.token_secret, row.call_sid, opening["nonce"])
                return twiml.stream(self.addresses, token)
            case "bypass":
                return await self._bypassed(row)
            case "ask":
                key = "ask_company" if opening["try"] == 1 else "ask_company_again"
                return self._ask(row, text(DEFAULT_LOCALE, key), digits=4)
            case "confirm":
                tenant = await self.storage.operator.get_tenant(opening["tenant_id"])
                name = tenant.name if tenant else ""
                words = text(DEFAULT_LOCALE, "confirm_company", company=name)
                return self._ask(row, words, digits=1)
            case "overflow":
                return await self._apologise(row, "overflow")
            case "broken":
                return await self._apologise(row, "technical_apology")
            case "unknown" | "line_test" as kind:
                words = text(DEFAULT_LOCALE, _LAST_WORDS[kind])
                return twiml.say_and_hang_up(DEFAULT_LOCALE, words)
            case "reject":
                return twiml.reject()
        return twiml.hang_up()

    def _ask(self, row: CallRow, words: str, *, digits: int) -> str:
        return twiml.ask(self.addresses, DEFAULT_LOCALE, words, "tenant", row.id, digits=digits)

    async def _apologise(self, row: CallRow, key: str) -> str:
        tenant = await self.storage.operator.get_tenant(row.tenant_id) if row.tenant_id else None
        if tenant is None:
            return twiml.say_and_hang_up(DEFAULT_LOCALE, text(DEFAULT_LOCALE, f"{key}_unbound"))
        if not row.from_number:
            key = f"{key}_no_number"
        words = text(tenant.locale, key, company=tenant.name)
        return twiml.say_and_hang_up(tenant.locale, words)

    # --------------------------------------------------------------- the question of the company

    async def answered(self, row: CallRow, form: Mapping[str, str]) -> str:
        """The caller has answered (or kept silent): bind, ask once more, or part politely."""
        if row.tenant_id is not None or row.outcome is not None:
            return await self._again(row)
        speech, digits = form.get("SpeechResult", ""), form.get("Digits", "")
        opening = row.opening
        if opening.get("kind") == "confirm":
            tenant = await self.storage.operator.get_tenant(opening["tenant_id"])
            if tenant is not None and is_yes(speech, digits):
                return await self._bind(row, Found(tenant, opening["by"]))
            asked = opening["try"] if opening["by"] == "history" else opening["try"] + 1
            return await self._ask_again(row, Ask(), asked)
        if opening.get("kind") != "ask":
            return await self._render(row)
        decision = await self._recognise(speech, digits)
        if isinstance(decision, Found):
            return await self._bind(row, decision)
        if isinstance(decision, Confirm):
            return await self._ask_again(row, decision, opening["try"])
        return await self._ask_again(row, decision, opening["try"] + 1)

    async def _recognise(self, speech: str, digits: str) -> Decision:
        operator = self.storage.operator
        if digits:
            tenant = await operator.tenant_by_code(digits)
            return Found(tenant, "code") if tenant else Ask()
        return match_company(speech[:200], await operator.tenant_names())

    async def _bind(self, row: CallRow, found: Found) -> str:
        operator = self.storage.operator
        if not await operator.bind_call(row.id, found.tenant.id, found.by):
            # Bound by a repeated webhook, or over, since `row` was read.
            return await self._again(await operator.get_call(row.id) or row)
        log.info("call.bound", call_id=row.id, tenant_id=found.tenant.id, found_by=found.by)
        choice = await self._first(found, row.call_sid, row.from_number)
        if not choice.speaks:
            return await self.reopen(row, *await self.lower.opening(choice))
        admitted = await self.live_calls.admit(row.call_sid, found.tenant.id)
        opening = self._speaking(choice) if admitted else {"kind": "overflow"}
        return await self.reopen(row, opening, OPENING if admitted else OVERFLOW)

    async def _ask_again(self, row: CallRow, decision: Decision, attempt: int) -> str:
        if attempt > TRIES:
            return await self.reopen(row, {"kind": "unknown"}, ASKING)
        return await self.reopen(row, _question(decision, attempt), ASKING)

    async def reopen(
        self, row: CallRow, opening: dict[str, Any], stage: str, *, attempts: int | None = None
    ) -> str:
        """Answer a running call anew: stored first, then said. With `attempts` one more is counted,
        unless another request has answered since there were so many: then its answer is given."""
        token = self._token(row.call_sid, opening)
        operator = self.storage.operator
        current = await operator.reopen(
            row.id, opening, stage, token, unless=CLOSING, attempts=attempts
        )
        if current is None:  # it ends or has ended meanwhile, or another request was first
            current = await operator.get_call(row.id)
            if current is None or current.outcome is not None or current.stage == CLOSING:
                return twiml.hang_up()
            return await self._render(current)
        await self._set_in_motion(current)
        return await self._render(current)

    def just_answered(self, row: CallRow) -> bool:
        """Whether it was sent to another stream a moment ago, and none has come yet: Twilio asks by
        itself where a stream broke, and a node that redirects the call has it ask once more."""
        since = row.opening.get("since")
        if row.stage != OPENING or row.opening.get("kind") != "stream" or since is None:
            return False
        return self.clock.now() - datetime.fromisoformat(since) < ASKED_TWICE

    async def go_on(
        self,
        row: CallRow,
        passed: frozenset[Rung],
        *,
        nobody_answered: bool = False,
        attempts: int | None = None,
    ) -> str:
        """A running call goes on with the first rung that is well and that it hasn't `passed`; an
        apology, and a call-back, when there is none. Without a stream while this node is full.
        `nobody_answered`: a transfer has just failed, and whoever is next begins with that.
        `attempts`: as in `reopen`."""
        assert row.tenant_id is not None, "only bound calls are on a ladder"
        choice = await self.lower.choose(row.tenant_id, row.call_sid, row.from_number, passed)
        if choice.rung is None:
            await self.endings.call_back(row, "failed")
            return await self.reopen(row, {"kind": "broken"}, BROKEN, attempts=attempts)
        if not choice.speaks:
            below = await self.lower.opening(choice, row, nobody_answered=nobody_answered)
            return await self.reopen(row, *below, attempts=attempts)
        if not await self.live_calls.admit(row.call_sid, row.tenant_id, under_way=True):
            passed |= SPEAKING
            return await self.go_on(row, passed, nobody_answered=nobody_answered, attempts=attempts)
        # A fresh stream, with a fresh token.
        opening = {
            "kind": "stream",
            "nonce": new_nonce(),
            "nobody_answered": nobody_answered,
            "passed": listed(passed),
            "since": self.clock.now().isoformat(),
        }
        return await self.reopen(row, opening, OPENING, attempts=attempts)

    async def answer_turn(
        self,
        row: CallRow,
        turn: int,
        opening: dict[str, Any],
        stage: str,
        lines: Sequence[JournalEntry],
    ) -> None:
        """Store what a turn is answered with, if nobody has answered it yet."""
        current = await self.storage.turns.answer(row.id, turn, opening, stage, lines)
        if current is not None and opening["kind"] == OWNER:
            await self.lower.dialling(current)

    async def again(self, row: CallRow) -> str:
        """What a running call is answered with as it stands."""
        return await self._again(row)


def _question(decision: Decision, attempt: int) -> dict[str, Any]:
    if isinstance(decision, Confirm):
        by, tenant_id = decision.by, decision.tenant.id
        return {"kind": "confirm", "tenant_id": tenant_id, "by": by, "try": attempt}
    return {"kind": "ask", "try": attempt}

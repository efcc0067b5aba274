"""The rungs of the ladder that need no stream: which one takes a call, and how it begins.

What a call is answered with is its `opening`, stored before it is said, so that any node says it
again when a webhook is repeated. Of these rungs: {"kind": "turns", …} (`voice.turn_answers`),
"owner" (Twilio is sent on to ring the tenant's own phone), "voicemail", and "said" (last words).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import structlog

from domain.agent import AgentProfile, disclosure, function_names, greeting, profile
from domain.messages import text
from domain.tenant import Tenant
from storage.call_turns import TURNS as BY_TURNS
from storage.calls import CallRow
from storage.journal import JournalEntry
from voice import turns, twiml
from voice.agent import resumption
from voice.endings import DIALLING, TRANSFERRING, TURNS, VOICEMAIL
from voice.history import CONNECTED, History, read_history
from voice.ladder import SPEAKING, WITHOUT_AGENT, Rung, first_of, ladder
from voice.streams import Streams
from voice.turn_model import TurnModel

log = structlog.get_logger(__name__)

OWNER, RECORDING, SAID = "owner", "voicemail", "said"
#: The openings that are rendered here.
KINDS = frozenset({BY_TURNS, OWNER, RECORDING, SAID})

Opening = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who takes a call. `rung` None: nobody is left. `transfer_number`: E.164, None when there is
    none, or none that this caller could be put through to. `answers`: the agent may be heard."""

    rung: Rung | None
    tenant: Tenant
    config: Mapping[str, Any]
    caller_number: str | None
    transfer_number: str | None
    passed: frozenset[Rung]
    answers: bool = True

    @property
    def speaks(self) -> bool:
        """A stream is opened for it."""
        return self.rung in SPEAKING

    @property
    def locale(self) -> str:
        return profile(self.tenant, self.config).language

    def facts(self, region: str) -> turns.Facts:
        """What plain rules must know."""
        who = profile(self.tenant, self.config)
        able = function_names(who.agent_type, has_transfer=False)
        return turns.Facts(
            locale=who.language,
            can_book="book_appointment" in able,
            has_transfer=self.transfer_number is not None and Rung.TRANSFER not in self.passed,
            caller_number=self.caller_number,
            region=region,
        )


def passed_of(opening: Mapping[str, Any]) -> frozenset[Rung]:
    """The rungs that a call has left behind."""
    known = {rung.value: rung for rung in Rung}
    return frozenset(known[name] for name in opening.get("passed", ()) if name in known)


def listed(passed: frozenset[Rung]) -> list[str]:
    """The same, as it is stored."""
    return sorted(rung.value for rung in passed)


@dataclass(frozen=True, slots=True)
class LowerRungs:
    """Chooses a rung, and begins and says what needs no stream. `model`: of conversations by
    turns."""

    streams: Streams
    model: TurnModel
    addresses: twiml.Addresses

    # -------------------------------------------------------------------------- choosing

    async def choose(
        self,
        tenant_id: str,
        call_sid: str,
        from_number: str,
        passed: frozenset[Rung] = frozenset(),
    ) -> Choice:
        """The first rung of the tenant's ladder that is configured, allowed and well. Decided from
        what is known: nobody is asked but the database. Raises OperatorError."""
        known = await self.streams.known(tenant_id, call_sid, from_number or None)
        number = known.transfer_number
        if number == from_number:  # their own line is engaged
            number = None
        rungs = ladder(known.config) if known.answers else WITHOUT_AGENT
        able = {Rung.TURNS, Rung.VOICEMAIL, *self.streams.agents.available(known.spec, rungs)}
        if number is not None:
            able.add(Rung.TRANSFER)
        rung = first_of(rungs, able, passed)
        caller = from_number or None
        return Choice(
            rung, known.tenant, known.config, caller, number, passed, answers=known.answers
        )

    # -------------------------------------------------------------------------- beginning

    async def opening(
        self, choice: Choice, row: CallRow | None = None, *, nobody_answered: bool = False
    ) -> tuple[Opening, str]:
        """What a call that goes on here is answered with, and its stage. `row`: a running call."""
        history = await self._history(row)
        if choice.rung is Rung.TURNS:
            return self._by_turns(choice, history, nobody_answered=nobody_answered), TURNS
        if choice.rung is Rung.TRANSFER:
            wait = f"{history.untold} {text(choice.locale, 'transfer_wait')}".strip()
            words = self._greeted(choice, history, wait)
            return owner(choice.locale, words, choice.transfer_number, choice.passed), TRANSFERRING
        key = "voicemail_first"
        hello = text(choice.locale, key, company=choice.tenant.name)
        hello = history.untold if history.turns else hello
        return voicemail(choice.locale, hello, choice.passed), VOICEMAIL

    def _by_turns(self, choice: Choice, history: History, *, nobody_answered: bool) -> Opening:
        facts = choice.facts(self.streams.region)
        first = greeting(_unrecorded(choice))
        resumed = history.greeted(disclosure(first))
        state, ask = turns.begin(
            facts,
            f"{text(facts.locale, 'turns_cut')} {history.untold}".strip() if resumed else first,
            done=bool(history.achieved),
            nobody_answered=nobody_answered,
        )
        by_model = self.model.allowed
        if by_model:
            after_break = resumption(facts.locale, history, transfer_failed=nobody_answered)
            words = after_break if resumed or nobody_answered else first
            ask = turns.Ask(words, "open")
        return turn_opening(1, choice.passed, ask, state, facts.locale, by_model=by_model)

    def _greeted(self, choice: Choice, history: History, words: str) -> str:
        """Who hears us for the first time is told who speaks, and what: not who is switched off."""
        if history.turns or not choice.answers:
            return words
        return f"{greeting(_unrecorded(choice))} {words}"

    async def _history(self, row: CallRow | None) -> History:
        if row is None or row.tenant_id is None:
            return History()
        await self.streams.surroundings.journal.flush()
        return await read_history(self.streams.storage.tenant(row.tenant_id), row.id)

    async def begin(self, row: CallRow) -> None:
        """The call has just been given such an opening: it counts as answered."""
        opening = row.opening
        if opening["kind"] == OWNER:
            await self.dialling(row)
        name = agent_name(opening, self.model.name)
        lines = [*said(row.id, opening, self.streams.surroundings.clock.now())]
        if name:
            connected = {"name": CONNECTED, "agent": name}
            lines.insert(0, JournalEntry(row.id, lines[0].at, "event", connected))
        await self.streams.storage.turns.begin(row.id, lines)
        log.info("call.steps_down", call_id=row.id, rung=opening["kind"])
        self.streams.surroundings.metrics.count("calls_stepped_down", opening["kind"])

    async def dialling(self, row: CallRow) -> None:
        """Our dial to the tenant's own phone is under way."""
        operator = self.streams.storage.operator
        await operator.set_transfer(row.id, row.opening["number"], DIALLING)

    # -------------------------------------------------------------------------- saying

    async def render(self, row: CallRow) -> str:
        """The stored opening as TwiML."""
        opening = row.opening
        locale, words = opening["locale"], opening["say"]
        match opening["kind"]:
            case "turns":
                step = ("turn", row.id, str(opening["turn"]))
                return twiml.turn(self.addresses, locale, words, opening["listen"], *step)
            case "owner":
                if row.transfer_state is None:  # the node died that was about to store it
                    await self.dialling(row)
                return twiml.say_and_ask(self.addresses, locale, words, "transfer", row.id)
            case "voicemail":
                return twiml.voicemail(self.addresses, locale, words, row.id)
        return twiml.say_and_hang_up(locale, words)


# ------------------------------------------------------------------------------ the openings


def turn_opening(
    number: int,
    passed: frozenset[Rung],
    ask: turns.Ask,
    state: turns.State,
    locale: str,
    *,
    by_model: bool,
) -> Opening:
    """A turn: what is said and how it is listened for. `state` is the rules'."""
    return {
        "kind": BY_TURNS,
        "turn": number,
        "by": "model" if by_model else "rules",
        "locale": locale,
        "say": ask.words,
        "listen": ask.listen,
        "rules": msgspec.to_builtins(state),
        "passed": listed(passed),
    }


def owner(locale: str, words: str, number: str | None, passed: frozenset[Rung]) -> Opening:
    """Ring the tenant's own phone; if nobody takes the call it doesn't come here again."""
    after = listed(passed | {Rung.TRANSFER})
    return {"kind": OWNER, "locale": locale, "say": words, "number": number, "passed": after}


def voicemail(locale: str, words: str, passed: frozenset[Rung]) -> Opening:
    """Record a message, behind `words`."""
    prompt = f"{words} {text(locale, 'voicemail_prompt')}".strip()
    after = listed(passed | set(Rung))
    return {"kind": RECORDING, "locale": locale, "say": prompt, "passed": after}


def last_words(locale: str, words: str) -> Opening:
    """Say this and hang up."""
    return {"kind": SAID, "locale": locale, "say": words, "passed": listed(frozenset(Rung))}


def agent_name(opening: Mapping[str, Any], model: str) -> str:
    """Who speaks, for the timeline; "" for last words."""
    match opening["kind"]:
        case "turns":
            return f"turns:{model if opening['by'] == 'model' else 'rules'}"
        case "voicemail":
            return "voicemail"
        case "owner":
            return "transfer"
    return ""


def said(call_id: str, opening: Mapping[str, Any], at: datetime) -> Sequence[JournalEntry]:
    """The timeline's line of what an opening says. By TwiML nobody knows how much of it is heard:
    all of it is written down."""
    turn = {"who": "agent", "text": opening["say"], "cut": False}
    return [JournalEntry(call_id, at, "turn", turn)]


def _unrecorded(choice: Choice) -> AgentProfile:
    """Without a stream nothing is recorded, and nothing is said of it."""
    return replace(profile(choice.tenant, choice.config), recording=False)

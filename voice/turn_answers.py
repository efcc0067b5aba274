"""Answers one turn of a conversation without a stream: by the text model, else by plain rules.

The model gets the same instructions and functions as the agents that speak, and functions run
through the same runner: exactly once, for their ids are made from the turn's number. When the model
doesn't answer, the rules go on from the very words that it was asked about.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import structlog

from domain.dialogue import dialogue
from domain.errors import ProviderError
from domain.language_model import ModelMessage
from domain.messages import text
from domain.outcome import Outcome
from storage.call_turns import TURNS as BY_TURNS
from storage.calls import CallRow, TimelineEntry
from storage.functions import StoredResult
from storage.journal import JournalEntry
from voice import turns
from voice.agent import HISTORY_TURNS, Earlier
from voice.endings import TRANSFERRING, TURNS
from voice.events import FunctionFinished
from voice.history import CONNECTED, History, achieved, finished
from voice.ladder import SPEAKING, Rung
from voice.lower_rungs import (
    Choice,
    LowerRungs,
    Opening,
    agent_name,
    last_words,
    owner,
    passed_of,
    said,
    turn_opening,
)
from voice.sentence_split import spoken_text
from voice.streams import Setup

log = structlog.get_logger(__name__)

#: How long the model may take for one turn, its functions included, seconds: a caller who hears
#: two lines of ours doesn't wait for a third.
MODEL_SECONDS = 14.0
#: Rounds of functions in one turn; then it must speak.
ROUNDS = 4
#: Functions that plain rules run in one turn, at most.
RULE_STEPS = 4
#: Characters of an answer that are spoken: Twilio's <Say> takes 4096.
LONGEST = 1500


@dataclass(slots=True)
class _Turn:
    """One turn under way. `ran`: what functions answered, oldest first."""

    row: CallRow
    setup: Setup
    choice: Choice
    heard: turns.Heard
    timeline: Sequence[TimelineEntry]
    runs: Sequence[StoredResult]
    lines: list[JournalEntry] = field(default_factory=list)
    ran: list[FunctionFinished] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.row.opening["turn"])

    @property
    def locale(self) -> str:
        return self.choice.locale

    @property
    def state(self) -> turns.State:
        return msgspec.convert(self.row.opening["rules"], turns.State)

    @property
    def answered(self) -> list[FunctionFinished]:
        """By functions, on this call so far, this turn included."""
        return [*map(finished, self.runs), *self.ran]

    @property
    def achieved(self) -> list[Outcome]:
        return achieved(self.answered)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the turn is answered with, the call's stage after it, and the timeline's lines."""

    opening: Opening
    stage: str
    lines: Sequence[JournalEntry]


class TurnAnswers:
    """Answers turns. Holds no call."""

    def __init__(self, lower: LowerRungs) -> None:
        self._lower = lower
        self._streams = lower.streams
        self._clock = lower.streams.surroundings.clock

    async def reply(self, row: CallRow, *, by_rules: bool = False) -> Reply:
        """The answer to the turn that `row` stands at, whose opening holds what was `heard`.
        `by_rules`: somebody has tried with the model, and vanished. Raises OperatorError."""
        turn = await self._begin(row)
        opening = row.opening
        if opening["by"] == "rules":
            return await self._by_rules(
                turn, turns.heard(turn.state, turn.heard, self._facts(turn))
            )
        if by_rules:
            return await self._instead(turn)
        if turn.heard.nothing:
            return await self._silence(turn)
        try:
            async with asyncio.timeout(MODEL_SECONDS):
                return await self._by_model(turn)
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            log.warning("turn.model_fails", call_id=row.id, reason=reason)
            self._streams.surroundings.metrics.count("turns_without_model")
            return await self._instead(turn)

    def now(self) -> datetime:
        """The instant that claims and lines of the timeline bear."""
        return self._clock.now()

    async def _begin(self, row: CallRow) -> _Turn:
        assert row.tenant_id is not None
        passed = passed_of(row.opening)
        choice = await self._lower.choose(row.tenant_id, row.call_sid, row.from_number, passed)
        setup = await self._streams.setup(row)
        await self._streams.surroundings.journal.flush()
        async with self._streams.storage.tenant(row.tenant_id).read() as rows:
            timeline = await rows.calls.timeline(row.id)
            runs = await rows.functions.of_call(row.id)
        heard = row.opening.get("heard", {})
        event = turns.Heard(str(heard.get("speech", "")), str(heard.get("digits", "")))
        return _Turn(row, setup, choice, event, timeline, runs)

    def _facts(self, turn: _Turn) -> turns.Facts:
        return turn.choice.facts(self._streams.region)

    # --------------------------------------------------------------------------- the rules

    async def _instead(self, turn: _Turn) -> Reply:
        """The model is silent. What it had done before is told, if the caller doesn't know."""
        effects = [each for each in turn.ran if each.effect is not None]
        words = _spoken(effects[-1], turn.locale) if effects else ""
        step = turns.after_model(
            self._facts(turn), turn.heard, done=bool(turn.achieved), words=words
        )
        name = agent_name({"kind": BY_TURNS, "by": "rules"}, "")
        self._note(turn, "event", {"name": CONNECTED, "agent": name})
        return await self._by_rules(turn, step)

    async def _by_rules(self, turn: _Turn, step: turns.Step) -> Reply:
        state, move = step
        facts = self._facts(turn)
        for index in range(RULE_STEPS):
            if not isinstance(move, turns.Run):
                break
            arguments = json.dumps(dict(move.arguments), ensure_ascii=False)
            finished = await self._run(turn, f"rules-{index}", move.name, arguments)
            event = turns.Answered(move.name, finished.result)
            state, move = turns.answered(state, event, facts)
        if isinstance(move, turns.Run):  # no rule leads here; a caller must hear something
            move = turns.Leave("below")
        if isinstance(move, turns.Leave):
            return await self._leave(turn, move)
        return self._ask(turn, move, state, by_model=False)

    # --------------------------------------------------------------------------- the model

    async def _silence(self, turn: _Turn) -> Reply:
        """Nothing was said: asked again once, then it is the next rung's turn, or goodbye."""
        state = msgspec.structs.replace(turn.state, missed=turn.state.missed + 1)
        if state.missed < turns.MISSES:
            ask = turns.Ask(text(turn.locale, "silence_prompt_1"), "open")
            return self._ask(turn, ask, state, by_model=True)
        if turn.achieved:
            bye = turns.Leave("end", text(turn.locale, "silence_goodbye"))
            return await self._leave(turn, bye)
        return await self._leave(turn, turns.Leave("below"))

    async def _by_model(self, turn: _Turn) -> Reply:
        setup, model = turn.setup, self._lower.model
        history = History(_told(turn.timeline), turn.answered)
        spec = self._streams.brief(turn.row, setup, Earlier(history, resumed=True))
        instructions = f"{spec.instructions}\n\n{text(turn.locale, 'turns_note')}"
        messages = [ModelMessage("system", instructions), *conversation(turn.timeline, turn.runs)]
        deadline = asyncio.get_running_loop().time() + MODEL_SECONDS
        for index in range(ROUNDS + 1):
            functions = spec.functions if index < ROUNDS else ()
            left = deadline - asyncio.get_running_loop().time()
            answer = await model.ask(messages, functions, left)
            if not answer.requests:
                return self._said(turn, answer.text)
            messages.append(ModelMessage("assistant", answer.text, answer.requests))
            for at, request in enumerate(answer.requests):
                key = f"model-{index}-{at}"
                finished = await self._run(turn, key, request.name, request.arguments)
                result = json.dumps(dict(finished.result), ensure_ascii=False)
                messages.append(ModelMessage("function", result, answers=request.id))
                if finished.then:
                    return await self._then(turn, finished, answer.text)
        raise ProviderError("llm", "functions without end", retryable=True, code="rounds")

    def _said(self, turn: _Turn, words: str) -> Reply:
        state = msgspec.structs.replace(turn.state, missed=0, done=bool(turn.achieved))
        return self._ask(turn, turns.Ask(speakable(words), "open"), state, by_model=True)

    async def _then(self, turn: _Turn, finished: FunctionFinished, words: str) -> Reply:
        """A function ends the conversation: the model's own words go with it, else ours."""
        words = speakable(words)
        if finished.then == "transfer":
            move = turns.Leave("transfer", words or text(turn.locale, "transfer_wait"))
        else:
            move = turns.Leave("end", words or text(turn.locale, "goodbye"))
        return await self._leave(turn, move)

    # --------------------------------------------------------------------------- the answer

    def _ask(self, turn: _Turn, ask: turns.Ask, state: turns.State, *, by_model: bool) -> Reply:
        passed = passed_of(turn.row.opening)
        number = turn.number + 1
        opening = turn_opening(number, passed, ask, state, turn.locale, by_model=by_model)
        return self._reply(turn, opening, TURNS)

    async def _leave(self, turn: _Turn, move: turns.Leave) -> Reply:
        row, passed = turn.row, passed_of(turn.row.opening)
        number = turn.choice.transfer_number
        if move.to == "transfer" and number is not None and Rung.TRANSFER not in passed:
            return self._reply(turn, owner(turn.locale, move.words, number, passed), TRANSFERRING)
        if move.to == "end":
            return self._reply(turn, last_words(turn.locale, move.words), TURNS)
        # Who isn't understood needs a person, and not another agent.
        assert row.tenant_id is not None
        below = passed | SPEAKING | {Rung.TURNS}
        choice = await self._lower.choose(row.tenant_id, row.call_sid, row.from_number, below)
        opening, stage = await self._lower.opening(choice, row)
        said_first = f"{move.words} {opening['say']}".strip()
        return self._reply(turn, {**opening, "say": said_first}, stage)

    def _reply(self, turn: _Turn, opening: Opening, stage: str) -> Reply:
        spoken = said(turn.row.id, opening, self._clock.now())
        return Reply(opening, stage, [*turn.lines, *spoken])

    async def _run(self, turn: _Turn, key: str, name: str, arguments: str) -> FunctionFinished:
        """Once, however often this turn is answered."""
        context = self._streams.context(turn.row, turn.setup)
        if Rung.TRANSFER in turn.choice.passed:  # they have been rung already
            context = replace(context, transfer_number=None)
        began = self._clock.monotonic()
        finished = await self._streams.functions.run(
            f"turn-{turn.number}-{key}", name, arguments, context
        )
        seconds = self._clock.monotonic() - began
        turn.ran.append(finished)
        metrics = self._streams.surroundings.metrics
        metrics.observe("function", seconds)
        metrics.count("functions", str(finished.result.get("status", "ok")))
        data = {"name": name, "arguments": arguments, "result": dict(finished.result)}
        self._note(turn, "function", {**data, "duration_ms": round(seconds * 1000, 1)})
        return finished

    def _note(self, turn: _Turn, kind: str, data: Mapping[str, Any]) -> None:
        turn.lines.append(JournalEntry(turn.row.id, self._clock.now(), kind, data))


def heard_line(row: CallRow, event: turns.Heard, at: datetime) -> list[JournalEntry]:
    """The timeline's line of what the caller answered; none for nothing."""
    words = event.speech.strip()
    if event.digits:
        keys = " ".join(event.digits)
        words = text(row.opening["locale"], "keys_pressed").replace("{keys}", keys)
    if not words:
        return []
    return [JournalEntry(row.id, at, "turn", {"who": "caller", "text": words})]


def conversation(
    timeline: Sequence[TimelineEntry], runs: Sequence[StoredResult]
) -> list[ModelMessage]:
    """What was said and done on the call so far, on whichever rung, as a model reads it."""
    spoken = [entry for entry in timeline if entry.kind == "turn"]
    return dialogue([(entry.at, _message(entry)) for entry in spoken[-HISTORY_TURNS:]], runs)


def _message(entry: TimelineEntry) -> ModelMessage:
    role = "user" if entry.data["who"] == "caller" else "assistant"
    return ModelMessage(role, str(entry.data["text"]))  # type: ignore[arg-type]  # one of two


def _told(timeline: Sequence[TimelineEntry]) -> list[tuple[str, str]]:
    return [(e.data["who"], e.data["text"]) for e in timeline if e.kind == "turn"]


def speakable(words: str) -> str:
    """A model's answer as it is read out: nothing for the eye, cut at a sentence when too long."""
    plain = spoken_text(words)
    if len(plain) <= LONGEST:
        return plain
    cut = plain[:LONGEST]
    return cut[: max(cut.rfind(mark) for mark in ".!?") + 1] or cut


def _spoken(finished: FunctionFinished, locale: str) -> str:
    """An effect in words: the function's own, else that it is noted."""
    return str(finished.result.get("spoken") or text(locale, "turns_noted"))

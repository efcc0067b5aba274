"""The emulated assistant of one Vapi call: hears frames, thinks, speaks in real time. Pure.

What happens is handed in (`hear`, `order`, `results`) with the time; each 20 ms `tick` returns the
frame to send. What it has to tell goes to `Stage`. Times are seconds on any monotonic clock.
"""

import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.audio import BYTES_PER_MS, FRAME_BYTES, FRAME_MS, stamp
from sandbox.brain import Brain, Call, Heard, Note, Result, Speak, Stimulus, Tool
from sandbox.hearing import Hearing, Turn, VoiceDetector
from sandbox.render import render
from sandbox.vapi_record import CallRecord, HeardTurn, Said, ToolCall

#: Transcripts come on their own time, after the words.
_TRANSCRIPTION_S = 0.06
#: What is longer than this is read, and nothing to react to: an agent's instructions, a history.
_BACKGROUND = 1_000
#: The tool by which a model ends the call, and its name (docs.vapi.ai/tools/default-tools).
END_CALL = "endCall"
_NO_RESULT = "No result returned for tool call"
_ROLES = frozenset({"user", "assistant", "system", "tool", "function"})

Later = Callable[[], None]


class Stage(Protocol):
    """What an assistant does to the world around it."""

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        """A message for whoever subscribed to it."""
        ...

    def call_tools(self, calls: list[ToolCall]) -> None:
        """Ask the server; `results` is called with what it says."""
        ...

    def interrupted(self) -> None:
        """What was sent and not yet heard is to be forgotten."""
        ...

    def rendered(self, text: str, audio: bytes) -> None:
        """This is about to be said."""
        ...

    def end(self, reason: str) -> None:
        """The call is over."""
        ...


@dataclass(slots=True)
class _Utterance:
    said: Said
    frames: deque[bytes]
    interruptible: bool
    then_end: bool
    begun: bool = False


@dataclass(slots=True)
class Assistant:
    """`config`: the assistant with the overrides of the call. `latency_s`: from the end of the
    caller's words, as detected, to the beginning of the answer."""

    record: CallRecord
    brains: Callable[[int | None], Brain]
    stage: Stage
    latency_s: float = 0.25
    tool_shape: Callable[[], str] = lambda: "schema"
    _hearing: Hearing = field(default_factory=Hearing)
    _detector: VoiceDetector = field(default_factory=VoiceDetector)
    _stimuli: list[Stimulus] = field(default_factory=list)
    _queue: deque[_Utterance] = field(default_factory=deque)
    _due: list[tuple[float, Later]] = field(default_factory=list)
    _brain_for: int | None = None
    _sequence: int = 0
    _thinking: int = 0
    _asked: set[str] = field(default_factory=set)
    _now: float = 0.0
    _muted: bool = False
    _over: bool = False

    def __post_init__(self) -> None:
        self.record.defects = self._hearing.defects

    @property
    def config(self) -> dict[str, Any]:
        return self.record.assistant

    # ---------------------------------------------------------------- what happens to it

    def start(self, now: float) -> None:
        """Somebody has joined the call."""
        self._now = now
        self.record.joined_at = now
        self.stage.tell("status-update", {"status": "in-progress"})
        self.stage.tell("assistant.started", {"newAssistant": {"name": self.config.get("name")}})
        mode = self.config.get("firstMessageMode", "assistant-speaks-first")
        words = self.config.get("firstMessage")
        if mode == "assistant-speaks-first" and words:
            interruptible = bool(self.config.get("firstMessageInterruptionsEnabled", False))
            self._after(self.latency_s, lambda: self._speak(words, interruptible=interruptible))
        elif mode == "assistant-speaks-first-with-model-generated-message":
            self._think_soon()

    def hear(self, frame: bytes, now: float) -> None:
        """20 ms of the caller."""
        self._now = now
        self.record.frames_in += 1
        self._hearing.feed(frame)
        if self.record.call_tag is None:
            self.record.call_tag = self._hearing.tag
        voice = self._detector.feed(frame, self.record.frames_in * FRAME_MS)
        if voice is None:
            return
        if voice.kind == "started":
            self.stage.tell("speech-update", {"status": "started", "role": "user"})
            self._interrupt()
        else:
            self.stage.tell("speech-update", {"status": "stopped", "role": "user"})
            self._turn(self._hearing.take())

    def order(self, order: Any, now: float) -> None:
        """A JSON order, by control or by the socket (docs.vapi.ai/calls/call-features). Raises
        ValueError for one that Vapi doesn't know."""
        self._now = now
        if not isinstance(order, dict) or not isinstance(order.get("type"), str):
            raise ValueError("an order is an object with a type")
        match order:
            case {"type": "say", "content": str(text)}:
                if order.get("interruptAssistantEnabled") is True:
                    self._cut()
                self._speak(text, then_end=bool(order.get("endCallAfterSpoken", False)))
            case {"type": "add-message", "message": {"role": str(role), "content": str(text)}}:
                self._add_message(
                    role, text, respond=bool(order.get("triggerResponseEnabled", True))
                )
            case {"type": "control", "control": "mute-assistant" | "unmute-assistant" as control}:
                self._muted = control == "mute-assistant"
            case {"type": "control", "control": "say-first-message"}:
                self._speak(str(self.config.get("firstMessage", "")))
            case {"type": "end-call" | "hangup"}:
                self.end("customer-ended-call")
            case _:
                raise ValueError(f"unknown order {order.get('type')!r}")
        self.record.orders.append(order)

    def results(self, results: Mapping[str, str], now: float) -> None:
        """What the server answered, by tool call id: a result, or why there is none."""
        self._now = now
        for call in self.record.tool_calls:
            if call.id in self._asked and call.id in results:
                self._asked.discard(call.id)
                call.outputs.append(results[call.id])
                self._stimuli.append(Result(call.name, results[call.id]))
        if not self._asked:
            self._think_soon()

    def end(self, reason: str) -> None:
        """Over, for this reason. Idempotent."""
        if not self._over:
            self._over = True
            self.record.ended = reason
            self.record.ended_at = self._now
            self.stage.end(reason)

    # --------------------------------------------------------------------------- time

    def tick(self, now: float) -> bytes | None:
        """The next 20 ms; None: silence."""
        self._now = now
        due = [action for at, action in self._due if at <= now]
        self._due = [(at, action) for at, action in self._due if at > now]
        for action in due:
            action()
        limit = self.config.get("maxDurationSeconds", 600)
        if self.record.joined_at is not None and now - self.record.joined_at >= limit:
            self.end("exceeded-max-duration")
        return self._frame()

    def _frame(self) -> bytes | None:
        if not self._queue or self._over:
            return None
        utterance = self._queue[0]
        if not utterance.begun:
            utterance.begun = True
            self.stage.tell("voice-input", {"input": utterance.said.text})
            self.stage.tell("speech-update", {"status": "started", "role": "assistant"})
        if not utterance.frames:
            self._finish(utterance)
            return None
        frame = utterance.frames.popleft()
        utterance.said.sent_ms += FRAME_MS
        self.record.frames_out += 1
        if self._muted:
            return None
        self._sequence += 1
        return stamp(frame, self.record.tag, self._sequence - 1)

    def _finish(self, utterance: _Utterance) -> None:
        self._queue.popleft()
        said = utterance.said
        self._tell_transcript("assistant", said.text)
        if not self._queue:
            self.stage.tell("speech-update", {"status": "stopped", "role": "assistant"})
        phrases = self.config.get("endCallPhrases", ())
        if utterance.then_end or any(each.casefold() in said.text.casefold() for each in phrases):
            self.end(
                "assistant-ended-call" if utterance.then_end else "assistant-said-end-call-phrase"
            )

    # ------------------------------------------------------------------------- its mind

    def _turn(self, turn: Turn) -> None:
        if not turn.frames and not turn.clips:
            return  # a noise: its ears make nothing of it
        heard = HeardTurn(self._now, turn.clips, turn.text, turn.frames, turn.whole)
        self.record.heard.append(heard)
        self._after(_TRANSCRIPTION_S, lambda: self._tell_transcript("user", turn.text))
        self._stimuli.append(Heard(turn.clips, turn.text))
        self._think_soon()

    def _add_message(self, role: str, text: str, *, respond: bool) -> None:
        if role not in _ROLES:
            raise ValueError(f"message.role must be one of {', '.join(sorted(_ROLES))}")
        self.record.read.append((role, text))
        if role != "assistant" and len(text) <= _BACKGROUND:
            self._stimuli.append(Note(text, order=role == "system"))
        if respond:
            self._think_soon()

    def _think_soon(self) -> None:
        self._thinking += 1
        number = self._thinking

        def think() -> None:
            if number == self._thinking and not self._over:
                self._think()

        self._after(self.latency_s, think)

    def _think(self) -> None:
        stimuli, self._stimuli = self._stimuli, []
        actions = self._brain().think(stimuli, self._tools())
        calls = [each for each in actions if isinstance(each, Call)]
        for each in actions:
            if isinstance(each, Speak):
                self.stage.tell("model-output", {"output": each.text})
                self._speak(each.text)
        if calls:
            self._call(calls)

    def _call(self, calls: list[Call]) -> None:
        made = []
        for each in calls:
            tool_id = f"call_{secrets.token_hex(12)}"
            call = ToolCall(self._now, tool_id, each.name, each.arguments, self.tool_shape())
            self.record.tool_calls.append(call)
            made.append(call)
        ending = [call for call in made if self._is_end_call(call.name)]
        asked = [call for call in made if call not in ending]
        self._asked.update(call.id for call in asked)
        for call in asked:
            self._request_start(call.name)
        if asked:
            self.stage.call_tools(asked)
        if ending:
            self._speak(str(self.config.get("endCallMessage", "")), then_end=True)

    def _request_start(self, name: str) -> None:
        for message in self._tool(name).get("messages", ()):
            if message["type"] == "request-start" and message.get("content"):
                self._speak(message["content"])

    def _tool(self, name: str) -> Mapping[str, Any]:
        for tool in self.config.get("model", {}).get("tools", ()):
            if tool.get("function", {}).get("name") == name:
                found: Mapping[str, Any] = tool
                return found
        return {}

    def _is_end_call(self, name: str) -> bool:
        tools = self.config.get("model", {}).get("tools", ())
        return name == END_CALL and any(tool["type"] == END_CALL for tool in tools)

    def _tools(self) -> list[Tool]:
        tools = self.config.get("model", {}).get("tools", ())
        known = [
            Tool(
                tool["function"]["name"],
                frozenset(tool["function"].get("parameters", {}).get("properties", {})),
            )
            for tool in tools
            if tool["type"] == "function"
        ]
        if any(tool["type"] == END_CALL for tool in tools):
            known.append(Tool(END_CALL))
        return known

    def _brain(self) -> Brain:
        record = self.record
        if record.brain is None or self._brain_for != record.call_tag:
            record.brain = self.brains(record.call_tag)
            self._brain_for = record.call_tag
        return record.brain

    # ------------------------------------------------------------------------- its voice

    def _speak(self, text: str, *, interruptible: bool = True, then_end: bool = False) -> None:
        audio = render(text)
        if not audio and not then_end:
            return
        self.stage.rendered(text, audio)
        said = Said(self._now, text, len(audio) // BYTES_PER_MS)
        self.record.said.append(said)
        frames = deque(audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
        self._queue.append(_Utterance(said, frames, interruptible, then_end))

    def _interrupt(self) -> None:
        """The caller speaks: what is being said stops, what was being thought of is dropped."""
        self._thinking += 1
        if self._queue and self._queue[0].interruptible:
            self.stage.tell("user-interrupted", {})
            self._cut()

    def _cut(self) -> None:
        if not self._queue:
            return
        first = self._queue[0]
        for utterance in self._queue:
            utterance.said.interrupted = True
        self._queue.clear()
        self.stage.interrupted()
        words = first.said.text.split()
        share = first.said.sent_ms / (first.said.whole_ms or 1)
        self._tell_transcript("assistant", " ".join(words[: round(len(words) * share)]))
        self.stage.tell("speech-update", {"status": "stopped", "role": "assistant"})

    def _tell_transcript(self, role: str, text: str) -> None:
        if text:
            fields = {"role": role, "transcriptType": "final", "transcript": text}
            self.stage.tell("transcript", fields)

    def _after(self, seconds: float, action: Later) -> None:
        self._due.append((self._now + seconds, action))


def read_results(
    body: bytes, asked: list[ToolCall], complain: Callable[[str], None]
) -> dict[str, str]:
    """Tool call id → what the model is told, from a server's answer of status 200; complains of
    what the vendor warns of (docs.vapi.ai/tools/custom-tools-troubleshooting)."""
    given: dict[str, str] = {call.id: _NO_RESULT for call in asked}
    try:
        answer = json.loads(body)
        results = answer["results"]
        if not isinstance(results, list):
            raise ValueError("results is no array")
    except (ValueError, TypeError, KeyError) as error:
        complain(f"an answer to tool calls that can't be read: {error!r}")
        return given
    for result in results:
        tool_id = result.get("toolCallId") if isinstance(result, dict) else None
        if tool_id not in given:
            complain(f"a result for no call of ours: {tool_id!r}")
            continue
        given[tool_id] = _one_result(result, complain)
    for call in asked:
        if given[call.id] == _NO_RESULT:
            complain(f"no result for {call.name}")
    return given


def _one_result(result: Mapping[str, Any], complain: Callable[[str], None]) -> str:
    for name in ("result", "error"):
        text = result.get(name)
        if text is None:
            continue
        if not isinstance(text, str):
            complain(f"{name} is no string")
            return _NO_RESULT
        if "\n" in text:
            complain(f"{name} has a line break")
        return text if name == "result" else f"error: {text}"
    complain("neither result nor error")
    return _NO_RESULT

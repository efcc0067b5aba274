"""The responses of one emulated Realtime session: begun, played over time, cancelled. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sandbox.audio import BYTES_PER_MS, FRAME_BYTES, stamp
from sandbox.brain import Action, Brain, Call, Note, Speak, Stimulus, quoted
from sandbox.realtime_config import Config, tools
from sandbox.realtime_items import Conversation, Item
from sandbox.realtime_outbox import Outbox
from sandbox.realtime_record import FunctionCall, SessionRecord, Utterance
from sandbox.realtime_response import (
    OUTPUT_AUDIO_TOKENS_PER_S,
    Pace,
    Response,
    ServerEvent,
    Step,
)
from sandbox.realtime_shapes import Refused
from sandbox.render import render

_INPUT_AUDIO_TOKENS_PER_S = 10
_CHARACTERS_PER_TOKEN = 4
_RATE_LIMITS = [
    {"name": "requests", "limit": 1_000, "remaining": 999, "reset_seconds": 0.06},
    {"name": "tokens", "limit": 50_000, "remaining": 49_950, "reset_seconds": 0.06},
]

Rendered = Callable[[int, str, bytes], None]


@dataclass(slots=True)
class Habits:
    """How this model behaves. `fail` and `hang`: which of its responses (1 = a session's first)
    end as failed with `failure` (code, message), or never come to an end."""

    pace: Pace = field(default_factory=Pace)
    fail: frozenset[int] = frozenset()
    hang: frozenset[int] = frozenset()
    failure: tuple[str, str] = ("rate_limit_exceeded", "Rate limit reached. Please try again.")


#: How a response ends that breaks down: code and message.
_BROKEN = {
    "429": ("rate_limit_exceeded", "Rate limit reached. Please try again."),
    "5xx": ("server_error", "The server had an error while processing your request."),
}


class Mind:
    """The brain of a call, and what has happened since it last spoke. The brain is made when it
    is first needed, and once more when only then a caller is heard: it knows whose it is."""

    def __init__(self, record: SessionRecord, make: Callable[[int | None], Brain]) -> None:
        self._record = record
        self._make = make
        self._made_for: int | None = None
        self.stimuli: list[Stimulus] = []

    def notice(self, stimulus: Stimulus) -> None:
        """Something to answer in the next response."""
        self.stimuli.append(stimulus)

    def forget_notes(self, *, orders: bool) -> None:
        """What was to be read has been answered; the operator's orders perhaps too."""
        self.stimuli = [
            each for each in self.stimuli if not isinstance(each, Note) or (each.order > orders)
        ]

    def think(self, config: Config) -> list[Action]:
        """What to do about it all."""
        stimuli, self.stimuli = self.stimuli, []
        return self._brain().think(stimuli, tools(config))

    def _brain(self) -> Brain:
        record = self._record
        if record.brain is None or self._made_for != record.call_tag:
            record.brain = self._make(record.call_tag)
            self._made_for = record.call_tag
        return record.brain


@dataclass(slots=True)
class _Running:
    response: Response
    script: Iterator[Step]
    due: float = float("inf")


class Replies:
    """`rendered` is told (tag of this session, text, audio) before a text is spoken."""

    def __init__(
        self,
        outbox: Outbox,
        conversation: Conversation,
        mind: Mind,
        habits: Habits,
        rendered: Rendered,
    ) -> None:
        self._outbox = outbox
        self._record = outbox.record
        self._conversation = conversation
        self._mind = mind
        self._habits = habits
        self._rendered = rendered
        self._running: list[_Running] = []
        self._broken = ""
        self._late_s = 0.0
        self._sequence = 0
        self._playing_until = 0.0
        # Since when nobody answers: the end of the last response's sound at the caller's.
        self.idle_since: float | None = None

    @property
    def active(self) -> Response | None:
        """The response under way in the conversation."""
        running = self._find(None)
        return running.response if running else None

    def begin(self, config: Config, options: dict[str, Any]) -> None:
        """Answer what has happened, or say the very words that `options.instructions` quotes."""
        in_conversation = options.get("conversation", "auto") == "auto"
        active = self.active
        if active and in_conversation:
            raise Refused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {active.id}. Wait until "
                "the response is finished before creating a new one.",
            )
        merged = {**config, **options, "audio": config["audio"]}
        response = self._response(merged, options, in_conversation=in_conversation)
        self.idle_since = None
        self._outbox.emit("response.created", response=response.object())
        self._outbox.emit("rate_limits.updated", rate_limits=_RATE_LIMITS)
        self._start(response)

    def cancel(self, reason: str, response_id: str | None = None) -> bool:
        """Cut short the response of this id, or the one in the conversation; False without one."""
        running = self._find(response_id)
        if running:
            self._end(running, running.response.cut("cancelled", reason, None))
        return running is not None

    def due(self) -> float:
        """When there is something to send next."""
        return min((each.due for each in self._running), default=float("inf"))

    def advance(self, now: float) -> None:
        """Send what is due."""
        for running in list(self._running):
            if running.due <= now:
                self._play(running, now)

    def break_down(self, kind: str, seconds: float) -> None:
        """From now on no answer comes to an end ("hang"), each one fails ("429", "5xx"), or takes
        so many seconds longer ("late")."""
        if kind not in ("hang", "late", *_BROKEN):
            return
        self._broken, self._late_s = kind, seconds
        for running in list(self._running):
            self._spoil(running)

    def _spoil(self, running: _Running) -> None:
        if self._broken in ("hang", "late"):
            running.due += self._late_s if self._broken == "late" else float("inf")
            return
        code, message = _BROKEN[self._broken]
        error = {"type": "server_error", "code": code, "message": message}
        self._end(running, running.response.cut("failed", None, error))

    def truncated(self) -> None:
        """The caller hears no more of what was sent."""
        self._playing_until = min(self._playing_until, self._outbox.now)
        if self.idle_since is not None:
            self.idle_since = min(self.idle_since, self._outbox.now)

    # What a response does to its session (`realtime_response.Stage`).

    def new_id(self, kind: str) -> str:
        """A fresh id."""
        return self._outbox.new_id(kind)

    def add_item(self, item: Item) -> str | None:
        """Take an item into the conversation; returns the id before it."""
        return self._conversation.add(item)

    def render(self, response: Response, item_id: str, text: str) -> bytes:
        """The sound of a text, announced to whoever listens for it."""
        audio = render(text)
        self._rendered(self._record.tag, text, audio)
        whole_ms = len(audio) // BYTES_PER_MS
        said = Utterance(self._outbox.now, response.id, item_id, text, whole_ms)
        self._record.said.append(said)
        return audio

    def spoke(self, item_id: str, audio: bytes) -> bytes:
        """Stamp a piece of speech, which leaves now."""
        ms = len(audio) // BYTES_PER_MS
        stamped = stamp(audio, self._record.tag, self._sequence)
        self._sequence += len(audio) // FRAME_BYTES
        lengths = self._conversation.audio_ms
        lengths[item_id] = lengths.get(item_id, 0) + ms
        self._conversation.spoken = True
        self._playing_until = max(self._playing_until, self._outbox.now) + ms / 1000
        self._said(item_id).sent_ms += ms
        return stamped

    def called(self, call_id: str, call: Call) -> None:
        """Remember a function call made to its end."""
        made = FunctionCall(self._outbox.now, call_id, call.name, call.arguments)
        self._record.calls.append(made)

    def finished_item(self, item: Item) -> None:
        """An item of a response is over."""
        if item["id"] in self._conversation.audio_ms:
            self._said(item["id"]).status = item["status"]

    def _said(self, item_id: str) -> Utterance:
        return next(said for said in reversed(self._record.said) if said.item_id == item_id)

    def _find(self, response_id: str | None) -> _Running | None:
        for running in self._running:
            wanted = response_id == running.response.id if response_id else True
            if wanted and (response_id or running.response.in_conversation):
                return running
        return None

    def _think(self, config: Config, instructions: str) -> list[Action]:
        words = quoted(instructions)
        if words:
            self._mind.forget_notes(orders=False)
            return [Speak(words)]
        if instructions:
            self._mind.notice(Note(instructions))
        return self._mind.think(config)

    def _response(
        self, config: Config, options: dict[str, Any], *, in_conversation: bool
    ) -> Response:
        limit = config["max_output_tokens"]
        output = {**config["audio"]["output"], **options.get("audio", {}).get("output", {})}
        shown = {
            "conversation_id": f"conv_{self._record.number:06d}" if in_conversation else None,
            "output_modalities": config["output_modalities"],
            "max_output_tokens": limit,
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "metadata": options.get("metadata"),
        }
        return Response(
            id=self.new_id("resp"),
            stage=self,
            think=partial(self._think, config, options.get("instructions") or ""),
            pace=self._habits.pace,
            shown=shown,
            in_conversation=in_conversation,
            modality=config["output_modalities"][0],
            tokens=None if limit == "inf" else limit,
            usage=self._usage,
        )

    def _start(self, response: Response) -> None:
        self._record.responses[response.id] = response.status
        running = _Running(response, response.script())
        self._running.append(running)
        number = len(self._record.responses)
        if self._broken:
            running.due = self._outbox.now
            self._spoil(running)
        elif number in self._habits.fail:
            code, message = self._habits.failure
            error = {"type": "server_error", "code": code, "message": message}
            self._end(running, response.cut("failed", None, error))
        elif number not in self._habits.hang:
            running.due = self._outbox.now
            self._play(running, self._outbox.now)

    def _play(self, running: _Running, now: float) -> None:
        for step in running.script:
            if isinstance(step, float):
                running.due += step  # from when the last was due: an absolute clock doesn't drift
                if running.due > now:
                    return
            elif step[-1]["type"] == "response.done":
                self._end(running, step)
            else:
                self._outbox.send(step)

    def _end(self, running: _Running, events: list[ServerEvent]) -> None:
        self._running.remove(running)
        self._record.responses[running.response.id] = running.response.status
        self._outbox.send(events)
        if self.active is None:
            self.idle_since = max(self._outbox.now, self._playing_until)

    def _usage(self, response: Response) -> dict[str, Any]:
        text_in = len(self._record.config["instructions"]) // _CHARACTERS_PER_TOKEN
        audio_in = self._record.appended_ms * _INPUT_AUDIO_TOKENS_PER_S // 1000
        text_out = response.characters // _CHARACTERS_PER_TOKEN
        audio_out = response.sent_ms * OUTPUT_AUDIO_TOKENS_PER_S // 1000
        return {
            "total_tokens": text_in + audio_in + text_out + audio_out,
            "input_tokens": text_in + audio_in,
            "output_tokens": text_out + audio_out,
            "input_token_details": {
                "text_tokens": text_in,
                "audio_tokens": audio_in,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
        }

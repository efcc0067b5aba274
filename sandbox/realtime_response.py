"""One response of the emulated model, event by event: as a script with delays, and cut short."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.audio import BYTES_PER_MS, FRAME_BYTES, FRAME_MS
from sandbox.brain import Action, Call, Speak
from sandbox.realtime_items import Item

ServerEvent = dict[str, Any]
Step = float | list[ServerEvent]  # seconds to wait, or events to send now

# The vendor bills about 20 audio tokens for a second of speech, 10 for a second of listening
# (shared/reference/vapi-openai-pinecone.md §2.7), and 4 characters make a token of text.
OUTPUT_AUDIO_TOKENS_PER_S = 20
_ARGUMENTS_CHUNK = 16  # characters in one function_call_arguments.delta
_CALL_DELAY_S = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """`thinking_s` before the first item, audio in pieces of `chunk_ms`, `speed` × real time."""

    thinking_s: float = 0.12
    chunk_ms: int = 200
    speed: float = 8.0


class Stage(Protocol):
    """What a response does to its session."""

    def new_id(self, kind: str) -> str: ...
    def add_item(self, item: Item) -> str | None: ...
    def render(self, response: "Response", item_id: str, text: str) -> bytes: ...
    def spoke(self, item_id: str, audio: bytes) -> bytes: ...
    def called(self, call_id: str, call: Call) -> None: ...
    def finished_item(self, item: Item) -> None: ...


@dataclass(slots=True)
class Response:
    """A response in the making. `think` is asked for its content when the thinking time is over:
    what is cancelled before has used up nothing. `in_conversation`: its items become part of the
    conversation; `tokens`: how many it may use, None for no limit."""

    id: str
    stage: Stage
    think: Callable[[], Sequence[Action]]
    pace: Pace
    shown: dict[str, Any]  # the fields of the response object that don't change
    in_conversation: bool = True
    modality: str = "audio"
    tokens: int | None = None
    usage: Callable[["Response"], dict[str, Any]] | None = None
    status: str = "in_progress"
    reason: str | None = None
    error: dict[str, Any] | None = None
    output: list[Item] = field(default_factory=list)
    sent_ms: int = 0  # audio of all its messages
    characters: int = 0  # text and arguments
    _open: Item | None = None
    _told: str = ""

    def object(self) -> dict[str, Any]:
        """The response as the vendor shows it."""
        over = self.status != "in_progress"
        details = None
        if over and self.status != "completed":
            details = {"type": self.status, "reason": self.reason, "error": self.error}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": details,
            "output": [dict(item) for item in self.output],
            **self.shown,
            "usage": self.usage(self) if over and self.usage else None,
        }

    def script(self) -> Iterator[Step]:
        """Waits and events, until `response.done`. Events are made when they leave."""
        yield self.pace.thinking_s
        for action in self.think():
            yield from (
                self._message(action.text) if isinstance(action, Speak) else self._call(action)
            )
            if self.reason:
                break
        self.status = "incomplete" if self.reason else "completed"
        yield [{"type": "response.done", "response": self.object()}]

    def cut(self, status: str, reason: str | None, error: dict[str, Any] | None) -> list[Any]:
        """End it now: the events that close what is open, then `response.done`."""
        events = self._close("incomplete") if self._open is not None else []
        self.status, self.reason, self.error = status, reason, error
        return [*events, {"type": "response.done", "response": self.object()}]

    def _message(self, text: str) -> Iterator[Step]:
        item = self._begin({"type": "message", "role": "assistant", "content": []})
        if self.modality == "text":
            yield from self._text(text)
            return
        audio = self.stage.render(self, item["id"], text)
        allowed = self._allowed_bytes()
        part = {"type": "audio", "transcript": ""}
        yield [*self._opening(item), self._event("response.content_part.added", part=part)]
        chunk = self.pace.chunk_ms * BYTES_PER_MS
        for at in range(0, min(len(audio), allowed), chunk):
            piece = audio[at : min(at + chunk, allowed)]
            yield self._sound(item, text, audio, at, piece)
            yield len(piece) / BYTES_PER_MS / 1000 / self.pace.speed
        if len(audio) > allowed:
            self.reason = "max_output_tokens"
        yield self._close("incomplete" if self.reason else "completed")

    def _sound(self, item: Item, text: str, audio: bytes, at: int, piece: bytes) -> list[Any]:
        events = []
        # The words run a little ahead of the sound, as the vendor's do.
        until = _word_end(text, (at + len(piece)) / len(audio))
        if until > len(self._told):
            delta, self._told = text[len(self._told) : until], text[:until]
            events.append(self._event("response.output_audio_transcript.delta", delta=delta))
            self.characters += len(delta)
        stamped = self.stage.spoke(item["id"], piece)
        self.sent_ms += len(piece) // BYTES_PER_MS
        events.append(
            self._event("response.output_audio.delta", delta=b64encode(stamped).decode("ascii"))
        )
        return events

    def _allowed_bytes(self) -> int:
        if self.tokens is None:
            return 1 << 30
        left_ms = self.tokens * 1000 // OUTPUT_AUDIO_TOKENS_PER_S - self.sent_ms
        return max(left_ms // FRAME_MS, 0) * FRAME_BYTES

    def _text(self, text: str) -> Iterator[Step]:
        assert self._open is not None
        part = {"type": "text", "text": ""}
        added = self._event("response.content_part.added", part=part)
        yield [*self._opening(self._open), added]
        self._told = text
        self.characters += len(text)
        yield [self._event("response.output_text.delta", delta=text)]
        yield self._close("completed")

    def _call(self, call: Call) -> Iterator[Step]:
        call_id = self.stage.new_id("call")
        body = {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": ""}
        item = self._begin(body)
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        yield _CALL_DELAY_S
        yield self._opening(item)
        for at in range(0, len(arguments), _ARGUMENTS_CHUNK):
            delta = arguments[at : at + _ARGUMENTS_CHUNK]
            self._told += delta
            self.characters += len(delta)
            event = self._event("response.function_call_arguments.delta", delta=delta)
            yield [event | {"call_id": call_id}]
        self.stage.called(call_id, call)
        yield self._close("completed")

    def _begin(self, body: dict[str, Any]) -> Item:
        self._told = ""
        head = {"id": self.stage.new_id("item"), "object": "realtime.item"}
        self._open = {**head, "status": "in_progress", **body}
        return self._open

    def _opening(self, item: Item) -> list[ServerEvent]:
        self.output.append(item)
        place = {"response_id": self.id, "output_index": len(self.output) - 1}
        events = [{"type": "response.output_item.added", **place, "item": dict(item)}]
        if self.in_conversation:
            previous = self.stage.add_item(item)
            added = {"type": "conversation.item.added", "previous_item_id": previous}
            events.append({**added, "item": dict(item)})
        return events

    def _close(self, status: str) -> list[ServerEvent]:
        """The events that end the open item, as far as it has come."""
        item = self._open
        self._open = None
        if item is None or item not in self.output:
            return []
        item["status"] = status
        if item["type"] == "function_call":
            events = self._close_call(item)
        elif self.modality == "text":
            events = self._close_text(item)
        else:
            events = self._close_audio(item)
        if self.in_conversation:
            events.append({"type": "conversation.item.done", "item": dict(item)})
        place = {"response_id": self.id, "output_index": len(self.output) - 1}
        events.append({"type": "response.output_item.done", **place, "item": dict(item)})
        self.stage.finished_item(item)
        return events

    def _close_audio(self, item: Item) -> list[ServerEvent]:
        item["content"] = [{"type": "output_audio", "transcript": self._told}]
        part = {"type": "audio", "transcript": self._told}
        return [
            self._event("response.output_audio.done", of=item),
            self._event("response.output_audio_transcript.done", of=item, transcript=self._told),
            self._event("response.content_part.done", of=item, part=part),
        ]

    def _close_text(self, item: Item) -> list[ServerEvent]:
        item["content"] = [{"type": "output_text", "text": self._told}]
        part = {"type": "text", "text": self._told}
        return [
            self._event("response.output_text.done", of=item, text=self._told),
            self._event("response.content_part.done", of=item, part=part),
        ]

    def _close_call(self, item: Item) -> list[ServerEvent]:
        item["arguments"] = self._told
        done = self._event("response.function_call_arguments.done", of=item)
        facts = {"call_id": item["call_id"], "name": item["name"], "arguments": self._told}
        return [done | facts]

    def _event(self, kind: str, of: Item | None = None, **fields: Any) -> ServerEvent:
        item = of or self._open
        assert item is not None
        index = self.output.index(item) if item in self.output else len(self.output)
        place = {"response_id": self.id, "item_id": item["id"], "output_index": index}
        content = {} if item["type"] == "function_call" else {"content_index": 0}
        return {"type": kind, **place, **content, **fields}


def _word_end(text: str, portion: float) -> int:
    """Where the word ends that stands at this portion of the text."""
    at = round(len(text) * min(portion, 1.0))
    end = text.find(" ", at)
    return len(text) if end < 0 else end + 1

"""One session of the emulated Realtime service: client events and time in, server events out. Pure.

The socket shell hands in each client event (`receive`), lets time pass (`advance`) and sends what
`drain` returns. Times are seconds on any monotonic clock.
"""

import re
from collections.abc import Callable
from typing import Any

from sandbox.brain import Brain, Note, Result
from sandbox.hearing import Hearing
from sandbox.realtime_config import updated
from sandbox.realtime_items import Conversation
from sandbox.realtime_listener import Listener
from sandbox.realtime_outbox import Outbox
from sandbox.realtime_record import SessionRecord, Truncation
from sandbox.realtime_replies import Habits, Mind, Rendered, Replies
from sandbox.realtime_response import ServerEvent
from sandbox.realtime_schema import check_client_event
from sandbox.realtime_shapes import Refused

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")


class Session:
    """`record.config` is the session object. `brain`: makes the mind of a call from its tag
    (None as long as nobody has been heard). `expires_at`: on the session's clock."""

    def __init__(
        self,
        record: SessionRecord,
        brain: Callable[[int | None], Brain],
        habits: Habits,
        rendered: Rendered,
        expires_at: float,
    ) -> None:
        self.record = record
        self.expired = False
        self._expires_at = expires_at
        self._conversation = Conversation()
        hearing = Hearing()
        record.defects = hearing.defects
        self._outbox = Outbox(record)
        self._mind = Mind(record, brain)
        self._replies = Replies(self._outbox, self._conversation, self._mind, habits, rendered)
        self._listener = Listener(
            self._outbox, self._conversation, self._replies, hearing, self._mind
        )
        self._outbox.emit("session.created", session=dict(record.config))

    def receive(self, event: Any, now: float) -> None:
        """A client event, as parsed from JSON; what the vendor refuses is answered with an error
        event that echoes its `event_id`."""
        self._outbox.now = now
        try:
            check_client_event(event)
            _HANDLERS[event["type"]](self, event)
        except Refused as refusal:
            given = event.get("event_id") if isinstance(event, dict) else None
            self._outbox.refuse(refusal, given if isinstance(given, str) else None)

    def advance(self, now: float) -> None:
        """Let time pass: whatever is due happens."""
        self._outbox.advance(now)
        self._replies.advance(now)
        self._listener.advance(now)
        if now >= self._expires_at and not self.expired:
            minutes = round((self._expires_at - self.record.connected_at) / 60)
            message = f"Your session hit the maximum duration of {minutes} minutes."
            self._outbox.refuse(Refused("session_expired", message))
            self.expired = True

    def break_down(self, kind: str, seconds: float, now: float) -> None:
        """What breaks in the model itself, not on its socket: its answers, or its age."""
        self._outbox.now = now
        if kind == "expired":
            self._expires_at = now
        else:
            self._replies.break_down(kind, seconds)

    def due(self) -> float:
        """When `advance` has something to do next."""
        expiry = float("inf") if self.expired else self._expires_at
        return min(self._outbox.due(), self._replies.due(), self._listener.due(), expiry)

    def has_news(self) -> bool:
        """Whether there is something to send now."""
        return self._outbox.ready

    def drain(self) -> list[ServerEvent]:
        """The server events to send now, in order."""
        return self._outbox.drain()

    def unreadable(self, problem: str) -> None:
        """A message that is no JSON text."""
        self._outbox.refuse(Refused("invalid_json", problem))

    def _update(self, event: dict[str, Any]) -> None:
        spoken = self._conversation.spoken
        config = updated(self.record.config, event["session"], spoken=spoken)
        # In place: the record, the listener and the replies share it.
        self.record.config.update(config)
        self._listener.configure()
        self._outbox.emit("session.updated", session=config)

    def _append(self, event: dict[str, Any]) -> None:
        self._listener.append(event["audio"])

    def _commit(self, event: dict[str, Any]) -> None:
        self._listener.commit()

    def _clear(self, event: dict[str, Any]) -> None:
        self._listener.clear()

    def _create_item(self, event: dict[str, Any]) -> None:
        item = {
            "id": self._outbox.new_id("item"),
            "object": "realtime.item",
            "status": "completed",
            **event["item"],
        }
        if item["type"] in ("function_call", "function_call_output"):
            item.setdefault("call_id", self._outbox.new_id("call"))
            if not _CALL_ID.fullmatch(item["call_id"]):
                message = "Invalid 'item.call_id': expected a string that matches ^[a-zA-Z0-9_-]+$."
                raise Refused("invalid_value", message, "item.call_id")
        previous = self._conversation.add(item, event.get("previous_item_id"))
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.emit(kind, previous_item_id=previous, item=dict(item))
        self._take_in(item)

    def _take_in(self, item: dict[str, Any]) -> None:
        """What a new item means to the mind."""
        if item["type"] == "function_call_output":
            name = self._conversation.calls[item["call_id"]]
            for call in self.record.calls:
                if call.call_id == item["call_id"]:
                    call.outputs.append(item["output"])
                    call.answered_at = self._outbox.now
            self._mind.notice(Result(name, item["output"]))
        elif item["type"] == "message":
            text = " ".join(part["text"] for part in item["content"] if "text" in part)
            if item["role"] == "assistant":
                self.record.said_before.append(text)
                self._mind.forget_notes(orders=True)  # that answered what stands before
            else:
                self.record.read.append(text)
                self._mind.notice(Note(text, order=item["role"] == "system"))

    def _truncate(self, event: dict[str, Any]) -> None:
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        generated = self._conversation.truncate(item_id, end_ms)
        cut = Truncation(self._outbox.now, item_id, end_ms, generated)
        self.record.truncations.append(cut)
        self._replies.truncated()
        self._outbox.emit(
            "conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms
        )

    def _delete(self, event: dict[str, Any]) -> None:
        self._conversation.delete(event["item_id"])
        self._outbox.emit("conversation.item.deleted", item_id=event["item_id"])

    def _retrieve(self, event: dict[str, Any]) -> None:
        item = self._conversation.get(event["item_id"], "retrieve")
        self._outbox.emit("conversation.item.retrieved", item=dict(item))

    def _respond(self, event: dict[str, Any]) -> None:
        self._replies.begin(self.record.config, event.get("response") or {})

    def _cancel(self, event: dict[str, Any]) -> None:
        if not self._replies.cancel("client_cancelled", event.get("response_id")):
            message = "Cancellation failed: no active response found"
            raise Refused("response_cancel_not_active", message)


_HANDLERS: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    "session.update": Session._update,
    "input_audio_buffer.append": Session._append,
    "input_audio_buffer.commit": Session._commit,
    "input_audio_buffer.clear": Session._clear,
    "conversation.item.create": Session._create_item,
    "conversation.item.truncate": Session._truncate,
    "conversation.item.delete": Session._delete,
    "conversation.item.retrieve": Session._retrieve,
    "response.create": Session._respond,
    "response.cancel": Session._cancel,
}

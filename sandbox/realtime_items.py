"""The conversation of one emulated Realtime session: its items, their order and their rules."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.realtime_shapes import Refused

Item = dict[str, Any]


@dataclass(slots=True)
class Conversation:
    """Items by id, oldest first. `audio_ms`: audio there is of each of the model's messages."""

    items: dict[str, Item] = field(default_factory=dict)
    audio_ms: dict[str, int] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)  # call_id → function
    spoken: bool = False  # assistant audio is present: the voice is settled

    @property
    def last_id(self) -> str | None:
        """Id of the newest item."""
        return next(reversed(self.items), None)

    def add(self, item: Item, previous: str | None = None) -> str | None:
        """Put the item after `previous` ("root": first; None: at the end); returns the id that it
        follows. Raises Refused as the vendor does."""
        if item["id"] in self.items:
            raise Refused(
                "invalid_value", f"Item with id '{item['id']}' already exists.", "item.id"
            )
        after = self.last_id if previous is None else previous
        if previous not in (None, "root") and previous not in self.items:
            message = f"Item with previous_item_id '{previous}' does not exist."
            raise Refused("invalid_value", message, "previous_item_id")
        self._claim(item)
        if after in (None, "root"):
            self.items = {item["id"]: item, **self.items}
            return None
        assert after is not None
        order = list(self.items)
        order.insert(order.index(after) + 1, item["id"])
        every = {**self.items, item["id"]: item}
        self.items = {each: every[each] for each in order}
        return after

    def _claim(self, item: Item) -> None:
        if item["type"] == "function_call":
            self.calls[item["call_id"]] = item["name"]
        elif item["type"] == "function_call_output" and item["call_id"] not in self.calls:
            message = f"Tool call ID '{item['call_id']}' not found in conversation."
            raise Refused("invalid_tool_call_id", message)

    def get(self, item_id: str, what: str) -> Item:
        """The item, for an event of which `what` names the verb."""
        try:
            return self.items[item_id]
        except KeyError:
            message = f"Error {what} item: the item with id '{item_id}' does not exist."
            raise Refused(f"item_{what}_invalid_item_id", message, "item_id") from None

    def delete(self, item_id: str) -> None:
        """Forget an item."""
        self.get(item_id, "delete")
        del self.items[item_id]

    def truncate(self, item_id: str, end_ms: int) -> int:
        """Cut the audio of a message of the model's; returns how much of it there was, in ms."""
        item = self.get(item_id, "truncate")
        audio_ms = self.audio_ms.get(item_id, 0)
        if item["type"] != "message" or item["role"] != "assistant" or not audio_ms:
            raise Refused("invalid_value", "Only model output audio messages can be truncated")
        if end_ms > audio_ms:
            message = f"Audio content of {audio_ms}ms is already shorter than {end_ms}ms"
            raise Refused("invalid_value", message)
        self.audio_ms[item_id] = end_ms
        # The vendor removes the transcript: no text stays that wasn't heard.
        item["content"] = [{"type": "output_audio", "transcript": None}]
        return audio_ms

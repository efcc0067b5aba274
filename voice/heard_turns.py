"""What was said on this stream, and what of it was heard. Pure.

The agent's words come before its sound, and its sound before it is heard: a turn is what was heard.
Items are called what the agent's leg calls them; lines of our own `voice.events.ANNOUNCEMENT`….
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from voice.conclusion import FAREWELLS, first_words
from voice.events import ANNOUNCEMENT

#: A bound: items whose audio never came.
_MOST_ITEMS: Final = 16


@dataclass(slots=True)
class _Item:
    """An item of the agent, or a line of our own, as its words come in."""

    began: float
    response: int
    text: str = ""
    of_a_lost_agent: bool = False
    broken_off: bool = False  # it has no end


class HeardTurn(NamedTuple):
    """What the caller heard of an item. `began`: on the call's clock, seconds; `response`: the last
    that had begun when its first word, or sound, came; `announced`: it is a line of our own."""

    text: str
    began: float
    heard_ms: float
    cut: bool
    response: int
    announced: bool
    of_a_lost_agent: bool

    @property
    def data(self) -> dict[str, Any]:
        """As it is recorded."""
        heard_ms = round(self.heard_ms)
        data = {"who": "agent", "text": self.text, "heard_until_ms": heard_ms, "cut": self.cut}
        # A line of our own is nothing that another agent must know.
        return data | {"announced": True} if self.announced else data


class HeardTurns:
    """The turns of one stream. `disclosure`: the part of the greeting that must be heard;
    `caller_turns`, `answered`: of earlier streams of the same call, how often the caller had
    spoken, and whether they had their last answer.

    `responses`: begun so far; `last_was_caller`: the last turn awaits an answer; `anything`: the
    caller has heard anything of the agent; `disclosed`: they know what speaks.
    """

    def __init__(self, disclosure: str, caller_turns: int, *, answered: bool) -> None:
        self._disclosure = disclosure
        self.disclosed = False
        self.responses = 0
        self.caller_turns = caller_turns
        self.last_was_caller = False
        self.anything = False
        self._items: dict[str, _Item] = {}
        self._addressed = False  # the caller has said something on this stream
        self._answered = self._ever_answered = answered  # … and heard the answer to its end
        self._farewell = False  # the caller's last words were a goodbye

    @property
    def informed(self) -> bool:
        """The caller has their last answer, or took leave after one."""
        return self._answered or (self._ever_answered and self._farewell)

    # --------------------------------------------------------------------- the agent speaks

    def begin_response(self) -> None:
        self.responses += 1

    def words(self, item_id: str, text: str, *, final: bool, now: float) -> None:
        """More words of an item, or (`final`) all of them."""
        item = self._items.get(item_id) or self._new_item(item_id, now)
        item.text = text if final else item.text + text

    def sound(self, item_id: str, now: float) -> None:
        """Its first sound has gone out."""
        item = self._items.get(item_id) or self._new_item(item_id, now)
        item.began = now

    def break_off(self) -> None:
        """What the last response has said so far is all that there is of it."""
        for item_id, item in self._items.items():
            item.broken_off |= self._is_of_the_last_response(item_id, item)

    def disclose(self) -> None:
        """They know from an earlier stream, or the agent is told to say so."""
        self.disclosed = True

    def lose_agent(self) -> None:
        """What is still on the line is a lost agent's."""
        for item in self._items.values():
            item.of_a_lost_agent = True

    def _new_item(self, item_id: str, now: float) -> _Item:
        while len(self._items) >= _MOST_ITEMS:
            self._items.pop(next(iter(self._items)))
        item = self._items[item_id] = _Item(began=now, response=self.responses)
        return item

    def _is_of_the_last_response(self, item_id: str, item: _Item) -> bool:
        return not item_id.startswith(ANNOUNCEMENT) and item.response == self.responses

    # ------------------------------------------------------------------------ … and is heard

    def heard(self, items: tuple[tuple[str, float], ...]) -> list[HeardTurn]:
        """All of these, (item_id, heard_ms), has been played."""
        turns: list[HeardTurn] = []
        whole, only_ours = True, bool(items)
        for item_id, heard_ms in items:
            item = self._items.pop(item_id, None)
            whole = item is None or not item.broken_off
            only_ours &= item_id.startswith(ANNOUNCEMENT)
            if item is not None and heard_ms > 0:
                turns.append(self._turn(item_id, item, heard_ms))
        self.anything |= not only_ours
        # A greeting, or the words after a cut, answer nothing.
        if self._addressed and whole and not only_ours:
            self._answered = True
            self._ever_answered |= self.caller_turns > 0
        return turns

    def cut(
        self,
        items: tuple[tuple[str, float, float], ...],
        *,
        responding: bool,
        leaving: bool,
    ) -> list[HeardTurn]:
        """Of these, (item_id, heard_ms, sent_ms), so much was heard. `responding`: more of the last
        response was to come; `leaving`: by our own leaving, which takes no answer back."""
        turns: list[HeardTurn] = []
        for item_id, heard_ms, sent_ms in items:
            item = self._items.pop(item_id, None)
            last = item is not None and self._is_of_the_last_response(item_id, item)
            whole = heard_ms >= sent_ms and not (responding and last)
            self.anything |= heard_ms > 0
            if not leaving and not item_id.startswith(ANNOUNCEMENT):
                self._answered = whole
            if item is not None and heard_ms > 0:
                share = None if whole else heard_ms / (sent_ms or 1)
                turns.append(self._turn(item_id, item, heard_ms, share))
        return turns

    def _turn(
        self, item_id: str, item: _Item, heard_ms: float, share: float | None = None
    ) -> HeardTurn:
        """`share`: of its sound, if it was cut."""
        text = item.text.strip() if share is None else first_words(item.text, share)
        cut = share is not None or item.broken_off
        announced = item_id.startswith(ANNOUNCEMENT)
        if not announced:
            self.disclosed |= not cut or len(text) >= len(self._disclosure)
            self.last_was_caller &= not text
        return HeardTurn(
            text=text,
            began=item.began,
            heard_ms=heard_ms,
            cut=cut,
            response=item.response,
            announced=announced,
            of_a_lost_agent=item.of_a_lost_agent and not announced,
        )

    # -------------------------------------------------------------------- the caller speaks

    def caller_speaks(self) -> None:
        """Their words aren't known yet."""
        self._addressed = True
        self._answered = False

    def caller_said(self, text: str) -> None:
        """A turn of the caller, or the keys they pressed."""
        self.caller_turns += 1
        self._addressed = True
        self.last_was_caller = True
        self._farewell = any(word in text.casefold() for word in FAREWELLS)

    def answer_due(self) -> None:
        """There is something new to be told to the caller."""
        self.last_was_caller = True

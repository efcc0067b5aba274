"""What has no more time to give: the spans that are taken, in whole cells of the agenda's grid."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from domain.agenda import GRID_MINUTES
from domain.wall_clock import merged, minute_after, minute_of

#: What is taken: instants by resource. Those under "" are everybody's.
Busy = Mapping[str, Sequence[tuple[datetime, datetime]]]


class Taken:
    """What a resource has no time for, in whole cells: an appointment takes each that it touches.
    A business without resources has time for nothing that anybody ever took."""

    __slots__ = ("_begins", "_ends")

    def __init__(self, busy: Busy, resource: str) -> None:
        taken = busy.values() if not resource else (busy.get("", ()), busy.get(resource, ()))
        spans = merged(
            (down(minute_of(start)), up(minute_after(end)))
            for each in taken
            for start, end in each
            if start < end
        )
        self._begins = [begin for begin, _ in spans]
        self._ends = [end for _, end in spans]

    def leaves(self, starts: Iterable[int], before: int, after: int) -> list[int]:
        """The starts of which nothing is taken from `before` minutes ahead to `after` later.

        The innermost loop of all: two lists, so that it compares numbers only.
        """
        begins, ends = self._begins, self._ends
        free = []
        for start in starts:
            # Of merged spans only the last that begins before our end can reach our beginning.
            at = bisect_left(begins, start + after)
            if not at or ends[at - 1] <= start - before:
                free.append(start)
        return free

    def within(self, begins: int, ends: int) -> int:
        """How many of these minutes are taken."""
        at = max(bisect_left(self._begins, begins) - 1, 0)
        taken = 0
        while at < len(self._begins) and self._begins[at] < ends:
            taken += max(0, min(self._ends[at], ends) - max(self._begins[at], begins))
            at += 1
        return taken


def down(minute: int) -> int:
    """The start of the cell that a minute lies in."""
    return minute - minute % GRID_MINUTES


def up(minute: int) -> int:
    """The first start of a cell that comes no sooner; of a length: the whole cells it takes."""
    return minute + -minute % GRID_MINUTES

"""Whose job is next: pure rules, so that no tenant waits for another one's ten thousand."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from storage.jobs.queue import Lane

#: A tenant's part of a worker's places, however many jobs it has.
LARGEST_SHARE = 0.5


class Turns:
    """Tenants take turns, and so do the kinds of one tenant; whoever had one waits longest."""

    def __init__(self, places: int) -> None:
        self._most = max(1, int(places * LARGEST_SHARE))
        self._turn = 0
        self._last: dict[Lane | str | None, int] = {}

    def choose(
        self, due: Mapping[Lane, int], room: int, running: Mapping[str | None, int]
    ) -> list[Lane]:
        """At most `room` lanes to take a job from each, the first first. `due`: jobs per lane;
        `running`: jobs per tenant that run already."""
        left = Counter(due)
        taken = Counter(running)
        lanes: defaultdict[str | None, list[Lane]] = defaultdict(list)
        for lane in due:
            lanes[lane.tenant_id].append(lane)
        chosen: list[Lane] = []
        while len(chosen) < room:
            tenants = [
                tenant
                for tenant, its in lanes.items()
                if taken[tenant] < self._most and any(left[lane] for lane in its)
            ]
            if not tenants:
                break
            tenant = min(tenants, key=self._since)
            lane = min((each for each in lanes[tenant] if left[each]), key=self._since)
            chosen.append(lane)
            left[lane] -= 1
            taken[tenant] += 1
            self._had(lane)
        return chosen

    def _since(self, who: Lane | str | None) -> int:
        return self._last.get(who, 0)

    def _had(self, lane: Lane) -> None:
        self._turn += 1
        for who in (lane, lane.tenant_id):
            self._last.pop(who, None)
            self._last[who] = self._turn
        while len(self._last) > 10_000:  # whoever had a turn so long ago is as good as new
            del self._last[next(iter(self._last))]

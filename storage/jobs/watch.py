"""Who is alive, told without comparing clocks: pure rules."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Seen:
    sign: Hashable
    silent: float  # seconds for which this sign has been watched without a change


class Watch:
    """Takes a worker for dead when its sign of life hasn't changed for `silence` seconds of our
    own watching. Steps of a wall clock, its own or another machine's, mean nothing to it; time in
    which we couldn't look (we were stopped, the database was away) doesn't count."""

    def __init__(self, silence: float, gap: float) -> None:
        """`gap`: no longer between two looks counts, seconds."""
        self._silence = silence
        self._gap = gap
        self._seen: dict[str, _Seen] = {}
        self._looked = 0.0

    def look(self, signs: Mapping[str, Hashable], now: float) -> dict[str, Hashable]:
        """The dead among those with these signs, with the sign that they died with. `now`:
        monotonic seconds. A sign of None: the worker is gone already."""
        passed = min(max(now - self._looked, 0.0), self._gap)
        self._looked = now
        seen: dict[str, _Seen] = {}
        for worker, sign in signs.items():
            before = self._seen.get(worker)
            unchanged = before is not None and before.sign == sign
            silent = before.silent + passed if before is not None and unchanged else 0.0
            seen[worker] = _Seen(sign, silent)
        self._seen = seen
        return {
            worker: each.sign
            for worker, each in seen.items()
            if each.sign is None or each.silent >= self._silence
        }

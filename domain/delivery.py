"""How far a text got: `queued → sending → accepted → sent → delivered → read`, or one of the ends.

Pure. Reports overtake each other and come twice, and some never come, so that a text only ever
moves forward, over whatever was skipped. `unknown` lies between: we asked a vendor and don't know
whether it took the text; nobody asks again, a report may still tell.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: A text's way, the first stage first. `pending` is the earlier service's word for queued.
RANKS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "pending": 0,
        "queued": 0,
        "sending": 1,
        "unknown": 2,
        "accepted": 3,
        "sent": 4,
        "delivered": 5,
        "read": 6,
    }
)
#: Ends without arrival.
ENDS: Final = frozenset({"failed", "expired", "suppressed", "cancelled"})
STATUSES: Final = frozenset(RANKS) | ENDS
#: We have nothing left to do: it is the vendor's, or over.
SETTLED: Final = STATUSES - {"pending", "queued", "sending"}
_ONLY_FROM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"pending": (), "queued": ("sending",), "sending": ("queued",), "unknown": ("sending",)}
)
#: A vendor may say that it failed as long as nobody has said that it arrived
#: (text-channels.md §1.7).
_MAY_FAIL: Final = RANKS["sent"]


def earlier(status: str) -> tuple[str, ...]:
    """From which stages `status` may be reached. KeyError for one that doesn't exist.

    `queued` is reached from `sending` alone: the vendor has certainly not taken the text, and it
    will be asked again.
    """
    if status in _ONLY_FROM:
        return _ONLY_FROM[status]
    if status == "failed":
        return tuple(stage for stage, rank in RANKS.items() if rank <= _MAY_FAIL)
    if status in ENDS:
        return ("pending", "queued")
    rank = RANKS[status]
    return tuple(stage for stage, its in RANKS.items() if its < rank)


def moves(current: str, new: str) -> bool:
    """Whether a text that is `current` becomes `new` when that is reported."""
    return current in earlier(new)

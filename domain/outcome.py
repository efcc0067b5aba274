"""What a call came to: exactly one per call."""

from collections.abc import Iterable
from enum import StrEnum


class Outcome(StrEnum):
    """How a call ended, strongest first: what was agreed weighs more than how it ended."""

    BOOKED = "booked"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    TRANSFERRED = "transferred"
    QUALIFIED = "qualified"
    TICKET = "ticket"
    MESSAGE = "message"
    INFORMED = "informed"
    WRONG_NUMBER = "wrong_number"
    TENANT_UNKNOWN = "tenant_unknown"
    OVERFLOW = "overflow"
    ABANDONED = "abandoned"
    FAILED = "failed"


_RANK = {outcome: rank for rank, outcome in enumerate(Outcome)}

#: Outcomes that a function call achieves by committing a row.
ACHIEVED = frozenset(
    {
        Outcome.BOOKED,
        Outcome.RESCHEDULED,
        Outcome.CANCELLED,
        Outcome.TRANSFERRED,
        Outcome.QUALIFIED,
        Outcome.TICKET,
        Outcome.MESSAGE,
    }
)


def strongest(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The one to store when a call achieved several; None when it achieved none."""
    return min(outcomes, key=_RANK.__getitem__, default=None)

"""The machine's clock: the one place that asks it what time it is."""

import time
from datetime import UTC, datetime


class SystemClock:
    """`domain.clock.Clock` of a running process."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock that everybody else is given

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes backwards."""
        return time.monotonic()

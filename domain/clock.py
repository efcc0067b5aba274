"""Time, as an argument: nobody but the shell asks the machine what time it is."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks: instants for rows, a monotonic one for durations."""

    def now(self) -> datetime:
        """The current instant, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes backwards."""
        ...

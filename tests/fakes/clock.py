"""A clock that stands still until it is told to go on."""

from datetime import UTC, datetime, timedelta

#: A Monday morning in November: 10:00 in Paris.
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class FakeClock:
    """A `domain.clock.Clock` whose time passes only by `advance`."""

    def __init__(self, start: datetime = START) -> None:
        assert start.tzinfo is not None, "an instant needs a zone"
        self._start = start.astimezone(UTC)
        self._elapsed = timedelta(0)

    def now(self) -> datetime:
        """The start, plus all advances."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed.total_seconds()

    def advance(self, by: float | timedelta) -> None:
        """Let seconds, or a timedelta, pass; never backwards."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        assert step >= timedelta(0), "time doesn't go back"
        self._elapsed += step

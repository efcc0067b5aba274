"""What numbers and ranges of an agenda may be, and how ranges are stored."""

from collections.abc import Iterable, Sequence
from datetime import time
from itertools import pairwise
from typing import Final

from domain.agenda import GRID_MINUTES, MAX_HORIZON_DAYS, DayRange
from domain.errors import Invalid

_DAY: Final = 24 * 60
#: From, to, in steps of; by the name of the field. Lengths and distances are whole cells, so that
#: what is offered and what the database guards are the same.
BOUNDS: Final = {
    "minutes": (GRID_MINUTES, _DAY, GRID_MINUTES),
    "before": (0, 8 * 60, GRID_MINUTES),
    "after": (0, 8 * 60, GRID_MINUTES),
    "step": (GRID_MINUTES, _DAY, GRID_MINUTES),
    "notice_minutes": (0, 90 * _DAY, 1),
    "horizon_days": (1, MAX_HORIZON_DAYS, 1),
    "daily_cap": (1, 1000, 1),
    "price_cents": (0, 100_000_000, 1),
    "position": (0, 10_000, 1),
}
#: A day has no more openings than that.
MAX_RANGES: Final = 24


def check_numbers(owner: object, *names: str) -> None:
    """Raise Invalid for the first of these fields of `owner` that is out of its bounds."""
    for name in names:
        value: int | None = getattr(owner, name)
        low, high, step = BOUNDS[name]
        if value is not None and (not low <= value <= high or value % step):
            of = f" and be a multiple of {step}" if step > 1 else ""
            raise Invalid(
                f"must lie between {low} and {high}{of}", field=name, message_key="agenda_number"
            )


def check_ranges(ranges: Sequence[DayRange], field: str) -> None:
    """Raise Invalid when they overlap, aren't whole minutes, or are too many."""
    if len(ranges) > MAX_RANGES:
        raise Invalid(f"a day has at most {MAX_RANGES} ranges", field=field)
    spans = sorted(_span(each, field) for each in ranges)
    if any(later < end for (_, end), (later, _) in pairwise(spans)):
        raise Invalid("two ranges overlap", field=field, message_key="hours_overlap")


def _span(each: DayRange, field: str) -> tuple[int, int]:
    """Minutes since midnight. Closing no later than opening means: on the next day."""
    if any(at.second or at.microsecond for at in (each.opens, each.closes)):
        raise Invalid("must be a whole minute", field=field)
    opens = each.opens.hour * 60 + each.opens.minute
    closes = each.closes.hour * 60 + each.closes.minute
    return opens, opens + ((closes - opens) % _DAY or _DAY)


def stored(ranges: Iterable[DayRange]) -> list[list[str]]:
    """[["09:00", "12:00"], …], in order."""
    return sorted([f"{each.opens:%H:%M}", f"{each.closes:%H:%M}"] for each in ranges)


def read(ranges: Iterable[Sequence[str]]) -> tuple[DayRange, ...]:
    """The other way round."""
    return tuple(
        DayRange(time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in ranges
    )

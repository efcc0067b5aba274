"""What a value of the export must be to become one of ours. Pure: no database.

Columns and types: `database/migration-channels-communication.sql` of the earlier service (SQLite
types: anything may stand anywhere).
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from domain.phone import DEFAULT_REGION, normalise
from storage.columns import storable

#: The longest text that is kept. Origin: a call of two hours has some 100,000 characters.
MAX_TEXT = 1_000_000
MAX_ID = 128
MAX_DEPTH = 32
MAX_MINUTES = 24 * 60
MAX_NUMBER = 10**15

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?")
#: Before this, a number of seconds or milliseconds is no instant but a slip.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_MILLISECONDS = 10**11


class Refused(Exception):
    """A row can't be kept; says why, without repeating what stands there."""


#: What earlier pages wrote for a number that nobody gave (real-users.md §1.4).
NOT_GIVEN = frozenset(
    {"", "-", "n/a", "na", "none", "null", "inconnu", "unknown", "non specifie", "masque"}
    | {"non spécifié", "non renseigné", "masqué", "anonymous"}
)


@lru_cache(maxsize=4096)
def number(text: str, region: str = DEFAULT_REGION) -> str | None:
    """E.164, or None when it can't be read as a number."""
    return normalise(text, region)


@dataclass(slots=True)
class Reading:
    """One row of the export while it is turned into one of ours; collects what is to be noted."""

    row: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def text(self, column: str, default: str | None = None) -> str | None:
        """Text as it is, or None; "" counts as nothing when a default is given."""
        value = self.row.get(column)
        if value is None:
            return default
        if isinstance(value, bytes):
            raise Refused(f"{column} is binary")
        text = str(value)
        if len(text) > MAX_TEXT:
            raise Refused(f"{column} is longer than {MAX_TEXT} characters")
        if storable(text) != text:
            self.notes.append(f"{column} had characters that no database keeps; they were replaced")
        return storable(text) or default

    def words(self, column: str) -> str:
        """Text that must be given."""
        text = self.text(column)
        if text is None or not text.strip():
            raise Refused(f"{column} is missing")
        return text

    def key(self, column: str) -> str:
        """An id: short, printable, kept as it is."""
        value = self.row.get(column)
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            raise Refused(f"{column} is missing")
        text = str(value)
        if len(text) > MAX_ID or not text.isprintable():
            raise Refused(f"{column} is no id: longer than {MAX_ID} or not printable")
        return text

    def one_of(self, column: str, allowed: Collection[str], default: str | None) -> Any:
        """One of these words, in any case."""
        text = self.text(column)
        if text is None or not text.strip():
            if default is None:
                return None
            return default
        word = text.strip().lower()
        if word not in allowed:
            raise Refused(f"{column} is none of {', '.join(allowed)}")
        return word

    def flag(self, column: str) -> bool:
        """0 or 1, as SQLite has them."""
        value = self.row.get(column)
        if value in (None, "", 0, "0", "false"):
            return False
        if value in (1, "1", "true"):
            return True
        raise Refused(f"{column} is neither 0 nor 1")

    def whole(self, column: str, low: int, high: int, default: int | None = None) -> int | None:
        """A whole number within bounds."""
        value = self.row.get(column)
        if value is None or value == "":
            return default
        try:
            whole = int(value)
        except (TypeError, ValueError, OverflowError):
            raise Refused(f"{column} is no whole number") from None
        if whole != (float(value) if isinstance(value, float) else whole):
            raise Refused(f"{column} is no whole number")
        if not low <= whole <= high:
            raise Refused(f"{column} doesn't lie between {low} and {high}")
        return whole

    def instant(self, column: str) -> datetime | None:
        """CURRENT_TIMESTAMP's text, which is UTC; ISO 8601; seconds or milliseconds since 1970."""
        value = self.row.get(column)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, int | float):
                seconds = value / 1000 if value > _MILLISECONDS else value
                read = datetime.fromtimestamp(seconds, UTC)
            else:
                read = datetime.fromisoformat(str(value).strip())
        except (ValueError, OverflowError, OSError):
            raise Refused(f"{column} is no instant") from None
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        if not _EARLIEST <= aware < _LATEST:
            raise Refused(f"{column} lies outside of 2000 to 2100")
        return aware

    def created(self, *others: str) -> datetime:
        """`created_at`, or the first of the others that is there."""
        for column in ("created_at", *others):
            instant = self.instant(column)
            if instant is not None:
                return instant
        raise Refused("created_at is missing")

    def json(self, column: str, kind: type[Any], default: Any) -> Any:
        """JSON of this kind (dict, list)."""
        text = self.text(column)
        if text is None or not text.strip():
            return default
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Refused(f"{column} is malformed JSON") from None
        if not isinstance(value, kind):
            raise Refused(f"{column} is no JSON {'object' if kind is dict else 'list'}")
        if _depth(value) > MAX_DEPTH:
            raise Refused(f"{column} is nested more than {MAX_DEPTH} levels deep")
        return value

    def phone(self, column: str, region: str) -> str | None:
        """A person's number in E.164; None for none. One that can't be read is noted, and kept as
        text by `unread`."""
        text = (self.text(column) or "").strip()
        if text.lower() in NOT_GIVEN:
            return None
        return number(text, region)

    def unread(self, column: str, region: str) -> str | None:
        """What stands where a number should, when it says something and is none."""
        text = (self.text(column) or "").strip()
        if text.lower() in NOT_GIVEN or number(text, region) is not None:
            return None
        self.notes.append(f"{column} is no telephone number; kept as a remark")
        return text

    def start(self, zone: str) -> tuple[date, time, datetime]:
        """`rdv_date` and `rdv_time` on the wall of `zone`, and the instant that they mean (the
        first of two in autumn)."""
        day, clock = str(self.row.get("rdv_date") or ""), str(self.row.get("rdv_time") or "")
        read = _TIME.fullmatch(clock.strip())
        try:
            on = date.fromisoformat(day.strip()) if _DATE.fullmatch(day.strip()) else None
        except ValueError:
            on = None
        if on is None or not 2000 <= on.year < 2100:
            raise Refused("rdv_date is no date such as 2026-11-24")
        if read is None:
            raise Refused("rdv_time is no time such as 14:30")
        at = time(int(read[1]), int(read[2]), int(read[3] or 0))
        local = datetime.combine(on, at, tzinfo=ZoneInfo(zone))
        instant = local.astimezone(UTC)
        if instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local.replace(tzinfo=None):
            raise Refused("rdv_time doesn't exist on that day: the clock goes forward")
        return on, at, instant


def joined(*remarks: str | None) -> str | None:
    """Remarks, one per line."""
    return "\n".join(each for each in remarks if each) or None


def caller(text: str | None, region: str) -> str:
    """A caller's number in E.164, "" when it was withheld or can't be read."""
    if text is None or text.strip().lower() in NOT_GIVEN:
        return ""
    return number(text, region) or ""


def ended(start: datetime, minutes: int) -> datetime:
    """The end of an appointment."""
    return start + timedelta(minutes=minutes)


def _refuse_constant(_name: str) -> None:
    raise ValueError


def _depth(value: Any) -> int:
    deepest, pending = 0, [(value, 1)]
    while pending:
        each, depth = pending.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            return depth
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        pending.extend((child, depth + 1) for child in inner)
    return deepest


#: How a row of each table is read: (reading, its tenant's zone, region) → values of our table.
Reader = Callable[[Reading, str, str], dict[str, Any]]

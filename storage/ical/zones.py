"""What calendars call a time zone, and the zone that it is."""

import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from icalendar.timezone import tzp
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON
from icalendar.timezone.zoneinfo import ZONEINFO

#: Held, so that the library finds in its cache what it may no longer open.
_LOADED: dict[str, ZoneInfo] = {}


class _Loaded(ZONEINFO):
    """The library's way to zones, for a process that can't open them."""

    def timezone(self, name: str) -> tzinfo | None:
        return _LOADED.get(name)

    def knows_timezone_id(self, tzid: str) -> bool:
        return tzid in _LOADED


def load_all() -> None:
    """Read every zone into memory: a confined process opens no file."""
    for name in zoneinfo.available_timezones():
        _LOADED[name] = ZoneInfo(name)
    tzp.use(_Loaded())


def zone_of(name: str, defined: Mapping[str, tzinfo]) -> tzinfo | None:
    """The zone of a TZID: IANA's name, Outlook's, or one that ends in IANA's
    ("/freeassociation.sourceforge.net/Europe/Paris"); else what the calendar itself defines
    (its VTIMEZONE). None when it is nobody's."""
    cleaned = name.strip().strip('"').strip("/")
    known = _iana(cleaned) or _iana(WINDOWS_TO_OLSON.get(cleaned, ""))
    if known is not None:
        return known
    if name in defined:
        return defined[name]
    parts = cleaned.split("/")
    for start in range(1, len(parts)):
        known = _iana("/".join(parts[start:]))
        if known is not None:
            return known
    return None


def _iana(name: str) -> ZoneInfo | None:
    if _LOADED or not name:
        return _LOADED.get(name)
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """The instant in UTC of a wall clock's time; one that the clock skips is as much later
    (RFC 5545 §3.3.5), of one that it shows twice it is the first."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def local_day(day: datetime, zone: tzinfo, days: int = 0) -> datetime:
    """The instant at which a day begins, `days` later by the calendar."""
    return instant_of(datetime(day.year, day.month, day.day) + timedelta(days=days), zone)  # noqa: DTZ001 - a wall clock's time

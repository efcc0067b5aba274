"""The process in which one calendar is read: bytes in by stdin, JSON out by stdout.

In: a line of JSON (`zone`, `start`, `end` in seconds since 1970, `ours`), then the calendar. Out:
`{"spans": [[start, end], …], "events": n, "notes": […]}`, in seconds since 1970, or
`{"error": reason}`.
"""

import json
import sys
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from storage.confinement import answer_and_leave, confine
from storage.ical.busy import NotReadable, Span, busy_times
from storage.ical.zones import load_all

#: Address space. Measured: 10 MB, 45,000 events, take 300 MiB.
MEMORY_BYTES = 1024 * 1024 * 1024
#: Processor time. Measured: 5,000 events take 1.4 s, 45,000 take 12 s.
CPU_SECONDS = 40
#: 45,000 events as Google writes them: twelve a day for ten years.
MAX_BYTES = 10 * 1024 * 1024
_LONGEST_HEADER = 4096


def answer(data: bytes, wanted: dict[str, Any]) -> dict[str, object]:
    """What goes out for a calendar, its failures included."""
    if len(data) > MAX_BYTES:
        return {"error": "too_large"}
    start, end = (datetime.fromtimestamp(wanted[name], UTC) for name in ("start", "end"))
    try:
        found = busy_times(data, ZoneInfo(wanted["zone"]), start, end, wanted["ours"])
    except NotReadable as error:
        return {"error": error.reason}
    except (MemoryError, RecursionError):
        return {"error": "too_many"}
    except Exception as error:  # noqa: BLE001 - a library about a broken or hostile file
        return {"error": "broken", "detail": type(error).__name__}
    return {
        "spans": _seconds(found.spans),
        "events": found.events,
        "notes": found.notes,
    }


def _seconds(spans: Iterable[Span]) -> list[tuple[int, int]]:
    # Outwards: a part of a second is busy.
    return [(int(start.timestamp()), -int(-end.timestamp() // 1)) for start, end in spans]


def main() -> None:
    """Read, answer, leave."""
    warnings.simplefilter("ignore")
    load_all()
    rehearse()
    confine(MEMORY_BYTES, CPU_SECONDS)
    source = sys.stdin.buffer
    wanted = json.loads(source.readline(_LONGEST_HEADER))
    told = json.dumps(answer(source.read(MAX_BYTES + 1), wanted), ensure_ascii=True)
    answer_and_leave(told.encode())


def rehearse() -> None:
    """Let the libraries import what they import when they are first used: later nothing can be
    opened."""
    lines = """BEGIN:VCALENDAR
BEGIN:VTIMEZONE
TZID:rehearsed
BEGIN:STANDARD
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
DTSTART;TZID=rehearsed:20260101T000000
DURATION:PT1H
RRULE:FREQ=YEARLY;UNTIL=20280101T000000Z;BYEASTER=0
END:VEVENT
END:VCALENDAR
"""
    data = lines.replace("\n", "\r\n").encode()
    answer(data, {"zone": "UTC", "start": 1767225600, "end": 1798761600, "ours": ""})


if __name__ == "__main__":
    main()

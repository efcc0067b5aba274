"""Days and times as one says them on the telephone, and back from what a model writes.

Reading is liberal in form and strict in meaning: what could be meant in two ways is None, since a
question costs less than a booking on the wrong day.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.folding import unaccented
from domain.messages import language_of
from domain.number_words import english, french

_MAX_TEXT: Final = 80

_WEEKDAYS_FR: Final = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]
_WEEKDAYS_EN: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS_FR: Final = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_MONTHS_EN: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
# A date this far away is said with its year.
_YEAR_NEEDED_AFTER: Final = timedelta(days=180)


def spoken_day(day: date, today: date, locale: str, *, article: bool = False) -> str:
    """ "demain mardi 24", "mardi premier décembre": the month is named when it isn't this one, as
    people do. With `article` "le mardi 24", which French needs inside a sentence ("votre
    rendez-vous du …" aside), and which "demain" and "aujourd'hui" refuse."""
    french_spoken = language_of(locale) == "fr"
    near = {today: ("aujourd'hui", "today"), today + timedelta(days=1): ("demain", "tomorrow")}
    far = abs(day - today) > _YEAR_NEEDED_AFTER and day.year != today.year
    this_month = day > today and (day.year, day.month) == (today.year, today.month)
    words = _weekday_day(day, locale) if this_month else calendar_day(day, locale, year=far)
    if day in near:
        return f"{near[day][0]} {words}" if french_spoken else f"{near[day][1]}, {words}"
    return f"le {words}" if article and french_spoken else words


def calendar_day(day: date, locale: str, *, year: bool = True) -> str:
    """ "mardi 24 novembre 2026", whatever day it is today."""
    words = _weekday_day_month(day, locale)
    return f"{words} {day.year}" if year else words


def _weekday_day(day: date, locale: str) -> str:
    if language_of(locale) == "fr":
        return f"{_WEEKDAYS_FR[day.weekday()]} {day.day}"
    return f"{_WEEKDAYS_EN[day.weekday()]} the {_ordinal(day.day)}"


def _ordinal(number: int) -> str:
    """ "1st", "22nd", "13th"."""
    teens = 10 < number % 100 < 14
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _weekday_day_month(day: date, locale: str) -> str:
    if language_of(locale) == "fr":
        number = "premier" if day.day == 1 else str(day.day)
        return f"{_WEEKDAYS_FR[day.weekday()]} {number} {_MONTHS_FR[day.month - 1]}"
    return f"{_WEEKDAYS_EN[day.weekday()]} {day.day} {_MONTHS_EN[day.month - 1]}"


def spoken_time(at: time, locale: str) -> str:
    """ "quatorze heures trente", "midi", "une heure"; "two thirty p.m.", "noon". To the minute."""
    return _french_time(at) if language_of(locale) == "fr" else _english_time(at)


def _french_time(at: time) -> str:
    named = {0: "minuit", 12: "midi"}
    hour = named.get(at.hour) or (
        f"{french(at.hour, feminine=True)} {'heure' if at.hour == 1 else 'heures'}"
    )
    return f"{hour} {french(at.minute, feminine=True)}" if at.minute else hour


def _english_time(at: time) -> str:
    if at.minute == 0 and at.hour in (0, 12):
        return "noon" if at.hour else "midnight"
    half = "a.m." if at.hour < 12 else "p.m."
    hour = english(at.hour % 12 or 12)
    if at.minute == 0:
        return f"{hour} {half}"
    minute = english(at.minute) if at.minute > 9 else f"oh {english(at.minute)}"
    return f"{hour} {minute} {half}"


def spoken_instant(start: datetime, today: date, locale: str, *, article: bool = False) -> str:
    """ "mardi 24 à quatorze heures trente". `start` is in the zone to be spoken."""
    day = spoken_day(start.date(), today, locale, article=article)
    at = "à" if language_of(locale) == "fr" else "at"
    return f"{day} {at} {spoken_time(start.time(), locale)}"


# ------------------------------------------------------------------------------ reading

# A calendar date: the library would also take "2026-W48T10:00", which names no day.
_ISO_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}[Tt\s]")


def parse_instant(text: str | None, timezone: str) -> datetime | None:
    """An ISO 8601 date and time as an aware datetime in `timezone` (an IANA name).

    Without an offset it is the wall clock of that zone; None when the wall clock skips or repeats
    that moment (the nights of the time change), when the time is missing, or when it isn't ISO.
    "14h30" is taken for "14:30".
    """
    if not text or len(text) > _MAX_TEXT or not _ISO_DATE_AND_TIME.match(text.strip()):
        return None
    written = re.sub(r"(?<=[0-9])\s*[hH]\s*(?=[0-9]{2})", ":", text.strip())
    written = re.sub(r"(?<=[0-9]{2})\s*[hH]$", ":00", written)
    zone = ZoneInfo(timezone)
    try:
        moment = datetime.fromisoformat(written)
        if moment.tzinfo is not None:
            return moment.astimezone(zone)
        return _on_wall_clock(moment, zone)
    except (ValueError, OverflowError):  # unreadable, or outside the calendar
        return None


def _on_wall_clock(naive: datetime, zone: ZoneInfo) -> datetime | None:
    earlier, later = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    # PEP 495: the two readings differ exactly when the wall time is skipped or repeated.
    return earlier if earlier.utcoffset() == later.utcoffset() else None


def parse_day(text: str | None, today: date, *, timezone: str | None = None) -> date | None:
    """A day in French, English or ISO 8601, seen from `today`; None when unreadable or ambiguous.

    A date without a year is the next one to come; "24/11" has the day first; a weekday is the next
    one after today, and none when it is today's own. Times and parts of a day ("mardi matin à
    9h") are passed over; what contradicts itself ("demain lundi" on a Monday) is None. An
    ISO instant with an offset counts for its day in `timezone` if given, else as written.
    """
    if not text or len(text) > _MAX_TEXT:
        return None
    iso = _iso_day(text.strip(), timezone)
    if iso is not None:
        return iso
    words = " ".join(_PARTS_OF_DAY.sub(" ", _digits_for_words(_fold(text))).split())
    words = _TIME.sub("", words)
    near = _NEAR_WORD.match(words)
    if near is None:
        return _read(words, today)
    day, rest = _read(near[1], today), words[near.end() :]
    if day and rest in _WEEKDAY_NUMBER:
        return day if _WEEKDAY_NUMBER[rest] == day.weekday() else None
    return day if _read(rest, today) == day else None


def _read(words: str, today: date) -> date | None:
    try:
        for pattern, reading in _READINGS:
            found = pattern.fullmatch(words)
            if found:
                return reading(found, today)
    except (ValueError, OverflowError):  # 31 February; beyond the calendar
        return None
    return None


def _iso_day(text: str, timezone: str | None) -> date | None:
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        if len(text) <= len("2025-11-24"):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        if timezone is not None and moment.tzinfo is not None:
            moment = moment.astimezone(ZoneInfo(timezone))
        return moment.date()
    except (ValueError, OverflowError):
        return None


def _fold(text: str) -> str:
    """Lower case, without accents, apostrophes and commas; single spaces."""
    marks = r"['’,\u2010-\u2015]|-(?=[a-z])|(?<=[a-z])-"
    return " ".join(re.sub(marks, " ", unaccented(text)).split())


_PARTS_OF_DAY: Final = re.compile(
    r"\b(?:dans la |en (?:debut|fin) de |in the |le |au |du )?"
    r"(?:matin|matinee|apres midi|soir|soiree|journee|morning|afternoon|evening)\b"
)
_WEEKDAY_NUMBER: Final = {
    name.lower(): number % 7 for number, name in enumerate(_WEEKDAYS_FR + _WEEKDAYS_EN)
}
_MONTH_NUMBER: Final = {
    _fold(name): number % 12 + 1 for number, name in enumerate(_MONTHS_FR + _MONTHS_EN)
}
# From two on: "un", "une" and "one" are articles as well.
_NUMBER_WORDS: Final = {
    **{_fold(english(number)): str(number) for number in range(2, 60)},
    **{_fold(french(number)): str(number) for number in range(2, 60)},
    **{_fold(french(number, feminine=True)): str(number) for number in (21, 31, 41, 51)},
    "premier": "1",
    "1er": "1",
}
_NUMBER_WORD: Final = re.compile(
    r"\b(?:" + "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True)) + r")\b"
)
# What may follow a day without changing it: "mardi à 14h30", "Tuesday at two p.m.".
_TIME: Final = re.compile(
    r" (?:a|at|vers|around)(?: partir de)? (?:midi|minuit|noon|midnight|une|one|[0-9]{1,2})"
    r"(?: ?(?:h|heures?|:))? ?(?:oh )?(?:[0-9]{1,2}|une|one)?(?: ?[ap]\.?m\.?)?$"
)
_NEAR_WORD: Final = re.compile("(aujourd hui|today|demain|tomorrow) ")

_WEEKDAY: Final = "(?P<weekday>" + "|".join(_WEEKDAY_NUMBER) + ")"
_MONTH: Final = "(?P<month>" + "|".join(_MONTH_NUMBER) + ")"
_DAY: Final = "(?P<day>[0-9]{1,2})"
_YEAR: Final = "(?P<year>[0-9]{4})"


def _digits_for_words(words: str) -> str:
    return _NUMBER_WORD.sub(lambda found: _NUMBER_WORDS[found.group()], words)


def _next_weekday(number: int, today: date) -> date:
    """After today, within seven days."""
    return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)


def _bare_weekday(found: re.Match[str], today: date) -> date | None:
    number = _WEEKDAY_NUMBER[found["weekday"]]
    return None if number == today.weekday() else _next_weekday(number, today)


def _coming_weekday(found: re.Match[str], today: date) -> date:
    return _next_weekday(_WEEKDAY_NUMBER[found["weekday"]], today)


def _weekday_in_eight(found: re.Match[str], today: date) -> date | None:
    coming = _bare_weekday(found, today)
    return coming and coming + timedelta(days=7)


def _weekday_of_next_week(found: re.Match[str], today: date) -> date:
    next_monday = today + timedelta(days=7 - today.weekday())
    return next_monday + timedelta(days=_WEEKDAY_NUMBER[found["weekday"]])


def _english_next(found: re.Match[str], today: date) -> date | None:
    """ "next Tuesday" is the coming one for some, next week's for others: only where they agree."""
    coming, following = _coming_weekday(found, today), _weekday_of_next_week(found, today)
    return coming if coming == following else None


def _calendar_date(found: re.Match[str], today: date) -> date | None:
    groups = found.groupdict()
    day, month = int(groups["day"]), groups["month"]
    number = _MONTH_NUMBER.get(month) or int(month)
    if groups.get("year"):
        year = int(groups["year"])
        chosen: date | None = date(year + 2000 if year < 100 else year, number, day)
    else:
        chosen = _without_year(day, number, today)
    weekday = groups.get("weekday")
    if weekday and chosen and chosen.weekday() != _WEEKDAY_NUMBER[weekday]:
        return None  # "mardi 25 novembre" when the 25th is a Wednesday: one of the two is wrong
    return chosen


# A date without a year that went by less than this ago may be a slip about the past.
_JUST_PAST: Final = timedelta(days=65)


def _without_year(day: int, month: int, today: date) -> date | None:
    if (month, day) == (2, 29):
        return None
    this_year = date(today.year, month, day)
    if this_year >= today:
        return this_year
    return None if today - this_year <= _JUST_PAST else date(today.year + 1, month, day)


def _day_of_month(found: re.Match[str], today: date) -> date | None:
    day = int(found["day"])
    if day == today.day:
        return None
    first = today.replace(day=1)
    if day < today.day:
        first = (first + timedelta(days=31)).replace(day=1)
    chosen = first.replace(day=day)
    weekday = found.groupdict().get("weekday")
    if weekday and chosen.weekday() != _WEEKDAY_NUMBER[weekday]:
        return None
    return chosen


def _in_days(found: re.Match[str], today: date) -> date | None:
    number = int(found["number"])
    # "huit jours" and "quinze jours" mean one and two weeks, not what they count.
    return None if number in (8, 15) else today + timedelta(days=number)


def _in_weeks(found: re.Match[str], today: date) -> date:
    number = found["number"]
    weeks = 1 if number in ("une", "a", "one") else int(number)
    return today + timedelta(days=7 * weeks)


def _after(days: int) -> Callable[[re.Match[str], date], date]:
    return lambda _found, today: today + timedelta(days=days)


_Reading = Callable[[re.Match[str], date], date | None]

_ON: Final = "(?:le |on )?"
_MAYBE_WEEKDAY: Final = f"(?:{_WEEKDAY} )?"
_ENGLISH_DAY: Final = f"(?:the )?{_DAY}(?:st|nd|rd|th)?"
_NUMERIC: Final = "(?P<month>[0-9]{1,2})(?:[/.](?P<year>(?:[0-9]{2}){1,2}))?"
_IN: Final = "(?:dans|d ici|in)"

_READINGS: Final[tuple[tuple[re.Pattern[str], _Reading], ...]] = tuple(
    (re.compile(pattern), reading)
    for pattern, reading in (
        # "ce" and "this" are what is left of "ce soir" and "this evening".
        ("aujourd ?hui|today|tonight|ce|cet|this", _after(0)),
        ("demain|tomorrow", _after(1)),
        ("apres ?demain|(?:the )?day after tomorrow", _after(2)),
        (f"(?:ce |this |on )?{_WEEKDAY}", _bare_weekday),
        (f"{_WEEKDAY} (?:prochain|qui vient)", _coming_weekday),
        (f"{_WEEKDAY} en 8", _weekday_in_eight),
        (f"{_WEEKDAY} (?:de )?la semaine prochaine", _weekday_of_next_week),
        (f"{_WEEKDAY} next week", _weekday_of_next_week),
        (f"next {_WEEKDAY}", _english_next),
        (f"{_ON}{_MAYBE_WEEKDAY}(?:le )?{_DAY} {_MONTH}(?: {_YEAR})?", _calendar_date),
        (f"{_ON}{_MAYBE_WEEKDAY}{_ENGLISH_DAY}(?: of)? {_MONTH}(?: {_YEAR})?", _calendar_date),
        (f"{_ON}{_MAYBE_WEEKDAY}{_MONTH} {_ENGLISH_DAY}(?: {_YEAR})?", _calendar_date),
        (f"{_ON}{_MAYBE_WEEKDAY}{_DAY}[/.]{_NUMERIC}", _calendar_date),
        (f"le {_MAYBE_WEEKDAY}{_DAY}", _day_of_month),
        (f"{_WEEKDAY} (?:le )?{_DAY}", _day_of_month),
        (f"(?:on )?{_MAYBE_WEEKDAY}the {_DAY}(?:st|nd|rd|th)", _day_of_month),
        (f"{_IN} (?P<number>[0-9]{{1,2}}) (?:jours?|days?)", _in_days),
        (f"{_IN} (?P<number>une|a|one|[0-9]) (?:semaines?|weeks?)", _in_weeks),
    )
)

"""Query strings: pages, filters and dates, each checked, each named when it is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request

from dashboard.api.operations import require_shape
from domain.errors import Invalid

Q = TypeVar("Q", bound=msgspec.Struct)

#: Pages beyond this are nobody's; the bound keeps offsets within 64 bits.
LAST_PAGE = 1_000_000

_NUMBER = re.compile(r"[0-9]{1,9}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: Outside these years no call of ours took place, and zones' arithmetic overflows at the ends.
_FIRST_YEAR, _LAST_YEAR = 2000, 2200
_LONGEST_DATE = 40


def read_query(request: Request, shape: type[Q]) -> Q:
    """The query string as a `shape`, the declared one: a Struct with a field per parameter, all
    with defaults. Empty ones count as absent, of repeated ones the last counts unless the field is
    a list, unknown ones are ignored. Raises Invalid, which names the parameter."""
    require_shape(request, "query", shape)
    query = request.query_params
    given: dict[str, Any] = {}
    for each in msgspec.structs.fields(shape):
        values = [value for value in query.getlist(each.encode_name) if value]
        if values:
            many = isinstance(msgspec.inspect.type_info(each.type), msgspec.inspect.ListType)
            given[each.encode_name] = values if many else values[-1]
    for name, found in given.items():
        if any("\x00" in each for each in found):
            raise Invalid(f"{name} must not contain U+0000.", name, "filter_invalid")
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split("[", 1)[0] or None
        raise Invalid(f"{what}.", field=field, message_key="filter_invalid") from None


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: `number` from 1, `limit` items."""

    number: int
    limit: int

    @property
    def offset(self) -> int:
        """How many items come before it."""
        return (self.number - 1) * self.limit

    def describe(self, total: int) -> dict[str, int]:
        """The `pagination` object that the pages read."""
        return {
            "page": self.number,
            "limit": self.limit,
            "total": total,
            "total_pages": -(-total // self.limit),
        }


def page_of(query: QueryParams, *, default: int, largest: int) -> Page:
    """`page` and `limit`; a larger limit than `largest` counts as `largest`, which the answer's
    pagination says. Raises Invalid."""
    number = _whole(query, "page", 1)
    if number > LAST_PAGE:
        raise Invalid(f"page goes up to {LAST_PAGE}.", field="page", message_key="page_invalid")
    return Page(number, min(_whole(query, "limit", default), largest))


def _whole(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    value = int(text) if _NUMBER.fullmatch(text) else 0
    if value < 1:
        raise Invalid(f"{name} is a whole number from 1.", field=name, message_key="page_invalid")
    return value


def offset_of(query: QueryParams) -> int:
    """`offset`, from 0. Raises Invalid."""
    text = query.get("offset", "")
    if text and not _NUMBER.fullmatch(text):
        raise Invalid(
            "offset is a whole number from 0.", field="offset", message_key="page_invalid"
        )
    return int(text or 0)


def choice(query: QueryParams, name: str, known: Mapping[str, str]) -> str | None:
    """The filter `name`, translated by `known` (what a page may send → what is stored); None when
    it is absent, empty or "all". Raises Invalid."""
    text = query.get(name, "")
    if not text or text == "all":
        return None
    if text not in known:
        raise Invalid(
            f"{name} is one of: {', '.join(sorted(known))}.",
            field=name,
            message_key="filter_invalid",
        )
    return known[text]


def is_identifier(text: str) -> bool:
    """Whether this can be an identifier of ours at all; if not, nothing has it."""
    return _IDENTIFIER.fullmatch(text) is not None


def day(query: QueryParams, name: str, timezone: str) -> date | None:
    """The day that `name` means in the tenant's zone; None when it is absent. Raises Invalid.

    Takes a date, a date and time on the tenant's clock (pages append `T23:59:59`), or an instant
    with its offset.
    """
    text = query.get(name, "")
    if not text:
        return None
    # A `+` that wasn't escaped arrives as a space: 2026-03-31T10:00:00 02:00.
    parsed = _parse(re.sub(r" (\d\d:\d\d)$", r"+\1", text) if "T" in text else text)
    if parsed is None or not _FIRST_YEAR <= parsed.year <= _LAST_YEAR:
        raise Invalid(
            f"{name} is a date (2026-03-31) or an instant (2026-03-31T10:00:00+02:00).",
            field=name,
            message_key="date_invalid",
        )
    if not isinstance(parsed, datetime):
        return parsed
    local = parsed.astimezone(ZoneInfo(timezone)) if parsed.tzinfo else parsed
    return local.date()


def _parse(text: str) -> date | datetime | None:
    if len(text) > _LONGEST_DATE:
        return None
    try:
        return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        return None

"""Column types that mean the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Length of `2026-11-24T13:30:00.000000Z`.
ISO_INSTANT_LENGTH = 27

#: What stands for a character that no database can keep (U+FFFD REPLACEMENT CHARACTER).
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def iso_instant(value: datetime) -> str:
    """UTC, ISO 8601, microseconds, `Z`: fixed width, so that text order is time order."""
    naive_utc = value.astimezone(UTC).replace(tzinfo=None)
    return f"{naive_utc.isoformat(timespec='microseconds')}Z"


class Instant(TypeDecorator[datetime]):
    """An aware datetime, always in UTC: `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.DateTime
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, whose own DATETIME forgets the offset."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(ISO_INSTANT_LENGTH))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuses a naive datetime (ValueError): it would mean another instant on each machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a zone, {value!r} has none")
        return iso_instant(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """An aware datetime in UTC."""
        if value is None:
            return None
        instant: datetime = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return instant.astimezone(UTC)


def storable(text: str) -> str:
    """`text` without what PostgreSQL's TEXT refuses and UTF-8 can't say.

    A NUL or a lone surrogate arrives in hostile or broken input; each becomes U+FFFD, so that the
    rest of a caller's words is kept.
    """
    if "\x00" in text:
        text = text.replace("\x00", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        # The round trip joins proper surrogate pairs and replaces the lone ones.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class CleanText(TypeDecorator[str]):
    """Text that both databases take, whatever was said or sent."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.Text
    cache_ok: bool | None = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See `storable`."""
        return None if value is None else storable(value)


class Json(TypeDecorator[Any]):
    """JSON as text on both: keeps the order of keys, and takes `\\u0000`, which JSONB refuses."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.Text
    cache_ok: bool | None = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Compact JSON, readable accents; ValueError on NaN and infinities, which aren't JSON."""
        if value is None:
            return None
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate: escaped, it survives
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        return text

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value as it was stored; tuples come back as lists."""
        return None if value is None else json.loads(value)

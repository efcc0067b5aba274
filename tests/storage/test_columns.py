"""Column types: the same value comes back from both databases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from storage import Database
from storage.columns import Instant, Json, iso_instant, storable
from storage.schema import call_events, call_logs
from tests.fakes.clock import START

#: Their constructors are untyped.
SQLITE: Dialect = sqlite.dialect()
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
INSTANTS = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


@given(INSTANTS, INSTANTS)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (iso_instant(one) < iso_instant(other)) == (one < other)
    assert len(iso_instant(one)) == 27


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_an_instant_is_the_same_in_any_zone(instant: datetime, offset: int) -> None:
    try:
        elsewhere = instant.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    column, dialect = Instant(), SQLITE
    stored = column.process_bind_param(elsewhere, dialect)
    assert stored == iso_instant(instant)
    back = column.process_result_value(stored, dialect)
    assert back == instant
    assert back is not None
    assert back.utcoffset() == timedelta(0)


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL])
def test_a_naive_instant_is_refused(dialect: Any) -> None:
    with pytest.raises(ValueError, match="needs a zone"):
        Instant().process_bind_param(datetime(2026, 11, 24, 14, 30), dialect)  # noqa: DTZ001


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_becomes_storable(text: str) -> None:
    cleaned = storable(text)
    cleaned.encode()
    assert "\x00" not in cleaned
    if "\x00" not in text:
        try:
            text.encode()
        except UnicodeEncodeError:
            assert "\N{REPLACEMENT CHARACTER}" in cleaned or len(cleaned) < len(text)
        else:
            assert cleaned == text


@given(JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    column, dialect = Json(), SQLITE
    text = column.process_bind_param(value, dialect)
    if value is not None:
        assert text is not None
        text.encode()
        assert "\x00" not in text
    assert column.process_result_value(text, dialect) == value


def test_json_keeps_accents_readable_and_keys_in_order() -> None:
    text = Json().process_bind_param({"é": 1, "a": "Léa"}, SQLITE)
    assert text == '{"é":1,"a":"Léa"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_infinity(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Json().process_bind_param({"budget": value}, SQLITE)


async def test_hostile_text_is_stored_on_both(database: Database) -> None:
    """A NUL and half a surrogate pair, from a forged webhook or a confused model."""
    hostile = "Léa\x00 \ud83d 🚗"
    async with database.write() as connection:
        await connection.execute(
            sa.insert(call_logs).values(
                id="1",
                call_sid=hostile,
                from_number="",
                to_number=hostile,
                stage="ringing",
                started_at=START,
                created_at=START,
            )
        )
        data = {"text": hostile, hostile: 1}
        await connection.execute(
            sa.insert(call_events).values(call_id="1", at=START, kind="turn", data=data)
        )
    async with database.read() as connection:
        row = (await connection.execute(sa.select(call_logs))).one()
        assert row.to_number == "Léa\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER} 🚗"
        assert row.started_at == START
        assert row.started_at.utcoffset() == timedelta(0)
        assert row.answered_at is None
        # What was stored is found by what it was stored for.
        found = sa.select(call_logs.c.id).where(call_logs.c.call_sid == hostile)
        assert (await connection.execute(found)).scalar_one() == "1"
        assert (await connection.execute(sa.select(call_events.c.data))).scalar_one() == data

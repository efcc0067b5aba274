"""What time it is where several nodes must agree: the database says so, if it has a clock."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from domain.clock import Clock
from storage.columns import Instant


def database_now(
    dialect: str, clock: Clock, plus: timedelta = timedelta(0)
) -> sa.ColumnElement[datetime]:
    """The moment of this statement, and so much later, as SQL: by PostgreSQL's clock, so that two
    nodes whose clocks disagree don't; with SQLite there is one node, and its own `clock` is it."""
    if dialect == "sqlite":
        return sa.literal(clock.now() + plus, Instant)
    now = sa.func.statement_timestamp(type_=sa.DateTime(timezone=True))
    return now + sa.literal(plus, sa.Interval) if plus else now

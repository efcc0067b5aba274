"""How far the purge has come."""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import instant, metadata

#: One row per kind of data: everything that was due at `purged_until` is gone. A clock that jumps
#: ahead is held back by it.
retention_marks = sa.Table(
    "retention_marks",
    metadata,
    sa.Column("kind", CleanText, primary_key=True),
    instant("purged_until", nullable=False),
)

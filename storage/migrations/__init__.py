"""The schema's history, applied by the program itself: nobody needs an alembic.ini.

Each script says two things of releases: `release`, which one brings it, and `oldest_server`, the
oldest one that can run on the schema it leaves. The second is kept in the database
(`schema_revisions`), so that a server which doesn't know a revision, because a newer one has
migrated the database meanwhile, can tell whether it may go on: nodes are then replaced one by one.

Alembic itself (`storage.migrations.scripts`) is loaded when there is something to migrate: no
process that finds its schema as it should be waits a tenth of a second for it.
"""

import re
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection, text

from domain.errors import OperatorError
from storage.schema import schema_revisions

log = structlog.get_logger(__name__)

#: Any constant: whoever holds it migrates. ("Coccinel" in ASCII, as a signed 64-bit integer.)
_ADVISORY_LOCK = int.from_bytes(b"Coccinel")

#: What this program is.
SERVER_VERSION = version("coccinelle")

#: Alembic's own, where it keeps the revision that a database is at.
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.Text()))

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


@lru_cache(maxsize=1)
def revisions() -> tuple[str, ...]:
    """All migrations, the first one first: what their files are called before the first `_`."""
    files = (Path(__file__).parent / "versions").glob("[0-9]*.py")
    return tuple(sorted(each.name.partition("_")[0] for each in files))


def head() -> str:
    """The revision that this program's schema is."""
    return revisions()[-1]


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Apply what is missing, inside the transaction that `connection` is in.

    On SQLite that transaction must have begun with IMMEDIATE; on PostgreSQL an advisory lock is
    taken: either way a second process waits here, and then finds nothing left to do.

    A database that a newer server has migrated is left as it is when that server's migrations say
    that this one can run on it; otherwise OperatorError names the version that can.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    at = current(connection)
    if at is not None and not knows(at):
        _must_be_new_enough(connection, at)
        log.warning("database.newer_than_server", revision=at, version=SERVER_VERSION)
        return
    if revision == "head" and at == head():
        return
    from storage.migrations import scripts

    scripts.upgrade(connection, revision)
    _record(connection)


def downgrade(connection: Connection, revision: str) -> None:
    """Undo down to `revision` ("base": all), inside the transaction that `connection` is in.
    OperatorError when the database is at a revision that this program doesn't know."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    at = current(connection)
    if at is not None and not knows(at):
        raise OperatorError(
            f"the database is at revision {at}, which version {SERVER_VERSION} doesn't know and "
            "can't undo. Use the version that applied it."
        )
    from storage.migrations import scripts

    scripts.downgrade(connection, revision)
    _record(connection)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none()


def knows(revision: str) -> bool:
    """Whether it is one of this program's migrations."""
    return revision in revisions()


def is_earlier(revision: str, than: str | None) -> bool:
    """Whether going from `than` (None: an empty database) to `revision` undoes something.
    "base" is before all others, "head" is the last; a revision of a newer server's comes after all
    of ours. OperatorError when there is no such revision."""
    if than is None or (than == revision or revision == "head"):
        return False
    order = ["base", *revisions()]
    if revision not in order:
        raise OperatorError(
            f"there is no revision {revision}; there are {', '.join(order)} and head."
        )
    return than not in order or order.index(revision) < order.index(than)


def release_of(written: str) -> tuple[int, ...]:
    """A version's release for comparing: "0.2.0" → (0, 2), "0.3.1.dev4" → (0, 3, 1)."""
    match = _RELEASE.match(written)
    if match is None:
        raise OperatorError(f"{written!r} is no version of this program")
    parts = [int(part) for part in match.group().split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def needed(connection: Connection) -> str | None:
    """The oldest server that can run on the database, as it says itself; None when it doesn't."""
    if not sa.inspect(connection).has_table(schema_revisions.name):
        return None
    rows = connection.execute(sa.select(schema_revisions.c.oldest_server)).scalars().all()
    return max(rows, key=release_of, default=None)


def _must_be_new_enough(connection: Connection, revision: str) -> None:
    oldest = needed(connection)
    if oldest is not None and release_of(oldest) <= release_of(SERVER_VERSION):
        return
    wanted = "a newer version" if oldest is None else f"version {oldest} or newer"
    raise OperatorError(
        f"the database is at revision {revision}: a newer version of Coccinelle has used it, and "
        f"this one ({SERVER_VERSION}) can't run on it. Install {wanted}, or restore an older "
        "backup."
    )


def _record(connection: Connection) -> None:
    """Say in the database what each migration that is applied asks of servers."""
    if not sa.inspect(connection).has_table(schema_revisions.name):
        return
    from storage.migrations import scripts

    at = current(connection)
    applied = [] if at is None else scripts.applied(at)
    rows = [
        {"revision": each.revision, "oldest_server": each.module.oldest_server} for each in applied
    ]
    connection.execute(sa.delete(schema_revisions))
    connection.execute(sa.insert(schema_revisions), rows)

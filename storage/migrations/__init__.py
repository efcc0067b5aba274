"""The schema's history, applied by the program itself: nobody needs an alembic.ini.

Each script says two things of releases: `release`, which one brings it, and `oldest_server`, the
oldest one that can run on the schema it leaves. The second is kept in the database
(`schema_revisions`), so that a server which doesn't know a revision, because a newer one has
migrated the database meanwhile, can tell whether it may go on: nodes are then replaced one by one.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from domain.errors import OperatorError
from storage.schema import schema_revisions

log = structlog.get_logger(__name__)

#: Any constant: whoever holds it migrates. ("Coccinel" in ASCII, as a signed 64-bit integer.)
_ADVISORY_LOCK = int.from_bytes(b"Coccinel")

#: What this program is.
SERVER_VERSION = version("coccinelle")

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.attributes["connection"] = connection
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    """Read once per process: it runs every version file."""
    return ScriptDirectory.from_config(_config())


def scripts() -> list[Script]:
    """All migrations, the first one first."""
    return list(_scripts().walk_revisions())[::-1]


def head() -> str:
    """The revision that this program's schema is."""
    latest = _scripts().get_current_head()
    assert latest is not None
    return latest


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
    with _operator_errors(revision):
        command.upgrade(_config(connection), revision)
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
    with _operator_errors(revision):
        command.downgrade(_config(connection), revision)
    _record(connection)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Whether it is one of this program's migrations."""
    try:
        return _scripts().get_revision(revision) is not None
    except (CommandError, ResolutionError):
        return False


def is_earlier(revision: str, than: str | None) -> bool:
    """Whether going from `than` (None: an empty database) to `revision` undoes something.
    "base" is before all others, "head" is the last; a revision of a newer server's comes after all
    of ours. OperatorError when there is no such revision."""
    if than is None or (than == revision or revision == "head"):
        return False
    order = ["base", *(script.revision for script in scripts())]
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
    applied = [
        {"revision": script.revision, "oldest_server": script.module.oldest_server}
        for script in _applied(current(connection))
    ]
    connection.execute(sa.delete(schema_revisions))
    connection.execute(sa.insert(schema_revisions), applied)


def _applied(revision: str | None) -> Iterator[Script]:
    if revision is not None:
        yield from _scripts().iterate_revisions(revision, "base")


class _operator_errors:
    """Alembic's own words for a revision that doesn't exist, as an error for the operator."""

    def __init__(self, revision: str) -> None:
        self._revision = revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CommandError):
            raise OperatorError(f"revision {self._revision}: {error}") from error

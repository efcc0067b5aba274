"""The schema's history, applied by the program itself: nobody needs an alembic.ini."""

from functools import lru_cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from domain.errors import OperatorError

#: Any constant: whoever holds it migrates. ("Coccinel" in ASCII, as a signed 64-bit integer.)
_ADVISORY_LOCK = int.from_bytes(b"Coccinel")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.attributes["connection"] = connection
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    """Read once per process: it runs every version file."""
    return ScriptDirectory.from_config(_config())


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Apply what is missing, inside the transaction that `connection` is in.

    On SQLite that transaction must have begun with IMMEDIATE; on PostgreSQL an advisory lock is
    taken: either way a second process waits here, and then finds nothing left to do.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    at = current(connection)
    if at is not None:
        _must_know(at)
    if revision == "head" and at == _scripts().get_current_head():
        return
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Undo down to `revision` ("base": all), inside the transaction that `connection` is in."""
    command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def _must_know(revision: str) -> None:
    try:
        _scripts().get_revision(revision)
    except (CommandError, ResolutionError) as error:
        raise OperatorError(
            f"the database is at revision {revision}, which this version of Coccinelle doesn't "
            "know: a newer one has used it. Install that version, or restore an older backup."
        ) from error

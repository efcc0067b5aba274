"""The migrations themselves, run by Alembic: loaded only by who migrates, or asks what they say."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from domain.errors import OperatorError


def upgrade(connection: Connection, revision: str) -> None:
    """Go forward to `revision` ("head": the last) in the transaction that `connection` is in.
    OperatorError when there is no such revision."""
    with _operator_errors(revision):
        command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Go back to `revision` ("base": before the first), as `upgrade`."""
    with _operator_errors(revision):
        command.downgrade(_config(connection), revision)


def applied(revision: str = "head") -> list[Script]:
    """What leads to `revision`, itself included, the first one first."""
    return list(_scripts().walk_revisions(head=revision))[::-1]


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.attributes["connection"] = connection
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    """Read once per process: it runs every version file."""
    return ScriptDirectory.from_config(_config())


@contextmanager
def _operator_errors(revision: str) -> Iterator[None]:
    """Alembic's own words for a revision that doesn't exist, as an error for the operator."""
    try:
        yield
    except CommandError as error:
        raise OperatorError(f"revision {revision}: {error}") from error

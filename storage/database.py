"""The database: one URL, two pools, transactions, and a schema that brings itself up to date."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, AdaptedConnection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from domain.errors import OperatorError
from storage import migrations, sqlite_driver

Result = TypeVar("Result")

#: How long a writer waits for another process's transaction (SQLite), ms. engines.md §2.
BUSY_TIMEOUT_MS = 10_000
#: SQLite's own waiting for its lock, which looks after 1, 3, 8 ms and then ever less often.
LOCK_POLL_MS = 10
#: How long a statement waits for a free connection of our own pool, s.
POOL_TIMEOUT_SECONDS = 10.0
#: How long establishing a connection may take, s.
CONNECT_TIMEOUT_SECONDS = 5.0
#: How long a transaction may take in all, waiting included, s.
TRANSACTION_TIMEOUT_SECONDS = 20.0
#: How long a statement beside the pool may take, waiting included, s: a heartbeat that comes later
#: than this is none (storage/nodes.py).
ASIDE_TIMEOUT_SECONDS = 2.0
#: How long emptying the write-ahead log waits for readers, and keeps writers waiting, s.
LOG_TIMEOUT_SECONDS = 1.0
#: How long a migration may take, waiting for another process's included, s.
MIGRATION_TIMEOUT_SECONDS = 600.0
SQLITE_READERS = 4
POSTGRES_CONNECTIONS = 10
#: How PostgreSQL notices that the machine at the other end is gone, when nothing closes the
#: connection: it asks after 5 s of silence, every 2 s, three times; what it has sent is
#: acknowledged within 10 s; and a running statement looks every 2 s whether anybody still waits.
#: Without these it would be two hours, and 20 s inside a transaction.
#: https://www.postgresql.org/docs/18/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
_NOTICE_THE_DEAD = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "client_connection_check_interval": "2000",
}

#: Classes of SQLSTATE that say so: connection, deadlock, resources, lock, shutdown or time limit,
#: disk. https://www.postgresql.org/docs/18/errcodes-appendix.html
_OPERATORS_SQLSTATES = frozenset({"08", "40", "53", "55", "57", "58"})
#: After a failover the address may lead to a standby, where nothing can be written.
_READ_ONLY = "25006"
#: A statement that was prepared is gone, or there already: the connection is another one's, and so
#: are its settings and what it LISTENs to.
_SHARED_SESSION = frozenset({"26000", "42P05"})
#: Why a server refuses the connection itself: it is older than `client_connection_check_interval`
#: (PostgreSQL 14), or it is a pooler that knows none of our settings.
_REFUSED_SETTING = {
    "42704": "PostgreSQL 14 or newer is needed",
    "08P01": "if it is PgBouncer, see docs/deploy.md: ignore_startup_parameters",
}

_URL_CURE = (
    "Set DATABASE_URL to sqlite:///var/coccinelle.sqlite3 (a path relative to the working "
    "directory), sqlite:////absolute/path.sqlite3 or postgresql://user:password@host/database."
)


class Database:
    """Connections to one database. Made by `open`; `close` it at the end.

    SQLite has one connection that writes (`BEGIN IMMEDIATE`, so that a transaction that reads and
    then writes never fails half-way; `synchronous=FULL`, so that "booked" survives a power cut)
    and several that only read. PostgreSQL has one pool for both, and a connection beside it.
    """

    def __init__(
        self, writer: AsyncEngine, reader: AsyncEngine, aside: AsyncEngine | None = None
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._single = _autocommit(writer)
        self._aside = writer if aside is None else _autocommit(aside)

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Connect, and create or migrate the schema when it needs it.

        Safe when several processes do it at once. Raises OperatorError when the URL is none of
        ours, the database can't be reached, or its schema is newer than this program.
        """
        parsed = _parse(url)
        # Without the query, which may hold a password as well.
        shown = parsed.set(query={}).render_as_string(hide_password=True)
        with _operator_errors(f"opening {shown}"):
            await _migrate(parsed, migrations.upgrade)
        return cls(*_engines(parsed))

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot: all statements in the block see the same moment. Writing fails."""
        # Never begun by hand, hence never committed: closing rolls back, one round trip less.
        async with _transaction(self._reader.connect(), "reading") as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, undone when the block raises.

        Raises OperatorError when the database doesn't answer in time or isn't there.
        """
        async with _transaction(self._writer.begin(), "writing") as connection:
            yield connection

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """For one statement that writes: a transaction of its own, and on PostgreSQL one round trip
        instead of three. Raises as `write` does."""
        async with _transaction(self._alone(self._single), "writing") as connection:
            yield connection

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[AsyncConnection]:
        """As `single`, but on PostgreSQL by a connection that is kept for this: what a node says of
        itself must not queue behind the node's load. One at a time."""
        async with _transaction(self._alone(self._aside), "writing") as connection:
            yield connection

    def _alone(self, engine: AsyncEngine) -> AbstractAsyncContextManager[AsyncConnection]:
        return engine.begin() if self.dialect == "sqlite" else engine.connect()

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Any]:
        """A PostgreSQL connection outside all pools, as asyncpg makes it: what LISTENs can't be
        shared. Raises OperatorError when there is none to be had."""
        with _operator_errors("listening"):
            connection = await _connect(_dsn(self._writer.url), _NOTICE_THE_DEAD)
        try:
            yield connection
        finally:
            try:
                await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def empty_log(self) -> bool:
        """Carry SQLite's write-ahead log over into the file and empty it: it holds pages as they
        were before a deletion. False when somebody still reads an older moment; True at once on
        PostgreSQL, whose log isn't ours to empty."""
        path = self._writer.url.database
        if self.dialect != "sqlite" or not path:
            return True
        with _operator_errors("emptying the log"):
            return await asyncio.to_thread(_empty_log, Path(path))

    async def ping(self) -> None:
        """Return if the database answers; OperatorError if not."""
        async with self.read() as connection:
            await connection.execute(sa.select(1))

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._reader.dispose()
        await self._writer.dispose()
        await self._aside.dispose()


def _autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same connections; on PostgreSQL each statement commits itself."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def _transaction(
    transaction: AbstractAsyncContextManager[AsyncConnection], doing: str
) -> AsyncIterator[AsyncConnection]:
    with _operator_errors(doing):
        limit = asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS)
        try:
            async with limit, transaction as connection:
                yield connection
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise OperatorError(
                f"the database took longer than {TRANSACTION_TIMEOUT_SECONDS:g} s ({doing}). "
                "Check its load and its disk."
            ) from error


@contextmanager
def _operator_errors(doing: str) -> Iterator[None]:
    """Turn "not there, not writable, not answering" into OperatorError; the rest passes.

    The driver's message goes along without statement and parameters, which are personal data.
    """
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _SHARED_SESSION:
            raise OperatorError(
                f"the database's connections are shared by a pooler ({doing}: {error.orig}). "
                "Use its session mode, or let DATABASE_URL name PostgreSQL itself."
            ) from error
        if not _is_the_operators(error):
            raise
        raise OperatorError(
            f"the database failed ({doing}): {error.orig}. "
            "Check that it runs, that DATABASE_URL is right and that its disk has room."
        ) from error
    except PoolTimeoutError as error:
        raise OperatorError(
            f"no database connection was free for {POOL_TIMEOUT_SECONDS:g} s ({doing}). "
            "Something holds transactions open, or the load is too high for this database."
        ) from error
    except _Unreachable as error:
        raise OperatorError(
            f"the database can't be reached ({doing}): {error}. "
            "Check that it runs and that DATABASE_URL is right."
        ) from error


def _is_the_operators(error: DBAPIError) -> bool:
    """True when it isn't our statement that is wrong, but the database that can't."""
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return (
        isinstance(error, OperationalError)
        or error.connection_invalidated
        or sqlstate[:2] in _OPERATORS_SQLSTATES
        or sqlstate == _READ_ONLY
    )


class _Unreachable(Exception):
    """No connection: nobody listens there, or whoever does refuses us."""


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The URL isn't repeated: what can't be parsed can't be freed of its password.
        raise OperatorError(f"DATABASE_URL isn't a database URL. {_URL_CURE}") from error
    if parsed.drivername in ("sqlite", "sqlite+aiosqlite"):
        # A query could make of the file something else: shared memory, read-only …
        if parsed.database in (None, "", ":memory:") or parsed.host or parsed.query:
            raise OperatorError(f"DATABASE_URL names no SQLite file. {_URL_CURE}")
        return parsed.set(drivername="sqlite+aiosqlite")
    if parsed.drivername in ("postgresql", "postgresql+asyncpg"):
        return parsed.set(drivername="postgresql+asyncpg")
    raise OperatorError(f"DATABASE_URL has the unknown scheme {parsed.drivername!r}. {_URL_CURE}")


def _prepare_file(url: URL) -> None:
    """Make the directory and the file of a SQLite database, readable by its owner only: it keeps
    what people said on the telephone. SQLite gives its -wal and -shm the same mode."""
    assert url.database is not None
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_file(path)
        mode = _set_wal(path)
    except OSError as error:
        raise OperatorError(
            f"the database file {path} can't be created or written: {error.strerror}. {_URL_CURE}"
        ) from error
    except sqlite3.Error as error:
        raise OperatorError(
            f"SQLite refuses {path}: {error}. Is it another kind of file? {_URL_CURE}"
        ) from error
    if mode != "wal":
        raise OperatorError(
            f"SQLite can't keep a write-ahead log beside {path} (journal mode {mode!r}). "
            "Put the database on a local disk."
        )


def _make_file(path: Path) -> None:
    """Make it, empty, unless there is one, which isn't even opened: closing it would drop all locks
    that this process has on it by connections of its own, and the next process to leave would
    delete the log that they write to. https://www.sqlite.org/howtocorrupt.html, section 2.2"""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


# SQLite answers "locked" at once, whatever the busy timeout, when two processes switch together.
@retry(
    retry=retry_if_exception_type(sqlite3.OperationalError),
    stop=stop_after_delay(BUSY_TIMEOUT_MS / 1000),
    wait=wait_random(0.005, 0.05),
    reraise=True,
)
def _set_wal(path: Path) -> str:
    """Turn on write-ahead logging, which the file remembers; the mode that it is in now."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        return str(mode)


def _empty_log(path: Path) -> bool:
    # https://www.sqlite.org/pragma.html#pragma_wal_checkpoint: (busy, pages, of them carried over)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=LOG_TIMEOUT_SECONDS)) as it:
        (busy, _, _) = it.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


# ------------------------------------------------------------------------------- engines


def _engines(url: URL) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine | None]:
    """The engine that writes, the one that reads, and the one beside them."""
    if url.get_backend_name() == "sqlite":
        return (
            _sqlite_engine(
                url,
                begin="BEGIN IMMEDIATE",
                # What is deleted or replaced is overwritten, and not only forgotten: people are
                # erased. https://www.sqlite.org/pragma.html#pragma_secure_delete
                pragmas=(
                    "synchronous=FULL",
                    "secure_delete=ON",
                    f"busy_timeout={LOCK_POLL_MS}",  # and again, for as long as may be: _take_lock
                ),
                poolclass=AsyncAdaptedQueuePool,
                pool_size=1,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_SECONDS,
            ),
            _sqlite_engine(
                url,
                begin="BEGIN",
                pragmas=("synchronous=NORMAL", "query_only=ON"),
                poolclass=AsyncAdaptedQueuePool,
                pool_size=SQLITE_READERS,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_SECONDS,
            ),
            None,
        )
    engine = _postgres_engine(
        url,
        statement_timeout_ms=int(TRANSACTION_TIMEOUT_SECONDS * 1000),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
    )
    event.listen(engine.sync_engine, "checkout", _discard_closed)
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    aside = _postgres_engine(
        url,
        statement_timeout_ms=int(ASIDE_TIMEOUT_SECONDS * 1000),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=ASIDE_TIMEOUT_SECONDS,
    )
    event.listen(aside.sync_engine, "checkout", _discard_closed)
    return engine, reader, aside


def _sqlite_engine(
    url: URL,
    *,
    begin: str,
    pragmas: tuple[str, ...] = (),
    busy_timeout_ms: float = BUSY_TIMEOUT_MS,
    **pool: Any,
) -> AsyncEngine:
    assert url.database is not None
    engine = create_async_engine(
        url,
        # The driver starts no transaction by itself: `begin` says when and how.
        async_creator=partial(
            sqlite_driver.connect,
            url.database,
            pragmas=("foreign_keys=ON", *pragmas),
            busy_timeout_seconds=busy_timeout_ms / 1000,
        ),
        hide_parameters=True,  # they are what people said
        **pool,
    )

    def start(connection: sa.Connection) -> None:
        # To the driver directly: half the thread switches of a statement of SQLAlchemy's.
        adapted = cast(AdaptedConnection, connection.connection.dbapi_connection)
        if begin == "BEGIN IMMEDIATE":
            adapted.run_async(lambda driver: _take_lock(driver, busy_timeout_ms / 1000))
        else:
            adapted.run_async(lambda driver: driver.execute(begin))

    event.listen(engine.sync_engine, "invalidate", _roll_back)
    event.listen(engine.sync_engine, "begin", start)
    return engine


async def _take_lock(driver: Any, seconds: float) -> None:
    """Begin to write, as soon as another process has ended its transaction. Left to wait by itself,
    SQLite looks every 100 ms after a while; a process that writes without pause, such as a worker
    with much to do, then keeps the others out for a second (measured)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            await driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() >= deadline:
                raise


def _roll_back(connection: Any, _record: object, _error: object) -> None:
    """A connection whose statement was cancelled is about to be closed. SQLite keeps a closed
    connection's transaction, and its lock on the file, as long as a cursor is left; and one is, in
    the traceback of the cancellation."""
    # A second cancellation interrupts the waiting only: the rollback is queued before the close.
    with suppress(sqlite3.Error, asyncio.CancelledError):
        connection.rollback()


def _postgres_engine(url: URL, *, statement_timeout_ms: int, **pool: Any) -> AsyncEngine:
    dsn = _dsn(url)
    settings = {
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(statement_timeout_ms),
        **_NOTICE_THE_DEAD,
    }

    return create_async_engine(
        url,
        async_creator=lambda: _connect(dsn, settings),
        hide_parameters=True,  # they are what people said
        **pool,
    )


def _dsn(url: URL) -> str:
    """For asyncpg, which reads the address itself, and with it all that hosting companies append
    to it in libpq's words (sslmode=require …)."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _connect(dsn: str, settings: Mapping[str, str]) -> Any:
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "coccinelle", **settings},
        )
    except TimeoutError as error:
        raise _Unreachable(f"no answer within {CONNECT_TIMEOUT_SECONDS:g} s") from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        cure = _REFUSED_SETTING.get(getattr(error, "sqlstate", None) or "")
        raise _Unreachable(f"{error} ({cure})" if cure else str(error)) from error


def _discard_closed(_connection: object, record: Any, _proxy: object) -> None:
    """A connection that the server has closed (restart, failover) is replaced unused: costs no
    round trip, unlike a pre-ping."""
    if record.driver_connection.is_closed():
        raise DisconnectionError


# ----------------------------------------------------------------------------- migrating


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database stands. `revision` None: it is empty. `known` is False when a newer server
    has migrated it; `oldest_server` is what its migrations ask for, None when they don't say."""

    revision: str | None
    head: str
    known: bool
    oldest_server: str | None


async def schema_state(url: str) -> SchemaState:
    """Where the database of this URL stands; changes nothing. OperatorError as `Database.open`."""
    parsed = _parse(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and not await asyncio.to_thread(Path(parsed.database or "").exists):
        return SchemaState(None, migrations.head(), known=True, oldest_server=None)

    def read(connection: sa.Connection) -> SchemaState:
        revision = migrations.current(connection)
        return SchemaState(
            revision,
            migrations.head(),
            known=revision is None or migrations.knows(revision),
            oldest_server=migrations.needed(connection),
        )

    with _operator_errors("reading the schema's revision"):
        return await _migrate(parsed, read)


async def move_schema(url: str, revision: str) -> SchemaState:
    """Migrate to `revision` ("head", "base"), forward or back. Back loses what newer tables and
    columns hold. OperatorError when there is no such revision, and as `Database.open`."""

    def move(connection: sa.Connection) -> None:
        if migrations.is_earlier(revision, migrations.current(connection)):
            migrations.downgrade(connection, revision)
        else:
            migrations.upgrade(connection, revision)

    with _operator_errors("migrating"):
        await _migrate(_parse(url), move)
    return await schema_state(url)


async def _migrate(url: URL, work: Callable[[sa.Connection], Result]) -> Result:
    """Do something with the schema: in one transaction, and one process at a time."""
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        await asyncio.to_thread(_prepare_file, url)
        engine = _sqlite_engine(
            url,
            begin="BEGIN IMMEDIATE",
            busy_timeout_ms=MIGRATION_TIMEOUT_SECONDS * 1000,
            poolclass=NullPool,
        )
    else:
        engine = _postgres_engine(url, statement_timeout_ms=0, poolclass=NullPool)
    try:
        async with asyncio.timeout(MIGRATION_TIMEOUT_SECONDS), engine.begin() as connection:
            return await connection.run_sync(work)
    except TimeoutError as error:
        raise OperatorError(
            f"the database wasn't migrated within {MIGRATION_TIMEOUT_SECONDS:g} s. "
            "Is another process migrating it, or holding it open?"
        ) from error
    finally:
        await engine.dispose()

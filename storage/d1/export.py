"""Reading an export, which may be anything: a SQLite file, or the SQL of `wrangler d1 export`.

https://developers.cloudflare.com/d1/best-practices/import-export-data/
Nothing of it is trusted (https://www.sqlite.org/security.html): a file is opened read-only, its
schema can't run functions, tables only are read. SQL is not run as it comes: of its statements
those that make a table or fill one with constants are, in memory, under an authorizer.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from domain.errors import OperatorError

#: D1 itself holds at most 10 GB; a business of this kind has some hundred MB of calls.
MAX_FILE_BYTES = 4 * 1024**3
#: SQL text is read whole, and then stands in memory twice.
MAX_SQL_BYTES = 512 * 1024**2
#: What the rows of a dump may take in memory: defaults such as randomblob(n) make more of less.
MAX_MEMORY_BYTES = 2 * MAX_SQL_BYTES
#: The longest value or statement; D1's own limit is 2 MB per row and 100 kB per statement.
#: https://developers.cloudflare.com/d1/platform/limits/
MAX_VALUE_BYTES = 16 * 1024**2
BATCH_ROWS = 500
#: How many semicolons a trigger may have before it is no trigger any more.
_MAX_TRIGGER_PARTS = 100

_MAGIC = b"SQLite format 3\0"
_DENY, _OK = sqlite3.SQLITE_DENY, sqlite3.SQLITE_OK
#: What a dump needs; `replace`, `char` and `unistr` are how SQLite's own writes a line break.
_FUNCTIONS = frozenset(
    "replace char unistr current_timestamp current_date current_time datetime date strftime lower "
    "upper hex randomblob".split()
)
_MAKING = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,  # of a UNIQUE or PRIMARY KEY
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_READ,  # a CHECK reads its columns; a SELECT is another matter
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_REINDEX,
    }
)
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA})

#: What can end, or hide the end of, a statement.
_TOKEN = re.compile(r"""['"`\[;]|--|/\*""")
_CLOSES = {"'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/"}
_COMMENT = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_RUN = re.compile(
    r"(?:CREATE\s+TABLE\b|INSERT\s+(?:OR\s+\w+\s+)?INTO\s+(?![\"'\[`]?sqlite_))", re.IGNORECASE
)
_TABLE = re.compile(r"CREATE\s+TABLE\b", re.IGNORECASE)
_TRIGGER = re.compile(r"CREATE\s+(?:TEMP(?:ORARY)?\s+)?TRIGGER\b", re.IGNORECASE)
_UNISTR = re.compile(r"\\(?:u([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|U([0-9a-fA-F]{8})|(\\))")


class Export:
    """An export's tables and rows. Close it at the end; for use by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        listed = self._run("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        self._tables = {str(name) for name, sql in listed if _TABLE.match(str(sql))}

    def has(self, table: str) -> bool:
        """Whether it has this table; views and virtual tables are none."""
        return table in self._tables

    def columns(self, table: str) -> list[str]:
        """The columns of one of its tables."""
        return [str(row[1]) for row in self._run(f"PRAGMA table_info({_quoted(table)})")]

    def batches(self, table: str, order_by: Sequence[str] = ()) -> Iterator[list[dict[str, Any]]]:
        """All rows of one of its tables, BATCH_ROWS at a time: column → str, int, float, bytes or
        None. In the order of those columns that it has, then as they are stored."""
        columns = self.columns(table)
        ordered = [_quoted(column) for column in order_by if column in columns]
        order = f" ORDER BY {', '.join(ordered)}" if ordered else ""
        listed = ", ".join(map(_quoted, columns))
        rows = self._run(f"SELECT {listed} FROM {_quoted(table)}{order}")  # noqa: S608 - quoted
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(dict(zip(columns, row, strict=True)))
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _run(self, statement: str) -> Iterator[tuple[Any, ...]]:
        try:
            # Not `yield from`: that would close the cursor of a connection that is closed already.
            for row in self._connection.execute(statement):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise OperatorError(
                f"the export can't be read: {error}. Make a new one: `wrangler d1 export`."
            ) from error


def open_export(path: Path) -> Export:
    """Open a SQLite file, or read a dump's SQL. OperatorError when it is neither, too large, or
    does what no dump does."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            is_database = file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}.") from error
    limit = MAX_FILE_BYTES if is_database else MAX_SQL_BYTES
    if size > limit:
        raise OperatorError(f"{path} is larger than {limit // 1024**2} MB, the most that is read.")
    return Export(_file(path) if is_database else _memory(path))


def _file(path: Path) -> sqlite3.Connection:
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise OperatorError(
            f"{path} is in use, or wasn't closed: {log.name} holds changes that would be missed. "
            f"`sqlite3 {path.name} .dump > export.sql` makes a whole export."
        )
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    return _guarded(sqlite3.connect(address, uri=True, check_same_thread=False), _READING)


def _memory(path: Path) -> sqlite3.Connection:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise OperatorError(
            f"{path} is neither a SQLite database nor SQL in UTF-8 (byte {error.start})."
        ) from error
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    # The rows are judged by our rules, with a reason for each, and not by the export's own.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(f"PRAGMA max_page_count = {MAX_MEMORY_BYTES // 4096}")
    connection.create_function("unistr", 1, _unistr, deterministic=True)
    _guarded(connection, _MAKING)
    made = False
    for line, statement in statements(text):
        if not _RUN.match(statement):
            continue  # pragmas, transactions, indexes, triggers, views: nothing is lost with them
        try:
            connection.execute(statement)
        except sqlite3.Error as error:
            raise OperatorError(
                f"{path}, line {line}: {error}. It must be what `wrangler d1 export` writes."
            ) from error
        made = True
    if not made:
        raise OperatorError(f"{path} is neither a SQLite database nor a dump of one.")
    connection.set_authorizer(None)
    return _guarded(connection, _READING)


def _guarded(connection: sqlite3.Connection, allowed: frozenset[int]) -> sqlite3.Connection:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    # Invalid UTF-8 is shown as such and costs no row.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except sqlite3.Error as error:
        raise OperatorError(f"the export is damaged: {error}.") from error

    def authorize(
        action: int, first: str | None, second: str | None, _base: str | None, _by: str | None
    ) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            return _OK if (second or "").lower() in _FUNCTIONS and allowed is _MAKING else _DENY
        if action == sqlite3.SQLITE_PRAGMA:
            return _OK if action in allowed and first == "table_info" else _DENY
        # CREATE TABLE writes a row of SQLite's own catalogue, and reads it.
        catalogue = (first or "").lower() == "sqlite_master"
        own = catalogue and action in (sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_READ)
        return _OK if action in allowed or own else _DENY

    connection.set_authorizer(authorize)
    return connection


def statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a dump, each with the line it begins at."""
    start, line, parts, at = 0, 1, 0, 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        if token.group() != ";":
            # A doubled quote closes and opens again, which comes to the same.
            end = text.find(_CLOSES[token.group()], at)
            if end < 0:
                break
            at = end + len(_CLOSES[token.group()])
            continue
        raw = text[start : token.end()]
        statement = _uncommented(raw)
        if _TRIGGER.match(statement) and not sqlite3.complete_statement(statement):
            parts += 1
            if parts < _MAX_TRIGGER_PARTS:
                continue  # a semicolon between BEGIN and END
        yield line + raw[: len(raw) - len(statement)].count("\n"), statement
        line += raw.count("\n")
        start, parts = token.end(), 0
    raw = text[start:]
    if rest := _uncommented(raw):
        yield line + raw[: len(raw) - len(rest)].count("\n"), rest


def _uncommented(raw: str) -> str:
    """Without comments and space before it."""
    at = 0
    while match := _COMMENT.match(raw, at):
        at = match.end()
    return raw[at:]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unistr(text: Any) -> Any:
    """What SQLite's dump calls since 3.50: https://www.sqlite.org/lang_corefunc.html#unistr"""
    if not isinstance(text, str):
        return text
    return _UNISTR.sub(
        lambda found: found[4] or chr(int(found[1] or found[2] or found[3], 16)), text
    )

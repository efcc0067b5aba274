"""Structured logs: one line per event, call and tenant on each, personal data on none.

A field that isn't on the list of `SHOWN` is hidden, so that a new one has to be thought about
before it shows. Free text (messages, errors, tracebacks) loses numbers, addresses and keys.
Writing happens in a thread behind a bounded queue: a terminal that doesn't read stops nobody.
"""

import logging
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler
from typing import Any, Literal, TextIO

import msgspec
import structlog

HIDDEN = "[hidden]"

#: Names of fields that say nothing about a person. Anything else is hidden.
SHOWN = frozenset(
    {
        *("event", "level", "logger", "timestamp", "exception", "stack"),
        # whose line it is
        *("call", "call_id", "call_sid", "parent_call_sid", "stream_sid", "tenant", "tenant_id"),
        *("function_call_id", "item_id", "response_id", "message_id", "conversation_id", "node"),
        *("node_id", "request_id"),
        # what happened
        *(
            "action",
            "agent",
            "alone",
            "at",
            "attempt",
            "by",
            "cause",
            "channel",
            "close_code",
            "code",
            "cure",
            "detail",
            "door",
        ),
        *("direction", "effect", "error", "error_type", "event_type", "fatal", "field", "found_by"),
        *(
            "found_words",
            "frozen",
            "function",
            "kind",
            "meanwhile",
            "method",
            "model",
            "outcome",
            "path",
        ),
        *("reason", "resumed", "retryable", "route", "rung", "signal", "stage", "state", "status"),
        *("stream", "task", "timer", "variable", "vendor", "work"),
        # how much
        *("buffered", "bytes", "calls", "count", "days", "dropped", "frames", "limit", "lines"),
        *("live", "missing", "ms", "open", "seconds", "size", "slots", "total"),
        # this server
        *("database", "dialect", "host", "listening", "port", "public_url", "revision", "version"),
    }
)

#: Lines that wait for a slow terminal; further ones are dropped and counted.
_QUEUE = 10_000
#: How long the end waits for them.
_LAST_LINES_SECONDS = 2.0

#: Loggers of libraries that say a line per request, with addresses and numbers in it.
_CHATTY = (
    *("aiosqlite", "alembic", "asyncio", "httpcore", "httpx", "picows", "sqlalchemy", "twilio"),
    *("urllib3", "uvicorn", "uvicorn.error", "websockets"),
)

# Nine digits or more with the separators that people write, not inside a word or an identifier.
_NUMBER = re.compile(r"(?<![\w.:/-])(?:\+|%2B)?(?:\d[\s.()-]{0,2}){8,}\d(?!\w)")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
# SQLAlchemy puts the values of a failed statement into its error, on a line of their own.
_PARAMETERS = re.compile(r"^\[parameters: .*$", re.MULTILINE)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+")

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Event]


class Scrubber:
    """Hides in an event what nobody needs to read. `secrets` are looked for as they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Short ones would cut words to pieces; they are guarded by their field's name.
        known = sorted({s for s in secrets if len(s) >= 8}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """The structlog processor."""
        return {
            name: self._value(value) if name in SHOWN else HIDDEN
            for name, value in event.items()
            if name not in _OURS
        } | {name: event[name] for name in _OURS if name in event}

    def text(self, text: str) -> str:
        """A text without numbers, e-mail addresses, keys and statement parameters."""
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        text = _PARAMETERS.sub("[parameters: hidden]", text)
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
        return _NUMBER.sub(HIDDEN, _EMAIL.sub(HIDDEN, text))

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


#: What structlog's formatter carries along inside an event; it removes them itself.
_OURS = ("_record", "_from_structlog")


#: What a line begins with.
_FIRST = ("timestamp", "level", "event")


class _Outlet(QueueHandler):
    """Formats where the event happens, hands the line to the writing thread, never waits."""

    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


@contextmanager
def logging_to(
    stream: TextIO,
    *,
    level: str = "INFO",
    form: Literal["json", "console"] = "json",
    secrets: Iterable[str] = (),
) -> Iterator[Callable[[], int]]:
    """Route structlog and the standard library's logging to `stream` until the block ends.

    Gives a callable that tells how many lines were dropped because nobody read the stream.
    """
    scrub = Scrubber(secrets)
    shared = _shared_processors()
    lines: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUE)
    outlet = _Outlet(lines)
    outlet.setFormatter(_formatter(form, scrub, shared, colours=stream.isatty()))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    with _writing(lines, stream), _root(outlet, level):
        try:
            yield lambda: outlet.dropped
        finally:
            structlog.reset_defaults()


@contextmanager
def _writing(lines: queue.Queue[logging.LogRecord | None], stream: TextIO) -> Iterator[None]:
    """A thread that writes the lines; at the end it gets a moment for those that wait."""
    handler = logging.StreamHandler(stream)

    def write() -> None:
        while (record := lines.get()) is not None:
            handler.handle(record)

    # A daemon: a terminal that never reads again must not keep the process from ending.
    thread = threading.Thread(target=write, name="logs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(queue.Full):
            lines.put(None, timeout=_LAST_LINES_SECONDS)
            thread.join(_LAST_LINES_SECONDS)


def _shared_processors() -> list[Processor]:
    """For our events and for those of libraries alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(
    form: str, scrub: Scrubber, shared: list[Processor], *, colours: bool
) -> logging.Formatter:
    last: list[Any] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        scrub,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    if form == "json":
        last += [structlog.processors.JSONRenderer(serializer=_json)]
    else:
        last += [structlog.dev.ConsoleRenderer(colors=colours)]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)


def _json(event: Event, **_: Any) -> str:
    first = {name: event.pop(name) for name in _FIRST if name in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()


@contextmanager
def _root(handler: logging.Handler, level: str) -> Iterator[None]:
    """The root logger with this handler alone, libraries no louder than WARNING."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    levels = {name: logging.getLogger(name).level for name in _CHATTY}
    access = logging.getLogger("uvicorn.access")
    silent = access.disabled
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    access.disabled = True  # its lines carry addresses and queries
    try:
        yield
    finally:
        access.disabled = silent
        for name, quiet in levels.items():
            logging.getLogger(name).setLevel(quiet)
        root.setLevel(before[0])
        root.handlers[:] = before[1]

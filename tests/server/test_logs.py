import ast
import base64
import io
import json
import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from server.logs import HIDDEN, SHOWN, Scrubber, logging_to
from server.settings import Settings


class Lines(io.StringIO):
    """What was logged, parsed."""

    def parsed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def clean_context() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def logged(*, level: str = "INFO", secrets: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """One event with these fields, as it was written."""
    lines = Lines()
    with logging_to(lines, level=level, secrets=secrets):
        structlog.get_logger("voice.bridge").warning("it happened", **fields)
    (line,) = lines.parsed()
    return line


def test_a_line_says_when_where_how_bad() -> None:
    line = logged(outcome="booked", ms=12.5)
    assert (line["event"], line["level"], line["logger"]) == (
        "it happened",
        "warning",
        "voice.bridge",
    )
    assert line["timestamp"].endswith("Z")
    assert (line["outcome"], line["ms"]) == ("booked", 12.5)


def test_call_and_tenant_are_on_each_line_of_the_context() -> None:
    lines = Lines()
    with logging_to(lines):
        log = structlog.get_logger("x")
        with structlog.contextvars.bound_contextvars(call_id="c1", tenant_id="t1"):
            log.info("inside")
            logging.getLogger("library").warning("inside too")
        log.info("outside")
    inside, library, outside = lines.parsed()
    assert (inside["call_id"], inside["tenant_id"]) == ("c1", "t1")
    assert (library["call_id"], library["tenant_id"]) == ("c1", "t1")
    assert "call_id" not in outside


@pytest.mark.parametrize(
    "field",
    [
        *("text", "transcript", "arguments", "number", "phone", "email", "from_", "to", "address"),
        *("caller", "customer_name", "name", "notes", "query", "body", "token", "key", "password"),
        *("authorization", "forwarded_from", "from_number", "a_field_nobody_thought_of"),
    ],
)
def test_personal_fields_are_hidden(field: str) -> None:
    assert logged(**{field: "Jean Dupont"})[field] == HIDDEN


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20), st.text(min_size=1))
def test_only_listed_fields_show(name: str, value: str) -> None:
    shown = Scrubber()(None, "info", {name: value})[name]
    assert shown == HIDDEN or name in SHOWN


@pytest.mark.parametrize(
    "text",
    [
        "+33639981234",
        "06 39 98 12 34",
        "06.39.98.12.34",
        "no line for +33 6 39 98 12 34 here",
        "From=%2B33639981234",
        "jean.dupont+rdv@example.fr",
        "Authorization: Bearer abc.def-ghi",
        "Basic QUM6dG9rZW4=",
    ],
)
def test_free_text_loses_numbers_addresses_and_keys(text: str) -> None:
    line = logged(reason=text)["reason"]
    assert HIDDEN in line
    for part in ("639", "98", "dupont", "abc.def", "QUM6"):
        assert part not in line


@pytest.mark.parametrize(
    "text",
    [
        "CA0123456789abcdef0123456789abcdef",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "0123456789abcdef0123456789abcdef",
        "2026-11-22T16:00:00.123456Z",
        "127.0.0.1:8080",
        "HTTP 503 after 1500 ms",
    ],
)
def test_identifiers_and_instants_stay(text: str) -> None:
    assert logged(reason=text)["reason"] == text


def test_the_keys_of_the_ring_are_hidden_however_they_are_written() -> None:
    keys = [secrets.token_bytes(32) for _ in range(2)]
    ring = f"2:{base64.b64encode(keys[0]).decode()},1:{keys[1].hex()}"
    given = Settings.of(encryption_keys=ring)
    forms = [form for key in keys for form in (key.hex(), key.hex().upper())]
    forms += [form(key).decode() for key in keys for form in _BASE64]
    forms += [ring, *(form.rstrip("=") for form in forms)]
    line = str(logged(secrets=given.secrets, error=f"cannot use {' or '.join(forms)}, sorry"))
    assert "cannot use" in line
    for form in forms:
        assert form not in line
    for key in keys:
        assert key.hex()[:16] not in line


_BASE64 = (base64.b64encode, base64.urlsafe_b64encode)


def test_known_secrets_are_hidden_wherever_they_stand() -> None:
    line = logged(secrets=("sk-live-123456",), error="401 for key sk-live-123456.")
    assert line["error"] == f"401 for key {HIDDEN}."


def test_a_traceback_is_kept_without_what_it_carries() -> None:
    lines = Lines()
    # as SQLAlchemy spells it
    message = "no such customer: +33639981234\n[SQL: …]\n[parameters: ('Jean Dupont', '[x]')]\n(Bg)"
    with logging_to(lines):
        try:
            raise ValueError(message)
        except ValueError:
            structlog.get_logger("x").exception("it failed")
    (line,) = lines.parsed()
    assert "ValueError: no such customer" in line["exception"]
    assert "test_logs.py" in line["exception"]
    assert "639" not in line["exception"]
    assert "Dupont" not in line["exception"]


def test_libraries_go_the_same_way_with_their_arguments_scrubbed() -> None:
    lines = Lines()
    with logging_to(lines):
        logging.getLogger("some.library").warning("call to %s failed", "+33639981234")
    (line,) = lines.parsed()
    assert line["event"] == f"call to {HIDDEN} failed"
    assert line["logger"] == "some.library"


@pytest.mark.parametrize("name", ["httpx", "twilio.http_client", "uvicorn.error", "sqlalchemy.x"])
def test_chatty_libraries_speak_from_warning_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("uvicorn", name):  # a test before may have configured uvicorn's own
        monkeypatch.setattr(logging.getLogger(each), "propagate", True)
    lines = Lines()
    with logging_to(lines, level="DEBUG"):
        logging.getLogger(name).info("GET /calls?From=…")
        logging.getLogger(name).warning("worth reading")
    assert [line["event"] for line in lines.parsed()] == ["worth reading"]


def test_there_is_no_access_log() -> None:
    lines = Lines()
    with logging_to(lines, level="DEBUG"):
        logging.getLogger("uvicorn.access").critical("1.2.3.4 GET /webhooks")
    assert lines.parsed() == []


def test_the_level_counts() -> None:
    lines = Lines()
    with logging_to(lines, level="WARNING"):
        structlog.get_logger("x").info("no")
        logging.getLogger("y").info("no")
        structlog.get_logger("x").error("yes")
    assert [line["event"] for line in lines.parsed()] == ["yes"]


def test_console_is_for_people_and_hides_as_much() -> None:
    lines = Lines()
    with logging_to(lines, form="console"):
        structlog.get_logger("x").info("it happened", phone="+33639981234", outcome="booked")
    text = lines.getvalue()
    assert "it happened" in text
    assert "outcome=booked" in text
    assert "639" not in text


def test_everything_is_as_before_afterwards() -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.getLogger("httpx").level)
    with logging_to(Lines(), level="DEBUG"):
        pass
    assert (root.level, root.handlers[:], logging.getLogger("httpx").level) == before
    assert not structlog.is_configured()


def test_values_json_does_not_know_become_text() -> None:
    assert logged(path=object)["path"] == "<class 'object'>"


class Blocked(io.StringIO):
    """A terminal that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = False
        self.waiting = 0

    def write(self, text: str) -> int:
        while not self.reading:
            self.waiting += 1
            time.sleep(0.01)
        return super().write(text)


def test_a_blocked_terminal_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.logs._QUEUE", 5)
    stream = Blocked()
    with logging_to(stream) as dropped:
        log = structlog.get_logger("x")
        for _ in range(20):
            log.info("again")
        # one may be in the writer's hand, five in the queue
        assert dropped() >= 20 - 6
        assert stream.getvalue() == ""
        stream.reading = True
    assert len(stream.getvalue().splitlines()) in {5, 6}


def test_a_terminal_that_never_reads_again_does_not_keep_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.logs._LAST_LINES_SECONDS", 0.05)
    stream = Blocked()
    with logging_to(stream):
        structlog.get_logger("x").info("nobody reads this")
    assert stream.getvalue() == ""
    stream.reading = True


PACKAGES = ("server", "voice", "messaging", "dashboard", "storage", "providers", "domain")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "bind_contextvars"}


def test_every_field_that_we_log_is_on_the_list() -> None:
    """A hidden field would be of no use to anybody: list it, if it says nothing of a person."""
    root = Path(__file__).parents[2]
    files = [file for package in PACKAGES for file in (root / package).rglob("*.py")]
    fields = {
        keyword.arg
        for file in files
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and ast.unparse(call.func.value).endswith(("log", "logger", "contextvars"))
        for keyword in call.keywords
        if keyword.arg is not None
    }
    assert "call_id" in fields
    assert fields - SHOWN - {"exc_info"} == set()

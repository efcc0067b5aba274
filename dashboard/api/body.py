"""Bodies: bounded, JSON, checked against a shape; answers: JSON."""

import asyncio
import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.operations import require_shape
from dashboard.api.problem import NO_STORE
from domain.errors import CallerError, Invalid
from storage.audit import under_way

T = TypeVar("T")

#: The largest body taken. A channel's configuration with four long prompts is under 64 KiB.
MAX_BODY_BYTES = 256 * 1024
#: How long a body may take to arrive: 256 KiB in 10 s is slower than any telephone's network.
BODY_SECONDS = 10.0
#: The deepest nesting taken: what a page sends has four levels.
MAX_DEPTH = 32

_PATH = re.compile(r"^(?P<what>.*) - at `\$?(?P<key>key in )?(?P<path>[^`]*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")


async def read_json(request: Request, shape: type[T], *, may_be_empty: bool = False) -> T:
    """The body as a `shape` (a msgspec Struct). `may_be_empty`: no body at all means `{}`.

    Raises CallerError: 400 not JSON, 408 too slow, 413 too large, 415 not declared as JSON,
    422 a value is wrong (with its path)."""
    require_shape(request, "body", shape)
    data = await _read(request)
    if may_be_empty and not data:
        data = b"{}"
    else:
        _require_json(request)
    raw = _decode(data)
    refuse_unstorable(raw)
    try:
        taken = msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    note_fields(raw, shape)
    return taken


def note_fields(raw: Any, shape: Any) -> None:
    """Which of the fields that `shape` knows were sent, for the audit log: names, no contents."""
    act = under_way()
    if act is not None and isinstance(raw, dict) and hasattr(shape, "__struct_fields__"):
        act.fields = tuple(name for name in shape.__struct_encode_fields__ if name in raw)


def json_response(content: Any, status: int = 200) -> Response:
    """`content` as JSON."""
    return Response(
        msgspec.json.encode(content),
        status_code=status,
        headers=NO_STORE,
        media_type="application/json",
    )


def _require_json(request: Request) -> None:
    declared = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if declared != "application/json":
        raise CallerError("Send the body as JSON, with Content-Type: application/json.", status=415)


async def _read(request: Request) -> bytes:
    too_large = CallerError(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > MAX_BODY_BYTES:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise CallerError(f"The body took over {BODY_SECONDS:g} s.", status=408) from None
    return bytes(data)


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise CallerError(f"The body is not UTF-8 (byte {error.start}).") from None
    except msgspec.DecodeError as error:
        raise CallerError(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise CallerError("The body is nested too deeply.") from None


def refuse_unstorable(raw: Any) -> None:
    """Raise Invalid for what PostgreSQL can't hold (U+0000) and what nobody means (a nesting that
    exhausts the stack of whoever reads it next)."""
    pending: list[tuple[str, int, Any]] = [("", 0, raw)]
    while pending:
        path, depth, value = pending.pop()
        if depth > MAX_DEPTH:
            raise Invalid(f"Nested more than {MAX_DEPTH} levels deep.", field=path[:100])
        if isinstance(value, str):
            _refuse_nul(value, path)
        elif isinstance(value, dict):
            for key, each in value.items():
                _refuse_nul(key, path)
                pending.append((f"{path}.{key}" if path else key, depth + 1, each))
        elif isinstance(value, list):
            pending.extend(
                (f"{path}[{index}]", depth + 1, each) for index, each in enumerate(value)
            )


def _refuse_nul(text: str, path: str) -> None:
    if "\x00" in text:
        raise Invalid("Text must not contain the character U+0000.", field=path[:100] or None)


def _invalid(message: str) -> Invalid:
    """msgspec's "Expected `str`, got `int` - at `$.config.sara`" as our error with its field."""
    match = _PATH.match(message)
    what, path = (match["what"], match["path"].lstrip(".")) if match else (message, "")
    missing = _MISSING.match(what)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
        what = "This field is required"
    return Invalid(f"{what}.", field=path or None)


def clean_text(value: str | None, field: str, *, longest: int, key: str) -> str:
    """`value` trimmed: one line, not empty, of at most `longest` characters. Raises Invalid."""
    text = (value or "").strip()
    if not text or len(text) > longest or not text.isprintable():
        raise Invalid(
            f"Give one line of 1 to {longest} printable characters.", field=field, message_key=key
        )
    return text

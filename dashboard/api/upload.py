"""Uploads: one file and some short fields as multipart/form-data, bounded in size, parts and time.

The body goes to a temporary file as it comes (beyond 1 MB, starlette's SpooledTemporaryFile), so
that a slow client costs no memory. A file's name is data: it is shown, and never a path.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from domain.errors import CallerError, Invalid

#: Title and category, and as many that we don't know.
MAX_FIELDS = 8
MAX_FIELD_BYTES = 8 * 1024
#: What boundaries, headers and fields take besides the file.
OVERHEAD_BYTES = 64 * 1024
#: 10 MB at 1 Mbit/s, an old DSL line's way up, take 80 s.
UPLOAD_SECONDS = 120.0
LONGEST_NAME = 200

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")  # RFC 2046 §5.1.1


@dataclass(frozen=True, slots=True)
class Upload:
    """`name` the last part of the file's name, `media_type` in lower case without parameters."""

    name: str
    media_type: str
    data: bytes
    fields: dict[str, str]


@asynccontextmanager
async def received(
    request: Request, places: asyncio.Semaphore, *, max_bytes: int
) -> AsyncIterator[Upload]:
    """The file in the part `file`, and the other fields. It is in memory during the block alone,
    for which one of `places` is taken; nobody takes one while the body is still on its way.

    Raises CallerError: 400 not multipart as declared, 408 too slow, 413 too large, 415 not
    declared as multipart, 422 without a file."""
    headers = _headers(request)
    limit = max_bytes + OVERHEAD_BYTES
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
        raise _too_large(max_bytes)
    parser = _Parser(
        headers,
        _bounded(request, limit, max_bytes),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            form = await parser.parse()
    except TimeoutError:
        raise CallerError(f"The upload took over {UPLOAD_SECONDS:g} s.", status=408) from None
    except MultiPartException as error:
        raise CallerError(f"The body can't be read as a form: {error.message}") from None
    try:
        async with places:
            yield await _taken(form, max_bytes)
    finally:
        await form.close()
        parser.close()


class _Parser(MultiPartParser):
    """Starlette's, which forgets the file of a part that never ends."""

    def close(self) -> None:
        for file in self._files_to_close_on_error:
            file.close()


def _headers(request: Request) -> Headers:
    """Content-Type with nothing but the boundary: a charset would choose among all codecs there
    are, slow and strange ones included."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise CallerError("Send the file as multipart/form-data, in the part `file`.", status=415)
    boundary = options.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise CallerError("The Content-Type lacks a proper boundary.")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode()}"'})


async def _bounded(request: Request, limit: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise _too_large(max_bytes)
        yield chunk


async def _taken(form: FormData, max_bytes: int) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Invalid("Send the file in the part `file`.", field="file", message_key="file_missing")
    if (file.size or 0) > max_bytes:
        raise _too_large(max_bytes)
    data = await file.read()
    if not data:
        raise Invalid("The file is empty.", field="file", message_key="document_empty")
    fields = {
        name: value
        for name, value in form.multi_items()
        if isinstance(value, str) and name.isidentifier()
    }
    media_type = (file.content_type or "").partition(";")[0].strip().lower()
    return Upload(_plain_name(file.filename or ""), media_type, data, fields)


def _plain_name(name: str) -> str:
    """The last part of whatever was sent as a name, printable."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(char if char.isprintable() else " " for char in last)
    return " ".join(kept.split())[-LONGEST_NAME:]


def _too_large(max_bytes: int) -> CallerError:
    return CallerError(
        f"The file is larger than {max_bytes} bytes.",
        status=413,
        field="file",
        message_key="document_too_large",
    )

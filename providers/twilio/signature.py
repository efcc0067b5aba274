"""Is it Twilio that calls? The check of `X-Twilio-Signature`, and the guard that nobody forgets.

Rules: shared/reference/twilio.md §2. The HMAC itself is the twilio package's; its `validate` isn't
used, because it raises on a missing signature, rewrites addresses and ignores the hash of a JSON
body beside a form (§2.4).
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from twilio.request_validator import RequestValidator

log = logging.getLogger(__name__)

#: A voice webhook has one or two kilobytes; SIP headers and speech results add a few more.
MAX_BODY_BYTES: Final = 64 * 1024

#: A voice webhook has about thirty fields.
MAX_FIELDS: Final = 300

#: Seconds. Twilio sends the whole request at once and gives up itself after 15 (§1.2).
READ_SECONDS: Final = 5.0

#: What Twilio calls, and what nobody else may.
PREFIX: Final = "/webhooks/twilio/"

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_DEFAULT_PORTS: Final = {"http": ":80", "ws": ":80", "https": ":443", "wss": ":443"}


class TwilioForm(Mapping[str, str]):
    """The fields of a webhook, in order, blank ones included. A name's first value counts."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs: tuple[tuple[str, str], ...] = tuple(pairs)
        self._values: dict[str, list[str]] = {}
        for name, value in self.pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getall(self, name: str) -> list[str]:
        """All values of a name, in order (the name that the twilio package looks for)."""
        return list(self._values.get(name, ()))


class TwilioSignature:
    """Verifies with any of `tokens` (two while one is being rotated); with none, nothing is valid.

    Webhooks signed with a SharedKey (§2.1) aren't ours: we configure none, so they are refused.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._validators = tuple(RequestValidator(token) for token in tokens if token)

    def valid(self, url: str, params: Sequence[tuple[str, str]], signature: str | None) -> bool:
        """Whether Twilio signed this request: `url` as it was requested, query included, and the
        fields of its form (none for a GET or a websocket's handshake)."""
        if not signature:
            return False
        given = signature.encode("utf-8", "replace")
        form = TwilioForm(params)
        matches = [
            hmac.compare_digest(_computed(validator, address, form), given)
            for validator in self._validators
            for address in _spellings(url)
        ]
        return any(matches)

    def valid_json(self, url: str, body: bytes, signature: str | None) -> bool:
        """The same for a JSON body, whose hash stands in the query as `bodySHA256`."""
        query = _parsed(url.partition("?")[2])
        hashes = query.getall("bodySHA256") if query else []
        if len(hashes) != 1:
            return False
        given = hashes[0].lower().encode("utf-8", "replace")
        same = hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), given)
        return self.valid(url, (), signature) and same


def _computed(validator: RequestValidator, url: str, form: TwilioForm) -> bytes:
    signature: str = validator.compute_signature(url, form)
    return signature.encode()


def _spellings(url: str) -> set[str]:
    """The address as given, without a port, with the default one: Twilio signs any of them."""
    scheme, separator, rest = url.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if not separator or port is None:
        return {url}
    end = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    host, colon, digits = authority.rpartition(":")
    if not (colon and digits.isdigit()):  # no port, or the colons of an IPv6 address
        return {url, f"{scheme}://{authority}{port}{tail}"}
    return {url, f"{scheme}://{host}{tail}"}


class TwilioWebhookGuard:
    """ASGI middleware: what claims to come from Twilio runs only when Twilio signed it.

    Requests under `prefixes` are read (64 KiB, 5 s), verified against `public_url` as configured,
    never against what the client says of host or scheme, and handed on with their fields in
    `scope["state"]["twilio_form"]`; else 403, and nothing else runs. Every websocket handshake
    must be signed over `stream_url`. With `account_sid`, another account's requests are refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        signature: TwilioSignature,
        public_url: str,
        stream_url: str,
        account_sid: str = "",
        prefixes: Sequence[str] = (PREFIX,),
    ) -> None:
        self._app = app
        self._signature = signature
        self._public_url = public_url.rstrip("/")
        self._stream_url = _as_websocket(stream_url).rstrip("/")
        self._account_sid = account_sid
        self._prefixes = tuple(prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http" and self._guards(scope):
            await self._webhook(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _guards(self, scope: Scope) -> bool:
        """As the router sees it (decoded, below `root_path`), and as it came."""
        path, root = scope["path"], scope.get("root_path", "")
        paths = {f"{path}/", f"{path.removeprefix(root)}/"}
        return any(seen.startswith(prefix) for seen in paths for prefix in self._prefixes)

    # ------------------------------------------------------------------------ the websocket

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        signature = _one_header(scope, "x-twilio-signature")
        # Some streams are signed with a slash at the end, whatever the TwiML says (§2.3).
        addresses = (self._stream_url, self._stream_url + "/")
        if any(self._signature.valid(address, (), signature) for address in addresses):
            await self._app(scope, receive, send)
            return
        log.warning("twilio stream refused: %s", "signature" if signature else "not signed")
        await receive()
        # Before the handshake is accepted, closing is answered 403.
        await send({"type": "websocket.close", "code": 1008})

    # -------------------------------------------------------------------------- the webhook

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _read(scope, receive)
        except TimeoutError:
            await _refuse(scope, receive, send, 408, "the body did not arrive in time")
            return
        except _TooLarge:
            await _refuse(scope, receive, send, 413, "the body is larger than 64 KiB")
            return
        if body is None:
            return  # the client left
        form = self._verified(scope, body)
        if form is None:
            await _refuse(scope, receive, send, 403, "not signed by Twilio")
            return
        state = {**scope.get("state", {}), "twilio_form": form}
        await self._app({**scope, "state": state}, _replay(body, receive), send)

    def _verified(self, scope: Scope, body: bytes) -> TwilioForm | None:
        url = self._public_url + _requested(scope)
        signature = _one_header(scope, "x-twilio-signature")
        kind = (_one_header(scope, "content-type") or "").partition(";")[0].strip().lower()
        if kind == _JSON:
            return TwilioForm() if self._signature.valid_json(url, body, signature) else None
        if body and kind != _FORM:
            return None  # nothing would cover the body
        form = _parsed(body.decode("utf-8", "replace"))
        if form is None:
            return None
        if not self._signature.valid(url, form.pairs, signature):
            # Names help to find what a proxy changed; values are personal.
            names = sorted({name[:40] for name in form})[:40]
            log.warning("twilio webhook refused: signature over %r fields %r", _path(url), names)
            return None
        if self._account_sid and set(form.getall("AccountSid")) - {self._account_sid}:
            log.warning("twilio webhook refused: another account's")
            return None
        return form


class _TooLarge(Exception):
    """The body is beyond the bound."""


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None when the client left. Raises _TooLarge."""
    length = _one_header(scope, "content-length") or ""
    if length.isdecimal() and (len(length) > 9 or int(length) > MAX_BODY_BYTES):
        raise _TooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever follows."""
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _parsed(encoded: str) -> TwilioForm | None:
    """The fields, blank ones kept: French calls have many, and they are signed (§1.1). None when
    there are too many."""
    try:
        return TwilioForm(parse_qsl(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return None


def _requested(scope: Scope) -> str:
    """Path and query exactly as requested, percent-encoding untouched (§2.2)."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


def _path(url: str) -> str:
    return url.partition("?")[0][-200:]


def _one_header(scope: Scope, name: str) -> str | None:
    """A header that came exactly once."""
    values = Headers(scope=scope).getlist(name)
    return values[0] if len(values) == 1 else None


def _as_websocket(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return {"http": "ws", "https": "wss"}.get(scheme, scheme) + separator + rest


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    headers = {"connection": "close"} if status != 403 else {}  # the body wasn't read
    await PlainTextResponse(f"{why}\n", status, headers)(scope, receive, send)

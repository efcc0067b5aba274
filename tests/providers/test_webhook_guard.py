"""Twilio's signature and the guard in front of its webhooks, over real HTTP and websockets."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from providers.twilio import signature as module
from providers.twilio.signature import TwilioForm, TwilioSignature, TwilioWebhookGuard

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ACCOUNT = "AC0f1e2d3c4b5a69788796a5b4c3d2e1f0"

Pairs = Iterable[tuple[str, str]]

#: A call in France: city, state and postcode arrive blank (shared/reference/twilio.md §1.1).
FRENCH = (
    ("AccountSid", ACCOUNT),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA9b0000000000000000000000000000aa"),
    ("CallStatus", "ringing"),
    ("Called", "+33939000001"),
    ("CalledCity", ""),
    ("CalledCountry", "FR"),
    ("CalledState", ""),
    ("CalledZip", ""),
    ("Caller", "+33611223344"),
    ("Direction", "inbound"),
    ("ForwardedFrom", "+33145000000"),
    ("From", "+33611223344"),
    ("FromCity", ""),
    ("FromCountry", "FR"),
    ("SpeechResult", "  L'été, à Nîmes ? "),
    ("To", "+33939000001"),
    ("ToZip", ""),
)


def sign(url: str, pairs: Pairs = (), token: str = TOKEN) -> str:
    """Written from Twilio's description, not from our code."""
    values: dict[str, set[str]] = {}
    for name, value in pairs:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


# ---------------------------------------------------------------------------- the signature

DOCUMENTED = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "To": "+18005551212"}


@pytest.mark.parametrize(
    ("url", "number", "expected"),
    [
        # Twilio's documentation and the tests of its own libraries.
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            "+14158675309",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        ),
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            "+12349013030",
            "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
        ),
        (
            "https://example.com/myapp.php?foo=1&bar=2",
            "+14158675310",
            "L/OH5YylLD5NRKLltdqwSvS0BnU=",
        ),
    ],
)
def test_the_vendor_s_own_examples(url: str, number: str, expected: str) -> None:
    pairs = [*DOCUMENTED.items(), ("Caller", number), ("From", number)]
    assert TwilioSignature(["12345"]).valid(url, pairs, expected)
    assert not TwilioSignature(["12346"]).valid(url, pairs, expected)


URL = "https://voice.example.fr/webhooks/twilio/voice"


def test_blank_fields_count() -> None:
    signature = sign(URL, FRENCH)
    assert TwilioSignature([TOKEN]).valid(URL, FRENCH, signature)
    without_blanks = [(name, value) for name, value in FRENCH if value]
    assert not TwilioSignature([TOKEN]).valid(URL, without_blanks[:-1], signature)


def test_repeated_fields_are_sorted_and_equal_pairs_count_once() -> None:
    pairs = [("Event", "ringing"), ("Event", "answered"), ("Event", "ringing"), ("A", "")]
    assert TwilioSignature([TOKEN]).valid(URL, pairs, sign(URL, pairs))
    assert not TwilioSignature([TOKEN]).valid(URL, pairs[:1], sign(URL, pairs))


@pytest.mark.parametrize("change", range(len(FRENCH)))
def test_a_changed_field_is_noticed(change: int) -> None:
    pairs = list(FRENCH)
    pairs[change] = (pairs[change][0], pairs[change][1] + "x")
    assert not TwilioSignature([TOKEN]).valid(URL, pairs, sign(URL, FRENCH))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://h/p?q=1", "https://h:443/p?q=1"),
        ("https://h:443/p", "https://h/p"),
        ("https://h:8443/p", "https://h/p"),
        ("http://h/p", "http://h:80/p"),
        ("wss://h/stream", "wss://h:443/stream"),
        ("wss://h:443/stream", "wss://h/stream"),
        ("ws://127.0.0.1:8080/stream", "ws://127.0.0.1/stream"),
        ("https://[::1]:8443/p", "https://[::1]/p"),
        ("https://[::1]/p", "https://[::1]:443/p"),
        ("https://h", "https://h:443"),
    ],
)
def test_twilio_is_inconsistent_about_ports(ours: str, theirs: str) -> None:
    assert TwilioSignature([TOKEN]).valid(ours, (), sign(theirs))
    assert TwilioSignature([TOKEN]).valid(ours, (), sign(ours))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://h/p", "http://h/p"),
        ("https://h/p", "https://h/p/"),
        ("https://h/p", "https://h/p?"),
        ("https://h/p", "https://h:8443/p"),
        ("https://h/p%20q", "https://h/p q"),
        ("https://h/p", "https://other/p"),
    ],
)
def test_another_address_is_refused(ours: str, theirs: str) -> None:
    assert not TwilioSignature([TOKEN]).valid(ours, (), sign(theirs))


def test_two_tokens_while_one_is_rotated() -> None:
    both = TwilioSignature(["new", "old"])
    for token in ("new", "old"):
        assert both.valid(URL, FRENCH, sign(URL, FRENCH, token))
    assert not both.valid(URL, FRENCH, sign(URL, FRENCH, "older"))


@pytest.mark.parametrize("tokens", [[], [""]])
def test_without_a_token_nothing_is_valid(tokens: list[str]) -> None:
    assert not TwilioSignature(tokens).valid(URL, FRENCH, sign(URL, FRENCH, ""))


@given(st.none() | st.text())
def test_no_signature_raises(signature: str | None) -> None:
    assert not TwilioSignature([TOKEN]).valid(URL, FRENCH, signature)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8))), st.text(max_size=20))
def test_whatever_is_signed_is_valid(pairs: list[tuple[str, str]], tail: str) -> None:
    url = f"https://h/{quote(tail)}"
    assert TwilioSignature([TOKEN]).valid(url, pairs, sign(url, pairs))


def test_json_is_bound_by_its_hash() -> None:
    body = b'{"type":"x"}'
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = TwilioSignature([TOKEN])
    assert signature.valid_json(url, body, sign(url))
    assert not signature.valid_json(url, b'{"type":"y"}', sign(url))
    assert not signature.valid_json(URL, body, sign(URL))
    twice = f"{url}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert not signature.valid_json(twice, body, sign(twice))
    assert not signature.valid_json(f"{URL}?{'a&' * 1000}", body, sign(URL))


def test_a_form_keeps_first_values_and_all_pairs() -> None:
    form = TwilioForm([("a", "1"), ("b", ""), ("a", "2")])
    assert dict(form) == {"a": "1", "b": ""}
    assert form.getall("a") == ["1", "2"]
    assert form.pairs == (("a", "1"), ("b", ""), ("a", "2"))
    assert form.get("c") is None


# -------------------------------------------------------------------------------- the guard


@dataclass
class Behind:
    """The guarded application: notes what reaches it."""

    port: int
    seen: list[dict[str, Any]] = field(default_factory=list)
    streams: int = 0

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/media-stream"

    async def webhook(self, request: Request) -> PlainTextResponse:
        form: TwilioForm | None = getattr(request.state, "twilio_form", None)
        self.seen.append(
            {
                "form": dict(form) if form is not None else None,
                "pairs": form.pairs if form is not None else None,
                "body": await request.body(),
                "path": request.url.path,
            }
        )
        return PlainTextResponse("seen")

    async def media(self, websocket: WebSocket) -> None:
        self.streams += 1
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/webhooks/twilio/voice", self.webhook, methods=["GET", "POST"]),
                Route("/webhooks/twilio/{rest:path}", self.webhook, methods=["POST"]),
                Route("/healthz", self.webhook, methods=["GET", "POST"]),
                WebSocketRoute("/media-stream", self.media),
            ]
        )


@contextlib.asynccontextmanager
async def guarded(
    public_url: str = "", stream_url: str = "", tokens: Iterable[str] = (TOKEN,), **options: Any
) -> AsyncIterator[Behind]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    behind = Behind(listening.getsockname()[1])
    guard = TwilioWebhookGuard(
        behind.app(),
        signature=TwilioSignature(list(tokens)),
        public_url=public_url or behind.http,
        stream_url=stream_url or behind.stream,
        **options,
    )
    config = uvicorn.Config(guard, lifespan="off", log_config=None, ws="websockets-sansio")
    started = asyncio.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listening]))
        await started.wait()
        try:
            yield behind
        finally:
            server.should_exit = True


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    async with guarded() as running:
        yield running


async def post(
    behind: Behind,
    path: str = "/webhooks/twilio/voice",
    pairs: Pairs = FRENCH,
    *,
    signature: str | None = None,
    signed_url: str = "",
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """As Twilio posts; signed for `signed_url` unless a signature is given ("" = none)."""
    pairs = tuple(pairs)
    sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
    signature = sign(signed_url or behind.http + path, pairs) if signature is None else signature
    if signature:
        sent["X-Twilio-Signature"] = signature
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(
            behind.http + path,
            content=urlencode(pairs).encode() if content is None else content,
            headers=sent,
        )


async def test_a_french_call_passes_with_its_fields(behind: Behind) -> None:
    answer = await post(behind)
    assert (answer.status_code, answer.text) == (200, "seen")
    (seen,) = behind.seen
    assert seen["pairs"] == FRENCH
    assert seen["form"]["ToZip"] == ""
    assert seen["form"]["SpeechResult"] == "  L'été, à Nîmes ? "
    assert seen["body"] == urlencode(FRENCH).encode()  # replayed for whoever reads it again


@pytest.mark.parametrize(
    "signature",
    ["", "AAAA", "é", sign("http://127.0.0.1/webhooks/twilio/voice", FRENCH, "other token")],
)
async def test_unsigned_or_wrongly_signed_reaches_nobody(
    behind: Behind, signature: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{behind.http}/webhooks/twilio/voice",
            content=urlencode(FRENCH).encode(),
            headers=[
                (b"content-type", b"application/x-www-form-urlencoded"),
                *([(b"x-twilio-signature", signature.encode())] if signature else []),
            ],
        )
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/plain")
    assert behind.seen == []
    assert "+33611223344" not in caplog.text


async def test_two_signatures_are_none(behind: Behind) -> None:
    good = sign(f"{behind.http}/webhooks/twilio/voice", FRENCH)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{behind.http}/webhooks/twilio/voice",
            content=urlencode(FRENCH).encode(),
            headers=[
                ("content-type", "application/x-www-form-urlencoded"),
                ("x-twilio-signature", good),
                ("x-twilio-signature", "AAAA"),
            ],
        )
    assert answer.status_code == 403


async def test_a_changed_body_is_refused(behind: Behind) -> None:
    good = sign(f"{behind.http}/webhooks/twilio/voice", FRENCH)
    forged = [*FRENCH[:-1], ("To", "+33939000002")]
    assert (await post(behind, pairs=forged, signature=good)).status_code == 403


async def test_another_door_s_signature_is_refused(behind: Behind) -> None:
    answer = await post(behind, signed_url=f"{behind.http}/webhooks/twilio/status")
    assert answer.status_code == 403


async def test_a_repeated_request_passes_again(behind: Behind) -> None:
    """Twilio repeats the same POST after a connection failure; handlers are idempotent."""
    assert [(await post(behind)).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/twilio/voice?bc=1&x=",
        "/webhooks/twilio/a%20b%2Fc/%C3%A9?q=%C3%A9%27&r=a+b",
        "/webhooks/twilio/voice/continue",
        "/webhooks%2Ftwilio/voice",
    ],
)
async def test_path_and_query_are_verified_as_they_came(behind: Behind, path: str) -> None:
    assert (await post(behind, path)).status_code == 200
    assert (await post(behind, path, signature="AAAA")).status_code == 403
    assert len(behind.seen) == 1


async def test_behind_a_proxy_the_configured_address_counts() -> None:
    async with guarded("https://voice.example.fr/", "wss://voice.example.fr/s") as behind:
        signed = "https://voice.example.fr/webhooks/twilio/voice"
        assert (await post(behind, signed_url=signed)).status_code == 200
        forwarded = {"host": "evil.example", "x-forwarded-host": "evil.example"}
        evil = await post(
            behind,
            signed_url="https://evil.example/webhooks/twilio/voice",
            headers={**forwarded, "x-forwarded-proto": "https"},
        )
        assert evil.status_code == 403
        assert (await post(behind, signed_url=signed, headers=forwarded)).status_code == 200


async def test_without_a_token_everything_is_refused() -> None:
    async with guarded(tokens=()) as behind:
        url = f"{behind.http}/webhooks/twilio/voice"
        assert (await post(behind, signature=sign(url, FRENCH, ""))).status_code == 403
        with pytest.raises(InvalidStatus):
            await stream(behind.stream, sign(behind.stream, token=""))
        assert behind.seen == []


async def test_another_account_is_refused() -> None:
    async with guarded(account_sid=ACCOUNT) as behind:
        assert (await post(behind)).status_code == 200
        others = [("AccountSid", "ACother"), *FRENCH[1:]]
        assert (await post(behind, pairs=others)).status_code == 403
        both = [*FRENCH, ("AccountSid", "ACother")]
        assert (await post(behind, pairs=both)).status_code == 403
        assert (await post(behind, pairs=FRENCH[1:])).status_code == 200


async def test_other_paths_are_none_of_its_business(behind: Behind) -> None:
    answer = await post(behind, "/healthz", signature="")
    assert answer.status_code == 200
    assert behind.seen[0]["form"] is None


async def test_a_get_is_signed_over_its_address(behind: Behind) -> None:
    url = f"{behind.http}/webhooks/twilio/voice?CallSid=CA1"
    async with httpx.AsyncClient(trust_env=False) as client:
        good = await client.get(url, headers={"X-Twilio-Signature": sign(url)})
        bad = await client.get(url + "2", headers={"X-Twilio-Signature": sign(url)})
    assert (good.status_code, bad.status_code) == (200, 403)


async def test_json_bodies(behind: Behind) -> None:
    body = json.dumps({"type": "com.twilio.x"}).encode()
    path = f"/webhooks/twilio/events?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await post(behind, path, (), content=body, headers=headers)
    assert answer.status_code == 200
    assert behind.seen[0]["body"] == body
    changed = await post(behind, path, (), content=body + b" ", headers=headers)
    assert changed.status_code == 403
    unbound = await post(behind, "/webhooks/twilio/events", (), content=body, headers=headers)
    assert unbound.status_code == 403


async def test_a_body_of_another_kind_is_refused(behind: Behind) -> None:
    """The address alone is signed then: any body would pass."""
    answer = await post(behind, pairs=(), content=b"<x/>", headers={"content-type": "text/xml"})
    assert answer.status_code == 403


async def test_too_many_fields_are_refused(behind: Behind) -> None:
    pairs = [(f"f{number}", "") for number in range(module.MAX_FIELDS + 1)]
    assert (await post(behind, pairs=pairs)).status_code == 403


async def test_a_body_too_big_is_refused_by_its_length(behind: Behind) -> None:
    answer = await post(behind, pairs=[("x", "y" * module.MAX_BODY_BYTES)])
    assert answer.status_code == 413
    assert behind.seen == []


async def test_a_body_too_big_is_refused_while_it_comes(behind: Behind) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    answers = []
    async with httpx.AsyncClient(trust_env=False) as client:
        # The connection is closed while we still write: the answer may be lost with it.
        with contextlib.suppress(httpx.TransportError):
            url = f"{behind.http}/webhooks/twilio/voice"
            answers.append((await client.post(url, content=endless())).status_code)
    assert answers in ([], [413])
    assert behind.seen == []


async def test_the_largest_body_passes(behind: Behind) -> None:
    pairs = [("x", "y" * (module.MAX_BODY_BYTES - 2))]
    assert (await post(behind, pairs=pairs)).status_code == 200


async def test_a_body_that_does_not_come_is_not_awaited(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", behind.port)
    writer.write(
        b"POST /webhooks/twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"
    )
    await writer.drain()
    async with asyncio.timeout(3):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert behind.seen == []


async def test_a_client_that_leaves_midway_reaches_nobody(behind: Behind) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", behind.port)
    writer.write(
        b"POST /webhooks/twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"
    )
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.05)
    assert (await post(behind)).status_code == 200
    assert len(behind.seen) == 1


async def test_a_root_path_does_not_open_a_way_around() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached")

    answers: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = TwilioWebhookGuard(
        app, signature=TwilioSignature([TOKEN]), public_url="https://h", stream_url="wss://h/s"
    )
    for path in ("/base/webhooks/twilio/voice", "/webhooks/twilio", "/webhooks/twilio/voice"):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "/base",
            "query_string": b"",
            "headers": [],
        }
        await guard(scope, receive, send)
    assert answers == [403, 403, 403]


# ------------------------------------------------------------------------------- the stream


async def stream(url: str, signature: str | None) -> str | bytes:
    headers = {"x-twilio-signature": signature} if signature is not None else {}
    async with connect(url, additional_headers=headers, proxy=None) as websocket:
        return await websocket.recv()


@pytest.mark.parametrize("tail", ["", "/"])
async def test_a_signed_stream_is_accepted(behind: Behind, tail: str) -> None:
    assert await stream(behind.stream, sign(behind.stream + tail)) == "hello"


@pytest.mark.parametrize("signed", [None, "http", "//", "?a=1", "token"])
async def test_an_unsigned_stream_is_refused_before_it_is_accepted(
    behind: Behind, signed: str | None
) -> None:
    signatures = {
        None: None,
        "http": sign(behind.stream.replace("ws:", "http:")),
        "//": sign(behind.stream + "//"),
        "?a=1": sign(behind.stream + "?a=1"),
        "token": sign(behind.stream, token="other"),
    }
    with pytest.raises(InvalidStatus) as caught:
        await stream(behind.stream, signatures[signed])
    assert caught.value.response.status_code == 403
    assert behind.streams == 0


@pytest.mark.parametrize("configured", ["wss://node.example.fr/media-stream", "https://"])
async def test_the_stream_s_address_is_the_configured_one(configured: str) -> None:
    configured = configured.replace("https://", "https://node.example.fr/media-stream")
    async with guarded("https://voice.example.fr", configured) as behind:
        signature = sign("wss://node.example.fr/media-stream")
        assert await stream(behind.stream, signature) == "hello"
        with pytest.raises(InvalidStatus):
            await stream(behind.stream, sign(behind.stream))


async def test_every_websocket_needs_the_signature(behind: Behind) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await stream(behind.stream.replace("media-stream", "elsewhere"), None)
    assert caught.value.response.status_code == 403

"""A server below a path of its public address, behind proxies of both kinds."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.path_prefix import PathPrefix
from tests.running import french_call, running, sign

PUBLIC = "https://voice.example.fr/agent"


async def seen(scope: Scope, public: str = PUBLIC, stream: str = "wss://n1.example.fr/a") -> Scope:
    """What the application gets to see."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    await PathPrefix(app, public_url=public, stream_base=stream)(scope, receive, send)
    return scopes[0]


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("http", "/agent/healthz", "/healthz"),
        ("http", "/healthz", "/healthz"),
        ("http", "/agent", "/agent"),
        ("http", "/agents/healthz", "/agents/healthz"),
        ("http", "/a/healthz", "/a/healthz"),
        ("http", "/agent/agent/x", "/agent/x"),
        ("websocket", "/a/media-stream", "/media-stream"),
        ("websocket", "/media-stream", "/media-stream"),
        ("websocket", "/agent/media-stream", "/agent/media-stream"),
        ("lifespan", "/agent/x", "/agent/x"),
    ],
)
async def test_the_prefix_is_taken_off_once(kind: str, path: str, expected: str) -> None:
    scope = await seen({"type": kind, "path": path, "raw_path": path.encode()})
    assert (scope["path"], scope["raw_path"]) == (expected, expected.encode())


async def test_the_rest_stays_encoded_as_it_came() -> None:
    scope = await seen({"type": "http", "path": "/agent/é", "raw_path": b"/agent/%C3%A9"})
    assert (scope["path"], scope["raw_path"]) == ("/é", b"/%C3%A9")


async def test_a_prefix_spelled_otherwise_is_not_ours() -> None:
    scope = {"type": "http", "path": "/agent/x", "raw_path": b"/%61gent/x"}
    assert (await seen(scope))["path"] == "/agent/x"


async def test_without_a_path_nothing_is_touched() -> None:
    scope = {"type": "http", "path": "/x", "raw_path": b"/x"}
    assert await seen(scope, "https://voice.example.fr", "wss://n1.example.fr") is scope


@pytest.mark.parametrize("passed_on", ["/agent", ""])
async def test_a_call_is_answered_whatever_the_proxy_does_with_the_path(
    tmp_path_factory: pytest.TempPathFactory, passed_on: str
) -> None:
    async with running(tmp_path_factory.mktemp("db"), public_url=PUBLIC) as twilio:
        await twilio.tenant("Garage du Port", "+33199001234")
        form = french_call(ForwardedFrom="+33199001234")
        signature = sign(f"{PUBLIC}/webhooks/twilio/voice", form)
        headers = {"X-Twilio-Signature": signature}
        path = f"{passed_on}/webhooks/twilio/voice"
        response = await twilio.http.post(path, data=form, headers=headers)
        assert response.status_code == 200
        assert f"{PUBLIC}/webhooks/twilio/voice/continue" in response.text
        assert "wss://voice.example.fr/agent/media-stream" in response.text
        forged = {
            "X-Twilio-Signature": sign("https://voice.example.fr/webhooks/twilio/voice", form)
        }
        assert (await twilio.http.post(path, data=form, headers=forged)).status_code == 403

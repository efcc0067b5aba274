"""The Realtime connector over real sockets."""

import asyncio
import base64
import contextlib
import http
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from domain.errors import OperatorError, ProviderError
from providers.openai import realtime
from providers.openai.realtime import OpenAIRealtime, RealtimeLeg
from tests.fakes.realtime_server import RealtimeServer, realtime_server
from voice.events import (
    AgentFault,
    AgentGone,
    AgentLags,
    AgentReady,
    CallerSpeechStarted,
    CallerSpeechStopped,
    Event,
    FunctionCalled,
    ResponseDone,
    ResponseStarted,
)
from voice.ports import AgentConnector, AgentLeg, AgentSpec

SOUND = base64.b64encode(bytes(160)).decode()


def spec(**changes: Any) -> AgentSpec:
    values: dict[str, Any] = {
        "instructions": "Tu es Sara.",
        "functions": (),
        "model": "gpt realtime/1",
        "voice": "marin",
        "language": "fr",
        "api_key": "sk-secret",
    }
    return AgentSpec(**{**values, **changes})


class Ear:
    """An AgentListener that remembers, in order."""

    def __init__(self) -> None:
        self.heard: list[Event | tuple[str, str]] = []
        self._news = asyncio.Event()
        self.on_event: Callable[[Event], None] = lambda _: None

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        self.heard.append((item_id, payload))
        self._news.set()

    def on_agent_event(self, event: Event) -> None:
        self.heard.append(event)
        self._news.set()
        self.on_event(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, *expected: Event | tuple[str, str]) -> None:
        await self.until(lambda: len(self.heard) >= len(expected))
        assert self.heard == list(expected)


@contextlib.asynccontextmanager
async def leg_to(server: RealtimeServer, **changes: Any) -> AsyncIterator[RealtimeLeg]:
    leg = await OpenAIRealtime(server.base_url).connect(spec(**changes))
    try:
        yield leg
    finally:
        await leg.close()


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with realtime_server() as running:
        yield running


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0.02)
    assert not [task for task in asyncio.all_tasks() - before if "WSProtocol" in repr(task)]


async def test_it_is_a_connector(server: RealtimeServer) -> None:
    connector: AgentConnector = OpenAIRealtime(server.base_url)
    leg: AgentLeg = await connector.connect(spec())
    assert leg.name == "realtime:gpt realtime/1"
    await leg.close()


async def test_the_handshake_is_the_vendor_s(server: RealtimeServer) -> None:
    async with leg_to(server):
        (request,) = server.requests
        assert request.path == "/v1/realtime?model=gpt%20realtime%2F1"
        assert request.headers["Authorization"] == "Bearer sk-secret"
        assert "OpenAI-Beta" not in request.headers
        assert "Sec-WebSocket-Extensions" not in request.headers
        assert server.received[0]["type"] == "session.update"


async def test_history_follows_the_session(server: RealtimeServer) -> None:
    async with leg_to(server, history=[("user", "Bonjour")]):
        await server.got(lambda frames: len(frames) == 2)
        assert server.received[1]["item"]["content"] == [{"type": "input_text", "text": "Bonjour"}]


async def test_what_happened_before_listen_is_delivered_in_order(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        leg.say("Bonjour.")
        await server.got(lambda frames: frames[-1]["type"] == "response.create")
        await server.sends("response.created", response={"id": "r1"})
        for number in range(3):
            await server.sends(
                "response.output_audio.delta",
                response_id="r1",
                item_id="a",
                delta=base64.b64encode(bytes([number])).decode(),
            )
        await server.sends("response.done", response={"id": "r1", "status": "completed"})
        await asyncio.sleep(0.05)
        ear = Ear()
        leg.listen(ear)
        expected: list[Event | tuple[str, str]] = [
            AgentReady(),
            ResponseStarted("r1"),
            ("a", "AA=="),
            ("a", "AQ=="),
            ("a", "Ag=="),
            ResponseDone("r1", "completed"),
        ]
        assert ear.heard == expected
        await server.sends("input_audio_buffer.speech_started", item_id="u")
        await ear.hears(*expected, CallerSpeechStarted())


async def test_hear_and_the_commands_reach_the_vendor(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        leg.hear(SOUND)
        leg.hear('","type":"response.create')
        leg.tell("Le client a tapé 1.", "user")
        leg.give_result("call_1", '{"ok":true}', respond=True)
        leg.interrupt([("a", 120.7, 500.0)], cancel=False)
        await server.got(lambda frames: len(frames) == 6)
        assert server.received[1] == {"type": "input_audio_buffer.append", "audio": SOUND}
        assert [frame["type"] for frame in server.received[2:]] == [
            "conversation.item.create",
            "conversation.item.create",
            "response.create",
            "conversation.item.truncate",
        ]
        assert server.received[5]["audio_end_ms"] == 120


async def test_a_command_given_from_a_callback_is_sent(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        ear.on_event = lambda event: (
            leg.give_result(event.function_call_id, "{}", respond=True)
            if isinstance(event, FunctionCalled)
            else None
        )
        leg.listen(ear)
        item = {"id": "f", "type": "function_call", "call_id": "c", "name": "end_call"}
        await server.sends("response.created", response={"id": "r1"})
        await server.sends(
            "response.done", response={"id": "r1", "status": "completed", "output": [item]}
        )
        await server.got(lambda frames: frames[-1]["type"] == "response.create")
        assert server.received[-2]["item"]["call_id"] == "c"


async def test_fragmented_messages_are_put_together(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        text = json.dumps({"type": "response.output_audio.delta", "item_id": "a", "delta": SOUND})
        await server.connection.send([text[:20], text[20:50], text[50:]])
        await ear.hears(AgentReady(), ("a", SOUND))


async def test_large_events_pass(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        delta = base64.b64encode(bytes(300_000)).decode()
        await server.sends("response.output_audio.delta", item_id="a", delta=delta)
        await ear.hears(AgentReady(), ("a", delta))


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (http.HTTPStatus.UNAUTHORIZED, False),
        (http.HTTPStatus.FORBIDDEN, False),
        (http.HTTPStatus.NOT_FOUND, False),
        (http.HTTPStatus.FOUND, False),
        (http.HTTPStatus.TOO_MANY_REQUESTS, True),
        (http.HTTPStatus.INTERNAL_SERVER_ERROR, True),
        (http.HTTPStatus.SERVICE_UNAVAILABLE, True),
    ],
)
async def test_a_refused_handshake(status: http.HTTPStatus, retryable: bool) -> None:
    async with realtime_server(refuse=status) as server:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(server.base_url).connect(spec())
    assert (caught.value.status, caught.value.retryable) == (status, retryable)
    assert len(server.requests) == 1
    assert "sk-secret" not in str(caught.value)


async def test_a_refused_session() -> None:
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "bad voice"}
    async with realtime_server(error=error) as server:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(server.base_url).connect(spec())
        assert (caught.value.code, caught.value.retryable) == ("invalid_value", False)
        async with asyncio.timeout(2):
            await server.closed.wait()


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        ("invalid_model", 400, False),
        ("model_not_found", 404, False),
        ("string_above_max_length", 400, False),
        ("invalid_api_key", 401, False),
        ("inference_rate_limit_exceeded", 429, True),
        ("insufficient_quota", 429, False),
        ("server_error", 503, True),
        ("something_new", None, False),
        ("invalid_event", None, False),
    ],
)
async def test_a_refusal_says_whose_fault_it_is(
    code: str, status: int | None, *, retryable: bool
) -> None:
    error = {"type": "invalid_request_error", "code": code, "message": "no"}
    by_event = {"error": error}
    by_closing = {"close": (4000, f"invalid_request_error.{code}")}
    for refusal in (by_event, by_closing):
        async with realtime_server(**refusal) as server:
            with pytest.raises(ProviderError) as caught:
                await OpenAIRealtime(server.base_url).connect(spec())
            assert caught.value.code == code
            assert (caught.value.status, caught.value.retryable) == (status, retryable)


async def test_a_connection_that_is_closed_before_it_is_ready_is_the_servers_fault() -> None:
    async with realtime_server(close=(1011, "internal error")) as server:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(server.base_url).connect(spec())
        assert (caught.value.status, caught.value.retryable) == (None, True)


async def test_a_session_that_is_never_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "CONFIGURE_SECONDS", 0.1)
    async with realtime_server(configure=False) as server:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(server.base_url).connect(spec())
        assert (caught.value.code, caught.value.retryable) == ("configure_timeout", True)
        async with asyncio.timeout(2):
            await server.closed.wait()


async def test_nobody_at_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(f"http://127.0.0.1:{port}/v1").connect(spec())
    assert (caught.value.code, caught.value.retryable) == ("connect", True)


async def raw_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> tuple[asyncio.Server, str]:
    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    return running, f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "OPEN_SECONDS", 0.1)
    hung_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        hung_up.set()

    running, url = await raw_server(answer)
    async with running:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(url).connect(spec())
        assert (caught.value.code, caught.value.retryable) == ("open_timeout", True)
        async with asyncio.timeout(2):
            await hung_up.wait()


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_server_that_is_something_else(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    running, url = await raw_server(answer)
    async with running:
        with pytest.raises(ProviderError) as caught:
            await OpenAIRealtime(url).connect(spec())
    assert caught.value.vendor == "openai"


async def test_a_connection_that_nobody_waits_for_any_more_is_closed() -> None:
    go_on, hung_up = asyncio.Event(), asyncio.Event()

    async with realtime_server() as server:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            inner, outer = await asyncio.open_connection("127.0.0.1", server.port)
            outer.write(request)
            writer.write(await inner.readuntil(b"\r\n\r\n"))
            assert await reader.read() == b""
            outer.close()
            writer.close()
            hung_up.set()

        running, url = await raw_server(relay)
        async with running:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await OpenAIRealtime(url).connect(spec())
            go_on.set()  # the handshake succeeds after all
            async with asyncio.timeout(2):
                await hung_up.wait()


@pytest.mark.parametrize("key", ["", "sk-x\r\nX-Evil: 1", "clé"])
async def test_a_key_that_no_header_can_carry(key: str, server: RealtimeServer) -> None:
    with pytest.raises(ProviderError) as caught:
        await OpenAIRealtime(server.base_url).connect(spec(api_key=key))
    assert not caught.value.retryable
    assert server.requests == []
    assert key == "" or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com/v1", "ftp://h/v1", "https://", "https://u:p@h/v1", "https://h/v1?a=b"],
)
def test_a_bad_address_is_the_operator_s(url: str) -> None:
    with pytest.raises(OperatorError, match="OPENAI_BASE_URL"):
        OpenAIRealtime(url)


# ----------------------------------------------------------------------------- endings


async def test_the_vendor_closes(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        await server.connection.close(1001, "bye")
        await ear.hears(AgentReady(), AgentGone("closed by the vendor: 1001 bye"))
        leg.hear(SOUND)
        leg.say("trop tard")
    await asyncio.sleep(0.02)
    assert len(ear.heard) == 2


@pytest.mark.parametrize("code", [3000, 4000, 4999])
async def test_a_close_code_of_the_vendor_s_own(server: RealtimeServer, code: int) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        await server.connection.close(code)
        await ear.hears(AgentReady(), AgentGone(f"closed by the vendor: {code}"))


async def test_the_line_breaks(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        server.connection.transport.abort()
        await ear.hears(AgentReady(), AgentGone("connection lost"))


async def test_the_end_before_listen_is_not_lost(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        assert server.connection is not None
        await server.connection.close(1011)
        ear = Ear()
        await asyncio.sleep(0.05)
        assert not leg.is_open
        leg.listen(ear)
        assert ear.heard == [AgentReady(), AgentGone("closed by the vendor: 1011")]


@pytest.mark.parametrize("garbage", ["hello", "[]", b"\x00\x01"])
async def test_garbage_ends_the_leg_once(server: RealtimeServer, garbage: str | bytes) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        with contextlib.suppress(Exception):
            for _ in range(3):
                await server.connection.send(garbage)
        async with asyncio.timeout(2):
            await server.closed.wait()
        await asyncio.sleep(0.02)
        assert [type(event) for event in ear.heard].count(AgentGone) == 1
        assert isinstance(ear.heard[-1], AgentGone)


async def test_a_fatal_error_ends_the_leg(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        await server.sends("error", error={"code": "session_expired", "message": "60 min"})
        await ear.hears(
            AgentReady(),
            AgentFault("session_expired", "60 min", fatal=True),
            AgentGone("session_expired"),
        )
        async with asyncio.timeout(2):
            await server.closed.wait()


async def test_a_message_without_end_is_refused(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None

        async def endless() -> AsyncIterator[str]:
            while True:
                yield "x" * 100_000

        with contextlib.suppress(Exception):
            await server.connection.send(endless())
        await ear.hears(AgentReady(), AgentGone("message too big"))


async def test_a_frame_that_is_too_big_is_refused(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        with contextlib.suppress(Exception):
            await server.connection.send("x" * (realtime.MAX_MESSAGE_BYTES + 1))
        await ear.until(lambda: isinstance(ear.heard[-1], AgentGone))
        assert not [heard for heard in ear.heard if isinstance(heard, tuple)]


async def test_a_silent_vendor_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "PING_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(realtime, "PONG_WITHIN_SECONDS", 0.1)
    async with realtime_server() as server, leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        server.connection.transport.pause_reading()
        await ear.hears(AgentReady(), AgentGone("no sign of life"))
        server.connection.transport.resume_reading()


async def test_a_vendor_is_asked_whether_it_is_there() -> None:
    async with realtime_server() as server, leg_to(server) as leg:
        assert await leg.answers(1.0)
        assert await leg.answers(1.0), "again"
        assert server.connection is not None
        server.connection.transport.pause_reading()
        assert not await leg.answers(0.1)
        server.connection.transport.resume_reading()


async def test_nobody_listens_for_too_long(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        second = base64.b64encode(bytes(7998)).decode()
        with contextlib.suppress(Exception):
            for _ in range(17):
                await server.sends("response.output_audio.delta", item_id="a", delta=second)
        async with asyncio.timeout(2):
            await server.closed.wait()
        ear = Ear()
        leg.listen(ear)
        assert len([heard for heard in ear.heard if isinstance(heard, tuple)]) == 15
        assert ear.heard[-1] == AgentGone("nobody listens")


async def test_audio_is_dropped_and_counted_when_the_vendor_does_not_read(
    server: RealtimeServer,
) -> None:
    async with leg_to(server) as leg:
        assert server.connection is not None
        server.connection.transport.pause_reading()
        sound = "A" * 60_000
        for _ in range(400):
            leg.hear(sound)
        assert leg.frames_dropped > 0
        assert leg.is_open
        leg.say("Ceci passe.")
        server.connection.transport.resume_reading()
        await server.got(lambda frames: frames[-1]["type"] == "response.create")
        appended = [f for f in server.received if f["type"] == "input_audio_buffer.append"]
        assert len(appended) + leg.frames_dropped == 400


async def test_commands_without_bound_end_the_leg(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        assert server.connection is not None
        server.connection.transport.pause_reading()
        for _ in range(400):
            leg.tell("x" * 60_000, "system")
        assert ear.heard == [AgentReady(), AgentGone("backlog")]


async def test_a_bug_in_the_listener_ends_the_leg(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)

        def bug(event: Event) -> None:
            if isinstance(event, CallerSpeechStarted):
                raise LookupError("a bug of ours")

        ear.on_event = bug
        await server.sends("input_audio_buffer.speech_started", item_id="u")
        await ear.hears(AgentReady(), CallerSpeechStarted(), AgentGone("internal error"))
        assert "a bug of ours" in caplog.text


async def test_close_is_quick_idempotent_and_silent(server: RealtimeServer) -> None:
    async with leg_to(server) as leg:
        ear = Ear()
        leg.listen(ear)
        await leg.close()
        await leg.close()
        async with asyncio.timeout(1):
            await server.closed.wait()
        assert server.connection is not None
        assert server.connection.close_code == 1000
        leg.hear(SOUND)
        leg.say("trop tard")
        assert ear.heard == [AgentReady()]


async def test_close_does_not_wait_for_a_vendor_that_is_stuck(server: RealtimeServer) -> None:
    leg = await OpenAIRealtime(server.base_url).connect(spec())
    assert server.connection is not None
    server.connection.transport.pause_reading()
    begun = asyncio.get_running_loop().time()
    await leg.close()
    assert asyncio.get_running_loop().time() - begun < 2
    server.connection.transport.resume_reading()


async def test_the_token_is_not_logged(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    async with leg_to(server) as leg:
        leg.hear(SOUND)
        await server.got(lambda frames: len(frames) == 2)
    client_side = [r for r in caplog.records if not r.name.startswith("websockets")]
    assert not any("sk-secret" in record.getMessage() for record in client_side)


async def test_a_server_that_is_late_with_what_it_heard_is_told_of(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "LAG_SECONDS", 0.5)
    ear = Ear()
    async with leg_to(server) as leg:
        leg.listen(ear)
        for _ in range(45):
            leg.hear(SOUND)  # 20 ms each
            await asyncio.sleep(0.02)
        await server.sends("input_audio_buffer.speech_started", item_id="u", audio_start_ms=500)
        await server.sends("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=100)
        await ear.until(lambda: CallerSpeechStopped() in ear.heard)
    (late,) = [each for each in ear.heard if isinstance(each, AgentLags)]
    assert 0.5 < late.seconds < 5
    assert ear.heard.index(late) == ear.heard.index(CallerSpeechStopped()) - 1
    assert CallerSpeechStarted() in ear.heard, "the padding counted in, it was in time"

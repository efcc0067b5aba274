"""The outbound door, over real sockets."""

import asyncio
import gzip
import logging
import socket
from typing import Any

import msgspec
import pytest

from domain.errors import ProviderError
from providers.http import HttpDoor, Limits
from tests.fakes.scripted_http import HANG_UP, ScriptedHttp, answer, scripted

QUICK = Limits(connect=0.5, read=0.3, total=1.5, response_bytes=1000, retry_after=0.5)


class Thing(msgspec.Struct):
    name: str


def door(server: ScriptedHttp, limits: Limits = QUICK, **options: Any) -> HttpDoor:
    return HttpDoor("vendor", f"{server.url}/v1", limits=limits, **options)


async def test_a_request_goes_below_the_base_url_with_its_credentials() -> None:
    async with (
        scripted(answer(200, {"name": "x"})) as server,
        door(server, auth=("AC1", "secret"), headers={"X-Extra": "1"}) as http,
    ):
        got = await http.request(
            "POST", "/things.json", params={"q": "+33 1&2"}, form={"To": "+33", "Blank": ""}
        )
        assert (got.status, got.read(Thing).name) == (200, "x")
        (request,) = server.got
        assert (request.method, request.target) == ("POST", "/v1/things.json?q=%2B33+1%262")
        assert request.body == b"To=%2B33&Blank="
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["authorization"] == "Basic QUMxOnNlY3JldA=="
        assert request.headers["x-extra"] == "1"
        assert request.headers["accept-encoding"] == "identity"


async def test_a_json_body() -> None:
    async with scripted(answer(201, {"name": "x"})) as server, door(server) as http:
        await http.request("POST", "things", json={"é": 1})
        assert server.got[0].body == '{"é":1}'.encode()
        assert server.got[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (301, False),
        (400, False),
        (401, False),
        (404, False),
        (408, True),
        (409, False),
        (425, True),
        (429, True),
        (500, True),
        (503, True),
    ],
)
async def test_a_refusal_is_a_provider_error(status: int, retryable: bool) -> None:
    told = {"code": 21211, "message": "The 'To' number +33612345678 is not valid"}
    headers = {"Location": "http://127.0.0.1:1/", "Retry-After": "60"}
    async with scripted(answer(status, told, headers)) as server:
        http = door(server, error_code=lambda body: str(msgspec.json.decode(body)["code"]))
        async with http:
            with pytest.raises(ProviderError) as caught:
                await http.request("POST", "things", form={})
    error = caught.value
    assert (error.vendor, error.status, error.code) == ("vendor", status, "21211")
    assert error.retryable is retryable
    assert "+33612345678" not in str(error)
    assert len(server.got) == 1


TRIED = pytest.mark.parametrize(
    ("method", "idempotent", "first", "tries"),
    [
        # An answer that proves nothing was done: again, whatever it is.
        ("POST", None, answer(429), 2),
        ("GET", None, answer(429), 2),
        # It may have been done: again only what can be repeated.
        ("POST", None, answer(500), 1),
        ("POST", None, answer(408), 1),
        ("POST", None, HANG_UP, 1),
        ("POST", None, None, 1),
        ("POST", True, answer(500), 2),
        ("POST", True, answer(408), 2),
        ("POST", True, HANG_UP, 2),
        ("POST", True, None, 2),
        ("GET", None, answer(503), 2),
        ("GET", None, HANG_UP, 2),
        ("PUT", None, HANG_UP, 2),
        ("DELETE", False, HANG_UP, 1),
        # It won't be otherwise the next time.
        ("GET", None, answer(404), 1),
        ("GET", None, answer(200, b"x" * 2000), 1),
    ],
)


@TRIED
async def test_what_is_tried_again(
    method: str, idempotent: bool | None, first: bytes | None, tries: int
) -> None:
    async with scripted(first, answer(200, {"name": "x"})) as server, door(server) as http:
        if tries == 2:
            got = await http.request(method, "things", idempotent=idempotent)
            assert got.status == 200
        else:
            with pytest.raises(ProviderError):
                await http.request(method, "things", idempotent=idempotent)
        assert len(server.got) == tries


async def test_it_gives_up_after_some_tries() -> None:
    async with scripted(answer(503)) as server, door(server) as http:
        with pytest.raises(ProviderError) as caught:
            await http.request("GET", "things")
        assert (caught.value.status, caught.value.retryable) == (503, True)
        assert len(server.got) == 3


@pytest.mark.parametrize(
    ("headers", "waits", "tries"),
    [
        ({"Retry-After": "0"}, 0.0, 2),
        ({"Retry-After": "3"}, 0.0, 1),
        ({"Retry-After": "soon"}, 0.15, 2),
        (
            {
                "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
                "Retry-After": "Sun, 22 Nov 2026 10:00:00 GMT",
            },
            0.0,
            2,
        ),
        (
            {
                "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
                "Retry-After": "Sun, 22 Nov 2026 10:01:00 GMT",
            },
            0.0,
            1,
        ),
    ],
)
async def test_the_vendor_s_wish_for_patience(
    headers: dict[str, str], waits: float, tries: int
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        scripted(answer(429, b"", headers), answer(200)) as server,
        door(server) as http,
    ):
        begun = loop.time()
        if tries == 1:
            with pytest.raises(ProviderError):
                await http.request("POST", "things")
        else:
            await http.request("POST", "things")
        assert waits <= loop.time() - begun < waits + 1
        assert len(server.got) == tries


async def test_retry_after_is_really_waited_for() -> None:
    limits = Limits(total=5.0, retry_after=2.0)
    loop = asyncio.get_running_loop()
    first = answer(429, b"", {"Retry-After": "1"})
    async with scripted(first, answer(200)) as server, door(server, limits) as http:
        begun = loop.time()
        await http.request("POST", "things")
        assert loop.time() - begun >= 1


async def test_nobody_there_is_tried_again_even_for_a_post(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with HttpDoor("vendor", url, limits=QUICK) as http:
            with pytest.raises(ProviderError) as caught:
                await http.request("POST", "things", form={"a": "b"})
    assert (caught.value.code, caught.value.retryable) == ("connect", True)
    assert caplog.text.count("is repeated") == QUICK.attempts - 1


@pytest.mark.parametrize(("method", "retryable"), [("GET", True), ("POST", False)])
async def test_what_may_have_been_done_is_not_called_retryable(
    method: str, retryable: bool
) -> None:
    async with scripted(HANG_UP) as server, door(server) as http:
        with pytest.raises(ProviderError) as caught:
            await http.request(method, "things")
        assert (caught.value.code, caught.value.retryable) == ("transport", retryable)


async def test_the_whole_is_bounded_in_time() -> None:
    """A vendor that sends a byte now and then never runs into the limit between two reads."""
    limits = Limits(read=0.3, total=0.5, attempts=1)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with HttpDoor("vendor", url, limits=limits) as http:
            begun = loop.time()
            with pytest.raises(ProviderError) as caught:
                await http.request("GET", "things")
            assert caught.value.code == "timeout"
            assert loop.time() - begun < 1.5
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"x" * 1001),
        answer(200, gzip.compress(b"x" * 100_000, mtime=0), {"Content-Encoding": "gzip"}),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n"
        b"1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_too_big_or_packed_is_not_taken(reply: bytes) -> None:
    async with scripted(reply) as server, door(server) as http:
        with pytest.raises(ProviderError) as caught:
            await http.request("GET", "things")
        assert (caught.value.code, caught.value.retryable) == ("unexpected_answer", False)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"name": 7}', b"\xff", b"[" * 900])
async def test_an_answer_of_another_shape(body: bytes) -> None:
    async with scripted(answer(200, body)) as server, door(server) as http:
        got = await http.request("GET", "things")
        with pytest.raises(ProviderError) as caught:
            got.read(Thing)
        assert caught.value.code == "unexpected_answer"


async def test_nothing_personal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        scripted(answer(503, {"message": "+33612345678"}), answer(200)) as server,
        door(server, auth=("AC1", "secret")) as http,
    ):
        await http.request("GET", "things", params={"PhoneNumber": "+33612345678"})
    assert "is repeated" in caplog.text
    for word in ("33612345678", "secret", "things"):
        assert word not in caplog.text

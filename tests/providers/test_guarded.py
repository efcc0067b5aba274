"""The guarded door, over real sockets."""

import asyncio
import contextlib
import gzip
import ipaddress
import socket
import ssl
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.fetching import AddressRefused, Fetched
from providers.guarded import GuardedDoor, GuardLimits
from tests.fakes.scripted_http import HANG_UP, answer, scripted

QUICK = GuardLimits(
    resolve=0.2, connect=0.3, read=0.3, total=0.8, floor=0.0, response_bytes=1000, redirects=3
)
LOOPBACK = "127.0.0.0/8"


@dataclass
class Names:
    """A resolver that answers what it is told, and counts how often it is asked."""

    answers: dict[str, list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def names(**answers: str | Sequence[str]) -> Names:
    """`shop="127.0.0.1"` → shop.test has this address, always."""
    return Names(
        {
            f"{name}.test": [[answer] if isinstance(answer, str) else answer]
            for name, answer in answers.items()
        }
    )


@contextlib.asynccontextmanager
async def door(
    *allowed: str, limits: GuardLimits = QUICK, **options: Any
) -> AsyncIterator[GuardedDoor]:
    yield GuardedDoor(allowed or (LOOPBACK,), limits=limits, **options)


async def refused(doing: Any) -> AddressRefused:
    with pytest.raises(AddressRefused) as caught:
        await doing
    return caught.value


@contextlib.asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port, and what arrived there: b"" for a connection without a byte."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(b"")
        came[-1] = await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()
        await server.wait_closed()


# ----------------------------------------------------------------------------- check, connect


async def test_a_checked_address_is_the_one_that_was_judged() -> None:
    resolver = names(shop=["93.184.216.34", "2606:2800:21f::1", "93.184.216.34"])
    async with door(resolver=resolver) as guarded:
        checked = await guarded.check("Shop.test.", 443)
    assert (checked.host, checked.port, checked.ip) == ("shop.test", 443, "93.184.216.34")
    assert checked.ips == ("93.184.216.34", "2606:2800:21f::1")
    assert resolver.asked == ["shop.test"]


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],  # every one must be good
        ["93.184.216.34", "::ffff:169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        ["93.184.216.34", "nonsense"],
        [],
    ],
)
async def test_one_bad_address_spoils_the_answer(answer: list[str]) -> None:
    async with door("192.168.0.0/16", resolver=names(shop=answer)) as guarded:
        error = await refused(guarded.check("shop.test", 443))
    assert error.code == "unreachable"


@pytest.mark.parametrize("host", ["0177.0.0.1", "2130706433", "0x7f000001", "127.1"])
async def test_numbers_that_resolvers_read_as_addresses(host: str) -> None:
    """The system's resolver, which would connect to loopback, isn't even asked."""
    assert socket.getaddrinfo(host, 80, socket.AF_INET)[0][4][0] == "127.0.0.1"
    async with door("10.0.0.0/8") as guarded:
        assert (await refused(guarded.check(host, 443))).code == "bad_address"
        assert (await refused(guarded.fetch(f"http://{host}/"))).code == "bad_address"


async def test_the_systems_resolver() -> None:
    async with door(limits=replace(QUICK, resolve=5.0)) as guarded:
        assert (await guarded.check("localhost", 443)).ip in {"127.0.0.1", "::1"}
    async with door("10.0.0.0/8") as guarded:
        assert (await refused(guarded.check("localhost", 443))).reason == "private_address"
        assert (await refused(guarded.check("nobody.invalid", 443))).reason == "unresolvable"


async def test_a_silent_name_server_keeps_nobody_waiting() -> None:
    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        raise AssertionError

    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with door(resolver=silent) as guarded:
        assert (await refused(guarded.check("shop.test", 443))).code == "unreachable"
    assert loop.time() - begun < 2


async def test_what_is_private_isnt_told_from_what_isnt_there() -> None:
    """Same words, same code, and neither faster than the other."""
    limits = GuardLimits(floor=0.3)
    loop = asyncio.get_running_loop()
    told = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        resolver = names(inside="10.0.0.1", shut="127.0.0.1")
        async with door("127.0.0.1", limits=limits, resolver=resolver) as guarded:
            for url in (
                "http://inside.test/",
                "http://10.0.0.1/",
                "http://absent.test/",
                f"http://shut.test:{port}/",
            ):
                begun = loop.time()
                error = await refused(guarded.fetch(url))
                told.append((error.code, str(error), error.retryable, error.status))
                assert 0.29 < loop.time() - begun < 2, url
    assert len(set(told)) == 1


async def test_a_connection_to_the_checked_address() -> None:
    resolver = Names({"mail.test": [["127.0.0.1"], ["127.0.0.2"]]})
    async with listening() as (port, came), door(resolver=resolver) as guarded:
        connected = await guarded.connect("mail.test", port)
        with connected:
            assert connected.getpeername() == ("127.0.0.1", port)
            assert connected.getblocking() is False
            await asyncio.get_running_loop().sock_sendall(connected, b"EHLO")
        while came != [b"EHLO"]:
            await asyncio.sleep(0.01)
        assert resolver.asked == ["mail.test"]


async def test_the_next_address_is_tried() -> None:
    """Nobody listens at 127.0.0.9."""
    resolver = names(mail=["127.0.0.9", "127.0.0.1"])
    async with listening() as (port, _), door(resolver=resolver) as guarded:
        with await guarded.connect("mail.test", port) as connected:
            assert connected.getpeername()[0] == "127.0.0.1"
    async with scripted(answer(200, b"x")) as server, door(resolver=resolver) as guarded:
        assert (await guarded.fetch(f"http://mail.test:{server.port}/")).body == b"x"


async def test_ipv6() -> None:
    async with listening("::1") as (port, _), door("::1", resolver=names(six="::1")) as guarded:
        with await guarded.connect("six.test", port) as connected:
            assert connected.getpeername()[:2] == ("::1", port)
        with await guarded.connect("[::1]", port):
            pass


async def test_nobody_there_is_unreachable_and_leaves_no_socket() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with door() as guarded:
            error = await refused(guarded.connect("127.0.0.1", closed.getsockname()[1]))
    assert error.code == "unreachable"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "[::ffff:127.0.0.1]", "[::]"])
async def test_loopback_is_not_dialled_unless_the_operator_allows_it(host: str) -> None:
    async with listening("localhost") as (port, came), door("10.0.0.0/8") as guarded:
        ports = frozenset({port})
        assert (await refused(guarded.connect(host, port, ports=ports))).code == "unreachable"
        assert came == []


@pytest.mark.parametrize("port", [0, -1, 22, 25, 6379, 65536])
async def test_ports_that_are_not_for_this(port: int) -> None:
    resolver = names(shop="93.184.216.34", inside="10.0.0.1", near="127.0.0.1")
    answers = set()
    async with door(resolver=resolver) as guarded:
        for host in ("shop.test", "inside.test", "absent.test", "93.184.216.34"):
            error = await refused(guarded.check(host, port))
            answers.add((error.code, str(error)))
        if 0 < port < 65536:
            assert (await guarded.check("near.test", port)).port == port
    assert [code for code, _ in answers] == ["bad_address"]  # one answer for all of them


async def test_without_networks_an_odd_port_isnt_even_looked_up() -> None:
    resolver = names(shop="93.184.216.34")
    guarded = GuardedDoor(limits=QUICK, resolver=resolver)
    assert (await refused(guarded.check("shop.test", 22))).code == "bad_address"
    assert resolver.asked == []


# -------------------------------------------------------------------------------------- fetch


async def test_a_page() -> None:
    page = answer(200, "é".encode(), {"Content-Type": "Text/HTML; charset=UTF-8"})
    resolver = Names({"shop.test": [["127.0.0.1"], ["127.0.0.2"]]})
    async with scripted(page) as server, door(resolver=resolver) as guarded:
        url = f"http://shop.test:{server.port}/prix?q=1"
        got = await guarded.fetch(f" {url}#bas\n", headers={"Accept": "text/html"})
    assert got == Fetched(200, "text/html", "utf-8", "é".encode(), url)
    (request,) = server.got
    assert (request.method, request.target) == ("GET", "/prix?q=1")
    assert request.headers["host"] == f"shop.test:{server.port}"
    assert request.headers["accept"] == "text/html"
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers
    assert "authorization" not in request.headers
    assert resolver.asked == ["shop.test"]  # a second answer would have led elsewhere


async def test_a_body_is_posted() -> None:
    async with scripted(answer(201)) as server, door() as guarded:
        got = await guarded.fetch(f"{server.url}/x", method="POST", content=b"abc")
    assert (got.status, got.body, got.media_type, got.charset) == (201, b"", "", "")
    assert server.got[0].body == b"abc"


@pytest.mark.parametrize(
    "url",
    [
        *("", "shop.test", "//shop.test/", "ftp://shop.test/", "file:///etc/passwd", "http://"),
        *("http:///x", "gopher://shop.test/", "javascript:alert(1)", "data:text/html,x"),
        *("http://user@shop.test/", "http://user:pw@shop.test/", "http://shop.test\\@inside.test/"),
        *("http://shop.test:99999/", "http://shop.test:-1/", "http://shop.test:x/"),
        *("http://shop.test:22/", "https://shop.test:80x/", "http://sh op.test/"),
        *("http://shop.test/\r\nX: y", "http://shop.test\x00.inside.test/", "http://[::1%25lo]/"),
        *("http://shop%2etest/", "http://[v1.x]/", "http://0x7f.1/", "http://" + "a" * 2100),
        *("http://shop.test/\udcff", "http:shop.test", "http:/shop.test/x"),
    ],
)
async def test_what_is_no_web_address(url: str) -> None:
    resolver = names(shop="93.184.216.34", inside="10.0.0.1")
    guarded = GuardedDoor(limits=QUICK, resolver=resolver)
    assert (await refused(guarded.fetch(url))).code == "bad_address"
    assert resolver.asked == []


@pytest.mark.parametrize("name", ["Authorization", "cookie", "HOST", "Proxy-Authorization"])
async def test_what_the_door_writes_itself_cant_be_given(name: str) -> None:
    async with door() as guarded:
        with pytest.raises(ValueError, match=name.lower()):
            await guarded.fetch("http://shop.test/", headers={name: "x"})


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(304, False), (401, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_a_refusal_has_its_status(status: int, retryable: bool) -> None:
    async with scripted(answer(status, b"secret words")) as server, door() as guarded:
        error = await refused(guarded.fetch(server.url))
    assert (error.code, error.status, error.retryable) == ("status", status, retryable)
    assert "secret" not in str(error)


# -- redirects


async def test_redirects_on_the_same_host_are_followed_and_judged_again() -> None:
    resolver = names(shop="127.0.0.1")
    async with (
        scripted(
            answer(301, b"", {"Location": "/a", "Set-Cookie": "a=b"}),
            answer(302, b"", {"Location": "b?c#d"}),
            answer(200, b"x"),
        ) as server,
        door(resolver=resolver) as guarded,
    ):
        got = await guarded.fetch(f"http://shop.test:{server.port}/")
        assert got.url == f"http://shop.test:{server.port}/b?c"
    assert [request.target for request in server.got] == ["/", "/a", "/b?c"]
    assert resolver.asked == ["shop.test"] * 3
    assert not any("cookie" in request.headers for request in server.got)


async def test_a_name_that_turns_inwards_between_two_hops_is_refused() -> None:
    resolver = Names({"shop.test": [["127.0.0.1"], ["10.0.0.1"]]})
    async with (
        scripted(answer(301, b"", {"Location": "/a"}), answer(200)) as server,
        door(resolver=resolver) as guarded,
    ):
        error = await refused(guarded.fetch(f"http://shop.test:{server.port}/"))
    # An odd port is open in the operator's networks alone; at 80 it would be `unreachable`.
    assert error.code in {"unreachable", "bad_address"}
    assert len(server.got) == 1


@pytest.mark.parametrize(
    ("location", "code", "host"),
    [
        ("http://other.test/", "redirected", "other.test"),
        ("//other.test/", "redirected", "other.test"),
        ("https://www.shop.test/x?y", "redirected", "www.shop.test"),
        ("http://169.254.169.254/latest/meta-data/", "redirected", "169.254.169.254"),
        ("http://127.0.0.1:{port}/", "redirected", "127.0.0.1"),
        ("http://user:pw@shop.test:{port}/", "bad_answer", ""),
        ("file:///etc/passwd", "bad_answer", ""),
        ("http://[", "bad_answer", ""),
        ("/" + "x" * 3000, "bad_answer", ""),
        ("http://shop.test:22/", "bad_address", ""),
    ],
)
async def test_redirects_that_are_not_followed(location: str, code: str, host: str) -> None:
    resolver = Names({"shop.test": [["127.0.0.1"], ["93.184.216.34"]]})
    async with scripted(answer(301)) as server, door(resolver=resolver) as guarded:
        where = location.format(port=server.port)
        server.answers[:] = [answer(301, b"", {"Location": where})]
        error = await refused(guarded.fetch(f"http://shop.test:{server.port}/"))
        assert (error.code, error.host) == (code, host)
        assert host in str(error)
        assert len(server.got) == 1


async def test_a_circle_of_redirects_ends() -> None:
    async with scripted(answer(301, b"", {"Location": "/"})) as server, door() as guarded:
        error = await refused(guarded.fetch(server.url))
    assert error.code == "redirected"
    assert len(server.got) == 1 + QUICK.redirects


async def test_what_is_posted_isnt_posted_elsewhere() -> None:
    async with scripted(answer(307, b"", {"Location": "/b"})) as server, door() as guarded:
        error = await refused(guarded.fetch(server.url, method="POST", content=b"x"))
    assert error.code == "redirected"
    assert len(server.got) == 1


# -- limits


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (answer(200, b"x" * 1000), ""),
        (answer(200, b"x" * 1001), "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n" + b"x" * 1001, "too_large"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n"
            b"1\r\nx\r\n",
            "too_large",
        ),
        (answer(200, gzip.compress(b"x" * 1000, mtime=0), {"Content-Encoding": "gzip"}), ""),
        (answer(200, zlib.compress(b"x" * 900), {"Content-Encoding": "Deflate"}), ""),
        (
            answer(
                200, gzip.compress(b"x" * 10_000_000, mtime=0)[:900], {"Content-Encoding": "gzip"}
            ),
            "large",
        ),
        (
            answer(200, gzip.compress(b"x" * 900, mtime=0)[:-9], {"Content-Encoding": "gzip"}),
            "bad_answer",
        ),
        (answer(200, b"not packed", {"Content-Encoding": "gzip"}), "bad_answer"),
        (answer(200, b"", {"Content-Encoding": "gzip"}), ""),
        (answer(200, b"x", {"Content-Encoding": "br"}), "bad_answer"),
        (answer(200, b"x", {"Content-Encoding": "gzip, gzip"}), "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcde", "bad_answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000, "bad_answer"),
        (HANG_UP, "bad_answer"),
    ],
)
async def test_how_much_and_how_whole(body: bytes, code: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(body)
            await writer.drain()
        writer.close()

    async with raw_server(serve) as port, door() as guarded:
        fetching = guarded.fetch(f"http://127.0.0.1:{port}/")
        if code:
            assert (await refused(fetching)).code == {"large": "too_large"}.get(code, code)
        else:
            assert len((await fetching).body) <= 1000


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@contextlib.asynccontextmanager
async def raw_server(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """A port that `serve` answers; at the end nobody is served any more."""
    served = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            served -= 1

    server = await asyncio.start_server(counted, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(5):
            await server.wait_closed()
            while served:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",  # a byte now and then
        b"HTTP/1.1 200 OK\r\nX-Endless: ",  # headers without end
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_dripping_ends(start: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(start)
            while not writer.is_closing():
                writer.write(b"1\r\nx\r\n" if b"chunked" in start else b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with raw_server(drip) as port, door() as guarded:
        error = await refused(guarded.fetch(f"http://127.0.0.1:{port}/"))
    assert (error.code, error.retryable) == ("too_slow", True)
    assert loop.time() - begun < QUICK.total + 2


async def test_interim_answers_without_end() -> None:
    async def hint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

    async with raw_server(hint) as port, door() as guarded:
        assert (await refused(guarded.fetch(f"http://127.0.0.1:{port}/"))).code == "too_slow"


async def test_silence() -> None:
    async with scripted(None) as server, door() as guarded:
        assert (await refused(guarded.fetch(server.url))).code == "too_slow"


async def test_a_caller_may_narrow_the_limit() -> None:
    async with scripted(answer(200, b"x" * 20)) as server, door() as guarded:
        assert (await refused(guarded.fetch(server.url, max_bytes=19))).code == "too_large"
        assert len((await guarded.fetch(server.url, max_bytes=20)).body) == 20


# -- TLS and tokens


@dataclass(frozen=True)
class Authority:
    """A private CA, and contexts for servers that it vouches for."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def trust(self) -> ssl.SSLContext:
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        """For the certificate of `name`, an IP address or a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        certificate = signed(name, key, self.key, self.certificate.subject, days, alternative)
        path = self.directory / f"{name.replace(':', '_')}{days}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    days: int,
    alternative: x509.GeneralName | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    start = now - timedelta(days=30)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=alternative is None, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    )
    if alternative is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), False)
    return builder.sign(by, hashes.SHA256())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(tmp_path_factory.mktemp("tls"), key, signed("Test CA", key, key, None, 1))


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        token = next((line for line in head.split(b"\r\n") if b"authorization" in line), b"")
        writer.write(answer(200, head.split(b"\r\n")[0] + b"|" + token))
        await writer.drain()
    writer.close()


async def test_a_certificate_is_checked_against_the_name_not_the_address(
    authority: Authority,
) -> None:
    resolver = names(shop="127.0.0.1", other="127.0.0.1")
    async with (
        raw_server(hello, ssl=authority.server("shop.test")) as port,
        door(resolver=resolver, trust=authority.trust()) as guarded,
    ):
        got = await guarded.fetch(f"https://shop.test:{port}/x")
        assert got.body == b"GET /x HTTP/1.1|"
        for host in ("other.test", "127.0.0.1"):
            error = await refused(guarded.fetch(f"https://{host}:{port}/x"))
            assert (error.code, error.retryable) == ("bad_certificate", False), host


async def test_an_address_with_a_certificate_of_its_own(authority: Authority) -> None:
    async with (
        raw_server(hello, ssl=authority.server("127.0.0.1")) as port,
        door(trust=authority.trust()) as guarded,
    ):
        assert (await guarded.fetch(f"https://127.0.0.1:{port}/")).status == 200


async def test_strangers_and_old_certificates_are_refused(authority: Authority) -> None:
    resolver = names(shop="127.0.0.1")
    async with (
        raw_server(hello, ssl=authority.server("shop.test")) as port,
        door(resolver=resolver) as guarded,
    ):
        error = await refused(guarded.fetch(f"https://shop.test:{port}/"))
        assert error.code == "bad_certificate"
    async with (
        raw_server(hello, ssl=authority.server("shop.test", days=-1)) as port,
        door(resolver=resolver, trust=authority.trust()) as guarded,
    ):
        error = await refused(guarded.fetch(f"https://shop.test:{port}/"))
        assert error.code == "bad_certificate"
        assert "expired" in str(error)


async def test_https_where_none_is_spoken() -> None:
    async with scripted(answer(200)) as server, door() as guarded:
        error = await refused(guarded.fetch(f"https://127.0.0.1:{server.port}/"))
    assert error.code == "unreachable"


@pytest.mark.parametrize("hosts", [("shop.test",), (".test",), ("other.test", "Shop.Test")])
async def test_a_token_goes_to_the_hosts_that_are_listed(
    authority: Authority, hosts: tuple[str, ...]
) -> None:
    async with (
        raw_server(hello, ssl=authority.server("shop.test")) as port,
        door(
            resolver=names(shop="127.0.0.1"), trust=authority.trust(), token_hosts=hosts
        ) as guarded,
    ):
        got = await guarded.fetch(f"https://SHOP.test:{port}/", token="s3cret")
    assert got.body == b"GET / HTTP/1.1|authorization: Bearer s3cret"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://shop.test:{port}/", ()),
        ("https://shop.test:{port}/", ("other.test", ".shop.test", "hop.test", "test")),
        ("https://evil-shop.test:{port}/", ("shop.test", ".shop.test")),
        ("https://shop.test.evil.test:{port}/", ("shop.test",)),
        ("http://shop.test:{port}/", ("shop.test",)),  # readable under way
    ],
)
async def test_a_token_goes_nowhere_else(url: str, hosts: tuple[str, ...]) -> None:
    resolver = names(shop="127.0.0.1")
    async with (
        listening() as (port, came),
        door(resolver=resolver, token_hosts=hosts) as guarded,
    ):
        error = await refused(guarded.fetch(url.format(port=port), token="s3cret"))
    assert error.code == "token_refused"
    assert (came, resolver.asked) == ([], [])
    assert "s3cret" not in str(error)


async def test_a_token_doesnt_follow_a_redirect_off_tls(authority: Authority) -> None:
    leads_to = ""

    async def away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(302, b"", {"Location": leads_to}))
        await writer.drain()
        writer.close()

    async with (
        scripted(answer(200)) as plain,
        raw_server(away, ssl=authority.server("shop.test")) as port,
        door(
            resolver=names(shop="127.0.0.1"), trust=authority.trust(), token_hosts=("shop.test",)
        ) as guarded,
    ):
        leads_to = f"http://shop.test:{plain.port}/"
        error = await refused(guarded.fetch(f"https://shop.test:{port}/", token="s3cret"))
    assert (error.code, plain.got) == ("redirected", [])


async def test_from_http_to_https_on_the_same_host(authority: Authority) -> None:
    async with (
        raw_server(hello, ssl=authority.server("shop.test")) as port,
        scripted(answer(301, b"", {"Location": f"https://shop.test:{port}/"})) as server,
        door(resolver=names(shop="127.0.0.1"), trust=authority.trust()) as guarded,
    ):
        got = await guarded.fetch(f"http://shop.test:{server.port}/")
    assert got.url == f"https://shop.test:{port}/"


# -- the process


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as (port, came), scripted(answer(200, b"x")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        async with door() as guarded:
            assert (await guarded.fetch(server.url)).body == b"x"
        assert came == []


async def test_nothing_of_an_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with scripted(answer(200, b"x")) as server, door() as guarded:
        await guarded.fetch(f"{server.url}/patient-42?key=abc")
        await refused(guarded.fetch("http://inside.test/patient-42"))
    assert "patient-42" not in caplog.text
    assert "inside" not in caplog.text


async def test_many_hanging_lookups_leave_the_others_threads_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenant with a hundred names at a dead name server doesn't stop the process's own work."""
    release = threading.Event()

    def hangs(*_args: Any, **_options: Any) -> Any:
        release.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr("providers.lookups.socket.getaddrinfo", hangs)
    loop = asyncio.get_running_loop()
    try:
        async with door() as guarded, asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(refused(guarded.check(f"n{number}.test", 443)))
            begun = loop.time()
            await asyncio.to_thread(lambda: None)
            assert loop.time() - begun < 2
        mine = [t for t in threading.enumerate() if t.name == "guarded-lookup"]
        assert len(mine) == 8
        assert all(thread.daemon for thread in mine)
        # They are all taken; whoever comes now waits its three seconds and no longer.
        assert (await refused(guarded.check("late.test", 443))).reason == "unresolvable"
    finally:
        release.set()
    while any(thread.name == "guarded-lookup" for thread in threading.enumerate()):
        await asyncio.sleep(0.01)
    monkeypatch.undo()
    assert (await guarded.check("localhost", 443)).host == "localhost"


async def test_a_hanging_lookup_doesnt_keep_a_process_alive() -> None:
    code = """
import asyncio, socket, time
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
from providers.guarded import GuardedDoor, GuardLimits
async def main():
    try:
        await GuardedDoor(limits=GuardLimits(resolve=0.1, floor=0)).check("a.test", 443)
    except Exception as error:
        print(error.code)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert (process.returncode, out.splitlines()[-1]) == (0, b"unreachable")

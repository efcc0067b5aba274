"""A mail server for submission on 127.0.0.1 (RFC 5321, 3207, 4954, 6409), and how it can fail.

It speaks TLS from the start or after STARTTLS, wants a user's password, and refuses what Gmail,
Microsoft 365 and SendGrid refuse (shared reference `text-channels.md` §3.2): no password in the
clear, no sender that isn't the user's, no message without From, Date or Message-ID or with two of
them, no bare line feeds.
"""

import asyncio
import base64
import binascii
import contextlib
import re
import ssl
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Literal, Self

from sandbox.certificates import Authority

Moment = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "accepted"]

MAX_SIZE = 20 * 1024 * 1024
#: RFC 5321 §4.5.3.1: a command line, a line of text.
MAX_COMMAND = 512 + 12_288  # with AUTH (RFC 4954 §4.1)
CLOSE_SECONDS = 0.2
_ADDRESS = re.compile(r"<([^<>\s@]+@[^<>\s@]+)>((?: [^ ]+)*)")
_ONCE = ("From", "Date", "Message-ID", "To", "Subject", "Reply-To", "In-Reply-To", "References")
_NEEDED = ("From", "Date", "Message-ID")


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong at a moment, `times` times: `reply` is said instead (a line such as
    "421 4.7.0 Later"; one of 421 ends the connection), or, when it is "", the connection is cut.
    `hang`: nothing is said any more. At `accepted` the message is kept all the same."""

    at: Moment
    reply: str = ""
    hang: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class Received:
    """A message that the server has taken on."""

    user: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """As a mail program reads it."""
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass(frozen=True, slots=True)
class Line:
    """What a client said, and whether TLS hid it."""

    secret: bool
    text: str


class _Cut(Exception):
    """The connection ends here."""


@dataclass(slots=True)
class _Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    secure: bool
    user: str | None = None
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    greeted: bool = False


class SmtpEmulator:
    """An async context manager; `port` while it runs; `trust` for its clients, and
    `authority` (PEM) for those in other processes.

    `users`: names with their passwords; `senders`: whom each may write as (his own name when it is
    an address). `tls_first`: TLS from the start, as on port 465. `strips_starttls`: somebody on
    the way hides that the server knows STARTTLS. `names`: what its certificate is for.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        senders: Mapping[str, frozenset[str]] | None = None,
        tls_first: bool = False,
        strips_starttls: bool = False,
        names: tuple[str, ...] = ("127.0.0.1", "localhost"),
        expired: bool = False,
    ) -> None:
        authority = Authority()
        self.trust = authority.trust()
        self.authority = authority.pem
        self._tls = authority.server(*names, expired=expired)
        self._users = dict(users)
        self._senders = dict(senders or {})
        self._tls_first = tls_first
        self._strips = strips_starttls
        self.unknown: set[str] = set()
        self.mishaps: deque[Mishap] = deque()
        self.inbox: list[Received] = []
        self.said: list[Line] = []
        self.logins: Counter[str] = Counter()
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the emulator is not running: use `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected,
            "127.0.0.1",
            0,
            limit=MAX_COMMAND,
            ssl=self._tls if self._tls_first else None,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open))
        await asyncio.sleep(0)  # the transports let go of their sockets
        self._server = None

    # ------------------------------------------------------------------ a connection

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connections += 1
        session = _Session(reader, writer, secure=self._tls_first)
        try:
            if not await self._mishap(session, "connect"):
                await self._say(session, "220 sandbox.invalid ESMTP")
            await self._converse(session)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ssl.SSLError):
            pass  # they went
        except asyncio.CancelledError:
            pass  # we do; asyncio would report the cancelled handler as an error
        except _Cut:
            writer.transport.abort()
        finally:
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                writer.close()
                async with asyncio.timeout(CLOSE_SECONDS):  # TLS says goodbye, or doesn't
                    await writer.wait_closed()
            writer.transport.abort()
            self._open.pop(task, None)

    async def _converse(self, session: _Session) -> None:
        verbs: Mapping[str, Callable[[_Session, str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
        }
        while True:
            line = await self._hear(session)
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self._say(session, "221 2.0.0 Bye")
                return
            handle = verbs.get(verb.upper())
            if handle is None:
                await self._say(session, "502 5.5.1 Command not implemented")
            else:
                await handle(session, rest)

    async def _hear(self, session: _Session) -> str:
        line = (await session.reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
        self.said.append(Line(session.secure, line))
        return line

    async def _say(self, session: _Session, *lines: str) -> None:
        session.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await session.writer.drain()

    async def _mishap(self, session: _Session, at: Moment) -> bool:
        """Whether something else has happened instead. Raises _Cut."""
        if not self.mishaps or self.mishaps[0].at != at:
            return False
        mishap = self.mishaps.popleft()
        if mishap.times > 1:
            self.mishaps.appendleft(Mishap(at, mishap.reply, mishap.hang, mishap.times - 1))
        if mishap.hang:
            await asyncio.Event().wait()
        if not mishap.reply:
            raise _Cut
        await self._say(session, mishap.reply)
        if mishap.reply.startswith("421"):
            raise _Cut
        return True

    # ------------------------------------------------------------------ commands

    async def _ehlo(self, session: _Session, name: str) -> None:
        if await self._mishap(session, "ehlo"):
            return
        if not name:
            await self._say(session, "501 5.5.4 A name is needed")
            return
        session.greeted, session.sender, session.recipients = True, None, []
        offers = ["PIPELINING", f"SIZE {MAX_SIZE}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if session.secure:
            offers.append("AUTH PLAIN LOGIN")
        elif self._strips:
            offers.append("AUTH PLAIN LOGIN")  # what whoever strips it wants to hear
        else:
            offers.append("STARTTLS")
        lines = ["sandbox.invalid at your service", *offers]
        await self._say(session, *(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    async def _starttls(self, session: _Session, rest: str) -> None:
        if await self._mishap(session, "starttls"):
            return
        if session.secure or self._strips:
            await self._say(session, "502 5.5.1 Not offered")
            return
        await self._say(session, "220 2.0.0 Ready to start TLS")
        await session.writer.start_tls(self._tls)
        # What was said before is forgotten (RFC 3207 §4.2).
        session.secure, session.greeted = True, False

    async def _auth(self, session: _Session, rest: str) -> None:
        if await self._mishap(session, "auth"):
            return
        if not session.secure:
            await self._say(session, "538 5.7.11 Encryption required for authentication")
            return
        if session.user is not None:
            await self._say(session, "503 5.5.1 Already authenticated")
            return
        method, _, initial = rest.partition(" ")
        given = await self._credentials(session, method.upper(), initial)
        if given is None:
            await self._say(session, "501 5.5.2 Cannot decode")
            return
        user, password = given
        self.logins[user] += 1
        if self._users.get(user) != password:
            await self._say(session, "535 5.7.8 Username and Password not accepted")
            return
        session.user = user
        await self._say(session, "235 2.7.0 Accepted")

    async def _credentials(
        self, session: _Session, method: str, initial: str
    ) -> tuple[str, str] | None:
        try:
            if method == "PLAIN":
                text = await self._decoded(session, "", initial)
                _, user, password = text.split("\0")
            elif method == "LOGIN":
                user = await self._decoded(session, "Username:", initial)
                password = await self._decoded(session, "Password:", "")
            else:
                return None
        except (ValueError, binascii.Error):
            return None
        return user, password

    async def _decoded(self, session: _Session, prompt: str, given: str) -> str:
        if not given:
            await self._say(session, f"334 {base64.b64encode(prompt.encode()).decode()}")
            given = await self._hear(session)
        return base64.b64decode(given, validate=True).decode()

    async def _mail(self, session: _Session, rest: str) -> None:
        if await self._mishap(session, "mail"):
            return
        if not session.secure:
            await self._say(session, "530 5.7.0 Must issue a STARTTLS command first")
            return
        if session.user is None:
            await self._say(session, "530 5.7.0 Authentication Required")
            return
        address = _ADDRESS.fullmatch(rest[5:]) if rest.upper().startswith("FROM:") else None
        if address is None or session.sender is not None:
            await self._say(session, "501 5.5.4 Wrong MAIL command")
            return
        if address[1] not in self._senders.get(session.user, {session.user}):
            await self._say(session, "553 5.7.1 Sender address rejected: not owned by user")
            return
        session.sender = address[1]
        await self._say(session, "250 2.1.0 OK")

    async def _rcpt(self, session: _Session, rest: str) -> None:
        if await self._mishap(session, "rcpt"):
            return
        address = _ADDRESS.fullmatch(rest[3:]) if rest.upper().startswith("TO:") else None
        if session.sender is None or address is None:
            await self._say(session, "503 5.5.1 MAIL first, then RCPT TO:<address>")
            return
        if address[1] in self.unknown:
            await self._say(session, "550 5.1.1 The email account does not exist")
            return
        session.recipients.append(address[1])
        await self._say(session, "250 2.1.5 OK")

    async def _data(self, session: _Session, rest: str) -> None:
        if await self._mishap(session, "data"):
            return
        if not session.recipients or session.sender is None:
            await self._say(session, "503 5.5.1 RCPT first")
            return
        await self._say(session, "354 Go ahead")
        content = await self._content(session.reader)
        if await self._mishap(session, "body"):
            return
        problem = _problem(content)
        if problem:
            await self._say(session, problem)
            return
        self.inbox.append(
            Received(session.user or "", session.sender, tuple(session.recipients), content)
        )
        session.sender, session.recipients = None, []
        if not await self._mishap(session, "accepted"):
            await self._say(session, f"250 2.0.0 OK queued as {len(self.inbox):08d}")

    @staticmethod
    async def _content(reader: asyncio.StreamReader) -> bytes:
        """Up to the line with one dot, dots unstuffed."""
        content = bytearray()
        while True:
            line = await reader.readuntil(b"\n")
            if line == b".\r\n" and (not content or content.endswith(b"\r\n")):
                return bytes(content)
            content += line[1:] if line.startswith(b".") else line
            if len(content) > MAX_SIZE:
                raise _Cut

    async def _rset(self, session: _Session, rest: str) -> None:
        session.sender, session.recipients = None, []
        await self._say(session, "250 2.0.0 OK")

    async def _noop(self, session: _Session, rest: str) -> None:
        await self._say(session, "250 2.0.0 OK")


def _problem(content: bytes) -> str:
    """Why the message isn't taken, or ""."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", content):
        return "554 5.6.0 Bare line feeds"
    head = content.partition(b"\r\n\r\n")[0]
    if not head.isascii():
        return "550 5.6.7 Headers beyond ASCII need SMTPUTF8"
    if any(len(line) > 998 for line in content.split(b"\r\n")):
        return "500 5.6.0 A line is longer than 998 bytes"
    message = message_from_bytes(content, policy=policy.default)
    for name in _ONCE:
        count = len(message.get_all(name, []))
        if count > 1 or (count == 0 and name in _NEEDED):
            return f"550 5.7.1 {count} {name} headers (RFC 5322)"
    return ""

"""E-mail by a tenant's own server (SMTP submission, RFC 6409); a messaging.ports.Sender.

The password never crosses the wire without TLS: STARTTLS is demanded where the port begins in the
clear, not merely taken when offered (aiosmtplib's default would log in without: shared reference
`text-channels.md` §3.1). The host is a tenant's word, so the connection is the guarded door's.
Codes: §3.2. A copy has the same Message-ID as the first try, so that it can be known as one.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import aiosmtplib
import httpx

from domain.channel_state import SMTP_PASSWORD
from domain.errors import Invalid
from domain.fetching import AddressRefused
from domain.mail_servers import PORTS, TLS_PORTS, MailServer, mail_server
from messaging.ports import (
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    TryLater,
    UnknownOutcome,
)
from providers.addresses import canonical_host
from providers.guarded import GuardedDoor

VENDOR: Final = "smtp"

#: Seconds: a reply; after the message's last line, where servers scan it; all of it (below
#: messaging.ports.TIME_LIMIT).
REPLY_SECONDS: Final = 10.0
DATA_SECONDS: Final = 15.0
TOTAL_SECONDS: Final = 25.0

Stage = Literal["connect", "login", "mail", "rcpt", "data", "taken"]
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")

#: Wrong or refused credentials, or a server that wants something else first: whoever goes on trying
#: is locked out. 5.7.30 and 5.7.139: Microsoft takes no passwords here.
_AUTH: Final = frozenset({"5.7.8", "5.7.9", "5.7.11", "5.7.14", "5.7.30", "5.7.139"})
_CONFIG: Final = frozenset({500, 501, 502, 503, 504, 530, 534, 535, 538})
#: Gmail's limit of a day looks permanent and isn't; a full mailbox is given a day, once.
_DAILY: Final = "5.4.5"
_FULL: Final = frozenset({"5.2.2", "4.2.2"})
_DAY: Final = 24 * 3600.0
#: Seconds until the next try: "too many logins" wants more than a server that is merely busy.
_BUSY: Final = 300.0
_TOO_MANY_LOGINS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it goes on the wire, and its envelope: one recipient."""

    message_id: str
    sender: str
    recipient: str
    content: bytes


#: (text, server) → the letter. Raises Invalid for what can't be written.
Compose = Callable[[OutgoingText, MailServer], Letter]


class SmtpTexts:
    """Sends for every tenant by its own server. `name`: how we greet (a host name); `trust`: whose
    certificates are believed, by default those that browsers believe; `tls_ports`: where TLS
    comes first, and not by STARTTLS."""

    vendor: Final = VENDOR

    def __init__(
        self,
        door: GuardedDoor,
        compose: Compose,
        *,
        name: str = "localhost",
        trust: ssl.SSLContext | None = None,
        tls_ports: frozenset[int] = TLS_PORTS,
    ) -> None:
        self._door = door
        self._compose = compose
        self._name = name
        self._trust = trust or httpx.create_ssl_context(trust_env=False)
        self._tls_ports = tls_ports

    def usable(self, credentials: Credentials) -> bool:
        """Host, user, sender and password are there."""
        return _server(credentials) is not None

    def sender(self, credentials: Credentials) -> str:
        """The mailbox that is written from."""
        found = _server(credentials)
        return found[0].sender if found else ""

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        """One message. "Sent" is what a relay's 250 means, never delivered. Raises what
        messaging.ports says."""
        found = _server(credentials)
        if found is None:
            raise ChannelPaused(VENDOR, "no mail server is set", code="not_configured")
        server, password = found
        try:
            letter = self._compose(text, server)
        except Invalid as error:
            if error.field == "sender":
                raise ChannelPaused(VENDOR, "the sender is no address", code="sender") from error
            raise Refused(VENDOR, "it can't be written as an e-mail", code="message") from error
        progress = _Progress()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await self._submit(letter, server, password, progress)
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            if progress.stage != "taken":  # else nothing that follows can undo that
                raise _kind(error, progress.stage, text.attempt) from error
        return Accepted(letter.message_id, "sent", sender=server.sender)

    async def check(self, credentials: Credentials) -> None:
        """Whether the server is there and takes the password: nothing is sent. Raises as `send`."""
        found = _server(credentials)
        if found is None:
            raise ChannelPaused(VENDOR, "no mail server is set", code="not_configured")
        progress = _Progress()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                client = await self._logged_in(*found, progress)
                await _leave(client)
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            raise _kind(error, progress.stage, 1) from error

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        """Mail servers can't be asked."""
        return None

    # --------------------------------------------------------------------------- inside

    async def _submit(
        self, letter: Letter, server: MailServer, password: str, progress: "_Progress"
    ) -> None:
        client = await self._logged_in(server, password, progress)
        try:
            progress.stage = "mail"
            await client.mail(letter.sender)
            progress.stage = "rcpt"
            await client.rcpt(letter.recipient)
            progress.stage = "data"
            await client.data(letter.content, timeout=DATA_SECONDS)
            progress.stage = "taken"
        except BaseException:
            client.close()
            raise
        await _leave(client)

    async def _logged_in(
        self, server: MailServer, password: str, progress: "_Progress"
    ) -> aiosmtplib.SMTP:
        connected = await self._connected(server)
        tls_first = server.port in self._tls_ports
        client = aiosmtplib.SMTP(
            # What the certificate must be for; the connection is there already.
            hostname=canonical_host(server.host),
            sock=connected,
            local_hostname=self._name,
            timeout=REPLY_SECONDS,
            tls_context=self._trust,
            use_tls=tls_first,
            start_tls=not tls_first,
        )
        try:
            await client.connect()
            progress.stage = "login"
            await _log_in(client, server.user, password)
        except BaseException:
            client.close()
            # The transport owns the socket now; it is told to let go at once, TLS or not.
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            raise
        return client

    async def _connected(self, server: MailServer) -> socket.socket:
        try:
            return await self._door.connect(server.host, server.port, ports=PORTS)
        except AddressRefused as refused:
            if refused.code == "bad_address":
                raise ChannelPaused(VENDOR, str(refused), code=refused.code) from refused
            raise TryLater(VENDOR, str(refused), code=refused.code, after=_BUSY) from refused


@dataclass(slots=True)
class _Progress:
    """How far a submission has come."""

    stage: Stage = "connect"


async def _log_in(client: aiosmtplib.SMTP, user: str, password: str) -> None:
    """One method, once: `client.login` would give a wrong password to each in turn, and three
    mistakes at once lock accounts."""
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    offered = client.server_auth_methods
    if "plain" in offered:
        await client.auth_plain(user, password)
    elif "login" in offered:
        await client.auth_login(user, password)
    elif "cram-md5" in offered:
        await client.auth_crammd5(user, password)
    else:
        raise aiosmtplib.SMTPNotSupported("no AUTH that we know")


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Goodbye, without waiting for long: what was to be done is done."""
    try:
        await client.quit(timeout=1.0)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        client.close()


def _server(credentials: Credentials) -> tuple[MailServer, str] | None:
    password = credentials.secrets.get(SMTP_PASSWORD)
    try:
        server = mail_server(credentials.config)
    except Invalid:
        return None
    if server is None or not isinstance(password, str) or not password:
        return None
    return server, password


_Kind = Refused | TryLater | ChannelPaused | UnknownOutcome


def _kind(error: Exception, stage: Stage, attempt: int) -> _Kind:
    """What went wrong, as the outbox wants it. Servers' words quote addresses: codes only."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refusal(error.code, error.message, stage, attempt)
    if stage == "data":
        return UnknownOutcome(VENDOR, "no reply to the message", code="no_reply")
    if _of_certificate(error):
        return ChannelPaused(VENDOR, "its certificate isn't valid", code="bad_certificate")
    if isinstance(error, aiosmtplib.SMTPNotSupported) or _lacks_starttls(error):
        return ChannelPaused(VENDOR, "it offers no TLS, or no login", code="no_tls")
    return TryLater(VENDOR, f"no connection: {type(error).__name__}", code="connect", after=_BUSY)


def _refusal(code: int, message: str, stage: Stage, attempt: int) -> _Kind:
    matched = _ENHANCED.match(message)
    enhanced = matched[1] if matched else ""
    name = f"{code} {enhanced}".strip()
    reason = f"reply {name}"
    if enhanced in _FULL or (code, enhanced) == (552, ""):
        if attempt > 1 or enhanced not in _FULL:
            return Refused(VENDOR, reason, code=name)
        return TryLater(VENDOR, reason, code=name, after=_DAY)
    if code < 400:  # what isn't a reply, or none that fits: before the message, nothing has gone
        if stage == "data":
            return UnknownOutcome(VENDOR, reason, code=name)
        return TryLater(VENDOR, reason, code=name, after=_BUSY)
    if code < 500:
        patience = _TOO_MANY_LOGINS if code == 454 else _BUSY
        return TryLater(VENDOR, reason, code=name, after=patience)
    if enhanced == _DAILY:
        return TryLater(VENDOR, reason, code=name, after=_DAY)
    if stage in ("connect", "login") or code in _CONFIG or enhanced in _AUTH:
        return ChannelPaused(VENDOR, reason, code=name)
    if stage == "mail":
        return ChannelPaused(VENDOR, reason, code=name)  # the sender isn't the user's
    return Refused(VENDOR, reason, code=name)


def _of_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__
    return False


def _lacks_starttls(error: Exception) -> bool:
    return isinstance(error, aiosmtplib.SMTPException) and "STARTTLS" in str(error)

"""The webhooks of texts: verified, recorded once, acknowledged fast.

Twilio's are verified by its middleware before any handler runs. WhatsApp's and e-mail's are
verified here, over the raw body, with the secret of the channel whose address they came to; what
isn't configured is refused. Nothing is answered here: jobs do that.
"""

import asyncio
import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.clock import Clock
from domain.errors import Invalid, NotFound, OperatorError
from domain.webhook_keys import (
    APP_SECRET,
    EMAIL_USER,
    INBOUND_PASSWORD,
    VERIFY_TOKEN,
    WEBHOOK_SECRET,
    key_digest,
)
from messaging.inbound import read_sms
from messaging.inbound_email import (
    MAX_MESSAGE,
    Bounce,
    ParsedEmail,
    read_bounce,
    read_form,
    read_raw,
)
from messaging.inbound_whatsapp import (
    Envelope,
    Preference,
    StatusUpdate,
    batches,
    read_whatsapp,
)
from messaging.receiving import Receiving
from storage import Channel, Storage, TenantRows
from storage.consents import Consent
from storage.text_rows import Report

log = structlog.get_logger(__name__)

#: Meta batches up to 1000 updates in a webhook of at most 3 MB
#: (https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components).
MAX_WHATSAPP: Final = 3 * 1024 * 1024
#: How many of them are stored at once: others want to write, too.
STATUSES: Final = 100
#: How long a body may take to arrive, seconds.
READ_SECONDS: Final = 10.0
#: An answer without a message: Twilio would send whatever text stood here (twilio.md §5.1).
_NO_ANSWER: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

Handler = Callable[[Request], Awaitable[Response]]


class Proof(Protocol):
    """Whether a webhook is a vendor's own (`providers.meta_signature`)."""

    def metas(self, body: bytes, headers: Mapping[str, str], secrets: Iterable[str]) -> bool:
        """Meta signed it with one of these."""
        ...

    def dialog360s(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        """360dialog sends the secret that we registered."""
        ...

    def challenge(self, query: Mapping[str, str], tokens: Iterable[str]) -> str | None:
        """What Meta's question by GET is answered with, if it knows one of the tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Operators:
    """The deployment's own app at Meta, for tenants that use it; empty: there is none."""

    app_secret: str = field(default="", repr=False)
    verify_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TextDoors:
    """The handlers; `count(what)` counts what was dropped."""

    storage: Storage
    receiving: Receiving
    clock: Clock
    proof: Proof
    operators: Operators = Operators()
    count: Callable[[str], None] = lambda _what: None
    #: The library may take seconds over a hostile mail, and calls have this process's threads too.
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def routes(self) -> list[Route]:
        """With their methods; everything else is 405."""
        return [
            Route("/webhooks/twilio/sms", _guarded(self.sms), methods=["POST"]),
            Route("/webhooks/whatsapp", _guarded(self.shared_challenge), methods=["GET"]),
            Route("/webhooks/whatsapp", _guarded(self.shared), methods=["POST"]),
            Route("/webhooks/whatsapp/{key}", _guarded(self.own_challenge), methods=["GET"]),
            Route("/webhooks/whatsapp/{key}", _guarded(self.own), methods=["POST"]),
            Route("/webhooks/email/{key}", _guarded(self.email), methods=["POST"]),
        ]

    # ------------------------------------------------------------------------------- SMS

    async def sms(self, request: Request) -> Response:
        """An SMS to one of our numbers."""
        form: Mapping[str, str] = request.scope["state"]["twilio_form"]
        message = read_sms(form)
        if message is None:
            self.count("sms.unreadable")
        else:
            await self.receiving.record([message])
        return Response(_NO_ANSWER, media_type="text/xml")

    # -------------------------------------------------------------------------- WhatsApp

    async def shared_challenge(self, request: Request) -> Response:
        """Meta asks whether the operator's address is ours."""
        return self._challenge(request, [self.operators.verify_token])

    async def own_challenge(self, request: Request) -> Response:
        """Meta asks whether a tenant's address is ours."""
        found = await self._channel(request, "whatsapp")
        if found is None:
            return _unknown()
        _, _, secrets = found
        return self._challenge(request, [str(secrets.get(VERIFY_TOKEN, ""))])

    def _challenge(self, request: Request, tokens: list[str]) -> Response:
        answer = self.proof.challenge(dict(request.query_params), [each for each in tokens if each])
        return PlainTextResponse(answer) if answer is not None else _refused(403)

    async def shared(self, request: Request) -> Response:
        """The operator's app at Meta, which many tenants' numbers may belong to: each number's
        part goes to its tenant, and numbers that nobody has are dropped."""
        body = await _body(request, MAX_WHATSAPP)
        if not self.proof.metas(body, request.headers, [self.operators.app_secret]):
            return self._refuse("whatsapp.shared")
        envelope = read_whatsapp(body)
        for number, part in batches(envelope):
            found = await self.storage.inbound.endpoint("phone_number_id", number)
            if found is None or found[1] != "whatsapp":
                self.count("whatsapp.unknown_number")
            elif await self._uses_operators_app(found[0]):
                await self._take(found[0], part)
            else:
                self.count("whatsapp.foreign_number")
        self._note(envelope)
        return Response()

    async def own(self, request: Request) -> Response:
        """A tenant's own app at Meta, or its channel at 360dialog."""
        body = await _body(request, MAX_WHATSAPP)
        found = await self._channel(request, "whatsapp")
        if found is None:
            return _unknown()
        tenant_id, _, secrets = found
        app, registered = str(secrets.get(APP_SECRET, "")), str(secrets.get(WEBHOOK_SECRET, ""))
        metas = bool(app) and self.proof.metas(body, request.headers, [app])
        dialog360s = bool(registered) and self.proof.dialog360s(body, request.headers, registered)
        if not (metas or dialog360s):
            return self._refuse("whatsapp.own")
        envelope = read_whatsapp(body)
        async with self.storage.tenant(tenant_id).read() as rows:
            ours = set(await rows.endpoints.of("whatsapp", "phone_number_id"))
        for number, part in batches(envelope):
            # 360dialog names no number beforehand; its address and secret are one channel's.
            if number in ours or (dialog360s and not ours):
                await self._take(tenant_id, part)
            else:
                self.count("whatsapp.unknown_number")
        self._note(envelope)
        return Response()

    async def _uses_operators_app(self, tenant_id: str) -> bool:
        """A tenant with a secret of its own has its own app: nobody else speaks for its number."""
        async with self.storage.tenant(tenant_id).read() as rows:
            return APP_SECRET not in await rows.channels.secrets("whatsapp")

    async def _take(self, tenant_id: str, part: Envelope) -> None:
        await self.receiving.record(part.messages, tenant_id)
        for at in range(0, len(part.statuses), STATUSES):
            await self._statuses(tenant_id, part.statuses[at : at + STATUSES])
        for preference in part.preferences:
            await self._preference(tenant_id, preference)

    async def _statuses(self, tenant_id: str, statuses: Sequence[StatusUpdate]) -> None:
        """In one transaction: a webhook may bring a thousand of them."""
        async with self.storage.tenant(tenant_id).write() as rows:
            for status in statuses:
                try:
                    await _reported(rows, status)
                except NotFound:  # another system's message, or one that was erased
                    self.count("whatsapp.unknown_text")

    async def _preference(self, tenant_id: str, preference: Preference) -> None:
        async with self.storage.tenant(tenant_id).write() as rows:
            await rows.consents.record(
                Consent(
                    channel="whatsapp",
                    purpose="marketing",
                    decision="granted" if preference.marketing else "withdrawn",
                    source="whatsapp_preferences",
                    at=preference.at or self.clock.now(),
                    address=preference.sender or preference.sender_id,
                )
            )

    def _note(self, envelope: Envelope) -> None:
        for place in envelope.unreadable:
            log.warning("whatsapp.unreadable", at=place)
            self.count("whatsapp.unreadable")
        for notice in envelope.notices:
            log.info("whatsapp.notice", field=notice.field)

    # ----------------------------------------------------------------------------- e-mail

    async def email(self, request: Request) -> Response:
        """A mail that somebody's server passes on: Inbound Parse's form, or the message itself."""
        found = await self._channel(request, "email")
        if found is None:
            return _unknown()
        tenant_id, _, secrets = found
        if not _basic(request, str(secrets.get(INBOUND_PASSWORD, ""))):
            return _refused(401, {"www-authenticate": 'Basic realm="inbound"'})
        mail = await _mail(request)
        async with self.reading:
            parsed, bounce = await asyncio.to_thread(_read_mail, mail)
        if bounce is not None:
            await self._bounced(tenant_id, bounce.message_id, bounce.status)
            return Response()
        message = parsed.message
        if not parsed.authenticated:
            message = msgspec.structs.replace(message, doubtful=True)
        await self.receiving.record([message], tenant_id)
        return Response()

    async def _bounced(self, tenant_id: str, message_id: str, status: str) -> None:
        async with self.storage.tenant(tenant_id).write() as rows:
            text = await rows.outbox.by_message_id(message_id)
            if text is not None:
                report = Report(status="failed", source="bounce", word="failed", code=status)
                await rows.outbox.report(text.id, report)

    # ------------------------------------------------------------------------------ inside

    async def _channel(
        self, request: Request, channel_type: str
    ) -> tuple[str, Channel, dict[str, Any]] | None:
        """The tenant, the channel and its secrets behind the address's key."""
        found = await self.storage.inbound.endpoint("key", key_digest(request.path_params["key"]))
        if found is None or found[1] != channel_type:
            return None
        async with self.storage.tenant(found[0]).read() as rows:
            channel = await rows.channels.get(channel_type)
            return found[0], channel, rows.channels.opened(channel)

    def _refuse(self, what: str) -> Response:
        log.warning("webhook.refused", door=what)
        self.count(f"{what}.refused")
        return _refused(401)


async def _reported(rows: TenantRows, status: StatusUpdate) -> None:
    """What became of one of ours; NotFound when it isn't."""
    report = Report(
        status=status.status,
        source="whatsapp",
        word=status.status,
        code=status.error_code or None,
        at=status.at,
        vendor_id=status.vendor_id,
    )
    text_id = status.text_id
    if not text_id:
        text = await rows.outbox.by_message_id(status.vendor_id)
        text_id = text.id if text is not None else ""
    if text_id:
        await rows.outbox.report(text_id, report)


def _guarded(handler: Handler) -> Handler:
    """What goes wrong is said so that the vendor does the right thing: 503 comes again."""

    async def door(request: Request) -> Response:
        try:
            return await handler(request)
        except OperatorError as error:
            log.error("webhook.not_stored", error=str(error))
            return PlainTextResponse("come again\n", 503, {"retry-after": "5"})
        except Invalid as error:
            return PlainTextResponse(f"{error}\n", 422)
        except _TooLarge:
            return PlainTextResponse("too large\n", 413, {"connection": "close"})
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the body did not arrive in time\n", 408)

    return door


class _TooLarge(Exception):
    """The body is beyond the bound."""


async def _body(request: Request, most: int) -> bytes:
    """The raw bytes. Raises _TooLarge, TimeoutError, ClientDisconnect."""
    body = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise _TooLarge
    return bytes(body)


async def _mail(request: Request) -> bytes | dict[str, str]:
    """The mail: its own bytes, or a form's fields. Raises Invalid."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await _body(request, MAX_MESSAGE)
    if kind == "message/rfc822":
        return body
    if kind != "multipart/form-data":
        raise Invalid("send multipart/form-data or message/rfc822", field="content-type")
    return await _fields(request, body)


def _read_mail(mail: bytes | dict[str, str]) -> tuple[ParsedEmail, Bounce | None]:
    """What it says, and of which of ours it says that it was given up. Raises Invalid."""
    if isinstance(mail, bytes):
        return read_raw(mail), read_bounce(mail)
    whole = mail.get("email")
    bounce = read_bounce(whole.encode("utf-8", "surrogateescape")) if whole else None
    return read_form(mail), bounce


async def _fields(request: Request, body: bytes) -> dict[str, str]:
    """The form's texts; files are named in `attachment-info` and not kept."""
    scope = {**request.scope}
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(scope, receive).form(
            max_files=50, max_fields=100, max_part_size=MAX_MESSAGE
        ) as form:
            return {name: value for name, value in form.items() if isinstance(value, str)}
    except (MultiPartException, HTTPException):  # the latter inside of an application
        raise Invalid("the form can't be read") from None


def _basic(request: Request, password: str) -> bool:
    """Basic authentication (RFC 7617), in constant time; no password set: nobody gets in."""
    given = request.headers.getlist("authorization")
    scheme, _, encoded = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if not password or scheme.lower() != "basic":
        return False
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(pair, f"{EMAIL_USER}:{password}".encode())


def _refused(status: int, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse("refused\n", status, dict(headers or {}))


def _unknown() -> Response:
    return PlainTextResponse("no such address\n", 404)

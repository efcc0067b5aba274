"""Texts sent by hand and seen afterwards: `/api/channels/{type}/send`, `/api/channels/test`, the
pages' `/api/v1/channels/{type}/test`, and `/api/v1/messages`.

Nobody is written to whom the tenant doesn't know, and no answer says more than is so: a text is
queued first (real-users.md §1.5: an open door to any number was a relay for spam).
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import TenantAccess, tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import actor_of
from dashboard.api.query import read_query
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import sentence
from domain import sms
from domain.errors import CallerError, Conflict, Forbidden, Invalid, NotFound
from domain.permissions import May
from domain.text_address import checked, refusal
from domain.text_defaults import TEXT_CHANNELS
from domain.text_reasons import reason
from storage import NewText, Storage, TenantRows, Text
from storage.scope import MAX_PAGE
from storage.text_rows import TextFilter

#: Essays of one tenant (text-channels.md §3.6).
TESTS_PER_MINUTE: Final = 5
#: How often a test looks whether its text has gone, seconds.
_LOOK: Final = 0.2
_LONGEST_KEY: Final = 200

Line = Annotated[str, msgspec.Meta(max_length=500)]
Words = Annotated[str, msgspec.Meta(max_length=20_000)]
Channel = Literal["sms", "email", "whatsapp"]


class SendBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`to`, or `contactId` for that contact's address. `template` with `variables`, or free words:
    `message`, of an email with `subject`. `tenantId`, if given, must be the key's own."""

    to: Line = ""
    contact_id: Line | None = None
    template: Line | None = None
    variables: dict[Annotated[str, msgspec.Meta(max_length=60)], Words | int | float] = (
        msgspec.field(default_factory=dict)
    )
    message: Words | None = None
    subject: Line | None = None
    language: Line | None = None
    tenant_id: Line | None = None


class TestBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The pages send `toNumber` or `toEmail`."""

    to: Line = ""
    to_number: Line = ""
    to_email: Line = ""
    tenant_id: Line | None = None


class ChannelTestBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`to`: a telephone number or an email address, as the channel needs."""

    channel: Channel
    to: Line
    tenant_id: Line | None = None


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True):
    """The words of an SMS, and to whom, for the price."""

    message: Words
    to: Line = ""


class MessagesQuery(msgspec.Struct, frozen=True, rename="camel"):
    """`since` and `until` are instants with a zone; `cursor`: an answer's `next_cursor`, which then
    counts instead of `page`."""

    channel: Channel | None = None
    status: Line | None = None
    purpose: Literal["service", "marketing", "answer", "owner"] | None = None
    contact_id: Line | None = None
    conversation_id: Line | None = None
    appointment_id: Line | None = None
    template: Line | None = None
    since: datetime | None = None
    until: datetime | None = None
    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    cursor: Line | None = None


class TextCost(TypedDict):
    """In units of the currency."""

    amount: float
    currency: str


class TextMeasure(TypedDict):
    """How an SMS goes out. `plain` says the same with cheaper letters, if that saves segments;
    `strangers` are the characters that make it dear. `price`: null when none is set."""

    encoding: str
    characters: int
    segments: int
    left: int
    strangers: list[str]
    plain: str | None
    plainSegments: int | None
    price: TextCost | None


class SentAnswer(TypedDict):
    """`success` false: it was kept, but mustn't go or didn't; `error` says why."""

    success: bool
    messageId: str
    status: str
    message: str
    error: str | None
    segments: int | None
    encoding: str | None


class MeasureAnswer(TypedDict):
    """What the words would cost."""

    success: bool
    preview: TextMeasure


class MessageJson(TypedDict):
    """A text. `status` queued | sending | accepted | sent | delivered | read | failed | expired |
    suppressed | cancelled | unknown; `pending` in rows of the earlier service."""

    id: str
    channel: str
    to: str
    status: str
    purpose: str
    template: str | None
    templateVersion: int | None
    subject: str
    content: str
    contactId: str | None
    conversationId: str | None
    appointmentId: str | None
    createdBy: str
    provider: str | None
    externalMessageId: str | None
    attempts: int
    segments: int | None
    encoding: str | None
    cost: TextCost | None
    errorCode: str | None
    error: str | None
    notBefore: str | None
    expiresAt: str | None
    createdAt: str
    acceptedAt: str | None
    sentAt: str | None
    deliveredAt: str | None
    readAt: str | None
    failedAt: str | None


class MessageEvent(TypedDict):
    """Something that was heard of a text, from us or a vendor, in the vendor's words."""

    at: str
    status: str
    source: str
    code: str | None
    detail: str | None


class Pagination(TypedDict):
    """Which part of the list it is."""

    page: int
    limit: int
    total: int
    total_pages: int


class MessageList(TypedDict):
    """The latest first; `next_cursor` null: that was the last page."""

    success: bool
    messages: list[MessageJson]
    pagination: Pagination
    next_cursor: str | None


class MessageAnswer(TypedDict):
    """A text, and all that was heard of it."""

    success: bool
    message: MessageJson
    events: list[MessageEvent]


class Texts:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    # ------------------------------------------------------------------------------ sending

    @operation(
        "Send a text",
        may=May.SEND,
        body=SendBody,
        answer=SentAnswer,
        status=202,
        problems=(404, 409),
    )
    async def send(self, request: Request) -> Response:
        """A template with variables, or free words, which need a right of their own; on WhatsApp
        free words go within 24 hours of the customer's last message. The recipient is somebody
        whom the tenant knows. With an `Idempotency-Key` a repeated request sends nothing more."""
        access = tenant_access(request)
        channel = _channel(request)
        body = await read_json(request, SendBody)
        _own(access, body.tenant_id)
        if body.template is None and May.SEND_FREE not in access.may:
            raise Forbidden("Free text needs another right.", message_key="text_free_forbidden")
        key = request.headers.get("idempotency-key", "")
        if len(key) > _LONGEST_KEY:
            raise Invalid(f"must have at most {_LONGEST_KEY} characters", field="Idempotency-Key")
        async with self._storage.tenant(access.tenant.id).write() as rows:
            text = await self._put(rows, channel, body, key, actor_of(request))
        return json_response(_sent(text, access.tenant.locale), 202)

    async def _put(
        self, rows: TenantRows, channel: str, body: SendBody, key: str, actor: str
    ) -> Text:
        to = await self._recipient(rows, channel, body)
        dedupe_key = f"api:{channel}:{key}" if key else None
        if dedupe_key is not None:
            earlier = await rows.outbox.by_dedupe_key(dedupe_key)
            if earlier is not None:
                return _same(earlier, to, body)
        if not await rows.recipients.knows(channel, to):  # also when a contact is named with it
            raise Invalid(
                "is nobody whom this tenant knows; POST /api/v1/contacts first",
                field="to",
                message_key="text_recipient_unknown",
            )
        contact_id = body.contact_id or await rows.recipients.contact_at(channel, to)
        await self._check_window(rows, channel, to, body)
        await self._count(rows)
        return await rows.outbox.put(
            NewText(
                channel=channel,
                to=to,
                template=body.template,
                variables={name: str(value) for name, value in body.variables.items()},
                body=body.message if body.template is None else None,
                subject=body.subject,
                language=body.language,
                contact_id=contact_id,
                dedupe_key=dedupe_key,
                created_by=actor,
                link_base=self._settings.public_url,
                replies=self._settings.sms_replies,
            )
        )

    async def _count(self, rows: TenantRows) -> None:
        if not await rows.outbox.count("api", self._settings.texts_per_day):
            raise CallerError(
                "as many texts as may be asked for in a day (TEXTS_PER_DAY_API)",
                status=429,
                message_key="text_too_many",
            )

    async def _recipient(self, rows: TenantRows, channel: str, body: SendBody) -> str:
        raw = body.to
        if not raw and body.contact_id is not None:
            raw = await rows.recipients.address_of(body.contact_id, channel)
        to = checked(channel, raw, self._settings.default_region)
        code = refusal(channel, to, self._settings.allowed_countries)
        if code is not None:
            raise Invalid(reason(code, "en"), field="to", message_key="text_refused_number")
        return to

    async def _check_window(self, rows: TenantRows, channel: str, to: str, body: SendBody) -> None:
        if channel != "whatsapp" or body.template is not None:
            return
        conversation = await rows.conversations.with_address("whatsapp", to)
        until = None if conversation is None else conversation.window_expires_at
        if until is None or until <= rows.outbox.now():
            raise Invalid(
                "free text goes within 24 hours of their last message; use a template",
                field="message",
                message_key="text_window",
            )

    @operation(
        "Try a channel",
        may=May.SEND_FREE,
        body=TestBody,
        answer=SentAnswer,
        status=202,
        problems=(404,),
    )
    async def test(self, request: Request) -> Response:
        """One text of ours to one address, also on a channel that isn't switched on yet. Waits a
        little, to say whether it went."""
        body = await read_json(request, TestBody)
        to = body.to or body.to_number or body.to_email
        return await self._test(request, _channel(request), to, body.tenant_id)

    @operation(
        "Try a channel that the body names",
        may=May.SEND_FREE,
        body=ChannelTestBody,
        answer=SentAnswer,
        status=202,
    )
    async def test_channel(self, request: Request) -> Response:
        """The same as `/api/v1/channels/{type}/test`."""
        body = await read_json(request, ChannelTestBody)
        return await self._test(request, body.channel, body.to, body.tenant_id)

    async def _test(
        self, request: Request, channel: str, raw: str, tenant_id: str | None
    ) -> Response:
        access = tenant_access(request)
        _own(access, tenant_id)
        to = checked(channel, raw, self._settings.default_region)
        code = refusal(channel, to, self._settings.allowed_countries)
        if code is not None:
            raise Invalid(reason(code, "en"), field="to", message_key="text_refused_number")
        wait = await self._storage.rates.wait(
            "texts.test", access.tenant.id, per_minute=TESTS_PER_MINUTE
        )
        if wait:
            raise CallerError("too many tests", status=429, message_key="text_tests_too_many")
        async with self._storage.tenant(access.tenant.id).write() as rows:
            await self._count(rows)
            text = await rows.outbox.put(
                NewText(
                    channel=channel,
                    to=to,
                    template="test",
                    created_by=actor_of(request),
                    even_if_off=True,
                )
            )
        text = await self._awaited(access.tenant.id, text)
        return json_response(_sent(text, access.tenant.locale), 202)

    async def _awaited(self, tenant_id: str, text: Text) -> Text:
        """The text once it has gone, or after a while as it is."""
        for _ in range(int(self._settings.test_seconds / _LOOK)):
            await asyncio.sleep(_LOOK)
            async with self._storage.tenant(tenant_id).read() as rows:
                text = await rows.outbox.get(text.id)
            if text.status not in ("queued", "sending") or text.code is not None:
                break
        return text

    @operation(
        "Show what an SMS would cost",
        may=May.SEND,
        body=PreviewBody,
        answer=MeasureAnswer,
        changes=False,
    )
    async def preview(self, request: Request) -> Response:
        """Encoding, segments and price of these words, before anything goes."""
        body = await read_json(request, PreviewBody)
        return json_response(
            {"success": True, "preview": measured(body.message, body.to, self._settings)}
        )

    # ------------------------------------------------------------------------------ reading

    @operation(
        "List texts",
        may=May.CALLS,
        query=MessagesQuery,
        answer=MessageList,
        audit_read="messages",
    )
    async def index(self, request: Request) -> Response:
        """What was sent, or is to be, the latest first."""
        query = read_query(request, MessagesQuery)
        for name in ("since", "until"):
            moment = getattr(query, name)
            if moment is not None and moment.tzinfo is None:
                raise Invalid("needs a zone", field=name, message_key="filter_invalid")
        filters = msgspec.structs.asdict(query)
        page, limit, cursor = (filters.pop(name) for name in ("page", "limit", "cursor"))
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            found, total, following = await rows.outbox.page(
                TextFilter(**filters), limit=limit, offset=(page - 1) * limit, cursor=cursor
            )
        return json_response(
            {
                "success": True,
                "messages": [describe_text(text) for text in found],
                "pagination": {
                    "page": page,
                    "limit": limit,
                    "total": total,
                    "total_pages": -(-total // limit),
                },
                "next_cursor": following,
            }
        )

    @operation("Show a text", may=May.CALLS, answer=MessageAnswer, audit_read="messages")
    async def show(self, request: Request) -> Response:
        """One text, with all that was heard of it."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            return json_response(await _detail(rows, request.path_params["id"]))

    @operation("Cancel a text", may=May.SEND, answer=MessageAnswer, problems=(409,))
    async def cancel(self, request: Request) -> Response:
        """One that waits still. 409: it is on its way, or over."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            text = await rows.outbox.get(request.path_params["id"])
            if not await rows.outbox.cancel(text.id):
                raise Conflict(f"is {text.status}", message_key="text_not_cancellable")
            return json_response(await _detail(rows, text.id))


def _channel(request: Request) -> str:
    channel: str = request.path_params["type"]
    if channel not in TEXT_CHANNELS:
        raise NotFound(f"texts go by {', '.join(TEXT_CHANNELS)}")
    return channel


def _own(access: TenantAccess, tenant_id: str | None) -> None:
    """The earlier service's clients name the tenant in the body; the key alone decides."""
    if tenant_id is not None and tenant_id != access.tenant.id:
        raise Forbidden("is not the key's tenant", field="tenantId", message_key="text_tenant")


def _same(earlier: Text, to: str, body: SendBody) -> Text:
    free = body.template is None and (body.message or "").strip() != earlier.body
    if earlier.to != to or earlier.template != body.template or free:
        raise Conflict(
            "was used for another text", field="Idempotency-Key", message_key="text_key_reused"
        )
    return earlier


def _sent(text: Text, locale: str) -> SentAnswer:
    stopped = text.status in ("suppressed", "failed", "expired", "cancelled", "unknown")
    error = text.reason if stopped or text.code is not None else None
    waits = text.status in ("queued", "sending")
    return {
        "success": error is None,
        "messageId": text.id,
        "status": text.status,
        "message": error or sentence(locale, "text_queued" if waits else "text_test_sent"),
        "error": error,
        "segments": text.segments,
        "encoding": text.encoding,
    }


def measured(words: str, to: str, settings: ApiSettings) -> TextMeasure:
    """How an SMS of these words goes out, and what it costs as it is sent."""
    whole, cheaper = sms.measure(words), sms.plain(words)
    plain = sms.measure(cheaper)
    saves = plain.segments < whole.segments
    address = checked("sms", to, settings.default_region) if to else "+33600000000"
    prices = sms.read_prices(settings.sms_prices)
    micros = prices.estimate(address, min(whole.segments, plain.segments))
    return {
        "encoding": whole.encoding,
        "characters": whole.units,
        "segments": whole.segments,
        "left": whole.left,
        "strangers": list(whole.strangers),
        "plain": cheaper if saves else None,
        "plainSegments": plain.segments if saves else None,
        "price": None if micros is None else _cost(micros, prices.currency),
    }


def _cost(micros: int, currency: str) -> TextCost:
    return {"amount": micros / 1_000_000, "currency": currency}


async def _detail(rows: TenantRows, text_id: str) -> dict[str, Any]:
    text = await rows.outbox.get(text_id)
    events = await rows.outbox.events(text_id)
    return {
        "success": True,
        "message": describe_text(text),
        "events": [
            {
                "at": event.at.isoformat(),
                "status": event.status,
                "source": event.source,
                "code": event.code,
                "detail": event.detail,
            }
            for event in events
        ],
    }


def describe_text(text: Text) -> MessageJson:
    """A text as pages read it."""
    price = text.price_micros
    return {
        "id": text.id,
        "channel": text.channel,
        "to": text.to,
        "status": text.status,
        "purpose": text.purpose,
        "template": text.template,
        "templateVersion": text.template_version,
        "subject": text.subject,
        "content": text.body,
        "contactId": text.contact_id,
        "conversationId": text.conversation_id,
        "appointmentId": text.appointment_id,
        "createdBy": text.created_by,
        "provider": text.vendor,
        "externalMessageId": text.vendor_id,
        "attempts": text.attempts,
        "segments": text.segments,
        "encoding": text.encoding,
        "cost": None if price is None else _cost(price, text.price_currency or ""),
        "errorCode": text.code,
        "error": text.reason,
        "notBefore": _iso(text.not_before),
        "expiresAt": _iso(text.expires_at),
        "createdAt": text.created_at.isoformat(),
        "acceptedAt": _iso(text.accepted_at),
        "sentAt": _iso(text.sent_at),
        "deliveredAt": _iso(text.delivered_at),
        "readAt": _iso(text.read_at),
        "failedAt": _iso(text.failed_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

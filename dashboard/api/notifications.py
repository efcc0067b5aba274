"""What the business is told: `/api/v1/notifications`, polled by the pages every 30 s, and how its
owner wants to be told at once."""

from datetime import time
from typing import Annotated, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import Done, iso, known
from dashboard.api.query import read_query
from domain.errors import Invalid
from domain.notifications import KINDS
from domain.permissions import May
from storage import Storage
from storage.notifications import AlertSettings, Notification

DEFAULT_LIMIT, MAX_LIMIT = 50, 200

Line = Annotated[str, msgspec.Meta(max_length=300)]
Clock = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class NotificationsQuery(msgspec.Struct, frozen=True):
    """`unread=true`: only what nobody has read; `type`: one kind; `cursor`: an answer's
    `next_cursor`, which then counts instead of `offset`."""

    unread: bool = False
    type: Line | None = None
    cursor: Line | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = DEFAULT_LIMIT
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class NotificationJson(TypedDict):
    """`read` 0 or 1, as the pages expect it; `alert` says whether the owner was told: "sent" to the
    outbox, or why not (off, not_chosen, unverified, unavailable, too_many)."""

    id: str
    type: str
    title: str
    message: str
    read: int
    subject_id: str | None
    alert: str
    created_at: str


class NotificationList(TypedDict):
    """Latest first; `unread_count` in all; `next_cursor` null: that was the last page."""

    success: bool
    notifications: list[NotificationJson]
    unread_count: int
    next_cursor: str | None


class AlertKind(TypedDict):
    """`default`: told at once unless the owner chooses; `urgent`: also in the quiet hours."""

    kind: str
    default: bool
    urgent: bool


class AlertSettingsJson(TypedDict):
    """`verified`: the address has answered with its code; until then nothing is sent to it."""

    channel: str
    address: str | None
    verified: bool
    verified_at: str | None
    kinds: list[str] | None
    quiet_from: str | None
    quiet_until: str | None


class AlertSettingsAnswer(TypedDict):
    """`kinds` of the settings null: those whose `default` is true."""

    success: bool
    settings: AlertSettingsJson
    kinds: list[AlertKind]


class AlertSettingsBody(msgspec.Struct, frozen=True, kw_only=True):
    """How the owner wants to be told at once. Quiet hours are on the business's clock."""

    channel: Literal["none", "sms", "email", "whatsapp"]
    address: Line | None = None
    kinds: list[Line] | None = None
    quiet_from: Clock | None = None
    quiet_until: Clock | None = None


class AlertCode(msgspec.Struct, frozen=True):
    """The six digits that were sent to the address."""

    code: Annotated[str, msgspec.Meta(max_length=20)]


class Notifications:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation(
        "List notifications", may=May.VIEW, query=NotificationsQuery, answer=NotificationList
    )
    async def index(self, request: Request) -> Response:
        """Latest first; a larger `limit` than 200 counts as 200."""
        tenant, query = tenant_access(request).tenant, read_query(request, NotificationsQuery)
        limit = min(query.limit, MAX_LIMIT)
        async with self._storage.tenant(tenant.id).read() as rows:
            found, unread = await rows.notifications.list(
                unread=query.unread,
                kind=query.type,
                limit=limit + 1,
                offset=0 if query.cursor else query.offset,
                cursor=query.cursor,
            )
        found, more = found[:limit], len(found) > limit
        return json_response(
            {
                "success": True,
                "notifications": [describe(each) for each in found],
                "unread_count": unread,
                "next_cursor": rows.notifications.cursor(found[-1]) if more else None,
            }
        )

    @operation("Mark a notification as read", may=May.WORK, answer=Done)
    async def read(self, request: Request) -> Response:
        """Without a body; again is as good as once."""
        tenant, notification_id = tenant_access(request).tenant, request.path_params["id"]
        async with self._storage.tenant(tenant.id).write() as rows:
            known(await rows.notifications.get(notification_id), "notification")
            await rows.notifications.read(notification_id)
        return json_response({"success": True})

    @operation("Mark all notifications as read", may=May.WORK, answer=Done)
    async def read_all(self, request: Request) -> Response:
        """Without a body."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.notifications.read()
        return json_response({"success": True})

    @operation("Show how the owner is told", may=May.VIEW, answer=AlertSettingsAnswer)
    async def settings(self, request: Request) -> Response:
        """The channel and address of alerts, and which events they are about."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            return _answer(await rows.notifications.settings())

    @operation(
        "Choose how the owner is told",
        may=May.SETTINGS,
        body=AlertSettingsBody,
        answer=AlertSettingsAnswer,
    )
    async def configure(self, request: Request) -> Response:
        """A new address gets a code by its own channel, and no alerts before the code has come
        back."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AlertSettingsBody)
        async with self._storage.tenant(tenant.id).write() as rows:
            settings = await rows.notifications.configure(
                body.channel,
                body.address,
                kinds=body.kinds,
                quiet_from=_time(body.quiet_from),
                quiet_until=_time(body.quiet_until),
            )
        return _answer(settings)

    @operation(
        "Verify the owner's address",
        may=May.SETTINGS,
        body=AlertCode,
        answer=AlertSettingsAnswer,
    )
    async def verify(self, request: Request) -> Response:
        """With the code that was sent to it: good for 30 minutes and five tries."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AlertCode)
        async with self._storage.tenant(tenant.id).write() as rows:
            right = await rows.notifications.verify(body.code)
            settings = await rows.notifications.settings()
        if not right:  # after the transaction, which has counted the try
            raise Invalid(
                "This is not the code, or it is over.", field="code", message_key="code_wrong"
            )
        return _answer(settings)

    @operation("Send the code again", may=May.SETTINGS, answer=Done)
    async def send_code(self, request: Request) -> Response:
        """A new code; the earlier one is over. `success` false: there is nothing to verify."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            sent = await rows.notifications.send_code()
        return json_response({"success": sent})


def _time(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)


def _answer(settings: AlertSettings) -> Response:
    shown: AlertSettingsJson = {
        "channel": settings.channel,
        "address": settings.address,
        "verified": settings.verified_at is not None,
        "verified_at": iso(settings.verified_at),
        "kinds": None if settings.kinds is None else list(settings.kinds),
        "quiet_from": None if settings.quiet_from is None else f"{settings.quiet_from:%H:%M}",
        "quiet_until": None if settings.quiet_until is None else f"{settings.quiet_until:%H:%M}",
    }
    kinds: list[AlertKind] = [
        {"kind": kind, "default": it.alerts, "urgent": it.urgent} for kind, it in KINDS.items()
    ]
    return json_response({"success": True, "settings": shown, "kinds": kinds})


def describe(notification: Notification) -> NotificationJson:
    """A notification: the fields that the pages read (real-users.md §1.8), and ours."""
    return {
        "id": notification.id,
        "type": notification.kind,
        "title": notification.title,
        "message": notification.message,
        "read": 0 if notification.read_at is None else 1,
        "subject_id": notification.subject_id,
        "alert": "sent" if notification.alert_id else notification.alert_reason or "off",
        "created_at": notification.created_at.isoformat(),
    }

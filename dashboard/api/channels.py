"""How customers reach the business: `GET /api/v1/channels`, `GET|PUT /api/v1/channels/{type}`.

The configuration is the page's own object: what it sends is given back, keys that we don't know
included, secrets excepted: those are sealed, wherever they stood, and never come out again.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import channel_secrets
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.phone_config import LINE_FIELD, PhoneConfig, PhoneNumbers
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import sentence
from domain.channel_state import (
    WEBHOOK_KEY,
    WHATSAPP_CHECK,
    email_configured,
    whatsapp_configured,
)
from domain.errors import Conflict, NotFound
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage
from storage.channels import Channel
from storage.rows import TenantRows
from storage.schema import CHANNEL_TYPES
from storage.secrets import NoKey, Unreadable

PHONE = "phone"
#: Objects that pages send in parts: what one of them lacks stays.
_MERGED_INSIDE = ("sara", "smtp", "templates")

_BY_CREDENTIALS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], bool]] = {
    "email": email_configured,
    "whatsapp": whatsapp_configured,
}


class ChannelBody(msgspec.Struct, frozen=True):
    """What the page puts. What is absent stays as it is."""

    config: dict[str, Any] | UnsetType = UNSET
    templates: dict[str, Any] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    configSecret: dict[str, Any] | UnsetType | None = UNSET


class ChannelShort(TypedDict):
    """A channel in a list."""

    type: str
    enabled: bool
    configured: bool
    assistantId: str | None
    updatedAt: str | None


class ChannelList(TypedDict):
    """The four."""

    success: bool
    channels: list[ChannelShort]


class ChannelJson(ChannelShort):
    """`config` as the page sent it, without secrets; `secrets` names those that are kept, masked;
    null, with `secretsProblem`, when they can't be opened."""

    config: dict[str, Any]
    templates: dict[str, Any] | None
    createdAt: str | None
    secrets: dict[str, str] | None
    secretsProblem: NotRequired[str]
    #: WhatsApp, once the number is proven: where the tenant's own app at Meta sends its webhooks.
    webhookUrl: NotRequired[str]


class ChannelAnswer(TypedDict):
    """One."""

    success: bool
    channel: ChannelJson


class ChannelSaved(TypedDict):
    """`message` can be shown."""

    success: bool
    message: str
    channelType: str
    enabled: bool
    configured: bool


class ChannelConnection(TypedDict):
    """`url`: to be opened in the owner's browser, within two hours."""

    success: bool
    url: str


class Channels:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._phone = PhoneConfig(storage, settings)

    @operation("List channels", may=May.VIEW, answer=ChannelList)
    async def index(self, request: Request) -> Response:
        """GET: the four channels, in short."""
        tenant = tenant_access(request).tenant
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            listed = [
                {
                    "type": each.type,
                    "enabled": each.enabled,
                    "configured": self._configured(
                        each.type, each.config, channel_secrets.opened(rows, each), dedicated
                    ),
                    "assistantId": each.assistant_id,
                    "updatedAt": _iso(each.updated_at),
                }
                for each in await rows.channels.list()
            ]
        return json_response({"success": True, "channels": listed})

    @operation("Show a channel", may=May.VIEW, answer=ChannelAnswer)
    async def show(self, request: Request) -> Response:
        """GET: one channel, with defaults when nobody has configured it. `secrets` names what is
        kept, masked; null, with `secretsProblem`, when it can't be opened."""
        tenant = tenant_access(request).tenant
        channel_type = _type(request)
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            channel = await rows.channels.get(channel_type)
            secrets = channel_secrets.opened(rows, channel)
        return json_response(
            {"success": True, "channel": self._shown(tenant, channel, secrets, dedicated)}
        )

    @operation(
        "Save a channel",
        may=May.SETTINGS,
        body=ChannelBody,
        answer=ChannelSaved,
        problems=(409,),
    )
    async def save(self, request: Request) -> Response:
        """PUT: keys that the body's `config` (and its `sara`, `smtp`, `templates`) lack stay as
        they are, and so do secrets that are absent, empty or masked. 409 when the line is another
        tenant's, 422 when a value can't serve, 503 when a secret can't be kept; then nothing is
        changed."""
        tenant = tenant_access(request).tenant
        channel_type = _type(request)
        body = await read_json(request, ChannelBody)
        sent, secrets = channel_secrets.received(
            {} if body.config is UNSET else body.config,
            {} if body.configSecret is UNSET else body.configSecret or {},
        )
        if channel_type == PHONE:
            sent = self._phone.stored(sent)
            await self._phone.check(sent)
        dedicated = await self._storage.operator.numbers(tenant.id)
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                await rows.channels.save_secrets(channel_type, secrets)
                channel = await self._save(rows, channel_type, body, sent, dedicated)
                if channel_type == "whatsapp":
                    key = f"{WHATSAPP_CHECK}:{tenant.id}"
                    await rows.jobs.put(WHATSAPP_CHECK, {"tenant_id": tenant.id}, key=key)
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, channel_type) from None
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "channel_saved"),
                "channelType": channel_type,
                "enabled": channel.enabled,
                "configured": channel.configured,
            }
        )

    @operation(
        "Connect a WhatsApp number by 360dialog",
        may=May.SETTINGS,
        answer=ChannelConnection,
        problems=(409,),
    )
    async def connect(self, request: Request) -> Response:
        """POST: where the owner signs up. A link that was made before leads nowhere from now on.
        409 where this deployment has no partner's account: the channel is configured by hand."""
        tenant, begin = tenant_access(request).tenant, self._settings.connect_whatsapp
        if _type(request) != "whatsapp" or begin is None:
            raise Conflict(
                "This channel is configured by hand here.", message_key="channel_by_hand"
            )
        try:
            url = await begin(tenant.id)
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, "whatsapp") from None
        return json_response({"success": True, "url": url})

    async def _save(
        self,
        rows: TenantRows,
        channel_type: str,
        body: ChannelBody,
        sent: Mapping[str, Any],
        dedicated: list[str],
    ) -> Channel:
        before = await rows.channels.get(channel_type)
        config = merged(before.config, sent)
        phone = self._phone.numbers(config) if channel_type == PHONE else PhoneNumbers(None, None)
        secrets = channel_secrets.opened(rows, before)
        try:
            return await rows.channels.save(
                channel_type,
                enabled=before.enabled if body.enabled is UNSET else body.enabled,
                config=config,
                templates=None if body.templates is UNSET else body.templates,
                configured=self._configured(channel_type, config, secrets, dedicated),
                line=phone.line,
                transfer_number=phone.transfer,
            )
        except Conflict as taken:
            raise Conflict(
                "This line belongs to another tenant.", field=LINE_FIELD, message_key="line_taken"
            ) from taken

    def _configured(
        self,
        channel_type: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, Any] | None,
        dedicated: list[str],
    ) -> bool:
        """Whether the channel has what it needs; credentials that can't be read are none."""
        if channel_type == PHONE:
            return self._phone.reachable(config, dedicated)
        if channel_type == "sms":
            return self._settings.sms_sender
        return secrets is not None and _BY_CREDENTIALS[channel_type](config, secrets)

    def _shown(
        self,
        tenant: Tenant,
        channel: Channel,
        secrets: Mapping[str, Any] | None,
        dedicated: list[str],
    ) -> dict[str, Any]:
        config = channel.config
        shown: dict[str, Any] = {
            "type": channel.type,
            "enabled": channel.enabled,
            "configured": self._configured(channel.type, config, secrets, dedicated),
            "config": self._phone.shown(config) if channel.type == PHONE else config,
            "templates": channel.templates,
            "assistantId": channel.assistant_id,
            "createdAt": _iso(channel.created_at),
            "updatedAt": _iso(channel.updated_at),
            "secrets": None if secrets is None else channel_secrets.shown(secrets),
        }
        if secrets is None:
            shown["secretsProblem"] = sentence(tenant.locale, "secrets_unreadable")
        elif channel.type == "whatsapp" and secrets.get(WEBHOOK_KEY):
            path = f"/webhooks/whatsapp/{secrets[WEBHOOK_KEY]}"
            shown["webhookUrl"] = self._settings.public_url + path
        return shown


def merged(before: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`sent` over `before`: an older page, which doesn't know a key, doesn't erase it. The same
    inside `sara`, `smtp` and `templates`; whatever lies deeper is replaced whole. A null is a value
    like any other."""
    config = {**before, **sent}
    for key in _MERGED_INSIDE:
        parts = (before.get(key), sent.get(key))
        if isinstance(parts[0], Mapping) and isinstance(parts[1], Mapping):
            config[key] = {**parts[0], **parts[1]}
    return config


def _type(request: Request) -> str:
    channel_type: str = request.path_params["type"]
    if channel_type not in CHANNEL_TYPES:
        raise NotFound(
            f"There is no such channel; there are {', '.join(CHANNEL_TYPES)}.",
            message_key="channel_unknown",
        )
    return channel_type


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None

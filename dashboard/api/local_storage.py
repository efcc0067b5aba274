"""What browsers kept of channels before there was a server for it: `POST
/api/v1/import/local-storage` (real-users.md §1.4, localStorage shapes)."""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json, refuse_unstorable
from dashboard.api.channel_saving import ChannelSaving, spelled
from dashboard.api.channel_shapes import ChannelBody
from dashboard.api.channel_status import PHONE
from dashboard.api.operations import operation
from dashboard.catalogue import has_sentence, sentence
from domain.agent import normalise_agent_type
from domain.errors import CallerError, Invalid
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage
from storage.channels import Channel
from storage.schema import CHANNEL_TYPES

#: A value of localStorage: the object, or the text that browsers keep of it.
Blob = dict[str, Any] | str | None

#: What of a blob is no configuration: computed here, or said otherwise.
_FLAGS: Final = ("enabled", "configured", "type", "configSecret")
#: What onboarding kept of the agent, once spelled as pages spell it.
_AGENT: Final = ("voice", "assistantName", "agentType", "customInstructions", "language")


class LocalStorageBody(msgspec.Struct, frozen=True):
    """The browser's own keys; objects, or their JSON as text. What is absent isn't looked at."""

    phone_client_config: Blob = None
    sms_client_config: Blob = None
    email_client_config: Blob = None
    whatsapp_client_config: Blob = None
    onboarding_channels: list[Any] | str | None = None
    onboarding_channel_configs: Blob = None
    overwrite: bool = False


class ImportedChannel(TypedDict):
    """`result`: taken; kept (it has been saved here before, and `overwrite` wasn't asked for);
    refused, with `error`, a sentence, and the `field` that is wrong; absent."""

    type: str
    result: Literal["taken", "kept", "refused", "absent"]
    enabled: bool
    configured: bool
    error: NotRequired[str]
    field: NotRequired[str | None]


class LocalStorageImported(TypedDict):
    """What became of each channel."""

    success: bool
    message: str
    channels: list[ImportedChannel]


class LocalStorageImport:
    """The handler."""

    def __init__(self, storage: Storage, saving: ChannelSaving) -> None:
        self._storage = storage
        self._saving = saving

    @operation(
        "Take over what a browser kept",
        may=May.SETTINGS,
        body=LocalStorageBody,
        answer=LocalStorageImported,
    )
    async def take(self, request: Request) -> Response:
        """POST: each channel by itself. One that was saved here before is left as it is, unless
        `overwrite`; so the same request again changes nothing. A channel is switched on only if the
        browser said so and it is configured; the phone is never switched off by this."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, LocalStorageBody)
        channels = [await self._channel(tenant, each, body) for each in CHANNEL_TYPES]
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "import_done"),
                "channels": channels,
            }
        )

    async def _channel(
        self, tenant: Tenant, channel_type: str, body: LocalStorageBody
    ) -> ImportedChannel:
        async with self._storage.tenant(tenant.id).read() as rows:
            before = await rows.channels.get(channel_type)
        try:
            found = _found(channel_type, body)
            if found is None:
                return _told(before, "absent")
            if before.created_at is not None and not body.overwrite:
                return _told(before, "kept")
            channel = await self._saving.save(tenant, channel_type, found[0])
            return _told(await self._switched(tenant, channel, found[1]), "taken")
        except CallerError as error:
            told = _told(before, "refused")
            told["error"] = _words(tenant.locale, error)
            told["field"] = error.field
            return told

    async def _switched(self, tenant: Tenant, channel: Channel, wanted: bool) -> Channel:
        if channel.enabled == wanted or (channel.type == PHONE and not wanted):
            return channel
        return await self._saving.switch(tenant, channel.type, on=wanted) or channel


def _found(channel_type: str, body: LocalStorageBody) -> tuple[ChannelBody, bool] | None:
    """What the browser kept of a channel, and whether it was on; None: nothing. Raises Invalid."""
    name = f"{channel_type}_client_config"
    blob = _object(getattr(body, name), name)
    onboarding = _object(body.onboarding_channel_configs, "onboarding_channel_configs") or {}
    chosen = _object(onboarding.get(channel_type), "onboarding_channel_configs")
    picked = channel_type in _list(body.onboarding_channels)
    if blob is None and chosen is None and not picked:
        return None
    kept = blob or {}
    config = {key: value for key, value in kept.items() if key not in _FLAGS}
    secrets = kept.get("configSecret")
    wanted = kept.get("enabled")
    return (
        ChannelBody(
            config={**_onboarded(channel_type, chosen or {}), **config},
            configSecret=secrets if isinstance(secrets, dict) else {},
        ),
        wanted if isinstance(wanted, bool) else picked,
    )


def _onboarded(channel_type: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The onboarding's answers, where the page has them."""
    config = {key: value for key, value in spelled(chosen).items() if key not in _FLAGS}
    if channel_type != PHONE:
        return config
    agent = {key: config.pop(key) for key in _AGENT if key in config}
    if isinstance(agent.get("agentType"), str):
        agent["agentType"] = normalise_agent_type(agent["agentType"]).value
    sara = config.get("sara")
    if agent:
        config["sara"] = {**agent, **(sara if isinstance(sara, Mapping) else {})}
    return config


def _object(value: Any, name: str) -> dict[str, Any] | None:
    read = _read(value, name)
    if read is not None and not isinstance(read, dict):
        raise Invalid("must be an object", field=name, message_key="import_unreadable")
    return read


def _list(value: Any) -> list[Any]:
    read = _read(value, "onboarding_channels")
    return read if isinstance(read, list) else []


def _read(value: Any, name: str) -> Any:
    """The object, or its JSON; None for none at all."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        raise Invalid("is no JSON", field=name, message_key="import_unreadable") from None
    refuse_unstorable(read)
    return read


def _told(
    channel: Channel, result: Literal["taken", "kept", "refused", "absent"]
) -> ImportedChannel:
    return {
        "type": channel.type,
        "result": result,
        "enabled": channel.enabled,
        "configured": channel.configured,
    }


def _words(locale: str, error: CallerError) -> str:
    key = error.message_key or ""
    return sentence(locale, key if has_sentence(key) else "invalid")

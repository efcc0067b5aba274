"""How customers reach the business: `GET /api/v1/channels`, `GET|PUT /api/v1/channels/phone`.

The configuration is the page's own object: what it sends is given back, keys that we don't know
included. What we must understand of it are two numbers, the line that forwards to us and the one
to which calls are transferred; calls would go in circles if these were mixed up, so they are
checked here, before anything is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import phonenumbers
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import sentence
from domain.errors import Conflict, Invalid, NotFound
from domain.phone import normalise
from storage import Storage
from storage.channels import Channel
from storage.rows import TenantRows

PHONE = "phone"
LINE, TRANSFER, SHARED = "clientPhoneNumber", "transferNumber", "twilioSharedNumber"
LINE_FIELD, TRANSFER_FIELD = f"config.{LINE}", f"config.{TRANSFER}"


class ChannelBody(msgspec.Struct, frozen=True):
    """What the page puts. What is absent stays as it is."""

    config: dict[str, Any] | UnsetType = UNSET
    templates: dict[str, Any] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    configSecret: dict[str, Any] | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class PhoneNumbers:
    """The two numbers of a phone configuration in E.164; None: there is none."""

    line: str | None
    transfer: str | None


class Channels:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    async def index(self, request: Request) -> Response:
        """GET: the four channels, in short."""
        tenant = tenant_access(request).tenant
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            channels = await rows.channels.list()
        listed = [
            {
                "type": each.type,
                "enabled": each.enabled,
                "configured": self._configured(each, dedicated),
                "assistantId": each.assistant_id,
                "updatedAt": _iso(each.updated_at),
            }
            for each in channels
        ]
        return json_response({"success": True, "channels": listed})

    async def show(self, request: Request) -> Response:
        """GET: one channel, with defaults when nobody has configured it."""
        tenant = tenant_access(request).tenant
        _require_phone(request)
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            channel = await rows.channels.get(PHONE)
        return json_response(
            {
                "success": True,
                "channel": {
                    "type": channel.type,
                    "enabled": channel.enabled,
                    "configured": self._configured(channel, dedicated),
                    "config": self._shown(channel.config),
                    "templates": channel.templates,
                    "assistantId": channel.assistant_id,
                    "createdAt": _iso(channel.created_at),
                    "updatedAt": _iso(channel.updated_at),
                },
            }
        )

    async def save(self, request: Request) -> Response:
        """PUT: keys that the body's `config` (and its `sara`) lack stay as they are; 409 when the
        line is another tenant's, 422 when a number can't serve; then nothing is changed."""
        tenant = tenant_access(request).tenant
        _require_phone(request)
        body = await read_json(request, ChannelBody)
        _refuse_secrets(body)
        sent = self._stored({} if body.config is UNSET else body.config)
        await self._check(self._numbers(sent))
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).write() as rows:
            channel = await self._save(rows, body, sent, dedicated)
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "channel_saved"),
                "channelType": PHONE,
                "enabled": channel.enabled,
                "configured": channel.configured,
            }
        )

    async def _save(
        self, rows: TenantRows, body: ChannelBody, sent: Mapping[str, Any], dedicated: list[str]
    ) -> Channel:
        before = await rows.channels.get(PHONE)
        config = merged(before.config, sent)
        numbers = self._numbers(config)
        _refuse_circle(numbers)
        try:
            return await rows.channels.save(
                PHONE,
                enabled=before.enabled if body.enabled is UNSET else body.enabled,
                config=config,
                templates=None if body.templates is UNSET else body.templates,
                configured=self._reachable(numbers.line, dedicated),
                line=numbers.line,
                transfer_number=numbers.transfer,
            )
        except Conflict as taken:
            raise Conflict(
                "This line belongs to another tenant.", field=LINE_FIELD, message_key="line_taken"
            ) from taken

    def _configured(self, channel: Channel, dedicated: list[str]) -> bool:
        if channel.type != PHONE:
            return channel.configured
        return self._reachable(self._read(channel.config.get(LINE)), dedicated)

    def _reachable(self, line: str | None, dedicated: list[str]) -> bool:
        """Whether calls have a way in: the deployment's shared number, one of the tenant's own, or
        a line that forwards. The page locks its switch until then and sends its tenant to the
        operator, who has nothing left to do once there is a shared number (real-users.md §1.4)."""
        return self._settings.shared_number is not None or bool(dedicated) or line is not None

    def _shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """With the number to forward to, which the page shows to be copied."""
        shared = self._settings.shared_number
        if config.get(SHARED) or shared is None:
            return dict(config)
        return {**config, SHARED: _as_written(shared)}

    def _stored(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Without the shared number that we filled in: another one may come to be the shared."""
        shared = self._settings.shared_number
        ours = shared is not None and config.get(SHARED) == _as_written(shared)
        return {key: value for key, value in config.items() if not (ours and key == SHARED)}

    def _numbers(self, config: Mapping[str, Any]) -> PhoneNumbers:
        """Raises Invalid for what is there and can't be read."""
        line, transfer = config.get(LINE), config.get(TRANSFER)
        return PhoneNumbers(
            self._must_read(line, LINE_FIELD, "line_unreadable"),
            self._must_read(transfer, TRANSFER_FIELD, "transfer_unreadable"),
        )

    def _must_read(self, value: Any, field: str, key: str) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        number = self._read(value)
        if number is None:
            raise Invalid(
                "This can't be read as a telephone number; give it as 0X XX XX XX XX or +33….",
                field=field,
                message_key=key,
            )
        return number

    def _read(self, value: Any) -> str | None:
        return normalise(value, self._settings.default_region) if isinstance(value, str) else None

    async def _check(self, numbers: PhoneNumbers) -> None:
        """What was sent against everybody's numbers. Raises Invalid.

        A tenant that swaps its two numbers must do so in two steps, since who else has its calls
        transferred to the earlier one is not told apart.
        """
        _refuse_circle(numbers)
        operator = self._storage.operator
        ours = self._settings.deployment_numbers | await operator.our_numbers()
        if numbers.line is not None:
            if numbers.line in ours:
                raise Invalid(
                    "This is a number of ours; give the business's own, which forwards to it.",
                    field=LINE_FIELD,
                    message_key="line_is_ours",
                )
            if await operator.is_transfer_number(numbers.line):
                raise Invalid(
                    "Calls are transferred to this number; they would go in circles.",
                    field=LINE_FIELD,
                    message_key="line_is_transfer",
                )
        if numbers.transfer is not None:
            if numbers.transfer in ours:
                raise Invalid(
                    "This is a number of ours; transfer calls to somebody's telephone.",
                    field=TRANSFER_FIELD,
                    message_key="transfer_is_ours",
                )
            if await operator.is_line(numbers.transfer):
                raise _transfer_is_line()


def merged(before: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`sent` over `before`: an older page, which doesn't know a key, doesn't erase it. The same
    inside `sara`; whatever lies deeper is replaced whole. A null is a value like any other."""
    config = {**before, **sent}
    agents = (before.get("sara"), sent.get("sara"))
    if isinstance(agents[0], Mapping) and isinstance(agents[1], Mapping):
        config["sara"] = {**agents[0], **agents[1]}
    return config


def _require_phone(request: Request) -> None:
    if request.path_params["type"] != PHONE:
        raise NotFound(
            "This version configures the channel `phone` only.", message_key="channel_unknown"
        )


def _refuse_secrets(body: ChannelBody) -> None:
    if body.configSecret:
        raise Invalid(
            "The phone channel has no secrets; nothing was stored.",
            field="configSecret",
            message_key="channel_secret_refused",
        )


def _refuse_circle(numbers: PhoneNumbers) -> None:
    """The two numbers of one tenant."""
    if numbers.transfer is not None and numbers.transfer == numbers.line:
        raise _transfer_is_line()


def _transfer_is_line() -> Invalid:
    return Invalid(
        "This number is a line that forwards to us; calls would go in circles.",
        field=TRANSFER_FIELD,
        message_key="transfer_is_line",
    )


def _as_written(e164: str) -> str:
    """+33939035760 → "+33 9 39 03 57 60"."""
    number = phonenumbers.parse(e164, None)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None

"""How a channel is saved: all of it, or nothing and why."""

import secrets as randomness
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from dashboard.api import channel_secrets
from dashboard.api.channel_shapes import ChannelBody
from dashboard.api.channel_status import EMAIL, PHONE, WHATSAPP, ChannelStatus
from dashboard.api.phone_config import LINE_FIELD, PhoneNumbers
from domain.channel_state import EMAIL_CHECK, WHATSAPP_CHECK, whatsapp_number_id
from domain.errors import Conflict
from domain.secret_fields import keeps
from domain.tenant import Tenant
from domain.webhook_keys import key_digest
from storage import Storage
from storage.channels import Channel
from storage.rows import TenantRows
from storage.secrets import NoKey, Unreadable

#: Objects that pages send in parts: what one of them lacks stays.
_MERGED_INSIDE: Final = ("sara", "smtp", "templates")
#: What looks at what was saved, by channel.
_CHECKS: Final[Mapping[str, str]] = {EMAIL: EMAIL_CHECK, WHATSAPP: WHATSAPP_CHECK}

#: How some pages spell what others write in camel case (real-users.md §1.4, onboarding).
_SPELLINGS: Final[Mapping[str, str]] = {
    "client_phone_number": "clientPhoneNumber",
    "transfer_number": "transferNumber",
    "transfer_configured": "transferConfigured",
    "twilio_shared_number": "twilioSharedNumber",
    "connection_method": "connectionMethod",
    "whatsapp_number": "whatsappNumber",
    "phone_number_id": "phoneNumberId",
    "waba_id": "wabaId",
    "from_email": "fromEmail",
    "from_name": "fromName",
    "agent_type": "agentType",
    "assistant_name": "assistantName",
    "custom_instructions": "customInstructions",
}


class ChannelSaving:
    """Saves what pages send, for PUT and for the import."""

    def __init__(self, storage: Storage, status: ChannelStatus) -> None:
        self._storage = storage
        self._status = status

    async def save(self, tenant: Tenant, channel_type: str, body: ChannelBody) -> Channel:
        """Store it, in one transaction. CallerError: 409 for another tenant's line or number, 422
        for a value that can't serve, 503 when a secret can't be kept; then nothing is changed."""
        sent, secrets = channel_secrets.received(
            spelled({} if body.config is UNSET else body.config),
            {} if body.configSecret is UNSET else body.configSecret or {},
        )
        if channel_type == PHONE:
            sent = self._status.phone.stored(sent)
            self._status.phone.check_greeting(tenant, sent)
            await self._status.phone.check(sent)
        if channel_type == WHATSAPP:
            await self._refuse_taken(tenant, sent, secrets)
        dedicated = await self._storage.operator.numbers(tenant.id)
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                await rows.channels.save_secrets(channel_type, secrets)
                channel = await self._save(rows, channel_type, body, sent, dedicated)
                await self._anew(rows, tenant.id, channel)
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, channel_type) from None
        return channel

    async def switch(self, tenant: Tenant, channel_type: str, *, on: bool) -> Channel | None:
        """Enable or disable it, and nothing else; None when it isn't configured."""
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).write() as rows:
            before = await rows.channels.get(channel_type)
            secrets = channel_secrets.opened(rows, before)
            ready = self._status.configured(channel_type, before.config, secrets, dedicated)
            if on and not ready:
                return None
            return await rows.channels.switch(channel_type, enabled=on, configured=ready)

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
        phone = (
            self._status.phone.numbers(config)
            if channel_type == PHONE
            else PhoneNumbers(None, None)
        )
        secrets = channel_secrets.opened(rows, before)
        try:
            return await rows.channels.save(
                channel_type,
                enabled=before.enabled if body.enabled is UNSET else body.enabled,
                config=config,
                templates=None if body.templates is UNSET else body.templates,
                configured=self._status.configured(channel_type, config, secrets, dedicated),
                line=phone.line,
                transfer_number=phone.transfer,
            )
        except Conflict as taken:
            raise Conflict(
                "This line belongs to another tenant.", field=LINE_FIELD, message_key="line_taken"
            ) from taken

    async def _refuse_taken(
        self, tenant: Tenant, config: Mapping[str, Any], secrets: Mapping[str, Any]
    ) -> None:
        """A number that another tenant has proven to be its own is refused at once; whose one is
        that nobody has proven, a job finds out (server/whatsapp_onboarding.py)."""
        given = {name: value for name, value in secrets.items() if not keeps(value)}
        number = whatsapp_number_id(config, given)
        found = await self._storage.inbound.endpoint("phone_number_id", number) if number else None
        if found is not None and found[0] != tenant.id:
            raise Conflict(
                "This WhatsApp number belongs to another tenant.",
                field="configSecret.phoneNumberId",
                message_key="whatsapp_number_taken",
            )

    async def _anew(self, rows: TenantRows, tenant_id: str, channel: Channel) -> None:
        """What was saved is looked at, and what waited goes on: its owner has acted."""
        if channel.type == PHONE:
            return
        await rows.outbox.resume(channel.type)
        if channel.type == WHATSAPP and channel.config.get("connectionMethod") != "oauth":
            # What was proven of another number says nothing of this one.
            number = whatsapp_number_id(channel.config, channel_secrets.opened(rows, channel) or {})
            if number:
                await rows.endpoints.drop(WHATSAPP, "phone_number_id", but=number)
        check = _CHECKS.get(channel.type)
        if check is not None:
            await rows.jobs.put(check, {"tenant_id": tenant_id}, key=f"{check}:{tenant_id}")


async def new_address(rows: TenantRows, channel_type: str, name: str) -> str:
    """An unguessable key (256 bit) of the channel's webhook address, kept sealed under `name`; an
    earlier one leads nowhere from now on."""
    key = randomness.token_urlsafe(32)
    digest = key_digest(key)
    if not await rows.endpoints.take("key", digest, channel_type):
        raise Conflict("a random key is taken")
    await rows.endpoints.drop(channel_type, "key", but=digest)
    await rows.channels.save_secrets(channel_type, {name: key})
    return key


def spelled(config: Mapping[str, Any]) -> dict[str, Any]:
    """The known keys as pages read them, also inside `sara` and `smtp`; others as they are. What is
    there in both spellings keeps its own."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        inner = key in ("sara", "smtp") and isinstance(value, Mapping)
        name = _SPELLINGS.get(key, key)
        if name != key and name in config:
            name = key
        found[name] = spelled(value) if inner else value
    return found


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

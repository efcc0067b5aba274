"""Addresses that the owner of a channel gives to somebody else: where inbound email is brought,
where an app at Meta sends its webhooks; and the servers of well-known mail providers."""

import secrets

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import channel_secrets
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.channel_saving import new_address
from dashboard.api.channel_shapes import (
    ChannelDone,
    InboundEmail,
    InboundShown,
    PresetList,
    WhatsAppWebhook,
)
from dashboard.api.channel_status import EMAIL, WHATSAPP, ChannelStatus
from dashboard.api.operations import operation
from dashboard.catalogue import sentence
from domain.channel_state import WEBHOOK_KEY
from domain.errors import Conflict
from domain.mail_servers import PRESETS
from domain.permissions import May
from domain.webhook_keys import EMAIL_USER, INBOUND_KEY, INBOUND_PASSWORD, VERIFY_TOKEN
from storage import Storage
from storage.secrets import NoKey, Unreadable


class ChannelAddresses:
    """The handlers."""

    def __init__(self, storage: Storage, status: ChannelStatus) -> None:
        self._storage = storage
        self._status = status

    # ------------------------------------------------------------------------ inbound email

    @operation("Show the address for inbound email", may=May.VIEW, answer=InboundShown)
    async def inbound(self, request: Request) -> Response:
        """GET: its address, without the password."""
        found = await self._status.look(tenant_access(request).tenant, EMAIL)
        key = (found[0].secrets or {}).get(INBOUND_KEY)
        url = self._status.address(EMAIL, key) if key else None
        return json_response({"success": True, "url": url, "user": EMAIL_USER})

    @operation(
        "Make an address for inbound email", may=May.SETTINGS, answer=InboundEmail, status=201
    )
    async def make_inbound(self, request: Request) -> Response:
        """POST: a new address and password; those from before are good for nothing from now on.
        503 when secrets can't be kept."""
        tenant = tenant_access(request).tenant
        password = secrets.token_urlsafe(24)
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                key = await new_address(rows, EMAIL, INBOUND_KEY)
                await rows.channels.save_secrets(EMAIL, {INBOUND_PASSWORD: password})
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, EMAIL) from None
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "inbound_made"),
                "url": self._status.address(EMAIL, key),
                "user": EMAIL_USER,
                "password": password,
            },
            201,
        )

    @operation("Remove the address for inbound email", may=May.SETTINGS, answer=ChannelDone)
    async def remove_inbound(self, request: Request) -> Response:
        """DELETE: it takes nothing from now on; again is as good as once."""
        tenant = tenant_access(request).tenant
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                await rows.endpoints.drop(EMAIL, "key")
                if await rows.channels.has_secrets(EMAIL):
                    gone = {INBOUND_KEY: None, INBOUND_PASSWORD: None}
                    await rows.channels.save_secrets(EMAIL, gone)
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, EMAIL) from None
        message = sentence(tenant.locale, "inbound_removed")
        return json_response({"success": True, "message": message})

    # ----------------------------------------------------------------------------- WhatsApp

    @operation(
        "Make the webhook of a WhatsApp number",
        may=May.SETTINGS,
        answer=WhatsAppWebhook,
        status=201,
        problems=(409,),
    )
    async def make_webhook(self, request: Request) -> Response:
        """POST: what the owner enters in the app at Meta: the number's address, and a new token
        with which Meta asks whether it is ours. 409 while the number isn't proven."""
        tenant = tenant_access(request).tenant
        token = secrets.token_urlsafe(24)
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                kept = await rows.channels.secrets(WHATSAPP)
                if not await rows.endpoints.of(WHATSAPP, "phone_number_id"):
                    raise Conflict(
                        "The number isn't proven yet.", message_key="whatsapp_number_unproven"
                    )
                key = kept.get(WEBHOOK_KEY) or await new_address(rows, WHATSAPP, WEBHOOK_KEY)
                await rows.channels.save_secrets(WHATSAPP, {VERIFY_TOKEN: token})
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, WHATSAPP) from None
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "whatsapp_webhook_made"),
                "url": self._status.address(WHATSAPP, key),
                "verifyToken": token,
            },
            201,
        )

    # ------------------------------------------------------------------------------ presets

    @operation("List mail providers", may=May.VIEW, answer=PresetList)
    async def presets(self, request: Request) -> Response:
        """GET: their servers, and which password they want."""
        locale = tenant_access(request).tenant.locale
        listed = [
            {
                "id": key,
                "name": preset.name,
                "host": preset.host,
                "port": preset.port,
                "user": preset.user or None,
                "password": preset.password,
                "hint": sentence(locale, f"preset_{preset.password}"),
            }
            for key, preset in PRESETS.items()
        ]
        return json_response({"success": True, "presets": listed})

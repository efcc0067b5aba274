"""How a tenant's channels are: what is there, whether they work, and why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dashboard.api import channel_secrets
from dashboard.api.channel_shapes import ChannelJson, ChannelShort, ChannelStateJson
from dashboard.api.phone_config import LINE, PhoneConfig
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import sentence
from domain.channel_state import (
    DIALOG360_KEY,
    WEBHOOK_KEY,
    ChannelFacts,
    ChannelState,
    Why,
    channel_state,
    email_configured,
    onboarding_runs,
    whatsapp_configured,
)
from domain.tenant import Tenant
from domain.text_reasons import reason
from domain.webhook_keys import APP_SECRET, INBOUND_KEY, VERIFY_TOKEN, WEBHOOK_SECRET
from storage import Storage
from storage.channels import Channel
from storage.rows import TenantRows
from storage.text_limits import Pause

PHONE, SMS, EMAIL, WHATSAPP = "phone", "sms", "email", "whatsapp"

_BY_CREDENTIALS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], bool]] = {
    EMAIL: email_configured,
    WHATSAPP: whatsapp_configured,
}

#: How the page calls what isn't so (real-users.md §1.3, and our own words where it has none).
_POURQUOI: Final[Mapping[Why, str]] = {
    Why.OFF: "desactive",
    Why.NOT_OFFERED: "hors_perimetre",
    Why.NO_NUMBER: "aucun_numero",
    Why.NOT_CONFIGURED: "non_configure",
    Why.CONNECTING: "en_cours",
    Why.UNREADABLE: "gele",
    Why.REFUSED: "gele",
    Why.TAKEN: "gele",
    Why.UNVERIFIED: "numero_non_verifie",
    Why.PAUSED: "gele",
    Why.VENDOR_DOWN: "gele",
}


@dataclass(frozen=True, slots=True)
class Looked:
    """A channel as it was found; `secrets` None: they can't be opened."""

    tenant: Tenant
    channel: Channel
    secrets: Mapping[str, Any] | None
    dedicated: list[str]
    configured: bool
    state: ChannelState
    pause: Pause | None

    @property
    def pourquoi(self) -> str:
        """The page's word for why it works or doesn't."""
        if not self.state.active:
            return _POURQUOI[self.state.why]
        if self.channel.type == PHONE:
            return "numero_dedie" if self.dedicated else "plateforme"
        return "plateforme" if self.channel.type == SMS else "connecte"


class ChannelStatus:
    """Looks at channels and describes them."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings
        self.phone = PhoneConfig(storage, settings)

    async def look(self, tenant: Tenant, *types: str) -> list[Looked]:
        """The channels of these types, at one moment."""
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            channels = [await rows.channels.get(each) for each in types]
            return [await self._look(rows, tenant, each, dedicated) for each in channels]

    async def _look(
        self, rows: TenantRows, tenant: Tenant, channel: Channel, dedicated: list[str]
    ) -> Looked:
        secrets = channel_secrets.opened(rows, channel)
        configured = self.configured(channel.type, channel.config, secrets, dedicated)
        pause = None if channel.type == PHONE else await rows.outbox.paused(channel.type)
        facts = ChannelFacts(
            enabled=channel.enabled,
            configured=configured,
            readable=secrets is not None,
            pause=(pause.code or "paused") if pause is not None else "",
            **await self._facts(rows, channel, secrets, dedicated),
        )
        return Looked(tenant, channel, secrets, dedicated, configured, channel_state(facts), pause)

    def configured(
        self,
        channel_type: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, Any] | None,
        dedicated: list[str],
    ) -> bool:
        """Whether the channel has what it needs; credentials that can't be read are none."""
        if channel_type == PHONE:
            return self.phone.reachable(config, dedicated)
        if channel_type == SMS:
            return self._settings.sms_sender
        return secrets is not None and _BY_CREDENTIALS[channel_type](config, secrets)

    # -------------------------------------------------------------------------- the facts

    async def _facts(
        self,
        rows: TenantRows,
        channel: Channel,
        secrets: Mapping[str, Any] | None,
        dedicated: list[str],
    ) -> dict[str, Any]:
        """What only this type of channel has."""
        if channel.type == PHONE:
            return await self._phone_facts(rows, channel, dedicated)
        retrying = await rows.channel_health.retrying(channel.type)
        if channel.type == SMS:
            sms = self._settings
            return {
                "offered": sms.sms_sender,
                "retrying": retrying,
                "receives": _answerable(channel.config.get("sender"), sms.sms_replies),
            }
        kept = secrets or {}
        if channel.type == EMAIL:
            return {"retrying": retrying, "receives": bool(kept.get(INBOUND_KEY))}
        proven = bool(await rows.endpoints.of(WHATSAPP, "phone_number_id"))
        by_360dialog = bool(kept.get(WEBHOOK_SECRET))
        return {
            "retrying": retrying,
            "connecting": onboarding_runs(kept, rows.outbox.now().timestamp()),
            # Whoever has 360dialog's key of a number has the number.
            "proven": proven or bool(kept.get(DIALOG360_KEY)),
            "receives": by_360dialog or (proven and self._hears(kept)),
        }

    def _hears(self, secrets: Mapping[str, Any]) -> bool:
        """Whether webhooks of Meta's are believed: of the tenant's own app, or of ours."""
        if secrets.get(APP_SECRET):
            return bool(secrets.get(VERIFY_TOKEN))
        return self._settings.whatsapp_app

    async def _phone_facts(
        self, rows: TenantRows, channel: Channel, dedicated: list[str]
    ) -> dict[str, Any]:
        line = bool(str(channel.config.get(LINE) or "").strip())
        return {
            "number": bool(dedicated) or line,
            "proven": bool(dedicated) or await rows.channel_health.line_works(),
        }

    # ------------------------------------------------------------------------ in the answers

    def state(self, it: Looked) -> ChannelStateJson:
        """As it is shown."""
        key = f"channel_{it.state.why.value}"
        if it.state.why is Why.OFF and it.channel.type == PHONE:
            key = "channel_phone_off"
        paused = it.pause if it.state.why in (Why.REFUSED, Why.TAKEN, Why.PAUSED) else None
        words = reason(paused.code, it.tenant.locale) if paused is not None else ""
        return {
            "active": it.state.active,
            "reason": it.state.why.value,
            "message": sentence(it.tenant.locale, key, reason=words),
            "code": paused.code if paused is not None else None,
            "since": _iso(paused.since) if paused is not None else None,
        }

    def short(self, it: Looked) -> ChannelShort:
        """For a list."""
        return {
            "type": it.channel.type,
            "enabled": it.channel.enabled,
            "configured": it.configured,
            "assistantId": it.channel.assistant_id,
            "updatedAt": _iso(it.channel.updated_at),
            "state": self.state(it),
        }

    def whole(self, it: Looked) -> ChannelJson:
        """With its configuration."""
        channel, secrets = it.channel, it.secrets
        brief = self.short(it)
        shown: ChannelJson = {
            "type": brief["type"],
            "enabled": brief["enabled"],
            "configured": brief["configured"],
            "assistantId": brief["assistantId"],
            "updatedAt": brief["updatedAt"],
            "state": brief["state"],
            "config": self.phone.shown(channel.config) if channel.type == PHONE else channel.config,
            "templates": channel.templates,
            "createdAt": _iso(channel.created_at),
            "secrets": None if secrets is None else channel_secrets.shown(secrets),
        }
        if secrets is None:
            shown["secretsProblem"] = sentence(it.tenant.locale, "secrets_unreadable")
        elif channel.type == WHATSAPP and secrets.get(WEBHOOK_KEY):
            shown["webhookUrl"] = self.address(WHATSAPP, secrets[WEBHOOK_KEY])
        elif channel.type == EMAIL and secrets.get(INBOUND_KEY):
            shown["inboundUrl"] = self.address(EMAIL, secrets[INBOUND_KEY])
        return shown

    def address(self, channel_type: str, key: str) -> str:
        """Where webhooks for a channel are to go."""
        return f"{self._settings.public_url}/webhooks/{channel_type}/{key}"


def _answerable(sender: Any, otherwise: bool) -> bool:
    """A name can't be answered; a number can (text-channels.md §3.6)."""
    if isinstance(sender, str) and sender.strip():
        return sender.strip().lstrip("+").replace(" ", "").isdigit()
    return otherwise


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None

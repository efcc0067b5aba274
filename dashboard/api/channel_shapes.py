"""What the addresses of channels take and answer (real-users.md §1.3 and §1.4)."""

from typing import Any, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, UnsetType


class ChannelBody(msgspec.Struct, frozen=True):
    """What the page puts. What is absent stays as it is."""

    config: dict[str, Any] | UnsetType = UNSET
    templates: dict[str, Any] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    configSecret: dict[str, Any] | UnsetType | None = UNSET


class PhoneConfigBody(msgspec.Struct, frozen=True):
    """The same, or the configuration's own keys beside `enabled`."""

    config: dict[str, Any] | UnsetType = UNSET
    templates: dict[str, Any] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    configSecret: dict[str, Any] | UnsetType | None = UNSET
    clientPhoneNumber: str | UnsetType | None = UNSET
    transferNumber: str | UnsetType | None = UNSET
    twilioSharedNumber: str | UnsetType | None = UNSET
    transferConfigured: bool | UnsetType = UNSET
    sara: dict[str, Any] | UnsetType = UNSET

    def whole(self) -> ChannelBody | None:
        """As a page would put it; None: nothing was given."""
        names = ("clientPhoneNumber", "transferNumber", "twilioSharedNumber")
        flat = {
            name: value
            for name in (*names, "transferConfigured", "sara")
            if (value := getattr(self, name)) is not UNSET
        }
        config = {} if self.config is UNSET else self.config
        body = ChannelBody({**flat, **config}, self.templates, self.enabled, self.configSecret)
        given = flat or any(
            each is not UNSET
            for each in (self.config, self.templates, self.enabled, self.configSecret)
        )
        return body if given else None


class Toggle(msgspec.Struct, frozen=True):
    """On or off."""

    enabled: bool


class ChannelStateJson(TypedDict):
    """Whether the channel works: not whether it is ticked. `reason`: works, sends_only, off,
    not_offered, no_number, not_configured, connecting, credentials_unreadable,
    credentials_refused, number_taken, number_unverified, paused, vendor_down. `message` can be
    shown; `code` is the vendor's, of a channel that we have paused, `since` when."""

    active: bool
    reason: str
    message: str
    code: str | None
    since: str | None


class ChannelShort(TypedDict):
    """A channel in a list."""

    type: str
    enabled: bool
    configured: bool
    assistantId: str | None
    updatedAt: str | None
    state: ChannelStateJson


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
    #: Email: where inbound mail is brought, if that was asked for.
    inboundUrl: NotRequired[str]


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


class ChannelSwitched(TypedDict):
    """`message` can be shown."""

    success: bool
    message: str
    channelType: str
    enabled: bool


class ChannelResumed(TypedDict):
    """Whether it works now."""

    success: bool
    message: str
    channelType: str
    state: ChannelStateJson


class ChannelConnection(TypedDict):
    """`url`: to be opened in the owner's browser, within two hours."""

    success: bool
    url: str


class CanalJson(TypedDict):
    """In the page's French. `pourquoi`: numero_dedie, plateforme, connecte (it works by a number of
    the tenant's own, ours, an account of the tenant's own); aucun_numero, hors_perimetre (not
    offered here), gele (paused, refused, vendor down), desactive, non_configure,
    numero_non_verifie, en_cours. `bientot`: it is being connected."""

    type: str
    actif: bool
    bientot: NotRequired[bool]
    pourquoi: str
    message: str


class EtatAnswer(TypedDict):
    """`actifs`: how many work."""

    success: bool
    canaux: list[CanalJson]
    actifs: int


class InboundEmail(TypedDict):
    """Where a mail service brings what people answer, by Basic authentication."""

    success: bool
    message: str
    url: str
    user: str
    password: str


class InboundShown(TypedDict):
    """`url` null: there is none. The password is never shown again."""

    success: bool
    url: str | None
    user: str


class WhatsAppWebhook(TypedDict):
    """What the owner enters in the app at Meta. The token is never shown again."""

    success: bool
    message: str
    url: str
    verifyToken: str


class ChannelDone(TypedDict):
    """`message` can be shown."""

    success: bool
    message: str


class PresetJson(TypedDict):
    """A provider's server. `user`: what everybody's is there, null: one's own. `password`: account,
    app_password, api_key, or oauth, which can't be used; `hint` says it in words."""

    id: str
    name: str
    host: str
    port: int
    user: str | None
    password: str
    hint: str


class PresetList(TypedDict):
    """Well-known providers."""

    success: bool
    presets: list[PresetJson]

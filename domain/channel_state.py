"""Whether a channel has what it needs, and whether it works: computed, never ticked."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from domain.errors import Invalid
from domain.mail_servers import mail_server

#: The secret that `config.smtp.password` becomes.
SMTP_PASSWORD = "smtp.password"  # noqa: S105
#: The secret that opens a number at 360dialog.
DIALOG360_KEY = "d360ApiKey"
#: The secret part of the address to which a tenant's own app at Meta sends its webhooks.
WEBHOOK_KEY = "webhookKey"
#: The secret that a link to 360dialog's onboarding is kept as: `<digest>.<end, Unix seconds>`; and,
#: once its owner is back, `connecting.<end>` while a job looks whether the number runs.
ONBOARDING_STATE = "onboardingState"
ON_ITS_WAY = "connecting"
#: The job that proves whose a WhatsApp number is, whenever its channel was saved.
WHATSAPP_CHECK = "whatsapp.check"
#: The job that logs in at a mail server, whenever its channel was saved.
EMAIL_CHECK = "email.check"
#: Why a channel is paused whose number another tenant of ours has proven to be its own.
NUMBER_TAKEN = "number_taken"

#: What vendors say when credentials, or an account, are not (any more) good: Twilio's 20003,
#: Meta's 0, 3, 10, 190 and 131005 and HTTP's 401 and 403 (text-channels.md §1.3), SMTP's 530,
#: 534 and 535.
_REFUSALS: Final = frozenset(
    {"20003", "0", "3", "10", "190", "131005", "401", "403", "530", "534", "535"}
)


class Why(StrEnum):
    """Why a channel works, or doesn't."""

    WORKS = "works"
    SENDS_ONLY = "sends_only"
    OFF = "off"
    NOT_OFFERED = "not_offered"
    NO_NUMBER = "no_number"
    NOT_CONFIGURED = "not_configured"
    CONNECTING = "connecting"
    UNREADABLE = "credentials_unreadable"
    REFUSED = "credentials_refused"
    TAKEN = "number_taken"
    UNVERIFIED = "number_unverified"
    PAUSED = "paused"
    VENDOR_DOWN = "vendor_down"


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is known of a channel.

    `offered`: the deployment has what it needs for it; `number`: there is one that leads to us;
    `readable`: its credentials can be opened; `connecting`: the owner is on the way to connect it;
    `proven`: its number is the tenant's, as far as that matters here; `pause`: the code by which we
    stopped it, "" when we haven't; `retrying`: its latest texts wait for a vendor that is away;
    `receives`: what people answer reaches us.
    """

    enabled: bool
    configured: bool
    offered: bool = True
    number: bool = True
    readable: bool = True
    connecting: bool = False
    proven: bool = True
    pause: str = ""
    retrying: bool = False
    receives: bool = True


@dataclass(frozen=True, slots=True)
class ChannelState:
    """`active`: it works, perhaps one-way."""

    active: bool
    why: Why


def channel_state(facts: ChannelFacts) -> ChannelState:
    """Whether the channel works; if it doesn't, what must be mended first. That credentials are
    refused is said also while it is switched off: its owner is just setting it up."""
    why = next((why for why, holds in _obstacles(facts) if holds), None)
    if why is not None:
        return ChannelState(active=False, why=why)
    return ChannelState(active=True, why=Why.WORKS if facts.receives else Why.SENDS_ONLY)


def _obstacles(facts: ChannelFacts) -> tuple[tuple[Why, bool], ...]:
    return (
        (Why.UNREADABLE, not facts.readable),
        (Why.NOT_OFFERED, not facts.offered),
        (Why.CONNECTING, facts.connecting and not facts.configured),
        (Why.NOT_CONFIGURED, not facts.configured),
        (Why.NO_NUMBER, not facts.number),
        (_pause(facts.pause), bool(facts.pause)),
        (Why.OFF, not facts.enabled),
        (Why.UNVERIFIED, not facts.proven),
        (Why.VENDOR_DOWN, facts.retrying),
    )


def _pause(code: str) -> Why:
    """`code` as vendors write it: "190", "535 5.7.8"."""
    if code == NUMBER_TAKEN:
        return Why.TAKEN
    return Why.REFUSED if code.split(" ")[0] in _REFUSALS else Why.PAUSED


def email_configured(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> bool:
    """Host, user, sender and password of an SMTP server are there."""
    try:
        server = mail_server(config)
    except Invalid:
        return False
    return server is not None and _there(secrets.get(SMTP_PASSWORD))


def whatsapp_configured(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> bool:
    """By Meta's Cloud API, a token and the number's id, which pages send as a secret; or by
    360dialog, a key, made by its onboarding or given by hand."""
    if _there(secrets.get(DIALOG360_KEY)):
        return True
    if config.get("connectionMethod") == "oauth":
        return False  # on its way to 360dialog, and not back yet
    return _there(secrets.get("accessToken")) and bool(whatsapp_number_id(config, secrets))


def whatsapp_number_id(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> str:
    """Meta's id of the number, "" when there is none; pages send it as a secret."""
    number = secrets.get("phoneNumberId") or config.get("phoneNumberId")
    return str(number).strip() if _there(number) else ""


def onboarding_runs(secrets: Mapping[str, Any], now: float) -> bool:
    """Whether a link to sign up at is good still, or what came of one is looked at; `now` in Unix
    seconds."""
    _, _, end = str(secrets.get(ONBOARDING_STATE, "")).partition(".")
    return end.isascii() and end.isdigit() and now < int(end)


def _there(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool)

"""A tenant's credentials on their way in; out go only their names, masked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog

from domain import secret_fields
from domain.errors import CallerError, Invalid, OperatorError
from storage.channels import Channel
from storage.rows import TenantRows
from storage.secrets import NoKey, Unreadable

log = structlog.get_logger(__name__)

#: Secrets that end up in an HTTP header, where nothing but printable ASCII may stand.
_HEADERS = ("openaiApiKey", "accessToken")
_LONGEST_HEADER = 1024


class Received(NamedTuple):
    """What a page has sent: the public part, and secrets by name."""

    config: dict[str, Any]
    secrets: dict[str, Any]


def received(config: Mapping[str, Any], config_secret: Mapping[str, Any]) -> Received:
    """Take the secrets out of `config` and put those of `configSecret` beside them. Raises Invalid
    for one that is sent twice with different values, and for one that can't be used."""
    public, inside = secret_fields.split(config)
    secrets = secret_fields.joined(secret_fields.named(config_secret), inside)
    for name in _HEADERS:
        if name in secrets:
            secrets[name] = _header(name, secrets[name])
    return Received(public, secrets)


def opened(rows: TenantRows, channel: Channel) -> dict[str, Any] | None:
    """The secrets of a channel; None when they can't be read, which the operator must mend: it is
    logged, and the rest of the page is still shown."""
    try:
        return rows.channels.opened(channel)
    except OperatorError as error:
        log.error("secrets.unreadable", channel=channel.type, reason=str(error))
        return None


def shown(secrets: Mapping[str, Any]) -> dict[str, str]:
    """Which there are, and the end of long ones."""
    return {name: secret_fields.masked(value) for name, value in secrets.items()}


def refusal(error: NoKey | Unreadable, channel_type: str) -> CallerError:
    """What a page is told when its secrets can't be kept, or merged with those that are: 503, for
    it is the operator who must act."""
    if isinstance(error, NoKey):
        log.error("secrets.no_key", channel=channel_type, reason=str(error))
        return CallerError(
            "This deployment has no ENCRYPTION_KEYS, so it keeps no credentials; nothing was "
            "saved. Its operator must set them.",
            field="configSecret",
            message_key="secrets_no_key",
            status=503,
        )
    log.error("secrets.unreadable", channel=channel_type, reason=str(error))
    return CallerError(
        "The credentials kept for this channel can't be opened, so nothing was saved. The operator "
        "of this deployment must put the right encryption key back.",
        field="configSecret",
        message_key="secrets_unreadable",
        status=503,
    )


def _header(name: str, value: Any) -> Any:
    if value is None or secret_fields.keeps(value):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not (0 < len(text) <= _LONGEST_HEADER and text.isascii() and text.isprintable()):
        raise Invalid(
            f"This is no key: give 1 to {_LONGEST_HEADER} printable ASCII characters.",
            field=f"configSecret.{name}",
            message_key="secret_unusable",
        )
    return text

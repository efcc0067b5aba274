"""Whether a channel has what it needs to work: computed, never ticked."""

from collections.abc import Mapping
from typing import Any

#: real-users.md §1.4: what the email page asks for. `fromName` may be empty: a name is no need.
_SMTP = ("host", "user", "fromEmail")
#: The secret that `config.smtp.password` becomes.
SMTP_PASSWORD = "smtp.password"  # noqa: S105


def email_configured(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> bool:
    """Host, user, sender and password of an SMTP server are there."""
    smtp = config.get("smtp")
    if not isinstance(smtp, Mapping):
        return False
    return all(_there(smtp.get(key)) for key in _SMTP) and _there(secrets.get(SMTP_PASSWORD))


def whatsapp_configured(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> bool:
    """By Meta's Cloud API: a token and the number's id, which pages send as a secret."""
    if config.get("connectionMethod") == "oauth":
        return False  # nothing connects by it yet
    number = secrets.get("phoneNumberId") or config.get("phoneNumberId")
    return _there(secrets.get("accessToken")) and _there(number)


def _there(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool)

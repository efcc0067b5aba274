"""Whether a channel has what it needs to work: computed, never ticked."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Invalid
from domain.mail_servers import mail_server

#: The secret that `config.smtp.password` becomes.
SMTP_PASSWORD = "smtp.password"  # noqa: S105
#: The secret that opens a number at 360dialog.
DIALOG360_KEY = "d360ApiKey"
#: The secret part of the address to which a tenant's own app at Meta sends its webhooks.
WEBHOOK_KEY = "webhookKey"
#: The job that proves whose a WhatsApp number is, whenever its channel was saved.
WHATSAPP_CHECK = "whatsapp.check"


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
    number = secrets.get("phoneNumberId") or config.get("phoneNumberId")
    return _there(secrets.get("accessToken")) and _there(number)


def _there(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool)

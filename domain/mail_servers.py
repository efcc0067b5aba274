"""Tenants' mail servers: which ports are spoken to and how, and what the well-known ones want.

Never without TLS: what the page calls "Utiliser TLS/SSL", and sends as true beside port 587, says
no more than the port does (real-users.md §1.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.errors import Invalid

#: Submission (RFC 6409), the same over TLS from the start (RFC 8314), and what providers open where
#: networks block 587. Not 25: servers talk to each other there.
PORTS: Final = frozenset({465, 587, 2525})
#: Where TLS comes first; everywhere else the server must offer STARTTLS.
TLS_PORTS: Final = frozenset({465})


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where to submit, and as whom."""

    host: str
    port: int
    user: str
    sender: str
    sender_name: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider's server. `user`: a name that everybody has there, "" for one's own; `password`:
    a key of the catalogue that says which password is meant."""

    name: str
    host: str
    port: int
    user: str = ""
    password: str = "account"  # noqa: S105 - a kind


#: shared/reference/text-channels.md §3.3.
PRESETS: Final[Mapping[str, Preset]] = {
    "gmail": Preset("Gmail", "smtp.gmail.com", 587, password="app_password"),  # noqa: S106
    "microsoft365": Preset("Microsoft 365", "smtp.office365.com", 587),
    "outlook": Preset("Outlook.com", "smtp-mail.outlook.com", 587, password="oauth"),  # noqa: S106
    "sendgrid": Preset("SendGrid", "smtp.sendgrid.net", 587, "apikey", "api_key"),
    "brevo": Preset("Brevo", "smtp-relay.brevo.com", 587, password="api_key"),  # noqa: S106
    "mailjet": Preset("Mailjet", "in-v3.mailjet.com", 587, password="api_key"),  # noqa: S106
    "ovh": Preset("OVHcloud", "ssl0.ovh.net", 465),
    "ionos": Preset("IONOS", "smtp.ionos.fr", 465),
    "gandi": Preset("Gandi", "mail.gandi.net", 587),
}


def mail_server(config: Mapping[str, Any]) -> MailServer | None:
    """The server of an email channel's configuration (`config.smtp`, or `config.preset` for host
    and port); None while something is missing. Raises Invalid for a port that isn't one."""
    smtp = config.get("smtp")
    given: Mapping[str, Any] = smtp if isinstance(smtp, Mapping) else {}
    preset = PRESETS.get(_text(given, "preset") or _text(config, "preset"))
    host = _text(given, "host") or (preset.host if preset else "")
    known = preset or next((p for p in PRESETS.values() if p.host == host.lower()), None)
    user = _text(given, "user")
    if known and known.user:
        # SendGrid's user is always `apikey`; pages that insist on an address send that instead.
        user = known.user
    sender = _text(given, "fromEmail")
    if not (host and user and sender):
        return None
    port = _port(given.get("port", preset.port if preset else 587))
    return MailServer(host, port, user, sender, _text(given, "fromName"))


def _port(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise Invalid("must be a port, 465, 587 or 2525", field="config.smtp.port")
    return int(text)


def _text(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    return found.strip() if isinstance(found, str) else ""

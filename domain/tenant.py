"""A tenant: one business, its zone, its language, its trade."""

from dataclasses import dataclass

DEFAULT_TIMEZONE = "Europe/Paris"
DEFAULT_LOCALE = "fr-FR"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One business.

    `code` is four digits that a caller may key in; `timezone` an IANA name; `locale` a BCP 47 tag;
    `sector` one of `domain.agent.SECTORS`; `status` "active" or "suspended".
    """

    id: str
    name: str
    code: str
    timezone: str = DEFAULT_TIMEZONE
    locale: str = DEFAULT_LOCALE
    sector: str = "generaliste"
    status: str = "active"

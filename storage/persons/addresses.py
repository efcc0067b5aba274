"""By what somebody is found: their addresses, in every spelling that a row may have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import phonenumbers
import sqlalchemy as sa

from domain.errors import Invalid
from storage.contact_claims import Key, keys_of


@dataclass(frozen=True, slots=True)
class Addresses:
    """`spellings` of telephone numbers, `emails` folded, `identities` of WhatsApp."""

    spellings: frozenset[str]
    emails: frozenset[str]
    identities: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.spellings or self.emails or self.identities)

    @property
    def all(self) -> frozenset[str]:
        """Every text that is an address of theirs."""
        return self.spellings | self.emails | self.identities

    def phone(self, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        """Rows whose `column`, a telephone number, is theirs."""
        return one_of(column, self.spellings)

    def email(self, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        """The same for an e-mail address, however it was written."""
        return one_of(sa.func.lower(column), self.emails)

    def any(self, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        """The same for a column that holds addresses of any kind."""
        return sa.or_(one_of(column, self.spellings | self.identities), self.email(column))


def one_of(column: sa.ColumnElement[Any], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """`column IN (…)`; plainly false for none, which `finding.nothing` sees."""
    listed = sorted(values)
    return column.in_(listed) if listed else sa.false()


def asked_for(phone: str | None, email: str | None, whatsapp: str | None) -> list[Key]:
    """The addresses that were given, as they are stored. Invalid when one of them is none, or none
    was given: whoever asks for somebody must hear that it wasn't understood."""
    keys: list[Key] = []
    given = {"phone": phone, "email": email, "whatsapp": whatsapp}
    for field, value in given.items():
        if value is None or not value.strip():
            continue
        found = keys_of(
            value if field == "phone" else None,
            value if field == "email" else None,
            value if field == "whatsapp" else None,
        )
        if not found:
            raise Invalid("isn't an address of this kind", field=field)
        keys += found
    if not keys:
        raise Invalid("give phone, email or whatsapp", field="phone")
    return list(dict.fromkeys(keys))


def addresses_of(keys: Iterable[Key]) -> Addresses:
    """What rows may hold of these: rows that an import brought are spelled as they were."""
    spellings: set[str] = set()
    emails: set[str] = set()
    identities: set[str] = set()
    for kind, value in keys:
        if kind == "email":
            emails.add(value)
        elif kind == "whatsapp_id":
            identities.add(value)
        else:
            spellings |= spelled(value)
    return Addresses(frozenset(spellings), frozenset(emails), frozenset(identities))


def spelled(number: str) -> frozenset[str]:
    """A number in E.164, and the other ways in which people and vendors write it."""
    digits = number.lstrip("+")
    found = {number, digits, f"00{digits}", f"whatsapp:{number}", f"tel:{number}"}
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return frozenset(found)
    for style in (
        phonenumbers.PhoneNumberFormat.NATIONAL,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    ):
        shown = phonenumbers.format_number(parsed, style)
        found |= {shown, shown.replace(" ", ""), shown.replace(" ", "."), shown.replace(" ", "-")}
    return frozenset(found)

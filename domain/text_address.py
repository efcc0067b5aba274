"""What a text can be sent to: a telephone number, an email address, a WhatsApp user's id.

Pure, and strict: what is kept is one address and nothing else.
"""

import re
from collections.abc import Collection
from email.headerregistry import Address
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from domain.errors import Invalid
from domain.phone import DEFAULT_REGION, normalise

#: RFC 5321 §4.5.3.1.
_LONGEST_EMAIL: Final = 254
_LONGEST_LOCAL: Final = 64
_EMAIL: Final = re.compile(
    r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]{2,63}"
)
#: Meta's business-scoped user id (text-channels.md §1.6): country, dot, digits; "ENT" in between
#: for the parent's.
_WHATSAPP_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")

#: Nobody's handset, or one that costs whoever writes to it.
_EXPENSIVE: Final = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
    }
)


def checked(channel: str, raw: str, region: str = DEFAULT_REGION) -> str:
    """The one address in `raw`, as it is kept. Invalid (field `to`) when there is none."""
    address = read(channel, raw, region)
    if address is None:
        raise Invalid(_WANTED[channel], field="to", message_key=f"text_to_{channel}")
    return address


_WANTED: Final = {
    "sms": "must be a telephone number, such as +33612345678",
    "whatsapp": "must be a telephone number or a WhatsApp user id",
    "email": "must be one email address",
}


def read(channel: str, raw: str, region: str = DEFAULT_REGION) -> str | None:
    """`checked`, with None instead of an error."""
    text = raw.strip()
    if channel == "email":
        return _email(text)
    if channel == "whatsapp" and _WHATSAPP_ID.fullmatch(text):
        return text
    return None if "," in text else normalise(text, region)


def _email(text: str) -> str | None:
    local, _, domain = text.rpartition("@")
    if len(text) > _LONGEST_EMAIL or len(local) > _LONGEST_LOCAL or not _EMAIL.fullmatch(text):
        return None
    if ".." in text or local.startswith(".") or local.endswith(".") or domain.startswith("-"):
        return None
    try:
        Address(addr_spec=text)
    except (ValueError, IndexError):
        return None
    return f"{local}@{domain.lower()}"


def refusal(channel: str, address: str, countries: Collection[str]) -> str | None:
    """Why nothing is sent to a number, as a reason's key, or None. `countries`: ISO 3166, in
    capitals; empty: all. Emails and WhatsApp's own ids have no country."""
    if channel == "email" or not address.startswith("+"):
        return None
    try:
        number = phonenumbers.parse(address, None)
    except phonenumbers.NumberParseException:
        return "number_invalid"
    region = phonenumbers.region_code_for_number(
        number
    ) or phonenumbers.region_code_for_country_code(number.country_code or 0)
    if countries and region not in countries:
        return "country_not_allowed"
    kind = phonenumbers.number_type(number)
    if kind in _EXPENSIVE:
        return "number_premium"
    if channel == "sms" and kind == PhoneNumberType.FIXED_LINE:
        return "number_landline"
    return None


def country(address: str) -> str | None:
    """ISO 3166 of a number; None for what isn't one."""
    try:
        number = phonenumbers.parse(address, None)
    except phonenumbers.NumberParseException:
        return None
    found = phonenumbers.region_code_for_number(number)
    return found or phonenumbers.region_code_for_country_code(number.country_code or 0)

"""Telephone numbers: from whatever a carrier, a form or a caller gives to E.164, and to words.

Numbers are compared whole, in E.164, and count when they are *possible* for their country: ranges
reserved for fiction or opened since the library's last release are numbers too.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumberType

from domain.messages import language_of
from domain.number_words import english, french

DEFAULT_REGION: Final = "FR"

# Longer texts are no telephone number: several diversions with display names stay below it.
_MAX_TEXT: Final = 512
# A number and its separators; an international prefix adds up to 5 digits to E.164's 15.
_MAX_NUMBER_TEXT: Final = 64
_MAX_E164_DIGITS: Final = 15
_MAX_DIGITS: Final = 20
_MAX_CANDIDATES: Final = 8

# What Twilio and SIP peers write instead of a withheld number (twilio.md §1.1).
_WITHHELD_WORDS: Final = re.compile(
    r"anonymous|restricted|unknown|unavailable|blocked|private|withheld|client:", re.IGNORECASE
)
# The same words as Twilio spells them on a keypad: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN,
# UNAVAILABLE. They parse as foreign numbers, so they must be known.
_SENTINELS: Final = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253"})

#: Arcep's plan gives 06 and 07 to mobiles, whatever the library knows of its ranges yet.
_FRENCH_MOBILE: Final = re.compile(r"\+33[67][0-9]{8}")

_SCHEME: Final = re.compile(r"(tel|sips?):", re.IGNORECASE)
_PHONE_CONTEXT: Final = re.compile(r";phone-context=(\+[0-9]{1,15})(?:;|$)", re.IGNORECASE)
_PLUS: Final = frozenset("+\uff0b")
_SEPARATORS: Final = frozenset(".()/·\u2022")
# Country codes whose national numbers are said in France as five pairs behind a zero: the
# metropole, La Réunion and Mayotte, Guadeloupe, Guyane, Martinique.
_SAID_IN_PAIRS: Final = frozenset({33, 262, 590, 594, 596})


def is_mobile(number: str | None) -> bool:
    """Whether an E.164 number is one that SMS reach; where nobody can tell, it isn't."""
    if not number:
        return False
    if _FRENCH_MOBILE.fullmatch(number):
        return True
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False
    return kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def normalise(raw: str | None, region: str = DEFAULT_REGION) -> str | None:
    """The E.164 form of the first number in `raw`, or None when there is none.

    Takes national and international spellings, `tel:` and `sip:` addresses with or without display
    name and parameters, a percent-encoded plus, and comma-separated lists. Withheld callers, names
    and anything with letters in the number's place give None. `region` is the ISO 3166 country in
    which national spellings are read. Never raises.
    """
    if not raw or len(raw) > _MAX_TEXT:
        return None
    for candidate in _split(raw)[:_MAX_CANDIDATES]:
        number = _number(candidate, region)
        if number is not None:
            return number
    return None


def is_withheld(raw: str | None) -> bool:
    """Whether a carrier's `From` tells that it has no number to show (or none at all is there)."""
    shown = (raw or "")[:_MAX_TEXT].strip()
    if not shown:
        return True
    if normalise(shown) is not None:
        return False
    if _WITHHELD_WORDS.search(shown):
        return True
    return (_dialled(shown) or "").lstrip("+") in _SENTINELS


def spoken_digits(e164: str, locale: str) -> str:
    """A number in words, comma between groups: French numbers in pairs ("zéro six, trente-neuf"),
    others digit by digit. French numbers are said as dialled inside France."""
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return _digit_by_digit(e164, locale)
    national = phonenumbers.national_significant_number(number)
    if number.country_code in _SAID_IN_PAIRS and len(national) == 9:
        dialled = f"0{national}"
        pairs = [dialled[at : at + 2] for at in range(0, 10, 2)]
        if language_of(locale) == "fr":
            return ", ".join(_french_pair(pair) for pair in pairs)
        return _digit_by_digit(" ".join(pairs), locale)
    international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return _digit_by_digit(phonenumbers.format_number(number, international), locale)


def _french_pair(pair: str) -> str:
    if pair[0] == "0":
        return f"zéro {french(int(pair[1]))}"
    return french(int(pair))


def _digit_by_digit(text: str, locale: str) -> str:
    say = french if language_of(locale) == "fr" else english
    groups = [
        " ".join("plus" if character == "+" else say(int(character)) for character in group)
        for group in re.findall(r"\+?[0-9]+", text[:_MAX_NUMBER_TEXT])
    ]
    return ", ".join(groups)


def _split(raw: str) -> list[str]:
    """At commas outside of quotes: a display name may hold another number."""
    parts: list[str] = []
    start, quoted = 0, False
    for at, character in enumerate(raw):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(raw[start:at])
            start = at + 1
    parts.append(raw[start:])
    return parts


def _number(candidate: str, region: str) -> str | None:
    dialled = _dialled(candidate)
    if dialled is None or dialled.lstrip("+") in _SENTINELS:
        return None
    try:
        number = phonenumbers.parse(dialled, region.upper())
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number)
    # IS_POSSIBLE_LOCAL_ONLY lacks its area code: nobody can be reached or told apart by it.
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE or _keeps_prefix(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164 if len(e164) <= 1 + _MAX_E164_DIGITS else None


def _keeps_prefix(number: phonenumbers.PhoneNumber) -> bool:
    """A leading zero where zero is the trunk prefix: a national number that lost a digit."""
    if not number.italian_leading_zero:
        return False
    country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return phonenumbers.ndd_prefix_for_region(country, True) == "0"


def _dialled(candidate: str) -> str | None:
    """The digits of one address, behind a plus when international; None when it isn't a number."""
    address = unquote(_address(candidate)).strip()
    scheme = _SCHEME.match(address)
    context = ""
    if scheme:
        found = _PHONE_CONTEXT.search(address)
        context = found.group(1) if found else ""
        address = _user(address[scheme.end() :], sip=scheme.group(1).lower() != "tel")
    if len(address) > _MAX_NUMBER_TEXT:
        return None
    digits = _digits(address)
    if digits is None or not 0 < len(digits.lstrip("+")) <= _MAX_DIGITS:
        return None
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    if context and not digits.startswith("+"):
        return context + digits
    return digits


def _address(candidate: str) -> str:
    """What stands in angle brackets, or all of it."""
    _, bracket, rest = candidate.rpartition("<")
    return rest.partition(">")[0] if bracket else candidate


def _user(address: str, *, sip: bool) -> str:
    user, at, _ = address.partition("@")
    user = re.split("[;?:]", user, maxsplit=1)[0]
    if sip and not at and not re.fullmatch(r"\+?[0-9]+", user):
        return ""  # "sip:192.0.2.1" is a host, not a number
    return user


def _digits(text: str) -> str | None:
    """Plus and ASCII digits without separators; None when anything else stands there."""
    kept: list[str] = []
    for character in text:
        if character.isdecimal():
            kept.append(str(unicodedata.decimal(character)))
        elif character in _PLUS:
            if kept:
                return None
            kept.append("+")
        elif not _is_separator(character):
            return None
    return "".join(kept)


def _is_separator(character: str) -> bool:
    # Zs: spaces, with the no-break ones; Pd: dashes; Cf: the invisible marks that address books
    # put around copied numbers.
    return (
        character in _SEPARATORS
        or character.isspace()
        or unicodedata.category(character) in ("Zs", "Pd", "Cf")
    )

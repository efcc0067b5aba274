"""What people are told apart by: addresses as they are compared, names as they are heard."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from domain.folding import unaccented
from domain.phone import DEFAULT_REGION, normalise

#: RFC 5321 §4.5.3.1: 64 octets before the @, 255 after it, 254 in all.
_LONGEST_EMAIL: Final = 254
_EMAIL: Final = re.compile(r"[^\s@<>(),;:\"\[\]\\]{1,64}@(?:[^\s@.<>]{1,63}\.)+[^\s@.<>\d]{2,63}")
#: Meta's business-scoped user id: an ISO 3166 country, sometimes "ENT", then digits or letters
#: (text-channels.md §1.6: "FR.1410018717833190", "FR.ENT.118…").
_BSUID: Final = re.compile(r"[A-Z]{2}(?:\.[A-Za-z0-9]{1,100}){1,2}")
#: How many names of one telephone are kept: a family has fewer.
MOST_NAMES: Final = 10
_LONGEST_NAME: Final = 120


def email_address(raw: str | None) -> str | None:
    """The address as it is compared, or None when it is none: case folded, since no mail service
    that people use tells "Lea@" from "lea@"."""
    text = unicodedata.normalize("NFC", (raw or "").strip()).casefold()
    text = text.removeprefix("mailto:")
    if len(text) > _LONGEST_EMAIL or not _EMAIL.fullmatch(text):
        return None
    return text


def whatsapp_number(raw: str | None, region: str = DEFAULT_REGION) -> str | None:
    """E.164 from WhatsApp's `wa_id` ("33612345678", "whatsapp:+336…"); None when it is none."""
    text = (raw or "").strip().removeprefix("whatsapp:")
    if text.isdecimal() and text.isascii() and not text.startswith("0"):
        text = f"+{text}"  # a wa_id is international without its plus
    return normalise(text, region)


def whatsapp_id(raw: str | None) -> str | None:
    """A business-scoped user id, or None when it is none."""
    text = (raw or "").strip()
    return text if _BSUID.fullmatch(text) else None


def plain_name(name: str | None) -> str:
    """On one line, trimmed, of a bearable length."""
    return " ".join((name or "").split())[:_LONGEST_NAME].strip()


def same_name(one: str, other: str) -> bool:
    """Whether two spellings are one name: accents, case and order aside."""
    return _words(one) == _words(other)


def fuller_name(known: str, heard: str) -> str:
    """The one that says more about the same person ("Marc", "Marc Durand"); else the known one."""
    if not known or (_words(known) < _words(heard)):
        return heard or known
    return known


def names_seen(seen: list[str], heard: str) -> list[str]:
    """All names of a telephone, the first one first; one that is heard again isn't repeated."""
    if not heard or any(same_name(heard, each) for each in seen):
        return seen
    return [*seen, heard][:MOST_NAMES]


def split_name(name: str) -> tuple[str, str]:
    """First and last name of one that was said whole: the first word, and the rest."""
    first, _, last = name.strip().partition(" ")
    return first, last.strip()


def searchable(name: str, names: Iterable[str]) -> str:
    """What a person is found by: their name and all that were heard, without case and accents."""
    return unaccented(" ".join([name, *names]))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", unaccented(name)))

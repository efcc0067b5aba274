"""What an SMS costs: its encoding, its segments, its price; and letters that make it cheaper.

Pure. GSM 03.38 (3GPP TS 23.038 §6.2.1): a character of the basic table is one unit, of the
extension two; one character outside of both makes the whole message UCS-2, counted in UTF-16 units.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from domain.text_address import country

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
#: Units of one message, and of each part of a longer one, which bears a header of 6 octets.
_UNITS: Final = {"GSM-7": (160, 153), "UCS-2": (70, 67)}
#: Twilio refuses longer bodies (21617).
LONGEST: Final = 1600

#: What looks the same, or is the same to a reader.
_LOOKS_LIKE: Final[Mapping[str, str]] = {
    "’": "'",
    "‘": "'",
    "ʼ": "'",
    "`": "'",
    "´": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "−": "-",
    "…": "...",
    "•": "-",
    "·": "-",
    "œ": "oe",
    "Œ": "OE",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "\t": " ",
    "°": "o",
    "²": "2",
    "½": "1/2",
    "×": "x",
    "→": "->",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """`units` of `encoding` (GSM-7 or UCS-2), in how many `segments`; `left` units that the last
    segment still takes; `strangers`: the characters that made it UCS-2, once each."""

    encoding: str
    units: int
    segments: int
    left: int
    strangers: tuple[str, ...]


def answerable(config: Mapping[str, Any], *, otherwise: bool) -> bool:
    """Whether somebody can answer what a channel sends: a number or a short code, never a name
    (text-channels.md §3.6). Of a messaging service nobody knows beforehand. `otherwise`: the
    deployment's own sender, where the channel has none."""
    if config.get("messagingServiceSid"):
        return True
    sender = config.get("sender")
    if isinstance(sender, str) and sender.strip():
        return sender.strip().lstrip("+").replace(" ", "").isdigit()
    return otherwise


def measure(text: str) -> Measure:
    """How `text` goes out. An empty one is one segment."""
    strangers = tuple(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENSION))
    if strangers:
        sizes = [len(c.encode("utf-16-be")) // 2 for c in text]
        encoding = "UCS-2"
    else:
        sizes = [2 if c in _EXTENSION else 1 for c in text]
        encoding = "GSM-7"
    single, part = _UNITS[encoding]
    units = sum(sizes)
    if units <= single:
        return Measure(encoding, units, 1, single - units, strangers)
    segments, room = 1, part
    for size in sizes:  # a character of two units isn't split
        if size > room:
            segments, room = segments + 1, part
        room -= size
    return Measure(encoding, units, segments, room, strangers)


def plain(text: str) -> str:
    """`text` with characters outside of GSM-7 replaced by their like ("ê" by "e"); what has none,
    such as an emoji, stays."""
    return "".join(c if c in _BASIC or c in _EXTENSION else _like(c) for c in text)


def _like(character: str) -> str:
    if character in _LOOKS_LIKE:
        return _LOOKS_LIKE[character]
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
    )
    return bare if bare and all(c in _BASIC for c in bare) else character


def economical(text: str, *, keep_letters: bool = False) -> str:
    """`text` as it is sent: with its letters replaced where that saves segments, unless
    `keep_letters`."""
    if keep_letters:
        return text
    cheaper = plain(text)
    return cheaper if measure(cheaper).segments < measure(text).segments else text


@dataclass(frozen=True, slots=True)
class Prices:
    """Per segment, in millionths of `currency`, by ISO 3166 country; "*" for all others."""

    currency: str = "EUR"
    micros: Mapping[str, int] | None = None

    def estimate(self, address: str, segments: int) -> int | None:
        """What so many segments to this number cost; None when no price is known."""
        if not self.micros:
            return None
        each = self.micros.get(country(address) or "*", self.micros.get("*"))
        return None if each is None else each * segments


def read_prices(text: str) -> Prices:
    """The operator's table: "EUR FR=0.0725 BE=0.09 *=0.12". ValueError for anything else."""
    words = text.replace(",", " ").split()
    if not words:
        return Prices()
    currency = "EUR" if "=" in words[0] else words.pop(0)
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise ValueError("a currency has three capitals, such as EUR")
    micros: dict[str, int] = {}
    for word in words:
        where, _, price = word.partition("=")
        if not (where == "*" or (len(where) == 2 and where.isascii() and where.isupper())):
            raise ValueError(f"{where!r} is no country (two capitals, or * for all others)")
        try:
            amount = Decimal(price)
        except ArithmeticError:
            raise ValueError(f"{price!r} is no price, such as 0.0725") from None
        if not (amount.is_finite() and 0 <= amount < 100):
            raise ValueError(f"{price!r} is no price of one segment")
        micros[where] = math.ceil(amount * 1_000_000)
    return Prices(currency, micros)

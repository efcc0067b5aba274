"""From any text to the words one hears: numbers, dates, times and signs written out in French."""

import re
import unicodedata

# fmt: off
_UNITS = (
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix",
    "onze", "douze", "treize", "quatorze", "quinze", "seize",
)
_TENS = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante"}
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
    "octobre", "novembre", "décembre",
)
_SIGNS = {
    "€": " euros ", "%": " pourcent ", "@": " arobase ", "+": " plus ", "&": " et ",
    "’": "'", "œ": "oe", "æ": "é", "«": " ", "»": " ", "—": ", ", "–": ", ",
}
# fmt: on
_ISO_INSTANT = re.compile(
    r"\b(\d{4})-(\d\d)-(\d\d)(?:[t ](\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?(?!\d)"
)
_CLOCK = re.compile(r"\b([01]?\d|2[0-4])\s?(?:h|:)\s?([0-5]\d)?\b")
_GROUPED = re.compile(r"\b\d{1,3}(?:[ \u00a0\u202f]\d{3})+\b")
_DECIMAL = re.compile(r"(\d),(\d)")
_DOTTED = re.compile(r"(?<=\w)\.(?=\w)")
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[.,;:!?…]")
PAUSES = frozenset(".,;:!?…")


def tokens(text: str) -> tuple[str, ...]:
    """Lower-case words and punctuation marks, in order; nothing else is left of the text."""
    said = _ISO_INSTANT.sub(_instant, unicodedata.normalize("NFC", text).lower())
    for sign, words in _SIGNS.items():
        said = said.replace(sign, words)
    said = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), said)
    said = _CLOCK.sub(lambda match: f"{match[1]} heures {match[2] or ''} ", said)
    said = _DECIMAL.sub(r"\1 virgule \2", said)
    said = _DOTTED.sub(" point ", said)
    found: list[str] = []
    for token in _TOKEN.findall(said):
        found.extend(_digits(token) if token.isdecimal() else (token,))
    return tuple(found)


def number_words(value: int) -> list[str]:
    """A whole number from 0 to 999,999,999 in French words."""
    if value < 100:
        return _below_hundred(value)
    for size, name in ((1_000_000, "million"), (1_000, "mille"), (100, "cent")):
        if value >= size:
            count, rest = divmod(value, size)
            head = [] if count == 1 and name != "million" else number_words(count)
            return head + [name] + (number_words(rest) if rest else [])
    raise ValueError(f"{value} is not a whole number that can be said")


def _below_hundred(value: int) -> list[str]:
    if value < 17:
        return [_UNITS[value]]
    if value < 20:
        return ["dix", _UNITS[value - 10]]
    if value < 70:
        tens, unit = value // 10 * 10, value % 10
        joint = ["et"] if unit == 1 else []
        return [_TENS[tens]] + ([*joint, _UNITS[unit]] if unit else [])
    if value < 80:
        return ["soixante", *(["et"] if value == 71 else []), *_below_hundred(value - 60)]
    return ["quatre", "vingt", *(_below_hundred(value - 80) if value > 80 else [])]


def _digits(digits: str) -> list[str]:
    """A run of digits: leading zeros are said, and what is too long is said digit by digit."""
    bare = digits.lstrip("0")
    zeros = ["zéro"] * (len(digits) - len(bare))
    if not bare:
        return zeros
    if len(bare) > 9:
        return zeros + [_UNITS[int(digit)] for digit in bare]
    return zeros + number_words(int(bare))


def _instant(match: re.Match[str]) -> str:
    year, month, day, hour, minute = match.groups()
    if not 1 <= int(month) <= 12:
        return match[0]
    said = f"{int(day)} {_MONTHS[int(month) - 1]} {year}"
    if hour is None:
        return said
    return f"{said} à {int(hour)} heures {minute if minute != '00' else ''} "

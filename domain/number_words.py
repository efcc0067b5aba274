"""Whole numbers below one hundred in words, as French and English speakers say them."""

from typing import Final

_FRENCH: Final = [
    "zéro",
    "un",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "six",
    "sept",
    "huit",
    "neuf",
    "dix",
    "onze",
    "douze",
    "treize",
    "quatorze",
    "quinze",
    "seize",
    "dix-sept",
    "dix-huit",
    "dix-neuf",
]
_FRENCH_TENS: Final = {2: "vingt", 3: "trente", 4: "quarante", 5: "cinquante", 6: "soixante"}

_ENGLISH: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_ENGLISH_TENS: Final = [
    "_",
    "_",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]


def french(number: int, *, feminine: bool = False) -> str:
    """0 to 99 as said in France (soixante-dix). `feminine`: "une", "vingt et une"."""
    _check(number)
    words = _french(number)
    # Only a final "un" that counts one agrees: quatre-vingt-une but onze.
    if feminine and (words == "un" or words.endswith((" un", "-un"))):
        return f"{words}e"
    return words


def _french(number: int) -> str:
    if number < 20:
        return _FRENCH[number]
    if number >= 80:
        rest = number - 80
        return f"quatre-vingt-{_FRENCH[rest]}" if rest else "quatre-vingts"
    tens, unit = divmod(number, 10)
    if tens == 7:
        tens, unit = 6, unit + 10
    if unit == 0:
        return _FRENCH_TENS[tens]
    return f"{_FRENCH_TENS[tens]}{' et ' if unit in (1, 11) else '-'}{_FRENCH[unit]}"


def english(number: int) -> str:
    """0 to 99 in words."""
    _check(number)
    if number < 20:
        return _ENGLISH[number]
    tens, unit = divmod(number, 10)
    return f"{_ENGLISH_TENS[tens]}-{_ENGLISH[unit]}" if unit else _ENGLISH_TENS[tens]


def _check(number: int) -> None:
    if not 0 <= number <= 99:
        raise ValueError(f"{number} is not between 0 and 99")

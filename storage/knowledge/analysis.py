"""Text → terms, the same for documents and for questions. Pure.

A database's own analysis isn't used: none folds "œ" or knows French elisions, and numbers and
references ("205/55 R16", "R1234yf") are what callers ask for (vapi-openai-pinecone.md §5.1).
A term is a word of letters and digits, without spaces.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import snowballstemmer  # type: ignore[import-untyped]

from domain import number_words
from domain.folding import unaccented
from domain.messages import language_of
from storage.knowledge.words import ENGLISH, FRENCH, Words

#: Longest question that is looked at, characters; most terms of one. Callers say some 20 words.
MAX_QUESTION: Final = 500
MAX_SOUGHT: Final = 16
#: The weight of a word that says little.
WEAK: Final = 0.2
#: Characters of a term; a longer "word" is no word.
_LONGEST_TERM: Final = 40
#: A reference spoken apart has no more parts than this ("R 12 34 Y F").
_LONGEST_RUN: Final = 8


@dataclass(frozen=True, slots=True)
class Sought:
    """A term of a question. Where `term` stands in no passage, its `parts` count in its stead.

    `weight` 0..1: how much the answer must be about it. `incidental`: doesn't matter unless the
    documents know it.
    """

    term: str
    weight: float = 1.0
    parts: tuple[str, ...] = ()
    incidental: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    before: str  # what stands between it and the one before
    spelled: bool = False  # a number that was said in words


def fold(text: str) -> str:
    """Lower case without accents; œ and æ as two letters, every apostrophe and hyphen as one."""
    return unaccented(text).translate(_LETTERS)


_LETTERS: Final = str.maketrans(
    {
        "œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d",
        "’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-",
        "—": "-", "\N{FRACTION SLASH}": "/", "\n": " ",
    }
)  # fmt: skip

_ELISION: Final = re.compile(r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu|quelqu|presqu)'(?=\w)")
_PLURAL: Final = re.compile(r"(?<=\w{3}[^s])s$|(?<=eau|.eu)x$")
_FEMININE: Final = re.compile(r"(?<=\w{3})ee$")
_POSSESSIVE: Final = re.compile(r"'s\b")
_PHONE: Final = re.compile(r"(?<!\d)(?:\+33\s?|0)[1-9](?:[ .-]?\d\d){4}(?!\d)")
#: "1 200", "1.200", "12 500": not "205 55", not "06 39".
_THOUSANDS: Final = re.compile(r"(?<![\d.,/])([1-9]\d{0,2})((?:[ .]\d{3})+)(?![\d/])")
_WORD: Final = re.compile(r"[^\W_]+")
_LETTER_OR_DIGITS: Final = re.compile(r"\d+|[^\W\d_]+")
#: Between the parts of one reference.
_CLOSE: Final = frozenset(("", " ", "-", "/", ".", " - ", " / ", "."))
_SCALES: Final = (
    (1000, 100, frozenset(("mille", "thousand"))),
    (100, 20, frozenset(("cent", "cents", "hundred"))),  # "douze cent trente-quatre"
)
_DAYS: Final = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
_ENGLISH_DAYS: Final = tuple("monday tuesday wednesday thursday friday saturday sunday".split())


class Analyser:
    """The analysis of one language. Keeps stems it has computed; shared by all."""

    def __init__(self, words: Words, *, french: bool) -> None:
        self._words = words
        self._french = french
        self._stem = _stemmer(words.algorithm)
        self._same: dict[str, str] = {}
        for line in reversed(words.same):
            first, *others = (self._concept(word) for word in line)
            self._same |= dict.fromkeys(others, first)
        self._weak = frozenset(map(self._concept, words.weak))
        self._incidental = frozenset(map(self._concept, words.incidental))
        self._phrases = [
            (re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+").replace(r"\s+?", r"\s*")), term)
            for pattern, term in words.phrases.items()
        ]
        self._facts = [
            (re.compile(pattern), self._concept(term)) for pattern, term in words.facts.items()
        ]
        # Their other forms say as little: "arrivent", "proposez".
        self._stop_stems = frozenset(
            self._stem(word) for word in words.stop if len(word) > 5 and word.endswith("er")
        )
        days = _DAYS if french else _ENGLISH_DAYS
        one = "|".join(days)
        link = r"(?:\s*-\s*|\s+au?\s+|\s+to\s+|\s+through\s+)"
        self._days = days
        self._range = re.compile(rf"\b({one}){link}({one})\b")
        self._spoken = _spoken_numbers(french=french)

    def terms(self, text: str) -> list[str]:
        """What a passage is found by, in its order, repetitions kept."""
        found = [term for term, _ in self._terms(text, question=False)]
        folded = fold(text)
        found += [term for pattern, term in self._facts if pattern.search(folded)]
        return found

    def question(self, text: str) -> tuple[Sought, ...]:
        """What a question seeks, without repetitions, in its order; () when it says nothing."""
        sought: dict[str, Sought] = {}
        for term, one in self._terms(text[:MAX_QUESTION], question=True):
            sought.setdefault(term, one)
        return tuple(sought.values())[:MAX_SOUGHT]

    # ---------------------------------------------------------------------------- reading

    def _terms(self, text: str, *, question: bool) -> Iterator[tuple[str, Sought]]:
        tokens = self._tokens(self._prepared(text))
        at = 0
        while at < len(tokens):
            run = self._run(tokens, at)
            if run > 1 or _mixed(tokens[at].text):
                yield from self._reference(tokens[at : at + run], question=question)
                at += run
                continue
            if self._prefixed(tokens, at):
                yield from self._joined(tokens[at], tokens[at + 1], question=question)
                at += 2
                continue
            yield from self._word(tokens[at])
            if not question and tokens[at].text.startswith("anti"):
                yield from self._word(_Token(tokens[at].text[4:], ""))
            at += 1

    def _prefixed(self, tokens: Sequence[_Token], at: int) -> bool:
        return (
            tokens[at].text in self._words.prefixes
            and at + 1 < len(tokens)
            and tokens[at + 1].before in (" ", "-")
            and len(tokens[at + 1].text) > 3
        )

    def _joined(
        self, first: _Token, second: _Token, *, question: bool
    ) -> Iterator[tuple[str, Sought]]:
        """ "anti-puces", "anti puces" as "antipuces"; and by its second part."""
        whole = self._concept(first.text + second.text)
        parts = tuple(term for term, _ in (*self._word(first), *self._word(second)))
        yield whole, Sought(whole, parts=parts)
        if not question:
            for part in parts:
                yield part, Sought(part)

    def _prepared(self, text: str) -> str:
        text = fold(text).replace("aujourd'hui", "aujourdhui")
        text = _ELISION.sub(" ", text) if self._french else _POSSESSIVE.sub("", text)
        text = text.replace("'", "")
        text = _PHONE.sub(lambda match: _national(match[0]), text)
        text = _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match[0]), text)
        text = self._range.sub(self._all_days, text)
        for pattern, term in self._phrases:
            text = pattern.sub(term, text) if "-" not in text else self._apart(pattern, term, text)
        return text

    @staticmethod
    def _apart(pattern: re.Pattern[str], term: str, text: str) -> str:
        """The phrase where its words are joined by hyphens as well."""
        spaced = text.replace("-", " ")
        found = list(pattern.finditer(spaced))
        for match in reversed(found):
            text = text[: match.start()] + term + text[match.end() :]
        return text

    def _all_days(self, match: re.Match[str]) -> str:
        """ "lundi au mercredi" is open on a Tuesday too."""
        first, last = self._days.index(match[1]), self._days.index(match[2])
        if first > last:
            return match[0]
        return " ".join(self._days[first : last + 1])

    def _tokens(self, text: str) -> list[_Token]:
        tokens, end = [], 0
        for match in _WORD.finditer(text):
            tokens.append(_Token(match[0][:_LONGEST_TERM], text[end : match.start()]))
            end = match.end()
        return self._numbers(tokens)

    def _numbers(self, tokens: Sequence[_Token]) -> list[_Token]:
        """Numbers that are said in words, as digits."""
        read: list[_Token] = []
        at = 0
        while at < len(tokens):
            value, used = self._number(tokens, at)
            if used:
                read.append(_Token(value, tokens[at].before, spelled=True))
                at += used
            else:
                read.append(tokens[at])
                at += 1
        return read

    def _number(self, tokens: Sequence[_Token], at: int) -> tuple[str, int]:
        """The longest number that begins here, and how many words it has."""
        total, end, said = 0, at, 0
        for scale, below, names in _SCALES:
            value, used = self._below_hundred(tokens, end)
            after = end + used
            if (
                after < len(tokens)
                and tokens[after].text in names
                and (not used or int(value) < below)
            ):
                total += (int(value) if used else 1) * scale
                end, said = after + 1, said + 1
        value, used = self._below_hundred(tokens, end)
        if not said:
            return value, used
        return str(total + (int(value) if used else 0)), end + used - at

    def _below_hundred(self, tokens: Sequence[_Token], at: int) -> tuple[str, int]:
        for length in range(min(5, len(tokens) - at), 0, -1):
            words = tuple(token.text for token in tokens[at : at + length])
            number = self._spoken.get(words)
            if number is not None:
                return number, length
        return "", 0

    # ------------------------------------------------------------------------- references

    def _run(self, tokens: Sequence[_Token], at: int) -> int:
        """How many tokens from here on are one reference or measure: "R 1234 yf", "205/55 R16"."""
        length, digits = 0, False
        for token in tokens[at : at + _LONGEST_RUN]:
            if length and token.before not in _CLOSE:
                break
            if not self._short(token.text):
                break
            digits = digits or any(c.isdigit() for c in token.text)
            length += 1
        return length if digits else 1

    def _short(self, text: str) -> bool:
        if any(c.isdigit() for c in text):
            return len(text) <= 12
        if len(text) == 1:
            return text != "a"
        return len(text) <= 3 and text not in self._words.stop and text not in _LITTLE

    def _reference(
        self, tokens: Sequence[_Token], *, question: bool
    ) -> Iterator[tuple[str, Sought]]:
        whole = "".join(token.text for token in tokens)[:_LONGEST_TERM]
        parts = list(_parts(tokens))
        if question:
            small = len(whole) < 3 and whole.isdigit()
            yield whole, Sought(whole, 0.5 if small else 1.0, tuple(p for p in parts if p != whole))
            return
        for term in dict.fromkeys((whole, *parts)):
            yield term, Sought(term)

    # ------------------------------------------------------------------------------ words

    def _word(self, token: _Token) -> Iterator[tuple[str, Sought]]:
        text = token.text
        if text in self._words.stop or (len(text) < 2 and not text.isdigit()):
            return
        term = text if text.isdigit() else self._concept(text)
        if self._stem(text) in self._stop_stems:
            return
        weight = 1.0
        if text.isdigit():
            weight = 0.5 if len(text) < 3 else 1.0
        elif term in self._weak:
            weight = WEAK
        yield term, Sought(term, weight, incidental=term in self._incidental)

    def _concept(self, word: str) -> str:
        # The stemmer knows "parfait" for a verb but not its plural, and "privatisée" by its accent.
        if self._french:
            word = _FEMININE.sub("e", _PLURAL.sub("", word))
        stem = self._stem(word)
        return self._same.get(stem, stem)


#: Short words that follow numbers but belong to no reference.
_LITTLE: Final = frozenset(
    "ans an cm mm km kg mn min eur ttc ht jrs fr st bd av rue lun mar mer jeu ven sam dim".split()
)


def _mixed(text: str) -> bool:
    return any(c.isdigit() for c in text) and not text.isdigit()


def _parts(tokens: Sequence[_Token]) -> Iterator[str]:
    for token in tokens:
        pieces = _LETTER_OR_DIGITS.findall(token.text)
        if len(pieces) > 1:
            yield token.text
        for piece in pieces:
            if len(piece) > 1 or piece.isdigit():
                yield piece


def _national(number: str) -> str:
    digits = re.sub(r"\D", "", number)
    return "0" + digits[2:] if number.startswith("+") else digits


@cache
def _spoken_numbers(*, french: bool) -> dict[tuple[str, ...], str]:
    """Words → digits, 2 to 99; "un" and "one" are articles as well, and say nothing alone."""
    numbers: dict[tuple[str, ...], str] = {}
    for value in range(2, 100):
        said = number_words.french(value) if french else number_words.english(value)
        words = tuple(fold(said).replace("-", " ").split())
        numbers[words] = str(value)
        if value == 80 and french:
            numbers[("quatre", "vingt")] = "80"
    return numbers


@cache
def _stemmer(algorithm: str) -> Callable[[str], str]:
    """Word → stem, for several threads: a stemmer itself works on its own state."""
    mine = threading.local()

    @lru_cache(maxsize=20_000)
    def stem(word: str) -> str:
        if not hasattr(mine, "stemmer"):
            mine.stemmer = snowballstemmer.stemmer(algorithm)
        return str(mine.stemmer.stemWord(word))

    return stem


@cache
def analyser(locale: str) -> Analyser:
    """The analyser of a tenant's language."""
    french = language_of(locale) == "fr"
    return Analyser(FRENCH if french else ENGLISH, french=french)

"""A model's stream of text → sentences to speak, one by one, as soon as each is whole. Pure.

A full stop ends a sentence only where one could end: not in "M. Durand", "1 200,50 €", "9 h.",
"marie.durand@orange.fr" or "www.exemple.fr". What is written for the eye (markdown) isn't read out.
"""

import re
from collections.abc import Iterator
from typing import Final

#: A first sentence without an end is spoken at a comma after so many characters, others later: the
#: caller waits, and nobody breathes longer than that.
LONGEST: Final = 220
#: What is shorter is spoken together with the next one: a synthesiser gives "Oui." a breath of its
#: own. "Bien sûr !" is long enough.
SHORTEST: Final = 8

_ABBREVIATIONS: Final = frozenset(
    "m mm mr mme mmes mlle dr drs pr me st ste av bd bld boul tél tel n no art vol ch cf "
    "janv févr avr juil sept oct nov déc mrs ms prof".split()
)
#: An end, and the character after it, which must be there: "?" may be followed by " »".
_END: Final = re.compile(r"[.!?…]+[”\")\]]*(?:\s?»)?(?=\s+[^\s»])|\n+|;(?=\s)|:(?=\s*\n)")
_COMMA: Final = re.compile(r"[,:](?=\s)")
_LAST_WORD: Final = re.compile(r"([^\W\d_]+)\.$")

_LINK: Final = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_FENCE: Final = re.compile(r"```[\w-]*")
_LINE_START: Final = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*•–][ \t]+)", re.M)
_RULE: Final = re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$", re.M)
_STRESS: Final = re.compile(r"(\*{1,3}|__|~~|`)(?=\S)(.*?\S)\1")
_SIGNS: Final = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d*`|]+"  # pictures, and what markdown leaves
)
_BLANKS: Final = re.compile(r"[ \t\n]+")


class SentenceSplitter:
    """Fed with the stream's pieces; `rest()` at its end."""

    def __init__(self) -> None:
        self._text = ""
        self._short = ""

    def feed(self, text: str) -> Iterator[str]:
        """The sentences that this piece completes."""
        self._text += text
        while (end := self._next_end()) is not None:
            sentence, self._text = self._text[:end], self._text[end:]
            yield from self._give(sentence)

    def rest(self) -> Iterator[str]:
        """What the stream ended with."""
        last, self._text = self._text, ""
        spoken = " ".join(filter(None, (self._short, spoken_text(last))))
        self._short = ""
        if any(each.isalnum() for each in spoken):
            yield spoken

    def _give(self, sentence: str) -> Iterator[str]:
        spoken = " ".join(filter(None, (self._short, spoken_text(sentence))))
        self._short = ""
        if len(spoken) < SHORTEST:
            self._short = spoken
        elif any(each.isalnum() for each in spoken):
            yield spoken

    def _next_end(self) -> int | None:
        for found in _END.finditer(self._text, 0, LONGEST + 2):  # a bound: texts may be hostile
            if self._is_end(found):
                return found.end()
        if len(self._text) <= LONGEST:
            return None
        commas = [found.end() for found in _COMMA.finditer(self._text, 0, LONGEST)]
        if commas and commas[-1] > LONGEST // 3:
            return commas[-1]
        blank = self._text.rfind(" ", 0, LONGEST)
        return blank if blank > 0 else LONGEST

    def _is_end(self, found: re.Match[str]) -> bool:
        mark = found.group().strip('”")] »\n')
        after = self._text[found.end() :].lstrip()[:1]
        if mark in (".", "…", "...") and after.islower():
            return False
        if mark != ".":
            return True
        before = self._text[: found.end()].rstrip('»”")] ')
        word = _LAST_WORD.search(before)
        if word is not None:
            known = word[1].casefold() in _ABBREVIATIONS
            # "J. Martin", and "9 h. 30".
            initial = len(word[1]) == 1 and (word[1].isupper() or after.isdigit())
            if known or initial:
                return False
        # "2. Le second": the number of a list's entry belongs to it.
        return re.search(r"(^|\n)\s*\d{1,2}\.$", before) is None


def spoken_text(text: str) -> str:
    """What is to be said of it: no markdown, no pictures, single blanks."""
    text = _FENCE.sub("", _LINK.sub(r"\1", text))
    text = _LINE_START.sub("", _RULE.sub("", text))
    for _ in range(2):  # **bold _and_ more**
        text = _STRESS.sub(r"\2", text)
    return _BLANKS.sub(" ", _SIGNS.sub("", text)).strip()

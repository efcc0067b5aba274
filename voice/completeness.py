"""Is it finished, what somebody has said so far? By its words: French and, more coarsely, English.

Transcribers put a full stop behind everything, so punctuation proves little but a comma, an
ellipsis or a question mark. What tells more is the last word: nobody ends with "et", "pour le" or
"euh"; a French telephone number has ten digits, an address of e-mail an ending. Pure.
"""

import re
from enum import Enum
from typing import Final


class Completeness(Enum):
    """`UNFINISHED`: more will come. `FINISHED`: hardly. `OPEN`: it could end here."""

    UNFINISHED = "unfinished"
    OPEN = "open"
    FINISHED = "finished"


#: Digits of a number as people dictate it in France.
_PHONE_DIGITS: Final = 10

_ENDS_OPEN: Final = frozenset(
    "euh heu hum hmm mmh bah ben bon alors donc et ou mais car que qui quoi dont où si quand comme "
    "lorsque puisque parce pourquoi de du des d la le les l un une mon ma mes ton ta tes son sa "
    "ses notre nos votre vos leur leurs ce cet cette ces au aux à en dans pour par avec sans sur "
    "sous chez vers entre depuis pendant après avant dès jusqu jusqu'à je j tu il ils elle elles "
    "on nous est suis es ai as a ont avez avons était serait voudrais veux voulais peux pourrais "
    "aimerais cherche préfère préférerais regarde m'appelle appelle vais faudrait faut c'est "
    "c'était très plus moins assez "
    "trop qu'il qu'elle n'est attendez voyons genre enfin sinon puis aussi environ vraiment "
    "numéro adresse zéro "
    # English
    "uh um er so and or but because if when that which the an my your his her our their to for "
    "from with at in of on by is are am was i we they it's i'm i'd would could want need".split()
)
#: The last words of somebody who has finished.
_CLOSINGS: Final = re.compile(
    r"(s'il (vous|te) pla[iî]t|merci( beaucoup| bien)?|au revoir|bonne (journée|soirée)"
    r"|c'est (ça|tout|bon)"
    r"|ça me (va|convient)|me convient|d'accord|parfait|très bien|voilà|à (bientôt|demain)"
    r"|si possible|please|thank you|thanks|goodbye|that's (it|all))$"
)
_SHORT_ANSWERS: Final = re.compile(
    r"((ah |bah |ben |euh )*(oui|ouais|non|si|ok|okay|d'accord|yes|no|exactement"
    r"|tout à fait|absolument|bien sûr|merci|volontiers)[ ,.!]*)+"
)
#: What completes a request: a day with its time, an hour, a price, a name after its announcement.
_SPECIFICS: Final = re.compile(
    r"(à (\w+|\w+-\w+|\d+) ?(heures?|h)( (trente|quinze|et demie|et quart|\d+))?"
    r"|\d{1,2} ?h ?\d{0,2}"
    r"|(lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|demain) "
    r"(matin|après-midi|soir|midi|prochain)|euros?|cette semaine|la semaine prochaine"
    r"|le plus tôt possible|dès que possible)$"
)
#: What announces more: half a clause behind its conjunction, and phrases that people go on after.
_ANNOUNCES: Final = re.compile(
    r"((parce que|puisque|quand|lorsque|pendant que|alors que|because|when)( \w+)?[ ']\w[\w-]*"
    r"|ça dépend|en fait|écoutez|par contre|disons|je vous explique|j'ai une question|it depends"
    r"|(madame|monsieur|mister|mrs) \w+|je vous appelle|ici \w+)$"
)
_GREETING: Final = re.compile(r"(allô|allo|bonjour|bonsoir|oui|hello|hi|,| |madame|monsieur)+")
_TLD: Final = re.compile(r"(point|dot|\.) ?(com|fr|net|org|eu|be|ch|io|info)$")
_SPELLING: Final = re.compile(r"(arobase|@|e-?mail|adresse mail|courriel)")

_UNITS: Final = frozenset("zéro zero un deux trois quatre cinq six sept huit neuf".split())
_TEENS: Final = frozenset("dix onze douze treize quatorze quinze seize".split())
_TENS: Final = frozenset("vingt vingts trente quarante cinquante soixante".split())
_WORD: Final = re.compile(r"\w+(?:['@.-]+\w+)*'?|@")


def completeness(text: str) -> Completeness:
    """Of what has been said since the turn began, as far as it is transcribed."""
    said = text.strip().casefold().replace("’", "'")
    if not said:
        return Completeness.UNFINISHED  # somebody said "euh", which transcribers leave out
    words = _WORD.findall(said)
    plain = said.rstrip(" .!?…")
    if not words or said.endswith(("…", "...", ",", "-", ":")):
        return Completeness.UNFINISHED
    dictated = _dictation(said, plain, words)
    if dictated is not None:
        return dictated
    if said.endswith("?"):
        return Completeness.FINISHED
    if _SHORT_ANSWERS.fullmatch(plain) or _CLOSINGS.search(plain) or _SPECIFICS.search(plain):
        return Completeness.FINISHED
    if _GREETING.fullmatch(plain) or _ANNOUNCES.search(plain) or _hangs(words):
        return Completeness.UNFINISHED
    return Completeness.OPEN


def hesitates(text: str) -> bool:
    """Does its speaker look for words?"""
    return bool(re.search(r"\b(euh|heu|hum|voyons|alors|attendez)\b|…|\.\.\.", text.casefold()))


def _hangs(words: list[str]) -> bool:
    last = words[-1].rpartition("'")[2] or words[-1]
    return words[-1] in _ENDS_OPEN or last in _ENDS_OPEN or words[-1].endswith("'")


def _dictation(said: str, plain: str, words: list[str]) -> Completeness | None:
    """A telephone number or an address that is being dictated; None when it is neither."""
    run = _digits_at_end(words)
    number = "".join(run)
    if len(number) >= _PHONE_DIGITS:
        return Completeness.FINISHED
    if number.startswith("0") or (len(run) > 1 and number.startswith("33")):
        return Completeness.UNFINISHED
    address = _SPELLING.search(said)
    if address and _TLD.search(plain):
        return Completeness.FINISHED
    after = re.split(r"arobase|@", said)
    spelled = len(words) > 1 and all(len(each) == 1 and each.isalpha() for each in words[-2:])
    return Completeness.UNFINISHED if spelled or len(after) > 1 else None


def _digits_at_end(words: list[str]) -> list[str]:
    """The digits of the numbers at the end, a string per number: "06", "39". What a number in
    words stands for isn't looked up, but how many digits it has."""
    run: list[str] = []
    for word in reversed(words):
        digits = _digits(word)
        if digits is None:
            break
        run.insert(0, digits)
    return run


def _digits(word: str) -> str | None:
    bare = word.replace(".", "").replace("-", "")
    if bare.isdigit():
        return bare
    parts = word.split("-")
    if parts == ["et"] or not all(each in _UNITS | _TEENS | _TENS | {"et"} for each in parts):
        return None
    if len(parts) == 1 and parts[0] in _UNITS:
        return "0" if parts[0] in ("zéro", "zero") else "1"
    return "11"

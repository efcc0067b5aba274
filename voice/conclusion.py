"""What a call came to, and what of a sentence was heard."""

from collections.abc import Iterable

from domain.outcome import Outcome, strongest

#: A caller who hangs up on one of these words, once answered, leaves informed.
FAREWELLS = ("au revoir", "merci", "bonne journée", "bonne soirée", "goodbye", "bye", "thank")


def conclude(
    achieved: Iterable[Outcome], *, reason: str, caller_turns: int, answered: bool
) -> Outcome:
    """The one outcome of a call.

    What was achieved weighs most; then why it ended. A caller who spoke and heard an answer to its
    end was informed; one who left before that abandoned the call.
    """
    best = strongest(achieved)
    if best is not None:
        return best
    if reason == "wrong_number":
        return Outcome.WRONG_NUMBER
    if reason == "overflow":
        return Outcome.OVERFLOW
    if reason == "fault":
        return Outcome.FAILED
    return Outcome.INFORMED if caller_turns and answered else Outcome.ABANDONED


def says(text: str, sentence: str) -> bool:
    """Whether a text holds a sentence, whatever its capitals and punctuation: a transcript has its
    own."""
    return _letters(sentence) in _letters(text)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def first_words(text: str, share: float) -> str:
    """The words of `text` that fit into this share (0–1) of its duration."""
    words = text.split()
    budget = len(text) * max(0.0, min(share, 1.0))
    kept: list[str] = []
    length = 0
    for word in words:
        length += len(word) + 1
        if length - 1 > budget:
            break
        kept.append(word)
    return " ".join(kept)

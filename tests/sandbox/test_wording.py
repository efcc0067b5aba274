"""Text → the French words one hears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wording import number_words, tokens


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "zéro"),
        (16, "seize"),
        (17, "dix sept"),
        (21, "vingt et un"),
        (30, "trente"),
        (61, "soixante et un"),
        (70, "soixante dix"),
        (71, "soixante et onze"),
        (79, "soixante dix neuf"),
        (80, "quatre vingt"),
        (81, "quatre vingt un"),
        (91, "quatre vingt onze"),
        (99, "quatre vingt dix neuf"),
        (100, "cent"),
        (208, "deux cent huit"),
        (1_000, "mille"),
        (2026, "deux mille vingt six"),
        (300_000, "trois cent mille"),
        (1_000_001, "un million un"),
    ],
)
def test_numbers(value: int, words: str) -> None:
    assert " ".join(number_words(value)) == words


@given(st.integers(0, 999_999_999))
def test_any_number_is_said_without_digits(value: int) -> None:
    words = number_words(value)
    assert words
    assert all(word.isalpha() for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L’après-midi", "l après midi"),
        ("14h30", "quatorze heures trente"),
        ("à 9 h", "à neuf heures"),
        ("09:05", "zéro neuf heures zéro cinq"),
        ("2026-11-24", "vingt quatre novembre deux mille vingt six"),
        (
            "2026-11-24T14:30:00+01:00",
            "vingt quatre novembre deux mille vingt six à quatorze heures trente",
        ),
        ("2026-11-24T09:00", "vingt quatre novembre deux mille vingt six à neuf heures"),
        ("300 000 €", "trois cent mille euros"),
        ("12,50 €", "douze virgule cinquante euros"),
        ("06 39 98", "zéro six trente neuf quatre vingt dix huit"),
        ("+33", "plus trente trois"),
        ("test@gmail.com", "test arobase gmail point com"),
        ("2026-13-24", "deux mille vingt six treize vingt quatre"),
        ("12345678901", "un deux trois quatre cinq six sept huit neuf zéro un"),
    ],
)
def test_signs_are_written_out(text: str, words: str) -> None:
    assert " ".join(tokens(text)) == words


def test_pauses_stay() -> None:
    assert tokens("Oui, d'accord.") == ("oui", ",", "d", "accord", ".")


@given(st.text(max_size=200))
def test_no_digit_is_left(text: str) -> None:
    assert not any(token.isdecimal() for token in tokens(text))

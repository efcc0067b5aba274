import re

import pytest

from domain.number_words import english, french


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zéro"),
        (1, "un"),
        (16, "seize"),
        (17, "dix-sept"),
        (21, "vingt et un"),
        (22, "vingt-deux"),
        (61, "soixante et un"),
        (70, "soixante-dix"),
        (71, "soixante et onze"),
        (77, "soixante-dix-sept"),
        (80, "quatre-vingts"),
        (81, "quatre-vingt-un"),
        (91, "quatre-vingt-onze"),
        (99, "quatre-vingt-dix-neuf"),
    ],
)
def test_french_as_in_france(number: int, words: str) -> None:
    assert french(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "une"),
        (11, "onze"),
        (21, "vingt et une"),
        (31, "trente et une"),
        (71, "soixante et onze"),
        (81, "quatre-vingt-une"),
        (2, "deux"),
    ],
)
def test_french_agrees_with_hours_and_minutes(number: int, words: str) -> None:
    assert french(number, feminine=True) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety-nine")]
)
def test_english(number: int, words: str) -> None:
    assert english(number) == words


@pytest.mark.parametrize("say", [french, english])
def test_every_number_has_its_own_words(say: object) -> None:
    assert callable(say)
    spoken = {say(number) for number in range(100)}
    assert len(spoken) == 100
    assert all(re.fullmatch(r"[a-zé]+(?:[- ][a-zé]+)*", words) for words in spoken)


@pytest.mark.parametrize("number", [-1, 100])
def test_other_numbers_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="not between"):
        french(number)
    with pytest.raises(ValueError, match="not between"):
        english(number)

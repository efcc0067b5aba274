"""A model's stream in sentences: French as it is written, and nothing that is for the eye."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.sentence_split import LONGEST, SentenceSplitter, spoken_text


def split(text: str, size: int = 3) -> list[str]:
    splitter = SentenceSplitter()
    found: list[str] = []
    for at in range(0, len(text), size):
        found += splitter.feed(text[at : at + size])
    return [*found, *splitter.rest()]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Bonjour M. Durand. Comment allez-vous ?", ["Bonjour M. Durand.", "Comment allez-vous ?"]),
        ("C'est 1 200,50 € TTC. Ça vous va ?", ["C'est 1 200,50 € TTC.", "Ça vous va ?"]),
        (
            "Écrivez à marie.durand@orange.fr. Merci à vous !",
            ["Écrivez à marie.durand@orange.fr.", "Merci à vous !"],
        ),
        ("Mardi… ou jeudi. Lequel préférez-vous ?", ["Mardi… ou jeudi.", "Lequel préférez-vous ?"]),
        ("« Très bien. » Au revoir !", ["« Très bien. »", "Au revoir !"]),
        ("Au 12 av. Foch, chez le Dr. Petit.", ["Au 12 av. Foch, chez le Dr. Petit."]),
        ("Oui. D'accord, je note.", ["Oui. D'accord, je note."]),
        ("Le 3 sept. 2026 à 9 h. 30, J. Martin.", ["Le 3 sept. 2026 à 9 h. 30, J. Martin."]),
        (
            "Voici les places :\n- **Mardi** à 14 h\n- Jeudi à 10 h\n",
            ["Voici les places :", "Mardi à 14 h", "Jeudi à 10 h"],
        ),
        ("# Titre\n`code` et [notre site](https://x.fr) 😀.", ["Titre code et notre site ."]),
    ],
)
def test_sentences(text: str, sentences: list[str], size: int) -> None:
    assert split(text, size) == sentences


def test_a_sentence_is_given_as_soon_as_it_is_whole() -> None:
    splitter = SentenceSplitter()
    assert list(splitter.feed("Je regarde. ")) == []
    assert list(splitter.feed("U")) == ["Je regarde."]


def test_one_without_an_end_is_cut_where_one_breathes() -> None:
    long = ", ".join(["nous avons une place le matin"] * 20)
    parts = split(long)
    assert len(parts) > 2
    assert all(len(each) <= LONGEST for each in parts)
    assert all(each.endswith(",") for each in parts[:-1])


@given(st.text(alphabet="abé .,!?\n…»«'12*-", max_size=600), st.integers(1, 50))
def test_nothing_that_can_be_said_is_lost_or_said_twice(text: str, size: int) -> None:
    def letters(words: str) -> str:
        return "".join(each for each in words if each.isalpha())

    assert letters("".join(split(text, size))) == letters(text)


def test_markdown_is_not_read_out() -> None:
    assert spoken_text("**Oui**, _vraiment_ : ~~non~~ ```\nx\n```") == "Oui, _vraiment_ : non x"


@pytest.mark.parametrize("text", ["." * 8000, "**a " * 2000, "`" * 8000, "a. " * 2600, "\n" * 8000])
def test_a_hostile_text_takes_no_longer_than_an_honest_one(text: str) -> None:
    began = time.perf_counter()
    split(text, len(text))
    assert time.perf_counter() - began < 0.5

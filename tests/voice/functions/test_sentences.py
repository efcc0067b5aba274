"""Both languages say the same things."""

import string

import pytest

from voice.functions import FUNCTIONS
from voice.functions.sentences import ENGLISH, FRENCH, say


def _fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_same_keys_and_fields() -> None:
    assert FRENCH.keys() == ENGLISH.keys()
    assert {key: _fields(text) for key, text in FRENCH.items()} == {
        key: _fields(text) for key, text in ENGLISH.items()
    }


@pytest.mark.parametrize(
    ("locale", "begins"),
    [("fr-FR", "À quel"), ("en-GB", "What"), ("en_US", "What"), ("br", "À quel"), ("", "À quel")],
)
def test_language(locale: str, begins: str) -> None:
    assert say(locale, "name_missing").startswith(begins)


def test_values_are_data() -> None:
    assert say("fr", "message_subject_for", recipient="{x} %s").endswith("{x} %s")


def test_missing_value_is_loud() -> None:
    with pytest.raises(KeyError):
        say("fr", "message_subject_for")


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.NAME)
def test_each_function_has_words_for_its_failure(function: object) -> None:
    name = function.NAME  # type: ignore[attr-defined]
    if name not in ("transfer_call", "end_call"):  # these need no storage to succeed
        assert say("fr", f"failed_{name}") != say("en", f"failed_{name}")

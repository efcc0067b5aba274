"""The dashboard's own words."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import dashboard
from dashboard.catalogue import CATALOGUES, has_sentence, sentence


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys_and_fields() -> None:
    french, english = CATALOGUES["fr"], CATALOGUES["en"]
    assert french.keys() == english.keys()
    assert {key: fields(text) for key, text in french.items()} == {
        key: fields(text) for key, text in english.items()
    }


def test_an_unknown_language_hears_french() -> None:
    assert sentence("de-DE", "conflict") == CATALOGUES["fr"]["conflict"]
    assert sentence("en-GB", "conflict") == CATALOGUES["en"]["conflict"]


def test_values_are_inserted_once() -> None:
    assert "{field}" in sentence("fr", "invalid_field", field="{field}")


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        sentence("fr", "nonsense")


def test_every_key_that_the_code_names_exists() -> None:
    named: set[str] = set()
    for path in Path(dashboard.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                named |= {
                    keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg == "message_key"
                    and isinstance(keyword.value, ast.Constant)
                    and isinstance(keyword.value.value, str)
                }
    assert named
    assert {key for key in named if not has_sentence(key)} == set()

import re
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import en, fr
from domain.messages import language_of, one_of, text

# The contract of the voice engine: key → fields that it fills.
VOICE = {
    "goodbye": set(),
    "silence_prompt_1": set(),
    "silence_prompt_2": set(),
    "silence_goodbye": set(),
    "filler_1": set(),
    "filler_2": set(),
    "max_duration_goodbye": set(),
    "technical_apology": {"company"},
    "technical_apology_no_number": {"company"},
    "technical_apology_unbound": set(),
    "overflow": {"company"},
    "overflow_no_number": {"company"},
    "overflow_unbound": set(),
    "ask_company": set(),
    "ask_company_again": set(),
    "confirm_company": {"company"},
    "tenant_unknown": set(),
    "resume": set(),
    "transfer_wait": set(),
    "transfer_failed": set(),
    "transfer_announce": {"caller", "company"},
    "transfer_announce_unknown": {"company"},
}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_the_languages_say_the_same() -> None:
    assert fr.MESSAGES.keys() == en.MESSAGES.keys()
    for key, template in fr.MESSAGES.items():
        assert fields(template) == fields(en.MESSAGES[key]), key
        same_word = template in ("photo", "document", "SMS", "WhatsApp", "e-mail")
        assert template != en.MESSAGES[key] or same_word or key == "or", key


@pytest.mark.parametrize("key", VOICE)
def test_what_the_voice_engine_says(key: str) -> None:
    assert fields(fr.MESSAGES[key]) == VOICE[key]


@pytest.mark.parametrize("catalogue", [fr.MESSAGES, en.MESSAGES])
def test_sentences_can_be_spoken(catalogue: dict[str, str]) -> None:
    for key, template in catalogue.items():
        assert template.strip() == template
        notes = ("keys_pressed", "function_note", "said_note")
        # A caller listens to the others; a model reads these, with each answer.
        for_model = key in ("introduce", "turns_note") or key.startswith("text_note")
        marks = re.search(r"[<>\[\]*_#|/]", template)
        assert not marks or for_model or key in notes, key
        assert not re.search(r"\b(?:tu|ton|ta|tes)\b", template) or for_model, key
        assert len(template) < (480 if for_model else 240), key


@pytest.mark.parametrize("key", ["technical_apology_no_number", "overflow_no_number"])
def test_nobody_is_promised_a_call_back_without_a_number(key: str) -> None:
    assert "rappelons" not in fr.MESSAGES[key]
    assert "call you back" not in en.MESSAGES[key]


@pytest.mark.parametrize("key", ["technical_apology", "overflow"])
def test_a_noted_call_is_called_back(key: str) -> None:
    assert "nous vous rappelons" in fr.MESSAGES[key]
    assert "call you back" in en.MESSAGES[key]


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("fr", "fr"),
        ("fr-FR", "fr"),
        ("fr_CA", "fr"),
        ("en", "en"),
        ("EN-gb", "en"),
        ("en_US", "en"),
        ("english", "fr"),
        ("de-DE", "fr"),
        ("", "fr"),
        (None, "fr"),
        ("-", "fr"),
    ],
)
def test_language_of(locale: str | None, language: str) -> None:
    assert language_of(locale) == language


def test_text() -> None:
    assert text("fr-FR", "confirm_company", company="Garage du Port").startswith(
        "Vous appelez bien Garage du Port ?"
    )
    assert "Garage du Port" in text("en", "confirm_company", company="Garage du Port")
    assert text("es", "goodbye") == fr.MESSAGES["goodbye"]


def test_a_template_for_later_keeps_its_field() -> None:
    assert text("fr", "keys_pressed").replace("{keys}", "1 2") == "[Touches du clavier : 1 2]"


@given(st.text())
def test_values_are_data(company: str) -> None:
    before, after = fr.MESSAGES["overflow"].split("{company}")
    assert text("fr", "overflow", company=company) == before + company + after


@pytest.mark.parametrize("company", ["{caller}", "{0}", "{company}", "{{x}}", "%s", "{!r}", "{"])
def test_values_are_never_rendered(company: str) -> None:
    said = text("fr", "transfer_announce", company=company, caller="{company}")
    assert said == f"Appel de {{company}} pour {company}. Appuyez sur 1 pour prendre l'appel."


def test_an_unknown_key_or_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("fr", "no_such_key")
    with pytest.raises(KeyError):
        text("fr", "overflow")


@pytest.mark.parametrize(
    ("choices", "french", "english"),
    [
        ([], "", ""),
        (["a"], "a", "a"),
        (["a", "b"], "a ou b", "a or b"),
        (["a", "{b}", "c"], "a, {b} ou c", "a, {b} or c"),
    ],
)
def test_one_of(choices: list[str], french: str, english: str) -> None:
    assert one_of("fr", choices) == french
    assert one_of("en", choices) == english

"""The rules of a text conversation."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from domain.agent import AgentProfile, AgentType
from messaging.conversation import (
    ABOUT_FOR,
    LONGEST,
    MOST_ANSWERS,
    About,
    Cancel,
    Confirm,
    Converse,
    OnlyMedia,
    TooMuch,
    button,
    decide,
    disclosed,
    note,
    shown_media,
    written,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WHO = AgentProfile("Garage Martin", "automobile", AgentType.RECEPTION)


@dataclass(frozen=True)
class Text:
    content: str = ""
    button: str = ""
    seq: int = 1


def about(hours: float = 2) -> About:
    return About("a1", NOW - timedelta(hours=hours))


@pytest.mark.parametrize("words", ["oui", "Oui.", "OK !", "Je confirme", "d’accord", "C'est bon"])
def test_a_word_confirms_what_our_last_text_was_about(words: str) -> None:
    assert decide([Text(words)], about(), 0, NOW) == Confirm("a1")


@pytest.mark.parametrize("words", ["annuler", "J'annule", "Annulez mon rendez-vous", "cancel"])
def test_a_word_cancels_it(words: str) -> None:
    assert decide([Text(words)], about(), 0, NOW) == Cancel("a1")


def test_without_such_a_text_the_same_word_is_only_a_word() -> None:
    assert decide([Text("oui")], None, 0, NOW) == Converse("oui")
    late = About("a1", NOW - ABOUT_FOR - timedelta(seconds=1))
    assert decide([Text("oui")], late, 0, NOW) == Converse("oui")


def test_a_sentence_is_the_agents_to_read() -> None:
    said = "impossible demain, plutôt jeudi"
    assert decide([Text(said)], about(), 0, NOW) == Converse(said)


def test_a_burst_is_one_turn_and_no_bare_word() -> None:
    burst = [Text("oui"), Text("enfin non"), Text("plutôt jeudi")]
    assert decide(burst, about(), 0, NOW) == Converse("oui\nenfin non\nplutôt jeudi")


def test_buttons_say_which_appointment() -> None:
    assert decide([Text("Je confirme", "appt:confirm:b2")], None, 0, NOW) == Confirm("b2")
    assert decide([Text("Annuler", "appt:cancel:b2")], about(), 0, NOW) == Cancel("b2")
    assert decide([Text("x", button("cancel", "b2", 3))], None, 0, NOW) == Cancel("b2", 3)
    assert decide([Text("Déplacer", "appt:move:b2")], None, 0, NOW) == Converse("Déplacer")
    assert decide([Text("x", "appt:cancel:../b2")], None, 0, NOW) == Converse("x")


def test_something_without_words_is_acknowledged() -> None:
    assert decide([Text("")], about(), 0, NOW) == OnlyMedia()
    assert decide([Text(""), Text("la voiture")], None, 0, NOW) == Converse("la voiture")


def test_machines_that_answer_each_other_come_to_an_end() -> None:
    assert decide([Text("ping")], None, MOST_ANSWERS, NOW) == TooMuch()


def test_the_first_answer_says_that_an_ai_writes_and_later_ones_dont() -> None:
    words, due = disclosed("Oui, demain à 14 h.", WHO, None, NOW)
    assert due
    assert words == "Sara, assistante IA de Garage Martin : Oui, demain à 14 h."
    again, due = disclosed("Oui.", WHO, NOW - timedelta(days=3), NOW)
    assert (again, due) == ("Oui.", False)
    assert disclosed("Oui.", WHO, NOW - timedelta(days=31), NOW)[1]


def test_an_sms_is_one_line_without_markup_and_ends_with_a_sentence() -> None:
    assert written("**Oui**,\n[ici](https://x.fr/r/1) !", "sms") == "Oui, ici : https://x.fr/r/1 !"
    long = "Une phrase assez longue pour compter. " * 40
    short = written(long, "sms")
    assert len(short) <= LONGEST["sms"]
    assert short.endswith("compter.")


def test_paragraphs_stay_where_there_is_room() -> None:
    assert written("Bonjour,\n\n\n\nOui.\n", "email") == "Bonjour,\n\nOui."


def test_media_are_named_in_the_history() -> None:
    assert shown_media(["image", "audio"], "fr-FR") == "[photo] [message vocal]"
    assert shown_media(["hologram"], "en") == "[attachment]"


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "email"])
@pytest.mark.parametrize("locale", ["fr-FR", "en-GB"])
def test_the_model_is_told_that_it_writes(channel: str, locale: str) -> None:
    assert len(note(channel, locale).splitlines()) == 2

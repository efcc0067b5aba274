"""Plain rules, without I/O: what is asked, understood, done and said, in both languages."""

from collections.abc import Mapping
from typing import Any

import pytest

from domain.messages import text
from domain.phone import spoken_digits
from voice import turns
from voice.turns import Answered, Ask, Facts, Heard, Leave, Run, State

CALLER = "+33639981234"
SLOTS = [
    {"start": f"2026-11-24T1{at}:00:00+01:00", "spoken": f"mardi à quatorze heures {at}"}
    for at in range(5)
]


def facts(locale: str = "fr-FR", **changes: Any) -> Facts:
    values: dict[str, Any] = {
        "locale": locale,
        "can_book": True,
        "has_transfer": False,
        "caller_number": CALLER,
        "region": "FR",
    }
    return Facts(**{**values, **changes})


class Talk:
    """A conversation by rules; `does` answers the functions that they run."""

    def __init__(self, facts: Facts, **results: Mapping[str, Any]) -> None:
        self.facts = facts
        self.results = results
        self.ran: list[Run] = []
        self.move: turns.Move
        self.state, self.move = turns.begin(facts, "Bonjour.")

    def __call__(self, speech: str = "", digits: str = "") -> turns.Move:
        self.state, self.move = turns.heard(self.state, Heard(speech, digits), self.facts)
        while isinstance(self.move, Run):
            self.ran.append(self.move)
            event = Answered(self.move.name, self.results[self.move.name])
            self.state, self.move = turns.answered(self.state, event, self.facts)
        return self.move

    @property
    def words(self) -> str:
        assert isinstance(self.move, Ask)
        return self.move.words


def booking(locale: str = "fr-FR", **changes: Any) -> Talk:
    return Talk(
        facts(locale, **changes),
        check_availability={"slots": SLOTS},
        book_appointment={"status": "booked", "spoken": "C'est réservé."},
        take_message={"status": "created"},
    )


@pytest.mark.parametrize("locale", ["fr-FR", "en-GB"])
def test_a_slot_is_chosen_by_keys_and_booked(locale: str) -> None:
    talk = booking(locale)
    assert talk.words.startswith("Bonjour. " + text(locale, "turns_menu_book"))
    talk(digits="1")
    for key, slot in enumerate(SLOTS[:3], 1):
        assert text(locale, "turns_slot", key=str(key), when=slot["spoken"]) in talk.words
    assert SLOTS[3]["spoken"] not in talk.words
    talk(digits="2")
    assert talk.words == text(locale, "turns_name", when=SLOTS[1]["spoken"])
    talk("Je m'appelle Marc Durand.")
    assert spoken_digits(CALLER, locale) in talk.words
    assert [run.name for run in talk.ran] == ["check_availability"], "nothing is booked unasked"
    talk(digits="1")
    assert talk.ran[1] == Run(
        "book_appointment",
        {"start": SLOTS[1]["start"], "name": "Marc Durand", "phone": CALLER},
    )
    assert talk.words.startswith("C'est réservé. "), "said once the function has said it"
    assert talk.state.done
    assert talk() == Leave("end", text(locale, "goodbye")), "silence then is a goodbye"


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("la première, s'il vous plaît", 0),
        ("plutôt la deuxième", 1),
        ("the third one", 2),
        ("le dernier", 2),
        ("le numéro deux", 1),
    ],
)
def test_a_slot_is_chosen_by_word(said: str, start: int) -> None:
    talk = booking()
    talk("je voudrais un rendez-vous")
    talk(said)
    assert talk.state.chosen is not None
    assert talk.state.chosen.start == SLOTS[start]["start"]


def test_a_word_that_merely_holds_a_number_chooses_nothing() -> None:
    talk = booking()
    talk("rendez-vous")
    talk("un peu plus tard dans la semaine")
    assert talk.state.chosen is None
    assert talk.ran[-1].arguments == {"date": "un peu plus tard dans la semaine"}


def test_other_slots_then_another_day() -> None:
    talk = booking()
    talk("rendez-vous")
    talk(digits="9")
    assert SLOTS[3]["spoken"] in talk.words
    assert SLOTS[0]["spoken"] not in talk.words
    talk("aucun des deux")
    assert talk.words == text("fr", "turns_day")
    talk("jeudi prochain")
    assert talk.ran[-1] == Run("check_availability", {"date": "jeudi prochain"})
    talk("vendredi")  # instead of a number
    assert talk.ran[-1] == Run("check_availability", {"date": "vendredi"})


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("Je voudrais prendre rendez-vous", "book"),
        ("I'd like to book a table", "book"),
        ("Laissez-moi laisser un message", "message"),
        ("Vous pouvez me rappeler ?", "message"),
        ("C'est une urgence, je veux un rendez-vous", "urgent"),
        ("Ce n'est pas normal, c'est urgent", "urgent"),
        ("Je ne peux pas attendre, urgence", "urgent"),
        ("Non, urgent", "urgent"),
        ("Ce n'est pas seulement urgent, c'est grave", "urgent"),
        ("Ce n'est pas une urgence mais là c'est devenu urgent", "urgent"),
        ("Ce n'est pas urgent", None),
        ("C'est pas du tout une urgence, je voudrais un rendez-vous", "book"),
        ("Il n'y a rien d'urgent, pouvez-vous me rappeler ?", "message"),
        ("Pas d'urgence, mais passez-moi quelqu'un", "human"),
        ("It isn't really urgent, I need an appointment", "book"),
        ("There's no emergency", None),
        ("Je veux parler à un être humain", "human"),
        ("Can I speak to somebody", "human"),
        ("Je voudrais vraiment un rendez-vous pour une personne", "book"),
        ("Je voudrais annuler mon rendez-vous", "message"),
        ("I need to reschedule my appointment", "message"),
        ("Au revoir", "bye"),
        ("la météo", None),
    ],
)
def test_what_is_wanted(said: str, intent: str | None) -> None:
    assert turns._intent(Heard(said)) == intent


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Je m'appelle Marc Durand.", "Marc Durand"),
        ("Euh, oui, c'est Claire Fontaine", "Claire Fontaine"),
        ("My name is John Smith", "John Smith"),
        ("it's Ann", "Ann"),
        ("I'm Ann", "Ann"),
        ("Durand", "Durand"),
        ("Isabelle Petit", "Isabelle Petit"),
        ("12 34", ""),
        ("…", ""),
    ],
)
def test_names(said: str, name: str) -> None:
    assert turns.name_of(said) == name


def test_a_withheld_number_is_asked_for_and_read_back() -> None:
    talk = booking(caller_number=None)
    talk(digits="1")
    talk(digits="1")
    talk("Marc Durand")
    assert talk.move == Ask(text("fr", "turns_number"), "number")
    talk(digits="12")
    assert text("fr", "turns_again") in talk.words
    talk(digits="0639985678")
    assert spoken_digits("+33639985678", "fr") in talk.words
    talk("non, pas celui-là")
    assert talk.words == text("fr", "turns_number")
    talk("06 39 98 76 54")
    talk("oui c'est ça")
    assert talk.ran[-1].arguments["phone"] == "+33639987654"


def test_a_message_is_said_to_be_noted_after_it_is() -> None:
    talk = booking()
    talk("Je voudrais laisser un message")
    assert talk.move == Ask(text("fr", "turns_message"), "words")
    talk("Les documents sont prêts.")
    assert talk.ran == [Run("take_message", {"message": "Les documents sont prêts."})]
    assert talk.words.startswith(text("fr", "turns_noted"))


def test_an_emergency() -> None:
    ringing = booking(has_transfer=True)
    assert ringing("c'est une urgence") == Leave("transfer", text("fr", "turns_urgent_transfer"))
    alone = Talk(facts(), create_ticket={"status": "created"})
    alone("urgence")
    assert "112" in alone.words
    alone("Une fuite d'eau")
    (run,) = alone.ran
    assert (run.name, run.arguments["priority"]) == ("create_ticket", "urgent")


def test_nobody_to_be_put_through_to() -> None:
    talk = booking()
    assert text("fr", "turns_menu_human") not in talk.words
    talk(digits="3")
    assert talk.words.startswith(text("fr", "turns_nobody_there"))
    assert talk.move == Ask(talk.words, "words")
    ringing = booking(has_transfer=True)
    assert text("fr", "turns_menu_human") in ringing.words
    assert ringing(digits="3") == Leave("transfer", text("fr", "transfer_wait"))


def test_an_agent_that_books_nothing_offers_nothing() -> None:
    talk = Talk(facts(can_book=False), take_message={"status": "created"})
    assert text("fr", "turns_menu_book") not in talk.words
    talk(digits="1")
    assert text("fr", "turns_again") in talk.words
    talk("un rendez-vous")
    assert talk.state.step == "message"


def test_twice_no_answer_is_the_next_rung_s_turn() -> None:
    talk = booking()
    talk()
    assert talk.words.startswith(text("fr", "turns_nothing"))
    assert talk() == Leave("below")
    talk = booking()
    talk("la météo")
    assert talk("la bourse") == Leave("below")
    talk = booking()
    talk()
    talk(digits="1")
    assert talk.state.missed == 0, "an answer forgives"


def test_a_slot_that_was_taken_meanwhile() -> None:
    talk = Talk(
        facts(),
        check_availability={"slots": SLOTS[:1]},
        book_appointment={"status": "taken", "spoken": "Pris.", "alternatives": SLOTS[3:]},
    )
    talk(digits="1")
    talk(digits="1")
    talk("Marc Durand")
    talk(digits="1")
    assert talk.words.startswith(text("fr", "turns_taken"))
    assert "réservé." not in talk.words.replace("rien n'est réservé.", "")
    assert SLOTS[3]["spoken"] in talk.words
    for _ in range(2):
        talk(digits="1")
        if talk.state.step == "confirm":
            talk(digits="1")
    assert talk.state.step == "message", "not for ever"


def test_functions_that_fail() -> None:
    failed = {"status": "error", "spoken": "Je n'arrive pas.", "slots": []}
    talk = Talk(facts(), check_availability=failed, take_message=failed)
    talk(digits="1")
    assert talk.words.startswith("Je n'arrive pas.")
    assert talk.state.step == "message"
    assert talk("Rappelez-moi") == Leave("below", "Je n'arrive pas.")
    empty = Talk(facts(), check_availability={"slots": []})
    empty(digits="1")
    assert empty.words.startswith(text("fr", "turns_none"))


@pytest.mark.parametrize("digits", ["*", "#", "8", "99", "0"])
@pytest.mark.parametrize(
    "step", ["menu", "more", "slots", "day", "name", "number", "confirm", "message"]
)
def test_any_key_anywhere_leads_somewhere(step: str, digits: str) -> None:
    slots = tuple(turns.Slot(**slot) for slot in SLOTS)
    state = State(step=step, slots=slots, chosen=slots[0], purpose="book", number=CALLER)
    _, move = turns.heard(state, Heard(digits=digits), facts())
    assert isinstance(move, Ask | Run | Leave)


def test_when_the_model_falls_silent_its_last_question_isn_t_lost() -> None:
    said = Heard("Je voudrais un rendez-vous mardi")
    _, move = turns.after_model(facts(), said, done=False)
    assert move == Run("check_availability", {})
    state, move = turns.after_model(facts(), said, done=True, words="C'est réservé.")
    assert isinstance(move, Ask)
    assert move.words.startswith("C'est réservé.")
    assert state.done
    _, move = turns.after_model(facts(), Heard("la météo"), done=False)
    assert isinstance(move, Ask)
    assert text("fr", "turns_menu_message") in move.words


def test_after_a_transfer_that_failed_the_message_is_asked_for() -> None:
    _, ask = turns.begin(facts(), "", nobody_answered=True)
    assert ask == Ask(text("fr", "turns_nobody"), "words")

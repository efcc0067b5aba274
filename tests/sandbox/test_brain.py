"""The scripted mind: rules, places to fill, and what it refuses."""

import json
from datetime import date
from typing import Any

import pytest

from sandbox.brain import (
    Action,
    Brain,
    Call,
    Heard,
    Note,
    Result,
    RuleError,
    Speak,
    Tool,
    quoted,
)

FRIDAY = date(2026, 11, 20)
TOOLS = (
    Tool("check_availability", frozenset({"date", "part_of_day"})),
    Tool("book_appointment", frozenset({"start", "name"})),
    Tool("end_call"),
)


def brain(*rules: dict[str, Any], **more: Any) -> Brain:
    return Brain(rules, today=FRIDAY, **more)


def heard(*clips: str) -> Heard:
    return Heard(clips, " ".join(clips))


def test_it_answers_what_it_hears_with_words_and_a_call() -> None:
    mind = brain(
        {
            "heard": "rdv",
            "say": "Je regarde.",
            "call": {"name": "check_availability", "arguments": {"date": "{day+4}"}},
        }
    )
    assert mind.think([heard("rdv")], TOOLS) == [
        Speak("Je regarde."),
        Call("check_availability", {"date": "2026-11-24"}),
    ]
    assert not mind.unmatched


@pytest.mark.parametrize(
    ("place", "day"),
    [
        ("{day+0}", "2026-11-20"),
        ("{day+1}", "2026-11-21"),
        ("{workday+1}", "2026-11-23"),
        ("{workday+6}", "2026-11-30"),
    ],
)
def test_days(place: str, day: str) -> None:
    assert brain({"heard": "x", "say": f"le {place}"}).think([heard("x")], ()) == [
        Speak(f"le {day}")
    ]


def test_results_fill_texts_and_arguments_and_are_remembered() -> None:
    slots = {"slots": [{"start": "S0", "spoken": "lundi"}, {"start": "S1", "spoken": "mardi"}]}
    mind = brain(
        {
            "result": "check_availability",
            "say": "{result.slots.0.spoken} ou {result.slots.1.spoken}",
        },
        {
            "heard": "la deuxième",
            "call": {
                "name": "book_appointment",
                "arguments": {
                    "start": "{memory.check_availability.slots.1.start}",
                    "name": "Marc ({caller.number})",
                },
            },
        },
        caller={"number": "+33639981234"},
    )
    assert mind.think([Result("check_availability", json.dumps(slots))], TOOLS) == [
        Speak("lundi ou mardi")
    ]
    assert mind.think([heard("la deuxième")], TOOLS) == [
        Call("book_appointment", {"start": "S1", "name": "Marc (+33639981234)"})
    ]


def test_a_place_alone_keeps_its_type() -> None:
    mind = brain({"result": "f", "call": {"name": "end_call", "arguments": {"n": "{result.n}"}}})
    assert mind.think([Result("f", '{"n": 3}')], TOOLS) == [Call("end_call", {"n": 3})]


def test_a_result_may_be_told_by_its_status() -> None:
    rules = (
        {"result": "book_appointment", "status": "taken", "say": "pris"},
        {"result": "book_appointment", "status": "booked", "say": "réservé"},
    )
    for status, said in (("taken", "pris"), ("booked", "réservé")):
        output = json.dumps({"status": status})
        assert brain(*rules).think([Result("book_appointment", output)], ()) == [Speak(said)]


def test_a_result_that_is_no_json_is_text() -> None:
    mind = brain({"result": "f", "say": "{result.text}"})
    assert mind.think([Result("f", "tout va bien")], ()) == [Speak("tout va bien")]


def test_the_nth_time_has_its_own_rule() -> None:
    mind = brain(
        {"heard": "oui", "say": "toujours"},
        {"heard": "oui", "times": 2, "say": "la deuxième fois"},
    )
    said = [mind.think([heard("oui")], ()) for _ in range(3)]
    assert said == [[Speak("toujours")], [Speak("la deuxième fois")], [Speak("toujours")]]


def test_the_end_of_what_was_heard_counts() -> None:
    mind = brain({"heard": "attendez", "say": "Oui ?"}, {"heard": ["jeudi"], "say": "Jeudi."})
    assert mind.think([heard("attendez", "jeudi")], ()) == [Speak("Jeudi.")]


@pytest.mark.parametrize(
    ("rules", "stimulus", "actions"),
    [
        (
            (),
            heard("x"),
            [
                Speak(
                    "Excusez-moi, je n'ai pas bien compris. Pouvez-vous répéter, s'il vous plaît ?"
                )
            ],
        ),
        (({"unheard": True, "say": "Pardon ?"},), Heard((), "grr"), [Speak("Pardon ?")]),
        (({"note": "touche 1", "say": "Un."},), Note("[Touche 1]"), [Speak("Un.")]),
        ((), Note("[Touche 1]"), [Speak("Je vous écoute.")]),
        ((), Note("Présente-toi : « Bonjour. » Puis réponds.", order=True), [Speak("Bonjour.")]),
        ((), Note("Il dit « Bonjour. »"), [Speak("Je vous écoute.")]),
        ((), Result("f", "{}"), []),
    ],
)
def test_what_no_rule_or_a_special_one_is_for(
    rules: tuple[dict[str, Any], ...], stimulus: Heard | Note | Result, actions: list[Action]
) -> None:
    mind = brain(*rules)
    assert mind.think([stimulus], ()) == actions
    assert mind.unmatched == ([] if rules else [stimulus])


def test_without_anything_new_it_listens() -> None:
    assert brain().think([], ()) == [Speak("Je vous écoute.")]


def test_an_order_comes_before_the_answer() -> None:
    mind = brain({"heard": "oui", "say": "Parfait."})
    order = Note("Dis d'abord « Ici Sara. »", order=True)
    assert mind.think([order, heard("oui")], ()) == [Speak("Ici Sara."), Speak("Parfait.")]


def test_a_function_that_the_session_has_not_is_not_called() -> None:
    mind = brain({"heard": "x", "say": "Je transfère.", "call": {"name": "transfer_call"}})
    assert mind.think([heard("x")], TOOLS) == [Speak("Je transfère.")]
    assert mind.defects == ["the session declares no function transfer_call"]


def test_a_parameter_that_the_function_has_not_is_a_defect() -> None:
    call = {"name": "check_availability", "arguments": {"jour": "mardi"}}
    mind = brain({"heard": "x", "call": call})
    assert mind.think([heard("x")], TOOLS) == [Call("check_availability", {"jour": "mardi"})]
    assert mind.defects == ["check_availability has no parameter jour"]


@pytest.mark.parametrize("place", ["{result.slots.0.spoken}", "{memory.f.x}", "{caller.mood}"])
def test_a_place_that_stands_for_nothing_is_a_defect(place: str) -> None:
    mind = brain({"result": "f", "say": f"Donc {place}."})
    assert [type(each) for each in mind.think([Result("f", '{"slots": []}')], ())] == [Speak]
    assert place in mind.defects[0]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"say": "x"}, "exactly one"),
        ({"heard": "x", "note": "y", "say": "z"}, "exactly one"),
        ({"heard": "x"}, "neither"),
        ({"heard": "x", "sya": "y", "say": "z"}, "unknown field sya"),
        ({"heard": "x", "status": "taken", "say": "z"}, "goes with"),
        ({"heard": "x", "call": {"arguments": {}}}, "needs a name"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        brain(rule)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Dis exactement, mot pour mot: «Bonjour !»", "Bonjour !"),
        ('Say exactly: "Good morning."', "Good morning."),
        ("Dis « le mot « oui » »", "le mot « oui »"),
        ("Relance l'appelant.", None),
    ],
)
def test_quotations(text: str, words: str | None) -> None:
    assert quoted(text) == words

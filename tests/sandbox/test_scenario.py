import pytest

from sandbox.scenario import FOLDER, ScenarioError, load, names, parse

ASKED_FOR = {
    *("appointment", "prospect", "ticket", "hesitation", "interruption", "wrong_number"),
    *("silence", "anger", "hang_up", "spelled_email", "robot"),
}


def test_all_conversations_are_there() -> None:
    assert set(names()) >= ASKED_FOR


@pytest.mark.parametrize("name", names())
def test_a_scenario_can_be_played(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert load(str(FOLDER / f"{name}.toml")) == scenario
    farewells = [
        rule["call"]["name"]
        for rule in scenario.rules
        if "call" in rule and rule["call"]["name"] in ("end_call", "transfer_call")
    ]
    if scenario.expect.hung_up_by == "server" and scenario.rules:
        assert len(set(farewells)) == 1  # the model ends what it began
        assert scenario.caller.steps[-1].wait_end


def test_the_demo_shows_an_interruption() -> None:
    assert load("appointment").expect.barge_ins == 1


GOOD = """
title = "t"
[tenant]
sector = "automobile"
agent_type = "appointment"
[caller]
number = "+33639981234"
voice = "marc"
[[caller.step]]
say = "oui_marc"
[expect]
outcome = "informed"
functions = ["create_ticket"]
[[model.rule]]
heard = "oui_marc"
call = { name = "create_ticket", arguments = { subject = "{caller.number}" } }
[[model.rule]]
result = "create_ticket"
say = "C'est noté."
"""


def test_defaults() -> None:
    scenario = parse(GOOD, "good")
    [step] = scenario.caller.steps
    assert (step.wait, step.say, step.hang_up, step.wait_end) == (
        "agent_done",
        "oui_marc",
        False,
        False,
    )
    assert scenario.caller.forwarded
    assert (scenario.expect.barge_ins, scenario.expect.hung_up_by) == (0, "server")
    assert scenario.callee is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "t"', "", "good: 'title' is missing"),
        ('title = "t"', "title = 3", "'title' must be str, is 3"),
        ('title = "t"', 'title = "t"\ncolour = "red"', "good: unknown key 'colour'"),
        ('sector = "automobile"', "", "[tenant]: 'sector' is missing"),
        ('sector = "automobile"', 'sector = "a"\nname = "b"', "[tenant]: unknown key 'name'"),
        ('"+33639981234"', '"0639981234"', "neither E.164 nor"),
        ('voice = "marc"', 'voice = "bob"', "no caller has the voice 'bob'; there are: claire,"),
        ('say = "oui_marc"', 'say = "oui_bob"', "step 1: no caller's clip 'oui_bob'"),
        ('say = "oui_marc"', "", "needs exactly one of say, press"),
        ('say = "oui_marc"', 'say = "oui_marc"\npress = "1"', "needs exactly one of say, press"),
        ('say = "oui_marc"', 'say = "oui_claire"', "spoken by claire, the caller is marc"),
        ('say = "oui_marc"', 'say = "oui_marc"\nwait = "never"', "wait 'never' is none of"),
        ('say = "oui_marc"', 'say = "oui_marc"\nover_ms = 5', "over_ms goes with wait"),
        ('say = "oui_marc"', "stay_silent_ms = -1", "must not be negative"),
        ('say = "oui_marc"', 'press = "12A"', "keys are 0-9, * and #"),
        ('say = "oui_marc"', "hang_up = 1", "'hang_up' must be bool"),
        ('say = "oui_marc"', 'say = "non_marc"', "no model.rule has heard = 'non_marc'"),
        ('heard = "oui_marc"', 'heard = "oui_bob"', "'oui_bob', which is no caller's clip"),
        ('heard = "oui_marc"', 'herd = "oui_marc"', "unknown field herd"),
        ('result = "create_ticket"', 'result = "take_message"', "create_ticket is called, and no"),
        ('say = "C\'est noté."', 'say = "{answer.x}"', "{answer…}"),
        ('functions = ["create_ticket"]', "functions = []", "expected functions are []"),
        ('functions = ["create_ticket"]', "functions = [1]", "must be a list of strings"),
        ('outcome = "informed"', 'outcome = "x"\nhung_up_by = "me"', "neither server nor caller"),
        ("[expect]", '[callee]\nbehaviour = "busy"\n[expect]', "go together"),
        ("[expect]", '[callee]\nbehaviour = "sings"\n[expect]', "behaviour 'sings' is none of"),
        ("[[caller.step]]", "[[caller.stop]]", "unknown key 'stop'"),
        ("[tenant]", "[tenant", "not TOML"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, says: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(ScenarioError) as error:
        parse(GOOD.replace(old, new, 1), "good")
    assert says in str(error.value)
    assert str(error.value).startswith("good")


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="appointment"):
        load("lottery")

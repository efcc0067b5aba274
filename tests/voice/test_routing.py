"""Whose call is this: the order of the issue, and never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tenant import Tenant
from voice.routing import Ask, Confirm, Decision, Found, is_yes, match_company, whose

PORT = Tenant("port", "Garage du Port", "1111")
MOREAU = Tenant("moreau", "Cabinet Moreau", "2222")
NORD = Tenant("nord", "Garage du Port Nord", "3333")
CHENE = Tenant("chene", "L'Atelier du Chêne & Fils", "4444")
SALON = Tenant("salon", "Salon", "5555")
ALL = [PORT, MOREAU, NORD, CHENE, SALON]


@pytest.mark.parametrize(
    ("dialled", "forwarded", "line", "recent", "decision"),
    [
        (PORT, True, MOREAU, [NORD], Found(PORT, "to")),
        (None, True, MOREAU, [NORD], Found(MOREAU, "forwarded_from")),
        (None, True, None, [NORD], Ask()),  # another business's line: no further search
        (None, False, None, [NORD], Confirm(NORD, "history")),
        (None, False, None, [NORD, PORT], Ask()),
        (None, False, None, [], Ask()),
    ],
)
def test_order(
    dialled: Tenant | None,
    forwarded: bool,
    line: Tenant | None,
    recent: list[Tenant],
    decision: Decision,
) -> None:
    assert whose(dialled=dialled, forwarded=forwarded, line=line, recent=recent) == decision


@pytest.mark.parametrize(
    ("speech", "decision"),
    [
        ("Le cabinet Moreau, s'il vous plaît", Found(MOREAU, "name")),
        ("moreau", Confirm(MOREAU, "name")),
        ("bonjour je voudrais l'atelier du chene et fils", Found(CHENE, "name")),
        ("Garage du Port", Found(PORT, "name")),
        ("le garage du port nord", Confirm(NORD, "name")),
        ("cabinet Morreau", Confirm(MOREAU, "name")),
        ("le garage", Ask()),
        ("un salon", Ask()),
        ("", Ask()),
        ("la boulangerie du centre", Ask()),
        (
            "je suis monsieur moreau et j'ai une facture impayée chez vous depuis mardi",
            Confirm(MOREAU, "name"),
        ),
    ],
)
def test_company_by_voice(speech: str, decision: Decision) -> None:
    assert match_company(speech, ALL) == decision


@pytest.mark.parametrize(
    ("speech", "name"),
    [
        ("le salon Léa, s'il vous plaît", "Salon Léa & Fils"),
        ("bella napoli", "Pizzeria Bella Napoli"),
        ("le garage Dupond", "Garage Dupont"),
        ("le salon", None),
        ("Martin", None),  # two have it
    ],
)
def test_part_of_a_name_and_what_sounds_like_it_are_asked_back(
    speech: str, name: str | None
) -> None:
    names = ["Salon Léa & Fils", "Pizzeria Bella Napoli", "Garage Dupont", "Cabinet Martin Roux"]
    tenants = [Tenant(each, each, "0000") for each in [*names, "Martin Plomberie Paris"]]
    expected: list[Decision] = [Confirm(each, "name") for each in tenants if each.name == name]
    assert match_company(speech, tenants) == (expected[0] if expected else Ask())


@given(st.text(max_size=300))
def test_no_speech_breaks_the_matching(speech: str) -> None:
    match_company(speech, ALL)
    is_yes(speech, "")


@given(st.text(alphabet="bcdfghjkmpqvwxz ", max_size=40))
def test_noise_binds_nobody(speech: str) -> None:
    assert not isinstance(match_company(speech, ALL), Found)


@pytest.mark.parametrize(
    ("speech", "digits", "yes"),
    [
        ("", "1", True),
        ("oui", "2", False),
        ("Oui.", "", True),
        ("oui c'est ça", "", True),
        ("tout à fait", "", True),
        ("bien sûr", "", True),
        ("bien sûr que non", "", False),
        ("non", "", False),
        ("non, pas du tout", "", False),
        ("c'est pas ça", "", False),
        ("oui... enfin non", "", False),
        ("allô ?", "", False),
        ("", "", False),
    ],
)
def test_only_a_clear_yes(speech: str, digits: str, yes: bool) -> None:
    assert is_yes(speech, digits) is yes

"""Scores with their reasons, and the next question."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.qualification import (
    PROJECTS,
    Answers,
    joined,
    project_of,
    qualify,
    questions,
)

BUYER = Answers(
    project="buy",
    place="Toulouse",
    property_type="T3",
    budget_max=300_000,
    rooms=3,
    surface=65,
    deadline="dans deux mois",
    financing="accord de la banque",
    name="Léa Martin",
    phone="+33639981234",
)


@pytest.mark.parametrize(
    ("words", "project"),
    [
        ("achat", "buy"),
        ("Je cherche un T3 à Toulouse", "buy"),
        ("acheter pour investir", "buy"),
        ("vendre ma maison", "sell"),
        ("mise en vente", "sell"),
        ("faire estimer avant de vendre", "estimate"),
        ("Évaluation", "estimate"),
        ("une estimation", "estimate"),
        ("louer un studio", "rent"),
        ("cherche une location", "rent"),
        ("LOYER", "rent"),
        ("looking to rent a flat", "rent"),
        ("un achat rentable, à voir vendredi", "buy"),
        ("vendredi matin, pour la lettre", ""),
        ("réparer mes freins", ""),
        ("", ""),
    ],
)
def test_what_they_want(words: str, project: str) -> None:
    assert project_of(words) == project


def test_a_complete_buyer_is_hot() -> None:
    judged = qualify(BUYER, real_estate=True)
    assert (judged.score, judged.missing, judged.hot) == (100, (), True)
    assert judged.reasons == (
        "answered +50",
        "reachable +15",
        "named +5",
        "soon +15",
        "financed +15",
    )


def test_the_next_question_is_the_first_missing() -> None:
    judged = qualify(Answers(project="buy", place="Toulouse", budget_max=300_000), real_estate=True)
    assert judged.missing[0] == "property_type"
    assert "budget" not in judged.missing
    assert qualify(Answers(), real_estate=True).missing[0] == "project"
    assert qualify(Answers(), real_estate=False).missing == (
        "need",
        "deadline",
        "budget",
        "name",
        "phone",
    )


def test_a_seller_is_asked_for_no_budget() -> None:
    for project in ("sell", "estimate"):
        assert not {"budget", "financing"} & set(questions(project, real_estate=True))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"deadline": "dans deux ans"}, "later -10"),
        ({"deadline": "le plus vite possible, ce mois-ci"}, "soon +15"),
        ({"financing": "prêt refusé"}, "unfinanced -10"),
        ({"financing": "pas encore vu la banque"}, "unfinanced -10"),
        ({"financing": None, "budget_max": 900}, "budget_unlikely -10"),
        ({"financing": None}, "budget +10"),
        ({"financing": None, "project": "sell"}, "owner +15"),
    ],
)
def test_reasons(change: dict[str, object], reason: str) -> None:
    assert reason in qualify(replace(BUYER, **change), real_estate=True).reasons  # type: ignore[arg-type]


texts = st.none() | st.text(max_size=20)
amounts = st.none() | st.integers(0, 10**9)
answers = st.builds(
    Answers,
    project=st.none() | st.sampled_from(PROJECTS),
    need=texts,
    place=texts,
    property_type=texts,
    budget_min=amounts,
    budget_max=amounts,
    surface=amounts,
    rooms=amounts,
    deadline=texts,
    financing=texts,
    name=texts,
    phone=texts,
    email=texts,
)


@given(answers, st.booleans())
def test_a_score_is_the_sum_of_its_reasons(known: Answers, real_estate: bool) -> None:
    judged = qualify(known, real_estate=real_estate)
    total = sum(int(reason.rpartition(" ")[2]) for reason in judged.reasons)
    assert judged.score == max(0, min(100, total))
    assert len(set(judged.missing)) == len(judged.missing)


@given(answers, answers)
def test_silence_takes_nothing_back(earlier: Answers, later: Answers) -> None:
    both = joined(earlier, later)
    for name in ("place", "deadline", "surface", "name"):
        if getattr(later, name) is not None:
            assert getattr(both, name) == getattr(later, name)
        else:
            assert getattr(both, name) == getattr(earlier, name)
    assert joined(both, Answers()) == both
    if both.budget_min is not None and both.budget_max is not None:
        assert both.budget_min <= both.budget_max

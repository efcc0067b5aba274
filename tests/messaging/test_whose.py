"""Whose a text on a shared number is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from domain.tenant import Tenant
from messaging.whose import NAMED, Ask, Meant, code_in, named_by, whose

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GARAGE = Tenant("t1", "Garage Martin", "1234")
DENTIST = Tenant("t2", "Cabinet dentaire Léger", "5678")
SALON = Tenant("t3", "Salon Martin & Fils", "9012")


@dataclass(frozen=True)
class Wrote:
    tenant: Tenant
    wrote_at: datetime | None
    heard_at: datetime | None = None


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def test_nobody_wrote_so_nobody_is_meant() -> None:
    assert whose([], NOW) == Ask(())


def test_the_only_one_that_wrote_is_meant() -> None:
    assert whose([Wrote(GARAGE, ago(days=20))], NOW) == Meant(GARAGE)


def test_the_last_one_is_meant_when_the_other_wrote_long_ago() -> None:
    wrote = [Wrote(DENTIST, ago(hours=2)), Wrote(GARAGE, ago(days=10))]
    assert whose(wrote, NOW) == Meant(DENTIST)


def test_two_that_wrote_lately_are_both_named_the_likelier_first() -> None:
    wrote = [Wrote(DENTIST, ago(hours=2)), Wrote(GARAGE, ago(hours=30))]
    assert whose(wrote, NOW) == Ask((DENTIST, GARAGE))


def test_whom_the_person_went_on_with_is_meant() -> None:
    """Both wrote; the person answered the garage after that: nothing is ambiguous any more."""
    wrote = [
        Wrote(DENTIST, ago(hours=3)),
        Wrote(GARAGE, ago(hours=5), heard_at=ago(hours=1)),
    ]
    assert whose(wrote, NOW) == Meant(GARAGE)


def test_a_later_text_of_another_makes_it_ambiguous_again() -> None:
    wrote = [
        Wrote(DENTIST, ago(minutes=10)),
        Wrote(GARAGE, ago(hours=5), heard_at=ago(hours=1)),
    ]
    # The dentist wrote last; the garage's last word is older than the person's to it.
    assert whose(wrote, NOW) == Ask((DENTIST, GARAGE))


def test_a_question_names_no_more_than_a_few() -> None:
    many = [Wrote(Tenant(f"t{n}", f"N{n}", f"{n:04}"), ago(hours=n + 1)) for n in range(9)]
    asked = whose(many, NOW)
    assert isinstance(asked, Ask)
    assert len(asked.among) == NAMED


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("1", GARAGE),
        (" 2. ", DENTIST),
        ("n° 2", DENTIST),
        ("4", None),
        ("1234", GARAGE),
        ("garage martin", GARAGE),
        ("GARAGE MARTIN !", GARAGE),
        ("leger", DENTIST),
        ("Léger", DENTIST),
        ("martin", None),  # two of them
        ("bonjour", None),
        ("", None),
    ],
)
def test_what_an_answer_names(answer: str, meant: Tenant | None) -> None:
    assert named_by(answer, [GARAGE, DENTIST, SALON]) == meant


def test_a_code_is_four_digits_and_nothing_else() -> None:
    assert code_in(" 1234 ") == "1234"
    assert code_in("le 1234") is None
    assert code_in("12345") is None

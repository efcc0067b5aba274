"""A company is found among thousands, and nobody's audio waits meanwhile."""

import random
import time

from domain.tenant import Tenant
from voice.routing import Ask, Confirm, match_company

WORDS = "moreau dupont lumiere soleil pierre martin bleu vert rivage lyon horizon jardin".split()


def tenants(*names: str) -> list[Tenant]:
    return [Tenant(str(number), name, f"{number:04}") for number, name in enumerate(names)]


def test_a_thousand_names_are_compared_in_a_moment() -> None:
    dice = random.Random(1)
    many = tenants(*(" ".join(dice.sample(WORDS, 3)) + f" {n}" for n in range(1000)))
    speech = "xylophone " * 20
    match_company(speech, many)
    best = 1.0
    for _ in range(5):
        began = time.thread_time()
        assert isinstance(match_company(speech, many), Ask)
        best = min(best, time.thread_time() - began)
    assert best < 0.05, "two and a half frames of everybody's audio"


def test_a_second_who_is_nearly_as_alike_still_counts() -> None:
    """Names too unlike to be chosen are left out of the comparison; this one isn't."""
    alone, rival = tenants("Garage Dupontel", "Garage Duponteaux")
    heard = "duponteo"
    decision = match_company(heard, [alone])
    assert decision == Confirm(alone, "name")
    assert match_company(heard, [alone, rival]) == Ask()

"""Free slots are fast enough to be asked during a call: five times issue 5's bounds, since this
machine is shared; `make bench-agenda` has the bounds themselves."""

import pytest

from benchmarks.agenda import Case, fastest, month, year

PATIENCE = 5


@pytest.mark.parametrize("case", [month(), year()], ids=lambda case: case.name)
def test_free_slots_in_time(case: Case) -> None:
    assert case.ask() > 100
    assert fastest(case.ask, rounds=3) < PATIENCE * case.bound_ms


@pytest.mark.parametrize("case", [month(), year()], ids=lambda case: case.name)
async def test_asked_in_months_the_answer_is_the_same(case: Case) -> None:
    assert await case.ask_gently(case.months()) == case.ask()

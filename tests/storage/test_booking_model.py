"""Random requests against a reference model, on both databases; the clock moves meanwhile."""

import pytest

from domain.tenant import Tenant
from storage import Database, Storage
from tests.fakes.clock import FakeClock
from tests.storage.booking_model import BEGIN, Trial

#: What the model must have seen for the trial to mean anything.
SEEN = ("book done", "book taken", "hold done", "confirm done", "move done", "move taken")


async def _try(database: Database, tenant: Tenant, seed: int, steps: int) -> Trial:
    clock = FakeClock(BEGIN)
    trial = Trial(Storage(database, clock).tenant(tenant.id), clock, seed)
    await trial.prepare()
    await trial.run(steps)
    return trial


async def test_a_hundred_and_fifty_requests_come_out_as_the_model_says(
    database: Database, garage: Tenant
) -> None:
    trial = await _try(database, garage, seed=1, steps=150)
    assert {*SEEN, "repeat done", "wish done"} <= trial.told.keys(), trial.told


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
async def test_ten_thousand_requests_come_out_as_the_model_says(
    database: Database, garage: Tenant, seed: int
) -> None:
    trial = await _try(database, garage, seed, steps=1000)
    wanted = {*SEEN, "book past", "confirm refused", "repeat done", "misuse refused"}
    wanted |= {"wish done", "wish taken", "wish full"}
    assert wanted <= trial.told.keys(), trial.told

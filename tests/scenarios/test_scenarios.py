"""All conversations of the sandbox, at once, through a real server."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.report import CallReport
from sandbox.scenario import load, names
from tests.scenarios.conftest import Business, Deployment, deployed


@dataclass(frozen=True, slots=True)
class Played:
    report: CallReport
    call: dict[str, Any]
    appointments: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    prospects: list[dict[str, Any]]


async def play(deployment: Deployment, name: str, delay: float) -> Played:
    scenario = load(name)
    business: Business = await deployment.tenant(
        scenario.tenant.sector, scenario.tenant.agent_type
    )
    await asyncio.sleep(delay)
    report = await deployment.world.call(scenario, line=business.line)
    return Played(
        report,
        await business.the_call(),
        (await business.get("/api/v1/appointments"))["appointments"],
        (await business.get("/api/v1/tickets"))["tickets"],
        (await business.get("/api/v1/prospects"))["prospects"],
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Every scenario, each with a tenant of its own, all of them at the same time."""

    async def run() -> dict[str, Played]:
        async with deployed(tmp_path_factory.mktemp("scenarios")) as deployment:
            async with asyncio.TaskGroup() as tasks:
                running = {
                    name: tasks.create_task(play(deployment, name, 0.3 * index))
                    for index, name in enumerate(names())
                }
            return {name: task.result() for name, task in running.items()}

    return asyncio.run(run())


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", names())
def test_scenario(played: dict[str, Played], name: str) -> None:
    scenario, it = load(name), played[name]
    assert it.call["outcome"] == scenario.expect.outcome, it.report
    called = [function["name"] for function in it.call["functions"]]
    for function in scenario.expect.functions:
        assert function in called, called
    assert it.call["found_by"] == "forwarded_from"
    assert it.call["transcript"]

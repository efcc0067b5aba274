"""A pytest plugin: which test file runs when, and on which of the workers (pytest-xdist).

Tests that live through calls, kills and restarts in real time wait more than they work. So most
workers begin with them, and the last few at the other end, with those that cost most processor
time: these give way (nice), and all processors have work from the first to the last minute.
"""

import os
from functools import cache
from pathlib import PurePath

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

#: Files and folders whose tests live in real time, or measure it. Longest first.
SLOW = (
    "tests/server/test_demo.py",
    "tests/scenarios/test_faults.py",
    "tests/scenarios/test_scenarios.py",
    "tests/scenarios/",
    "tests/sandbox/test_carrier_calls.py",
    "tests/voice/test_stream_life.py",
    "tests/voice/test_stream_door.py",
    "tests/voice/test_transfer.py",
    "tests/sandbox/test_world.py",
    "tests/providers/test_vapi_leg.py",
    "tests/storage/test_jobs_killed.py",
    "tests/storage/test_capacity.py",
    "tests/voice/test_vapi_webhooks.py",
    "tests/voice/test_bypass.py",
    "tests/voice/test_many_nodes.py",
    "tests/voice/test_cascade.py",
    "tests/voice/test_agents.py",
    "tests/voice/test_bridge.py",
    "tests/voice/test_turn_taking.py",
    "tests/providers/test_openai_",
    "tests/storage/test_database.py",
    "tests/server/",
    "tests/storage/knowledge/",
)
#: Those that cost most processor time. Cheapest first: they are taken from the end.
DEAR = (
    "tests/voice/functions/test_runner.py",
    "tests/dashboard/test_api_hostile.py",
    "tests/storage/test_retention.py",
    "tests/dashboard/test_api_isolation.py",
    "tests/storage/test_migration_policy.py",
    "tests/storage/test_tenancy.py",
)
#: One worker of so many begins at the end.
OF_WHICH_ONE_FROM_THE_END = 3
#: By so much they give way to the others (nice), who need little of the processor, but in time.
GIVING_WAY = 10


@cache
def _rank(path: PurePath, root: PurePath) -> int:
    file = path.relative_to(root).as_posix()
    for number, slow in enumerate(SLOW):
        if file.startswith(slow):
            return number
    return len(SLOW) + 1 + (DEAR.index(file) if file in DEAR else -1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A stable sort: files stay whole, and fixtures of a session in their order."""
    items.sort(key=lambda item: _rank(item.path, item.config.rootpath))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker that has come to what doesn't live in real time lets those go first that do."""
    config = item.config
    rank = _rank(item.path, config.rootpath)
    if rank >= len(SLOW) and hasattr(config, "workerinput") and not _gives_way:
        os.nice(GIVING_WAY)
        _gives_way.append(True)


#: Once in a process.
_gives_way: list[bool] = []


class FromBothEnds(LoadFileScheduling):  # type: ignore[misc]
    """Files go to workers in their order; to the last workers from the end."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) >= self.numnodes - self.numnodes // OF_WHICH_ONE_FROM_THE_END:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FromBothEnds | None:
    return FromBothEnds(config, log) if config.option.dist == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Not those of most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False

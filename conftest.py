"""Makes the repository importable from the tests, offers them a real PostgreSQL, and lets those
begin first that take longest."""

import gc
import os

import hypothesis
import pytest

#: Half of the library's own hundred: the suite has minutes, not hours. `make long` takes them all.
hypothesis.settings.register_profile("short", max_examples=50)

pytest_plugins = ["tests.postgres", "tests.databases"]

#: Files and folders whose tests live through calls, kills and restarts in real time: they wait more
#: than they work, so that others run beside them. Longest first.
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
    "tests/server/",
    "tests/storage/knowledge/",
)

#: By so much the others give way to them (nice): they need little of the processor, but in time.
GIVING_WAY = 10


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A stable sort: files stay whole, and fixtures of a session in their order."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(item.config.rootpath).as_posix()
    return next((n for n, slow in enumerate(SLOW) if path.startswith(slow)), len(SLOW))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker that has come to what doesn't live in real time lets those go first that do."""
    config = item.config
    if _rank(item) == len(SLOW) and hasattr(config, "workerinput") and not _gives_way:
        os.nice(GIVING_WAY)
        _gives_way.append(True)


#: Once in a process.
_gives_way: list[bool] = []


def pytest_collection_finish() -> None:
    """Six thousand tests stay as long as the process: no collection of garbage walks them again,
    and above all not the one that each start of our application makes."""
    gc.enable()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Files go to workers in that order, and not those of most tests first (pytest-xdist)."""
    gc.disable()  # until they are collected: what is imported and collected stays
    if config.option.markexpr == "not long":
        hypothesis.settings.load_profile("short")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False

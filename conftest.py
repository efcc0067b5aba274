"""Makes the repository importable from the tests, and gives them a PostgreSQL and an order."""

import gc

import hypothesis
import pytest

#: Half of the library's own hundred: the suite has minutes, not hours. `make long` takes them all.
hypothesis.settings.register_profile("short", max_examples=50)

pytest_plugins = ["tests.postgres", "tests.databases", "tests.schedule"]


def pytest_collection_finish() -> None:
    """Six thousand tests stay as long as the process: no collection of garbage walks them again,
    and above all not the one that each start of our application makes."""
    gc.enable()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until they are collected: what is imported and collected stays
    if config.option.markexpr == "not long":
        hypothesis.settings.load_profile("short")

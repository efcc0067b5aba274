"""Who is dead, and whose turn it is: the rules alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid, OperatorError, ProviderError, TenantError
from domain.jobs import Backoff, Dead, Retry, after_death, after_failure
from storage.jobs.queue import Lane
from storage.jobs.turns import Turns
from storage.jobs.watch import Watch

BACKOFF = Backoff(first=2, longest=60, attempts=8)


def test_silence_is_counted_by_whoever_watches() -> None:
    watch = Watch(silence=10, gap=2)
    assert watch.look({"a": 1, "b": 1}, 100) == {}
    for second in range(101, 110):
        assert watch.look({"a": 1, "b": second}, second) == {}
    assert watch.look({"a": 1, "b": 110}, 110) == {"a": 1}


def test_a_time_without_looking_doesn_t_count() -> None:
    watch = Watch(silence=10, gap=2)
    watch.look({"a": 1}, 0)
    assert watch.look({"a": 1}, 3600) == {}  # we were stopped, or the database was away
    assert watch.look({"a": 1}, 3607) == {}
    watch.look({"a": 1}, 3609)
    watch.look({"a": 1}, 3611)
    watch.look({"a": 1}, 3613)
    assert watch.look({"a": 1}, 3615) == {"a": 1}


def test_whoever_held_nothing_meanwhile_is_watched_anew() -> None:
    watch = Watch(silence=2, gap=2)
    watch.look({"a": 1}, 0)
    watch.look({}, 1)
    assert watch.look({"a": 1}, 2) == {}


def test_whoever_is_gone_is_dead_at_once() -> None:
    assert Watch(silence=10, gap=2).look({"a": None}, 0) == {"a": None}


LANES = st.dictionaries(
    st.builds(Lane, st.sampled_from(["k1", "k2"]), st.sampled_from([None, "a", "b", "c"])),
    st.integers(1, 20),
)


@given(LANES, st.integers(1, 8), st.integers(0, 8))
def test_no_tenant_has_more_than_its_share(due: dict[Lane, int], places: int, busy: int) -> None:
    running = {"a": min(busy, places)}
    room = places - running["a"]
    chosen = Turns(places).choose(due, room, running)
    assert len(chosen) <= room
    assert all(count <= due[lane] for lane, count in Counter(chosen).items())
    share = max(1, places // 2)
    for tenant, count in Counter(lane.tenant_id for lane in chosen).items():
        assert count + running.get(tenant or "", 0) <= share
    others = [lane for lane in due if lane.tenant_id != "a"]
    assert chosen or not room or not others


def test_tenants_take_turns_from_one_look_to_the_next() -> None:
    turns = Turns(2)
    due = {Lane("k", tenant): 10 for tenant in ("a", "b", "c")}
    first = [turns.choose(due, 1, {})[0].tenant_id for _ in range(6)]
    assert sorted(first[:3]) == ["a", "b", "c"]
    assert first[3:] == first[:3]


def test_what_becomes_of_a_failure() -> None:
    away = ProviderError("v", "r", retryable=True)
    waits = [after_failure(away, attempt, BACKOFF, 0.5) for attempt in range(1, 9)]
    assert waits[:-1] == [Retry(seconds) for seconds in (2, 4, 8, 16, 32, 60, 60)]
    assert waits[-1] == Dead("ProviderError: v")
    assert after_failure(away, 1, BACKOFF, 0.0) == Retry(1.5)
    assert after_failure(OperatorError("disk"), 99, BACKOFF, 0.5) == Retry(15, counts=False)
    for permanent in (
        ProviderError("v", "r", retryable=False),
        TenantError("t"),
        Invalid("i"),
    ):
        assert isinstance(after_failure(permanent, 1, BACKOFF, 0.5), Dead)
    bug = ZeroDivisionError("what somebody said")
    assert isinstance(after_failure(bug, 2, BACKOFF, 0.5), Retry)
    assert after_failure(bug, 3, BACKOFF, 0.5) == Dead("ZeroDivisionError")


def test_what_dies_with_its_process_again_and_again_dies_alone() -> None:
    waits = [after_death(deaths, BACKOFF, 0.5) for deaths in range(1, BACKOFF.attempts + 1)]
    assert (waits[0], waits[-1]) == (0, None)
    assert all(0 < wait <= BACKOFF.longest for wait in waits[1:-1] if wait is not None)
    assert waits[1:-1] != waits[1:2] * len(waits[1:-1])

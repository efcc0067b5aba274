"""Faults in a row, and what one agent leaves to the next."""

from tests.voice.test_call import SCRIPT
from voice.call_rules import Rules
from voice.failover import FAILURES_BEFORE_LEAVING, Failover

RULES = Rules()


def failover() -> Failover:
    return Failover(RULES, SCRIPT)


def test_only_failures_in_a_row_end_an_agent() -> None:
    rescue = failover()
    for _ in range(5):
        assert not any(rescue.fail() for _ in range(FAILURES_BEFORE_LEAVING - 1))
        rescue.answer()
    assert [rescue.fail() for _ in range(FAILURES_BEFORE_LEAVING)][-1]


def test_who_failed_has_half_the_patience_and_so_has_who_comes_after() -> None:
    rescue = failover()
    assert rescue.patience == RULES.agent_within
    rescue.fail()
    assert rescue.patience == RULES.agent_within / 2
    rescue.answer()
    assert rescue.patience == RULES.agent_within
    rescue.lose_agent()
    assert rescue.patience == RULES.agent_within / 2, "it hasn't sounded yet"
    rescue.sound()
    assert rescue.patience == RULES.agent_within


def test_a_new_agent_begins_without_the_last_ones_failures() -> None:
    rescue = failover()
    rescue.fail()
    rescue.lose_agent()
    assert not rescue.fail()


def test_an_agent_that_sounds_makes_good_the_silent_ones_before_it() -> None:
    rescue = failover()
    for _ in range(RULES.in_vain):
        assert rescue.lose_agent()
    rescue.sound()
    changes = [rescue.lose_agent() for _ in range(RULES.agents - RULES.in_vain + 1)]
    assert changes == [True] * (RULES.agents - RULES.in_vain) + [False], "but not for ever"


def test_each_note_is_told_once_and_the_lost_agents_words_come_first() -> None:
    rescue = failover()
    rescue.result_due("book", "1")
    rescue.said("Mardi ?")
    assert rescue.has_results
    assert rescue.notes(response=1) == ["[Dit : Mardi ?]", "[book : 1]"]
    assert not rescue.has_results
    assert rescue.notes(response=1) == []


def test_a_result_is_carried_on_until_a_later_response_was_heard_to_its_end() -> None:
    rescue = failover()
    rescue.result_given("book", "1", response=3)
    rescue.spoken_of(response=3)  # it had begun before
    rescue.lose_agent()
    assert rescue.notes(response=3) == ["[book : 1]"]
    rescue.spoken_of(response=4)
    rescue.lose_agent()
    assert rescue.notes(response=4) == []


def test_what_an_agent_had_comes_before_what_came_without_one() -> None:
    rescue = failover()
    rescue.result_given("first", "1", response=1)
    rescue.result_due("second", "2")
    rescue.lose_agent()
    assert rescue.notes(response=1) == ["[first : 1]", "[second : 2]"]

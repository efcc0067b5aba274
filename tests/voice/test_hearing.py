"""Who has heard the caller, and what the next agent must hear anew."""

from collections.abc import Callable

import pytest

from voice.hearing import Doubt, Hearing

DEAF_AFTER = 0.8


def hearing() -> Hearing:
    return Hearing(DEAF_AFTER)


def speaks(ears: Hearing) -> None:
    ears.begin(1.0)


def untranscribed(ears: Hearing) -> None:
    ears.begin(1.0)
    ears.end()


def transcribed(ears: Hearing) -> None:
    untranscribed(ears)
    assert ears.transcribed() == 1.0


def loud(ears: Hearing) -> None:
    ears.rise(1.0, listening=True)


def loud_once_transcribed(ears: Hearing) -> None:
    transcribed(ears)
    loud(ears)
    assert ears.hush(2.0, listening=True) == 1.0


def overheard_while_it_owed(ears: Hearing) -> None:
    ears.doubt(DEAF_AFTER, owes=True)


def made_good_by_an_answer(ears: Hearing) -> None:
    overheard_while_it_owed(ears)
    ears.sound(announcing=False)


def a_line_of_ours_makes_nothing_good(ears: Hearing) -> None:
    overheard_while_it_owed(ears)
    ears.sound(announcing=True)


def asked_to_repeat(ears: Hearing) -> None:
    ears.doubt(DEAF_AFTER, owes=False)


def a_short_word(ears: Hearing) -> None:
    ears.doubt(0.1, owes=False)


def a_short_word_to_one_who_lives(ears: Hearing) -> None:
    a_short_word(ears)
    ears.checked()


def played_to_one_that_died(ears: Hearing) -> None:
    speaks(ears)
    ears.lose_agent()
    assert ears.take_over()


def played_and_transcribed(ears: Hearing) -> None:
    played_to_one_that_died(ears)
    ears.transcribed()


@pytest.mark.parametrize(
    ("before", "lost"),
    [
        (lambda _: None, False),
        (speaks, True),
        (untranscribed, True),
        (transcribed, False),
        (loud, True),
        (loud_once_transcribed, False),
        (overheard_while_it_owed, True),
        (made_good_by_an_answer, False),
        (a_line_of_ours_makes_nothing_good, True),
        (asked_to_repeat, True),
        (a_short_word, True),
        (a_short_word_to_one_who_lives, False),
        (played_to_one_that_died, True),
        (played_and_transcribed, False),
    ],
)
def test_what_no_agent_has_understood_is_played_to_the_next(
    before: Callable[[Hearing], None], lost: bool
) -> None:
    ears = hearing()
    before(ears)
    ears.lose_agent()
    assert ears.to_replay is lost
    assert ears.take_over() is lost
    assert not ears.to_replay
    assert not ears.speaking


def test_without_an_agent_our_own_ears_tell_who_speaks() -> None:
    ears = hearing()
    loud(ears)
    ears.lose_agent()
    assert ears.speaking
    assert ears.hush(2.0, listening=False) is None
    assert not ears.speaking
    ears.rise(3.0, listening=False)
    assert ears.speaking


def test_an_end_that_was_presumed_too_early_is_taken_back() -> None:
    ears = hearing()
    ears.begin(1.0)
    ears.end(presumed=True)
    assert ears.rise(2.0, listening=True)
    assert ears.speaking
    ears.end()
    assert not ears.rise(3.0, listening=True), "the agent has told this end"


def test_an_agent_that_misses_the_caller_twice_in_a_row_is_deaf() -> None:
    ears = hearing()
    assert ears.doubt(DEAF_AFTER, owes=False) is Doubt.ASLEEP
    ears.begin(5.0)
    assert ears.doubt(DEAF_AFTER, owes=False) is Doubt.ASLEEP, "it heard something meanwhile"
    assert ears.doubt(DEAF_AFTER, owes=False) is Doubt.DEAF


def test_of_transcripts_that_never_come_a_few_are_waited_for() -> None:
    ears = hearing()
    for second in range(100):
        ears.begin(float(second))
    ears.end()
    began = []
    while ears.transcript_due:
        began.append(ears.transcribed())
    assert began == [float(second) for second in range(92, 100)]

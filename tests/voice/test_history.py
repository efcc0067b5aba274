"""What an earlier stream left."""

import pytest

from domain.tenant import Tenant
from voice.agent import earlier
from voice.history import History

TENANT = Tenant("t", "Garage du Port", "1234")
GREETING = (
    "Garage du Port, bonjour, ici Sara, assistante vocale par intelligence artificielle. "
    "Que puis-je faire pour vous ?"
)


@pytest.mark.parametrize(
    ("turns", "resumed"),
    [
        ([], False),
        ([("caller", "Allô ? Il y a quelqu'un ? Je voudrais un rendez-vous pour mardi !")], False),
        ([("agent", "Garage du Port, bonjour,")], False),
        ([("agent", GREETING[:90])], True),
        ([("agent", GREETING), ("caller", "Bonjour")], True),
    ],
)
def test_a_caller_who_never_heard_the_greeting_is_greeted(
    turns: list[tuple[str, str]], resumed: bool
) -> None:
    assert earlier(TENANT, {}, History(turns), transfer_failed=False).resumed is resumed


@pytest.mark.parametrize(
    ("turns", "farewell"),
    [
        ([("caller", "Merci, au revoir")], False),
        ([("caller", "Vos horaires ?"), ("agent", "Neuf heures"), ("caller", "Merci !")], True),
        ([("caller", "Vos horaires ?"), ("agent", "Neuf heures")], False),
    ],
)
def test_a_farewell_is_the_callers_last_word_after_an_answer(
    turns: list[tuple[str, str]], farewell: bool
) -> None:
    assert History(turns).farewell is farewell

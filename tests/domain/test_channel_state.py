"""A channel is active when it works, not when it is ticked; what must be mended first is said."""

from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest

from domain.channel_state import (
    NUMBER_TAKEN,
    ChannelFacts,
    Why,
    channel_state,
    whatsapp_number_id,
)

WELL = ChannelFacts(enabled=True, configured=True)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, Why.WORKS),
        ({"receives": False}, Why.SENDS_ONLY),
        ({"enabled": False}, Why.OFF),
        ({"offered": False}, Why.NOT_OFFERED),
        ({"number": False}, Why.NO_NUMBER),
        ({"configured": False}, Why.NOT_CONFIGURED),
        ({"configured": False, "connecting": True}, Why.CONNECTING),
        ({"connecting": True}, Why.WORKS),
        ({"readable": False, "configured": False}, Why.UNREADABLE),
        ({"proven": False}, Why.UNVERIFIED),
        ({"retrying": True}, Why.VENDOR_DOWN),
        ({"pause": NUMBER_TAKEN}, Why.TAKEN),
        ({"pause": "131042"}, Why.PAUSED),
        ({"pause": "paused"}, Why.PAUSED),
        *(({"pause": code}, Why.REFUSED) for code in ("190", "535 5.7.8", "20003", "401")),
        # Whoever sets a channel up reads of wrong credentials before switching it on.
        ({"pause": "190", "enabled": False}, Why.REFUSED),
        ({"enabled": False, "proven": False}, Why.OFF),
    ],
)
def test_why(facts: dict[str, Any], why: Why) -> None:
    assert channel_state(replace(WELL, **facts)).why is why


def test_active_means_that_nothing_stands_in_the_way() -> None:
    names = [field.name for field in fields(ChannelFacts)]
    values = [("", "190") if name == "pause" else (False, True) for name in names]
    for combination in product(*values):
        given: dict[str, Any] = dict(zip(names, combination, strict=True))
        facts = ChannelFacts(**given)
        state = channel_state(facts)
        well = facts.enabled and facts.configured and facts.offered and facts.number
        well = well and facts.readable and facts.proven and not facts.pause and not facts.retrying
        assert state.active is well
        assert state.active is (state.why in (Why.WORKS, Why.SENDS_ONLY))


def test_the_id_of_a_number_is_found_wherever_a_page_puts_it() -> None:
    assert whatsapp_number_id({"phoneNumberId": 1098}, {}) == "1098"
    assert whatsapp_number_id({"phoneNumberId": "1"}, {"phoneNumberId": " 2 "}) == "2"
    assert whatsapp_number_id({"phoneNumberId": " "}, {}) == ""
    assert whatsapp_number_id({"phoneNumberId": True}, {}) == ""

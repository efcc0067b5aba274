"""Who takes a call: decided at once, from what is known."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from domain.messages import text
from tests.running import running
from voice.ladder import DEFAULT, SPEAKING, Rung, first_of, ladder
from voice.lower_rungs import LowerRungs, agent_name, passed_of

LINE = "+33199001234"
#: The issue's rule; the median, since two cores are shared with the rest of the suite.
DECIDING_SECONDS = 0.020


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, DEFAULT),
        ([], DEFAULT),
        (["nobody", 7], DEFAULT),
        ("turns", DEFAULT),
        (["turns"], (Rung.TURNS, Rung.VOICEMAIL)),
        (["voicemail"], (Rung.VOICEMAIL,)),
        (["voicemail", "transfer"], (Rung.TRANSFER, Rung.VOICEMAIL)),
        (["turns", "turns", "realtime"], (Rung.TURNS, Rung.REALTIME, Rung.VOICEMAIL)),
    ],
)
def test_a_tenant_s_ladder(wanted: Any, expected: tuple[Rung, ...]) -> None:
    assert ladder({"ladder": wanted}) == expected


def test_the_first_that_is_able_and_not_passed() -> None:
    able = {Rung.REALTIME, Rung.TURNS, Rung.VOICEMAIL}
    assert first_of(DEFAULT, able) is Rung.REALTIME
    assert first_of(DEFAULT, able, SPEAKING) is Rung.TURNS
    assert first_of(DEFAULT, able, {*SPEAKING, Rung.TURNS}) is Rung.VOICEMAIL
    assert first_of(DEFAULT, able, set(Rung)) is None


def test_what_is_stored_of_rungs_is_read_again() -> None:
    assert passed_of({}) == frozenset()
    assert passed_of({"passed": ["turns", "gone"]}) == {Rung.TURNS}
    assert agent_name({"kind": "said"}, "") == ""


class Chosen:
    """What was chosen, and how long it took."""

    def __init__(self) -> None:
        self.rungs: list[Rung | None] = []
        self.seconds: list[float] = []


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Chosen:
    chosen = Chosen()
    choose = LowerRungs.choose

    async def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        choice = await choose(*args, **kwargs)
        chosen.seconds.append(time.perf_counter() - began)
        chosen.rungs.append(choice.rung)
        return choice

    monkeypatch.setattr(LowerRungs, "choose", timed)
    return chosen


async def test_a_dead_vendor_is_known_after_two_calls_and_costs_nothing_then(
    chosen: Chosen, tmp_path: Path
) -> None:
    async with running(tmp_path) as twilio:  # whose model listens nowhere
        await twilio.tenant("Garage du Port", LINE)
        for number in (1, 2):
            assert (await twilio.ring(number, ForwardedFrom=LINE)).verbs == ["Connect"]
            await asyncio.sleep(0.2)  # the agent is being prepared, in vain
        for number in range(3, 23):
            assert (await twilio.ring(number, ForwardedFrom=LINE)).verbs == ["Gather"]
    assert chosen.rungs == [Rung.REALTIME] * 2 + [Rung.TURNS] * 20
    assert statistics.median(chosen.seconds[2:]) < DECIDING_SECONDS, chosen.seconds


async def test_a_tenant_without_a_ladder_of_its_own_nor_a_model(
    chosen: Chosen, tmp_path: Path
) -> None:
    async with running(tmp_path, openai_api_key=None) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        assert (await twilio.ring(ForwardedFrom=LINE)).verbs == ["Gather"]
    assert chosen.rungs == [Rung.TURNS]


async def test_an_agent_that_is_switched_off_is_silent_and_no_call_is_lost(
    chosen: Chosen, tmp_path: Path
) -> None:
    async with running(tmp_path) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        await owner.put("/api/v1/channels/phone", {"enabled": False})
        message = await twilio.ring(1, ForwardedFrom=LINE)
        assert "Record" in message.verbs
        assert "Garage du Port" in message.said
        config = {"transferNumber": "06 39 98 00 07", "ladder": ["realtime", "turns"]}
        await owner.put("/api/v1/channels/phone", {"config": config})
        put_through = await twilio.ring(2, ForwardedFrom=LINE)
        assert put_through.said == text("fr", "transfer_wait")
        # Whose own line is engaged can't be put through to it.
        own = await twilio.ring(3, ForwardedFrom=LINE, From="+33639980007")
        assert "Record" in own.verbs
        await owner.put("/api/v1/channels/phone", {"enabled": True})
        assert (await twilio.ring(4, ForwardedFrom=LINE)).verbs == ["Connect"]
    off = [Rung.VOICEMAIL, Rung.TRANSFER, Rung.VOICEMAIL]
    assert chosen.rungs == [*off, Rung.REALTIME]

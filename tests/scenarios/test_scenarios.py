"""All conversations of the sandbox, at once, through a real server."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.report import CallReport
from sandbox.scenario import load, names
from tests.scenarios.conftest import Business, Deployment, deployed

#: A quarter of the frames' spacing on an idle machine; here eleven calls, their callers and their
#: models share two cores with the rest of the suite.
BARGE_IN_MS = 250
POSITION_MS = 160  # 60 alone; 78 was seen beside a load of six
LATE_FRAMES = 25


@dataclass(frozen=True, slots=True)
class Played:
    report: CallReport
    call: dict[str, Any]
    appointments: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    prospects: list[dict[str, Any]]

    def turns(self, who: str) -> list[dict[str, Any]]:
        return [turn for turn in self.call["turns"] if turn["who"] == who]

    def functions(self) -> list[str]:
        return [function["name"] for function in self.call["functions"]]


def as_owners_write(number: str) -> str:
    """+33199000199 → "01 99 00 01 99"."""
    national = number.replace("+33", "0")
    return " ".join(national[at : at + 2] for at in range(0, len(national), 2))


async def play(deployment: Deployment, name: str, delay: float) -> Played:
    scenario = load(name)
    transfer = as_owners_write(scenario.tenant.transfer_number)
    business: Business = await deployment.tenant(
        scenario.tenant.sector,
        scenario.tenant.agent_type,
        **({"transferNumber": transfer} if transfer else {}),
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
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="module")
def played(directory: Path) -> dict[str, Played]:
    """Every scenario, each with a tenant of its own, all of them at the same time."""

    async def run() -> dict[str, Played]:
        async with deployed(directory) as deployment:
            async with asyncio.TaskGroup() as tasks:
                running = {
                    name: tasks.create_task(play(deployment, name, 0.3 * index))
                    for index, name in enumerate(names())
                }
            return {name: task.result() for name, task in running.items()}

    return asyncio.run(run())


pytestmark = pytest.mark.timeout(150)


def undamaged(defects: Mapping[str, int]) -> bool:
    """Nothing lost, repeated, reordered or crossed; and only as late as a crowded machine is."""
    return not any(count for kind, count in defects.items() if kind != "late") and (
        defects["late"] <= LATE_FRAMES
    )


@pytest.mark.parametrize("name", names())
def test_scenario(played: dict[str, Played], name: str) -> None:
    """The outcome, the functions, and not a frame lost, late, repeated or crossed."""
    scenario, it = load(name), played[name]
    assert it.call["outcome"] == scenario.expect.outcome, it.report
    for function in scenario.expect.functions:
        assert function in it.functions()
    assert it.call["found_by"] == "forwarded_from"
    assert it.call["agent"].startswith("realtime:")
    assert not it.report.errors
    assert not it.report.frames_discarded
    assert undamaged(it.report.ear_defects), it.report.ear_defects
    assert not it.report.gave_up
    assert it.report.model is not None
    for session in it.report.model["sessions"]:
        assert not session["errors"], "the vendor refused something that we sent"
        assert undamaged(session["defects"]), session["defects"]
        assert not session["script_defects"]


@pytest.mark.parametrize("name", names())
def test_the_transcript_is_what_was_heard(played: dict[str, Played], name: str) -> None:
    it = played[name]
    heard = [said for said in it.report.utterances if said.who == "agent" and said.text]
    stored = it.turns("agent")
    assert len(stored) == len([said for said in heard if said.heard_ms])
    for turn, said in zip(stored, heard, strict=False):
        if said.cut:
            assert turn["cut"] is True
            assert said.text.startswith(turn["text"])
            assert abs(turn["heard_until_ms"] - (said.heard_ms or 0)) <= POSITION_MS
        else:
            assert turn["text"] == said.text
    spoken = [said.text for said in it.report.utterances if said.who == "caller"]
    assert [turn["text"] for turn in it.turns("caller")] == spoken


@pytest.mark.parametrize("name", ["appointment", "interruption"])
def test_interruptions_are_quick_and_cut_at_the_ear(played: dict[str, Played], name: str) -> None:
    it = played[name]
    assert it.report.barge_ins
    for barge_in in it.report.barge_ins:
        assert barge_in.latency_ms is not None
        assert barge_in.latency_ms < BARGE_IN_MS
        assert barge_in.ear_ms is not None
        assert barge_in.truncated_ms is not None
        assert abs(barge_in.truncated_ms - barge_in.ear_ms) <= POSITION_MS


@pytest.mark.parametrize("name", names())
def test_an_artificial_voice_says_so_first_and_for_whom(
    played: dict[str, Played], name: str
) -> None:
    first, *others = played[name].turns("agent")
    assert "Garage du Port" in first["text"]
    assert not re.search(r"[{}\[\]<>$]", first["text"])
    if first["cut"]:  # who cuts the greeting short is told before anything else is said
        assert "intelligence artificielle" in first["text"] + others[0]["text"]
    else:
        assert "intelligence artificielle" in first["text"]


def test_a_booking_is_a_row(played: dict[str, Played]) -> None:
    it = played["appointment"]
    (appointment,) = it.appointments
    (booked,) = [f for f in it.call["functions"] if f["name"] == "book_appointment"]
    assert booked["result"]["status"] == "booked"
    assert appointment["id"] == booked["result"]["appointment_id"]
    assert appointment["prospect_name"] == "Marc Durand"
    assert appointment["prospect_phone"] == "+33639981234"
    announced = [t for t in it.turns("agent") if "réservé" in t["text"]]
    assert announced, "and it was said"
    assert announced[0]["at"] > booked["at"], "after the commit"


def test_a_spelled_email_is_written_down(played: dict[str, Played]) -> None:
    (appointment,) = played["spelled_email"].appointments
    assert appointment["prospect_email"] == "test@gmail.com"


def test_a_prospect_and_a_ticket_are_rows(played: dict[str, Played]) -> None:
    assert len(played["prospect"].prospects) == 1
    assert len(played["ticket"].tickets) == 1
    assert len(played["anger"].tickets) == 1, "a promised call-back is always a row"


def test_silence_is_prompted_twice_and_ended_at_25_seconds(played: dict[str, Played]) -> None:
    it = played["silence"]
    greeting, first, second, goodbye = it.report.utterances
    quiet = greeting.ended_ms or 0
    assert first.started_ms - quiet == pytest.approx(8000, abs=900)
    assert second.started_ms - (first.ended_ms or 0) == pytest.approx(8000, abs=900)
    assert goodbye.started_ms - quiet == pytest.approx(25_000, abs=1500)
    assert it.report.hung_up_by == "server"
    assert not goodbye.cut, "the goodbye is heard before the hang-up"


def test_the_caller_who_hangs_up_is_believed(played: dict[str, Played]) -> None:
    assert played["hang_up"].report.hung_up_by == "caller"


def test_nobody_s_words_or_numbers_are_logged(directory: Path, played: dict[str, Played]) -> None:
    log = (directory / "server.log").read_text()
    assert "call.ended" in log
    for it in played.values():
        for turn in it.call["turns"]:
            if len(turn["text"]) > 12:
                assert turn["text"] not in log
        assert it.report.from_number not in log
    assert "Durand" not in log

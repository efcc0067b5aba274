"""Calls in which a vendor breaks down, and what must be true of each: for `make faults` and, of a
sample, for `make test`.

Each call has a tenant with a key of its own, so that one call's vendor is not another's: breakers
are per key.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from sandbox.breakdown import KINDS, MOMENTS, Breakdown, Kind, Leg, Moment
from sandbox.http_faults import broken_down as broken_model
from sandbox.report import CallReport, Utterance
from sandbox.scenario import Scenario, load
from sandbox.silences import Silence, at_the_breakdown, longest
from sandbox.vapi_faults import broken_down as broken_vapi
from tests.scenarios.conftest import Business, Deployment

#: The issue's limit at the ear.
LIMIT_MS = 2500.0
SCENARIO = "rescue"

#: Of a leg: the tenant's ladder. The first rung breaks down; what follows takes over.
LEGS: dict[str, tuple[str, ...]] = {
    "realtime": ("realtime",),  # the same vendor, connected anew
    "realtime, cascade": ("realtime", "cascade"),
    "vapi, realtime": ("vapi", "realtime"),
    "stt, realtime": ("cascade", "realtime"),
    "llm, realtime": ("cascade", "realtime"),
    "tts, realtime": ("cascade", "realtime"),
}
#: Several by one name.
GROUPS: dict[str, tuple[str, ...]] = {
    "cascade": ("stt, realtime", "llm, realtime", "tts, realtime"),
}
#: The rung that breaks down.
_BREAKS: dict[str, Leg] = {
    "realtime": "realtime",
    "realtime, cascade": "realtime",
    "vapi, realtime": "vapi",
    "stt, realtime": "stt",
    "llm, realtime": "llm",
    "tts, realtime": "tts",
}
#: Whose vendor is one for all calls of a world: each of them has a server, and a world, of its own.
APART = frozenset(LEGS) - {"realtime", "realtime, cascade"}
#: Where there is no other vendor, and none that answers, the call leaves the stream: that is not a
#: rescue, and the lower rungs' tests look at it.
_ALONE = {"realtime"}
#: Each call's own: by it the emulated models know which conversation is whose. (06 39 98 00 00 to
#: 99 99 are nobody's: ARCEP's numbers for fiction.)
_CALLERS = count()
#: Vapi's sound bears no name: where the message of an interruption comes after the next sentence
#: has begun, its first frames are taken for the rest of the one that was interrupted.
_SWAPPED_FRAMES = {"vapi, realtime": 10}
#: The emulated account at Vapi.
VAPI_KEY = "vapi-private-key"


def cells(legs: Sequence[str]) -> list[tuple[str, Kind, Moment]]:
    """All that can be: leg, kind, moment."""
    return [
        (leg, kind, moment)
        for leg in legs
        for kind in KINDS
        for moment in MOMENTS
        if _can_be(leg, kind, moment)
    ]


def _can_be(leg: str, kind: Kind, moment: Moment) -> bool:
    nobody_there = moment == "before_answer" or kind == "refuse"
    if _BREAKS[leg] == "realtime":
        return not (leg in _ALONE and nobody_there)
    broken = broken_vapi if _BREAKS[leg] == "vapi" else broken_model
    try:
        broken(Breakdown(kind, moment, leg=_BREAKS[leg]))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Cell:
    """One call of the matrix, and what came of it."""

    leg: str
    kind: Kind
    moment: Moment
    report: CallReport
    call: dict[str, Any]
    appointments: list[dict[str, Any]]
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.leg}: {self.kind} at {self.moment}"

    @property
    def silence(self) -> Silence | None:
        """The longest of the whole call."""
        return longest(self.report)

    @property
    def rescue(self) -> Silence | None:
        """The longest from the breakdown on."""
        return at_the_breakdown(self.report)

    @property
    def lost(self) -> list[str]:
        """Why agents were given up."""
        return [e["reason"] for e in self.call["events"] if e["name"] == "agent_lost"]

    @property
    def agents(self) -> list[str]:
        """Who answered, in order."""
        return [e["agent"] for e in self.call["events"] if e["name"] == "agent_connected"]


async def play(deployment: Deployment, leg: str, kind: Kind, moment: Moment) -> Cell:
    """One call, with its tenant and the tenant's key."""
    scenario = load(SCENARIO)
    number = f"+3363998{next(_CALLERS) % 10_000:04}"
    scenario = replace(scenario, caller=replace(scenario.caller, number=number))
    key = f"sk-{secrets.token_hex(16)}"
    assert deployment.world.openai is not None
    deployment.world.openai.keys.add(key)
    business = await deployment.tenant(
        scenario.tenant.sector, scenario.tenant.agent_type, ladder=list(LEGS[leg])
    )
    secret = {"configSecret": {"openaiApiKey": key}}
    await deployment.request(business.key, "PUT", "/api/v1/channels/phone", secret)
    breaks = _BREAKS[leg]
    if breaks == "vapi":
        await _provisioned(business)
    report = await deployment.world.call(
        scenario, line=business.line, faults=Breakdown(kind, moment, leg=breaks, key=key)
    )
    call = await business.the_call()
    appointments = (await business.get("/api/v1/appointments"))["appointments"]
    cell = Cell(leg, kind, moment, report, call, appointments)
    cell.wrong.extend(_wrong(cell, scenario))
    return cell


async def _provisioned(business: Business) -> None:
    """The worker makes the tenant's assistant at Vapi by itself."""
    for _ in range(300):
        if (await business.get("/api/v1/channels/phone"))["channel"]["assistantId"]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no assistant")


async def play_all(
    deployment: Deployment,
    wanted: Sequence[tuple[str, Kind, Moment]],
    at_once: int,
    over: Callable[[Cell], None] = lambda _: None,
) -> list[Cell]:
    """So many at once, begun apart. `over` is told of each."""
    places = asyncio.Semaphore(at_once)

    async def one(index: int, leg: str, kind: Kind, moment: Moment) -> Cell:
        await asyncio.sleep(min(index, at_once) * 0.35)
        async with places:
            cell = await play(deployment, leg, kind, moment)
        over(cell)
        return cell

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(n, *cell)) for n, cell in enumerate(wanted)]
    return [task.result() for task in running]


def _wrong(cell: Cell, scenario: Scenario) -> list[str]:
    """What isn't as it must be, but for the silences."""
    report, call = cell.report, cell.call
    found = []
    if report.broke_down_ms is None:
        found.append("nothing broke down")
    if report.gave_up:
        found.append(f"the caller waited in vain: {report.gave_up}")
    if call["outcome"] != scenario.expect.outcome:
        found.append(f"the outcome is {call['outcome']}")
    if len(cell.appointments) != 1:
        found.append(f"{len(cell.appointments)} appointments")
    if report.errors:
        found.append(f"the carrier complains: {report.errors}")
    amiss = {name: n for name, n in report.ear_defects.items() if n and name != "late"}
    if cell.kind == "out_of_order" and amiss.get("lost", 0) <= _SWAPPED_FRAMES.get(cell.leg, 0):
        amiss.pop("lost", None)
    if amiss:
        found.append(f"at the ear: {amiss}")
    found += _transcript(report, call) if cell.leg in _ALONE else _loosely(report, call)
    found += _context(cell)
    if not any("au revoir" in said.text.casefold() for said in report.utterances if _agents(said)):
        found.append("nobody said goodbye")
    return found


def _transcript(report: CallReport, call: dict[str, Any]) -> list[str]:
    """What is stored of the agent's words is what was heard."""
    heard = [said for said in report.utterances if said.who == "agent" and said.text]
    stored = [turn for turn in call["turns"] if turn["who"] == "agent"]
    missing = [said.text for said in heard if not any(_same(turn, said) for turn in stored)]
    invented = [turn["text"] for turn in stored if not any(_same(turn, said) for said in heard)]
    return [
        *(f"heard, and not stored: {text}" for text in missing),
        *(f"stored, and not heard: {text}" for text in invented),
    ]


def _loosely(report: CallReport, call: dict[str, Any]) -> list[str]:
    """The cascade's voice is recognised by its likeness, and what Vapi says in one breath is one
    turn of its: which sentences were one utterance isn't known."""
    heard = " ".join(said.text for said in report.utterances if said.who == "agent")
    stored = [
        turn["text"] for turn in call["turns"] if turn["who"] == "agent" and not turn.get("cut")
    ]
    return [f"stored, and not heard: {text}" for text in stored if text not in heard]


def _same(turn: dict[str, Any], said: Utterance) -> bool:
    if said.cut or turn.get("cut"):
        return said.text.startswith(turn["text"]) or turn["text"].startswith(said.text)
    return bool(turn["text"] == said.text)


def _agents(said: Utterance) -> bool:
    return said.who == "agent"


def _context(cell: Cell) -> list[str]:
    """Who took over was told what the caller had been heard to say before, and what they had been
    told."""
    events = cell.call["events"]
    lost = [_seconds(event["at"]) for event in events if event["name"] == "agent_lost"]
    known = _known(cell)
    if not lost or len(cell.agents) < 2 or known is None:
        return []
    turns = [turn for turn in cell.call["turns"] if not turn.get("announced")]
    return [
        f"{cell.agents[-1]} doesn't know of: {turn['text']}"
        for turn in turns
        if _over(turn) < lost[-1] and turn["text"] not in known
    ]


def _over(turn: dict[str, Any]) -> float:
    """When it had been heard; of the caller's words the beginning is known."""
    return _seconds(turn["at"]) + (turn["heard_until_ms"] or 0) / 1000


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _known(cell: Cell) -> str | None:
    """All that the last agent has read and heard; None when it was never asked for anything."""
    model = cell.report.model or {}
    if cell.agents[-1:] and cell.agents[-1].startswith("cascade"):
        return " ".join(model["chats"][-1]) if model.get("chats") else None
    if not model.get("sessions"):
        return None
    last = model["sessions"][-1]
    heard = (turn["text"] for turn in last["heard"])
    return " ".join([*last["read"], *last["said_before"], *heard])


__all__ = [
    "APART",
    "GROUPS",
    "KINDS",
    "LEGS",
    "LIMIT_MS",
    "MOMENTS",
    "VAPI_KEY",
    "Cell",
    "cells",
    "play",
    "play_all",
]

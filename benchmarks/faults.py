"""`make faults`: vendors that break down, each way, at each moment of a conversation.

One real server on SQLite, the sandbox's carrier, caller, ear and models; callers who book an
appointment (sandbox/scenarios/rescue.toml). The voice of the realtime model comes hardly faster
than it is spoken, so that a model that breaks down in a sentence really breaks it off.

Measured at the ear, 20 ms by 20 ms: the longest silence of the whole call, whoever's turn it was,
and the longest from the breakdown on. Checked of each call: one appointment, one outcome, the
stored words are those that were heard, and who took over knew what had been said.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.breakdown import KINDS, MOMENTS, Kind, Moment
from tests.scenarios.breakdowns import LEGS, LIMIT_MS, VAPI_KEY, Cell, cells, play_all
from tests.scenarios.conftest import deployed
from voice.announcements import bundled

RESULTS = Path(__file__).parent / "results" / "faults.json"
#: Of the realtime model's voice, times life.
SPEED = 1.2


async def measure(legs: Sequence[str], only: Sequence[str], at_once: int) -> list[Cell]:
    """All calls of the matrix, or those whose kind or moment is named."""
    wanted = [
        (leg, kind, moment)
        for leg, kind, moment in cells(legs)
        if not only or kind in only or moment in only
    ]
    played: list[Cell] = []
    for leg in legs:
        cells_of_leg = [cell for cell in wanted if cell[0] == leg]
        if "vapi" in LEGS[leg]:  # one account, and one breaker: a server for each call
            played += await _one_by_one(cells_of_leg, LEGS[leg], at_once)
        else:
            played += await _measure(cells_of_leg, LEGS[leg], at_once)
    return played


async def _one_by_one(
    wanted: Sequence[tuple[str, Kind, Moment]], ladder: Sequence[str], at_once: int
) -> list[Cell]:
    places = asyncio.Semaphore(at_once)

    async def one(cell: tuple[str, Kind, Moment]) -> Cell:
        async with places:
            return (await _measure([cell], ladder, 1))[0]

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(cell)) for cell in wanted]
    return [task.result() for task in running]


async def _measure(
    wanted: Sequence[tuple[str, Kind, Moment]], ladder: Sequence[str], at_once: int
) -> list[Cell]:
    """With a server that has what the leg needs, and no more."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with deployed(
            Path(folder),
            VAPI_KEY if "vapi" in ladder else "",
            cascade="cascade" in ladder,
            lines=bundled(),
            speed=SPEED,
            ENCRYPTION_KEY=secrets.token_hex(32),
            VAPI_WEBHOOK_SECRET=secrets.token_hex(16),
        ) as deployment:
            return await play_all(deployment, wanted, at_once)


def shown(played: Sequence[Cell], leg: str) -> str:
    """The matrix of one leg: the longest silence from the breakdown on, in ms; what is amiss."""
    by_place = {(each.kind, each.moment): each for each in played if each.leg == leg}
    moments = [each for each in MOMENTS if any(moment == each for _, moment in by_place)]
    lines = [f"| {leg} | " + " | ".join(moments) + " |", "|---" * (len(moments) + 1) + "|"]
    for kind in KINDS:
        row = [by_place.get((kind, moment)) for moment in moments]
        if any(row):
            lines.append(f"| {kind} | " + " | ".join(map(_figure, row)) + " |")
    return "\n".join(lines)


def _figure(cell: Cell | None) -> str:
    if cell is None:
        return ""
    silence = cell.rescue or cell.silence
    figure = "none" if silence is None else f"{silence.ms:.0f}"
    return figure + (" ✗" if cell.wrong or _too_long(cell) else "")


def _too_long(cell: Cell) -> bool:
    return cell.silence is None or cell.silence.ms > LIMIT_MS


def _plain(cell: Cell) -> dict[str, Any]:
    silence, rescue = cell.silence, cell.rescue
    return {
        "leg": cell.leg,
        "kind": cell.kind,
        "moment": cell.moment,
        "longest_silence_ms": silence and silence.ms,
        "after": silence and silence.after,
        "longest_from_the_breakdown_ms": rescue and rescue.ms,
        "agents": cell.agents,
        "lost": cell.lost,
        "outcome": cell.call["outcome"],
        "appointments": len(cell.appointments),
        "wrong": cell.wrong,
    }


def _keep(legs: Sequence[str], played: Sequence[Cell], at_once: int) -> None:
    """Beside what is kept of other legs."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for leg in legs:
        kept[leg] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}",
            "at_once": at_once,
            "limit_ms": LIMIT_MS,
            "calls": [_plain(each) for each in played if each.leg == leg],
        }
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Measure, show, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leg", action="append", choices=sorted(LEGS), help="by default all")
    parser.add_argument("--only", action="append", default=[], choices=[*KINDS, *MOMENTS])
    parser.add_argument("--at-once", type=int, default=8, metavar="CALLS")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/faults.json")
    arguments = parser.parse_args()
    legs = arguments.leg or list(LEGS)
    played = asyncio.run(measure(legs, arguments.only, arguments.at_once))
    for leg in legs:
        print(shown(played, leg), end="\n\n")
    bad = [each for each in played if each.wrong or _too_long(each)]
    for each in bad:
        longest = "no sound" if each.silence is None else f"{each.silence.ms:.0f} ms of silence"
        print(f"✗ {each.name}: {longest}", *each.wrong, sep="\n    ")
    print(f"{len(played) - len(bad)} of {len(played)} calls as they must be.")
    if arguments.keep:
        _keep(legs, played, arguments.at_once)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()

"""`make faults`: vendors that break down, each way, at each moment of a conversation.

One real server on SQLite, the sandbox's carrier, caller, ear and models; callers who book an
appointment (sandbox/scenarios/rescue.toml). The voice of the realtime model comes hardly faster
than it is spoken, so that a model that breaks down in a sentence really breaks it off. Of a cascade
each of the three models breaks down (`--leg cascade`).

It may be played in parts (`--part 1/4 --keep`), and taken up where it was broken off (`--resume`):
what is kept is kept call by call.

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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.breakdown import KINDS, MOMENTS, Kind, Moment
from tests.scenarios.breakdowns import (
    APART,
    GROUPS,
    LEGS,
    LIMIT_MS,
    VAPI_KEY,
    Cell,
    cells,
    play_all,
)
from tests.scenarios.conftest import deployed
from voice.announcements import bundled

RESULTS = Path(__file__).parent / "results" / "faults.json"
#: Of the realtime model's voice, times life.
SPEED = 1.2


Place = tuple[str, Kind, Moment]


async def measure(wanted: Sequence[Place], at_once: int, over: Callable[[Cell], None]) -> None:
    """All these calls of the matrix; `over` is told of each."""
    for leg in LEGS:
        cells_of_leg = [cell for cell in wanted if cell[0] == leg]
        if leg in APART:
            await _one_by_one(cells_of_leg, LEGS[leg], at_once, over)
        elif cells_of_leg:
            await _measure(cells_of_leg, LEGS[leg], at_once, over)


async def _one_by_one(
    wanted: Sequence[Place], ladder: Sequence[str], at_once: int, over: Callable[[Cell], None]
) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(cell: Place) -> None:
        async with places:
            try:
                await _measure([cell], ladder, 1, over)
            except Exception as error:  # noqa: BLE001 - it is missed below; the others are played
                print(f"{cell}: not played: {type(error).__name__}: {error}", flush=True)

    async with asyncio.TaskGroup() as tasks:
        for cell in wanted:
            tasks.create_task(one(cell))


async def _measure(
    wanted: Sequence[Place], ladder: Sequence[str], at_once: int, over: Callable[[Cell], None]
) -> None:
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
            await play_all(deployment, wanted, at_once, over)


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
    return cell.silence is None or not _within(cell.silence.ms)


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


class Results:
    """What is kept, and grows call by call: a run that is broken off has lost nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._legs: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def settled(self, place: Place) -> bool:
        """Whether this call has been played and was as it must be."""
        kept = self._kept(place)
        return kept is not None and not kept["wrong"] and _within(kept["longest_silence_ms"])

    def add(self, cell: Cell, at_once: int) -> None:
        """Beside all others, instead of what is kept of the same one."""
        leg = self._legs.setdefault(cell.leg, {"calls": []})
        leg |= {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}",
            "at_once": at_once,
            "limit_ms": LIMIT_MS,
        }
        plain, old = _plain(cell), self._kept((cell.leg, cell.kind, cell.moment))
        calls = [each for each in leg["calls"] if each is not old] + [plain]
        order = [(kind, moment) for kind in KINDS for moment in MOMENTS]
        leg["calls"] = sorted(calls, key=lambda each: order.index((each["kind"], each["moment"])))
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._legs, indent=1, ensure_ascii=False) + "\n")
        new.replace(self._path)

    def _kept(self, place: Place) -> dict[str, Any] | None:
        calls = self._legs.get(place[0], {"calls": []})["calls"]
        return next((each for each in calls if (each["kind"], each["moment"]) == place[1:]), None)


def _within(silence_ms: float | None) -> bool:
    return silence_ms is not None and silence_ms <= LIMIT_MS


def _part(text: str) -> tuple[int, int]:
    """ "2/5": the second of five parts."""
    number, _, of = text.partition("/")
    part, parts = int(number), int(of)
    if not 1 <= part <= parts:
        raise ValueError
    return part, parts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    legs = sorted([*LEGS, *GROUPS])
    parser.add_argument("--leg", action="append", choices=legs, help="by default all")
    parser.add_argument("--only", action="append", default=[], choices=[*KINDS, *MOMENTS])
    parser.add_argument("--at", action="append", default=[], choices=MOMENTS, help="and then only")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="N/M", help="of M equal ones")
    parser.add_argument("--at-once", type=int, default=8, metavar="CALLS")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/faults.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep, and play only what isn't kept as it must be"
    )
    return parser.parse_args()


def _wanted(arguments: argparse.Namespace, results: Results) -> list[Place]:
    named = arguments.leg or list(LEGS)
    legs = [leg for name in named for leg in GROUPS.get(name, (name,))]
    wanted = [
        (leg, kind, moment)
        for leg, kind, moment in cells(legs)
        if not arguments.only or kind in arguments.only or moment in arguments.only
        if not arguments.at or moment in arguments.at
    ]
    part, parts = arguments.part
    wanted = wanted[part - 1 :: parts]
    if arguments.resume:
        wanted = [place for place in wanted if not results.settled(place)]
    return wanted


def main() -> None:
    """Measure, show, store."""
    arguments, results = _arguments(), Results(RESULTS)
    wanted, played = _wanted(arguments, results), list[Cell]()

    def over(cell: Cell) -> None:
        played.append(cell)
        print(f"{len(played)}/{len(wanted)} {cell.name}: {_figure(cell)}", flush=True)
        if arguments.keep or arguments.resume:
            results.add(cell, arguments.at_once)

    asyncio.run(measure(wanted, arguments.at_once, over))
    for leg in dict.fromkeys(place[0] for place in wanted):
        print(shown(played, leg), end="\n\n")
    bad = [each for each in played if each.wrong or _too_long(each)]
    for each in bad:
        longest = "no sound" if each.silence is None else f"{each.silence.ms:.0f} ms of silence"
        print(f"✗ {each.name}: {longest}", *each.wrong, sep="\n    ")
    print(f"{len(played) - len(bad)} of {len(wanted)} calls as they must be.")
    raise SystemExit(1 if bad or len(played) < len(wanted) else 0)


if __name__ == "__main__":
    main()

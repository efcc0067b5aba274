"""`python -m benchmarks.hesitations`: whom the cascade cuts off, and how long it waits otherwise.

On the recorded turns of sandbox/clips/hesitations, its tuning half and the half that no constant
was chosen by. There is no transcriber here: what one would have understood until a pause is taken
from the script, late by `--latency` milliseconds, without the fillers that transcribers leave out,
and with the full stop that they put behind everything.
"""

import argparse
import json
import platform
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from sandbox.clips.make import mulaw
from voice.audio import FRAME_BYTES, FRAME_MS
from voice.turn_taking import MURMUR_MS, Patience, TurnTaking, Verdict

CLIPS = Path(__file__).parent.parent / "sandbox" / "clips" / "hesitations"
RESULTS = Path(__file__).parent / "results" / "hesitations.json"
LEAD_MS, TAIL_MS = 600, 2600
#: Of a transcription of a few seconds: 150 ms beside us on a GPU, 350 ms usual, 700 ms slow.
LATENCIES = (150, 350, 700)
LATENCY = 350
_FILLERS = re.compile(r"\b(euh|ben|hum)\b,?\s*", re.I)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One turn: its frames with a quiet line before and after, and its words by time."""

    name: str
    group: str
    frames: tuple[bytes, ...]
    end_ms: int  # where the last sound ends, in `frames`
    segments: tuple[tuple[int, int, str], ...]
    longest_pause: int

    def said_until(self, ms: int) -> str:
        """As a transcriber would write it. Half of them leave fillers out, so do we of half of
        the turns."""
        words: list[str] = []
        for begin, end, text in self.segments:
            plain = re.sub(r"[\w' -]+\{(.*?)\}", r"\1", text).split()
            share = min(1.0, max(0.0, (ms - begin) / (end - begin)))
            words += plain[: round(len(plain) * share)]
        said = " ".join(words)
        if random.Random(self.name).random() < 0.5:
            said = _FILLERS.sub("", said)
        bare = said.rstrip(" ,.…")
        return bare if bare.endswith("?") or not bare else bare + "."


def recorded(*groups: str) -> list[Recorded]:
    """The turns of these sets."""
    index: dict[str, dict[str, Any]] = json.loads((CLIPS / "index.json").read_text("utf-8"))
    return [_turn(name, entry) for name, entry in index.items() if entry["set"] in groups]


def _turn(name: str, entry: dict[str, Any]) -> Recorded:
    dice = random.Random(name)

    def line(ms: int) -> bytes:
        noise = entry["noise"]
        return bytes(mulaw(dice.randint(-noise, noise)) for _ in range(ms * 8))

    sound = line(LEAD_MS) + (CLIPS / f"{name}.ulaw").read_bytes()
    end = len(sound) // 8
    sound += line(TAIL_MS)
    frames = tuple(sound[at : at + FRAME_BYTES] for at in range(0, len(sound), FRAME_BYTES))
    parts = entry["segments"]
    spans = [(each["from"] + LEAD_MS, each["to"] + LEAD_MS, each["text"]) for each in parts]
    pauses = [after[0] - before[1] for before, after in pairwise(spans)]
    return Recorded(name, entry["set"], frames, end, tuple(spans), max(pauses, default=0))


@dataclass(slots=True)
class Outcome:
    """`cut`: the agent took the turn before the caller's last word. `delay_ms`: from the last
    sound until the agent may answer, with the turn transcribed."""

    name: str
    cut: bool
    delay_ms: int
    asked: int
    text: str = ""


def listen(turn: Recorded, latency_ms: int | None, patience: Patience) -> Outcome:
    """One turn through our ears. `latency_ms` None: a transcriber that never answers in time."""
    taking = TurnTaking(patience)
    due: tuple[int, str] | None = None
    asked, text = 0, ""
    for number, frame in enumerate(turn.frames, start=1):
        now = number * FRAME_MS
        verdict = taking.hear(frame)
        if verdict is Verdict.PAUSED:
            asked += 1
            text = turn.said_until(now - taking.quiet_ms)
            due = (now + latency_ms, text) if latency_ms is not None else None
        elif verdict is Verdict.RESUMED:
            due = None
        elif verdict is Verdict.ENDED:
            answered = max(now, due[0]) if due else now
            return Outcome(turn.name, now < turn.end_ms, answered - turn.end_ms, asked, text)
        if due and now >= due[0]:
            taking.understood(due[1])
            due = None
    return Outcome(turn.name, False, TAIL_MS, asked, text)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one set."""

    turns: int
    cut_offs: int
    cut_share: float
    median_delay_ms: float
    p90_delay_ms: float
    transcriptions_per_turn: float
    names: list[str] = field(default_factory=list)


def figures(
    turns: list[Recorded], latency_ms: int | None, patience: Patience | None = None
) -> Figures:
    """What happens to these turns. Delays are of those that weren't cut off."""
    done = [listen(each, latency_ms, patience or Patience()) for each in turns]
    cut = [each.name for each in done if each.cut]
    delays = [each.delay_ms for each in done if not each.cut]
    return Figures(
        len(done),
        len(cut),
        round(len(cut) / len(done), 4),
        median(delays),
        quantiles(delays, n=10)[-1],
        round(sum(each.asked for each in done) / len(done), 2),
        cut,
    )


def onsets(turns: list[Recorded]) -> Iterator[tuple[str, int | None, bool]]:
    """Per turn said over the agent: (name, ms from its first sound until it is noticed, whether
    our ears take it for a murmur when it is over)."""
    for turn in turns:
        taking, noticed, murmur = TurnTaking(), None, False
        for number, frame in enumerate(turn.frames, start=1):
            verdict = taking.hear(frame)
            if verdict is Verdict.BEGAN and noticed is None:
                noticed = number * FRAME_MS - LEAD_MS
            if verdict is Verdict.PAUSED and number * FRAME_MS > turn.end_ms:
                murmur = taking.is_murmur
        yield turn.name, noticed, murmur


def plain_silence(turns: list[Recorded], ms: int) -> Figures:
    """What so many milliseconds of quiet alone would do: the reference."""
    return figures(turns, None, Patience(unknown=ms, quiet=ms))


def main() -> int:
    """Prints the figures and keeps them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=int, nargs="*", default=list(LATENCIES))
    parser.add_argument("--cuts", action="store_true", help="name the turns that are cut off")
    wanted = parser.parse_args()
    shown: dict[str, Any] = {"python": platform.python_version(), "patience": asdict(Patience())}
    for group in ("tuning", "held_out"):
        turns = recorded(group)
        sure = [each for each in turns if each.longest_pause]
        print(f"{group}: {len(turns)} turns, {len(sure)} with pauses inside")
        rows = {f"transcript after {ms} ms": figures(turns, ms) for ms in wanted.latency}
        rows["no transcript in time"] = figures(turns, None)
        rows |= {f"{ms} ms of silence alone": plain_silence(turns, ms) for ms in (500, 700, 1000)}
        for name, row in rows.items():
            print(
                f"  {name:28} cut off {row.cut_offs:2}/{row.turns} ({row.cut_share:.1%}), delay "
                f"median {row.median_delay_ms:.0f} ms, p90 {row.p90_delay_ms:.0f} ms, "
                f"{row.transcriptions_per_turn} transcriptions"
            )
            if wanted.cuts and "silence" not in name:
                print("     ", *row.names)
        shown[group] = {name: asdict(row) for name, row in rows.items()}
    for group in ("back_channels", "interruptions"):
        seen = list(onsets(recorded(group)))
        noticed = [ms for _, ms, _ in seen if ms is not None]
        murmurs = sum(murmur for _, _, murmur in seen)
        print(
            f"{group}: {len(seen)}, noticed {len(noticed)} after median {median(noticed):.0f}, "
            f"at most {max(noticed)} ms; {murmurs} under {MURMUR_MS} ms by our ears"
        )
        shown[group] = {"turns": len(seen), "noticed_ms": noticed, "murmurs": murmurs}
    shown["us_per_frame"] = cost()
    print(f"{shown['us_per_frame']} us per frame")
    RESULTS.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def cost() -> float:
    """Microseconds per frame, speech and quiet mixed."""
    turns = recorded("tuning")[:20]
    began = time.perf_counter()
    frames = 0
    for turn in turns:
        taking = TurnTaking()
        for frame in turn.frames:
            taking.hear(frame)
        frames += len(turn.frames)
    return round((time.perf_counter() - began) / frames * 1e6, 2)


if __name__ == "__main__":
    sys.exit(main())

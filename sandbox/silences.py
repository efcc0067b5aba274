"""How long the line was silent, at the caller's ear. Pure.

Stricter than "while it is the agent's turn": every silence counts, whoever's turn it is. Callers of
the sandbox answer 400 ms after the agent has finished, so what is longer is the agent's.
"""

from dataclasses import dataclass
from typing import Literal

from sandbox.report import CallReport

After = Literal["answer", "caller", "agent"]


@dataclass(frozen=True, slots=True)
class Silence:
    """From when, since ringing, how long, and after whose sound."""

    at_ms: float
    ms: float
    after: After


def silences(report: CallReport) -> list[Silence]:
    """All of one call, from its answer to the last sound: what comes after a goodbye is no wait;
    but what a caller ended who waited in vain is one."""
    spans: list[tuple[float, float, After]] = [
        (began, ended, "agent") for began, ended in report.sounds
    ]
    spans += [
        (said.started_ms, said.ended_ms or said.started_ms, "caller")
        for said in report.utterances
        if said.who == "caller"
    ]
    until = report.answered_ms or 0.0
    after: After = "answer"
    found: list[Silence] = []
    for began, ended, who in sorted(spans):
        if began > until:
            found.append(Silence(until, round(began - until, 1), after))
        if ended >= until:
            until, after = ended, who
    if report.gave_up and report.ended_ms is not None:
        found.append(Silence(until, round(report.ended_ms - until, 1), after))
    return found


def longest(report: CallReport) -> Silence | None:
    """The longest one."""
    return max(silences(report), key=lambda each: each.ms, default=None)


def at_the_breakdown(report: CallReport) -> Silence | None:
    """The longest silence that wasn't over when the vendor broke down: how the rescue sounded.
    None when no vendor did, or nothing was silent after that."""
    broke = report.broke_down_ms
    if broke is None:
        return None
    later = [each for each in silences(report) if each.at_ms + each.ms > broke]
    return max(later, key=lambda each: each.ms, default=None)

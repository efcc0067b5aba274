"""Who answers, in which order: the rungs of a tenant's ladder. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Rung(StrEnum):
    """One way to answer a caller: the first three speak on our media stream, the rest by TwiML."""

    VAPI = "vapi"
    REALTIME = "realtime"
    CASCADE = "cascade"
    TURNS = "turns"
    TRANSFER = "transfer"
    VOICEMAIL = "voicemail"


DEFAULT = tuple(Rung)
#: Those that need a stream, and may take a call over in its middle.
SPEAKING = frozenset({Rung.VAPI, Rung.REALTIME, Rung.CASCADE})
#: Why an agent was lost that was there and said nothing (`voice.events.ChangeAgent`) …
SILENT = frozenset({"agent_stuck", "agent_mute"})
#: … and how often the same caller waits for the same rung to say something.
SILENCES = 2
#: Of a tenant whose phone channel is switched off: its agent is silent, and no call is lost.
WITHOUT_AGENT = (Rung.TRANSFER, Rung.VOICEMAIL)


def ladder(phone_config: Mapping[str, Any]) -> tuple[Rung, ...]:
    """The tenant's own order (`ladder: ["realtime", …]` of its phone configuration), else the
    default. Unknown names are passed over. Voicemail always stands at the end: a line that nobody
    answers is no choice that a setting can make."""
    wanted = phone_config.get("ladder")
    if not isinstance(wanted, list):
        return DEFAULT
    known = {rung.value: rung for rung in Rung}
    chosen = [known[name] for name in wanted if isinstance(name, str) and name in known]
    ordered = dict.fromkeys(rung for rung in chosen if rung is not Rung.VOICEMAIL)
    return (*ordered, Rung.VOICEMAIL) if chosen else DEFAULT


@dataclass(frozen=True, slots=True)
class Loss:
    """An agent that a call has lost. `reason`: as `voice.events.ChangeAgent` says it."""

    rung: Rung
    reason: str


def speaking(rungs: Sequence[Rung], lost: Sequence[Loss] = ()) -> list[Rung]:
    """The rungs that speak on a stream, in order; those that this call has lost already come last,
    for a fresh connection to the same vendor is better than none. But not what has kept this caller
    waiting twice: there is another rung below."""
    able = [rung for rung in rungs if rung in SPEAKING and _silences(rung, lost) < SILENCES]
    return sorted(able, key=lambda rung: sum(loss.rung is rung for loss in lost))


def _silences(rung: Rung, lost: Sequence[Loss]) -> int:
    return sum(loss.rung is rung and loss.reason in SILENT for loss in lost)


def first_of(
    rungs: Sequence[Rung], able: Collection[Rung], passed: Collection[Rung] = ()
) -> Rung | None:
    """The first rung that can take the call now and hasn't had its turn; None when there is none
    left, not even the voicemail."""
    return next((rung for rung in rungs if rung in able and rung not in passed), None)

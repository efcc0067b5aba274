"""`make demo FAULT=…`: which vendor breaks down, how and when, and how it is told."""

from collections.abc import Mapping
from dataclasses import dataclass

#: A scenario in which whoever takes over can go on from what was said.
SCENARIO = "rescue"
#: Of the emulated model's voice, times life: it really speaks when it breaks down.
VOICE_SPEED = 1.2


@dataclass(frozen=True, slots=True)
class Fault:
    """`leg`, `kind` and `moment` as the sandbox knows them (sandbox/breakdown.py)."""

    leg: str
    kind: str
    moment: str
    words: str

    @property
    def breakdown(self) -> dict[str, str]:
        """For the sandbox."""
        return {"leg": self.leg, "kind": self.kind, "moment": self.moment}


FAULTS: Mapping[str, Fault] = {
    "vapi-dies": Fault("vapi", "cut", "agent_speech", "Vapi's socket is cut off mid-sentence"),
    "vapi-stalls": Fault(
        "vapi", "half_dead", "caller_speech", "Vapi's socket stays open, and nobody is there"
    ),
    "realtime-dies": Fault(
        "realtime", "cut", "agent_speech", "the model's socket is cut off mid-sentence"
    ),
    "realtime-stalls": Fault(
        "realtime", "half_dead", "caller_speech", "the model's socket stays open, nobody is there"
    ),
    "realtime-hangs": Fault(
        "realtime", "hang", "function_result", "the model listens on and answers no more"
    ),
    "realtime-expires": Fault(
        "realtime", "expired", "goodbye", "the model's session has reached its age"
    ),
}

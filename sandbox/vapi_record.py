"""What one emulated Vapi call went through, for tests and reports. Times are seconds on the event
loop's clock."""

from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.brain import Brain
from sandbox.ear import Defects


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A turn of the caller's (see `hearing.Turn`): `frames` of `whole` frames arrived."""

    at: float
    clips: tuple[str, ...]
    text: str
    frames: int
    whole: int


@dataclass(slots=True)
class Said:
    """An utterance of the assistant's. `whole_ms`: the rendering; `sent_ms`: what of it was
    sent."""

    at: float
    text: str
    whole_ms: int
    sent_ms: int = 0
    interrupted: bool = False


@dataclass(slots=True)
class ToolCall:
    """A call that the model made. `shape`: how it was written (see `vapi_messages`). `outputs`:
    every answer to it; an error is written `error: …`."""

    at: float
    id: str
    name: str
    arguments: dict[str, Any]
    shape: str
    outputs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Posted:
    """A server message, and the status that the server answered; 0 when it didn't."""

    at: float
    type: str
    url: str
    status: int


@dataclass(slots=True)
class CallRecord:
    """`tag` stamps what the assistant says; `call_tag` is that of the call it hears. `request`: the
    body of POST /call; `assistant`: the stored one with the overrides laid over it. `orders`: what
    control or the socket ordered; `read`: (role, text) of the messages among them. `faults_seen`:
    what no client of Vapi's should do. `ended`: the reason, "" while the call lasts."""

    id: str
    tag: int
    created_at: float
    request: dict[str, Any]
    assistant: dict[str, Any]
    call_tag: int | None = None
    joined_at: float | None = None
    ended_at: float | None = None
    ended: str = ""
    read: list[tuple[str, str]] = field(default_factory=list)
    heard: list[HeardTurn] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    faults_seen: list[str] = field(default_factory=list)
    defects: Defects = field(default_factory=Defects)
    brain: Brain | None = None
    frames_in: int = 0
    frames_out: int = 0

    def summary(self) -> dict[str, Any]:
        """The call, as plain values."""
        brain = self.brain
        return {
            "heard": [asdict(each) for each in self.heard],
            "said": [asdict(each) for each in self.said],
            "functions": [asdict(each) for each in self.tool_calls],
            "posted": [(each.type, each.status) for each in self.posted],
            "orders": [each["type"] for each in self.orders],
            "errors": list(self.faults_seen),
            "defects": asdict(self.defects),
            "script_defects": list(brain.defects) if brain is not None else [],
            "unmatched": [repr(each) for each in brain.unmatched] if brain is not None else [],
            "frames_heard": self.frames_in,
            "ended": self.ended,
        }

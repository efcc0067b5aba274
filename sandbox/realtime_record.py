"""What one emulated Realtime session went through, for tests and reports. Times are seconds on the
event loop's clock."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.brain import Brain
from sandbox.ear import Defects


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A turn of the caller's (see `hearing.Turn`): `frames` of `whole` frames arrived."""

    at: float
    item_id: str
    clips: tuple[str, ...]
    text: str
    frames: int
    whole: int


@dataclass(slots=True)
class Utterance:
    """A message of the agent's. `whole_ms`: the rendering; `sent_ms`: what of it was sent."""

    at: float
    response_id: str
    item_id: str
    text: str
    whole_ms: int
    sent_ms: int = 0
    status: str = "in_progress"


@dataclass(frozen=True, slots=True)
class Truncation:
    """A truncation that was accepted."""

    at: float
    item_id: str
    audio_end_ms: int
    generated_ms: int


@dataclass(slots=True)
class FunctionCall:
    """A call that the model made. `outputs`: every answer to it, in order of arrival."""

    at: float
    call_id: str
    name: str
    arguments: dict[str, Any]
    outputs: list[str] = field(default_factory=list)
    answered_at: float | None = None


@dataclass(slots=True)
class SessionRecord:
    """`tag` stamps what this session says; `call_tag` is that of the call it hears. `errors`:
    every error event it sent. `config`: the session object as it stands. `responses`: their status
    by id. `read`: the texts that were put to it; `said_before`: those of earlier agents."""

    number: int
    tag: int
    model: str
    connected_at: float
    config: dict[str, Any] = field(default_factory=dict)
    call_tag: int | None = None
    heard: list[HeardTurn] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    said_before: list[str] = field(default_factory=list)
    said: list[Utterance] = field(default_factory=list)
    calls: list[FunctionCall] = field(default_factory=list)
    truncations: list[Truncation] = field(default_factory=list)
    speech_started: list[float] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    responses: dict[str, str] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    defects: Defects = field(default_factory=Defects)
    brain: Brain | None = None
    appended_ms: int = 0
    closed_at: float | None = None
    close_code: int | None = None

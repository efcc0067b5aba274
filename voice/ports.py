"""What a call needs from outside: `providers/` fulfils it, `server/wiring.py` introduces them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from domain.language_model import FunctionSpec as FunctionSpec
from voice.events import Event


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the model decides that the caller has begun and finished to speak (server VAD)."""

    threshold: float = 0.6
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Which call an agent is connected for. `caller_number`: E.164, None when withheld."""

    call_id: str
    call_sid: str
    tenant_id: str
    caller_number: str | None


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """Whom to connect to and who it shall be. `history` replays an earlier leg: (role, text),
    role "user" or "assistant", oldest first."""

    instructions: str
    functions: Sequence[FunctionSpec]
    model: str
    voice: str
    language: str  # ISO 639-1, for the transcriber
    api_key: str = field(repr=False)
    transcription_model: str = ""
    turn_detection: TurnDetection = TurnDetection()
    history: Sequence[tuple[str, str]] = ()
    call: CallFacts | None = None
    gender: str = "female"  # of the voice, where a vendor's name for it isn't known
    resumed: bool = False  # the caller has been greeted already
    assistant_id: str | None = None  # the tenant's assistant at Vapi, if it has one
    about_call: str = ""  # of the instructions, what is of this call alone


class AgentListener(Protocol):
    """Where a leg reports. Called from the event loop's callbacks: must not block nor await."""

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        """Audio for the caller: base64 µ-law 8 kHz, checked to be plain text (it is put between
        quotes as it is), and already freed of what an interruption cut."""
        ...

    def on_agent_event(self, event: Event) -> None:
        """Anything else: one of `voice.events`. After `AgentGone` nothing follows."""
        ...


class AgentLeg(Protocol):
    """An open, configured conversation with a speaking model. Methods return at once."""

    @property
    def name(self) -> str:
        """Which agent this is, for the timeline: "realtime:gpt-…"."""
        ...

    def listen(self, listener: AgentListener) -> None:
        """Attach the bridge; what happened before is delivered now, `AgentReady` first."""
        ...

    def hear(self, payload: str) -> None:
        """The caller's audio, base64 µ-law 8 kHz, as Twilio sent it: a hostile payload must not
        write JSON of its own. The hot path."""
        ...

    def say(self, text: str) -> None:
        """Speak this very sentence, after whatever response is running."""
        ...

    def respond(self) -> None:
        """Answer what was heard, after whatever response is running."""
        ...

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> None:
        """Playback was cut: per item (item_id, heard_ms, sent_ms). Forget what wasn't heard and
        drop the audio still to come. `cancel`: stop a running response too."""
        ...

    def tell(self, text: str, role: str) -> None:
        """Add a text item ("user" or "system") without asking for an answer."""
        ...

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> None:
        """Answer a function call. `respond`: then let the model speak, once the running response
        is over and the caller doesn't speak (in which case the vendor answers by itself)."""
        ...

    async def answers(self, seconds: float) -> bool:
        """Whether the vendor's end of the connection gives a sign of life in so many seconds. Not
        to be asked again before it has answered."""
        ...

    async def close(self) -> None:
        """Close the connection, within two seconds. Idempotent."""
        ...


class AgentConnector(Protocol):
    """Opens legs."""

    async def connect(self, spec: AgentSpec) -> AgentLeg:
        """A configured leg, ready for audio. Raises ProviderError, within its own time limit."""
        ...


@dataclass(frozen=True, slots=True)
class BypassCall:
    """A call at a vendor that the carrier connects to by `twiml`, which opens it to whoever has it:
    not to be logged or stored."""

    id: str
    twiml: str = field(repr=False)


class BypassCalls(Protocol):
    """A vendor that takes calls from the carrier directly. Raises ProviderError."""

    async def open(self, spec: AgentSpec) -> BypassCall:
        """One call, with `spec`'s assistant. Never tried twice."""
        ...

    async def ended(self, call_id: str) -> str | None:
        """Why it ended, "" if nobody knows; None while it lasts."""
        ...


@dataclass(frozen=True, slots=True)
class CallRecord:
    """The carrier's own record of a call. `status` as Twilio spells it (`in-progress`, …)."""

    call_sid: str
    status: str
    duration_seconds: int | None
    started_at: datetime | None
    ended_at: datetime | None


class CallControl(Protocol):
    """The carrier's control of a running call. Raises ProviderError."""

    async def hang_up(self, call_sid: str) -> None:
        """End it. A call that has already ended counts as done."""
        ...

    async def redirect(self, call_sid: str, url: str) -> None:
        """Make the carrier ask `url` (absolute, ours) for new TwiML; ends a running stream."""
        ...

    async def fetch(self, call_sid: str) -> CallRecord | None:
        """The carrier's record, or None when it knows no such call."""
        ...


class MediaSocket(Protocol):
    """The caller's websocket, once accepted: text frames out, without waiting."""

    def send(self, text: bytes) -> None:
        """Queue one text frame. Never blocks; a socket that is gone swallows it."""
        ...

    def close(self, code: int = 1000) -> None:
        """Start closing. Idempotent."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes that the peer hasn't taken yet: the bound of this leg's queue."""
        ...


class CallMetrics(Protocol):
    """Where figures go. Cheap: called on the media path."""

    def observe(self, stage: str, seconds: float) -> None:
        """A duration: first_sound | turn | barge_in | function | agent_connect | webhook."""
        ...

    def count(self, name: str, label: str = "") -> None:
        """An event: calls_ended{outcome}, functions{status}, streams_refused{reason}, …"""
        ...

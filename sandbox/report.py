"""What a call was like at the caller's ear: events while it runs, a report when it is over."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

OnEvent = Callable[[dict[str, Any]], None]
Clock = Callable[[], float]

#: A voice that goes on after less than this, and wasn't cleared, is still the sentence that was
#: being spoken: no answer to what the caller has just said. People breathe between words.
PAUSE_SECONDS = 0.4
#: Sounds closer together than this are one.
BREATH_MS = 200.0


@dataclass(slots=True)
class Utterance:
    """Something said. `label` is a clip or a rendering, "" when it was recognised by energy only.

    Of the agent, `heard_ms` is how much of it reached the ear and `cut` whether that was not all.
    """

    who: str  # "caller" | "agent" | "carrier"
    label: str
    text: str
    started_ms: float
    ended_ms: float | None = None
    heard_ms: float | None = None
    cut: bool = False


@dataclass(slots=True)
class BargeIn:
    """The caller began to speak while the agent was audible.

    `ear_label` and `ear_ms`: what the ear was hearing when `clear` came, and how much of it had
    really been played; `truncated_ms` what the model was told (joined by the world).
    """

    label: str
    at_ms: float
    cleared_ms: float | None = None
    latency_ms: float | None = None
    ear_label: str | None = None
    ear_ms: float | None = None
    truncated_ms: float | None = None


@dataclass(slots=True)
class Turn:
    """How long the caller waited: their last frame sent → first frame of the agent played."""

    label: str
    latency_ms: float


@dataclass(slots=True)
class Request:
    """A webhook of this call, as the carrier saw it answered."""

    url: str
    at_ms: float
    elapsed_ms: float
    status: int  # 0: no answer
    fields: dict[str, str]
    body: str


@dataclass(slots=True)
class CallReport:
    """Everything that could be observed from outside. Times are ms since ringing."""

    call_sid: str
    tag: int
    from_number: str
    to_number: str
    forwarded_from: str | None
    scenario: str = ""
    twiml_ms: float | None = None  # first webhook sent → its answer complete
    answered_ms: float | None = None
    stream_ms: float | None = None  # `start` sent
    first_sound_ms: float | None = None
    ended_ms: float | None = None
    duration_ms: float | None = None  # answered → ended
    status: str = ""
    hung_up_by: str = ""  # caller | server | carrier
    utterances: list[Utterance] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    barge_ins: list[BargeIn] = field(default_factory=list)
    gave_up: str = ""  # what the caller waited for in vain, before hanging up
    pressed: list[str] = field(default_factory=list)
    streams: int = 0
    marks_received: int = 0
    marks_returned: int = 0
    clears: int = 0
    frames_sent: int = 0
    frames_discarded: int = 0  # congestion towards the server (31930)
    frames_played: int = 0
    ear_defects: dict[str, int] = field(default_factory=dict)
    #: [from, to] ms: when anything at all was audible at the ear, breaths included.
    sounds: list[list[float]] = field(default_factory=list)
    #: ms: when a vendor broke down, as ordered.
    broke_down_ms: float | None = None
    #: The longest silence that wasn't over then.
    rescue_silence_ms: float | None = None
    requests: list[Request] = field(default_factory=list)
    twiml: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dials: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, Any] | None = None  # what the emulated model recorded of this call
    wav: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @property
    def clean(self) -> bool:
        """No protocol error, nothing lost or damaged on the way to the ear."""
        return not self.errors and not self.frames_discarded and not any(self.ear_defects.values())

    def heard(self, who: str) -> list[str]:
        """What one side said, in order."""
        return [one.text for one in self.utterances if one.who == who]


class CallLog:
    """Writes the report of one call while it happens; every moment also goes out as an event."""

    def __init__(self, report: CallReport, clock: Clock, on_event: OnEvent | None = None) -> None:
        self.report = report
        self.clock = clock
        self._zero = clock()
        self.on_event = on_event
        #: What the ear is hearing: (label, ms really played of it); set by whoever has the ear.
        self.ear_position: Callable[[], tuple[str, float] | None] = lambda: None
        self._waiting_since: float | None = None
        self._waiting_for = ""
        self._agent_sounded_at = float("-inf")
        self._agent_was_interrupted = False

    def ms(self) -> float:
        """Milliseconds since ringing."""
        return round((self.clock() - self._zero) * 1000, 1)

    def at(self, ms: float) -> float:
        """The clock's time at an offset since ringing."""
        return self._zero + ms / 1000

    def emit(self, event: str, **fields: Any) -> None:
        """Tell whoever watches."""
        if self.on_event is not None:
            head = {"event": event, "call": self.report.call_sid, "ms": self.ms()}
            self.on_event(head | fields)

    def error(self, code: int | str, text: str) -> None:
        """An entry of Twilio's debugger."""
        self.report.errors.append(f"{code}: {text}")
        self.emit("error", code=code, text=text)

    def note(self, text: str) -> None:
        """Something worth knowing that is nobody's fault."""
        self.report.notes.append(text)

    # ------------------------------------------------------------------ the two voices

    def caller_started(self, label: str, text: str, *, over_agent: bool) -> Utterance:
        """The first frame of an utterance goes out."""
        said = Utterance("caller", label, text, self.ms())
        self.report.utterances.append(said)
        self._waiting_since = None
        self._agent_was_interrupted = False
        self.emit("caller_says", label=label, text=text)
        if over_agent:
            self.report.barge_ins.append(BargeIn(label, said.started_ms))
            self.emit("barge_in", label=label, text=text)
        return said

    def caller_finished(self, said: Utterance) -> None:
        """The last frame has been sent: the wait for an answer begins."""
        said.ended_ms = self.ms()
        self._waiting_since = self.clock()
        self._waiting_for = said.label

    def agent_sounded(self) -> None:
        """A frame with the agent's voice is being played."""
        now = self.clock()
        self._note_sound()
        paused = self._agent_was_interrupted or now - self._agent_sounded_at > PAUSE_SECONDS
        self._agent_sounded_at = now
        if self.report.first_sound_ms is None:
            self.report.first_sound_ms = self.ms()
            self.emit("first_sound")
        if self._waiting_since is not None and paused:
            latency = round((now - self._waiting_since) * 1000, 1)
            self._waiting_since = None
            self.report.turns.append(Turn(self._waiting_for, latency))
            self.emit("turn", label=self._waiting_for, latency_ms=latency)

    def _note_sound(self) -> None:
        sounds, now = self.report.sounds, self.ms()
        if sounds and now - sounds[-1][1] <= BREATH_MS:
            sounds[-1][1] = now
        else:
            sounds.append([now, now])

    def agent_started(self, who: str, label: str, text: str, *, line: bool = False) -> Utterance:
        """The ear recognised the beginning of something; `line`: a sentence of the server's own."""
        said = Utterance(who, label, text, self.ms())
        self.report.utterances.append(said)
        self.emit("agent_says", who=who, label=label, text=text, line=line)
        return said

    def agent_finished(self, said: Utterance, heard_ms: float, *, cut: bool) -> None:
        """… and its end, or that it was broken off."""
        said.ended_ms, said.heard_ms, said.cut = self.ms(), round(heard_ms, 1), cut
        self.emit("agent_said", label=said.label, heard_ms=said.heard_ms, cut=cut)

    def give_up(self, waiting_for: str) -> None:
        """The caller has lost patience."""
        self.report.gave_up = waiting_for
        self.emit("gave_up", waiting_for=waiting_for)

    def pressed(self, digit: str) -> None:
        """A key."""
        self.report.pressed.append(digit)
        self.emit("caller_presses", digit=digit)

    def cleared(self) -> None:
        """`clear` came in from the server."""
        self.report.clears += 1
        self._agent_was_interrupted = True
        at = self.ms()
        position = self.ear_position()
        fields: dict[str, Any] = {}
        if self.report.barge_ins and self.report.barge_ins[-1].cleared_ms is None:
            barge_in = self.report.barge_ins[-1]
            barge_in.cleared_ms = at
            barge_in.latency_ms = round(at - barge_in.at_ms, 1)
            if position is not None:
                barge_in.ear_label, barge_in.ear_ms = position[0], round(position[1], 1)
            fields = {"latency_ms": barge_in.latency_ms, "ear_ms": barge_in.ear_ms}
        self.emit("cleared", **fields)

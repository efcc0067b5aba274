"""One telephone leg, as the carrier has it: who holds the phone, what they hear, how it ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from sandbox.recording import LineRecording
from sandbox.report import CallLog

FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class Source(Protocol):
    """Something to be heard."""

    def pull(self, at: float) -> bytes | None:
        """The next 20 ms, to be heard from `at` on; None for silence."""
        ...


class Party(Protocol):
    """Whoever holds the phone. Called 50 times a second: never waits."""

    def answered(self, phone: "Leg") -> None:
        """The line is open."""
        ...

    def speak(self) -> bytes:
        """The next 20 ms from the microphone, µ-law."""
        ...

    def hear(self, frame: bytes | None) -> None:
        """20 ms from the ear-piece; None when the network sends nothing."""
        ...

    def expect(self, label: str, text: str, audio: bytes) -> None:
        """The carrier itself is about to say this."""
        ...

    def connected(self) -> None:
        """A stream is open: somebody else may be at the other end than before."""
        ...

    def cleared(self) -> None:
        """What was about to be heard has been thrown away."""
        ...

    def hung_up(self) -> None:
        """The line is dead."""
        ...


@dataclass(frozen=True, slots=True)
class Fetch:
    """TwiML to be asked for."""

    url: str
    method: str = "POST"
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Inline:
    """TwiML that came by REST."""

    twiml: str


Order = Fetch | Inline


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The person at the phone opens their mouth."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """… and has said this."""

    text: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key was pressed."""

    digit: str


Input = SpeechBegan | SpeechEnded | Key


@dataclass(slots=True)
class Record:
    """The Call resource. Times are UTC; `duration` in seconds once it is over."""

    sid: str
    from_number: str
    to_number: str
    direction: str  # inbound | outbound-api | outbound-dial
    forwarded_from: str | None = None
    parent_sid: str | None = None
    status: str = "ringing"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    ended: datetime | None = None
    status_callback: str = ""
    status_events: frozenset[str] = frozenset({"completed"})

    @property
    def over(self) -> bool:
        """Whether the status is a final one."""
        return self.status in FINAL

    @property
    def duration(self) -> int:
        """Whole seconds, as Twilio bills them: from the answer to the end."""
        if self.started is None or self.ended is None:
            return 0
        return round((self.ended - self.started).total_seconds())


class Leg:
    """A leg from ringing to its end. What happens on it comes from outside: the party at the
    phone, the REST interface, the TwiML that runs."""

    def __init__(
        self, record: Record, party: Party, log: CallLog, recording: LineRecording | None = None
    ) -> None:
        self.record = record
        self.party = party
        self.log = log
        self.recording = recording
        #: What the party hears now; None is silence.
        self.source: Source | None = None
        #: Where the party's voice goes now.
        self.sink: Callable[[bytes], None] | None = None
        #: Where keys go besides a listener, while a stream is open.
        self.on_key: Callable[[str], None] | None = None
        self.answered = asyncio.Event()
        self.closed = asyncio.Event()
        #: Set when the running TwiML must stop: the leg is over, or has new orders.
        self.interrupted = asyncio.Event()
        #: TwiML that replaces what is running.
        self.orders: Order | None = None
        self._listener: asyncio.Queue[Input] | None = None
        #: A `<Record>` in progress.
        self.tape: LineRecording | None = None

    # ------------------------------------------------------------------- life

    def answer(self) -> None:
        """Open the line, once: a verb needs audio."""
        if self.answered.is_set() or self.record.over:
            return
        self.record.status = "in-progress"
        self.record.started = datetime.now(UTC)
        self.log.report.answered_ms = self.log.ms()
        self.log.emit("answered")
        self.answered.set()
        self.party.answered(self)

    def end(self, by: str, status: str = "completed") -> None:
        """It is over; the first who says so is right."""
        if self.record.over:
            return
        self.record.status = status
        self.record.ended = datetime.now(UTC)
        report = self.log.report
        report.status, report.hung_up_by, report.ended_ms = status, by, self.log.ms()
        if report.answered_ms is not None:
            report.duration_ms = round(report.ended_ms - report.answered_ms, 1)
        self.log.emit("hung_up", by=by, status=status)
        self.closed.set()
        self.party.hung_up()
        self.interrupted.set()

    def redirect(self, orders: Order) -> None:
        """Run this TwiML instead of whatever is running."""
        self.orders = orders
        self.interrupted.set()

    def take_orders(self) -> Order | None:
        """New orders, if the interruption was one; the leg can then be interrupted again."""
        orders, self.orders = self.orders, None
        if not self.record.over:
            self.interrupted.clear()
        return orders

    # ------------------------------------------------------------------- what the party does

    def hang_up(self) -> None:
        """The party puts the phone down."""
        self.end("caller")

    def press(self, digit: str) -> None:
        """The party presses a key."""
        self.log.pressed(digit)
        if self.on_key is not None:
            self.on_key(digit)
        self._tell(Key(digit))

    def speech_began(self) -> None:
        """The party begins to speak."""
        self._tell(SpeechBegan())

    def speech_ended(self, text: str) -> None:
        """The party has said this."""
        self._tell(SpeechEnded(text))

    # ------------------------------------------------------------------- the line

    def tick(self, at: float) -> None:
        """20 ms of the line, both ways."""
        if self.closed.is_set() or not self.answered.is_set():
            return
        voice = self.party.speak()
        if self.closed.is_set():
            return  # that was the moment they hung up
        if self.sink is not None:
            self.sink(voice)
        played = self.source.pull(at) if self.source is not None else None
        self.party.hear(played)
        if self.recording is not None:
            self.recording.add(voice, played)
        if self.tape is not None:
            self.tape.add(voice, None)

    def listen(self) -> "asyncio.Queue[Input]":
        """From now on the party's speech and keys are put here, until `stop_listening`."""
        self._listener = asyncio.Queue(maxsize=100)
        return self._listener

    def stop_listening(self) -> None:
        """Nobody listens any more."""
        self._listener = None

    def _tell(self, happened: Input) -> None:
        if self._listener is not None and not self._listener.full():
            self._listener.put_nowait(happened)

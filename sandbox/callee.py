"""Whom a transfer rings: a scripted person, or nobody."""

from dataclasses import dataclass
from typing import Literal, get_args

from sandbox.leg import Leg
from sandbox.speech import FRAME_BYTES, is_speech

Behaviour = Literal[
    "presses_1", "hangs_up", "says_nothing", "no_answer", "busy", "failed", "forwards"
]

#: Somebody reacts to an announcement once it has been silent for this long.
_PAUSE_FRAMES = 20
_HEARD_FRAMES = 20
_HUM = bytes((0xFE, 0x7E)) * (FRAME_BYTES // 2)


@dataclass(frozen=True, slots=True)
class Callee:
    """What happens at a number.

    presses_1: answers, hears the announcement, presses 1, talks. hangs_up: answers, hears it,
    hangs up. says_nothing: answers and does nothing more (an answering machine). forwards: the
    line is forwarded to `forwards_to`, one of our own numbers; `shows` is what the carrier then
    gives as ForwardedFrom: None, the line; "", nothing (it hides it); else this very text. With
    `poses_as_caller` it shows the line in place of whoever called.
    """

    behaviour: Behaviour = "no_answer"
    rings_seconds: float = 1.0
    talks_seconds: float = 2.0
    forwards_to: str = ""
    shows: str | None = None
    poses_as_caller: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a behaviour that isn't known."""
        if self.behaviour not in get_args(Behaviour):
            known = ", ".join(get_args(Behaviour))
            raise ValueError(f"behaviour {self.behaviour!r} is none of {known}")

    def forwarded_from(self, line: str) -> str | None:
        """What a call that `line` forwards bears."""
        return line if self.shows is None else self.shows or None


class CalleeParty:
    """Holds the phone of somebody who has answered."""

    def __init__(self, callee: Callee) -> None:
        self._callee = callee
        self._phone: Leg | None = None
        self._heard = 0
        self._silent = 0
        self._reacted = False

    def answered(self, phone: Leg) -> None:
        """The phone is at the ear."""
        self._phone = phone

    def speak(self) -> bytes:
        """The hum of another room: no sound that anybody else on the line makes."""
        return _HUM

    def hear(self, frame: bytes | None) -> None:
        """Waits for the end of the announcement, then reacts, once."""
        if frame is not None and is_speech(frame):
            self._heard += 1
            self._silent = 0
            return
        self._silent += 1
        if self._reacted or self._heard < _HEARD_FRAMES or self._silent < _PAUSE_FRAMES:
            return
        self._reacted = True
        if self._phone is not None:
            self._react(self._phone)

    def _react(self, phone: Leg) -> None:
        if self._callee.behaviour == "presses_1":
            phone.press("1")
        elif self._callee.behaviour == "hangs_up":
            phone.hang_up()

    def expect(self, label: str, text: str, audio: bytes) -> None:
        """Listens to anything."""

    def connected(self) -> None:
        """Nothing changes at this end."""

    def cleared(self) -> None:
        """Nothing to forget."""

    def hung_up(self) -> None:
        """Puts the phone down."""

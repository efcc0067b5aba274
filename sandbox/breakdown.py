"""A vendor that breaks down in one call, at a moment of its conversation. Pure.

`Breakdown` says what, when and whose; `Watch` sees the call's events go by and tells when the
moment has come. What it looks like on the wire is the emulators' affair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

Kind = Literal[
    "refuse",  # the connection is cut, and the next one is answered 503
    "hang",  # it listens on and answers no more; a handshake stays without an answer
    "late",  # its answers begin `seconds` later; so does that to a handshake
    "lag",  # whatever it sends comes `seconds` later, from now on
    "brown_out",  # it takes everything, and sends nothing
    "half_dead",  # its socket stays open: nothing is read, nothing sent, no ping answered
    "close",  # it says goodbye in the middle, after `at` more events (0: at once)
    "cut",  # the same, without a goodbye
    "expired",  # it has reached the age at which the vendor ends a session
    "429",  # answers fail: too many requests
    "5xx",  # answers fail: the vendor's own fault
    "garbage",  # what it sends can't be read, or means nothing
    "duplicates",  # each event comes twice
    "out_of_order",  # events overtake each other
]
Moment = Literal[
    "before_answer",  # while it rings
    "greeting",
    "caller_speech",  # the caller's first words
    "agent_speech",  # the agent's answer to them
    "function_call",  # a function is asked for, and the question never arrives
    "function_result",  # … it is done, and its result arrives
    "goodbye",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOMENTS: tuple[Moment, ...] = get_args(Moment)
Leg = Literal["realtime", "vapi", "stt", "llm", "tts"]  # the last three: a cascade's models

#: Into a sentence, so that it really is in the middle of one.
_INTO_MS = 400
_GOODBYES = ("au revoir", "goodbye")


@dataclass(frozen=True, slots=True)
class Breakdown:
    """`at`: how many events still leave first (close, cut). `seconds`: for late and lag. `key`:
    before an answer, whose handshake it is ("": the deployment's)."""

    kind: Kind
    moment: Moment
    leg: Leg = "realtime"
    at: int = 0
    seconds: float = 3.0
    key: str = ""

    def __post_init__(self) -> None:
        for value, known in ((self.kind, KINDS), (self.moment, MOMENTS), (self.leg, get_args(Leg))):
            if value not in known:
                raise ValueError(f"no such breakdown: {value!r} is none of {', '.join(known)}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From plain values. Raises ValueError naming what isn't known."""
        unknown = values.keys() - {each.name for each in fields(cls)}
        if unknown or not {"kind", "moment"} <= values.keys():
            raise ValueError(f"a breakdown has a kind and a moment, and no {sorted(unknown)}")
        return cls(**values)


@dataclass(slots=True)
class Watch:
    """Sees a call's events until the moment has come."""

    moment: Moment
    _caller_spoke: bool = False
    _over: bool = False
    _written: str = ""  # by a language model: the words of a voice that isn't known by its sound

    def sees(self, event: str, fields: Mapping[str, Any]) -> float | None:
        """How many ms from now the moment is, once; None before and after."""
        if self._over:
            return None
        if event == "model_says":
            self._written = str(fields.get("text"))
        after = self._after(event, fields)
        self._caller_spoke |= event == "caller_says"
        self._over = after is not None
        return after

    def _after(self, event: str, fields: Mapping[str, Any]) -> float | None:
        if self.moment == "caller_speech":
            return _INTO_MS if event == "caller_says" else None
        if self.moment in ("function_call", "function_result"):
            wanted = {"function_call": "model_calls", "function_result": "model_reads_result"}
            return 0.0 if event == wanted[self.moment] else None
        if event != "agent_says" or fields.get("who") != "agent" or fields.get("line"):
            return None
        words = str(fields.get("text") or self._written).casefold()
        farewell = any(word in words for word in _GOODBYES)
        wants = {
            "greeting": not self._caller_spoke,
            "agent_speech": self._caller_spoke and not farewell,
            "goodbye": self._caller_spoke and farewell,
        }
        return _INTO_MS if wants.get(self.moment) else None

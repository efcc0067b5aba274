"""What a spectator of the demo is told: the world's events and the server's answers → lines.

Pure. The same call is seen from two sides: the sandbox hears the line, the server's API tells what
it knows of the call. Each line is told once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

#: How the server says it found the tenant → how we say it.
FOUND_BY: Mapping[str, str] = {
    "to": "by the number called",
    "forwarded_from": "by the number that forwarded the call",
    "history": "by the caller's earlier calls, and asked",
    "name": "by the name the caller said",
    "code": "by the code the caller gave",
}

#: Longest text of arguments or result on one line.
_SHORT = 90


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story. `kind` says what it is about, `who` is what stands before the text."""

    kind: str
    who: str
    text: str


@dataclass(slots=True)
class Story:
    """One call. `tenant` and `agent` are names; `ears`: the sandbox recognises what is said (it
    doesn't with a real model, whose words then come from the server)."""

    tenant: str
    agent: str = "Sara"
    ears: bool = True
    call_sid: str = ""
    report: Mapping[str, Any] | None = None
    _told: set[str] = field(default_factory=set)
    _turns: int = 0
    _functions: int = 0
    _closing: bool = False

    # ------------------------------------------------------------------ what the line sounds like

    def hear(self, event: Mapping[str, Any]) -> Iterator[Line]:
        """An event of the sandbox."""
        tell = getattr(self, f"_on_{event.get('event')}", None)
        if tell is not None:
            yield from tell(event)

    def _on_ringing(self, event: Mapping[str, Any]) -> Iterator[Line]:
        self.call_sid = str(event.get("call", ""))
        forwarded = event.get("forwarded_from")
        passed_on = f", forwarded by {forwarded}" if forwarded else ""
        yield Line("ring", "ringing", f"{event.get('from')} calls {event.get('to')}{passed_on}")

    def _on_answered(self, _event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("ring", "answered", "the call is taken")

    def _on_stream_started(self, _event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("ring", "stream", "audio flows both ways, 20 ms a frame")

    def _on_first_sound(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("ring", "sound", f"first heard {event.get('ms', 0) / 1000:.2f} s after ringing")

    def _on_caller_says(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("caller", "caller", _quoted(event.get("text")))

    def _on_caller_presses(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("caller", "caller", f"presses {event.get('digit')}")

    def _on_agent_says(self, event: Mapping[str, Any]) -> Iterator[Line]:
        if self.ears and event.get("text"):
            yield from self._agent_says(str(event["text"]))

    def _on_carrier_says(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("agent", "Twilio", _quoted(event.get("text")))

    def _on_barge_in(self, _event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("barge_in", "barge-in", f"the caller interrupts {self.agent}")

    def _on_cleared(self, event: Mapping[str, Any]) -> Iterator[Line]:
        if event.get("latency_ms") is not None:
            yield Line(
                "barge_in",
                "barge-in",
                f"{self.agent} is silent {event['latency_ms']:.0f} ms after the caller began",
            )

    def _on_model_calls(self, event: Mapping[str, Any]) -> Iterator[Line]:
        self._closing = self._closing or event.get("name") == "end_call"
        return iter(())

    def _on_gave_up(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("error", "gave up", f"the caller waited in vain: {event.get('waiting_for')}")

    def _on_error(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("error", "error", f"{event.get('code')}: {event.get('text')}")

    def _on_model_refuses(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("error", "error", f"the model refuses: {event.get('error')}")

    def _on_hung_up(self, event: Mapping[str, Any]) -> Iterator[Line]:
        yield Line("ring", "hang-up", f"by the {event.get('by')}")

    def _on_report(self, event: Mapping[str, Any]) -> Iterator[Line]:
        self.report = event.get("report") or {}
        return iter(())

    def _agent_says(self, text: str) -> Iterator[Line]:
        who = "goodbye" if self._closing else self.agent
        yield Line("agent", who, _quoted(text))

    # ---------------------------------------------------------------------- what the server knows

    def read(self, call: Mapping[str, Any]) -> Iterator[Line]:
        """The call as the API shows it, again and again."""
        yield from self._tenant_found(call)
        for event in call.get("events") or ():
            if event.get("name") == "agent_connected" and self._once("agent"):
                text = f"{event.get('agent')} is there after {event.get('waited_ms')} ms"
                yield Line("found", "agent", text)
        functions = call.get("functions") or ()
        for function in functions[self._functions :]:
            yield from self._function(function)
        self._functions = len(functions)
        turns = call.get("turns") or ()
        if not self.ears:
            for turn in turns[self._turns :]:
                if turn.get("who") == "agent":
                    yield from self._agent_says(str(turn.get("text")))
        self._turns = len(turns)
        if call.get("outcome") and self._once("outcome"):
            yield Line("outcome", "outcome", f"stored: {call['outcome']}")

    def _tenant_found(self, call: Mapping[str, Any]) -> Iterator[Line]:
        found_by = call.get("found_by")
        if found_by and self._once("tenant"):
            how = FOUND_BY.get(str(found_by), f"by {found_by}")
            yield Line("found", "tenant", f"{self.tenant}, found {how}")

    def _function(self, function: Mapping[str, Any]) -> Iterator[Line]:
        self._closing = self._closing or function.get("name") == "end_call"
        given = _short(_pairs(function.get("arguments") or {}))
        answer = _short(_result(function.get("result") or {}))
        yield Line("function", "function", f"{function.get('name')}({given}) → {answer}")
        if function.get("effect") == "booked":
            said = (function.get("result") or {}).get("spoken", "")
            yield Line("outcome", "booked", f"{said}, committed to the database")

    def _once(self, what: str) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True


def figures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The table at the end: what was measured at the caller's ear."""
    turns = [float(turn["latency_ms"]) for turn in report.get("turns") or ()]
    cuts = [
        float(each["latency_ms"])
        for each in report.get("barge_ins") or ()
        if each.get("latency_ms") is not None
    ]
    first, answered = report.get("first_sound_ms"), report.get("answered_ms")
    sound = "none" if first is None else f"{first:.0f} ms after ringing"
    if first is not None and answered is not None:
        sound += f", {first - answered:.0f} ms after the answer"
    return [
        ("time to first sound", sound),
        ("turn latency", _spread(turns)),
        ("barge-in → silence", _spread(cuts)),
        ("frames lost", f"{lost_frames(report)} of {_frames(report)}"),
    ]


def lost_frames(report: Mapping[str, Any]) -> int:
    """Frames that one side sent and the other didn't hear, or heard damaged."""
    lost = int(report.get("frames_discarded") or 0)
    lost += sum(int(count) for count in (report.get("ear_defects") or {}).values())
    for session in (report.get("model") or {}).get("sessions") or ():
        lost += sum(int(count) for count in (session.get("defects") or {}).values())
    return lost


def transcript(call: Mapping[str, Any], agent: str) -> str:
    """The conversation as text: who said what, and what was broken off."""
    names = {"agent": agent, "caller": "Appelant"}
    lines = []
    for turn in call.get("turns") or ():
        cut = " […]" if turn.get("cut") else ""
        who = names.get(str(turn.get("who")), str(turn.get("who")))
        lines.append(f"{str(turn.get('at'))[11:19]}  {who} : {turn.get('text')}{cut}")
    return "\n".join(lines) + "\n"


def _frames(report: Mapping[str, Any]) -> int:
    return int(report.get("frames_sent") or 0) + int(report.get("frames_played") or 0)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    if len(values) == 1:
        return f"{values[0]:.0f} ms"
    return f"{median(values):.0f} ms median, {max(values):.0f} ms at most, {len(values)} times"


def _quoted(text: object) -> str:
    return f"« {text} »"


def _pairs(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def _result(result: Mapping[str, Any]) -> str:
    slots = result.get("slots")
    if isinstance(slots, list):
        return f"{len(slots)} slots: " + "; ".join(str(slot.get("spoken")) for slot in slots)
    return _pairs(result)


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"

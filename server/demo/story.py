"""What a spectator of the demo is told: the world's events and the server's answers → lines.

Pure. The same call is seen from two sides: the sandbox hears the line, the server's API tells what
it knows of the call, a little later. Each line is told once, and bears its own time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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

#: What the first webhook brings about comes after the ringing, though the clock may not show it.
_SOON = 0.01

#: A line's kind, who, and text.
_Told = tuple[str, str, str]

#: Longest text of arguments or result on one line.
_SHORT = 90


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story: seconds after ringing, what it is about, who, what."""

    at: float
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
    refused: str = ""
    _told: set[str] = field(default_factory=set)
    _turns: int = 0
    _functions: int = 0
    _events: int = 0
    _lost: bool = False
    _last_words: str = ""
    _cut: bool = True

    # ------------------------------------------------------------------ what the line sounds like

    def hear(self, event: Mapping[str, Any]) -> Iterator[Line]:
        """An event of the sandbox."""
        tell = getattr(self, f"_on_{event.get('event')}", None)
        if tell is None:
            return
        at = float(event.get("ms") or 0) / 1000
        for kind, who, text in tell(event):
            yield Line(at, kind, who, text)

    def _on_ringing(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        self.call_sid = str(event.get("call", ""))
        forwarded = event.get("forwarded_from")
        passed_on = f", forwarded by {forwarded}" if forwarded else ""
        yield "ring", "ringing", f"{event.get('from')} calls {event.get('to')}{passed_on}"

    def _on_answered(self, _event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "ring", "answered", "the call is taken"

    def _on_stream_started(self, _event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "ring", "stream", "audio flows both ways, 20 ms a frame"

    def _on_caller_says(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "caller", "caller", _quoted(event.get("text"))

    def _on_caller_presses(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "caller", "caller", f"presses {event.get('digit')}"

    def _on_agent_says(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        if self.ears and event.get("text"):
            self._last_words = _quoted(event["text"])
            yield "agent", self.agent, self._last_words

    def _on_agent_said(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        self._cut = bool(event.get("cut"))
        return iter(())

    def _on_carrier_says(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "agent", "Twilio", _quoted(event.get("text"))

    def _on_barge_in(self, _event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "barge_in", "barge-in", f"the caller interrupts {self.agent}"

    def _on_cleared(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        if event.get("latency_ms") is not None:
            waited = f"{event['latency_ms']:.0f} ms after the caller began"
            yield "barge_in", "barge-in", f"{self.agent} is silent {waited}"

    def _on_gave_up(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "error", "gave up", f"the caller waited in vain: {event.get('waiting_for')}"

    def _on_error(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "error", "error", f"{event.get('code')}: {event.get('text')}"

    def _on_model_refuses(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        yield "error", "error", f"the model refuses: {event.get('error')}"

    def _on_breaks_down(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        kind = str(event.get("kind")).replace("_", " ")
        yield "error", "breakdown", f"{event.get('leg')}: {kind}, as ordered"

    def _on_refused(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        self.refused = str(event.get("why"))
        return iter(())

    def _on_hung_up(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        if self.ears and event.get("by") == "server" and self._last_words and not self._cut:
            yield "agent", "goodbye", f"{self._last_words} was heard to its end"
        yield "ring", "hang-up", f"by the {event.get('by')}"

    def _on_report(self, event: Mapping[str, Any]) -> Iterator[_Told]:
        self.report = event.get("report") or {}
        return iter(())

    # ---------------------------------------------------------------------- what the server knows

    def read(self, call: Mapping[str, Any]) -> Iterator[Line]:
        """The call as the API shows it, again and again."""
        began = call.get("started_at")
        found_by = call.get("found_by")
        if found_by and self._once("tenant"):
            how = FOUND_BY.get(str(found_by), f"by {found_by}")
            yield Line(_SOON, "found", "tenant", f"{self.tenant}, found {how}")
        for event in call.get("events") or ():
            if event.get("name") == "agent_connected" and self._once("agent"):
                at = max(_since(began, event.get("at")), _SOON)
                yield Line(at, "found", "agent", _connected(event))
        yield from self._rescue(call.get("events") or (), began)
        functions = call.get("functions") or ()
        for function in functions[self._functions :]:
            yield from self._function(function, began)
        self._functions = len(functions)
        yield from self._turns_of(call, began)
        if call.get("outcome") and self._once("outcome"):
            at = _since(began, call.get("ended_at"))
            yield Line(at, "outcome", "outcome", f"stored: {call['outcome']}")

    def _rescue(self, events: Sequence[Mapping[str, Any]], began: object) -> Iterator[Line]:
        """Agents that were lost, and who took over."""
        for event in events[self._events :]:
            at = _since(began, event.get("at"))
            if event.get("name") == "agent_lost":
                self._lost = True
                why = str(event.get("reason")).replace("_", " ")
                yield Line(at, "error", "agent lost", f"{why}: the next one is fetched")
            elif event.get("name") == "agent_connected" and self._lost:
                yield Line(at, "found", "agent", f"{event.get('agent')} takes over")
        self._events = len(events)

    def _turns_of(self, call: Mapping[str, Any], began: object) -> Iterator[Line]:
        turns = call.get("turns") or ()
        for turn in turns[self._turns :]:
            if turn.get("who") == "agent" and not self.ears:
                self._last_words = _quoted(turn.get("text"))
                yield Line(_since(began, turn.get("at")), "agent", self.agent, self._last_words)
        self._turns = len(turns)

    def _function(self, function: Mapping[str, Any], began: object) -> Iterator[Line]:
        at = _since(began, function.get("at")) + float(function.get("duration_ms") or 0) / 1000
        given = _short(_pairs(function.get("arguments") or {}))
        answer = _short(_result(function.get("result") or {}))
        yield Line(at, "function", "function", f"{function.get('name')}({given}) → {answer}")
        if function.get("effect") == "booked":
            said = (function.get("result") or {}).get("appointment_id", "")
            yield Line(at, "outcome", "booked", f"appointment {said} is committed")

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
        minutes, seconds = divmod(int(_since(call.get("started_at"), turn.get("at"))), 60)
        lines.append(f"{minutes}:{seconds:02}  {who} : {turn.get('text')}{cut}")
    return "\n".join(lines) + "\n"


def _frames(report: Mapping[str, Any]) -> int:
    return int(report.get("frames_sent") or 0) + int(report.get("frames_played") or 0)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    if len(values) == 1:
        return f"{values[0]:.0f} ms"
    return f"{median(values):.0f} ms median, {max(values):.0f} ms at most, {len(values)} times"


def _since(began: object, at: object) -> float:
    """Seconds from one instant (ISO 8601) to another; 0 when one isn't known."""
    if not (isinstance(began, str) and isinstance(at, str)):
        return 0.0
    return (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()


def _connected(event: Mapping[str, Any]) -> str:
    waited = float(event.get("waited_ms") or 0)
    how = "at once: it was called while the telephone rang" if waited < 1 else f"in {waited:.0f} ms"
    return f"{event.get('agent')} is there {how}"


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

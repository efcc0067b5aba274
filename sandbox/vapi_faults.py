"""What goes wrong at the emulated Vapi, on demand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.breakdown import Breakdown, Kind


@dataclass(slots=True)
class Outage:
    """Befalls the next `times` requests of this method whose path begins so, after `hang_s`.
    `done`: what was asked is done all the same, and only the answer is lost, or garbled, or of this
    status. `status` 0: the connection closes without an answer. `late`: nothing else is wrong."""

    status: int = 500
    path: str = "/"
    method: str = ""
    times: int = 1
    hang_s: float = 0.0
    garbage: bool = False
    done: bool = False
    late: bool = False
    retry_after: str = ""


@dataclass(slots=True)
class VapiFaults:
    """May be set at any time; calls see what is set when it matters.

    `full`: how a full account says so, whatever it has: "" | "400" | "201". `refuse_socket`: the
    status of every handshake. `handshake_s`: before one is answered. `brown_out`: connects, and
    sends nothing. `mute_after_s`: from then on a call sends nothing. `half_dead_after_s`: from then
    on it neither reads nor sends, nor answers pings. `close_after_s`, `close_at_event` (the n-th
    message of a call): the socket is closed with `close_code`, or cut when that is None. `garbage`:
    nonsense between the messages. `duplicates`: messages and tool calls come twice. `shuffle`:
    messages come in pairs, the later one first. `no_silence`: no frames while nobody speaks.
    `ended_lag_s`: so long GET /call goes on to call an ended call a running one. `late_s`: each
    answer of the assistant's begins so much later. `lag_s`: whatever is sent comes so much later.
    `hung`: everything is taken, pings are answered, and nothing is sent or asked any more, not even
    at the server. `ends_as`: the call is ended by Vapi itself, for this reason.
    """

    outages: list[Outage] = field(default_factory=list)
    full: str = ""
    refuse_socket: int | None = None
    handshake_s: float = 0.0
    brown_out: bool = False
    mute_after_s: float | None = None
    half_dead_after_s: float | None = None
    close_after_s: float | None = None
    close_at_event: int | None = None
    close_code: int | None = 1011
    garbage: bool = False
    duplicates: bool = False
    shuffle: bool = False
    no_silence: bool = False
    ended_lag_s: float = 0.0
    late_s: float = 0.0
    lag_s: float = 0.0
    hung: bool = False
    ends_as: str = ""

    def become(self, values: dict[str, Any]) -> None:
        """These faults and no others, for calls that are under way too. Raises ValueError naming
        what isn't known."""
        unknown = values.keys() - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        wanted = VapiFaults(
            **{**values, "outages": [Outage(**o) for o in values.get("outages", ())]}
        )
        for each in fields(self):
            setattr(self, each.name, getattr(wanted, each.name))

    def outage(self, method: str, path: str) -> Outage | None:
        """The one for this request, used up."""
        for each in self.outages:
            if path.startswith(each.path) and each.method in ("", method) and each.times > 0:
                each.times -= 1
                return each
        return None


#: Longer than anybody waits for an answer.
_NEVER_S = 60.0
#: Each request from now on.
_ALWAYS = 1_000_000


def _on_creation(status: int, *, hang_s: float = 0.0, late: bool = False) -> Outage:
    return Outage(status, "/call", "POST", _ALWAYS, hang_s=hang_s, late=late)


#: What breakdowns are of a call that has begun; the names of `ends_as` are `endedReason`s
#: (docs.vapi.ai/calls/call-ended-reason).
_UNDER_WAY: Mapping[Kind, Callable[[float], VapiFaults]] = {
    "refuse": lambda _: VapiFaults([_on_creation(503)], close_after_s=0.0, close_code=None),
    "hang": lambda _: VapiFaults([_on_creation(500, hang_s=_NEVER_S)], hung=True),
    "late": lambda seconds: VapiFaults(late_s=seconds),
    "lag": lambda seconds: VapiFaults(lag_s=seconds),
    "brown_out": lambda _: VapiFaults(mute_after_s=0.0),
    "half_dead": lambda _: VapiFaults(half_dead_after_s=0.0),
    "close": lambda _: VapiFaults(close_after_s=0.0),
    "cut": lambda _: VapiFaults(close_after_s=0.0, close_code=None),
    "expired": lambda _: VapiFaults(ends_as="exceeded-max-duration"),
    "429": lambda _: VapiFaults(ends_as="pipeline-error-openai-429-exceeded-quota"),
    "5xx": lambda _: VapiFaults(ends_as="pipeline-error-openai-500-server-error"),
    "garbage": lambda _: VapiFaults(garbage=True),
    "duplicates": lambda _: VapiFaults(duplicates=True),
    "out_of_order": lambda _: VapiFaults(shuffle=True),
}
#: Before that they befall POST /call, where there is more to befall than a call that is joined. Too
#: many calls are refused with a 400 of Vapi's own (§1.11).
_BEFORE: Mapping[Kind, Callable[[float], VapiFaults]] = {
    "refuse": lambda _: VapiFaults([_on_creation(503)]),
    "hang": lambda _: VapiFaults([_on_creation(500, hang_s=_NEVER_S)]),
    "late": lambda seconds: VapiFaults([_on_creation(201, hang_s=seconds, late=True)]),
    "429": lambda _: VapiFaults(full="400"),
    "5xx": lambda _: VapiFaults([_on_creation(500)]),
}


def broken_down(breakdown: Breakdown) -> VapiFaults:
    """What a breakdown of Vapi looks like: of the call that hears this caller, and its `outages` of
    the account; `before_answer`, of all calls that begin from now on. Raises ValueError for what
    can't be."""
    kind, before = breakdown.kind, breakdown.moment == "before_answer"
    if before and kind == "expired":
        raise ValueError("a call at Vapi can't have expired before it has begun")
    faults = _BEFORE.get(kind) if before else None
    return (faults or _UNDER_WAY[kind])(breakdown.seconds)

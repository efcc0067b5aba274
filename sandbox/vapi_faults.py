"""What goes wrong at the emulated Vapi, on demand."""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Outage:
    """Befalls the next `times` requests of this method whose path begins so. `done`: what was asked
    is done all the same, and only the answer is lost, or garbled, or of this status. `status` 0:
    the connection closes without an answer."""

    status: int = 500
    path: str = "/"
    method: str = ""
    times: int = 1
    hang_s: float = 0.0
    garbage: bool = False
    done: bool = False
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
    `ended_lag_s`: so long GET /call goes on to call an ended call a running one.
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


def broken_down(kind: str) -> VapiFaults:
    """What a breakdown (`sandbox.breakdown`) looks like on the socket of a call that has begun.
    Raises ValueError for one that Vapi doesn't have in the middle of a call."""
    known = {
        "brown_out": VapiFaults(mute_after_s=0.0),
        "half_dead": VapiFaults(half_dead_after_s=0.0),
        "close": VapiFaults(close_after_s=0.0),
        "cut": VapiFaults(close_after_s=0.0, close_code=None),
        "garbage": VapiFaults(garbage=True),
        "duplicates": VapiFaults(duplicates=True),
        "out_of_order": VapiFaults(shuffle=True),
    }
    if kind not in known:
        raise ValueError(f"a call at Vapi has no {kind!r}; it has {', '.join(known)}")
    return known[kind]

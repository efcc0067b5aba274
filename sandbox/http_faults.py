"""What goes wrong with answers over HTTP, on demand: by endpoint and by number of the request."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sandbox.breakdown import Breakdown
from sandbox.http_wire import Broken, Dead, Reply

Kind = Literal[
    "refuse",  # with `status`, and the vendor's `code`
    "hang",  # accepted, never answered
    "late",  # answered after `seconds`
    "brown_out",  # the headers, then nothing
    "stall",  # silent after `at` pieces
    "half_dead",  # the same, and whoever closes isn't noticed either
    "close",  # cut (RST) after `at` pieces
    "end",  # ended in good order after `at` pieces
    "garbage",  # something else than asked for
    "duplicate",  # every piece from `at` on comes twice
    "out_of_order",  # piece `at` + 1 comes before piece `at`
]
ENDPOINTS = ("chat", "transcriptions", "speech", "models")


@dataclass(frozen=True, slots=True)
class HttpFault:
    """`endpoint`: one of ENDPOINTS, "" for all; `requests`: which of its requests (1 = first), none
    for each; `at`: pieces, from 1."""

    kind: Kind
    endpoint: str = ""
    requests: frozenset[int] = frozenset()
    at: int = 1
    seconds: float = 0.0
    status: int = 503
    code: str = "server_error"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.endpoint not in ("", *ENDPOINTS):
            raise ValueError(f"no such fault: {self.kind!r} of {self.endpoint!r}")

    @classmethod
    def of(cls, values: dict[str, Any]) -> "HttpFault":
        """From plain values; `requests` a list. Raises ValueError or TypeError."""
        return cls(**{**values, "requests": frozenset(values.get("requests", ()))})

    def concerns(self, endpoint: str, number: int) -> bool:
        """Whether this request is to go wrong."""
        return self.endpoint in ("", endpoint) and (not self.requests or number in self.requests)


#: Which endpoint of the three models of a cascade.
_ENDPOINTS = {"stt": "transcriptions", "llm": "chat", "tts": "speech"}
#: What each breakdown is on HTTP: a request and its answer. (A TCP connection neither repeats nor
#: swaps anything, and a request has no age.)
_BROKEN_DOWN: dict[str, tuple[Kind, int]] = {
    "refuse": ("refuse", 503),
    "hang": ("hang", 0),
    "late": ("late", 0),
    "brown_out": ("brown_out", 0),
    "half_dead": ("half_dead", 0),
    "close": ("end", 0),
    "cut": ("close", 0),
    "429": ("refuse", 429),
    "5xx": ("refuse", 500),
    "garbage": ("garbage", 0),
}


def broken_down(breakdown: Breakdown) -> HttpFault:
    """What befalls every request to this model from then on. Raises ValueError when this can't
    befall one."""
    if breakdown.kind not in _BROKEN_DOWN or breakdown.leg not in _ENDPOINTS:
        raise ValueError(f"{breakdown.kind!r} can't befall the {breakdown.leg} of a cascade")
    kind, status = _BROKEN_DOWN[breakdown.kind]
    code = "rate_limit_exceeded" if status == 429 else "server_error"
    return HttpFault(
        kind,
        _ENDPOINTS[breakdown.leg],
        at=max(breakdown.at, 1),
        seconds=breakdown.seconds,
        status=status,
        code=code,
    )


async def before(fault: HttpFault | None) -> Reply | None:
    """What happens instead of an answer, or before there is one."""
    if fault is None:
        return None
    if fault.kind == "late":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "hang":
        await asyncio.Event().wait()
    elif fault.kind == "refuse":
        return refusal(fault.status, fault.code, "As ordered.")
    elif fault.kind == "garbage":
        return _whole(200, "text/html", b"<html><body>It works!\xff</body></html>")
    return None


def spoiled(reply: Reply, fault: HttpFault | None) -> Reply:
    """The answer with what goes wrong in it."""
    if fault is not None and fault.kind in _SPOILERS:
        reply.pieces = _spoil(reply.pieces, fault)
        reply.length = None
    return reply


_SPOILERS = frozenset(
    {"brown_out", "stall", "half_dead", "close", "end", "duplicate", "out_of_order"}
)


async def _spoil(
    pieces: AsyncGenerator[bytes, None], fault: HttpFault
) -> AsyncGenerator[bytes, None]:
    if fault.kind == "brown_out":
        await asyncio.Event().wait()
    kept = b""
    number = 0
    async for piece in pieces:
        number += 1
        if fault.kind == "duplicate" and number >= fault.at:
            yield piece
        elif fault.kind == "out_of_order" and number == fault.at:
            kept = piece
            continue
        elif number > fault.at:
            await _break(fault.kind)
            if fault.kind == "end":
                return
        yield piece
        if kept:
            yield kept
            kept = b""
    if kept:
        yield kept
    await _break(fault.kind)


async def _break(kind: Kind) -> None:
    if kind == "stall":
        await asyncio.Event().wait()
    elif kind == "half_dead":
        raise Dead
    elif kind == "close":
        raise Broken


def refusal(status: int, code: str, message: str, param: str | None = None) -> Reply:
    """An error as the vendor words it."""
    kinds = {401: "invalid_request_error", 429: "requests", 500: "server_error"}
    kind = "insufficient_quota" if code == "insufficient_quota" else kinds.get(status)
    error = {
        "message": message,
        "type": kind or ("server_error" if status >= 500 else "invalid_request_error"),
        "param": param,
        "code": code or None,
    }
    return json_reply({"error": error}, status)


def json_reply(body: Any, status: int = 200) -> Reply:
    """JSON, in two pieces."""
    return _whole(status, "application/json", json.dumps(body, ensure_ascii=False).encode())


def _whole(status: int, kind: str, content: bytes) -> Reply:
    async def pieces() -> AsyncGenerator[bytes, None]:
        half = len(content) // 2
        yield content[:half]
        yield content[half:]

    return Reply(status, kind, pieces(), len(content))

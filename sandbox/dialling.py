"""`<Dial>`: rings a scripted callee, lets them hear the `<Number url>`, connects both parties."""

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urljoin

from sandbox.callee import Callee, CalleeParty
from sandbox.leg import Fetch, Leg, Record
from sandbox.report import CallLog, CallReport
from sandbox.twiml import TwimlError, Verb
from sandbox.twiml_runner import DialResult

DEFAULT_TIMEOUT_SECONDS = 30.0
#: At most this much of one party waits to be heard by the other.
_MAX_WAITING_FRAMES = 25


class Exchange(Protocol):
    """What dialling needs of the carrier."""

    @property
    def callees(self) -> Mapping[str, Callee]:
        """Who is behind which number; nobody answers at the others."""
        ...

    @property
    def numbers(self) -> Mapping[str, object]:
        """The account's own numbers."""
        ...

    def new_sid(self, prefix: str) -> str:
        """A fresh identifier."""
        ...

    def open(self, leg: Leg) -> None:
        """The leg exists from now on."""
        ...

    async def close(self, leg: Leg) -> None:
        """The leg is over."""
        ...

    async def run(self, leg: Leg, order: Fetch) -> None:
        """Run TwiML on a leg."""
        ...

    async def ring_in(self, from_number: str, to_number: str, forwarded_from: str | None) -> str:
        """A call comes in at one of our own numbers; its final status, once it has one. Whoever
        answers it is hung up on."""
        ...


async def dial(exchange: Exchange, parent: Leg, verb: Verb, base: str, result: DialResult) -> None:
    """Until the parties have been disconnected or nobody could be reached."""
    if len(verb.children) > 1:
        raise TwimlError(12200, "<Dial> of several numbers is not emulated")
    noun = verb.children[0] if verb.children else verb
    result.number, result.status = noun.text, "failed"
    caller_id = verb.get("callerId", parent.record.from_number)
    known = {parent.record.from_number, parent.record.to_number, *exchange.numbers}
    if caller_id not in known:
        parent.log.error(13214, f"<Dial callerId={caller_id!r}> is not a number of this account")
        return
    if not re.fullmatch(r"\+?[0-9]{3,15}", noun.text):
        parent.log.error(13223, f"<Dial>: {noun.text!r} is not a telephone number")
        return
    result.status = "no-answer"
    parent.log.emit("dialling", number=noun.text)
    callee = exchange.callees.get(noun.text, Callee())
    limit = verb.seconds("timeout", DEFAULT_TIMEOUT_SECONDS)
    if not await _ring(exchange, callee, caller_id, limit, result):
        return
    child = _child(exchange, parent, callee, caller_id, result)
    try:
        await _talk(exchange, parent, child, noun, base, result)
    finally:
        child.end("carrier")
        result.seconds = child.record.duration
        await exchange.close(child)


async def _ring(
    exchange: Exchange, callee: Callee, caller_id: str, limit: float, result: DialResult
) -> bool:
    """Whether somebody answers in time."""
    if callee.behaviour == "no_answer" or callee.rings_seconds > limit:
        await asyncio.sleep(limit)
        return False
    await asyncio.sleep(callee.rings_seconds)
    if callee.behaviour in ("busy", "failed"):
        result.status = callee.behaviour
        return False
    if callee.behaviour == "forwards":
        shown = callee.forwarded_from(result.number)
        result.status = await exchange.ring_in(caller_id, callee.forwards_to, shown)
        return False
    return True


def _child(
    exchange: Exchange, parent: Leg, callee: Callee, caller_id: str, result: DialResult
) -> Leg:
    """The leg of somebody who has just answered."""
    result.call_sid, result.status = exchange.new_sid("CA"), "completed"
    record = Record(
        result.call_sid,
        caller_id,
        result.number,
        "outbound-dial",
        parent_sid=parent.record.sid,
    )
    report = CallReport(result.call_sid, 0, caller_id, result.number, None)
    # Its requests, documents and errors are the call's.
    report.requests, report.twiml = parent.log.report.requests, parent.log.report.twiml
    report.errors = parent.log.report.errors
    child = Leg(record, CalleeParty(callee), CallLog(report, parent.log.clock))
    exchange.open(child)
    child.answer()
    parent.log.emit("callee_answered", number=result.number)
    return child


async def _talk(
    exchange: Exchange, parent: Leg, child: Leg, noun: Verb, base: str, result: DialResult
) -> None:
    if noun.get("url"):
        url = urljoin(base, noun.get("url"))
        await exchange.run(child, Fetch(url, noun.get("method", "POST")))
    if child.record.over:
        parent.log.emit("callee_gone", number=result.number)
        return  # hung up on, by either side, before the parties were connected
    result.bridged = True
    parent.log.emit("bridged", number=result.number)
    to_callee, to_caller = _Wire(), _Wire()
    parent.source, parent.sink = to_caller, to_callee.put
    child.source, child.sink = to_callee, to_caller.put
    try:
        async with asyncio.timeout(exchange.callees[result.number].talks_seconds):
            await child.closed.wait()
    except TimeoutError:
        child.hang_up()
    finally:
        parent.source = parent.sink = None


class _Wire:
    """One direction between two parties."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=_MAX_WAITING_FRAMES)

    def put(self, frame: bytes) -> None:
        """In at one end."""
        self._frames.append(frame)

    def pull(self, at: float) -> bytes | None:
        """Out at the other."""
        return self._frames.popleft() if self._frames else None

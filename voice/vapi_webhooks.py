"""Vapi's doors: `POST /api/vapi/functions`, and `/api/vapi/events`, which is the same.

Whoever comes here has shown the deployment's secret (`dashboard.api.auth`). That makes it Vapi, not
right: the call is the one whose id at Vapi we stored ourselves, and what a message says of tenants
and calls must agree with it. Nothing here needs the node on which the call's stream is.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from domain.clock import Clock
from domain.errors import CallerError, OperatorError
from domain.messages import text
from domain.tenant import DEFAULT_LOCALE
from storage import Storage
from storage.calls import CallRow
from storage.journal import JournalEntry
from voice.endings import CLOSING, LIVE, OPENING, Endings
from voice.events import FunctionFinished
from voice.functions.context import CallContext
from voice.functions.runner import FunctionRunner
from voice.ports import CallMetrics
from voice.vapi_departures import Departures
from voice.vapi_messages import (
    BY_THE_ASSISTANT,
    BY_THE_CALLER,
    Message,
    ToolCall,
    legacy_call,
    one_line,
    read,
    refusal,
    report,
    said,
    tool_calls,
)

log = structlog.get_logger(__name__)

#: Opening of a call that Twilio carries to Vapi by itself.
BYPASS: Final = "bypass"
#: An end-of-call-report has the whole conversation, twice, and the assistant.
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
BODY_SECONDS: Final = 10.0
#: To find the call and its tenant; a function's own limit comes on top (voice.functions.runner).
LOOK_UP_SECONDS: Final = 2.0
#: Functions of one message that run at once: each may take a connection to the database.
AT_ONCE: Final = 4
#: Function calls whose line is in the timeline already, remembered for repeats.
REMEMBERED: Final = 2000

# What the model is told; one line each.
UNKNOWN_CALL: Final = "This call is not known here; nothing was done. Offer to be called back."
PASSED_CALL: Final = "Another agent has taken this call over; nothing was done. Say no more."
REFUSALS: Final = {
    "unreadable": "The arguments are no JSON object; nothing was done. Ask again with one.",
    "unproven": "This request does not say which call it is of; nothing was done.",
    "another_call": "This request does not belong to this call; nothing was done.",
}
UNAVAILABLE: Final = "This is not available now; nothing was done. Offer to be called back."

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class VapiWebhooks:
    """`contexts`: what functions may touch that run for a call."""

    storage: Storage
    contexts: Callable[[CallRow], Awaitable[CallContext]]
    functions: FunctionRunner
    endings: Endings
    departures: Departures
    metrics: CallMetrics
    clock: Clock
    _told: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict, repr=False)

    async def handle(self, request: Request) -> Response:
        """Any server message. What needs no answer, or isn't known, is taken with 200 `{}`.
        CallerError: 400 no message, 408 too slow, 413 too large; OperatorError when an event can't
        be stored, so that Vapi tells it again."""
        try:
            message = read(await _body(request))
        except ValueError as error:
            raise CallerError(f"{error}.") from None
        self.metrics.count("vapi_messages", message.label)
        match message.kind:
            case "tool-calls":
                return _answer({"results": await self._results(tool_calls(message), message)})
            case "function-call":
                return _answer(await self._legacy(message))
            case "assistant-request":  # nobody is called that way here; spoken to the caller
                words = text(DEFAULT_LOCALE, "technical_apology_unbound")
                return _answer({"error": words})
            case "status-update" | "end-of-call-report" | "transcript":
                await self._event(message)
        return _answer({})

    # ----------------------------------------------------------------------------- functions

    async def _results(self, calls: list[ToolCall], message: Message) -> list[dict[str, Any]]:
        """One for each, in order. Vapi reads nothing but a 200, so nothing is raised."""
        found = await self._context(message) if calls else UNKNOWN_CALL
        if isinstance(found, str):
            why = "passed_call" if found == PASSED_CALL else "unknown_call"
            self.metrics.count("vapi_tool_calls_refused", why)
            return [_error(call, found) for call in calls]
        row, context = found
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._result(call, message, row, context, places))
                for call in calls
            ]
        return [task.result() for task in running]

    async def _legacy(self, message: Message) -> dict[str, Any]:
        call = legacy_call(message)
        if call is None:
            return {"error": UNAVAILABLE}
        (result,) = await self._results([call], message)
        return {name: result[name] for name in ("result", "error") if name in result}

    async def _context(self, message: Message) -> tuple[CallRow, CallContext] | str:
        """The running call that the message is of, or why there is none."""
        if not message.call_id:
            return UNKNOWN_CALL
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                row = await self.storage.vapi_calls.find(message.call_id, serving=True)
                if row is None and await self.storage.vapi_calls.find(message.call_id):
                    return PASSED_CALL
                if row is None or row.tenant_id is None or row.outcome is not None:
                    return UNKNOWN_CALL
                return row, await self.contexts(row)
        except (OperatorError, TimeoutError) as error:
            log.error("vapi.call_not_read", error=type(error).__name__)
            return UNAVAILABLE

    async def _result(
        self,
        call: ToolCall,
        message: Message,
        row: CallRow,
        context: CallContext,
        places: asyncio.Semaphore,
    ) -> dict[str, Any]:
        known = {
            "_tenant": context.tenant.id,
            "_call": message.call_id,
            "_call_id": row.id,
            "_call_sid": row.call_sid,
        }
        refused = refusal(call, known)
        if refused is not None:
            log.error("vapi.tool_call_refused", call_id=row.id, reason=refused)
            self.metrics.count("vapi_tool_calls_refused", refused)
            return _error(call, REFUSALS[refused])
        async with places:
            began = self.clock.monotonic()
            finished = await self.functions.run(call.id, call.name, call.arguments, context)
            self._record(call, finished, row, self.clock.monotonic() - began)
        result: dict[str, Any] = {
            "toolCallId": call.id,
            "name": call.name,
            "result": one_line(finished.result),
        }
        if finished.then == "transfer" and context.transfer_number:
            words = text(context.locale, "transfer_wait")
            try:
                begun = await self.departures.transfer(row, context.transfer_number, words)
            except OperatorError as error:
                log.error("transfer.not_stored", call_id=row.id, error=type(error).__name__)
                return _error(call, UNAVAILABLE)
            if begun:
                result["message"] = {"type": "request-complete", "content": words}
        elif finished.then == "end":
            self.departures.end(row)
        return result

    def _record(
        self, call: ToolCall, finished: FunctionFinished, row: CallRow, seconds: float
    ) -> None:
        """Once in the timeline, however often Vapi asks."""
        key = (row.id, call.id)
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self.metrics.count("functions", str(finished.result.get("status", "ok")))
        self.metrics.observe("function", seconds)
        log.info(
            "function.finished", call_id=row.id, function=finished.name, ms=round(seconds * 1000)
        )
        data = {
            "name": finished.name,
            "arguments": call.arguments,
            "result": dict(finished.result),
            "duration_ms": round(seconds * 1000, 1),
        }
        self.endings.journal.write(JournalEntry(row.id, self.clock.now(), "function", data))

    # -------------------------------------------------------------------------------- events

    async def _event(self, message: Message) -> None:
        row = await self.storage.vapi_calls.find(message.call_id) if message.call_id else None
        if row is None or row.tenant_id is None:
            self.metrics.count("vapi_messages_unknown_call", message.label)
            return
        bypassed = row.opening.get("kind") == BYPASS
        if message.kind == "end-of-call-report":
            await self._report(message, row, bypassed=bypassed)
        elif message.kind == "status-update":
            await self._status(message, row, bypassed=bypassed)
        elif bypassed and row.outcome is None:  # on a stream of ours we hear for ourselves
            turn = said(message)
            if turn is not None:
                data = {"who": turn[0], "text": turn[1]}
                self.endings.journal.write(JournalEntry(row.id, self.clock.now(), "turn", data))

    async def _status(self, message: Message, row: CallRow, *, bypassed: bool) -> None:
        status, reason = message.words("status"), message.words("endedReason")[:80]
        if status == "ended":
            data = {"name": "vapi_ended", "reason": reason}
            self.endings.journal.write(JournalEntry(row.id, self.clock.now(), "event", data))
        if not bypassed:
            return  # the stream's own business
        if status == "in-progress":
            await self.storage.vapi_calls.answered(row.id, LIVE, only_from=OPENING)
        elif status == "ended" and reason.startswith(BY_THE_ASSISTANT):
            # The goodbye was spoken: `continue` hangs up.
            await self.storage.operator.set_stage(row.id, CLOSING, only_from=(OPENING, LIVE))

    async def _report(self, message: Message, row: CallRow, *, bypassed: bool) -> None:
        await self.endings.journal.flush()  # our own words first, they count
        await self.storage.vapi_calls.report(
            row.id, report(message, row.answered_at or row.started_at)
        )
        ended = message.words("endedReason").startswith((*BY_THE_ASSISTANT, *BY_THE_CALLER))
        if bypassed and ended and row.stage in (OPENING, LIVE, CLOSING):
            await self.endings.close(row, "vapi_report")


async def _body(request: Request) -> bytes:
    too_large = CallerError(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 12 or int(declared) > MAX_BODY_BYTES):
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise CallerError(f"The body took over {BODY_SECONDS:g} s.", status=408) from None
    return bytes(data)


def _error(call: ToolCall, words: str) -> dict[str, Any]:
    return {"toolCallId": call.id, "name": call.name, "error": words}


def _answer(content: Mapping[str, Any]) -> Response:
    return Response(
        msgspec.json.encode(content),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )

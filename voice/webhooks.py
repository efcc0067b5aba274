"""Twilio's voice webhooks: thin doors over openings, streams, transfers and endings.

The signature was verified by middleware before any of these runs (`server/app.py`), which leaves
the form in `scope["state"]["twilio_form"]`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.clock import Clock
from domain.errors import OperatorError
from domain.messages import text
from domain.phone import spoken_digits
from domain.tenant import DEFAULT_LOCALE
from storage import Storage
from storage.calls import CallRow
from storage.journal import JournalEntry
from voice import twiml
from voice.background import Background
from voice.endings import (
    ACCEPTED,
    ASKING,
    BROKEN,
    CLOSING,
    DIALLING,
    FINAL,
    NO_AGENT,
    OVERFLOW,
    REJECTED,
    TRANSFERRING,
    TURNS,
    UNANSWERED,
    VOICEMAIL,
    Endings,
)
from voice.ladder import SPEAKING
from voice.lower_rungs import passed_of
from voice.openings import Openings
from voice.ports import CallMetrics
from voice.turn_webhooks import TurnWebhooks, turn_doors

log = structlog.get_logger(__name__)

#: Streams that one call may lose before it goes on without one.
ATTEMPTS = 4
#: How long a caller waits before they are asked for again, while the only node is about to stop.
PARKED_SECONDS = 2
#: Twilio's own ids are 34 characters.
SID_LENGTH = 64

#: Seconds, as many as a column of the database takes.
_DURATION = re.compile(r"[0-9]{1,9}")

Handler = Callable[[Request], Awaitable[Response]]
#: Follows what is reported of a text, whose id stands in the address; True when it moved.
MessageStatus = Callable[[Mapping[str, str], str | None], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class VoiceWebhooks:
    """The routes below /webhooks/twilio that concern calls."""

    storage: Storage
    openings: Openings
    endings: Endings
    turns: TurnWebhooks
    addresses: twiml.Addresses
    background: Background
    message_status: MessageStatus
    clock: Clock
    metrics: CallMetrics
    caller_id: str
    ring_seconds: int

    def routes(self) -> list[Route]:
        """All of them; POST only."""

        def route(path: str, handler: Handler) -> Route:
            return Route(f"/webhooks/twilio/{path}", _or_unavailable(handler), methods=["POST"])

        return [
            route("voice", self.incoming),
            route("voice/tenant/{call_id}", self.tenant),
            route("voice/continue", self.goes_on),
            route("voice/transfer/{call_id}", self.transfer),
            route("voice/transfer/{call_id}/announce", self.announce),
            route("voice/transfer/{call_id}/accept", self.accept),
            route("voice/transfer/{call_id}/done", self.transfer_done),
            route("status", self.status),
            route("voice/line-check/{check_id}", self.line_check),
            *(route(path, handler) for path, handler in turn_doors(self.turns).items()),
        ]

    # ----------------------------------------------------------------------------- the call

    async def incoming(self, request: Request) -> Response:
        """A call rings."""
        began = self.clock.monotonic()
        form = _form(request)
        if not 0 < len(form.get("CallSid", "")) <= SID_LENGTH:
            return PlainTextResponse("CallSid is missing", 400)
        if self.openings.live_calls.is_closed:
            # Whoever starts in our place takes the call, with nothing of it known here.
            self.metrics.count("calls_parked")
            words = text(DEFAULT_LOCALE, "hold_1")
            return _twiml(twiml.wait(self.addresses, DEFAULT_LOCALE, words, PARKED_SECONDS))
        opened = await self.openings.open(form)
        seconds = self.clock.monotonic() - began
        self.metrics.observe("webhook", seconds)
        if opened.call_id is not None:
            took = {"stage": "webhook", "ms": round(seconds * 1000, 1)}
            self.endings.journal.write(
                JournalEntry(opened.call_id, self.clock.now(), "latency", took)
            )
        return _twiml(opened.twiml)

    async def tenant(self, request: Request) -> Response:
        """The caller has said which company they want."""
        form = _form(request)
        row = await self.storage.operator.get_call(request.path_params["call_id"])
        if row is None or row.call_sid != form.get("CallSid"):
            return _twiml(twiml.hang_up())
        return _twiml(await self.openings.answered(row, form))

    async def goes_on(self, request: Request) -> Response:
        """The stream has ended, and Twilio asks what now."""
        form = _form(request)
        row = await self.storage.operator.call_by_sid(form.get("CallSid", ""))
        if row is None or row.outcome is not None:
            return _twiml(twiml.hang_up())
        if form.get("CallStatus") in FINAL:
            self._close_later(form)
            return _twiml(twiml.nothing())
        return _twiml(await self._next(row))

    async def _next(self, row: CallRow) -> str:
        if row.stage in (CLOSING, OVERFLOW, REJECTED, BROKEN):
            return twiml.hang_up()
        if row.stage == TRANSFERRING:
            return await self._dial(row)
        if row.stage == ASKING or row.tenant_id is None:
            return twiml.hang_up()
        if row.stage in (TURNS, VOICEMAIL):
            return await self.openings.again(row)
        current, farewell = await self.openings.afterwards(row)
        if farewell is not None:
            return farewell
        if current.stage == TRANSFERRING:
            return await self._dial(current)
        return await self._resume(row)

    async def _resume(self, row: CallRow) -> str:
        """Another stream; a rung below when no agent was left on this one, or too many broke. When
        several requests ask at once, all get the first one's answer."""
        if self.openings.just_answered(row):
            return await self.openings.again(row)
        attempt = row.attempts + 1
        passed = passed_of(row.opening)
        if row.stage == NO_AGENT or attempt >= ATTEMPTS:
            passed |= SPEAKING
        log.info("call.resumed", call_id=row.id, attempt=attempt)
        return await self.openings.go_on(row, passed, attempts=row.attempts)

    async def status(self, request: Request) -> Response:
        """A status callback: of a message if it bears a message's fields, else of a call."""
        form = _form(request)
        if form.get("MessageSid") or form.get("SmsSid"):
            await self.message_status(form, request.query_params.get("text"))
        else:
            self._close_later(form)
        return Response(status_code=204)

    async def line_check(self, request: Request) -> Response:
        """Our call to a business's line is over, or goes on."""
        status = _form(request).get("CallStatus", "")
        await self.storage.lines.ended(request.path_params["check_id"], status)
        return Response(status_code=204)

    def _close_later(self, form: Mapping[str, str]) -> None:
        if form.get("CallStatus") in FINAL:  # a caller who left before the stream keeps no place
            self.openings.live_calls.release(form.get("CallSid", ""))
        duration = form.get("CallDuration", "")
        self.background.start(
            "call.close",
            lambda: self.endings.close_from_status(
                form.get("CallSid", ""),
                form.get("CallStatus", ""),
                int(duration) if _DURATION.fullmatch(duration) else None,
            ),
        )

    # ------------------------------------------------------------------------- the transfer

    async def transfer(self, request: Request) -> Response:
        """The call was redirected here: ring the owner. By a node that was frozen on its way it is
        so once more, which has ended whatever it was doing: the owner is rung again, or the caller
        goes on with who had them."""
        row = await self._transferred(request, "CallSid", DIALLING, ACCEPTED, UNANSWERED)
        if row is None:
            return _twiml(twiml.hang_up())
        if row.transfer_state == UNANSWERED:
            return _twiml(await self._next(row))
        if row.transfer_state == ACCEPTED:
            await self.storage.operator.set_transfer(row.id, row.transfer_number, DIALLING)
        return _twiml(await self._dial(row))

    async def _dial(self, row: CallRow) -> str:
        if not row.transfer_number:
            return twiml.hang_up()
        # From here on the carrier carries it: no node is missed, should its stream's one die.
        await self.storage.operator.put_down(row.id)
        return twiml.dial(
            self.addresses, row.transfer_number, self.caller_id, row.id, self.ring_seconds
        )

    async def announce(self, request: Request) -> Response:
        """Somebody, or a mailbox, answered: say who calls, and ask for a key."""
        row = await self._transferred(request, "ParentCallSid", DIALLING, ACCEPTED)
        if row is None or row.tenant_id is None:
            return _twiml(twiml.hang_up())
        async with self.storage.tenant(row.tenant_id).read() as rows:
            tenant = await rows.tenant()
        if row.from_number:
            caller = spoken_digits(row.from_number, tenant.locale)
            words = text(tenant.locale, "transfer_announce", caller=caller, company=tenant.name)
        else:
            words = text(tenant.locale, "transfer_announce_unknown", company=tenant.name)
        return _twiml(twiml.announce(self.addresses, tenant.locale, words, row.id))

    async def accept(self, request: Request) -> Response:
        """Only key 1 takes the call."""
        row = await self._transferred(request, "ParentCallSid", DIALLING, ACCEPTED)
        if row is None or _form(request).get("Digits") != "1":
            return _twiml(twiml.hang_up())
        await self.storage.operator.set_transfer(row.id, row.transfer_number, ACCEPTED)
        log.info("transfer.accepted", call_id=row.id)
        return _twiml(twiml.nothing())  # the end of the announcement bridges the two

    async def transfer_done(self, request: Request) -> Response:
        """The dial is over: the end, or back to the agent."""
        row = await self._transferred(request, "CallSid", DIALLING, ACCEPTED, UNANSWERED)
        form = _form(request)
        if row is None:
            return _twiml(twiml.hang_up())
        if row.transfer_state == ACCEPTED:
            self._close_later({**form, "CallStatus": "completed"})
            return _twiml(twiml.hang_up())
        await self.storage.operator.set_transfer(row.id, row.transfer_number, UNANSWERED)
        self.background.start("call.transfer_told", lambda: self.endings.nobody_answered(row))
        if form.get("CallStatus") in FINAL:
            self._close_later(form)
            return _twiml(twiml.nothing())
        passed, attempts = passed_of(row.opening), row.attempts
        going_on = self.openings.go_on(row, passed, nobody_answered=True, attempts=attempts)
        return _twiml(await going_on)

    async def _transferred(self, request: Request, sid_field: str, *states: str) -> CallRow | None:
        """The call of the path, if the request is about it and its transfer stands there: a key
        that is pressed after the caller has gone back to the agent takes nothing."""
        row = await self.storage.operator.get_call(request.path_params["call_id"])
        sid = _form(request).get(sid_field)
        if row is None or row.outcome is not None or (sid is not None and sid != row.call_sid):
            return None
        return row if row.transfer_state in states else None


def _or_unavailable(handler: Handler) -> Handler:
    """What wasn't stored isn't answered: Twilio turns to the number's fallback address, which
    works without us (docs/deploy.md)."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except OperatorError as error:
            log.error("webhook.unavailable", route=handler.__name__, error=str(error))
            return PlainTextResponse("storage is not available", 503)

    return guarded


def _form(request: Request) -> Mapping[str, str]:
    form: Mapping[str, str] = request.state.twilio_form
    return form


def _twiml(document: str) -> Response:
    return Response(document, media_type="application/xml")

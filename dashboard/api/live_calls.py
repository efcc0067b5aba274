"""Calls that go on, on any node: see them, end them, hand them over; and what was recorded."""

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.call_shapes import CallSteered, LiveCallList
from dashboard.api.calls import describe
from dashboard.api.operations import operation
from dashboard.api.problem import NO_STORE
from dashboard.api.query import is_identifier
from dashboard.api.settings import ApiSettings, CallSteering
from domain.errors import CallerError, Conflict, NotFound, ProviderError
from domain.permissions import May
from domain.phone import normalise
from storage import Storage, TenantRows
from storage.calls import CallRow


class LiveCalls:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    @operation("List calls that go on", may=May.VIEW, answer=LiveCallList)
    async def index(self, request: Request) -> Response:
        """On all nodes; `GET /api/v1/events` tells what changes (`call.started`, …)."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            calls = await rows.calls.live()
            now = rows.statistics.now()
        shown = [_described(call, now) for call in calls]
        return json_response({"success": True, "calls": shown, "count": len(shown)})

    @operation("End a call", may=May.WORK, answer=CallSteered, status=202, problems=(409,))
    async def end(self, request: Request) -> Response:
        """Hang up, now. 409: it has ended. 503: the carrier didn't; the call goes on."""
        steering, call = await self._running(request)
        try:
            done = await steering.end(call.id)
        except ProviderError as error:
            raise _not_done() from error
        if not done:
            raise _over()
        return _steered(call.id, "ending")

    @operation("Hand a call over", may=May.WORK, answer=CallSteered, status=202, problems=(409,))
    async def transfer(self, request: Request) -> Response:
        """To the transfer number of the phone channel's settings, whose owner hears who calls and
        presses 1. Nobody there: the agent takes the caller back. 409: it has ended, is being
        handed over already, or no transfer number is set."""
        steering, call = await self._running(request)
        number = call.number
        if number is None:
            raise Conflict(
                "No transfer number is set: config.transferNumber of the phone channel.",
                message_key="call_no_transfer_number",
            )
        try:
            done = await steering.transfer(call.id, number)
        except ProviderError as error:
            raise _not_done() from error
        if not done:
            raise Conflict(
                "No agent has this call: it has ended, or is being handed over already.",
                message_key="call_not_with_agent",
            )
        return _steered(call.id, "transferring")

    @operation(
        "Listen to a call",
        may=May.CALLS,
        media="audio/mpeg",
        audit_read="recording.read",
        problems=(404,),
    )
    async def recording(self, request: Request) -> Response:
        """What was recorded of it, or the message that the caller left, as MP3; fetched from the
        carrier each time."""
        tenant, call_id = tenant_access(request).tenant, request.path_params["id"]
        found = None
        if is_identifier(call_id):
            async with self._storage.tenant(tenant.id).read() as rows:
                await _known(rows, call_id)
                found = await rows.calls.recording(call_id)
        if found is None or self._settings.recording is None:
            raise NotFound("Nothing of this call is kept.", message_key="recording_unknown")
        try:
            audio = await self._settings.recording(found)
        except ProviderError as error:
            raise _not_done() from error
        return Response(audio, media_type="audio/mpeg", headers=NO_STORE)

    async def _running(self, request: Request) -> tuple[CallSteering, "_Running"]:
        """The call, if it goes on. Its audit line is written before anything is done."""
        tenant, call_id = tenant_access(request).tenant, request.path_params["id"]
        if not is_identifier(call_id):
            raise _unknown()
        steering = self._settings.steering
        action = f"call.{request.url.path.rsplit('/', 1)[-1]}"
        async with self._storage.tenant(tenant.id).write() as rows:
            call = await _known(rows, call_id)
            if call.outcome is not None:
                raise _over()
            if steering is None:
                raise CallerError("No carrier is configured.", status=503)
            config = (await rows.channels.get("phone")).config
            await rows.audit.record(action, "call", call_id)
        number = normalise(str(config.get("transferNumber") or ""), self._settings.default_region)
        return steering, _Running(call.id, number)


class _Running:
    """A call that goes on, and where it may be handed over to."""

    __slots__ = ("id", "number")

    def __init__(self, call_id: str, number: str | None) -> None:
        self.id = call_id
        self.number = number


async def _known(rows: TenantRows, call_id: str) -> CallRow:
    call = await rows.calls.get(call_id)
    if call is None:
        raise _unknown()
    return call


def _unknown() -> NotFound:
    return NotFound("There is no call with this id.", message_key="call_unknown")


def _over() -> Conflict:
    return Conflict("This call has ended.", message_key="call_over")


def _not_done() -> CallerError:
    return CallerError(
        "The carrier didn't do it; nothing was changed.", status=503, message_key="carrier_failed"
    )


def _steered(call_id: str, status: str) -> Response:
    return json_response({"success": True, "call_id": call_id, "status": status}, 202)


def _described(call: CallRow, now: datetime) -> dict[str, Any]:
    return {
        **describe(call, None),
        "stage": call.stage,
        "seconds": max(0, int((now - call.started_at).total_seconds())),
        "transfer_state": call.transfer_state,
        "contact_id": call.contact_id,
        "seen_at": call.seen_at.isoformat() if call.seen_at else None,
    }

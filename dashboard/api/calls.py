"""The tenant's calls: `GET /api/v1/calls` and `/calls/{id}`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.call_shapes import CallAnswer, CallList, CallsQuery
from dashboard.api.operations import operation
from dashboard.api.prospects import describe_contact
from dashboard.api.query import choice, day, is_identifier, page_of
from domain.errors import NotFound
from domain.outcome import Outcome
from domain.permissions import May
from storage import Storage
from storage.calls import CallRow, TimelineEntry
from storage.functions import StoredResult
from storage.journal import transcript
from storage.prospects import Prospect
from storage.schema import CALL_STATUSES

DEFAULT_LIMIT, MAX_LIMIT = 30, 200

#: What pages may filter by → Twilio's spelling, which is stored. Pages write underscores.
STATUSES: Mapping[str, str] = {
    **{status: status for status in CALL_STATUSES},
    **{status.replace("-", "_"): status for status in CALL_STATUSES},
    "ended": "completed",
}
DIRECTIONS: Mapping[str, str] = {"inbound": "inbound", "outbound": "outbound"}
OUTCOMES: Mapping[str, str] = {outcome.value: outcome.value for outcome in Outcome}


class Calls:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List calls", may=May.VIEW, query=CallsQuery, answer=CallList)
    async def index(self, request: Request) -> Response:
        """GET: latest first, filtered, by pages."""
        tenant, query = tenant_access(request).tenant, request.query_params
        page = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.calls.list(
                status=choice(query, "status", STATUSES),
                direction=choice(query, "direction", DIRECTIONS),
                outcome=choice(query, "outcome", OUTCOMES),
                date_from=day(query, "date_from", tenant.timezone),
                date_to=day(query, "date_to", tenant.timezone),
                limit=page.limit,
                offset=page.offset,
            )
            prospects = [
                _prospect_id(await rows.functions.of_call(call.id))
                if call.qualified_prospect_created
                else None
                for call in found.items
            ]
            calls = [
                describe(call, await rows.prospects.get(prospect) if prospect else None)
                for call, prospect in zip(found.items, prospects, strict=True)
            ]
        return json_response(
            {
                "success": True,
                "calls": calls,
                "pagination": page.describe(found.total),
            }
        )

    @operation("Show a call", may=May.CALLS, answer=CallAnswer, audit_read="transcript.read")
    async def show(self, request: Request) -> Response:
        """GET: one, with all that happened on it. 404 for another tenant's."""
        tenant, call_id = tenant_access(request).tenant, request.path_params["id"]
        async with self._storage.tenant(tenant.id).read() as rows:
            call = await rows.calls.get(call_id) if is_identifier(call_id) else None
            if call is None:
                raise NotFound("There is no call with this id.", message_key="call_unknown")
            timeline = await rows.calls.timeline(call_id)
            functions = await rows.functions.of_call(call_id)
            prospect_id = _prospect_id(functions)
            prospect = await rows.prospects.get(prospect_id) if prospect_id else None
        return json_response(
            {"success": True, "call": describe_fully(call, timeline, functions, prospect)}
        )


def describe(call: CallRow, prospect: Prospect | None) -> dict[str, Any]:
    """A call in a list: the fields that the pages read (real-users.md §1.6), and ours."""
    return {
        "id": call.id,
        "retell_call_id": None,
        "call_sid": call.call_sid,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "forwarded_from": call.forwarded_from,
        "direction": call.direction,
        "status": call.call_status.replace("-", "_"),
        "outcome": call.outcome,
        "found_by": call.found_by,
        "agent": call.agent,
        "duration": call.duration_seconds,
        "sentiment": call.sentiment,
        "summary": call.summary,
        "appointment_booked": int(call.rdv_created),
        "prospect_id": prospect.id if prospect else None,
        "prospect_name": prospect.name if prospect else None,
        "started_at": _iso(call.started_at),
        "answered_at": _iso(call.answered_at),
        "ended_at": _iso(call.ended_at),
        "created_at": _iso(call.created_at),
    }


def describe_fully(
    call: CallRow,
    timeline: Sequence[TimelineEntry],
    functions: Sequence[StoredResult],
    prospect: Prospect | None,
) -> dict[str, Any]:
    """A call with its timeline; a running one as far as it has come."""
    turns = [_turn(entry) for entry in timeline if entry.kind == "turn"]
    return {
        **describe(call, prospect),
        "detail": call.detail,
        "transcript": call.transcript if call.ended_at else transcript(turns),
        "analysis": _analysis(call),
        "message_count": len(turns),
        "prospect": describe_contact(prospect) if prospect else None,
        "actions_performed": call.actions_performed,
        "ticket_created": call.ticket_created,
        "turns": turns,
        "functions": [_function(each) for each in functions],
        "latencies": _of_kind(timeline, "latency"),
        "usage": call.usage,
        "events": _of_kind(timeline, "event"),
        "transfer_state": call.transfer_state,
    }


def _prospect_id(functions: Sequence[StoredResult]) -> str | None:
    """Whom the call qualified, the latest if several."""
    found = None
    for ran in functions:
        prospect_id = ran.result.get("prospect_id")
        if ran.effect == Outcome.QUALIFIED and isinstance(prospect_id, str):
            found = prospect_id
    return found


def _analysis(call: CallRow) -> dict[str, Any] | None:
    """What was made of the call afterwards, once something has been."""
    if call.summary is None and call.sentiment is None:
        return None
    return {"summary": call.summary, "sentiment": call.sentiment, "outcome": call.outcome}


def _turn(entry: TimelineEntry) -> dict[str, Any]:
    """`heard_until_ms` is how much of it the caller heard; None for the caller's own words."""
    return {"who": "", "text": "", "heard_until_ms": None, **entry.data, "at": _iso(entry.at)}


def _function(ran: StoredResult) -> dict[str, Any]:
    duration_ms = None
    if ran.started_at and ran.finished_at:
        duration_ms = round((ran.finished_at - ran.started_at).total_seconds() * 1000)
    return {
        "name": ran.name,
        "arguments": ran.arguments,
        "result": ran.result,
        "effect": ran.effect,
        "at": _iso(ran.started_at),
        "duration_ms": duration_ms,
    }


def _of_kind(timeline: Sequence[TimelineEntry], kind: str) -> list[dict[str, Any]]:
    return [{**entry.data, "at": _iso(entry.at)} for entry in timeline if entry.kind == kind]


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None

"""The tenant's calls: `GET /api/v1/calls` and `/calls/{id}`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.call_shapes import (
    CallAnswer,
    CallList,
    CallsQuery,
    TranscriptJson,
    TranscriptList,
    TranscriptsQuery,
)
from dashboard.api.operations import operation
from dashboard.api.periods import days_of
from dashboard.api.prospects import describe_contact
from dashboard.api.query import choice, is_identifier, page_of, read_query
from domain.errors import Forbidden, NotFound
from domain.outcome import Outcome
from domain.permissions import May
from storage import Storage, TenantRows
from storage.calls import CallFilter, CallRow, TimelineEntry
from storage.cursors import Listed, Part
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
        """GET: latest first, filtered, by pages or behind a cursor."""
        tenant, query = tenant_access(request).tenant, request.query_params
        page = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT)
        wanted = read_query(request, CallsQuery)
        if wanted.q and May.CALLS not in tenant_access(request).may:
            raise Forbidden("Searching what was said needs the permission 'calls'.")
        async with self._storage.tenant(tenant.id).read() as rows:
            today = await rows.statistics.today()
            first, last = days_of(request, wanted.period, today, tenant.timezone)
            which = CallFilter(
                status=choice(query, "status", STATUSES),
                direction=choice(query, "direction", DIRECTIONS),
                outcome=choice(query, "outcome", OUTCOMES),
                date_from=first,
                date_to=last,
                search=wanted.q,
            )
            part = Part(page.limit, page.offset, wanted.cursor)
            found = await rows.calls.find(which, part)
            calls = [describe(call, await _prospect(rows, call)) for call in found.items]
        return json_response(
            {
                "success": True,
                "calls": calls,
                "pagination": page.describe(found.total),
                "next_cursor": found.cursor,
            }
        )

    @operation(
        "List transcripts",
        may=May.CALLS,
        query=TranscriptsQuery,
        answer=TranscriptList,
        audit_read="transcript.read",
        problems=(404,),
    )
    async def transcripts(self, request: Request) -> Response:
        """GET: what was said, call by call, the latest first; `call_id` shows one."""
        tenant, wanted = tenant_access(request).tenant, read_query(request, TranscriptsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            if wanted.call_id is not None:
                call = await rows.calls.get(wanted.call_id)
                if call is None:
                    raise NotFound("There is no call with this id.", message_key="call_unknown")
                found = Listed([call], 1, None)
            else:
                which = CallFilter(search=wanted.q, with_words=True)
                found = await rows.calls.find(which, Part(wanted.limit, 0, wanted.cursor))
            shown = [_said(call, await _prospect(rows, call)) for call in found.items]
        return json_response(
            {
                "success": True,
                "transcripts": shown,
                "total": found.total,
                "next_cursor": found.cursor,
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
            recording = await rows.calls.recording(call_id)
        shown = describe_fully(call, timeline, functions, prospect)
        shown["recording"] = recording is not None
        return json_response({"success": True, "call": shown})


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
        "contact_id": call.contact_id,
        "timeline": [{**each.data, "kind": each.kind, "at": _iso(each.at)} for each in timeline],
        "cost_cents": call.cost_cents,
        "vapi_cost_cents": call.vapi_cost_cents,
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


async def _prospect(rows: TenantRows, call: CallRow) -> Prospect | None:
    if not call.qualified_prospect_created:
        return None
    found = _prospect_id(await rows.functions.of_call(call.id))
    return await rows.prospects.get(found) if found else None


def _said(call: CallRow, prospect: Prospect | None) -> TranscriptJson:
    return {
        "id": call.id,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "direction": call.direction,
        "status": call.call_status.replace("-", "_"),
        "duration": call.duration_seconds,
        "transcript": call.transcript,
        "summary": call.summary,
        "sentiment": call.sentiment,
        "prospect_name": prospect.name if prospect else None,
        "created_at": _iso(call.created_at),
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

"""What the addresses of calls take and answer (real-users.md §1.6), for the description."""

from typing import Annotated, Any, Literal, TypedDict

import msgspec

from dashboard.api.prospects import ProspectContact


class CallsQuery(msgspec.Struct, frozen=True):
    """`status` as Twilio spells it, with `_` or `-`; dates as YYYY-MM-DD or an instant; "all" and
    empty mean any."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1)] = 30
    status: str | None = None
    direction: Literal["inbound", "outbound", "all"] | None = None
    outcome: str | None = None
    date_from: str | None = None
    date_to: str | None = None


class CallJson(TypedDict):
    """A call in a list. Instants in ISO 8601, `duration` in seconds; `agent` is who spoke."""

    id: str
    retell_call_id: None
    call_sid: str | None
    from_number: str | None
    to_number: str | None
    forwarded_from: str | None
    direction: str
    status: str
    outcome: str | None
    found_by: str | None
    agent: str | None
    duration: int | None
    sentiment: str | None
    summary: str | None
    appointment_booked: int
    prospect_id: str | None
    prospect_name: str | None
    started_at: str | None
    answered_at: str | None
    ended_at: str | None
    created_at: str | None


class CallDetail(CallJson):
    """All that happened on it; `turns` as they were heard, `latencies` in ms."""

    detail: str | None
    transcript: str | None
    analysis: dict[str, Any] | None
    message_count: int
    prospect: ProspectContact | None
    actions_performed: Any
    ticket_created: Any
    turns: list[dict[str, Any]]
    functions: list[dict[str, Any]]
    latencies: list[dict[str, Any]]
    usage: Any
    events: list[dict[str, Any]]
    transfer_state: str | None


class Pagination(TypedDict):
    """Pages are counted from 1."""

    page: int
    limit: int
    total: int
    total_pages: int


class CallList(TypedDict):
    """Latest first."""

    success: bool
    calls: list[CallJson]
    pagination: Pagination


class CallAnswer(TypedDict):
    """One."""

    success: bool
    call: CallDetail

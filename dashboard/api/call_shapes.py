"""What the addresses of calls take and answer (real-users.md §1.6), for the description."""

from typing import Annotated, Any, Literal, TypedDict

import msgspec

from dashboard.api.periods import Period
from dashboard.api.prospects import ProspectContact


class CallsQuery(msgspec.Struct, frozen=True):
    """`status` as Twilio spells it, with `_` or `-`; dates as YYYY-MM-DD or an instant; "all" and
    empty mean any. `period` counts where no date is given. `q`: words that were said, all of them,
    in any case; the latest 10,000 calls are searched. `cursor`: an answer's `next_cursor`, which
    then counts instead of `page`."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1)] = 30
    status: str | None = None
    direction: Literal["inbound", "outbound", "all"] | None = None
    outcome: str | None = None
    date_from: str | None = None
    date_to: str | None = None
    period: Period | None = None
    q: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class TranscriptsQuery(msgspec.Struct, frozen=True):
    """`call_id`: this one alone; `q` as in the list of calls."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    call_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    q: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


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
    """All that happened on it; `turns` as they were heard, `latencies` in ms. `timeline` is all of
    it in order, by `kind`: turn | function | latency | usage | event. `cost_cents` (the
    carrier's, in the currency of its account) and `vapi_cost_cents` (of a US dollar) null: nobody
    has said yet; `usage` are the model's tokens. `recording`: there is one to be listened to."""

    contact_id: str | None
    timeline: list[dict[str, Any]]
    cost_cents: int | None
    vapi_cost_cents: int | None
    recording: bool
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
    """Latest first; `next_cursor` null: that was the last page."""

    success: bool
    calls: list[CallJson]
    pagination: Pagination
    next_cursor: str | None


class TranscriptJson(TypedDict):
    """What was said on a call, one line a turn."""

    id: str
    from_number: str | None
    to_number: str | None
    direction: str
    status: str
    duration: int | None
    transcript: str | None
    summary: str | None
    sentiment: str | None
    prospect_name: str | None
    created_at: str | None


class TranscriptList(TypedDict):
    """Latest first, only of calls that have ended and on which something was said."""

    success: bool
    transcripts: list[TranscriptJson]
    total: int
    next_cursor: str | None


class LiveCallJson(CallJson):
    """A call that goes on. `stage`: where it is (asking, opening, live, turns, voicemail,
    transferring, closing); `seconds` since it began; `seen_at`: when it was last known alive."""

    stage: str
    seconds: int
    transfer_state: str | None
    contact_id: str | None
    seen_at: str | None


class LiveCallList(TypedDict):
    """On all nodes, latest first."""

    success: bool
    calls: list[LiveCallJson]
    count: int


class CallSteered(TypedDict):
    """What the carrier has taken on; `call_id`'s live events tell what comes of it."""

    success: bool
    call_id: str
    status: Literal["ending", "transferring"]


class CallAnswer(TypedDict):
    """One."""

    success: bool
    call: CallDetail

"""Who did what: `GET /api/v1/audit`."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from dashboard.api.query import read_query
from domain.errors import Invalid
from domain.permissions import May
from storage import Storage
from storage.audit import AuditLine

DEFAULT_LIMIT, MAX_LIMIT = 50, 200

Filter = Annotated[str, msgspec.Meta(max_length=200)]


class AuditQuery(msgspec.Struct, frozen=True):
    """`cursor`: an answer's `next_cursor`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Filter | None = None
    action: Filter | None = None
    subject_id: Filter | None = None
    actor_id: Filter | None = None


class AuditActor(TypedDict):
    """`kind` "user", "key", "operator" or "system"; `role` the user's, or the key's scopes."""

    kind: str
    id: str | None
    role: str | None


class AuditEntry(TypedDict):
    """`action` is a method and a path, or a word of ours ("key.rotated"); `changes` names fields
    and rows, never what stands in them."""

    id: str
    at: str
    actor: AuditActor
    action: str
    subject_type: str | None
    subject_id: str | None
    changes: dict[str, Any]


class AuditPage(TypedDict):
    """Latest first; `next_cursor` null: that was the last page."""

    success: bool
    entries: list[AuditEntry]
    next_cursor: str | None


class AuditLog:
    """The handler."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("Read the audit log", may=May.AUDIT, query=AuditQuery, answer=AuditPage)
    async def index(self, request: Request) -> Response:
        """Every change that somebody made, and every reading of what callers said."""
        query = read_query(request, AuditQuery)
        before = None if query.cursor is None else _position(query.cursor)
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            lines = await rows.audit.list(
                limit=query.limit + 1,
                before=before,
                action=query.action,
                subject_id=query.subject_id,
                actor_id=query.actor_id,
            )
        page, more = lines[: query.limit], len(lines) > query.limit
        return json_response(
            {
                "success": True,
                "entries": [describe(each) for each in page],
                "next_cursor": _cursor(page[-1]) if more else None,
            }
        )


def describe(line: AuditLine) -> AuditEntry:
    """A line of the log."""
    return {
        "id": line.id,
        "at": line.at.isoformat(),
        "actor": {"kind": line.actor_kind, "id": line.actor_id, "role": line.actor_role},
        "action": line.action,
        "subject_type": line.subject_type,
        "subject_id": line.subject_id,
        "changes": dict(line.changes),
    }


def _cursor(line: AuditLine) -> str:
    return base64.urlsafe_b64encode(f"{line.at.isoformat()} {line.id}".encode()).decode()


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, line_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None or not line_id.isalnum():
            raise ValueError
    except (ValueError, binascii.Error):
        raise Invalid(
            "cursor is an answer's next_cursor.", field="cursor", message_key="page_invalid"
        ) from None
    return instant, line_id

"""What somebody at the business must see to: `GET /api/v1/tickets`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.query import offset_of, page_of
from storage import Storage
from storage.tickets import Ticket

DEFAULT_LIMIT, MAX_LIMIT = 20, 100


class Tickets:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def index(self, request: Request) -> Response:
        """GET: latest first; `limit` and `offset`."""
        tenant, query = tenant_access(request).tenant, request.query_params
        limit = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT).limit
        offset = offset_of(query)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.tickets.list(limit=limit, offset=offset)
        return json_response(
            {
                "success": True,
                "tickets": [describe(each) for each in found.items],
                "total": found.total,
                "limit": limit,
                "offset": offset,
            }
        )


def describe(ticket: Ticket) -> dict[str, Any]:
    """A ticket in a list. `category` "message" is a message taken, "rappel" a call to return."""
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "description": ticket.description,
        "status": ticket.status,
        "priority": ticket.priority,
        "category": ticket.category,
        "customer_name": ticket.customer_name,
        "customer_phone": ticket.customer_phone,
        "call_id": ticket.call_id,
        "created_by": ticket.created_by,
        "created_at": ticket.created_at.isoformat(),
    }

"""People who may become customers: `GET /api/v1/prospects`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.query import offset_of, page_of
from storage import Storage
from storage.prospects import Prospect

DEFAULT_LIMIT, MAX_LIMIT = 50, 200


class Prospects:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def index(self, request: Request) -> Response:
        """GET: latest first; `limit` and `offset`."""
        tenant, query = tenant_access(request).tenant, request.query_params
        limit = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT).limit
        offset = offset_of(query)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.prospects.list(limit=limit, offset=offset)
        return json_response(
            {
                "success": True,
                "prospects": [describe(each) for each in found.items],
                "count": len(found.items),
                "total": found.total,
                "limit": limit,
                "offset": offset,
            }
        )


def describe_contact(prospect: Prospect) -> dict[str, Any]:
    """Who it is. A name is stored as it was said; the pages want two."""
    first, _, last = prospect.name.strip().partition(" ")
    return {
        "id": prospect.id,
        "first_name": first,
        "last_name": last.strip(),
        "phone": prospect.phone,
        "email": prospect.email,
    }


def describe(prospect: Prospect) -> dict[str, Any]:
    """A prospect in a list: the fields that the pages read (real-users.md §1.8), and ours."""
    return {
        **describe_contact(prospect),
        "status": prospect.status,
        "source": "assistant" if prospect.created_by == "sara" else prospect.created_by,
        "created_at": prospect.created_at.isoformat(),
        "name": prospect.name,
        "interest": prospect.interest,
        "place": prospect.place,
        "budget_min": prospect.budget_min,
        "budget_max": prospect.budget_max,
        "property_type": prospect.property_type,
        "deadline": prospect.deadline,
        "notes": prospect.notes,
        "call_id": prospect.call_id,
    }

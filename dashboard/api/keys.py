"""A tenant's API keys: `GET|POST /api/v1/keys`, `POST /keys/{id}/rotate`, `DELETE /keys/{id}`."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier
from domain.errors import NotFound
from domain.permissions import May
from storage import Storage
from storage.tenants import TenantKey

LONGEST_LABEL = 100
#: How long a rotated key opens beside its successor, unless it is said: a working day to change it
#: everywhere. At most a month, as a session.
OVERLAP_HOURS, MOST_OVERLAP_HOURS = 24, 720

ScopeName = Literal[
    "read", "calls:read", "write", "send", "send:free", "settings", "export", "admin"
]


class NewKeyBody(msgspec.Struct, frozen=True):
    """`label` says for what; `scopes` what it opens."""

    label: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_LABEL)]
    scopes: Annotated[list[ScopeName], msgspec.Meta(min_length=1, max_length=20)]


class RotateKeyBody(msgspec.Struct, frozen=True):
    """For how long the old key opens beside the new one; 0: not at all."""

    overlap_hours: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_HOURS)] = OVERLAP_HOURS


class KeyJson(TypedDict):
    """A key, without the key. `status`: "expired" once a rotated one's time is over."""

    id: str
    label: str
    scopes: list[str]
    status: Literal["active", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class KeyList(TypedDict):
    """Oldest first."""

    success: bool
    keys: list[KeyJson]


class KeyMade(TypedDict):
    """`secret` is the key itself, which nobody can read again."""

    success: bool
    key: KeyJson
    secret: str


class KeyRevoked(TypedDict):
    """As it is now."""

    success: bool
    key: KeyJson


class Keys:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List keys", may=May.KEYS, answer=KeyList)
    async def index(self, request: Request) -> Response:
        """All of them, revoked ones too; when each was last used is noted every ten minutes."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            keys, now = await rows.keys.list(), rows.keys.now()
        return json_response({"success": True, "keys": [describe(each, now) for each in keys]})

    @operation(
        "Make a key", may=May.KEYS, body=NewKeyBody, answer=KeyMade, status=201, problems=(409,)
    )
    async def create(self, request: Request) -> Response:
        """201 with the key, which is shown this once."""
        body = await read_json(request, NewKeyBody)
        label = clean_text(body.label, "label", longest=LONGEST_LABEL, key="key_label_invalid")
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            made, secret = await rows.keys.create(label, body.scopes)
            changes = {"scopes": list(made.scopes)}
            await rows.audit.record("key.created", "keys", made.id, changes)
            now = rows.keys.now()
        shown = {"success": True, "key": describe(made, now), "secret": secret}
        return json_response(shown, status=201)

    @operation(
        "Rotate a key",
        may=May.KEYS,
        body=RotateKeyBody,
        body_optional=True,
        answer=KeyMade,
        status=201,
        problems=(409,),
    )
    async def rotate(self, request: Request) -> Response:
        """201 with a successor of the same scopes; the old key opens for `overlap_hours` more."""
        body = await read_json(request, RotateKeyBody, may_be_empty=True)
        key_id = _id(request)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            made, secret = await rows.keys.rotate(key_id, timedelta(hours=body.overlap_hours))
            changes = {"successor": made.id, "overlap_hours": body.overlap_hours}
            await rows.audit.record("key.rotated", "keys", key_id, changes)
            now = rows.keys.now()
        shown = {"success": True, "key": describe(made, now), "secret": secret}
        return json_response(shown, status=201)

    @operation("Revoke a key", may=May.KEYS, answer=KeyRevoked)
    async def revoke(self, request: Request) -> Response:
        """It opens nothing any more, on any node, within seconds."""
        key_id = _id(request)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            key, now = await rows.keys.revoked(key_id), rows.keys.now()
            if key is None:
                raise NotFound("There is no key with this id.", message_key="key_unknown")
            await rows.audit.record("key.revoked", "keys", key_id)
        return json_response({"success": True, "key": describe(key, now)})


def _id(request: Request) -> str:
    key_id: str = request.path_params["id"]
    if not is_identifier(key_id):
        raise NotFound("There is no key with this id.", message_key="key_unknown")
    return key_id


def describe(key: TenantKey, now: datetime) -> KeyJson:
    """A key in a list."""
    return {
        "id": key.id,
        "label": key.label,
        "scopes": list(key.scopes),
        "status": status_of(key, now),
        "created_at": key.created_at.isoformat(),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "last_used_at": _iso(key.last_used_at),
    }


def status_of(key: TenantKey, now: datetime) -> Literal["active", "expired", "revoked"]:
    """Whether it opens anything."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None

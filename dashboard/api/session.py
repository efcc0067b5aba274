"""Who is signed in: `GET /api/v1/auth/me`, `POST /auth/refresh`, `POST /auth/logout`.

Signing in, accounts and passwords are the existing backend's, which signs the tokens.
"""

from datetime import datetime, timedelta
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import TenantAccess, tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from dashboard.api.tokens import LONGEST_LIFE, REFRESH_WITHIN, Session, Tokens
from domain.agent import profile
from domain.errors import Conflict, Forbidden
from domain.permissions import May
from storage import Storage


class SessionUser(TypedDict):
    """Whoever signed in, as far as their token tells; null: the accounts' backend knows."""

    id: str
    email: str | None
    name: str | None
    phone: str | None
    phone_verified: int | None
    email_verified: int | None
    role: str
    tenant_id: str
    is_active: int
    ui_mode: str | None
    permissions: list[str]


class SessionTenant(TypedDict):
    """The business; null: not kept here."""

    id: str
    name: str
    email: str | None
    phone: str | None
    api_key: None
    timezone: str
    locale: str
    slug: str | None
    sector: str
    subscription_plan: str | None
    onboarding_completed: int | None
    trial_ends_at: str | None
    trial_active: bool | None
    trial_days_remaining: int | None
    test_call_done: int | None
    agent_name: str


class SessionTimes(TypedDict):
    """ISO 8601."""

    expires_at: str


class Me(TypedDict):
    """The page's own shape (real-users.md §1.2)."""

    success: bool
    user: SessionUser
    tenant: SessionTenant
    session: SessionTimes


class RenewedToken(TypedDict):
    """`expires_at`: ISO 8601."""

    success: bool
    token: str
    expires_at: str


class SignedOut(TypedDict):
    """Said when it is done."""

    success: bool


class SessionEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage, tokens: Tokens | None) -> None:
        self._storage = storage
        self._tokens = tokens

    @operation("Who is signed in", may=May.SESSION, answer=Me)
    async def me(self, request: Request) -> Response:
        """The user as their token tells, the business, and when the session ends."""
        access = tenant_access(request)
        session = _session(access)
        async with self._storage.tenant(access.tenant.id).read() as rows:
            phone = await rows.channels.get("phone")
        tenant = access.tenant
        answer: Me = {
            "success": True,
            "user": _user(session, access),
            "tenant": {
                "id": tenant.id,
                "name": tenant.name,
                "email": None,
                "phone": None,
                "api_key": None,
                "timezone": tenant.timezone,
                "locale": tenant.locale,
                "slug": None,
                "sector": tenant.sector,
                "subscription_plan": None,
                "onboarding_completed": None,
                "trial_ends_at": None,
                "trial_active": None,
                "trial_days_remaining": None,
                "test_call_done": None,
                "agent_name": profile(tenant, phone.config).name,
            },
            "session": {"expires_at": _iso(session.expires_at)},
        }
        return json_response(answer)

    @operation(
        "Renew a session", may=May.SESSION, answer=RenewedToken, problems=(409,), changes=False
    )
    async def refresh(self, request: Request) -> Response:
        """A new token for one that is valid or ended at most seven days ago. 409 where another
        service signs (RS256, ES256): only it can make tokens."""
        access = tenant_access(request)
        session = _session(access)
        if self._tokens is None or not self._tokens.renews:
            raise Conflict(
                "Sessions are signed by another service (JWT_JWKS_URL): renew them there.",
                message_key="refresh_elsewhere",
            )
        token, ends = self._tokens.renew(session)
        return json_response({"success": True, "token": token, "expires_at": _iso(ends)})

    @operation("Sign out", may=May.SESSION, answer=SignedOut)
    async def logout(self, request: Request) -> Response:
        """The token, those that it was renewed from and those that it was renewed to open nothing
        any more: here at once, on other nodes within seconds."""
        access = tenant_access(request)
        session = _session(access)
        # A later token of the chain may live for a whole life, and be renewed after its end.
        until = session.expires_at + LONGEST_LIFE + REFRESH_WITHIN + timedelta(days=1)
        await self._storage.sessions.revoke(access.tenant.id, session.revocable, until)
        access.forget()
        return json_response({"success": True})


def _session(access: TenantAccess) -> Session:
    if access.session is None:
        raise Forbidden("A key is nobody's session.", message_key="not_allowed")
    return access.session


def _user(session: Session, access: TenantAccess) -> SessionUser:
    claims = session.claims
    return {
        "id": session.user_id,
        "email": _claim(claims.get("email")),
        "name": _claim(claims.get("name")),
        "phone": None,
        "phone_verified": None,
        "email_verified": None,
        "role": session.role,
        "tenant_id": session.tenant_id,
        "is_active": 1,
        "ui_mode": None,
        "permissions": sorted(access.may),
    }


def _claim(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _iso(instant: datetime) -> str:
    return instant.isoformat()

"""Who may use the API: decided before any handler runs, and refused unless proven.

`ApiGuard` stands before everything under /api/: the operator's paths need the operator's key,
Vapi's need Vapi's secret, all others a tenant's key, which opens them so many times a minute. Who
it was is put into the request's state; a handler asks for it with `operator_access`,
`tenant_access` or `vapi_access`, each of which refuses anybody else, so that a path which the guard
took for another kind still opens nothing.
"""

import hashlib
import hmac
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dashboard.api.problem import problem, unavailable
from dashboard.api.settings import ApiSettings
from domain.clock import Clock
from domain.errors import CallerError, OperatorError, Unauthorised
from domain.tenant import Tenant

#: How long a key that was good stays good without asking: a revoked key dies this much later.
KEY_CACHE_SECONDS = 5.0
#: How many keys are remembered at once.
KEY_CACHE_SIZE = 1024
#: Longer than any credential we issue: not looked up.
LONGEST_CREDENTIAL = 512

_NO_KEY = "Send a valid key: Authorization: Bearer <key>."
_TOO_MANY = CallerError("Too many requests in this minute: wait, and ask less often.", status=429)
_NO_SECRET = "Send the deployment's secret in X-Vapi-Secret."  # noqa: S105 - says what is missing


class Keys(Protocol):
    """What the guard asks the database (`storage.Storage.operator`)."""

    async def tenant_of_key(self, key: str) -> str | None:
        """Whose key this is; None when it is nobody's, revoked, or its tenant's suspended."""
        ...

    async def get_tenant(self, tenant_id: str) -> Tenant | None:
        """That tenant."""
        ...


class Rates(Protocol):
    """Who counts requests (`storage.counters`)."""

    async def wait(self, what: str, tenant_id: str, *, per_minute: int) -> float:
        """0.0: one more is all right, and counted; else after how many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """The operator of this deployment."""


@dataclass(frozen=True, slots=True)
class TenantAccess:
    """Somebody who holds a key of this tenant."""

    tenant: Tenant


@dataclass(frozen=True, slots=True)
class VapiAccess:
    """Vapi, which speaks for all tenants: its payload must still say for which."""


Access = OperatorAccess | TenantAccess | VapiAccess


class KeyCache:
    """Which tenant a key belongs to, remembered for some seconds; only good keys are."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Tenant]] = OrderedDict()

    async def tenant(self, key: str) -> Tenant | None:
        """The tenant of `key`, or None when it opens nothing."""
        digest = hashlib.sha256(key.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        self._known.pop(digest, None)
        tenant_id = await self._keys.tenant_of_key(key)
        tenant = await self._keys.get_tenant(tenant_id) if tenant_id is not None else None
        if tenant is not None:
            self._known[digest] = (now + KEY_CACHE_SECONDS, tenant)
            while len(self._known) > KEY_CACHE_SIZE:
                self._known.popitem(last=False)
        return tenant


class ApiGuard:
    """ASGI middleware, mounted at /api: nothing passes without a credential that fits its path."""

    def __init__(
        self, app: ASGIApp, keys: Keys, settings: ApiSettings, clock: Clock, rates: Rates
    ) -> None:
        self._app = app
        self._rates = rates
        self._cache = KeyCache(keys, clock)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            access = await self._identify(_path_below(scope), request.headers)
            wait = await self._too_soon(access)
        except Unauthorised as error:
            # RFC 9110 §15.5.2: a 401 names the scheme that would do.
            await problem(error, request, {"www-authenticate": "Bearer"})(scope, receive, send)
            return
        except OperatorError as error:
            await unavailable(error, request)(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "access": access}
        if wait:
            headers = {"retry-after": str(math.ceil(wait))}
            await problem(_TOO_MANY, request, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _too_soon(self, access: Access) -> float:
        """After how many seconds this tenant may ask again; 0.0: now."""
        most = self._settings.requests_per_minute
        if most is None or not isinstance(access, TenantAccess):
            return 0.0
        return await self._rates.wait("api", access.tenant.id, per_minute=most)

    async def _identify(self, path: str, headers: Headers) -> Access:
        noun = path.lstrip("/").split("/", 1)[0]
        if noun == "vapi":
            self._check_vapi(headers)
            return VapiAccess()
        if noun == "tenants":
            self._check_operator(headers)
            return OperatorAccess()
        key = _bearer(headers)
        tenant = await self._cache.tenant(key) if key is not None else None
        if tenant is None:
            raise Unauthorised(_NO_KEY)
        return TenantAccess(tenant)

    def _check_operator(self, headers: Headers) -> None:
        if not _same(_bearer(headers), self._settings.admin_key):
            raise Unauthorised(_NO_KEY)

    def _check_vapi(self, headers: Headers) -> None:
        given = headers.getlist("x-vapi-secret")
        if len(given) != 1 or not _same(given[0], self._settings.vapi_secret):
            raise Unauthorised(_NO_SECRET)


def operator_access(request: Request) -> OperatorAccess:
    """The operator, or Unauthorised."""
    access = request.scope.get("state", {}).get("access")
    if not isinstance(access, OperatorAccess):
        raise Unauthorised(_NO_KEY)
    return access


def tenant_access(request: Request) -> TenantAccess:
    """The tenant whose key came with the request, or Unauthorised."""
    access = request.scope.get("state", {}).get("access")
    if not isinstance(access, TenantAccess):
        raise Unauthorised(_NO_KEY)
    return access


def vapi_access(request: Request) -> VapiAccess:
    """Vapi, or Unauthorised."""
    access = request.scope.get("state", {}).get("access")
    if not isinstance(access, VapiAccess):
        raise Unauthorised(_NO_SECRET)
    return access


def _path_below(scope: Scope) -> str:
    """The path under the mount, as the router will read it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root) else path


def _bearer(headers: Headers) -> str | None:
    """The one bearer credential, or None: absent, several, another scheme, empty, not ASCII."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        return None
    scheme, _, credential = given[0].strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not 0 < len(credential) <= LONGEST_CREDENTIAL:
        return None
    # RFC 6750 allows ASCII only; "null" is what the dashboard's pages send without a session.
    if not credential.isascii() or not credential.isprintable() or credential == "null":
        return None
    return credential


def _same(given: str | None, expected: str | None) -> bool:
    """Constant time; an expected value that isn't set equals nothing."""
    if not given or not expected:
        return False
    return hmac.compare_digest(given.encode(), expected.encode())

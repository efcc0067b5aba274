"""Who may use the API: decided before any handler runs, and refused unless proven.

`ApiGuard` stands before everything under /api/: the operator's paths need the operator's key,
Vapi's need Vapi's secret, all others a tenant's key or the session of one of its people. Requests
are counted, by tenant, by credential and by address; who tries credentials that open nothing is
refused for a while before any is looked at. Who it was is put into the request's state; a handler
asks for it with `operator_access`, `tenant_access` or `vapi_access`, each of which refuses anybody
else, so that a path which the guard took for another kind still opens nothing. What somebody may do
there is another question: `dashboard.api.operations`.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dashboard.api.limits import RequestLimits
from dashboard.api.problem import problem, unavailable
from dashboard.api.settings import ApiSettings
from dashboard.api.tokens import LONGEST_TOKEN, REFRESH_WITHIN, Session, Tokens, signed
from domain.clock import Clock
from domain.errors import CallerError, Forbidden, OperatorError, ProviderError, Unauthorised
from domain.permissions import May, of_role, of_scopes
from domain.tenant import Tenant
from storage.audit import Actor
from storage.sessions import token_hash
from storage.tenants import KEY_PREFIX, KeyHolder

#: How long a credential that was good stays good without asking: a revoked one dies this much
#: later.
KEY_CACHE_SECONDS = 5.0
#: How many credentials are remembered at once.
KEY_CACHE_SIZE = 1024
#: Longer than any key: not looked up.
LONGEST_CREDENTIAL = 512

#: What needs no credential: the API's description.
OPEN_PATHS = frozenset({"/openapi.json", "/docs"})
#: What pages ask of other systems before anybody has signed in (real-users.md §1.2, §1.7): nothing
#: is there, and a 401 would have them renew a session and show that it is over.
ELSEWHERE = frozenset(
    f"/v1/auth/{each}"
    for each in ("login", "signup", "register", "forgot-password", "reset-password", "verify-email")
)
ELSEWHERE_BELOW = ("/v1/public/",)
#: Where a session that is over may still be presented.
REFRESH_PATH = "/v1/auth/refresh"

#: What pages send that have no session: a variable that was never set, written out.
_UNSET = frozenset({"null", "undefined"})

_NO_KEY = "Send a valid key: Authorization: Bearer <key>."
_NO_SECRET = "Send the deployment's secret in X-Vapi-Secret."  # noqa: S105 - says what is missing


OPERATOR = Actor("operator")


class Keys(Protocol):
    """What the guard asks the database (`storage.Storage.operator`)."""

    async def holder_of_key(self, key: str) -> KeyHolder | None:
        """Whose key this is; None when it is nobody's, revoked, or its tenant's suspended."""
        ...

    async def get_tenant(self, tenant_id: str) -> Tenant | None:
        """That tenant."""
        ...


class Revoked(Protocol):
    """Which sessions were signed out (`storage.sessions`)."""

    async def is_revoked(self, chain: str) -> bool:
        """Whether this chain of tokens was (`Session.revocable`)."""
        ...


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """The operator of this deployment."""

    actor: Actor = OPERATOR


@dataclass(frozen=True, slots=True)
class TenantAccess:
    """Somebody of this tenant: a person with a `session`, or a program with a key. `credential`
    tells them apart without telling what it is; `forget`: ask the database again next time."""

    tenant: Tenant
    actor: Actor
    may: frozenset[May]
    credential: str
    session: Session | None = None
    forget: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class VapiAccess:
    """Vapi, which speaks for all tenants: its payload must still say for which."""


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """Anybody, who may read how the API is used."""


#: Writes the audit log's line of what is under way, for a tenant (`dashboard.api.notes`).
Note = Callable[[str], Awaitable[None]]

Access = OperatorAccess | TenantAccess | VapiAccess | OpenAccess


class KeyCache:
    """Who a credential belongs to, remembered for some seconds; only good ones are."""

    def __init__(
        self,
        keys: Keys,
        clock: Clock,
        tokens: Tokens | None = None,
        revoked: Revoked | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._tokens = tokens
        self._revoked = revoked
        self._known: OrderedDict[bytes, tuple[float, TenantAccess]] = OrderedDict()

    async def access(self, credential: str) -> TenantAccess | None:
        """Who it is, or None when it opens nothing. Raises Unauthorised for a session that is over,
        Forbidden for one of a suspended tenant."""
        digest = hashlib.sha256(credential.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        self._known.pop(digest, None)
        if credential.startswith(KEY_PREFIX):
            access = await self._by_key(credential, digest)
        else:
            access = await self.by_token(credential)
        if access is not None:
            self._known[digest] = (now + KEY_CACHE_SECONDS, access)
            while len(self._known) > KEY_CACHE_SIZE:
                self._known.popitem(last=False)
        return access

    async def _by_key(self, key: str, digest: bytes) -> TenantAccess | None:
        if len(key) > LONGEST_CREDENTIAL:
            return None
        holder = await self._keys.holder_of_key(key)
        tenant = await self._keys.get_tenant(holder.tenant_id) if holder is not None else None
        if holder is None or tenant is None:
            return None
        return TenantAccess(
            tenant,
            Actor("key", holder.key_id, " ".join(holder.scopes)),
            of_scopes(holder.scopes),
            f"key:{holder.key_id}",
            forget=lambda: self._forget(digest),
        )

    async def by_token(
        self, token: str, *, over_for: timedelta = timedelta()
    ) -> TenantAccess | None:
        """Who signed in, by a token that ended at most `over_for` ago. Never remembered here."""
        if self._tokens is None or self._revoked is None or token.count(".") != 2:
            return None
        session = await self._tokens.read(token, over_for=over_for)
        if await self._revoked.is_revoked(session.revocable):
            return None
        tenant = await self._keys.get_tenant(session.tenant_id)
        if tenant is None:
            return None
        if tenant.status != "active":
            raise Forbidden("This organisation is suspended.", message_key="tenant_suspended")
        digest = hashlib.sha256(token.encode()).digest()
        return TenantAccess(
            tenant,
            Actor("user", session.user_id, session.role),
            of_role(session.role),
            f"session:{token_hash(signed(token))[:32]}",
            session=session,
            forget=lambda: self._forget(digest),
        )

    def _forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)


class ApiGuard:
    """ASGI middleware, mounted at /api: nothing passes without a credential that fits its path."""

    def __init__(
        self,
        app: ASGIApp,
        cache: KeyCache,
        settings: ApiSettings,
        limits: RequestLimits,
        note: Note,
    ) -> None:
        self._app = app
        self._cache = cache
        self._limits = limits
        self._settings = settings
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            send = await self._let_in(request, scope, send)
        except Unauthorised as error:
            # RFC 9110 §15.5.2: a 401 names the scheme that would do.
            headers = {"www-authenticate": "Bearer"}
            await problem(error, request, headers)(scope, receive, send)
        except CallerError as error:
            await problem(error, request, self._limits.headers_of(error))(scope, receive, send)
        except (OperatorError, ProviderError) as error:
            await unavailable(error, request)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _let_in(self, request: HTTPConnection, scope: Scope, send: Send) -> Send:
        """Find out who it is; how they are answered: with what is left to them."""
        address = request.client.host if request.client else ""
        path, presented = _path_below(scope), _bearer(request.headers)
        vendor = _noun(path) == "vapi"
        if not vendor:
            self._limits.refuse_blocked(address)
        try:
            access = await self._identify(path, request.headers, presented)
        except Unauthorised as error:
            # Who has no credential, or one that is over, guesses nothing.
            guessed = presented is not None and error.message_key != "session_expired"
            if not vendor:
                await self._limits.refused(address, guessed=guessed)
            raise
        scope["state"] = {**scope.get("state", {}), "access": access, "note": self._note}
        if isinstance(access, TenantAccess):
            headers = await self._limits.count(address, access.tenant.id, access.credential)
        elif not vendor:
            headers = await self._limits.count(address)
        else:
            headers = {}
        return _sending(send, headers)

    async def _identify(self, path: str, headers: Headers, presented: str | None) -> Access:
        if path in OPEN_PATHS or path in ELSEWHERE or path.startswith(ELSEWHERE_BELOW):
            return OpenAccess()
        noun = _noun(path)
        if noun == "vapi":
            self._check_vapi(headers)
            return VapiAccess()
        if noun == "tenants":
            if not _same(presented, self._settings.admin_key):
                raise Unauthorised(_NO_KEY)
            return OperatorAccess()
        access = None
        if presented is not None and path == REFRESH_PATH:
            access = await self._cache.by_token(presented, over_for=REFRESH_WITHIN)
        elif presented is not None:
            access = await self._cache.access(presented)
        if access is None:
            raise Unauthorised(_NO_KEY)
        return access

    def _check_vapi(self, headers: Headers) -> None:
        given = headers.getlist("x-vapi-secret")
        if len(given) != 1 or not _same(given[0], self._settings.vapi_secret):
            raise Unauthorised(_NO_SECRET)


def _sending(send: Send, headers: Mapping[str, str]) -> Send:
    """`send`, which puts `headers` before those of the answer."""
    if not headers:
        return send
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*raw, *message.get("headers", ())]}
        await send(message)

    return sending


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


def _noun(path: str) -> str:
    return path.lstrip("/").split("/", 1)[0]


def _bearer(headers: Headers) -> str | None:
    """The one bearer credential, or None: absent, several, another scheme, empty, not ASCII."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        return None
    scheme, _, credential = given[0].strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not 0 < len(credential) <= LONGEST_TOKEN:
        return None
    # RFC 6750 allows ASCII only; "null" is what the dashboard's pages send without a session.
    if not credential.isascii() or not credential.isprintable() or credential in _UNSET:
        return None
    return credential


def _same(given: str | None, expected: str | None) -> bool:
    """Constant time; an expected value that isn't set equals nothing."""
    if not given or not expected:
        return False
    return hmac.compare_digest(given.encode(), expected.encode())

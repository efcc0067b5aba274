"""What a handler declares: who may use it, what it takes and what it answers.

    @operation("Change a prospect", may=May.WORK, body=ProspectChange, answer=ProspectAnswer)
    async def change(self, request: Request) -> Response:
        body = await read_json(request, ProspectChange)

From these declarations alone come the OpenAPI document (`dashboard.api.openapi`), the rights
(`perform` refuses before the handler runs) and the audit log. `read_json` and `read_query` refuse a
shape that isn't the declared one, and the tests check each answer against its own, so that the
document can't say what isn't so.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeVar

import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.api.auth import Access, Note, OperatorAccess, TenantAccess, VapiAccess
from domain.errors import Forbidden, OperatorError, Unauthorised
from domain.permissions import May
from storage.audit import Acting, acting

log = structlog.get_logger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
H = TypeVar("H", bound=Callable[..., Awaitable[Response]])

_DECLARED: Final = "__operation__"
#: Of an id in a path that stands in the audit log.
_LONGEST_SUBJECT: Final = 200
#: Methods that change nothing.
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Door(Enum):
    """Who comes in otherwise than as a tenant."""

    OPERATOR = "operator"  # with ADMIN_API_KEY
    VAPI = "vapi"  # with VAPI_WEBHOOK_SECRET
    OPEN = "open"  # anybody


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address. Shapes are msgspec Structs, TypedDicts or dataclasses.

    `body`: JSON, unless `form` says multipart/form-data; `body_optional`: none at all counts as
    `{}`. `query`: a Struct with a field per parameter. `answer`: of `status`; None: nothing that is
    JSON. `also`: further answers below 400. `media`: the answer's type; another than JSON has no
    shape. `problems`: statuses of its own, besides those that any request may get. `audit_read`:
    reading it is noted under this name, because it shows what somebody said. `changes`: False for
    a POST that only asks.
    """

    summary: str
    may: May | Door
    body: Any = None  # with `form`, the media type object (OpenAPI) of the parts
    body_optional: bool = False
    form: bool = False
    query: type | None = None
    answer: Any = None
    status: int = 200
    also: Mapping[int, Any] = field(default_factory=dict)
    media: str = "application/json"
    problems: tuple[int, ...] = ()
    audit_read: str | None = None
    changes: bool = True


def operation(summary: str, *, may: May | Door, **declared: Any) -> Callable[[H], H]:
    """Declare what the handler below is (`Operation`). Its docstring is the description."""
    its = Operation(summary, may, **declared)

    def mark(handler: H) -> H:
        setattr(handler, _DECLARED, its)
        return handler

    return mark


def declared(handler: Any) -> Operation | None:
    """What a handler, bound or not, says of itself; None: nothing."""
    found = getattr(handler, _DECLARED, None)
    return found if isinstance(found, Operation) else None


def current(request: HTTPConnection) -> Operation | None:
    """What the handler under way declared."""
    found: Operation | None = request.scope.get("operation")
    return found


def require_shape(request: Request, what: str, shape: Any) -> None:
    """The handler under way takes what it declared: `what` is "body" or "query"."""
    its = current(request)
    if its is not None and getattr(its, what) is not shape:
        raise RuntimeError(f"{request.method} {request.url.path}: {what} isn't the declared one")


def resource(path: str, **handlers: Handler) -> Route:
    """One address with a handler per method, so that a 405 names all methods it knows."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await perform(request, path, handlers[method])

    # Whoever describes or walks the routes finds them here.
    endpoint.handlers = handlers  # type: ignore[attr-defined]
    return Route(path, endpoint, methods=list(handlers), name=path)


async def perform(request: Request, path: str, handler: Handler) -> Response:
    """Run the handler with its declaration in force: who may not is refused before, what was
    changed, and what was read of what somebody said, is in the audit log afterwards.

    Raises Unauthorised, Forbidden.
    """
    its = declared(handler)
    request.scope["operation"] = its
    access = request.scope.get("state", {}).get("access")
    permit(access, its, request.method)
    if not isinstance(access, (TenantAccess, OperatorAccess)):
        return await handler(request)
    with acting(_act(access, its, path, request)) as act:
        response = await handler(request)
        if response.status_code < 400:
            await _note(act, access, its, request)
    return response


def permit(access: Access | None, its: Operation | None, method: str) -> None:
    """Raise Unauthorised for who came through another door than the operation's, Forbidden for who
    isn't allowed. What a handler that declares nothing may be used for: reading by whoever may
    `view`, anything else by owners alone."""
    may: May | Door = its.may if its is not None else May.VIEW if method in SAFE else May.KEYS
    if its is None and not isinstance(access, TenantAccess):
        return  # its handler asks for whom it wants
    if isinstance(may, Door):
        if may is not Door.OPEN and not isinstance(access, _BEHIND[may]):
            raise Unauthorised("This credential is for other addresses.")
        return
    if not isinstance(access, TenantAccess):
        raise Unauthorised("Send a valid key: Authorization: Bearer <key>.")
    if may not in access.may:
        raise Forbidden(
            f"This credential lacks the permission {may.value!r}.", message_key="not_allowed"
        )


_BEHIND: Final[Mapping[Door, type]] = {Door.OPERATOR: OperatorAccess, Door.VAPI: VapiAccess}


def _act(
    access: TenantAccess | OperatorAccess, its: Operation | None, path: str, request: Request
) -> Acting:
    ids = [str(value) for value in request.path_params.values()]
    nouns = [part for part in path.split("/") if part and part != "v1" and not part.startswith("{")]
    changes = its.changes if its is not None else True
    return Acting(
        actor=access.actor,
        action=f"{request.method} {path}",
        subject_type=nouns[0] if nouns else None,
        subject_id=ids[-1][:_LONGEST_SUBJECT] if ids else None,
        writes=changes and request.method not in SAFE,
    )


async def _note(
    act: Acting,
    access: TenantAccess | OperatorAccess,
    its: Operation | None,
    request: Request,
) -> None:
    """The line that the handler's own transaction hasn't written. A reading that can't be noted
    isn't shown; of a change that can't be, the log of the server tells."""
    tenant_id = access.tenant.id if isinstance(access, TenantAccess) else act.tenant_id
    tenant_id = tenant_id or request.path_params.get("id")
    if not tenant_id:
        return
    note: Note = request.scope["state"]["note"]
    if its is not None and its.audit_read:
        act.action, act.writes = its.audit_read, True
        await note(tenant_id)
    elif act.writes and not act.noted:
        try:
            await note(tenant_id)
        except OperatorError as error:
            log.error("audit.lost", action=act.action, reason=str(error))

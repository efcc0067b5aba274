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

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from domain.permissions import May

Handler = Callable[[Request], Awaitable[Response]]
H = TypeVar("H", bound=Callable[..., Awaitable[Response]])

_DECLARED: Final = "__operation__"
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
    reading it is noted under this name, because it shows what somebody said.
    """

    summary: str
    may: May | Door
    body: Any = None
    body_optional: bool = False
    form: bool = False
    query: type | None = None
    answer: Any = None
    status: int = 200
    also: Mapping[int, Any] = field(default_factory=dict)
    media: str = "application/json"
    problems: tuple[int, ...] = ()
    audit_read: str | None = None


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

    return Route(path, endpoint, methods=list(handlers), name=path)


async def perform(request: Request, path: str, handler: Handler) -> Response:
    """Run the handler with its declaration in force."""
    request.scope["operation"] = declared(handler)
    return await handler(request)

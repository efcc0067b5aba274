"""Whether what the API answers is what its description says (`dashboard.api.openapi`)."""

from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
from starlette.routing import BaseRoute, Match, Mount, Route

from dashboard.api.openapi import problems
from dashboard.api.operations import Operation, declared

#: What somebody may claim, and what changes nothing: "" is that of `?=`, which schemathesis sends.
_CLAIMS = frozenset({"tenantId", "tenant_id", "tenant", ""})


def check_answer(http: httpx.AsyncClient, answer: httpx.Response) -> None:
    """Fails for an answer that its operation doesn't declare; passes for what nothing declares."""
    request = answer.request
    found = _operation(http, request.method, request.url.path)
    if found is None:
        return
    path, its = found
    what = f"{request.method} {path}: {answer.status_code}"
    if answer.status_code >= 400:
        assert answer.status_code in problems(request.method, path, its), f"{what} isn't declared"
        assert answer.headers["content-type"] == "application/problem+json", what
        return
    shapes = {its.status: its.answer, **its.also}
    assert answer.status_code in shapes, f"{what} isn't declared"
    shape = shapes[answer.status_code]
    if shape is not None and request.method != "HEAD":
        wrong = difference(answer.content, shape)
        assert wrong is None, f"{what} isn't what is declared: {wrong}"
    names = {name for name, _ in parse_qsl(request.url.query.decode(), keep_blank_values=True)}
    fields = msgspec.structs.fields(its.query) if its.query is not None else ()
    extra = names - {each.encode_name for each in fields} - _CLAIMS
    assert not extra, f"{what}: undeclared query parameters {extra}"


def difference(content: bytes, shape: Any) -> str | None:
    """How the JSON isn't a `shape`: a value of another type, or a field that it doesn't name."""
    sent = msgspec.json.decode(content)
    try:
        taken = msgspec.to_builtins(msgspec.convert(sent, shape))
    except msgspec.ValidationError as error:
        return str(error)
    return _undeclared(sent, taken, "$")


def _undeclared(sent: Any, taken: Any, path: str) -> str | None:
    if isinstance(sent, dict) and isinstance(taken, dict):
        extra = sent.keys() - taken.keys()
        if extra:
            return f"{path} has the undeclared {sorted(extra)}"
        pairs = [(f"{path}.{name}", sent[name], taken[name]) for name in sent]
    elif isinstance(sent, list) and isinstance(taken, list):
        pairs = [(f"{path}[{at}]", *both) for at, both in enumerate(zip(sent, taken, strict=True))]
    else:
        return None
    return next((wrong for at, a, b in pairs if (wrong := _undeclared(a, b, at))), None)


def _operation(http: httpx.AsyncClient, method: str, path: str) -> tuple[str, Operation] | None:
    app = getattr(http._transport, "app", None)
    for route in getattr(app, "routes", ()):
        if isinstance(route, Mount) and route.path == "/api" and path.startswith("/api/"):
            return _below(route.routes, method, path.removeprefix("/api"))
    return None


def _below(routes: list[BaseRoute], method: str, path: str) -> tuple[str, Operation] | None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL and isinstance(route, Route):
            handlers = getattr(route.endpoint, "handlers", {})
            its = declared(handlers.get("GET" if method == "HEAD" else method))
            return None if its is None else (route.path, its)
    return None

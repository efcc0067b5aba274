"""The OpenAPI 3.1 document, made from what the handlers declare; and a page that shows it.

`GET /api/openapi.json`, `GET /api/docs`. Shapes are the very types that the handlers decode with
and that the tests check answers by.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.api.operations import Door, Handler, Operation, declared, operation, resource

REF: Final = "#/components/schemas/{name}"
#: What any request may get, whatever it is about.
_ANY_PROBLEM: Final = (401, 403, 405, 429, 500, 503)
_BODY_PROBLEMS: Final = (400, 408, 413, 415, 422)
#: Nothing but the page itself: no script, no font, nobody else's server.
_PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, and what the pages read: `success` (always false) and `error`, a sentence that can
    be shown as it is. `field` and `errors` where a value is wrong; `alternatives`: the nearest free
    times where an appointment can't be had."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    success: bool
    error: str
    field: str | None = None
    errors: list[dict[str, str]] = []
    alternatives: list[dict[str, Any]] = []


def operations(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Handler]:
    """(method, path) → its handler, for each that `resource` made."""
    found: dict[tuple[str, str], Handler] = {}
    for route in routes:
        handlers = getattr(getattr(route, "endpoint", None), "handlers", None)
        if isinstance(route, Route) and isinstance(handlers, Mapping):
            found |= {(method, route.path): handler for method, handler in handlers.items()}
    return found


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document of those that declare themselves. Paths are below /api."""
    ours = {
        address: (its, handler)
        for address, handler in operations(routes).items()
        if (its := declared(handler)) is not None and its.may is not Door.VAPI
    }
    shapes = [Problem]
    for its, _ in ours.values():
        shapes += [
            each
            for each in (None if its.form else its.body, its.answer, *its.also.values())
            if each is not None
        ]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=REF)
    known = dict(zip(map(_identity, shapes), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), (its, handler) in ours.items():
        shown = _operation(method, path, its, handler, known)
        paths.setdefault(path, {})[method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Coccinelle",
            "version": version("coccinelle"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api"}],
        "tags": [{"name": name} for name in sorted({_tag(path) for path in paths})],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


_ABOUT: Final = """\
The REST API of a Coccinelle deployment. A tenant's key or the session of one of its people goes
into `Authorization: Bearer …`; whose data is meant follows from that alone. Errors are
`application/problem+json` (RFC 9457), with `error`, a sentence that can be shown as it is.
`RateLimit` headers say what is left to you, `Retry-After` when to come again.
"""
_SCHEMES: Final = {
    "tenant": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of the tenant (`cck_…`), or the JWT of one of its people.",
    },
    "operator": {"type": "http", "scheme": "bearer", "description": "ADMIN_API_KEY."},
}


def _identity(shape: Any) -> Any:
    return shape if isinstance(shape, type) else repr(shape)


def _tag(path: str) -> str:
    return next(part for part in path.split("/") if part and part != "v1")


def _operation(
    method: str, path: str, its: Operation, handler: Handler, known: Mapping[Any, Any]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": _id_of(method, path),
        "tags": [_tag(path)],
        "summary": its.summary,
        "description": inspect.cleandoc(handler.__doc__ or ""),
        "security": _security(its),
        "parameters": [*_path_parameters(path), *query_parameters(its.query)],
        "responses": _responses(method, path, its, known),
    }
    if not isinstance(its.may, Door):
        shown["x-permission"] = its.may.value
    if its.form:
        shown["requestBody"] = {"required": True, "content": {"multipart/form-data": its.body}}
    elif its.body is not None:
        content = {"application/json": {"schema": known[_identity(its.body)]}}
        shown["requestBody"] = {"required": not its.body_optional, "content": content}
    return shown


def _id_of(method: str, path: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", path.removeprefix("/v1")).strip("_")
    return f"{method.lower()}_{words}"


def _security(its: Operation) -> list[dict[str, list[str]]]:
    if its.may is Door.OPEN:
        return []
    return [{"operator" if its.may is Door.OPERATOR else "tenant": []}]


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{([a-z_]+)(?::[a-z]+)?}", path)
    ]


def query_parameters(query: type | None) -> list[dict[str, Any]]:
    """Those of a Struct, a field each; nothing in them refers to components."""
    if query is None:
        return []
    (reference,), components = msgspec.json.schema_components([query], ref_template=REF)
    schema = components[reference["$ref"].rpartition("/")[2]]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _without_null(each),
        }
        for name, each in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" in kept:
        choices = [each for each in kept.pop("anyOf") if each != {"type": "null"}]
        kept = {**choices[0], **kept} if len(choices) == 1 else {**kept, "anyOf": choices}
    if None in kept.get("enum", ()):
        kept["enum"] = [each for each in kept["enum"] if each is not None]
    return kept


def _responses(method: str, path: str, its: Operation, known: Mapping[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, shape in ((its.status, its.answer), *its.also.items()):
        shown: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if shape is not None:
            shown["content"] = {"application/json": {"schema": known[_identity(shape)]}}
        elif its.media != "application/json":
            shown["content"] = {its.media: {}}
        responses[str(status)] = shown
    problem = {"schema": known[Problem]}
    for status in sorted(problems(method, path, its)):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": problem},
        }
    return responses


def problems(method: str, path: str, its: Operation) -> set[int]:
    """The statuses from 400 that the operation may answer with."""
    found = {*_ANY_PROBLEM, *its.problems}
    if its.may is Door.OPEN:
        found -= {401, 403}
    if its.body is not None or its.form:
        found.update(_BODY_PROBLEMS)
    if its.query is not None:
        found.add(422)
    if "{" in path:
        found.add(404)
    return found


# --------------------------------------------------------------------------- on the wire


def described(routes: Sequence[Route]) -> list[Route]:
    """`routes`, and the two that describe them all."""
    everything: list[Route] = [*routes]
    described_by = _Description(everything)
    everything += [
        resource("/openapi.json", GET=described_by.json),
        resource("/docs", GET=described_by.page),
    ]
    return everything


class _Description:
    """The handlers. Made once, when somebody asks."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._json = b""
        self._page = b""

    @operation("This document", may=Door.OPEN, answer=dict[str, Any])
    async def json(self, request: Request) -> Response:
        """OpenAPI 3.1."""
        self._json = self._json or msgspec.json.encode(document(self._routes))
        return Response(self._json, media_type="application/json", headers={"cache-control": _AGE})

    @operation("This document, to be read", may=Door.OPEN, media="text/html")
    async def page(self, request: Request) -> Response:
        """One page, without a script and without anybody else's server."""
        self._page = self._page or page_of(document(self._routes)).encode()
        headers = {"cache-control": _AGE, **_PAGE_HEADERS}
        return Response(self._page, media_type="text/html", headers=headers)


#: It changes with a release.
_AGE: Final = "public, max-age=300"

_STYLE: Final = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f5;padding:.7rem;overflow:auto}
h3{margin-top:2.2rem;border-top:1px solid #ddd;padding-top:1rem}b.m{color:#a11}td{text-align:left;
padding:.1rem .8rem .1rem 0;vertical-align:top}nav a{margin-right:1rem}details{margin:.4rem 0}
"""


def page_of(api: Mapping[str, Any]) -> str:
    """The document as HTML."""
    tags = [each["name"] for each in api["tags"]]
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a> ' for tag in tags)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Coccinelle API</title>",
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style><h1>Coccinelle API {escape(api['info']['version'])}</h1>",
        f"<p>{escape(api['info']['description'])}</p>",
        '<p>The same as <a href="openapi.json">OpenAPI 3.1</a>.</p>',
        f"<nav>{links}</nav>",
    ]
    for tag in tags:
        parts.append(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>')
        for path, methods in api["paths"].items():
            for method, its in methods.items():
                if its["tags"] == [tag]:
                    parts.append(_operation_html(path, method, its))
    parts.append("<h2>Shapes</h2>")
    for name, schema in sorted(api["components"]["schemas"].items()):
        parts.append(f'<h3 id="{escape(name)}">{escape(name)}</h3>{_schema_html(schema)}')
    return "".join(parts)


def _operation_html(path: str, method: str, its: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}"
        f"<td>{_schema_html(each['schema'])}"
        for each in its["parameters"]
    )
    body = "".join(
        f"<p>Body ({escape(media)}): {_schema_html(content.get('schema', {}))}"
        for media, content in its.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{status}<td>{escape(each['description'])}<td>"
        + "".join(_schema_html(c.get("schema", {})) for c in each.get("content", {}).values())
        for status, each in its["responses"].items()
    )
    permission = its.get("x-permission")
    who = f"<p>Permission: <code>{escape(permission)}</code>" if permission else ""
    return (
        f"<h3 id={its['operationId']}><b class=m>{method.upper()}</b> <code>/api{escape(path)}"
        f"</code></h3><p>{escape(its['summary'])}. {escape(its['description'])}</p>{who}"
        f"<table>{rows}</table>{body}<details><summary>Answers</summary>"
        f"<table>{answers}</table></details>"
    )


def _schema_html(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
    return f"<pre>{escape(text)}</pre>" if "\n" in text else f"<code>{escape(text)}</code>"

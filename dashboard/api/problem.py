"""Errors on the wire: application/problem+json (RFC 9457), and what the pages read besides.

A problem carries `type`, `title`, `status`, `detail` (English, for the developer who sent the
request), `instance`, `code` (a key of `dashboard.catalogue`), `field` and `errors` where a value
is wrong, and for the pages `success: false` and `error`, a sentence that can be shown as it is.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler
from starlette.websockets import WebSocket

from dashboard.catalogue import CATALOGUES, has_sentence, sentence
from domain.errors import (
    CallerError,
    OperatorError,
    ProviderError,
)
from domain.tenant import DEFAULT_LOCALE

log = structlog.get_logger(__name__)

#: What every answer of the API carries: it belongs to one reader and to this moment.
NO_STORE = {"cache-control": "no-store"}

_CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    503: "unavailable",
}

_WEIGHT = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)")
#: Browsers send up to a hundred characters.
_LONGEST_ACCEPT = 500

_DETAILS: Mapping[int, str] = {
    404: "There is nothing at this address.",
    405: "This address doesn't know this method; the Allow header names those it knows.",
}


def problem(
    error: CallerError,
    request: HTTPConnection,
    headers: Mapping[str, str] | None = None,
    *,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """The answer to a request that can't be taken; `more` are further members."""
    status = error.status
    code = _code(error, status)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "instance": quote(request.scope["path"]),
        "code": code,
        "success": False,
        "error": _sentence(_locale(request), code, error.field),
    }
    if error.field:
        body["field"] = error.field
        body["errors"] = [{"field": error.field, "detail": error.detail}]
    body.update(more or {})
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        headers={**NO_STORE, **(headers or {})},
        media_type="application/problem+json",
    )


def _code(error: CallerError, status: int) -> str:
    if error.message_key and has_sentence(error.message_key):
        return error.message_key
    return _CODES.get(status, "internal" if status >= 500 else "bad_request")


def _sentence(locale: str, code: str, field: str | None) -> str:
    if code == "invalid" and field:
        return sentence(locale, "invalid_field", field=field)
    return sentence(locale, code)


def _locale(request: HTTPConnection) -> str:
    """What the reader prefers of our languages (Accept-Language); else the tenant's, once the
    credential has told whose request this is."""
    wanted = preferred(request.headers.get("accept-language", ""))
    if wanted is not None:
        return wanted
    access = request.scope.get("state", {}).get("access")
    tenant = getattr(access, "tenant", None)
    return str(getattr(tenant, "locale", DEFAULT_LOCALE))


def preferred(accepted: str) -> str | None:
    """The first language of `accepted` that we have, by weight (RFC 9110 §12.5.4); None: none."""
    found: list[tuple[float, str]] = []
    for part in accepted[:_LONGEST_ACCEPT].split(","):
        tag, _, weight = part.strip().lower().partition(";")
        language = tag.strip().split("-", 1)[0]
        if language in CATALOGUES and (weighs := _weight(weight)) > 0:
            found.append((weighs, language))
    return max(found, key=lambda each: each[0])[1] if found else None


def _weight(parameter: str) -> float:
    match = _WEIGHT.fullmatch(parameter.strip())
    return float(match[1]) if match else 1.0 if not parameter.strip() else 0.0


def unavailable(error: OperatorError | ProviderError, request: HTTPConnection) -> Response:
    """503: the operator or a vendor must act; the same request may succeed later."""
    log.error("api_unavailable", path=request.scope["path"], reason=str(error))
    detail = "This can't be done right now; nothing was changed. Try again."
    return problem(CallerError(detail, status=503), request, {"retry-after": "5"})


def on_caller_error(request: Request | WebSocket, error: Exception) -> Response:
    """Ours: it says itself what is wrong."""
    assert isinstance(error, CallerError)
    return problem(error, request)


def on_http_exception(request: Request | WebSocket, error: Exception) -> Response:
    """The framework's: no such address, no such method."""
    assert isinstance(error, HTTPException)
    detail = _DETAILS.get(error.status_code, error.detail)
    return problem(CallerError(detail, status=error.status_code), request, error.headers)


def on_disconnect(request: Request | WebSocket, error: Exception) -> Response:
    """The client left in the middle of its body: nobody reads this, and nobody need be woken."""
    return problem(CallerError("The body ended too early."), request)


def on_operator_error(request: Request | WebSocket, error: Exception) -> Response:
    """The database, most likely."""
    assert isinstance(error, OperatorError)
    return unavailable(error, request)


def on_unexpected(request: Request | WebSocket, error: Exception) -> Response:
    """Ours to mend. Says nothing of the error; Starlette raises it again for the server's log."""
    return problem(
        CallerError("Something failed here; the operator's log has the details.", status=500),
        request,
    )


EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    CallerError: on_caller_error,
    HTTPException: on_http_exception,
    OperatorError: on_operator_error,
    ClientDisconnect: on_disconnect,
    Exception: on_unexpected,
}

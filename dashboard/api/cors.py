"""Which pages may ask from a browser (CORS): those that the operator named, and no others."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.problem import problem
from domain.errors import Forbidden

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: What the existing pages may send (real-users.md §1.1), and what we read besides.
REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "accept-language",
    "idempotency-key",
    "last-event-id",
    "x-api-key",
    "x-tenant-id",
    "x-user-id",
    "x-voixia-key",
    "x-voixia-tenant",
)
#: What a page may read of an answer, besides what it always may.
ANSWER_HEADERS = (
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "content-disposition",
)
#: How long a browser needn't ask again, s: as long as Chromium remembers at most.
MAX_AGE_SECONDS = 7200
#: What a `*` in a pattern stands for: a part of one label of a host name.
_ANY = "[a-z0-9-]+"


def cors(origins: Sequence[str]) -> list[Middleware]:
    """The middleware, if anybody may ask. `origins`: `https://app.example.fr`, or patterns
    (`https://coccinelle-*.vercel.app`), which are matched whole."""
    if not origins:
        return []
    return [
        Middleware(
            _Cors,
            allow_origins=[each for each in origins if "*" not in each],
            allow_origin_regex=_patterns([each for each in origins if "*" in each]),
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            allow_credentials=True,
            max_age=MAX_AGE_SECONDS,
        )
    ]


def _patterns(patterns: Sequence[str]) -> str | None:
    """One regular expression; Starlette asks whether it matches the whole origin."""
    if not patterns:
        return None
    return "|".join(_ANY.join(map(re.escape, pattern.split("*"))) for pattern in patterns)


class _Cors(CORSMiddleware):
    """Starlette's, which refuses in plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        scope = {"type": "http", "path": "", "headers": request_headers.raw, "method": "OPTIONS"}
        why = Forbidden("CORS_ORIGINS doesn't name this origin, or it asks for a header too many.")
        return problem(why, Request(scope))

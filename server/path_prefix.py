"""The path in front of ours, when PUBLIC_URL or STREAM_URL has one.

Some proxies take it away, others leave paths as they are (docs/deploy.md): both reach us. It is
taken off before anything looks at the path, so that the signature, which covers the whole address,
is checked against the same one either way.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_KINDS: Final = ("http", "websocket")


class PathPrefix:
    """ASGI middleware: `public_url` for requests, `stream_base` for websockets; whole addresses."""

    def __init__(self, app: ASGIApp, *, public_url: str, stream_base: str) -> None:
        self._app = app
        addresses = dict(zip(_KINDS, (public_url, stream_base), strict=True))
        self._prefixes = {
            kind: urlsplit(address).path.rstrip("/") for kind, address in addresses.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = self._prefixes.get(scope["type"], "")
        if prefix:
            scope = _without(scope, prefix)
        await self._app(scope, receive, send)


def _without(scope: Scope, prefix: str) -> Scope:
    """The scope as if the proxy had taken the prefix away; unchanged if it has."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or path.encode()
    if not (path.startswith(f"{prefix}/") and raw.startswith(f"{prefix}/".encode())):
        return scope
    shorter = {"path": path[len(prefix) :], "raw_path": raw[len(prefix.encode()) :]}
    return {**scope, **shorter}

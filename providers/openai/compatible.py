"""The door to any server that speaks OpenAI's HTTP API: limits of our own, no retries, no
redirects, and whatever goes wrong as a `ProviderError`.

Neither addresses nor bodies are logged: both carry what people say.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import httpx
import openai
from openai import AsyncOpenAI

from domain.errors import ProviderError
from providers.trust import trust_store

Result = TypeVar("Result")

# At DEBUG the package writes whole requests, at INFO httpx writes addresses.
for _name in ("openai", "httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: Servers of one's own often want no key, but the package insists on one.
NO_KEY: Final = "none"

#: Answers after which the same request may succeed (as `providers.http`).
_PASSING: Final = frozenset({408, 425, 429})

#: Refusals that stay whatever their status: nothing is left to spend, or the request is wrong.
_LASTING: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "invalid_api_key",
        "invalid_request_error",
        "model_not_found",
        "context_length_exceeded",
    }
)

#: A vendor's code is a word; anything else might be a quotation of what people said.
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

#: Of a refusal's body no more is read: what matters is its status and its code.
_REFUSAL_BYTES: Final = 64 * 1024

#: Until an unused connection is closed, seconds: callers think and speak between two turns, and a
#: new connection costs two more round trips (TCP, TLS).
_IDLE_SECONDS: Final = 30.0

#: How a connection ends that was closed before there was an answer.
_CLOSED: Final = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds and bytes. Time counts while we wait for the vendor, not while an answer is used.

    `connect` to the server; `first`: until the first piece of use, from the request on, connecting
    included; `between` two pieces of use: signs of life alone don't count; `total`: of all waiting.
    """

    connect: float
    first: float
    between: float
    total: float
    response_bytes: int


class CompatibleServer:
    """One base URL (`http(s)://host/v1`) with its key ("" when it wants none). An async context
    manager, or to be closed with `aclose()`. `vendor` names it in errors."""

    def __init__(self, vendor: str, base_url: str, api_key: str, patience: Patience) -> None:
        self.vendor = vendor
        self.patience = patience
        self._http = httpx.AsyncClient(
            transport=_Bounded(patience.response_bytes),
            # Nothing to unpack: the size limit counts what arrives.
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(patience.total, connect=patience.connect),
            follow_redirects=False,  # the key and what people say go to nobody else
            trust_env=False,
            event_hooks={"request": [_without_telemetry]},
        )
        self.client = AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,  # a caller waits: the next rung is the retry
            http_client=cast("openai.DefaultAsyncHttpxClient", self._http),
        )
        # From the environment, where they are meant for OpenAI and not for this server.
        self.client.organization = self.client.project = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def unusable(self, why: str, code: str = "unexpected_answer") -> ProviderError:
        """The error for an answer that nobody can use; another one may be better."""
        return ProviderError(self.vendor, why, retryable=True, code=code)


class Waiting:
    """One request and its answer: waits for the next part within the server's limits and turns
    what goes wrong into ProviderError."""

    def __init__(self, server: CompatibleServer) -> None:
        self._server = server
        self._left = server.patience.total
        self._allowed = server.patience.first
        self._begun = False

    def progressed(self) -> None:
        """Something of use has arrived."""
        self._begun = True
        self._allowed = self._server.patience.between

    async def of(self, part: Awaitable[Result]) -> Result:
        """The next part of the answer. Raises ProviderError; StopAsyncIteration passes."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout(min(self._left, self._allowed)):
                return await part
        except TimeoutError as error:
            raise self._too_late() from error
        except (openai.OpenAIError, httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise translated(self._server.vendor, error) from error
        # Both of the package's ways to say that something isn't what it should be.
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise self._server.unusable(f"an unreadable answer: {type(error).__name__}") from error
        finally:
            spent = now() - began
            self._left -= spent
            self._allowed -= spent

    def _too_late(self) -> ProviderError:
        if self._allowed > self._left:
            why, code = "an answer without end", "timeout"
        elif self._begun:
            why, code = "fell silent in the middle of an answer", "stalled"
        else:
            why, code = "no answer in time", "first_byte"
        return ProviderError(self._server.vendor, why, retryable=True, code=code)


# ------------------------------------------------------------------------------------- errors


def translated(vendor: str, error: Exception) -> ProviderError:
    """The package's error, or its transport's, as ours. The vendor's own words stay out."""
    if isinstance(error, openai.APIStatusError):
        return _refusal(vendor, error.status_code, _code(error))
    if _caused_by(error, _TooLarge):
        return ProviderError(
            vendor, "an answer beyond the size limit", retryable=True, code="too_large"
        )
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):
        code = _code(error)
        why = "failed in the middle of an answer" + (f", code {code}" if code else "")
        return ProviderError(
            vendor, why, retryable=code not in _LASTING, code=code or "server_error"
        )
    cause = error.__cause__ or error
    if isinstance(error, openai.APITimeoutError) or isinstance(cause, httpx.TimeoutException):
        slow = "connect" if isinstance(cause, httpx.ConnectTimeout) else "timeout"
        return ProviderError(vendor, "no answer in time", retryable=True, code=slow)
    return ProviderError(
        vendor,
        f"no answer: {type(cause).__name__}",
        retryable=not _caused_by(error, ssl.SSLCertVerificationError),
        code="connect" if isinstance(cause, httpx.ConnectError) else "transport",
    )


def _refusal(vendor: str, status: int, code: str) -> ProviderError:
    passing = (status in _PASSING or status >= 500) and code not in _LASTING
    return ProviderError(
        vendor,
        f"status {status}" + (f", code {code}" if code else ""),
        retryable=passing,
        status=status,
        code=code,
    )


def _code(error: openai.APIError) -> str:
    """The most telling of the vendor's words for it: `insufficient_quota` may be code or type."""
    words = [
        each for each in (error.code, error.type) if isinstance(each, str) and _CODE.fullmatch(each)
    ]
    return next((each for each in words if each in _LASTING), words[0] if words else "")


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(each, kind) for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


# ---------------------------------------------------------------------------------- transport


class _TooLarge(httpx.DecodingError):
    """More than anybody needs."""


class _Bounded(httpx.AsyncBaseTransport):
    """Ends an answer that is packed, or longer than it may be: the package reads lines, events and
    bodies of any length."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inner = httpx.AsyncHTTPTransport(
            verify=trust_store(),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=20, keepalive_expiry=_IDLE_SECONDS
            ),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except _CLOSED:
            # Most likely a connection that the server gave up while nobody used it. Asking twice
            # does nothing twice: all three endpoints only answer.
            response = await self._inner.handle_async_request(request)
        stream = _Counted(
            cast("httpx.AsyncByteStream", response.stream),
            self._most if response.is_success else _REFUSAL_BYTES,
            raises=response.is_success,
        )
        if response.headers.get("content-encoding", "identity") != "identity":
            await stream.aclose()
            raise httpx.DecodingError("a packed answer, though asked for none", request=request)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=stream,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx.AsyncByteStream):
    """`raises`: what is beyond is an error; otherwise it is cut off."""

    def __init__(self, inner: httpx.AsyncByteStream, most: int, *, raises: bool) -> None:
        self._inner = inner
        self._left = most
        self._raises = raises

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                if self._raises:
                    raise _TooLarge("an answer beyond the size limit")
                return
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _without_telemetry(request: httpx.Request) -> None:
    """The package tells its server which system we run on; nobody needs to know."""
    for name in _telemetry(request.headers):
        del request.headers[name]


def _telemetry(headers: Iterable[str]) -> list[str]:
    return [name for name in headers if name.lower().startswith("x-stainless-")]

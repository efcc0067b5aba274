"""The one outbound HTTP door: time limits, size limits, retries that can't do a thing twice, and
a vendor's refusal as a `ProviderError`.

Neither addresses nor bodies are logged: both carry telephone numbers.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
import tenacity

from domain.errors import ProviderError
from providers.trust import trust_store

log = logging.getLogger(__name__)

# httpx reports every address at INFO, httpcore headers at DEBUG.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

Shape = TypeVar("Shape")
Form = Mapping[str, str] | Sequence[tuple[str, str]]

#: Methods that may be repeated whatever became of the first request (RFC 9110 §9.2.2).
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})

#: Answers after which the same request may succeed: too slow, too early, too many, their fault.
_PASSING: Final = frozenset({408, 425, 429})

#: What httpx raises before anything was sent.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and tries. `total` bounds a request with all its retries."""

    connect: float = 3.0
    read: float = 8.0
    total: float = 12.0
    response_bytes: int = 1024 * 1024
    attempts: int = 3
    retry_after: float = 5.0  # a vendor that asks for more patience isn't asked again
    connections: int = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer (2xx), whole."""

    vendor: str
    status: int
    headers: httpx.Headers
    body: bytes

    def read(self, shape: type[Shape]) -> Shape:
        """The JSON body as `shape` (a msgspec type). Raises ProviderError."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ProviderError(
                self.vendor,
                f"an answer of another shape than documented: {error}",
                retryable=False,
                status=self.status,
                code="unexpected_answer",
            ) from error


class _Failure(ProviderError):
    """A failed try. `unprocessed`: the vendor surely did nothing; `retry_after` its wish."""

    def __init__(
        self,
        vendor: str,
        reason: str,
        *,
        retryable: bool,
        status: int | None = None,
        code: str = "",
        unprocessed: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(vendor, reason, retryable=retryable, status=status, code=code)
        self.unprocessed = unprocessed
        self.retry_after = retry_after


def surely_undone(error: ProviderError) -> bool:
    """Whether the vendor certainly did nothing: it was never reached, or had too much to do (429)
    and says so. Of what it refused otherwise, its own codes tell."""
    return isinstance(error, _Failure) and error.unprocessed


def patience(error: ProviderError) -> float | None:
    """Seconds that the vendor asked to be left alone for, if it did."""
    return error.retry_after if isinstance(error, _Failure) else None


class HttpDoor:
    """Requests to one vendor at one base URL, over one pool of connections.

    An async context manager, or to be closed with `aclose()`. `error_code` finds the vendor's own
    code in the body of a refusal.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        error_code: Callable[[bytes], str] | None = None,
    ) -> None:
        self._vendor = vendor
        self._limits = limits or Limits()
        self._error_code = error_code or _no_code
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            auth=auth,
            # Nothing to unpack: the size limit counts what arrives.
            headers={"Accept-Encoding": "identity", **(headers or {})},
            timeout=httpx.Timeout(self._limits.read, connect=self._limits.connect),
            limits=httpx.Limits(
                max_connections=self._limits.connections, max_keepalive_connections=20
            ),
            verify=trust_store(),
            follow_redirects=False,  # the credentials go to nobody else
            trust_env=False,
        )

    async def __aenter__(self) -> "HttpDoor":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Form | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
    ) -> Answer:
        """One request below the base URL, tried again where that can't do it twice.

        `form` or `json` is the body; `headers` are this request's own (a tenant's token).
        `idempotent`: whether a POST may be repeated although the vendor may have acted on it.
        Raises ProviderError for anything but 2xx.
        """
        request = self._request(method, path, params, form, json)
        request.headers.update(headers or {})
        repeatable = method in _IDEMPOTENT if idempotent is None else idempotent
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._retrying(repeatable)(self._once, request, repeatable)
        except TimeoutError as error:
            raise ProviderError(
                self._vendor, "no answer in time", retryable=repeatable, code="timeout"
            ) from error

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        form: Form | None,
        json: object,
    ) -> httpx.Request:
        content, headers = None, {}
        if form is not None:
            content = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif json is not None:
            content = msgspec.json.encode(json)
            headers["Content-Type"] = "application/json"
        return self._client.build_request(
            method, path.lstrip("/"), params=params, content=content, headers=headers
        )

    # --------------------------------------------------------------------------- retries

    def _retrying(self, repeatable: bool) -> tenacity.AsyncRetrying:
        def again(error: BaseException) -> bool:
            return (
                isinstance(error, _Failure)
                and (error.unprocessed or (repeatable and error.retryable))
                and (error.retry_after or 0) <= self._limits.retry_after
            )

        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(again),
            wait=_wait,
            stop=tenacity.stop_after_attempt(self._limits.attempts)
            | tenacity.stop_before_delay(self._limits.total),
            before_sleep=self._note,
            reraise=True,
        )

    def _note(self, state: tenacity.RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        log.warning("try %d failed and is repeated: %s", state.attempt_number, failure)

    # ------------------------------------------------------------------------------ a try

    async def _once(self, request: httpx.Request, repeatable: bool) -> Answer:
        try:
            response = await self._client.send(request, stream=True)
            try:
                body = await self._body(response)
            finally:
                await response.aclose()
        except _NOT_SENT as error:
            raise self._transport(error, retryable=True, unprocessed=True) from error
        except httpx.TransportError as error:
            raise self._transport(error, retryable=repeatable, unprocessed=False) from error
        if response.is_success:
            return Answer(self._vendor, response.status_code, response.headers, body)
        raise self._refusal(response, body)

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._unusable(response, "a packed answer, though asked for none")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._limits.response_bytes:
                raise self._unusable(response, "an answer beyond the size limit")
        return bytes(body)

    def _unusable(self, response: httpx.Response, why: str) -> _Failure:
        return _Failure(
            self._vendor,
            why,
            retryable=False,
            status=response.status_code,
            code="unexpected_answer",
        )

    def _transport(self, error: Exception, *, retryable: bool, unprocessed: bool) -> _Failure:
        return _Failure(
            self._vendor,
            f"no answer: {type(error).__name__}",
            retryable=retryable,
            code="connect" if unprocessed else "transport",
            unprocessed=unprocessed,
        )

    def _refusal(self, response: httpx.Response, body: bytes) -> _Failure:
        """The vendor's own words stay out: they quote numbers and addresses."""
        status, code = response.status_code, self._error_code(body)
        return _Failure(
            self._vendor,
            f"status {status}" + (f", code {code}" if code else ""),
            retryable=status in _PASSING or status >= 500,
            status=status,
            code=code,
            unprocessed=status == 429,
            retry_after=_retry_after(response.headers),
        )


def _wait(state: tenacity.RetryCallState) -> float:
    """What the vendor asked for, else about 0.2, 0.4, 0.8 … s."""
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, _Failure) and failure.retry_after is not None:
        return failure.retry_after
    return _backoff(state)


_backoff: Final = tenacity.wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header; a date counts from the vendor's own clock."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
        return max((until - parsedate_to_datetime(headers.get("date", ""))).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _no_code(_body: bytes) -> str:
    return ""

"""The carrier's own HTTP client: signed webhooks, with Twilio's patience, retries and redirects."""

import asyncio
import re
import secrets
import time
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from sandbox.trust import trust_store
from sandbox.twilio_signature import HEADER, sign_form, sign_url

Fields = tuple[tuple[str, str], ...]

# "TCP connect: two attempts of 5 s. Whole request: 15 s." (error 11205)
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MAX_REDIRECTS = 10
_COUNTRIES = {"+33": "FR", "+32": "BE", "+41": "CH", "+44": "GB", "+49": "DE"}


class RequestFailed(Exception):
    """No usable answer, with Twilio's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said, and how long it took from the first byte sent to the last received."""

    url: str
    status: int
    content_type: str
    body: bytes
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request to make. `idempotency_token` is the same for a retry as for the first attempt."""

    url: str
    method: str
    fields: Fields
    idempotency_token: str = field(default_factory=lambda: secrets.token_hex(16))
    signature: str | None = None  # instead of the right one


class WebhookClient:
    """Sends webhooks for one account, signed with its primary token."""

    def __init__(self, auth_token: str) -> None:
        self._auth_token = auth_token
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=50),
            trust_env=False,
            verify=trust_store(),
            # Twilio keeps cookies per call; a server that relies on them fails here.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def send(self, webhook: Webhook) -> Answer:
        """The answer, whatever its status. Raises RequestFailed when there is none (11200 family).

        Only a failed connection is tried again, once; redirects are followed, the eleventh isn't.
        """
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._follow(webhook)
        except TimeoutError as error:
            raise RequestFailed(
                11205, f"{webhook.url} did not answer in {TOTAL_SECONDS:.0f} s"
            ) from error

    async def _follow(self, webhook: Webhook) -> Answer:
        began = time.monotonic()
        url, method, fields = webhook.url.partition("#")[0], webhook.method, webhook.fields
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._attempt(webhook, url, method, fields)
            if not response.is_redirect:
                return Answer(
                    url,
                    response.status_code,
                    response.headers.get("content-type", ""),
                    response.content,
                    round((time.monotonic() - began) * 1000, 1),
                )
            url = urljoin(url, response.headers["location"])
            if response.status_code in (301, 302, 303):
                method, fields = "GET", ()
        raise RequestFailed(11215, f"more than {MAX_REDIRECTS} redirects from {webhook.url}")

    async def _attempt(
        self, webhook: Webhook, url: str, method: str, fields: Fields
    ) -> httpx.Response:
        try:
            return await self._request(webhook, url, method, fields)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            pass  # rc=1, rp=ct: the one retry that is on by default
        try:
            return await self._request(webhook, url, method, fields)
        except httpx.ConnectError as error:
            raise RequestFailed(11200, f"cannot connect to {url}: {error}") from error
        except httpx.TransportError as error:
            raise RequestFailed(11205, f"{url}: {error!r}") from error

    async def _request(
        self, webhook: Webhook, url: str, method: str, fields: Fields
    ) -> httpx.Response:
        if method == "GET" and fields:
            url += ("&" if urlsplit(url).query else "?") + urlencode(fields)
        signature = webhook.signature or (
            sign_url(url, self._auth_token)
            if method == "GET"
            else sign_form(url, fields, self._auth_token)
        )
        headers = {HEADER: signature, "I-Twilio-Idempotency-Token": webhook.idempotency_token}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        try:
            return await self._http.request(
                method,
                url,
                content=urlencode(fields) if method == "POST" else None,
                headers=headers,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RequestFailed(11200, f"{url}: {error!r}") from error


class Parties(Protocol):
    """Whose call it is."""

    sid: str
    from_number: str
    to_number: str
    status: str
    direction: str
    forwarded_from: str | None
    parent_sid: str | None


def call_fields(call: Parties, account_sid: str) -> dict[str, str]:
    """The parameters of every request of a call: in France cities, states and postcodes are sent
    and blank, only the country is filled (twilio-node#948)."""
    numbers = {"From": call.from_number, "To": call.to_number}
    numbers |= {"Caller": call.from_number, "Called": call.to_number}
    fields = {
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call.sid,
        "CallStatus": call.status,
        "Direction": call.direction,
        **numbers,
    }
    for side, number in numbers.items():
        for part in ("City", "State", "Zip"):
            fields[side + part] = ""
        fields[side + "Country"] = country_of(number)
    if call.forwarded_from is not None:
        fields["ForwardedFrom"] = call.forwarded_from
    if call.parent_sid is not None:
        fields["ParentCallSid"] = call.parent_sid
    return fields


def country_of(number: str) -> str:
    """ISO code of a number's country, "" when it is none or one not met here."""
    return _COUNTRIES.get(number[:3], "") if re.fullmatch(r"\+\d+", number) else ""

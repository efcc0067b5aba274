"""Vapi's REST API: assistants, calls, and the control of a running call.

Shapes: shared/reference/vapi-openai-pinecone.md §1.2, §1.6 and §1.10. Over our own door and not
Vapi's package, which repeats POST /call and POST /assistant by itself (§1.1): neither has an
idempotency key, and each repetition is one more call or assistant.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.errors import ProviderError
from domain.fetching import AddressRefused
from providers.guarded import GuardedDoor
from providers.http import HttpDoor, Limits
from providers.vapi.addresses import VENDOR, VENDOR_HOSTS, VapiAddresses

#: For assistants: nobody is on the line. A page of a hundred of them may have some megabytes.
LIMITS: Final = Limits(connect=3.0, read=10.0, total=25.0, response_bytes=16 * 1024 * 1024)

#: For calls: a caller waits, and the ladder has another rung. One try (see above).
CALL_LIMITS: Final = Limits(connect=2.0, read=5.0, total=6.0, attempts=1)

#: One request's assistants: Vapi's own default (§1.2 names no maximum).
PAGE: Final = 100

#: All of the account's lines are taken. With this code goes status 429, whatever Vapi sent: it is
#: the account's state and no mistake of ours, and the ladder's breaker counts it as the vendor's.
FULL: Final = "full"

#: Raw µ-law as telephones have it: nothing is transcoded (§1.10).
MULAW: Final = {"format": "mulaw", "container": "raw", "sampleRate": 8000}


class Assistant(msgspec.Struct, frozen=True, rename="camel"):
    """A stored assistant, as far as one is told from another; `get_assistant` reads more."""

    id: str
    created_at: datetime
    name: str | None = None
    metadata: dict[str, Any] | None = None


class _Monitor(msgspec.Struct, rename="camel"):
    control_url: str | None = None


class _Transport(msgspec.Struct, rename="camel"):
    websocket_call_url: str | None = None


class _Subscription(msgspec.Struct, rename="camel"):
    concurrency_blocked: bool = False


class _Provider(msgspec.Struct):
    twiml: str | None = None


class _Call(msgspec.Struct, rename="camel"):
    id: str
    status: str | None = None
    ended_reason: str | None = None
    monitor: _Monitor | None = None
    transport: _Transport | None = None
    subscription_limits: _Subscription | None = None
    phone_call_provider_details: _Provider | None = None


@dataclass(frozen=True, slots=True)
class VapiCall:
    """A call at Vapi. The addresses open it to whoever has them: not to be logged or stored.

    `websocket_url`: where its audio is (websocket transport). `twiml`: the document to answer the
    carrier with (provider bypass). Each None when Vapi named none.
    """

    id: str
    status: str = ""
    ended_reason: str = ""
    control_url: str | None = field(default=None, repr=False)
    websocket_url: str | None = field(default=None, repr=False)
    twiml: str | None = field(default=None, repr=False)


class VapiAccount:
    """One account's REST API at `base_url`; an async context manager. Raises ProviderError.

    Without a key every request fails at once, with code `not_configured`. `guard`: dials the
    addresses that Vapi's answers name; its token hosts should hold `.vapi.ai`.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        guard: GuardedDoor | None = None,
        limits: Limits = LIMITS,
        call_limits: Limits = CALL_LIMITS,
    ) -> None:
        self._key = api_key
        self._addresses = VapiAddresses(base_url)
        self._guard = guard or GuardedDoor(token_hosts=(VENDOR_HOSTS,))
        usable = api_key if api_key.isascii() and api_key.isprintable() else ""
        headers = {"Authorization": f"Bearer {usable}", "Accept": "application/json"}
        self._configured = bool(usable)
        self._door = HttpDoor(
            VENDOR, base_url, headers=headers, limits=limits, error_code=_error_code
        )
        self._once = HttpDoor(
            VENDOR, base_url, headers=headers, limits=call_limits, error_code=_error_code
        )

    async def __aenter__(self) -> "VapiAccount":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._door.aclose()
        await self._once.aclose()

    @property
    def addresses(self) -> VapiAddresses:
        return self._addresses

    @property
    def guard(self) -> GuardedDoor:
        return self._guard

    # ----------------------------------------------------------------------- assistants

    async def assistants(
        self, *, created_before: datetime | None = None, created_after: datetime | None = None
    ) -> AsyncIterator[Assistant]:
        """All of the account's assistants, by pages; Vapi filters by nothing but time (§1.2)."""
        since, until = created_after, created_before
        seen: set[str] = set()
        while True:
            page = await self._page(since, until)
            new = [each for each in page if each.id not in seen]
            for each in new:
                yield each
            if len(page) < PAGE:
                return
            if not new:
                raise ProviderError(
                    VENDOR,
                    f"more than {PAGE} assistants of one moment: it can't list the others",
                    retryable=False,
                    code="unexpected_answer",
                )
            seen.update(each.id for each in new)
            # Its order isn't documented: go on behind the end that the page came to.
            if page[0].created_at >= page[-1].created_at:
                until = page[-1].created_at
            else:
                since = page[-1].created_at

    async def _page(self, since: datetime | None, until: datetime | None) -> list[Assistant]:
        params = {"limit": str(PAGE)}
        if since is not None:
            params["createdAtGe"] = _instant(since)
        if until is not None:
            params["createdAtLe"] = _instant(until)
        self._check()
        answer = await self._door.request("GET", "assistant", params=params)
        return answer.read(list[Assistant])

    async def create_assistant(self, body: Mapping[str, Any]) -> Assistant:
        """Never repeated: a failure whose effect isn't known leaves an orphan, if anything, which
        is found by its metadata."""
        self._check()
        answer = await self._once.request("POST", "assistant", json=body)
        return answer.read(Assistant)

    async def get_assistant(self, assistant_id: str) -> dict[str, Any] | None:
        """The whole of it as Vapi keeps it; None when there is none (any more)."""
        self._check()
        try:
            answer = await self._door.request("GET", _assistant(assistant_id))
        except ProviderError as error:
            if error.status == 404:
                return None
            raise
        return answer.read(dict[str, Any])

    async def update_assistant(self, assistant_id: str, body: Mapping[str, Any]) -> Assistant:
        """PATCH. A nested object (`model`, `voice`) is replaced whole (§1.2): send it whole. To
        send the same twice is the same as once."""
        self._check()
        answer = await self._door.request(
            "PATCH", _assistant(assistant_id), json=body, idempotent=True
        )
        return answer.read(Assistant)

    async def delete_assistant(self, assistant_id: str) -> None:
        """One that isn't there (any more) is done."""
        self._check()
        try:
            await self._door.request("DELETE", _assistant(assistant_id))
        except ProviderError as error:
            if error.status != 404:
                raise

    # ---------------------------------------------------------------------------- calls

    async def create_websocket_call(
        self,
        assistant_id: str,
        *,
        customer_number: str | None,
        overrides: Mapping[str, Any] | None = None,
    ) -> VapiCall:
        """A call whose audio we carry: raw µ-law, both ways, at `websocket_url`. It takes a line of
        the account from now on, and gives it back when it is ended or nobody joins it."""
        body = {
            "assistantId": assistant_id,
            "transport": {"provider": "vapi.websocket", "audioFormat": MULAW},
            **_customer(customer_number),
            **({"assistantOverrides": overrides} if overrides else {}),
        }
        call = await self._create_call(body)
        if call.websocket_url is None:
            raise _incomplete("transport.websocketCallUrl")
        return call

    async def create_bypass_call(
        self,
        assistant_id: str,
        phone_number_id: str,
        *,
        customer_number: str | None,
        overrides: Mapping[str, Any] | None = None,
    ) -> VapiCall:
        """A call that the carrier connects to Vapi by itself, told by `twiml` (§1.6: it isn't in
        the schema of today, but in three pages of the documentation). Only while the carrier waits
        for that document: nobody fetches it later."""
        body = {
            "phoneCallProviderBypassEnabled": True,
            "phoneNumberId": phone_number_id,
            "assistantId": assistant_id,
            **_customer(customer_number),
            **({"assistantOverrides": overrides} if overrides else {}),
        }
        call = await self._create_call(body)
        if not call.twiml:
            raise _incomplete("phoneCallProviderDetails.twiml")
        return call

    async def _create_call(self, body: Mapping[str, Any]) -> VapiCall:
        self._check()
        try:
            answer = await self._once.request("POST", "call", json=body)
        except ProviderError as error:
            if error.code == FULL:
                raise _full() from error
            raise
        call = answer.read(_Call)
        if call.subscription_limits is not None and call.subscription_limits.concurrency_blocked:
            raise _full()
        return _public(call)

    async def get_call(self, call_id: str) -> VapiCall | None:
        """None when Vapi knows no such call."""
        self._check()
        try:
            answer = await self._door.request("GET", f"call/{quote(call_id, safe='')}")
        except ProviderError as error:
            if error.status == 404:
                return None
            raise
        return _public(answer.read(_Call))

    async def delete_call(self, call_id: str) -> None:
        """What Vapi keeps of a call that has ended: its transcript, messages and recording. One
        that isn't there (any more) is done. https://docs.vapi.ai/api-reference/calls/delete"""
        self._check()
        try:
            await self._door.request("DELETE", f"call/{quote(call_id, safe='')}")
        except ProviderError as error:
            if error.status != 404:
                raise

    # -------------------------------------------------------------------------- control

    async def say(self, call: VapiCall, text: str, *, then_end: bool = False) -> None:
        """Have the assistant speak this very sentence."""
        await self.control(call, {"type": "say", "content": text, "endCallAfterSpoken": then_end})

    async def add_message(
        self, call: VapiCall, role: str, text: str, *, respond: bool = False
    ) -> None:
        """Put a turn before the assistant's model. `role`: user | assistant | system."""
        message = {"role": role, "content": text}
        await self.control(
            call, {"type": "add-message", "message": message, "triggerResponseEnabled": respond}
        )

    async def mute(self, call: VapiCall, *, muted: bool = True) -> None:
        """Silence the assistant, or let it speak again."""
        name = "mute-assistant" if muted else "unmute-assistant"
        await self.control(call, {"type": "control", "control": name})

    async def end(self, call: VapiCall) -> None:
        """End the call. One that has ended (its control is gone) is done."""
        try:
            await self.control(call, {"type": "end-call"})
        except ProviderError as error:
            if error.status not in (404, 410):
                raise

    async def control(self, call: VapiCall, order: Mapping[str, Any]) -> None:
        """One order for a running call (§1.10), at the address that its creation named. Not
        repeated."""
        self._check()
        if call.control_url is None:
            raise _incomplete("monitor.controlUrl")
        via = self._addresses.judge(call.control_url, plain="http", tls="https")
        if via == "operator":
            await self._once.request("POST", call.control_url, json=order)
            return
        try:
            await self._guard.fetch(
                call.control_url,
                method="POST",
                headers={"content-type": "application/json"},
                content=msgspec.json.encode(order),
                max_bytes=64 * 1024,
            )
        except AddressRefused as refused:
            raise ProviderError(
                VENDOR,
                f"the control of a call: {refused.code}",
                retryable=refused.retryable,
                status=refused.status,
                code=refused.code,
            ) from refused

    def _check(self) -> None:
        if not self._configured:
            raise ProviderError(
                VENDOR, "no usable API key is configured", retryable=False, code="not_configured"
            )


def _customer(number: str | None) -> dict[str, Any]:
    """Who calls. Of a withheld number nothing is sent: anything but E.164 is refused (§1.6). The
    check is off for the others too: what the carrier delivers isn't ours to mend."""
    if not number:
        return {}
    return {"customer": {"number": number, "numberE164CheckEnabled": False}}


def _assistant(assistant_id: str) -> str:
    return f"assistant/{quote(assistant_id, safe='')}"


def _instant(moment: datetime) -> str:
    """ISO 8601 with milliseconds, as Vapi writes it."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def _public(call: _Call) -> VapiCall:
    details = call.phone_call_provider_details
    return VapiCall(
        id=call.id,
        status=call.status or "",
        ended_reason=call.ended_reason or "",
        control_url=call.monitor.control_url if call.monitor else None,
        websocket_url=call.transport.websocket_call_url if call.transport else None,
        twiml=details.twiml if details else None,
    )


def _full() -> ProviderError:
    return ProviderError(
        VENDOR, "all lines of the account are taken", retryable=True, status=429, code=FULL
    )


def _incomplete(name: str) -> ProviderError:
    return ProviderError(
        VENDOR, f"an answer without {name}", retryable=False, code="unexpected_answer"
    )


class _Refusal(msgspec.Struct):
    message: str | Sequence[str] | None = None
    error: str | None = None


def _error_code(body: bytes) -> str:
    """`full`, if that is what a refusal says: `{"error": "Over Concurrency Limit"}`, or the like in
    `message`, a sentence or a list of them (§1.2, §1.11). Vapi has no codes, and its sentences
    quote what was sent: nothing else is taken from them."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    said = refusal.message or ""
    words = f"{refusal.error or ''} {said if isinstance(said, str) else ' '.join(said)}".casefold()
    return FULL if "concurrency" in words and "limit" in words else ""

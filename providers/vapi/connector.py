"""Makes a call at Vapi, joins it and hands it over as a leg."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import picows

from domain.clock import Clock
from domain.errors import OperatorError, ProviderError
from domain.fetching import AddressRefused
from providers.vapi.addresses import VENDOR
from providers.vapi.leg import MAX_MESSAGE_BYTES, Spawn, VapiLeg
from providers.vapi.messages import overrides
from providers.vapi.rest import VapiAccount, VapiCall
from voice.ports import AgentSpec, CallFacts

#: Seconds. A caller waits meanwhile: beyond these the ladder tries something else.
OPEN_SECONDS: Final = 4.0
#: … for the database to take down which call this is.
REMEMBER_SECONDS: Final = 1.0

#: A vendor that says nothing at all is asked for a sign: silence is audio here, and comes too.
PING_AFTER_SECONDS: Final = 2.0
PONG_WITHIN_SECONDS: Final = 2.0

#: picows writes the whole handshake at its debug level, and the address is the key to the call.
_socket_log = logging.getLogger("providers.vapi.socket")
_socket_log.setLevel(logging.WARNING)

#: Stores which call at Vapi (the second) one of ours is; False when ours is over.
Remember = Callable[[CallFacts, str], Awaitable[bool]]


class VapiConnector:
    """Opens legs; an AgentConnector.

    `remember` is done before any audio flows: by it a function's request is known to belong to the
    call. `spawn` ends calls that nobody wants any more. `tls`: another trust store.
    """

    def __init__(
        self,
        account: VapiAccount,
        clock: Clock,
        spawn: Spawn,
        remember: Remember,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._spawn = spawn
        self._remember = remember
        self._tls = tls or ssl.create_default_context()  # reads the trust store: once

    async def connect(self, spec: AgentSpec) -> VapiLeg:
        """A call that has been joined, within 11 s. Raises ProviderError."""
        if not spec.assistant_id:
            raise ProviderError(
                VENDOR, "the tenant has no assistant", retryable=False, status=404, code="nobody"
            )
        facts = spec.call
        # If this is cancelled before it answers, Vapi may have made a call that we don't know of:
        # nobody joins it, and Vapi gives its line back by itself.
        call = await self._account.create_websocket_call(
            spec.assistant_id,
            customer_number=facts.caller_number if facts is not None else None,
            overrides=overrides(spec),
        )
        leg = VapiLeg(spec, call, self._account, self._clock, self._spawn)
        ready = False
        try:
            if facts is not None:
                await self._remembered(facts, call.id)
            await self._open(leg, call)
            ready = True
        finally:
            if not ready:
                leg.abandon()
        return leg

    async def _remembered(self, facts: CallFacts, vapi_call_id: str) -> None:
        try:
            async with asyncio.timeout(REMEMBER_SECONDS):
                live = await self._remember(facts, vapi_call_id)
        except (TimeoutError, OperatorError) as error:
            raise ProviderError(
                "storage",  # no failure of Vapi's
                "the call can't be stored, and its functions would be refused",
                retryable=True,
                code="not_remembered",
            ) from error
        if not live:  # our own affair, and no failure of Vapi's: so a status of that kind
            raise ProviderError(
                VENDOR, "the call is over", retryable=False, status=409, code="call_over"
            )

    async def _open(self, leg: VapiLeg, call: VapiCall) -> None:
        assert call.websocket_url is not None, "creation has seen to it"
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                factory = await self._socket_factory(call.websocket_url)
                await picows.ws_connect(
                    lambda _request, _response: leg,
                    call.websocket_url,
                    ssl_context=self._tls,
                    websocket_handshake_timeout=OPEN_SECONDS,
                    logger_name=_socket_log,
                    disconnect_on_exception=False,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_AFTER_SECONDS,
                    auto_ping_reply_timeout=PONG_WITHIN_SECONDS,
                    max_frame_size=MAX_MESSAGE_BYTES,
                    max_redirects=0,
                    socket_factory=factory,
                )
        except TimeoutError as error:
            raise ProviderError(
                VENDOR, "no connection in time", retryable=True, code="open_timeout"
            ) from error
        except picows.WSHandshakeError as error:
            raise _refused(error) from error
        except (picows.WSError, OSError, AddressRefused) as error:
            raise ProviderError(
                VENDOR, f"no connection: {type(error).__name__}", retryable=True, code="connect"
            ) from error
        if not leg.is_open:
            raise ProviderError(
                VENDOR, "closed during the handshake", retryable=True, code="connect"
            )

    async def _socket_factory(
        self, address: str
    ) -> Callable[[picows.WSParsedURL], socket.socket] | None:
        """None: dial it as it is. Otherwise the guarded door has dialled."""
        if self._account.addresses.judge(address, plain="ws", tls="wss") == "operator":
            return None
        host = urlsplit(address).hostname or ""
        opened = await self._account.guard.connect(host, 443, ports=frozenset({443}))
        return lambda _url: opened


def _refused(error: picows.WSHandshakeError) -> ProviderError:
    status = error.response.status.value if error.response is not None else None
    reason = "the handshake was refused" if status is None else f"refused with status {status}"
    # Whatever it is, it is Vapi's: it has named this address a moment ago. So no 4xx is told, which
    # would be taken for a mistake of the tenant's.
    told = status if status is not None and (status >= 500 or status == 429) else None
    return ProviderError(VENDOR, reason, retryable=True, status=told, code="handshake")

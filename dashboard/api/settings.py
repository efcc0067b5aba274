"""What the REST endpoints need to know about this deployment."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from domain.phone import DEFAULT_REGION


class CallSteering(Protocol):
    """What can be done to a running call from outside. Raises ProviderError: nothing was."""

    async def end(self, call_id: str) -> bool:
        """Hang up; False when it has ended already."""
        ...

    async def transfer(self, call_id: str, number: str) -> bool:
        """Ring this number (E.164) for the caller; False when no agent has the call."""
        ...


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`admin_key` opens the operator's paths, `vapi_secret` Vapi's; unset (None or empty) means
    that nothing opens them. `shared_number` and `own_numbers` are this deployment's Twilio
    numbers in E.164; the dedicated ones of tenants are in the database. `default_region` is the
    ISO 3166 country in which national numbers are read; `sms_sender`: SMS have a sender and an
    account that sends them; `sms_replies`: who gets one can answer it; `whatsapp_app`: there is an
    app at Meta for tenants without their own. `public_url`: where we are reached from outside.

    `…_per_minute`, over all nodes, None: any: requests of one tenant, of one key or session, from
    one address, and refused credentials from one address. `address_key` hashes what is kept of
    addresses, the same on all nodes. `cors_origins` may ask from a browser: origins, or patterns in
    which `*` stands for letters, digits and hyphens of one label.

    `allowed_countries`: where texts may go, empty: anywhere; `texts_per_day`: that one tenant asks
    for; `connect_whatsapp`: tenant's id → where it connects a WhatsApp number, None: by hand only;
    `steering` of running calls and `recording` (the carrier's id of one → an MP3; NotFound when it
    is gone there) are None where there is no carrier;
    `sms_prices`: `domain.sms.read_prices`; `test_seconds`: how long a test waits for its text;
    `spend_cap`: what a tenant's outbound may cost on a day, in millionths of the currency.
    """

    admin_key: str | None = field(default=None, repr=False)
    vapi_secret: str | None = field(default=None, repr=False)
    shared_number: str | None = None
    own_numbers: frozenset[str] = frozenset()
    default_region: str = DEFAULT_REGION
    sms_sender: bool = False
    sms_replies: bool = True
    whatsapp_app: bool = False
    public_url: str = ""
    requests_per_minute: int | None = None
    key_requests_per_minute: int | None = None
    address_requests_per_minute: int | None = None
    refused_per_minute: int | None = None
    address_key: bytes = field(default=b"", repr=False)
    cors_origins: tuple[str, ...] = ()
    allowed_countries: frozenset[str] = frozenset()
    texts_per_day: int = 100
    sms_prices: str = ""
    test_seconds: float = 0.0
    spend_cap: int | None = None
    steering: CallSteering | None = None
    recording: Callable[[str], Awaitable[bytes]] | None = None
    connect_whatsapp: Callable[[str], Awaitable[str]] | None = None

    @property
    def deployment_numbers(self) -> frozenset[str]:
        """All numbers of ours that belong to no single tenant."""
        return self.own_numbers | {self.shared_number} if self.shared_number else self.own_numbers

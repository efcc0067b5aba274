"""All that a function may touch while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.clock import Clock
from domain.knowledge import Knowledge
from domain.phone import DEFAULT_REGION
from domain.tenant import Tenant
from storage import Occasion, TenantHandle, TextTurn


@dataclass(frozen=True, slots=True)
class StreamOfCall:
    """A stream by the answer of ours that led to it, and the node that it came to."""

    opening: Mapping[str, Any] = field(repr=False)
    node_id: str


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call or one text conversation of one tenant: whatever a model writes, nothing outside of
    it can be reached.

    `storage` is bound to `tenant`; `caller_number` and `transfer_number` are E.164 or None
    (withheld, not configured); `locale` is the language that is spoken, a BCP 47 tag; `region`
    is where national numbers belong. `knowledge` searches documents: always `tenant`'s. `channel`
    is how they reach us; in a text conversation `text_turn` is what is being answered, and there is
    no `call_id`. `contact_id`: who they may be, by their number or address; `email`: where they
    write from.
    `known_appointments`: ids of those that our own texts to them were about. `public_url`: where
    customers' pages are, without a trailing slash. `stream`: whose agent asks; None without one.
    """

    tenant: Tenant
    storage: TenantHandle = field(repr=False)
    call_id: str | None
    clock: Clock = field(repr=False)
    caller_number: str | None = field(default=None, repr=False)
    transfer_number: str | None = field(default=None, repr=False)
    locale: str = "fr-FR"
    region: str = DEFAULT_REGION
    knowledge: Knowledge | None = field(default=None, repr=False)
    channel: str = "phone"
    text_turn: TextTurn | None = None
    contact_id: str | None = None
    email: str | None = field(default=None, repr=False)
    known_appointments: frozenset[str] = frozenset()
    public_url: str = ""
    stream: StreamOfCall | None = None

    @property
    def occasion(self) -> Occasion:
        """What functions run for."""
        occasion = self.text_turn or self.call_id
        assert occasion is not None, "a context is of a call or of a conversation"
        return occasion

    def now(self) -> datetime:
        """The current instant on the tenant's wall clock."""
        return self.clock.now().astimezone(ZoneInfo(self.tenant.timezone))

    def today(self) -> date:
        """The tenant's date: at 23:30 in Paris it isn't tomorrow yet, whatever UTC says."""
        return self.now().date()

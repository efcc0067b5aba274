"""The money that a tenant's texts may cost on a day: a last look before one is sent.

What goes on the deployment's own account counts: SMS. Email and WhatsApp go on the tenant's. An
answer to somebody who wrote, and what the owner is told, is counted, and never stopped.
"""

from dataclasses import dataclass
from typing import Final

from domain.sms import Prices, measure
from messaging.outbox import Stop
from storage import TenantRows, Text

#: A segment without a price of its own, in millionths: above what any network in France costs.
UNPRICED_SEGMENT: Final = 100_000
_NEVER_STOPPED: Final = frozenset({"answer", "owner"})


@dataclass(frozen=True, slots=True)
class MoneyCap:
    """A `messaging.outbox.Check`. `cap`: the deployment's, in millionths a day; None: none."""

    prices: Prices
    cap: int | None

    async def __call__(self, rows: TenantRows, text: Text) -> Stop | None:
        if text.channel != "sms" or text.attempts:
            return None
        segments = text.segments or measure(text.body).segments
        cost = self.prices.estimate(text.to, segments)
        micros = segments * UNPRICED_SEGMENT if cost is None else cost
        always = text.purpose in _NEVER_STOPPED
        if await rows.spending.spend(micros, self.cap, always=always):
            return None
        await tell_cap(rows)
        return Stop("spend_cap")


async def tell_cap(rows: TenantRows) -> None:
    """The business is told that its cap is reached, once a day (in UTC)."""
    key = f"spend_cap:{rows.outbox.now().date().isoformat()}"
    await rows.notifications.tell("spend_cap", subject_id=None, values={}, key=key)

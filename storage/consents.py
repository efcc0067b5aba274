"""What people agreed to and what they refused, per address, channel and purpose, with proof.

A ledger: lines are added and never changed. The last line about an address decides; without any,
texts of service may go and marketing may not. A refusal of service refuses all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid
from storage.schema import CHANNEL_TYPES, CONSENT_DECISIONS, CONSENT_PURPOSES, sender_blocks
from storage.schema import consent_ledger as table
from storage.scope import Scope
from storage.suppression import address_hash, known_hash

#: Orders of whole messages (domain/opt_out.py) → what is written down. Who takes texts again has
#: not asked for advertisements by that.
_ORDERS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "stop": (("service", "withdrawn"), ("marketing", "withdrawn")),
    "stop_marketing": (("marketing", "withdrawn"),),
    "start": (("service", "granted"),),
}
#: Why nothing goes to an address: reasons of domain/text_reasons.py.
OPTED_OUT: Final = "opted_out"
NO_CONSENT: Final = "no_consent"


@dataclass(frozen=True, slots=True)
class Consent:
    """One line. `address` None: the person was erased."""

    channel: str
    purpose: str
    decision: str
    source: str
    at: datetime
    address: str | None = None
    contact_id: str | None = None
    wording: str | None = None
    recorded_by: str | None = None
    proof: Mapping[str, Any] | None = None


class Consents:
    """A tenant's ledger."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def record(self, new: Consent) -> None:
        """Add a line. `address` as `domain.text_address` writes it; Invalid for unknown words."""
        for value, known, field in (
            (new.channel, CHANNEL_TYPES, "channel"),
            (new.purpose, CONSENT_PURPOSES, "purpose"),
            (new.decision, CONSENT_DECISIONS, "decision"),
        ):
            if value not in known:
                raise Invalid(f"must be one of {', '.join(known)}", field=field)
        if not new.address:
            raise Invalid("is needed", field="address")
        scope = self._scope
        mark = None
        if scope.keyring is not None:
            mark = await address_hash(scope, new.channel, new.address)
        await scope.insert(
            table,
            channel_type=new.channel,
            purpose=new.purpose,
            decision=new.decision,
            address=new.address,
            address_hash=mark,
            contact_id=new.contact_id,
            source=new.source,
            wording=new.wording,
            recorded_by=new.recorded_by,
            proof=None if new.proof is None else dict(new.proof),
            at=new.at,
            created_at=scope.now(),
        )
        scope.publish(
            "consent.changed",
            new.contact_id,
            {"channel": new.channel, "purpose": new.purpose, "decision": new.decision},
        )

    async def ordered(
        self,
        *,
        channel: str,
        address: str,
        contact_id: str | None,
        order: str,
        wording: str,
        source: str = "message",
        proof: Mapping[str, Any] | None = None,
    ) -> None:
        """What somebody wrote to end texts or to take them again (domain/opt_out.py)."""
        for purpose, decision in _ORDERS.get(order, ()):
            await self.record(
                Consent(
                    channel=channel,
                    purpose=purpose,
                    decision=decision,
                    source=source,
                    at=self._scope.now(),
                    address=address,
                    contact_id=contact_id,
                    wording=wording[:500],
                    proof=proof,
                )
            )
        if order == "start":  # the carrier has heard it, too
            await self._scope.connection.execute(
                sa.delete(sender_blocks).where(sender_blocks.c.address == address)
            )

    async def refusal(
        self, channel: str, address: str, purpose: str, contact_id: str | None = None
    ) -> str | None:
        """Why no text of this purpose goes to this address now: OPTED_OUT, NO_CONSENT, or None.
        What the owner gets about their own business isn't the customers'."""
        if purpose == "owner":
            return None
        said = await self.state(channel, address, contact_id)
        if said.get("service") == "withdrawn":
            return OPTED_OUT
        if purpose != "marketing":
            return None
        decision = said.get("marketing")
        if decision == "granted":
            return None
        return OPTED_OUT if decision == "withdrawn" else NO_CONSENT

    async def state(
        self, channel: str, address: str, contact_id: str | None = None
    ) -> dict[str, str]:
        """The last decision per purpose; a purpose that nobody spoke about is missing."""
        about = await self._about(channel, address, contact_id)
        statement = self._scope.select(table, table.c.purpose, table.c.decision)
        rows = await self._scope.all(statement.where(about).order_by(table.c.seq))
        return {row["purpose"]: row["decision"] for row in rows}

    async def history(
        self, *, contact_id: str | None = None, channel: str | None = None, address: str = ""
    ) -> list[Consent]:
        """All lines about a person, or about an address on a channel; the latest first."""
        about = (
            table.c.contact_id == contact_id
            if channel is None
            else await self._about(channel, address, contact_id)
        )
        rows = await self._scope.all(
            self._scope.select(table).where(about).order_by(table.c.seq.desc()).limit(500)
        )
        return _consents(rows)

    async def erase(self, channel: str, address: str) -> int:
        """Forget an address, but not that it refused: its keyed hash stays. How many lines. NoKey
        without a key ring."""
        scope = self._scope
        mark = await address_hash(scope, channel, address)
        erased = await scope.connection.execute(
            scope.update(table)
            .where(table.c.channel_type == channel, table.c.address == address)
            .values(
                address=None,
                address_hash=mark,
                contact_id=None,
                wording=None,
                recorded_by=None,
                proof=None,
            )
        )
        return erased.rowcount

    async def _about(
        self, channel: str, address: str, contact_id: str | None
    ) -> sa.ColumnElement[bool]:
        scope = self._scope
        same = [table.c.address == address]
        if scope.keyring is not None:
            mark = await known_hash(scope, channel, address)
            if mark is not None:
                same.append(table.c.address_hash == mark)
        if contact_id is not None:
            same.append(table.c.contact_id == contact_id)
        return sa.and_(table.c.channel_type == channel, sa.or_(*same))


def _consents(rows: Sequence[sa.RowMapping]) -> list[Consent]:
    return [
        Consent(
            channel=row["channel_type"],
            purpose=row["purpose"],
            decision=row["decision"],
            source=row["source"],
            at=row["at"],
            address=row["address"],
            contact_id=row["contact_id"],
            wording=row["wording"],
            recorded_by=row["recorded_by"],
            proof=row["proof"],
        )
        for row in rows
    ]

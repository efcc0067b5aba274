"""How texts move: claimed, handed over, reported on. Only ever forward (domain/delivery.py)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from domain.delivery import ENDS, SETTLED, STATUSES, earlier
from domain.errors import Invalid
from domain.text_reasons import reason
from storage.conflicts import insert_unless_taken
from storage.consents import Consent, Consents
from storage.jobs import jobs_on
from storage.schema import channel_messages_log as table
from storage.schema import sender_blocks, text_events
from storage.scope import Scope
from storage.text_rows import Report, Text, text_of

#: Longer than a job may take to send (messaging/outbox.py), and its worker to be taken for dead:
#: whoever says `sending` for so long is dead.
LONGEST_CLAIM: Final = timedelta(minutes=5)

_REACHED_AT: Final[Mapping[str, str]] = {
    "accepted": "accepted_at",
    "sent": "sent_at",
    "delivered": "delivered_at",
    "read": "read_at",
    "failed": "failed_at",
}
#: Twilio's: the person wrote STOP to the sender itself, whoever it sent for.
SENDER_REFUSED: Final = "21610"
#: Meta's: the person stopped this business's offers.
MARKETING_REFUSED: Final = "131050"
#: Of these reasons a tenant's language is nobody's business: they aren't ends.
_ARRIVED: Final = frozenset({"accepted", "sent", "delivered", "read"})


class TextMoves:
    """The moves of a tenant's texts."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    # ----------------------------------------------------------------------------- sending

    async def first_of(self, lane: str) -> Text | None:
        """The text of this lane that is to go next, or is just going; None when none is due."""
        due = sa.or_(table.c.due_at <= self._scope.now(), table.c.attempts > 0)
        row = await self._scope.first(
            self._scope.select(table)
            .where(
                table.c.lane == lane,
                sa.or_(table.c.status == "sending", sa.and_(table.c.status == "queued", due)),
            )
            .order_by(_WHEN, table.c.position, table.c.id)
            .limit(1)
        )
        return None if row is None else text_of(row)

    async def claim(self, text_id: str, by: str, *, vendor: str, sender: str) -> bool:
        """Say `sending`, before the vendor is asked; False when somebody else has, or it moved."""
        values = {"claimed_by": by, "claimed_at": self._scope.now(), "provider": vendor}
        if sender:
            values["sender"] = sender
        return await self._move(
            text_id,
            "sending",
            source="us",
            values=values | {"attempts": table.c.attempts + 1},
        )

    def is_dead(self, text: Text, by: str) -> bool:
        """Whether a `sending` is of a run that is over: of an earlier one of the job that asks, or
        too long ago."""
        if text.claimed_by == by or text.claimed_at is None:
            return True
        return text.claimed_at < self._scope.now() - LONGEST_CLAIM

    async def put_back(self, text: Text, due_at: datetime, code: str | None) -> bool:
        """The vendor has certainly not taken it: it goes again at `due_at`."""
        return await self._move(
            text.id, "queued", source="us", code=code, values={"due_at": due_at}
        )

    async def remember(
        self, text_id: str, *, message_id: str | None = None, sender: str | None = None
    ) -> None:
        """Note what doesn't move it: its Message-ID, by whom it goes."""
        values = {"message_id": message_id, "sender": sender}
        await self._note(text_id, {name: value for name, value in values.items() if value})

    async def _note(self, text_id: str, values: Mapping[str, Any]) -> None:
        if values:
            await self._scope.connection.execute(
                self._scope.update(table).where(table.c.id == text_id).values(**values)
            )

    async def sent_with(self, vendor_id: str) -> bool:
        """Whether a text of this tenant is known under this id of the vendor's."""
        statement = self._scope.select(table, table.c.id)
        return (
            await self._scope.first(statement.where(table.c.external_message_id == vendor_id))
        ) is not None

    # --------------------------------------------------------------------------- reporting

    async def report(self, text_id: str, report: Report) -> bool:
        """What a vendor says of a text: kept, and followed if it leads forward. False when the
        text isn't the tenant's, or nothing moved."""
        row = await self._scope.first(self._scope.select(table).where(table.c.id == text_id))
        if row is None:
            return False
        if report.status not in STATUSES:
            raise Invalid("is no status of a text", field="status")
        new = await self._event(
            text_id,
            report.status,
            source=report.source,
            code=report.code,
            detail=report.word,
            key=report.key,
            at=report.at,
        )
        if not new:
            return False
        text = text_of(row)
        if report.status == "failed":
            await self._refused(text, report.code, report.source)
        known = {
            "external_message_id": text.vendor_id or report.vendor_id,
            "segments": report.segments or text.segments,
            "price_micros": report.price_micros or text.price_micros,
            "price_currency": report.price_currency or text.price_currency,
        }
        if (text.vendor_id or "", text.price_micros) != (
            known["external_message_id"] or "",
            known["price_micros"],
        ):
            await self._note(text_id, known)
        return await self._move(
            text_id, report.status, source=report.source, code=report.code, at=report.at, told=True
        )

    async def move(
        self, text_id: str, status: str, *, source: str, code: str | None = None
    ) -> bool:
        """Bring a text to `status`, if that is forward; False otherwise. Invalid for none of
        domain/delivery.py."""
        if status not in STATUSES:
            raise Invalid("is no status of a text", field="status")
        return await self._move(text_id, status, source=source, code=code)

    async def _move(
        self,
        text_id: str,
        status: str,
        *,
        source: str,
        code: str | None = None,
        at: datetime | None = None,
        values: Mapping[str, Any] | None = None,
        told: bool = False,
    ) -> bool:
        """`told`: the event is stored already."""
        scope = self._scope
        now = scope.now()
        changes: dict[str, Any] = dict(values or {})
        changes["status"] = status
        if status in _REACHED_AT:
            changes[_REACHED_AT[status]] = at or now
        if status in SETTLED:
            changes["settled_at"] = sa.func.coalesce(table.c.settled_at, now, type_=_TIME)
        if code is not None and status not in _ARRIVED:
            tenant = await scope.tenant()
            changes |= {"error_code": code, "error_message": reason(code, tenant.locale)}
        elif status in _ARRIVED:
            changes |= {"error_code": None, "error_message": None}
        moved = await scope.connection.execute(
            scope.update(table)
            .where(table.c.id == text_id, table.c.status.in_(earlier(status)))
            .values(**changes)
            .returning(*table.c)
        )
        row = moved.mappings().first()
        if row is None:
            return False
        if not told:
            await self._event(text_id, status, source=source, code=code, at=at)
        if status in ENDS and status != "cancelled":
            await self._ended(text_id, row["extras"])
        self._publish(text_of(row))
        return True

    # ------------------------------------------------------------------------------- inside

    async def _event(
        self,
        text_id: str,
        status: str,
        *,
        source: str,
        code: str | None = None,
        detail: str | None = None,
        key: str | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Keep what was heard; False when it was heard before."""
        now = self._scope.now()
        row = {
            "tenant_id": self._scope.tenant_id,
            "text_id": text_id,
            "at": at or now,
            "status": status,
            "source": source,
            "code": code,
            "detail": detail,
            "event_key": key or f"{source}:{status}:{now.isoformat()}",
        }
        return bool(await insert_unless_taken(self._scope.connection, text_events, row))

    async def _ended(self, text_id: str, extras: Mapping[str, Any]) -> None:
        """It has certainly not arrived: whoever wanted to know is woken."""
        kind = extras.get("on_end")
        if kind:
            scope = self._scope
            await jobs_on(scope.connection, scope.clock, scope.tenant_id).put(
                kind, {"text_id": text_id}, key=f"text-ended:{text_id}"
            )

    async def _refused(self, text: Text, code: str | None, source: str) -> None:
        """A failure that tells of the person's will."""
        if code == SENDER_REFUSED and text.sender:
            await self.block_sender(text.sender, text.to, code)
        elif code == MARKETING_REFUSED:
            await Consents(self._scope).record(
                Consent(
                    channel=text.channel,
                    purpose="marketing",
                    decision="withdrawn",
                    source=source,
                    at=self._scope.now(),
                    address=text.to,
                    contact_id=text.contact_id,
                    proof={"text_id": text.id, "code": code},
                )
            )

    async def block_sender(self, sender: str, address: str, code: str) -> None:
        """This address takes nothing from this sender, whichever tenant it sends for."""
        row = {
            "sender": sender,
            "address": address,
            "code": code,
            "created_at": self._scope.now(),
        }
        await insert_unless_taken(self._scope.connection, sender_blocks, row)

    async def is_blocked(self, sender: str, address: str) -> bool:
        """Whether this address has refused this sender."""
        found = await self._scope.connection.execute(
            sa.select(sender_blocks.c.code).where(
                sender_blocks.c.sender == sender, sender_blocks.c.address == address
            )
        )
        return found.first() is not None

    def _publish(self, text: Text) -> None:
        self._scope.publish(
            "text.status",
            text.id,
            {"channel": text.channel, "status": text.status, "purpose": text.purpose},
        )


_TIME: Final = table.c.created_at.type
#: When it was to go first: what is put today for tomorrow doesn't wait before what is put now.
_WHEN: Final = sa.case(
    (table.c.not_before > table.c.created_at, table.c.not_before), else_=table.c.created_at
)

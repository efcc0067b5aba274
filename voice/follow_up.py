"""What a call leaves to be done by a human, before it is concluded.

A promised call-back is a row: whoever was told "we will call you back" has a ticket, also when the
model promised without recording it, and when a transfer found nobody and nothing else was agreed.
Whoever was cut off before anything was agreed gets a text, where the tenant wants that. All of it
happens once per call, however many conclude it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from domain.clock import Clock
from domain.errors import CallerError, Conflict
from domain.messages import text
from domain.outcome import Outcome
from domain.phone import is_mobile
from domain.promises import promises_call_back
from domain.tickets import CALLBACK
from storage import FunctionRun, NewText, NewTicket, Storage, TenantRows
from storage.calls import CallRow
from storage.text_rows import TextFilter
from voice.history import History, read_history

log = structlog.get_logger(__name__)

#: The record that makes it once: a function of our own, which no model can name.
_CALL_BACK = "call_back"
#: The template of the text after a call that came to nothing, and how long that is of use.
_MISSED = "appelManque"
_MISSED_USEFUL = timedelta(hours=2)
#: A page of the tenant's: https, a name, and no more than an SMS has room for.
_PAGE = re.compile(r"https://[A-Za-z0-9.-]+(?:/[^\s<>\"{}]*)?", re.ASCII)
#: Ends of calls in which nobody got anything.
_CUT_SHORT = frozenset({Outcome.ABANDONED, Outcome.FAILED, Outcome.OVERFLOW})
#: Who spoke so often and got nothing may have had a question.
_SPOKE = 2


@dataclass(frozen=True, slots=True)
class FollowUp:
    """For `voice.endings`."""

    storage: Storage
    clock: Clock
    public_url: str = ""
    sms_replies: bool = True  # the deployment's sender can be answered

    async def call_back(self, row: CallRow, reason: str, words: str = "") -> bool:
        """A ticket for a call to return, once per call; `reason` is a key of the catalogue
        (call_back_<reason>), `words` what was promised. False when nobody could be called back,
        because the number is withheld or no tenant is known."""
        if row.tenant_id is None or not row.from_number:
            return False
        await self._ticket(row, row.tenant_id, reason, words)
        return True

    async def nobody_answered(self, row: CallRow) -> None:
        """A transfer found nobody: the business is told at once, once per call."""
        if row.tenant_id is None:
            return
        async with self.storage.tenant(row.tenant_id).write() as rows:
            values = {"phone": row.from_number, "who": await _name(rows, row)}
            await rows.notifications.tell(
                "transfer_failed", subject_id=row.id, values=values, key=f"transfer:{row.id}"
            )

    async def before_the_end(self, call_id: str, outcome: Outcome) -> None:
        """The call is about to be concluded so: whatever a human must do is stored first, so that a
        node which dies in between leaves a call that is concluded, and followed up, by another."""
        row = await self.storage.operator.get_call(call_id)
        if row is None or row.tenant_id is None or row.outcome is not None:
            return
        history = await read_history(self.storage.tenant(row.tenant_id), call_id)
        recorded = {Outcome.TICKET, Outcome.MESSAGE} & set(history.achieved)
        promise = next(
            (said for who, said in history.turns if who == "agent" and promises_call_back(said)), ""
        )
        # On whom the business has hung up, it wants to write to least of all.
        if not (promise or history.achieved or row.transfer_state or history.end_asked):
            await self._text(row, row.tenant_id, outcome)
        if promise and not recorded:
            # Also of a withheld number: the business must know what it can't keep.
            await self._ticket(row, row.tenant_id, "promised", promise)
        elif row.transfer_state == "failed" and not history.achieved:
            await self.call_back(row, "transfer")
        elif _unfinished(outcome, history) and not history.end_asked:
            await self._tell_unfinished(row, row.tenant_id)

    async def _text(self, row: CallRow, tenant_id: str, outcome: Outcome) -> None:
        """One SMS after a call that came to nothing, if the tenant has switched that on: to mobiles
        alone, and to nobody twice within a day."""
        number = row.from_number
        if outcome not in _CUT_SHORT or not is_mobile(number):
            return
        async with self.storage.tenant(tenant_id).write() as rows:
            channel = await rows.channels.get("sms")
            if not (channel.enabled and channel.config.get("missedCallText") is True):
                return
            if await rows.functions.find(row.id, _CALL_BACK) is not None:
                return
            now = self.clock.now()
            lately = TextFilter(
                channel="sms", template=_MISSED, to=number, since=now - timedelta(hours=24)
            )
            if (await rows.outbox.page(lately, limit=1)).total:
                return
            new = NewText(
                "sms",
                number,
                template=_MISSED,
                variables={"lien": booking_link(channel.config)},
                contact_id=row.contact_id,
                dedupe_key=f"missed:{row.id}",
                expires_at=now + _MISSED_USEFUL,
                created_by="calls",
                link_base=self.public_url,
                replies=self.sms_replies,
            )
            try:
                await rows.outbox.put(new)
            except CallerError as error:  # the tenant's own template lacks a value
                log.warning("call.no_text", call_id=row.id, error=type(error).__name__)

    async def _ticket(self, row: CallRow, tenant_id: str, reason: str, words: str) -> None:
        try:
            async with self.storage.tenant(tenant_id).write() as rows:
                if await rows.functions.find(row.id, _CALL_BACK) is not None:
                    return
                tenant = await rows.tenant()
                ticket_id = await rows.tickets.add(
                    NewTicket(
                        customer_name=await _name(rows, row)
                        or text(tenant.locale, "unknown_caller"),
                        customer_phone=row.from_number or None,
                        subject=text(tenant.locale, f"call_back_{reason}"),
                        description=words,
                        priority="high",
                        category=CALLBACK,
                        call_id=row.id,
                        callback_when=text(tenant.locale, "call_back_soon"),
                    ),
                    source="call",
                )
                await self._record(rows, row, reason, ticket_id)
        except Conflict:  # somebody else concludes the same call, and was first
            pass

    async def _record(self, rows: TenantRows, row: CallRow, reason: str, ticket_id: str) -> None:
        now = self.clock.now()
        await rows.functions.record(
            FunctionRun(
                occasion=row.id,
                function_call_id=_CALL_BACK,
                name=_CALL_BACK,
                arguments={"reason": reason},
                arguments_hash=_CALL_BACK,
                result={"status": "created", "ticket_id": ticket_id},
                effect=None,  # a promise isn't what the caller wanted
                started_at=now,
                finished_at=now,
            )
        )

    async def _tell_unfinished(self, row: CallRow, tenant_id: str) -> None:
        async with self.storage.tenant(tenant_id).write() as rows:
            values = {"phone": row.from_number, "who": await _name(rows, row)}
            await rows.notifications.tell(
                "call_unfinished", subject_id=row.id, values=values, key=f"unfinished:{row.id}"
            )


def booking_link(config: Mapping[str, Any]) -> str:
    """Where the tenant's customers book on their own: its own page (`config.bookingUrl`), for there
    is none of ours. "" without one, or when it isn't a plain https address: the text then names the
    telephone alone."""
    url = config.get("bookingUrl")
    return url if isinstance(url, str) and _PAGE.fullmatch(url) else ""


def _unfinished(outcome: Outcome, history: History) -> bool:
    if outcome is Outcome.FAILED:
        return True
    return outcome is Outcome.ABANDONED and history.caller_turns >= _SPOKE


async def _name(rows: TenantRows, row: CallRow) -> str:
    """Whom the number proposes; "" when it is nobody we know."""
    person = None if row.contact_id is None else await rows.contacts.get(row.contact_id)
    return "" if person is None else person.name

"""A message that the caller has recorded: a ticket, and the recording's address.

Recording a call is off unless the tenant asked for it; this is what the caller chose to leave.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.clock import Clock
from domain.errors import Conflict
from domain.messages import text
from domain.outcome import Outcome
from storage import Storage
from storage.calls import CallRow
from storage.functions import FunctionRun
from storage.rows import TenantRows
from storage.tickets import NewTicket

#: The job that writes the words down.
TRANSCRIBE = "voicemail.transcribe"
#: Twilio may not have the recording at once (twilio.md §4.8: "may 404 briefly").
SOON = timedelta(seconds=5)
#: The category of a message taken, as that of take_message, and of a call to return.
MESSAGE, CALL_BACK = "message", "rappel"
_LONGEST = 120  # characters of a subject

_RECORDING = re.compile(r"/Accounts/(AC[0-9a-f]{32})/Recordings/(RE[0-9a-f]{32})$")


@dataclass(frozen=True, slots=True)
class Voicemail:
    """Stores messages, each once. `base_url` is Twilio's API, `transcribes`: somebody can write
    them down."""

    storage: Storage
    clock: Clock
    base_url: str
    account_sid: str
    transcribes: bool

    def recording_of(self, url: str) -> str | None:
        """The id of a recording of our own account, from its address; None for any other."""
        found = _RECORDING.search(url.removesuffix(".wav").removesuffix(".mp3"))
        if found is None or found[1] != self.account_sid:
            return None
        return found[2]

    def address(self, recording: str) -> str:
        """Where a recording is, whatever a webhook said: at the API that the operator set."""
        base = f"{self.base_url.rstrip('/')}/2010-04-01"
        return f"{base}/Accounts/{self.account_sid}/Recordings/{recording}"

    async def keep(self, row: CallRow, recording: str, seconds: int) -> bool:
        """The message becomes a ticket, once per recording; True the first time. OperatorError."""
        if row.tenant_id is None:
            return False
        url = self.address(recording)
        key = f"voicemail:{recording}"
        try:
            async with self.storage.tenant(row.tenant_id).write() as rows:
                if await rows.functions.find(row.id, key) is not None:
                    return False
                tenant = await rows.tenant()
                subject = text(tenant.locale, "voicemail_subject", seconds=str(seconds))
                where = text(tenant.locale, "voicemail_where", url=url)
                ticket_id = await self._ticket(rows, row, subject, where, MESSAGE)
                said: dict[str, str | int] = {"recording": recording, "seconds": seconds}
                await self._record(rows, row, key, said, ticket_id, Outcome.MESSAGE)
                await rows.recordings.kept(row.id, recording)
                if self.transcribes:
                    payload = {"call_id": row.id, "ticket_id": ticket_id, "recording": recording}
                    at = self.clock.now() + SOON
                    await rows.jobs.put(TRANSCRIBE, payload, key=key, at=at)
        except Conflict:  # the other webhook about the same recording was first
            return False
        await self.storage.turns.keep_recording(row.id, url)
        return True

    async def missed(self, row: CallRow) -> bool:
        """Nothing was left: a call-back, once, if the number is known and nothing was achieved.
        True when there is one. OperatorError."""
        if row.tenant_id is None or not row.from_number:
            return False
        try:
            async with self.storage.tenant(row.tenant_id).write() as rows:
                earlier = await rows.functions.of_call(row.id)
                if any(run.effect for run in earlier):
                    return any(run.effect == Outcome.TICKET for run in earlier)
                tenant = await rows.tenant()
                subject = text(tenant.locale, "call_back_missed")
                ticket_id = await self._ticket(rows, row, subject, "", CALL_BACK)
                await self._record(rows, row, "voicemail:missed", {}, ticket_id, Outcome.TICKET)
        except Conflict:
            pass
        return True

    async def _ticket(
        self, rows: TenantRows, row: CallRow, subject: str, description: str, category: str
    ) -> str:
        tenant = await rows.tenant()
        return await rows.tickets.add(
            NewTicket(
                customer_name=text(tenant.locale, "unknown_caller"),
                customer_phone=row.from_number or None,
                subject=subject[:_LONGEST],
                description=description,
                priority="high",
                category=category,
                call_id=row.id,
                callback_when=text(tenant.locale, "call_back_soon") if row.from_number else None,
            ),
            source="call",
            kind="voicemail" if category == MESSAGE else None,
        )

    async def _record(
        self,
        rows: TenantRows,
        row: CallRow,
        key: str,
        said: Mapping[str, str | int],
        ticket_id: str,
        effect: Outcome,
    ) -> None:
        now = self.clock.now()
        await rows.functions.record(
            FunctionRun(
                occasion=row.id,
                function_call_id=key,
                name="voicemail" if effect is Outcome.MESSAGE else "call_back",
                arguments=said,
                arguments_hash=key,
                result={"status": "created", "ticket_id": ticket_id},
                effect=effect,
                started_at=now,
                finished_at=now,
            )
        )

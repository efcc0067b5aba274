"""Whole lists as files, streamed: `/api/v1/{calls,appointments,contacts,conversations,messages}/
export`. CSV in which nothing is a formula, or JSON; batch by batch, so that neither the database
nor this process holds more than one."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard.api.appointment_shapes import describe as describe_appointment
from dashboard.api.appointment_shapes import names_of
from dashboard.api.auth import tenant_access
from dashboard.api.calls import describe as describe_call
from dashboard.api.contacts import describe as describe_contact
from dashboard.api.csv_export import safe_cell
from dashboard.api.operations import operation
from dashboard.api.periods import Period, days_of
from dashboard.api.problem import NO_STORE
from dashboard.api.query import read_query
from dashboard.api.texts import describe_text
from domain.permissions import May
from storage import Storage, TenantRows
from storage.calls import CallRow
from storage.correspondence import Letter, LetterFilter

#: Rows read at once: some hundred kB with transcripts.
BATCH: Final = 200

Found = list[Mapping[str, Any]]


class ExportQuery(msgspec.Struct, frozen=True):
    """All there is, unless days are named (the tenant's, both included)."""

    format: Literal["csv", "json"] = "csv"
    date_from: str | None = None
    date_to: str | None = None
    period: Period | None = None


class ContactExportQuery(msgspec.Struct, frozen=True):
    """All there are."""

    format: Literal["csv", "json"] = "csv"


Span = tuple[datetime | None, datetime | None]


class Exports:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation(
        "Export calls",
        may=May.EXPORT,
        query=ExportQuery,
        media="text/csv",
        audit_read="calls.exported",
    )
    async def calls(self, request: Request) -> Response:
        """With what was said, the latest first."""
        return await self._file(request, "calls", "appels", CALLS, _call)

    @operation(
        "Export appointments",
        may=May.EXPORT,
        query=ExportQuery,
        media="text/csv",
        audit_read="appointments.exported",
    )
    async def appointments(self, request: Request) -> Response:
        """By when they are, the latest first."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            names = names_of(await rows.agenda.load())
        return await self._file(
            request,
            "appointments",
            "rendez-vous",
            APPOINTMENTS,
            lambda it: describe_appointment(it, "", names),
        )

    @operation(
        "Export texts",
        may=May.EXPORT,
        query=ExportQuery,
        media="text/csv",
        audit_read="messages.exported",
    )
    async def messages(self, request: Request) -> Response:
        """What was sent or is to be, with what became of it, the latest first."""
        return await self._file(request, "messages", "messages", MESSAGES, describe_text)

    @operation(
        "Export conversations",
        may=May.EXPORT,
        query=ExportQuery,
        media="text/csv",
        audit_read="conversations.exported",
    )
    async def conversations(self, request: Request) -> Response:
        """All that was written, both ways, the latest first."""
        query = read_query(request, ExportQuery)
        since, until = await self._span(request, query.period)
        which = LetterFilter(since=since, until=until)

        async def batch(rows: TenantRows, cursor: str | None) -> tuple[Found, str | None]:
            found = await rows.correspondence.list(which, limit=BATCH, cursor=cursor)
            return [_letter(each) for each in found.items], found.cursor

        batches = self._batches(request, batch)
        return _file(query.format, "conversations", "conversations", CONVERSATIONS, batches)

    @operation(
        "Export people",
        may=May.EXPORT,
        query=ContactExportQuery,
        media="text/csv",
        audit_read="contacts.exported",
    )
    async def contacts(self, request: Request) -> Response:
        """Whoever was heard of last first."""
        query = read_query(request, ContactExportQuery)

        async def batch(rows: TenantRows, cursor: str | None) -> tuple[Found, str | None]:
            found, following = await rows.contacts.list(limit=BATCH, cursor=cursor)
            return [dict(describe_contact(each)) for each in found], following

        batches = self._batches(request, batch)
        return _file(query.format, "contacts", "contacts", CONTACTS, batches)

    async def _file(
        self,
        request: Request,
        kind: str,
        name: str,
        headings: Mapping[str, str],
        describe: Any,
    ) -> Response:
        query = read_query(request, ExportQuery)
        since, until = await self._span(request, query.period)

        async def batch(rows: TenantRows, cursor: str | None) -> tuple[Found, str | None]:
            found = await rows.exports.batch(
                kind, since=since, until=until, cursor=cursor, size=BATCH
            )
            return [describe(each) for each in found.items], found.cursor

        return _file(query.format, name, kind, headings, self._batches(request, batch))

    async def _span(self, request: Request, period: str | None) -> Span:
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            today = await rows.statistics.today()
        first, last = days_of(request, period, today, tenant.timezone)
        zone = ZoneInfo(tenant.timezone)
        return (
            _midnight(first, zone) if first else None,
            _midnight(last + timedelta(days=1), zone) if last else None,
        )

    async def _batches(self, request: Request, batch: Any) -> AsyncIterator[Found]:
        """A transaction per batch: whoever reads slowly holds none."""
        tenant, cursor = tenant_access(request).tenant, None
        while True:
            async with self._storage.tenant(tenant.id).read() as rows:
                found, cursor = await batch(rows, cursor)
            yield found
            if cursor is None:
                return


def _file(
    form: str,
    name: str,
    noun: str,
    headings: Mapping[str, str],
    batches: AsyncIterator[Found],
) -> Response:
    lines = _json(noun, batches) if form == "json" else _csv(headings, batches)
    return StreamingResponse(
        lines,
        media_type="application/json" if form == "json" else "text/csv",
        headers={**NO_STORE, "content-disposition": f'attachment; filename="{name}.{form}"'},
    )


async def _csv(headings: Mapping[str, str], batches: AsyncIterator[Found]) -> AsyncIterator[bytes]:
    """As `csv_export.csv_file`: semicolons and a byte order mark."""
    yield _lines([list(headings.values())]).encode("utf-8-sig")
    async for found in batches:
        cells = [[safe_cell(_flat(row.get(key))) for key in headings] for row in found]
        yield _lines(cells).encode()


def _lines(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


async def _json(noun: str, batches: AsyncIterator[Found]) -> AsyncIterator[bytes]:
    """One document; a stream that breaks off leaves one that isn't JSON."""
    yield b'{"success":true,"' + noun.encode() + b'":['
    first = True
    async for found in batches:
        rows = b",".join(msgspec.json.encode(row) for row in found)
        if rows:
            yield rows if first else b"," + rows
            first = False
    yield b"]}"


def _flat(value: Any) -> Any:
    """What stands in one cell."""
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return value


def _call(call: CallRow) -> Mapping[str, Any]:
    shown = describe_call(call, None)
    for without in ("prospect_id", "prospect_name", "retell_call_id"):
        del shown[without]
    return {
        **shown,
        "contact_id": call.contact_id,
        "transcript": call.transcript,
        "cost_cents": call.cost_cents,
        "vapi_cost_cents": call.vapi_cost_cents,
    }


def _letter(it: Letter) -> Mapping[str, Any]:
    return {
        "id": it.id,
        "at": it.at.isoformat(),
        "direction": "sent" if it.outgoing else "received",
        "channel": it.channel,
        "address": it.address,
        "name": it.name,
        "author": it.author,
        "status": it.status,
        "subject": it.subject,
        "content": it.content,
        "template": it.template,
        "contact_id": it.contact_id,
        "conversation_id": it.conversation_id,
        "appointment_id": it.appointment_id,
    }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


CALLS: Final = {
    "started_at": "Date",
    "from_number": "Appelant",
    "to_number": "Numéro appelé",
    "forwarded_from": "Ligne renvoyée",
    "direction": "Sens",
    "status": "État",
    "outcome": "Résultat",
    "duration": "Durée (s)",
    "answered_at": "Décroché",
    "ended_at": "Fin",
    "agent": "Agent",
    "appointment_booked": "Rendez-vous pris",
    "sentiment": "Ressenti",
    "summary": "Résumé",
    "transcript": "Transcription",
    "cost_cents": "Coût (centimes)",
    "vapi_cost_cents": "Coût Vapi (cents US)",
    "id": "Identifiant",
}
APPOINTMENTS: Final = {
    "start": "Début",
    "duration_minutes": "Durée (min)",
    "status": "Statut",
    "prospect_name": "Client",
    "prospect_phone": "Téléphone",
    "prospect_email": "E-mail",
    "service": "Prestation",
    "agent_name": "Avec",
    "notes": "Notes",
    "reminder_sent": "Rappel envoyé",
    "cancel_reason": "Motif d’annulation",
    "code": "Code",
    "created_by": "Pris par",
    "created_at": "Pris le",
    "id": "Identifiant",
}
MESSAGES: Final = {
    "createdAt": "Date",
    "channel": "Canal",
    "to": "Destinataire",
    "status": "État",
    "purpose": "But",
    "template": "Modèle",
    "subject": "Objet",
    "content": "Contenu",
    "error": "Raison",
    "segments": "Segments",
    "sentAt": "Envoyé",
    "deliveredAt": "Remis",
    "readAt": "Lu",
    "id": "Identifiant",
}
CONVERSATIONS: Final = {
    "at": "Date",
    "direction": "Sens",
    "channel": "Canal",
    "address": "Adresse",
    "name": "Nom",
    "author": "Auteur",
    "status": "État",
    "subject": "Objet",
    "content": "Contenu",
    "template": "Modèle",
    "conversation_id": "Conversation",
    "id": "Identifiant",
}
CONTACTS: Final = {
    "name": "Nom",
    "phone": "Téléphone",
    "email": "E-mail",
    "whatsapp": "WhatsApp",
    "language": "Langue",
    "preferred_channel": "Canal préféré",
    "notes": "Notes",
    "source": "Origine",
    "names": "Noms donnés",
    "last_seen_at": "Dernier contact",
    "created_at": "Créé le",
    "id": "Identifiant",
}

"""Forgetting somebody (GDPR art. 17): their words, names and addresses go, everywhere; what stays
is that there was a call, a text or an appointment, without them, and that they refused texts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Conflict
from storage.appointments import Appointments
from storage.consents import Consents
from storage.contact_claims import Key
from storage.jobs import jobs_on
from storage.persons.finding import BELONGS, Person, find, nothing, unrouted, whose
from storage.schema import (
    call_logs,
    channel_messages_log,
    consent_ledger,
    contacts,
    erasures,
    inbound_texts,
    metadata,
    recordings,
    rendez_vous,
    rendez_vous_history,
    sender_blocks,
)
from storage.scope import Scope, new_id
from storage.text_moves import LONGEST_CLAIM

#: The job that has vendors delete what they keep, and the database its write-ahead log.
ERASE: Final = "person.erase"
RECORDING, VAPI_CALL = "twilio_recording", "vapi_call"
_RECORDING: Final = re.compile(r"/Recordings/(RE[0-9a-fA-F]{32})")

#: Rows that stay for the figures, and what is taken out of them. All other tables' rows go.
BLANKED: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        call_logs.name: {
            "from_number": "",
            "from_raw": "",
            "forwarded_from_raw": None,
            "transcript": None,
            "summary": None,
            "sentiment": None,
            "recording_url": None,
            "actions_performed": [],
            "opening": {},
            "detail": "",
            "contact_id": None,
            "vapi_call_id": None,
            "usage": None,
        },
        channel_messages_log.name: {
            "to_address": "",
            "subject": None,
            "content": None,
            "template_variables": {},
            "extras": {},
            "external_message_id": None,
            "error_message": None,
            "message_id": None,
            "in_reply_to": None,
            "contact_id": None,
            "conversation_id": None,
            "dedupe_key": None,
            "created_by": None,
            "claimed_by": None,
            "lane": None,
        },
        rendez_vous.name: {
            "customer_name": "",
            "customer_phone": None,
            "customer_email": None,
            "rdv_location": None,
            "notes": None,
            "internal_notes": None,
            "contact_id": None,
            "prospect_id": None,
            "call_id": None,
            "holder": None,
            "code": None,
            "link_token": None,
            "cancel_reason": None,
        },
        rendez_vous_history.name: {"reason": None},
    }
)

#: Tables of theirs that are left as they are, and why.
UNTOUCHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "audit_log": "who did what: ids of rows, and no contents",
        "rendez_vous_cells": "which times are taken",
    }
)

#: What of the remaining rows is not theirs, and why.
STAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "call_logs": "that there was a call, when, how long and what it came to: for the figures",
        "channel_messages_log": "that a text was sent, when and by which channel: for the figures",
        "rendez_vous": "that there was an appointment, when and for what: for the figures",
        "consent_ledger": "that an address refused texts, as a keyed hash, so that it holds",
        "audit_log": "who did what with which rows, without what stood in them",
    }
)


@dataclass(slots=True)
class Erased:
    """`rows` by table: deleted, or emptied. `kept`: why something stays, by table. `elsewhere`:
    calls of other people in which something was done for them. `erasure_id` None: there was
    nothing. `pending`: what vendors are still to delete."""

    rows: dict[str, int] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    elsewhere: int = 0
    pending: int = 0
    erasure_id: str | None = None


async def erase(scope: Scope, keys: list[Key], *, cancel_appointments: bool) -> Erased:
    """All of it in this transaction, and a job for the vendors. Idempotent.

    Conflict while they are on the telephone, while a text is on its way to them, and when they have
    appointments to come and `cancel_appointments` is False. NoKey when they refused texts and there
    is no key to remember it by.
    """
    person = await find(scope, keys)
    await _refuse_what_is_under_way(scope, person)
    erased = Erased(elsewhere=len(person.elsewhere))
    erased.cancelled = await _cancel(scope, person, cancel=cancel_appointments)
    pending = await _at_vendors(scope, person)
    await _forget_consents(scope, person, erased)
    for name in reversed(tuple(BELONGS)):
        if name in UNTOUCHED or name in (consent_ledger.name, sender_blocks.name):
            continue
        await _forget(scope, person, name, erased)
    await _forget_unrouted(scope, person, erased)
    # No tenant's: the carrier says it again when somebody tries.
    blocks = sa.delete(sender_blocks).where(whose(scope, person, sender_blocks))
    await _count(scope, blocks, sender_blocks.name, erased)
    await _kept(scope, person, erased)
    erased.pending = len(pending)
    if erased.rows:
        erased.erasure_id = await _note(scope, erased, pending)
    return erased


async def _refuse_what_is_under_way(scope: Scope, person: Person) -> None:
    calls = scope.select(call_logs, call_logs.c.id).where(
        call_logs.c.id.in_(person.of(call_logs)), call_logs.c.outcome.is_(None)
    )
    if await scope.first(calls) is not None:
        raise Conflict(
            "they are on the telephone: try again after the call", message_key="person_on_the_line"
        )
    it = channel_messages_log.c
    texts = scope.select(channel_messages_log, it.id).where(
        it.id.in_(person.of(channel_messages_log)),
        it.status == "sending",
        it.claimed_at > scope.now() - LONGEST_CLAIM,
    )
    if await scope.first(texts) is not None:
        raise Conflict(
            "a text to them is on its way: try again in five minutes",
            message_key="person_in_flight",
        )


async def _cancel(scope: Scope, person: Person, *, cancel: bool) -> list[str]:
    it = rendez_vous.c
    statement = scope.select(rendez_vous, it.id, it.status).where(
        it.id.in_(person.of(rendez_vous)),
        it.status.in_(("confirmed", "held")),
        it.ends_at > scope.now(),
    )
    coming = await scope.all(statement)
    confirmed = [row["id"] for row in coming if row["status"] == "confirmed"]
    if confirmed and not cancel:
        raise Conflict(
            f"{len(confirmed)} appointments are to come: cancel them, or give cancel_appointments",
            field="cancel_appointments",
            message_key="person_has_appointments",
        )
    appointments = Appointments(scope)
    for appointment_id in confirmed:
        await appointments.cancel(appointment_id)
    # The announcements have their name in them.
    scope.published[:] = [
        replace(each, data={"status": "cancelled"}) if each.subject in confirmed else each
        for each in scope.published
    ]
    held = [row["id"] for row in coming if row["status"] == "held"]
    if held:
        released = scope.update(rendez_vous).where(it.id.in_(held))
        await scope.connection.execute(released.values(status="cancelled", hold_until=None))
        cells = metadata.tables["rendez_vous_cells"]
        await scope.connection.execute(scope.delete(cells).where(cells.c.rendez_vous_id.in_(held)))
    return confirmed


async def _at_vendors(scope: Scope, person: Person) -> list[list[str]]:
    """What vendors keep of their calls, by our ids of it."""
    calls = person.of(call_logs)
    columns = (call_logs.c.recording_url, call_logs.c.vapi_call_id)
    found: list[list[str]] = []
    for row in await scope.all(scope.select(call_logs, *columns).where(call_logs.c.id.in_(calls))):
        recording = _RECORDING.search(row["recording_url"] or "")
        if recording is not None:
            found.append([RECORDING, recording[1]])
        if row["vapi_call_id"]:
            found.append([VAPI_CALL, row["vapi_call_id"]])
    made = scope.select(recordings, recordings.c.recording_sid).where(
        recordings.c.call_id.in_(calls), recordings.c.recording_sid.is_not(None)
    )
    found += [[RECORDING, row["recording_sid"]] for row in await scope.all(made)]
    return [list(each) for each in dict.fromkeys(map(tuple, found))]


async def _forget_consents(scope: Scope, person: Person, erased: Erased) -> None:
    """Of each address and purpose the last refusal stays, as a hash; what was granted goes."""
    it = consent_ledger.c
    theirs = BELONGS[consent_ledger.name](person)
    rows = await scope.all(
        scope.select(consent_ledger, it.seq, it.channel_type, it.address, it.purpose, it.decision)
        .where(theirs)
        .order_by(it.seq)
    )
    last: dict[tuple[str, str | None, str], sa.RowMapping] = {}
    for row in rows:
        last[row["channel_type"], row["address"], row["purpose"]] = row
    refused = {row["seq"] for row in last.values() if row["decision"] == "withdrawn"}
    gone = [row["seq"] for row in rows if row["seq"] not in refused]
    await _count(
        scope, scope.delete(consent_ledger).where(it.seq.in_(gone)), consent_ledger.name, erased
    )
    consents = Consents(scope)
    for channel, address in {
        (key[0], key[1]) for key, row in last.items() if row["seq"] in refused
    }:
        if address is not None:
            forgotten = await consents.erase(channel, address)
            erased.rows[consent_ledger.name] = erased.rows.get(consent_ledger.name, 0) + forgotten
    unlinked = scope.update(consent_ledger).where(it.contact_id.in_(person.of(contacts)))
    await scope.connection.execute(unlinked.values(contact_id=None))


async def _forget(scope: Scope, person: Person, name: str, erased: Erased) -> None:
    table = metadata.tables[name]
    theirs = whose(scope, person, table)
    if nothing(theirs):
        return
    if name not in BLANKED:
        await _count(scope, sa.delete(table).where(theirs), name, erased)
        return
    blank = dict(BLANKED[name])
    filled = [
        table.c[column].is_not(None) if value is None else table.c[column] != value
        for column, value in blank.items()
    ]
    if table is channel_messages_log:
        blank["status"] = sa.case(
            (table.c.status.in_(("pending", "queued")), "cancelled"), else_=table.c.status
        )
    statement = sa.update(table).where(theirs, sa.or_(*filled))
    await _count(scope, statement.values(**blank), name, erased)


async def _forget_unrouted(scope: Scope, person: Person, erased: Erased) -> None:
    """A text that may be meant for others as well is theirs to keep: only not ours any more."""
    it = inbound_texts.c
    for row in await unrouted(scope, person):
        others = [each for each in row["candidates"] if each != scope.tenant_id]
        statement: sa.Update | sa.Delete = sa.delete(inbound_texts).where(it.id == row["id"])
        if others:
            statement = sa.update(inbound_texts).where(it.id == row["id"]).values(candidates=others)
        await _count(scope, statement, inbound_texts.name, erased)


async def _kept(scope: Scope, person: Person, erased: Erased) -> None:
    """What is there afterwards, with its reason."""
    for name, why in STAYS.items():
        if name == consent_ledger.name:
            stays = erased.rows.get(name, 0) > 0
        else:
            stays = bool(person.of(metadata.tables[name])) or name == "audit_log"
        if stays:
            erased.kept[name] = why


async def _count(scope: Scope, statement: sa.Update | sa.Delete, name: str, erased: Erased) -> None:
    changed = (await scope.connection.execute(statement)).rowcount
    if changed > 0:
        erased.rows[name] = erased.rows.get(name, 0) + changed


async def _note(scope: Scope, erased: Erased, pending: list[list[str]]) -> str:
    erasure_id = new_id()
    await scope.insert(
        erasures,
        id=erasure_id,
        erased=dict(erased.rows),
        pending=pending,
        created_at=scope.now(),
    )
    jobs = jobs_on(scope.connection, scope.clock, scope.tenant_id)
    await jobs.put(ERASE, {"erasure_id": erasure_id}, key=f"erasure:{erasure_id}")
    scope.publish("person.erased", erasure_id, {"pending": len(pending)})
    return erasure_id

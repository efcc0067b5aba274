"""Whose appointment may be spoken of: a number proposes who calls, and a second fact proves it.

The second fact is the name and the day of the appointment, or the code of its confirmation. Who
has neither learns nothing, not even whether there is an appointment: one answer for a wrong name,
a wrong day, a wrong code, somebody else's telephone, and nothing booked at all. Each call has few
tries, counted by what is stored of it, so that a model can't be talked into more.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from storage import Appointment, TenantRows
from storage.functions import StoredResult, TextTurn
from voice.functions.contact import same_person
from voice.functions.context import CallContext
from voice.functions.facts import Facts
from voice.functions.function import Answer
from voice.functions.sentences import say

#: Wrong answers that a call (or a day of a conversation) may give. Three are what people need to
#: remember a day; at 19^6 codes they guess one of a tenant's thousand in 16,000 calls.
TRIES: Final = 3
#: And all calls from one number within a day together: who has a number (it can be forged) and a
#: name would otherwise try one day after the other, three in each call.
TRIES_OF_NUMBER: Final = 9
#: The functions whose wrong answers count.
GUARDED: Final = frozenset({"find_appointment", "reschedule_appointment", "cancel_appointment"})
NOT_VERIFIED: Final = "not_verified"

_WINDOW: Final = timedelta(days=1)


async def verified(facts: Facts, context: CallContext, rows: TenantRows) -> Sequence[Appointment]:
    """The appointments to come that this caller has proved to be theirs, by start; none when they
    haven't, or have no tries left. `facts` were prepared; with an `appointment_id` only that one,
    if it was proved before.

    Takes the tenant's lock, so that tries made at once are counted one after the other.
    """
    name, day, code, appointment_id = facts.name, facts.day, facts.code, facts.appointment_id
    await rows.appointments.lock()
    said = await _said(context, rows)
    known = await _known(context, rows, said)
    if appointment_id is not None and appointment_id in known:
        found = await rows.appointments.get(appointment_id)
        return [found] if found is not None and _ahead(found, context) else []
    if name is None and day is None:
        known = set(context.known_appointments) if appointment_id is None else set()
    theirs = await _fitting(known, context, rows, name, day) if code is None else []
    if theirs or not (code or (name and day)):
        return theirs
    if _wrong(said) >= TRIES or await _wrong_of_number(context, rows) >= TRIES_OF_NUMBER:
        return []
    if code is not None:
        found = await rows.appointments.by_code(code)
        return [found] if found is not None and _ahead(found, context) else []
    assert name is not None
    assert day is not None
    return [each for each in await _proposed(context, rows) if _matches(each, name, day)]


def not_verified(context: CallContext) -> Answer:
    """The one answer to whatever wasn't proved."""
    return Answer(
        {
            "status": NOT_VERIFIED,
            "spoken": say(context.locale, "not_verified"),
            "note": say(context.locale, "note_not_verified"),
        }
    )


def _matches(appointment: Appointment, name: str, day: date) -> bool:
    local = appointment.start_utc.astimezone(ZoneInfo(appointment.timezone))
    return local.date() == day and same_person(appointment.customer_name, name)


def _ahead(appointment: Appointment, context: CallContext) -> bool:
    return appointment.status == "confirmed" and appointment.start_utc > context.clock.now()


async def _proposed(context: CallContext, rows: TenantRows) -> Sequence[Appointment]:
    """Whose the number, or the address that they write from, says they may be."""
    if context.caller_number is None and context.contact_id is None:
        return []
    return await rows.appointments.ahead_of_caller(context.caller_number, context.contact_id)


def _wrong(said: Sequence[StoredResult]) -> int:
    return sum(each.result.get("status") == NOT_VERIFIED for each in said)


async def _wrong_of_number(context: CallContext, rows: TenantRows) -> int:
    """Wrong answers of a day's calls from this number; 0 for one that is withheld."""
    if context.caller_number is None or context.text_turn is not None:
        return 0
    since = context.clock.now() - _WINDOW
    return _wrong(await rows.functions.of_number(context.caller_number, GUARDED, since))


async def _said(context: CallContext, rows: TenantRows) -> Sequence[StoredResult]:
    """What was asked of the guarded functions so far."""
    occasion = context.occasion
    if isinstance(occasion, TextTurn):
        since = context.clock.now() - _WINDOW
        stored = [
            each
            for each in await rows.functions.of_conversation(occasion.conversation_id)
            if each.started_at is not None and each.started_at >= since
        ]
    else:
        stored = await rows.functions.of_call(occasion)
    return [each for each in stored if each.name in GUARDED]


async def _known(context: CallContext, rows: TenantRows, said: Sequence[StoredResult]) -> set[str]:
    """Ids of what was proved before, what this very call has booked, and what our own texts to
    them were about."""
    known = set(context.known_appointments)
    if context.call_id is not None:
        known |= {each.id for each in await rows.appointments.of_call(context.call_id)}
    for each in said:
        listed: Any = each.result.get("appointments") or []
        known |= {it["appointment_id"] for it in listed if isinstance(it, dict)}
        if each.effect is not None:
            known.add(str(each.result.get("appointment_id")))
    return known


async def known_appointments(context: CallContext, rows: TenantRows) -> Sequence[Appointment]:
    """Those to come that need no proof any more, by start."""
    known = await _known(context, rows, await _said(context, rows))
    return await _fitting(known, context, rows, None, None)


async def _fitting(
    known: set[str],
    context: CallContext,
    rows: TenantRows,
    name: str | None,
    day: date | None,
) -> Sequence[Appointment]:
    """Of those known, the ones that fit what was said."""
    found = [await rows.appointments.get(each) for each in sorted(known)]
    fitting = [
        each
        for each in found
        if each is not None
        and _ahead(each, context)
        and (name is None or same_person(each.customer_name, name))
        and (day is None or _matches(each, each.customer_name, day))
    ]
    return sorted(fitting, key=lambda each: each.start_utc)

"""book_appointment: a moment becomes the caller's, or it is said that it doesn't."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from domain.messages import language_of, text
from domain.outcome import Outcome
from domain.spoken import parse_instant
from storage import Appointment, Change, TenantRows, Unavailable, Wish
from storage.appointments import shown_code
from voice.functions.arguments import Name, Phrase, Text, schema
from voice.functions.caller import contact_of
from voice.functions.contact import person, reachable_at, same_person
from voice.functions.context import CallContext
from voice.functions.diary import Diary, holder_of
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.refusals import door_of, not_had, when
from voice.functions.sentences import say
from voice.functions.spoken_email import read_email
from voice.ports import FunctionSpec

NAME = "book_appointment"
WRITES = True
EMPTY: Mapping[str, Any] = {"alternatives": []}

_DESCRIPTION = {
    "fr": (
        "Réserve un rendez-vous. À appeler une fois le créneau et le nom confirmés par l'appelant. "
        "Ne dire que c'est réservé que si status vaut booked ; sinon rien n'est réservé : dire "
        "spoken et proposer alternatives. Si l'appelant corrige ensuite son nom ou ses "
        "coordonnées, rappeler la fonction avec le même start. Ne dire code que si on le demande."
    ),
    "en": (
        "Books an appointment. Call it once the caller has confirmed the slot and the name. Say "
        "that it is booked only when status is booked; otherwise nothing is booked: say spoken "
        "and offer alternatives. If the caller then corrects their name or contact details, call "
        "it again with the same start. Say code only when asked for it."
    ),
}
_PARAMETERS = {
    "fr": {
        "start": "Le début, repris tel quel du champ start d'un créneau : 2026-11-24T14:00+01:00.",
        "name": "Le nom de la personne, tel qu'elle l'a donné.",
        "phone": (
            "Le numéro, si l'appelant en donne un autre que celui dont il appelle, ou si le sien "
            "est masqué. À omettre sinon."
        ),
        "email": "L'adresse e-mail, si l'appelant la donne. Ne jamais en inventer.",
        "service": "Le motif du rendez-vous.",
        "resource": "La personne ou la salle demandée, seulement si l'appelant en nomme une.",
        "notes": "Ce qu'il est utile de savoir : véhicule, symptômes, demandes particulières.",
    },
    "en": {
        "start": "The beginning, taken as it is from the start of a slot: 2026-11-24T14:00+01:00.",
        "name": "The person's name, as given.",
        "phone": (
            "The number, if the caller gives another one than they call from, or if theirs is "
            "withheld. Otherwise leave out."
        ),
        "email": "The e-mail address, if the caller gives it. Never make one up.",
        "service": "What the appointment is for.",
        "resource": "Whom or which room they want, only if the caller names one.",
        "notes": "What is useful to know: vehicle, symptoms, special requests.",
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """`start` is ISO 8601; once prepared, with the offset of the tenant's zone."""

    start: Annotated[str, msgspec.Meta(max_length=60)]
    name: Name
    phone: Phrase | None = None
    email: Phrase | None = None
    service: Phrase | None = None
    resource: Name | None = None
    notes: Text | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """The instant on the tenant's clock, the number in E.164, the address if it can be read."""
    start = parse_instant(arguments.start, context.tenant.timezone)
    if start is None:
        raise Refused(
            "start can't be read; call check_availability and send a slot's start as it is",
            sentence="start_unreadable",
        )
    if person(arguments.name) is None:
        raise Refused("name must be the person's own name; ask for it", sentence="name_missing")
    given = arguments.email or context.email
    email = given and (read_email(given) or given)
    phone = reachable_at(arguments.phone, context)
    # Who writes by WhatsApp may have no number: they are answered there.
    writes = context.text_turn is not None and context.contact_id is not None
    if phone is None and not writes and not (email and read_email(email)):
        raise Refused(
            "the caller's number is withheld; ask for a phone number", sentence="contact_missing"
        )
    return msgspec.structs.replace(arguments, start=start.isoformat(), phone=phone, email=email)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be booked."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "booked", appointment_id, code, spoken} or {status, spoken, alternatives}."""
    start = datetime.fromisoformat(arguments.start).astimezone(ZoneInfo(context.tenant.timezone))
    contact_id = await _contact(arguments, context, rows)
    # This very call may be booking elsewhere: for an agent that was lost, and now for the next.
    await rows.appointments.lock()
    mine = await _of_this_call(context, rows)
    own = next((each for each in mine if each.start_utc == start), None)
    if own is not None and same_person(own.customer_name, arguments.name):
        return await _booked_already(own, arguments, contact_id, context, rows)
    diary = await Diary.open(rows, context, arguments.service, arguments.resource)
    try:
        appointment = await rows.bookings.book(_wish(arguments, start, diary, contact_id))
    except Unavailable as refused:
        if own is not None:
            return await _booked_already(own, arguments, contact_id, context, rows)
        answer = not_had("not_booked", refused, diary.agenda, context)
        over = start + timedelta(minutes=diary.service.minutes)
        in_the_way = next((it for it in mine if it.start_utc < over and start < it.end_utc), None)
        if refused.why != "taken" or in_the_way is None:
            return answer
        note = say(context.locale, "note_own", when=when(in_the_way.start_utc, context))
        return Answer({**answer.result, "note": note})
    return _booked(appointment, arguments, start, context)


def _wish(arguments: Arguments, start: datetime, diary: Diary, contact_id: str | None) -> Wish:
    context = diary.context
    return Wish(
        start,
        name=arguments.name,
        phone=arguments.phone,
        email=read_email(arguments.email) if arguments.email else None,
        notes=_notes(arguments, context),
        service_id=diary.service.id or None,
        service=arguments.service,
        resource=diary.resource,
        call_id=context.call_id,
        contact_id=contact_id,
        by=door_of(context),
        holder=holder_of(context),
    )


def _notes(arguments: Arguments, context: CallContext) -> str | None:
    notes = arguments.notes
    if not arguments.email or read_email(arguments.email):
        return notes
    # The owner may understand what we couldn't.
    heard = say(context.locale, "email_as_heard", email=arguments.email)
    return f"{notes}\n{heard}" if notes else heard


async def _contact(arguments: Arguments, context: CallContext, rows: TenantRows) -> str | None:
    email = read_email(arguments.email) if arguments.email else None
    return await contact_of(rows, context, arguments.name, arguments.phone, email)


def _booked(
    appointment: Appointment, arguments: Arguments, start: datetime, context: CallContext
) -> Answer:
    spoken = text(context.locale, "booked", when=when(start, context))
    result: dict[str, Any] = {
        "status": "booked",
        "appointment_id": appointment.id,
        "code": shown_code(appointment.code or ""),
        "spoken": spoken,
    }
    if arguments.email and appointment.customer_email is None:
        result["email_unreadable"] = True
        result["spoken"] = f"{spoken} {say(context.locale, 'email_unreadable')}"
    return Answer(result, effect=Outcome.BOOKED)


async def _booked_already(
    own: Appointment,
    arguments: Arguments,
    contact_id: str | None,
    context: CallContext,
    rows: TenantRows,
) -> Answer:
    """The same moment asked for again in the same call, in other words: what differs are details
    that were misheard or forgotten, and they are stored.

    Without an effect: that was the first request's, and is stored with it.
    """
    email = read_email(arguments.email) if arguments.email else None
    corrected = await rows.appointments.correct(
        own.id,
        customer_name=arguments.name,
        customer_phone=arguments.phone,
        customer_email=email,
        notes=_notes(arguments, context) or own.notes,
        contact_id=contact_id,
        change=Change(door_of(context), context.call_id),
    )
    spoken = say(context.locale, "booked_already", when=when(own.start_utc, context))
    note = "details_unchanged" if corrected == own else "details_corrected"
    return Answer(
        {
            "status": "booked",
            "appointment_id": own.id,
            "spoken": spoken,
            "note": say(context.locale, note),
        }
    )


async def _of_this_call(context: CallContext, rows: TenantRows) -> list[Appointment]:
    """What this very call has booked, by start."""
    if context.call_id is None:
        return []
    booked = await rows.appointments.of_call(context.call_id)
    return [each for each in booked if each.status == "confirmed"]

"""book_appointment: a moment becomes the caller's, or it is said that it doesn't."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from domain.agenda import DEFAULT_MINUTES
from domain.availability import verdict
from domain.errors import Conflict
from domain.messages import language_of, one_of, text
from domain.outcome import Outcome
from domain.spoken import parse_instant, spoken_instant
from storage import MAX_PAGE, Appointment, NewAppointment, TenantRows
from voice.functions import diary
from voice.functions.arguments import Name, Phrase, Text, schema
from voice.functions.contact import person, reachable_at
from voice.functions.context import CallContext
from voice.functions.function import Answer, Refused, unavailable
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
        "spoken et proposer alternatives."
    ),
    "en": (
        "Books an appointment. Call it once the caller has confirmed the slot and the name. Say "
        "that it is booked only when status is booked; otherwise nothing is booked: say spoken "
        "and offer alternatives."
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
    email = arguments.email and (read_email(arguments.email) or arguments.email)
    phone = reachable_at(arguments.phone, context)
    if phone is None and not (email and read_email(email)):
        raise Refused(
            "the caller's number is withheld; ask for a phone number", sentence="contact_missing"
        )
    return msgspec.structs.replace(arguments, start=start.isoformat(), phone=phone, email=email)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be booked."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "booked", appointment_id, spoken} or {status, spoken, alternatives}."""
    start = datetime.fromisoformat(arguments.start).astimezone(ZoneInfo(context.tenant.timezone))
    if start.date() > diary.horizon(context):
        return await _not_booked("closed", start, context, rows, say(context.locale, "too_far"))
    agenda = await diary.load(rows, context)
    judgement = verdict(agenda, agenda.plain(), start, context.clock.now())
    if judgement != "ok":
        return await _not_booked(judgement, start, context, rows)
    try:
        appointment = await rows.appointments.book(_request(arguments, start, context))
    except Conflict:
        own = await _own(start, context, rows)
        if own is not None:
            return _booked_already(own, start, context)
        return await _not_booked("taken", start, context, rows)
    return _booked(appointment, arguments, start, context)


def _request(arguments: Arguments, start: datetime, context: CallContext) -> NewAppointment:
    email = read_email(arguments.email) if arguments.email else None
    notes = arguments.notes
    if arguments.email and email is None:  # the owner may understand what we couldn't
        heard = say(context.locale, "email_as_heard", email=arguments.email)
        notes = f"{notes}\n{heard}" if notes else heard
    return NewAppointment(
        start=start,
        minutes=DEFAULT_MINUTES,
        customer_name=arguments.name,
        customer_phone=arguments.phone,
        customer_email=email,
        service=arguments.service,
        notes=notes,
        call_id=context.call_id,
    )


def _booked(
    appointment: Appointment, arguments: Arguments, start: datetime, context: CallContext
) -> Answer:
    spoken = text(context.locale, "booked", when=_when(start, context))
    result: dict[str, Any] = {
        "status": "booked",
        "appointment_id": appointment.id,
        "spoken": spoken,
    }
    if arguments.email and appointment.customer_email is None:
        result["email_unreadable"] = True
        result["spoken"] = f"{spoken} {say(context.locale, 'email_unreadable')}"
    return Answer(result, effect=Outcome.BOOKED)


def _booked_already(own: Appointment, start: datetime, context: CallContext) -> Answer:
    """The same moment asked for again in the same call, in other words: nothing new is written.

    Without an effect: that was the first request's, and is stored with it.
    """
    spoken = say(context.locale, "booked_already", when=_when(start, context))
    unchanged = say(context.locale, "details_unchanged")
    return Answer(
        {"status": "booked", "appointment_id": own.id, "spoken": spoken, "note": unchanged}
    )


async def _own(start: datetime, context: CallContext, rows: TenantRows) -> Appointment | None:
    """The appointment at this very moment that this very call has made."""
    day = start.date()
    found = await rows.appointments.list(
        status="confirmed", date_from=day, date_to=day, limit=MAX_PAGE
    )
    return next(
        (a for a in found.items if a.call_id == context.call_id and a.start_utc == start), None
    )


async def _not_booked(
    status: str, start: datetime, context: CallContext, rows: TenantRows, why: str = ""
) -> Answer:
    """What can't be mistaken for a booking: no id, and a sentence that says so."""
    offered = await diary.alternatives(rows, context, start)
    return Answer(
        {
            "status": status,
            "spoken": " ".join(
                (
                    say(context.locale, "not_booked"),
                    why or _why(status, [slot["spoken"] for slot in offered], context),
                )
            ),
            "alternatives": offered,
        }
    )


def _why(status: str, offered: list[str], context: CallContext) -> str:
    if not offered:
        return text(context.locale, f"slot_{status}_no_other")
    return text(context.locale, f"slot_{status}", alternatives=one_of(context.locale, offered))


def _when(start: datetime, context: CallContext) -> str:
    spoken = spoken_instant(start, context.today(), context.locale)
    return spoken.removesuffix(".")  # "two p.m." at the end of a sentence

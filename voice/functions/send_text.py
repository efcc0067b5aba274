"""send_text: the caller gets in writing what is hard to note: their appointment's link, an address,
an exact name.

It goes to the number that is calling and to no other, as a row of the outbox in the transaction of
this function; whether it arrives is known later.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec

from domain.messages import language_of
from domain.phone import is_mobile
from storage import Appointment, NewText, TenantRows
from voice.functions.arguments import clean_text, schema
from voice.functions.context import CallContext
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.refusals import when
from voice.functions.sentences import say
from voice.functions.verification import known_appointments
from voice.ports import FunctionSpec

NAME = "send_text"
WRITES = True
EMPTY: Mapping[str, Any] = {}

QUEUED: Final = {"status": "queued"}
#: An SMS that couldn't leave within a day is of no use any more.
USEFUL_FOR: Final = timedelta(hours=24)
#: Texts of one call: an address, a link, and one more.
MOST: Final = 3
#: Characters: with the business's name before them, two segments.
LONGEST: Final = 240
#: What looks like a link: a model can be talked into anything, so links are ours alone.
_LINK: Final = re.compile(
    r"https?:|www\.|[a-z0-9-]\.[a-z]{2,}/|[a-z0-9-]\.(?:com|fr|net|org)\b", re.I
)

_DESCRIPTION = {
    "fr": (
        "Envoie un SMS au numéro qui appelle : le lien de son rendez-vous (what = appointment), ou "
        "une information courte qu'il veut avoir par écrit (what = information). Seulement s'il "
        "le veut. status queued : le SMS part. Sinon, dire spoken."
    ),
    "en": (
        "Sends an SMS to the number that is calling: the link of their appointment (what = "
        "appointment), or a short piece of information that they want in writing (what = "
        "information). Only if they want it. status queued: the SMS is leaving. Otherwise say "
        "spoken."
    ),
}
_PARAMETERS = {
    "fr": {
        "what": "appointment : le lien de son rendez-vous. information : message.",
        "message": "Les mots exacts, avec des faits sûrs et sans lien. À omettre pour appointment.",
    },
    "en": {
        "what": "appointment: the link of their appointment. information: message.",
        "message": "The exact words, with sure facts and no link. Leave out for appointment.",
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """`message` goes with what = information."""

    what: Literal["appointment", "information"]
    message: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """Refused when there is nothing to send, or too much, or a link."""
    if arguments.what == "appointment":
        return msgspec.structs.replace(arguments, message=None)
    words = " ".join(clean_text(arguments.message or "").split())
    if not words:
        raise Refused("say in `message` what the SMS is to say")
    if len(words) > LONGEST:
        raise Refused(f"`message` may have {LONGEST} characters: send the essential part")
    if _LINK.search(words):
        raise Refused("`message` may hold no link")
    return msgspec.structs.replace(arguments, message=words)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be sent."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "queued"}, or {status: "not_sent" | "no_mobile" | "no_appointment" | "enough",
    spoken}."""
    number = context.caller_number
    if context.call_id is None or number is None or not is_mobile(number):
        return _not("no_mobile", context)
    said = [each for each in await rows.functions.of_call(context.call_id) if each.name == NAME]
    if sum(each.result.get("status") == "queued" for each in said) >= MOST:
        return _not("enough", context)
    new: dict[str, Any] = {"body": f"{context.tenant.name} : {arguments.message}"}
    if arguments.what == "appointment":
        appointment = await _theirs(context, rows)
        if appointment is None or not context.public_url:
            return _not("no_appointment", context)
        about = say(context.locale, "text_link", when=when(appointment.start_utc, context))
        link = f"{context.public_url}/r/{appointment.link_token}"
        new = {"template": "lien", "variables": {"message": about, "lien": link}}
        new["appointment_id"] = appointment.id
    text = await rows.outbox.put(
        NewText(
            "sms",
            number,
            purpose="answer",  # to somebody who is on the line: no quiet hours
            contact_id=context.contact_id,
            created_by="agent",
            language=context.locale,
            dedupe_key=_key(context.call_id, new),
            expires_at=context.clock.now() + USEFUL_FOR,
            **new,
        )
    )
    return _not("not_sent", context) if text.status == "suppressed" else Answer(QUEUED)


async def _theirs(context: CallContext, rows: TenantRows) -> Appointment | None:
    """The next appointment that this very call has booked, moved, or proved to be theirs."""
    found = await known_appointments(context, rows)
    return await rows.appointments.with_codes(found[0].id) if found else None


def _key(call_id: str, new: Mapping[str, Any]) -> str:
    """The same for the same content: once per call."""
    content = f"{new.get('body')}\n{new.get('appointment_id')}"
    return f"call:{call_id}:{sha256(content.encode()).hexdigest()[:24]}"


def _not(status: str, context: CallContext) -> Answer:
    return Answer({"status": status, "spoken": say(context.locale, f"text_{status}")})

"""What a business is told: which events there are, which of them need a human, in which words.

The sentences are read on a screen, and sent as a text to the owner's telephone: short, and the
first words say what is to be done.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.messages import Language, language_of

#: What stands where nothing is known.
_NOTHING: Final = "—"
#: Characters of a value: a name, a subject; whole descriptions stay with their ticket.
_LONGEST_VALUE: Final = 160


@dataclass(frozen=True, slots=True)
class Kind:
    """`alerts`: the owner is told at once unless they chose otherwise; `urgent`: also at night."""

    alerts: bool = True
    urgent: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "ticket_urgent": Kind(urgent=True),
    "callback_promised": Kind(),
    "message_taken": Kind(),
    "voicemail": Kind(),
    "transfer_failed": Kind(),
    "prospect_hot": Kind(),
    "text_waits": Kind(),
    "channel_paused": Kind(),
    "forwarding_lost": Kind(),
    "number_lost": Kind(),
    "line_lapses": Kind(),
    "line_lapsed": Kind(),
    "spend_cap": Kind(),
    "calendar_broken": Kind(),
    "call_unfinished": Kind(),
    "ticket_new": Kind(alerts=False),
    "prospect_new": Kind(alerts=False),
    "appointment_booked": Kind(alerts=False),
    "appointment_moved": Kind(alerts=False),
    "appointment_cancelled": Kind(alerts=False),
}

#: By kind: the title and the message. Fields: who, phone, when, subject, reason, channel, score.
_FRENCH: Final[Mapping[str, tuple[str, str]]] = {
    "ticket_urgent": ("Urgent : {subject}", "{who}, {phone}. {reason}"),
    "callback_promised": ("À rappeler : {who}", "{phone}, {when}. {subject}"),
    "message_taken": ("Message de {who}", "{phone}. {subject}"),
    "voicemail": ("Message vocal à écouter", "{phone}. {subject}"),
    "transfer_failed": ("Transfert sans réponse", "{who}, {phone}, n'a pas pu être mis en ligne."),
    "prospect_hot": ("Prospect prometteur : {who}", "{phone}. {subject} ({score}/100)"),
    "text_waits": ("Une conversation vous attend", "{who}, par {channel}. {reason}"),
    "channel_paused": ("Canal en pause : {channel}", "{reason}"),
    "forwarding_lost": ("Le renvoi d'appel ne marche plus", "{phone}. {reason}"),
    "number_lost": (
        "Un numéro n'est plus le vôtre",
        "{phone} a été attribué à une autre entreprise, qui l'a prouvé. S'il est à vous, vérifiez"
        " votre ligne ou contactez votre hébergeur.",
    ),
    "line_lapses": (
        "Vérifiez votre ligne",
        "{phone} n'a jamais été vérifié : dans quelques jours, ses appels ne seront plus reconnus."
        " Lancez le test de renvoi.",
    ),
    "line_lapsed": (
        "Votre ligne n'est plus reconnue",
        "{phone} n'a pas été vérifié en 30 jours. Enregistrez-le à nouveau, puis lancez le test de"
        " renvoi.",
    ),
    "spend_cap": (
        "Plafond de dépenses du jour atteint",
        "Plus aucun message ni appel sortant ne part aujourd'hui. Vos appels entrants restent pris"
        " en charge.",
    ),
    "calendar_broken": ("Agenda externe illisible", "{subject} : {reason}"),
    "call_unfinished": ("Appel resté sans suite", "{who}, {phone}. {reason}"),
    "ticket_new": ("Nouvelle demande : {subject}", "{who}, {phone}."),
    "prospect_new": ("Nouveau prospect : {who}", "{phone}. {subject} ({score}/100)"),
    "appointment_booked": ("Rendez-vous pris : {who}", "{when}. {subject}"),
    "appointment_moved": ("Rendez-vous déplacé : {who}", "{when}. {subject}"),
    "appointment_cancelled": ("Rendez-vous annulé : {who}", "{when}. {subject}"),
}
_ENGLISH: Final[Mapping[str, tuple[str, str]]] = {
    "ticket_urgent": ("Urgent: {subject}", "{who}, {phone}. {reason}"),
    "callback_promised": ("To call back: {who}", "{phone}, {when}. {subject}"),
    "message_taken": ("Message from {who}", "{phone}. {subject}"),
    "voicemail": ("Voicemail to listen to", "{phone}. {subject}"),
    "transfer_failed": ("Transfer unanswered", "{who}, {phone}, couldn't be put through."),
    "prospect_hot": ("Promising prospect: {who}", "{phone}. {subject} ({score}/100)"),
    "text_waits": ("A conversation is waiting for you", "{who}, by {channel}. {reason}"),
    "channel_paused": ("Channel paused: {channel}", "{reason}"),
    "forwarding_lost": ("Call forwarding no longer works", "{phone}. {reason}"),
    "number_lost": (
        "A number is no longer yours",
        "{phone} was given to another business, which has proven it. If it is yours, verify your"
        " line or contact your host.",
    ),
    "line_lapses": (
        "Verify your line",
        "{phone} was never verified: in a few days its calls will no longer be recognised. Run the"
        " forwarding check.",
    ),
    "line_lapsed": (
        "Your line is no longer recognised",
        "{phone} was not verified within 30 days. Save it again, then run the forwarding check.",
    ),
    "spend_cap": (
        "Today's spending cap is reached",
        "No more texts or outgoing calls leave today. Incoming calls are still answered.",
    ),
    "calendar_broken": ("External calendar unreadable", "{subject}: {reason}"),
    "call_unfinished": ("Call without an outcome", "{who}, {phone}. {reason}"),
    "ticket_new": ("New request: {subject}", "{who}, {phone}."),
    "prospect_new": ("New prospect: {who}", "{phone}. {subject} ({score}/100)"),
    "appointment_booked": ("Appointment booked: {who}", "{when}. {subject}"),
    "appointment_moved": ("Appointment moved: {who}", "{when}. {subject}"),
    "appointment_cancelled": ("Appointment cancelled: {who}", "{when}. {subject}"),
}
_SENTENCES: Final[Mapping[Language, Mapping[str, tuple[str, str]]]] = {
    "fr": _FRENCH,
    "en": _ENGLISH,
}
_ADDRESS_CODE: Final[Mapping[Language, str]] = {
    "fr": "Votre code pour recevoir les alertes à cette adresse : {code}. Valable 30 minutes.",
    "en": "Your code to receive alerts at this address: {code}. Valid for 30 minutes.",
}


def words(kind: str, locale: str | None, values: Mapping[str, str]) -> tuple[str, str]:
    """Title and message of an event. KeyError for a kind that isn't in KINDS; what isn't known is
    a dash."""
    known = {
        name: " ".join(value.split())[:_LONGEST_VALUE] for name, value in values.items() if value
    }
    given: defaultdict[str, str] = defaultdict(lambda: _NOTHING, known)
    title, message = _SENTENCES[language_of(locale)][kind]
    return title.format_map(given), message.format_map(given)


def code_words(code: str, locale: str | None) -> str:
    """What is sent to an address that is to receive alerts."""
    return _ADDRESS_CODE[language_of(locale)].format(code=code)


def alerts(kind: str, chosen: Collection[str] | None) -> bool:
    """Whether the owner is told at once; `chosen` are the kinds they asked for, None the usual."""
    return KINDS[kind].alerts if chosen is None else kind in chosen


def quiet_end(
    kind: str, now: datetime, timezone: str, start: time | None, end: time | None
) -> datetime | None:
    """When the quiet hours end in which `now` falls, None when they don't hold it back. The hours
    are on the tenant's wall clock and may pass midnight; what is urgent is told at any time."""
    if start is None or end is None or start == end or KINDS[kind].urgent:
        return None
    local = now.astimezone(ZoneInfo(timezone))
    clock = local.time().replace(tzinfo=None)
    within = start <= clock < end if start < end else clock >= start or clock < end
    if not within:
        return None
    day = local.date() + timedelta(days=1 if start > end and clock >= start else 0)
    return datetime.combine(day, end, tzinfo=ZoneInfo(timezone))

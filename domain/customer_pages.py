"""What customers read on the page of their appointment; and dates and times as one reads them."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Final

from domain.messages import Language
from domain.spoken import calendar_day

FRENCH: Final[Mapping[str, str]] = {
    "appointment": "Rendez-vous",
    "title": "Votre rendez-vous – {company}",
    "heading": "Votre rendez-vous chez {company}",
    "what": "Quoi",
    "when": "Quand",
    "with": "Avec",
    "place": "Où",
    "state": "État",
    "length": "Durée",
    "minutes": "{minutes} minutes",
    "when_value": "{day} à {time}",
    "state_booked": "Confirmé",
    "state_acknowledged": "Confirmé ; vous avez indiqué que vous viendrez",
    "state_cancelled": "Annulé",
    "state_past": "Passé",
    "confirm": "Je viendrai",
    "move": "Déplacer le rendez-vous",
    "cancel": "Annuler le rendez-vous",
    "download": "Ajouter à mon agenda (fichier .ics)",
    "call": "Appeler {company} : {phone}",
    "past": "Ce rendez-vous est passé : il ne peut plus être changé.",
    "cancelled": "Ce rendez-vous est annulé. Pour en prendre un autre, contactez {company}.",
    "done_confirmed": "Merci, c’est noté : nous vous attendons.",
    "done_moved": "C’est fait : votre rendez-vous est déplacé.",
    "done_cancelled": "C’est fait : votre rendez-vous est annulé.",
    "stale": (
        "Ce rendez-vous a changé entre-temps : rien n’a été modifié. Voici où il en est maintenant."
    ),
    "move_heading": "Déplacer votre rendez-vous",
    "move_now": "Actuellement : {when}",
    "move_choose": "Choisissez un autre moment",
    "move_none": "Aucun moment n’est libre sur cette période.",
    "move_earlier": "Plus tôt",
    "move_later": "Plus tard",
    "move_keep": "Garder le rendez-vous tel qu’il est",
    "move_submit": "Déplacer à ce moment",
    "move_missing": "Choisissez un moment avant de valider.",
    "move_taken": "Ce moment vient d’être pris. Votre rendez-vous n’a pas changé.",
    "move_other": "Ce moment n’est pas possible. Votre rendez-vous n’a pas changé.",
    "move_alternatives": "Les moments libres les plus proches",
    "cancel_heading": "Annuler votre rendez-vous",
    "cancel_sure": "Vous allez annuler : {when}.",
    "cancel_reason": "Raison (facultatif)",
    "cancel_submit": "Oui, annuler ce rendez-vous",
    "unsubscribe_title": "Ne plus recevoir de messages",
    "unsubscribe_offers": "{company} ne vous enverra plus d’offres sur ce canal.",
    "unsubscribe_all": (
        "{company} ne vous enverra plus aucun message sur ce canal, confirmations et rappels de"
        " rendez-vous compris."
    ),
    "unsubscribe_submit": "Ne plus rien recevoir",
    "unsubscribe_done": "C’est noté : {company} ne vous écrira plus ainsi.",
    "unsubscribe_missing_title": "Page introuvable",
    "unsubscribe_missing": "Ce lien ne mène à rien. Vérifiez qu’il est complet.",
    "missing_title": "Page introuvable",
    "missing": (
        "Ce lien ne mène à aucun rendez-vous. Vérifiez qu’il est complet, ou contactez l’entreprise"
        " qui vous l’a envoyé."
    ),
    "too_many_title": "Trop d’essais",
    "too_many": "Trop de liens inconnus ont été essayés d’ici. Réessayez dans une minute.",
    "down_title": "Service momentanément indisponible",
    "down": "Rien n’a été modifié. Réessayez dans quelques instants.",
    "unreadable_title": "Demande illisible",
    "unreadable": "Rien n’a été modifié. Revenez à la page de votre rendez-vous et réessayez.",
    "other_language": "In English",
    "skip": "Aller au contenu",
}

ENGLISH: Final[Mapping[str, str]] = {
    "appointment": "Appointment",
    "title": "Your appointment – {company}",
    "heading": "Your appointment with {company}",
    "what": "What",
    "when": "When",
    "with": "With",
    "place": "Where",
    "state": "Status",
    "length": "Length",
    "minutes": "{minutes} minutes",
    "when_value": "{day} at {time}",
    "state_booked": "Booked",
    "state_acknowledged": "Booked; you said that you will come",
    "state_cancelled": "Cancelled",
    "state_past": "Over",
    "confirm": "I will come",
    "move": "Move the appointment",
    "cancel": "Cancel the appointment",
    "download": "Add to my calendar (.ics file)",
    "call": "Call {company}: {phone}",
    "past": "This appointment is over: it can no longer be changed.",
    "cancelled": "This appointment is cancelled. To make another one, contact {company}.",
    "done_confirmed": "Thank you, noted: we look forward to seeing you.",
    "done_moved": "Done: your appointment has been moved.",
    "done_cancelled": "Done: your appointment is cancelled.",
    "stale": (
        "This appointment has changed in the meantime: nothing was modified. Here is how it stands."
    ),
    "move_heading": "Move your appointment",
    "move_now": "At present: {when}",
    "move_choose": "Choose another time",
    "move_none": "No time is free in this period.",
    "move_earlier": "Earlier",
    "move_later": "Later",
    "move_keep": "Keep the appointment as it is",
    "move_submit": "Move to this time",
    "move_missing": "Choose a time first.",
    "move_taken": "This time has just been taken. Your appointment is unchanged.",
    "move_other": "This time isn't possible. Your appointment is unchanged.",
    "move_alternatives": "The nearest free times",
    "cancel_heading": "Cancel your appointment",
    "cancel_sure": "You are about to cancel: {when}.",
    "cancel_reason": "Reason (optional)",
    "cancel_submit": "Yes, cancel this appointment",
    "unsubscribe_title": "Stop receiving messages",
    "unsubscribe_offers": "{company} will send you no more offers this way.",
    "unsubscribe_all": (
        "{company} will send you no more messages this way, confirmations and reminders of"
        " appointments included."
    ),
    "unsubscribe_submit": "Stop these messages",
    "unsubscribe_done": "Noted: {company} will no longer write to you this way.",
    "unsubscribe_missing_title": "Page not found",
    "unsubscribe_missing": "This link leads nowhere. Check that it is complete.",
    "missing_title": "Page not found",
    "missing": (
        "This link leads to no appointment. Check that it is complete, or contact the business that"
        " sent it to you."
    ),
    "too_many_title": "Too many tries",
    "too_many": "Too many unknown links were tried from here. Try again in a minute.",
    "down_title": "Service unavailable for a moment",
    "down": "Nothing was changed. Try again in a moment.",
    "unreadable_title": "Request not understood",
    "unreadable": "Nothing was changed. Go back to the page of your appointment and try again.",
    "other_language": "En français",
    "skip": "Skip to content",
}
_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {"fr": FRENCH, "en": ENGLISH}


def page_text(language: Language, key: str, /, **values: str) -> str:
    """The sentence behind `key`, with `values` in its fields: inserted once, never rendered again.
    KeyError for an unknown key or a missing value."""
    return _WORDS[language][key].format_map(values)


def written_time(at: time, language: Language) -> str:
    """ "14 h 30", "9 h"; "2:30 p.m.", "9 a.m."."""
    if language == "fr":
        # A narrow space that doesn't break (U+202F) keeps the hour together.
        return f"{at.hour}\u202fh\u202f{at.minute:02}" if at.minute else f"{at.hour}\u202fh"
    half = "a.m." if at.hour < 12 else "p.m."
    minute = f":{at.minute:02}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minute} {half}"


def written_instant(start: datetime, language: Language) -> str:
    """ "mardi 24 novembre 2026 à 14 h 30". `start` is in the zone to be read in."""
    day, at = calendar_day(start.date(), language), written_time(start.time(), language)
    return page_text(language, "when_value", day=day, time=at)

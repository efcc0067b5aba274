"""Why a calendar elsewhere can't be read, as its owner is told: on a page and as an alert."""

from collections.abc import Mapping
from typing import Final

from domain.messages import Language, language_of

FRENCH: Final[Mapping[str, str]] = {
    "calendar_bad_address": "l’adresse ne peut pas être lue. Copiez-la de nouveau, en entier.",
    "calendar_unreachable": (
        "rien ne répond à cette adresse. Vérifiez-la, et que l’agenda est partagé par un lien."
    ),
    "calendar_bad_certificate": "le certificat de ce site n’est pas valable.",
    "calendar_redirected": "l’adresse mène à un autre site. Indiquez l’adresse finale.",
    "calendar_status": (
        "le site refuse cette adresse : le lien a été retiré, ou l’agenda n’est plus partagé."
    ),
    "calendar_too_large": "l’agenda est trop volumineux (10 Mo au plus).",
    "calendar_too_slow": "le site n’a pas répondu à temps.",
    "calendar_bad_answer": "la réponse du site est incompréhensible.",
    "calendar_token_refused": "le site n’accepte pas ces identifiants.",
    "calendar_not_a_calendar": (
        "ce n’est pas un agenda au format iCal. Prenez l’adresse iCal (.ics), pas celle de la page."
    ),
    "calendar_broken": "le fichier de l’agenda est incomplet ou abîmé.",
    "calendar_too_many": "l’agenda a trop d’événements pour être lu en entier.",
    "calendar_sealed": "son adresse est illisible pour le moment. Prévenez votre hébergeur.",
}
ENGLISH: Final[Mapping[str, str]] = {
    "calendar_bad_address": "the address can't be read. Copy it again, all of it.",
    "calendar_unreachable": (
        "nothing answers at this address. Check it, and that the calendar is shared by a link."
    ),
    "calendar_bad_certificate": "this site's certificate isn't valid.",
    "calendar_redirected": "the address leads to another site. Give the final address.",
    "calendar_status": (
        "the site refuses this address: the link was taken back, or the calendar is no longer"
        " shared."
    ),
    "calendar_too_large": "the calendar is too large (10 MB at most).",
    "calendar_too_slow": "the site didn't answer in time.",
    "calendar_bad_answer": "the site's answer can't be understood.",
    "calendar_token_refused": "the site doesn't accept these credentials.",
    "calendar_not_a_calendar": (
        "this isn't a calendar in iCal format. Take the iCal address (.ics), not the page's."
    ),
    "calendar_broken": "the calendar's file is incomplete or damaged.",
    "calendar_too_many": "the calendar has too many events to be read completely.",
    "calendar_sealed": (
        "its address can't be opened at the moment. Please tell whoever hosts this service."
    ),
}
_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {"fr": FRENCH, "en": ENGLISH}


def reason_words(error: str, locale: str | None) -> str:
    """The sentence for an `error` of a calendar's row. KeyError for one that isn't known."""
    return _WORDS[language_of(locale)][error]

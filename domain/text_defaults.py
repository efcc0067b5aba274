"""The texts that a tenant has before it writes its own: by key, channel and language.

The keys are those of the dashboard's pages (real-users.md §1.4), and some more. An SMS stays within
the letters of GSM-7 (no ê, ç, œ, ’), where one of 160 characters is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from domain.text_templates import Template

Purpose = Literal["service", "marketing", "answer", "owner"]
LANGUAGES: Final = ("fr", "en")
TEXT_CHANNELS: Final = ("sms", "email", "whatsapp")


@dataclass(frozen=True, slots=True)
class Key:
    """A template's key. `purpose` decides what consent it needs; `name` is what owners read."""

    name: str
    purpose: Purpose = "service"


KEYS: Final[Mapping[str, Key]] = {
    "rdvConfirmation": Key("Confirmation de rendez-vous"),
    "rdvRappel": Key("Rappel de rendez-vous"),
    "rdvAnnulation": Key("Annulation de rendez-vous"),
    "rdvDeplacement": Key("Déplacement de rendez-vous"),
    "appelManque": Key("Appel manqué"),
    "promotions": Key("Promotion", "marketing"),
    "newsletter": Key("Lettre d'information", "marketing"),
    "reponseAuto": Key("Réponse automatique", "answer"),
    "lien": Key("Lien demandé pendant un appel", "answer"),
    "alerte": Key("Alerte pour vous", "owner"),
    "test": Key("Message d'essai", "owner"),
}

#: key → language → (subject of the email, greeting of the email, lines). Lines are the SMS and the
#: WhatsApp text as they stand; an email has the greeting before them and a signature behind.
_WORDS: Final[Mapping[str, Mapping[str, tuple[str, str, str]]]] = {
    "rdvConfirmation": {
        "fr": (
            "Votre rendez-vous du {{date}} à {{heure}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : votre rendez-vous du {{date}} à {{heure}} est confirmé.\n"
            "Adresse : {{adresse|}}\n"
            "Pour le modifier ou l'annuler : {{lien|}}",
        ),
        "en": (
            "Your appointment on {{date}} at {{heure}}",
            "Hello {{client|}},",
            "{{entreprise}}: your appointment on {{date}} at {{heure}} is confirmed.\n"
            "Address: {{adresse|}}\n"
            "To change or cancel it: {{lien|}}",
        ),
    },
    "rdvRappel": {
        "fr": (
            "Rappel : rendez-vous du {{date}} à {{heure}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : rappel de votre rendez-vous du {{date}} à {{heure}}.\n"
            "Pour le modifier ou l'annuler : {{lien|}}",
        ),
        "en": (
            "Reminder: appointment on {{date}} at {{heure}}",
            "Hello {{client|}},",
            "{{entreprise}}: a reminder of your appointment on {{date}} at {{heure}}.\n"
            "To change or cancel it: {{lien|}}",
        ),
    },
    "rdvAnnulation": {
        "fr": (
            "Rendez-vous du {{date}} annulé",
            "Bonjour {{client|}},",
            "{{entreprise}} : votre rendez-vous du {{date}} à {{heure}} est annulé.\n"
            "Pour en reprendre un : {{lien|}}",
        ),
        "en": (
            "Appointment on {{date}} cancelled",
            "Hello {{client|}},",
            "{{entreprise}}: your appointment on {{date}} at {{heure}} is cancelled.\n"
            "To book another one: {{lien|}}",
        ),
    },
    "rdvDeplacement": {
        "fr": (
            "Votre rendez-vous est déplacé au {{date}} à {{heure}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : votre rendez-vous est déplacé au {{date}} à {{heure}}.\n"
            "Pour le modifier ou l'annuler : {{lien|}}",
        ),
        "en": (
            "Your appointment has moved to {{date}} at {{heure}}",
            "Hello {{client|}},",
            "{{entreprise}}: your appointment has moved to {{date}} at {{heure}}.\n"
            "To change or cancel it: {{lien|}}",
        ),
    },
    "appelManque": {
        "fr": (
            "Votre appel à {{entreprise}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : nous avons manqué la fin de votre appel.\n"
            "Prenez rendez-vous ici : {{lien|}}\n"
            "Ou rappelez-nous au {{telephone|}}",
        ),
        "en": (
            "Your call to {{entreprise}}",
            "Hello {{client|}},",
            "{{entreprise}}: we missed the end of your call.\n"
            "Book an appointment here: {{lien|}}\n"
            "Or call us back on {{telephone|}}",
        ),
    },
    "promotions": {
        "fr": ("{{offre}}", "Bonjour {{prenom|}},", "{{entreprise}} : {{offre}}\n{{lien|}}"),
        "en": ("{{offre}}", "Hello {{prenom|}},", "{{entreprise}}: {{offre}}\n{{lien|}}"),
    },
    "newsletter": {
        "fr": ("{{titre}}", "Bonjour {{prenom|}},", "{{message}}\n{{lien|}}"),
        "en": ("{{titre}}", "Hello {{prenom|}},", "{{message}}\n{{lien|}}"),
    },
    "reponseAuto": {
        "fr": (
            "Votre message à {{entreprise}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : merci pour votre message, nous vous répondons dès que possible.",
        ),
        "en": (
            "Your message to {{entreprise}}",
            "Hello {{client|}},",
            "{{entreprise}}: thank you for your message, we will answer as soon as possible.",
        ),
    },
    "lien": {
        "fr": (
            "Le lien de {{entreprise}}",
            "Bonjour {{client|}},",
            "{{entreprise}} : {{message|voici le lien demandé.}}\n{{lien}}",
        ),
        "en": (
            "The link from {{entreprise}}",
            "Hello {{client|}},",
            "{{entreprise}}: {{message|here is the link you asked for.}}\n{{lien}}",
        ),
    },
    "alerte": {
        "fr": ("{{titre}}", "", "{{titre}}\n{{message|}}\n{{lien|}}"),
        "en": ("{{titre}}", "", "{{titre}}\n{{message|}}\n{{lien|}}"),
    },
    "test": {
        "fr": (
            "Message d'essai de {{entreprise}}",
            "Bonjour,",
            "{{entreprise}} : ceci est un message d'essai. Ce canal fonctionne.",
        ),
        "en": (
            "Test message from {{entreprise}}",
            "Hello,",
            "{{entreprise}}: this is a test message. This channel works.",
        ),
    },
}

#: What is promotional says how to end it (text-channels.md §7): by a word where it can be answered,
#: by a link where it can't, or it doesn't go.
_STOP: Final = {
    "fr": "Ne plus en recevoir : {{lienDesinscription|répondez STOP}}",
    "en": "Opt out: {{lienDesinscription|reply STOP}}",
}
_UNSUBSCRIBE: Final = {
    "fr": "Ne plus recevoir ces messages : {{lienDesinscription}}",
    "en": "Unsubscribe: {{lienDesinscription}}",
}


def default(channel: str, key: str, language: str) -> Template:
    """Our words. KeyError for a key or a language that we don't have."""
    subject, greeting, lines = _WORDS[key][language]
    if KEYS[key].purpose == "marketing":
        ending = _STOP[language] if channel == "sms" else _UNSUBSCRIBE[language]
        lines = f"{lines}\n{ending}"
    if channel == "email":
        opening = f"{greeting}\n\n" if greeting else ""
        body = f"{opening}{lines}\n\n{{{{entreprise}}}}\n{{{{telephone|}}}}"
        return Template(channel, key, language, body, subject)
    if (channel, key) == ("whatsapp", "test"):
        # Meta gives it to every account: nothing else goes outside of the window (§1.9).
        return Template(
            channel, key, language, lines, vendor_name="hello_world", vendor_language="en_US"
        )
    return Template(channel, key, language, lines)

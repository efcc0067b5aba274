"""What the dashboard says about calendars: feeds given out, and others whose busy times count."""

from collections.abc import Mapping

from domain import calendar_words

FRENCH: Mapping[str, str] = {
    **calendar_words.FRENCH,
    "calendar_unknown": "Cet agenda est introuvable.",
    "calendars_too_many": "Vous avez déjà le plus grand nombre possible. Supprimez-en d’abord un.",
    "calendar_url_invalid": (
        "Cette adresse est illisible. Collez l’adresse iCal de l’agenda (exemple : https://….ics)."
    ),
    "calendar_label_invalid": "Le nom tient en une ligne (80 caractères au plus).",
    "calendar_resource_unknown": "Cette personne ou cette ressource est introuvable.",
    "calendar_added": "Votre agenda est ajouté. Il sera lu dans un instant.",
    "calendar_changed": "Vos modifications sont enregistrées.",
    "calendar_removed": "Cet agenda est retiré : il ne bloque plus aucun créneau.",
    "calendar_refreshed": "Cet agenda va être relu.",
    "feed_added": (
        "Le flux est créé. Copiez son adresse maintenant : elle ne sera plus jamais affichée."
    ),
    "feed_removed": "Ce flux est supprimé : son adresse ne montre plus rien.",
    "feed_unknown": "Ce flux est introuvable.",
    # What was read with a grain of salt.
    "calendar_note_zone": (
        "Fuseau horaire inconnu « {name} » : ses heures sont lues comme les vôtres."
    ),
    "calendar_note_recurrence": (
        "Une répétition n’a pas pu être suivie : seule sa première date est bloquée."
    ),
    "calendar_note_event": "Un événement illisible a été laissé de côté, ou compté pour une heure.",
}

ENGLISH: Mapping[str, str] = {
    **calendar_words.ENGLISH,
    "calendar_unknown": "This calendar can't be found.",
    "calendars_too_many": "You already have as many as possible. Delete one first.",
    "calendar_url_invalid": (
        "This address can't be read. Paste the calendar's iCal address (like https://….ics)."
    ),
    "calendar_label_invalid": "The name fits on one line (80 characters at most).",
    "calendar_resource_unknown": "This person or resource can't be found.",
    "calendar_added": "Your calendar is added. It will be read in a moment.",
    "calendar_changed": "Your changes are saved.",
    "calendar_removed": "This calendar is removed: it no longer blocks any time.",
    "calendar_refreshed": "This calendar will be read again.",
    "feed_added": "The feed is made. Copy its address now: it will never be shown again.",
    "feed_removed": "This feed is deleted: its address shows nothing any more.",
    "feed_unknown": "This feed can't be found.",
    "calendar_note_zone": "Unknown time zone “{name}”: its times are read as yours.",
    "calendar_note_recurrence": (
        "A repetition couldn't be followed: only its first date is blocked."
    ),
    "calendar_note_event": "An unreadable event was left out, or counted for an hour.",
}

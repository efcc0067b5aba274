"""What the dashboard says about appointments."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    "appointment_unknown": "Ce rendez-vous est introuvable.",
    "appointment_taken": (
        "Ce créneau chevauche un rendez-vous existant. Veuillez choisir un autre horaire."
    ),
    "appointment_full": "L’agenda est complet ce jour-là. Veuillez choisir un autre jour.",
    "appointment_past": "Cette date est déjà passée.",
    "appointment_soon": "Ce créneau est trop proche pour être réservé.",
    "appointment_far": "L’agenda n’est pas encore ouvert à cette date.",
    "appointment_closed": "Ce créneau est en dehors des heures de rendez-vous.",
    "appointment_unoffered": "Aucun rendez-vous ne commence à cette heure-là.",
    "appointment_cancelled": "Ce rendez-vous est annulé.",
    "appointment_completed": "Ce rendez-vous est terminé.",
    "appointment_no_show": "Ce rendez-vous est marqué comme manqué.",
    "appointment_rescheduled": "Ce rendez-vous a été remplacé par un autre.",
    "appointment_held": "Ce créneau est retenu un instant par quelqu’un qui réserve.",
    "appointment_hold_over": "Ce créneau n’est plus retenu.",
    "appointment_name_missing": "Veuillez indiquer le nom de la personne.",
    "appointment_settings_large": "Ces réglages sont trop volumineux.",
    "request_key_reused": "Cette demande a déjà servi pour autre chose. Rechargez la page.",
    "prospect_unknown": "Ce prospect est introuvable.",
}

ENGLISH: Mapping[str, str] = {
    "appointment_unknown": "This appointment can't be found.",
    "appointment_taken": "This slot overlaps another appointment. Please choose another time.",
    "appointment_full": "That day is fully booked. Please choose another day.",
    "appointment_past": "This date has already passed.",
    "appointment_soon": "This slot is too soon to be booked.",
    "appointment_far": "The agenda isn't open for that date yet.",
    "appointment_closed": "This slot is outside of the hours for appointments.",
    "appointment_unoffered": "No appointment begins at that time.",
    "appointment_cancelled": "This appointment is cancelled.",
    "appointment_completed": "This appointment is over.",
    "appointment_no_show": "This appointment is marked as missed.",
    "appointment_rescheduled": "This appointment was replaced by another.",
    "appointment_held": "This slot is held for a moment by somebody who is booking.",
    "appointment_hold_over": "This slot is no longer held.",
    "appointment_name_missing": "Please give the person's name.",
    "appointment_settings_large": "These settings are too large.",
    "request_key_reused": "This request was used for something else before. Reload the page.",
    "prospect_unknown": "This prospect can't be found.",
}

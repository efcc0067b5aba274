"""What the dashboard says about calls, statistics and exports."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    "call_over": "Cet appel est terminé.",
    "call_no_transfer_number": (
        "Aucun numéro de transfert n’est réglé. Indiquez-le dans les réglages du téléphone."
    ),
    "call_not_with_agent": "Cet appel est terminé, ou déjà en cours de transfert.",
    "carrier_failed": (
        "L’opérateur téléphonique n’a pas répondu : rien n’a changé. Veuillez réessayer."
    ),
    "recording_unknown": "Il n’y a pas d’enregistrement de cet appel.",
}

ENGLISH: Mapping[str, str] = {
    "call_over": "This call has ended.",
    "call_no_transfer_number": ("No transfer number is set. Enter it in the telephone's settings."),
    "call_not_with_agent": "This call has ended, or is being transferred already.",
    "carrier_failed": "The telephone carrier didn't answer: nothing has changed. Please try again.",
    "recording_unknown": "There is no recording of this call.",
}

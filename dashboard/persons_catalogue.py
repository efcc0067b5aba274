"""What pages read about the rights of persons, instructions and first words."""

from collections.abc import Mapping
from typing import Final

FRENCH: Final[Mapping[str, str]] = {
    "person_erased": "Les données de cette personne ont été effacées.",
    "person_unknown": "Nous ne conservons rien sur cette personne.",
    "person_unconfirmed": "Pour confirmer, saisissez encore une fois l’adresse de la personne.",
    "person_on_the_line": "Cette personne est au téléphone. Réessayez après l’appel.",
    "person_in_flight": "Un message part vers cette personne. Réessayez dans quelques minutes.",
    "person_has_appointments": (
        "Cette personne a des rendez-vous à venir. Annulez-les, ou demandez leur annulation."
    ),
    "person_too_much": "Trop d’éléments concernent cette personne : prévenez votre hébergeur.",
    "version_unknown": "Cette version des consignes est introuvable.",
    "greeting_denies_ai": (
        "L’accueil doit dire qu’une intelligence artificielle répond : il ne peut pas le nier."
    ),
}

ENGLISH: Final[Mapping[str, str]] = {
    "person_erased": "This person's data has been erased.",
    "person_unknown": "We hold nothing about this person.",
    "person_unconfirmed": "To confirm, enter the person's address once more.",
    "person_on_the_line": "This person is on the telephone. Try again after the call.",
    "person_in_flight": "A message is on its way to this person. Try again in a few minutes.",
    "person_has_appointments": (
        "This person has appointments to come. Cancel them, or ask for them to be cancelled."
    ),
    "person_too_much": "Too many records are about this person: please tell your host.",
    "version_unknown": "This version of the instructions can't be found.",
    "greeting_denies_ai": (
        "The greeting must say that an artificial intelligence answers: it can't deny it."
    ),
}

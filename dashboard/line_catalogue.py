"""What the dashboard says about a business's lines and their forwarding."""

from collections.abc import Mapping
from typing import Final

FRENCH: Final[Mapping[str, str]] = {
    # How a line stands.
    "line_state_verified": "Vérifié : les appels renvoyés depuis ce numéro vous sont attribués.",
    "line_state_unverified": (
        "Pas encore vérifié : lancez le test de renvoi. Sans vérification sous 30 jours, ce numéro"
        " n’est plus reconnu."
    ),
    "line_state_lost": (
        "Ce numéro n’est pas (ou plus) attribué à votre organisation : enregistrez-le, ou vérifiez"
        " qu’il est à vous."
    ),
    "line_state_dedicated": "Numéro qui vous est réservé : tous ses appels sont les vôtres.",
    "line_state_shared": "Numéro commun : renvoyez-y votre ligne.",
    # What a check found; the second part of the key is its verdict, and perhaps its reason.
    "check_queued": "Le test va commencer.",
    "check_calling": "Nous appelons votre ligne. Ne décrochez pas.",
    "check_works": "Le renvoi fonctionne : votre numéro est vérifié.",
    "check_works_proven": (
        "Votre numéro est vérifié. Activez maintenant le renvoi, puis relancez le test."
    ),
    "check_not_forwarded": (
        "Le renvoi n’est pas actif : notre appel ne nous est pas revenu. Composez le code"
        " ci-dessous depuis votre ligne, puis relancez le test."
    ),
    "check_not_forwarded_answered": (
        "Le renvoi n’est pas actif : une personne ou une messagerie a répondu sur votre ligne."
        " Composez le code ci-dessous, puis relancez le test sans décrocher."
    ),
    "check_not_forwarded_busy": (
        "Le renvoi n’est pas actif : votre ligne était occupée. Composez le code ci-dessous, puis"
        " relancez le test."
    ),
    "check_not_forwarded_no_answer": (
        "Le renvoi n’est pas actif : votre ligne a sonné sans que l’appel nous revienne. Composez"
        " le code ci-dessous, puis relancez le test."
    ),
    "check_not_forwarded_elsewhere": (
        "Votre ligne est renvoyée vers le numéro d’une autre organisation. Composez le code"
        " ci-dessous, puis relancez le test."
    ),
    "check_not_forwarded_still_theirs": (
        "Ce numéro est renvoyé chez nous pour une autre organisation. S’il est à vous, désactivez"
        " le renvoi, puis relancez le test : nous vous dicterons un code."
    ),
    "check_hidden": (
        "Le renvoi fonctionne, mais votre opérateur masque votre numéro : nous ne pouvons pas"
        " reconnaître vos appels sur le numéro commun. Utilisez un numéro qui vous est réservé."
    ),
    "check_code_spoken": "Un code a été dicté sur votre ligne : saisissez-le ici.",
    "check_code_not_heard": (
        "Personne n’a décroché : désactivez le renvoi, relancez le test et décrochez pour entendre"
        " le code."
    ),
    "check_unknown": "Le test n’a pas abouti. Veuillez réessayer.",
    "check_unknown_not_reached": (
        "Votre ligne n’a pas pu être appelée : vérifiez le numéro, puis réessayez."
    ),
    "check_unknown_refused": (
        "Votre ligne n’a pas pu être appelée : vérifiez le numéro, ou contactez votre hébergeur."
    ),
    "check_unknown_spend_cap": ("Le plafond de dépenses du jour est atteint. Réessayez demain."),
    # Refusals.
    "check_under_way": "Un test est déjà en cours. Attendez son résultat.",
    "checks_too_many": "Trois tests ont déjà eu lieu aujourd’hui. Réessayez demain.",
    "check_no_line": "Indiquez d’abord votre numéro professionnel.",
    "check_no_number": "Aucun numéro vers lequel renvoyer n’est encore disponible ici.",
    "line_not_callable": "Ce numéro ne peut pas être appelé (surtaxé, ou pays non autorisé).",
    "line_proven": (
        "Ce numéro a déjà été vérifié par une autre organisation. S’il est à vous, contactez votre"
        " hébergeur."
    ),
    "code_over": (
        "Aucun code n’est attendu (plus de 30 minutes, ou trop d’essais). Relancez le test."
    ),
}

ENGLISH: Final[Mapping[str, str]] = {
    "line_state_verified": "Verified: calls forwarded from this number are yours.",
    "line_state_unverified": (
        "Not verified yet: run the forwarding check. Without it, this number is no longer"
        " recognised after 30 days."
    ),
    "line_state_lost": (
        "This number isn’t (or is no longer) your organisation’s: save it, or verify that it is"
        " yours."
    ),
    "line_state_dedicated": "A number of your own: all its calls are yours.",
    "line_state_shared": "A shared number: forward your line to it.",
    "check_queued": "The check is about to begin.",
    "check_calling": "We are calling your line. Don’t pick up.",
    "check_works": "Forwarding works: your number is verified.",
    "check_works_proven": "Your number is verified. Turn forwarding on now, then check again.",
    "check_not_forwarded": (
        "Forwarding is not active: our call didn’t come back to us. Dial the code below on your"
        " line, then check again."
    ),
    "check_not_forwarded_answered": (
        "Forwarding is not active: a person or a voicemail answered on your line. Dial the code"
        " below, then check again without picking up."
    ),
    "check_not_forwarded_busy": (
        "Forwarding is not active: your line was busy. Dial the code below, then check again."
    ),
    "check_not_forwarded_no_answer": (
        "Forwarding is not active: your line rang and the call didn’t come back to us. Dial the"
        " code below, then check again."
    ),
    "check_not_forwarded_elsewhere": (
        "Your line is forwarded to another organisation’s number. Dial the code below, then check"
        " again."
    ),
    "check_not_forwarded_still_theirs": (
        "This number is forwarded to us for another organisation. If it is yours, turn forwarding"
        " off, then check again: we will speak a code."
    ),
    "check_hidden": (
        "Forwarding works, but your operator hides your number: we can’t recognise your calls on"
        " the shared number. Use a number of your own."
    ),
    "check_code_spoken": "A code was spoken on your line: enter it here.",
    "check_code_not_heard": (
        "Nobody picked up: turn forwarding off, check again and pick up to hear the code."
    ),
    "check_unknown": "The check came to no result. Please try again.",
    "check_unknown_not_reached": "Your line couldn’t be called: check the number, then try again.",
    "check_unknown_refused": (
        "Your line couldn’t be called: check the number, or contact your host."
    ),
    "check_unknown_spend_cap": "Today’s spending cap is reached. Try again tomorrow.",
    "check_under_way": "A check is already under way. Wait for its result.",
    "checks_too_many": "There have been three checks today. Try again tomorrow.",
    "check_no_line": "Give your business’s number first.",
    "check_no_number": "There is no number to forward to here yet.",
    "line_not_callable": "This number can’t be called (premium, or a country that isn’t allowed).",
    "line_proven": (
        "Another organisation has already verified this number. If it is yours, contact your host."
    ),
    "code_over": "No code is waited for (over 30 minutes, or too many tries). Check again.",
}

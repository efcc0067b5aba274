"""What the dashboard says about texts, their templates, and consent."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    "text_queued": "Le message est en file d’attente : il part dans un instant.",
    "text_test_sent": "Le message d’essai est parti.",
    "text_not_found": "Ce message est introuvable.",
    "text_to_sms": "Numéro de destination requis (exemple : 06 12 34 56 78).",
    "text_to_whatsapp": "Numéro de destination requis (exemple : 06 12 34 56 78).",
    "text_to_email": "Adresse e-mail de destination requise.",
    "text_recipient_unknown": (
        "Ce destinataire n’est pas dans vos contacts : ajoutez-le d’abord, ou attendez qu’il vous"
        " appelle ou vous écrive."
    ),
    "text_refused_number": "Rien ne peut être envoyé à ce numéro.",
    "text_free_forbidden": "Vous pouvez envoyer des modèles, pas un texte libre.",
    "text_window": (
        "WhatsApp n’accepte un texte libre que dans les 24 h après le dernier message du client."
    ),
    "text_empty": "Le message est vide.",
    "text_too_long": "Le message est trop long.",
    "text_subject": "Un e-mail a besoin d’un objet.",
    "text_too_many": "Le nombre d’envois par jour est atteint. Réessayez demain.",
    "text_tests_too_many": "Trop d’essais à la suite. Attendez une minute.",
    "text_key_reused": "Cette clé d’idempotence a déjà servi à un autre envoi.",
    "text_cancelled": "L’envoi est annulé.",
    "text_not_cancellable": "Ce message est déjà parti, ou terminé.",
    "text_tenant": "Cette organisation n’est pas la vôtre.",
    "contact_not_found": "Ce contact est introuvable.",
    "template_not_found": "Ce modèle est introuvable.",
    "template_saved": "Le modèle est enregistré.",
    "template_reset": "Le modèle d’origine est rétabli.",
    "template_changed": "Ce modèle a été modifié entre-temps. Rechargez-le.",
    "template_empty": "Le modèle est vide.",
    "template_too_long": "Le modèle est trop long.",
    "template_subject": "Un e-mail a besoin d’un objet.",
    "template_braces": "Une accolade est de trop. Les variables s’écrivent ainsi : {{{{prenom}}}}.",
    "template_variable_unknown": "Une variable du modèle n’existe pas.",
    "template_value_missing": "Il manque une valeur pour remplir le modèle.",
    "consent_saved": "Le choix est enregistré.",
}
ENGLISH: Mapping[str, str] = {
    "text_queued": "The message is queued and leaves in a moment.",
    "text_test_sent": "The test message has left.",
    "text_not_found": "This message cannot be found.",
    "text_to_sms": "A destination number is needed (for example: +33 6 12 34 56 78).",
    "text_to_whatsapp": "A destination number is needed (for example: +33 6 12 34 56 78).",
    "text_to_email": "A destination email address is needed.",
    "text_recipient_unknown": (
        "This recipient is not one of your contacts: add them first, or wait until they call or"
        " write."
    ),
    "text_refused_number": "Nothing can be sent to this number.",
    "text_free_forbidden": "You may send templates, not free text.",
    "text_window": "WhatsApp only takes free text within 24 hours of the customer's last message.",
    "text_empty": "The message is empty.",
    "text_too_long": "The message is too long.",
    "text_subject": "An email needs a subject.",
    "text_too_many": "The daily number of messages has been reached. Try again tomorrow.",
    "text_tests_too_many": "Too many tests in a row. Wait a minute.",
    "text_key_reused": "This idempotency key was used for another message.",
    "text_cancelled": "Sending is cancelled.",
    "text_not_cancellable": "This message has already left, or is over.",
    "text_tenant": "This organisation is not yours.",
    "contact_not_found": "This contact cannot be found.",
    "template_not_found": "This template cannot be found.",
    "template_saved": "The template is saved.",
    "template_reset": "The original template is back.",
    "template_changed": "This template was changed in the meantime. Load it again.",
    "template_empty": "The template is empty.",
    "template_too_long": "The template is too long.",
    "template_subject": "An email needs a subject.",
    "template_braces": "There is a brace too many. Variables are written so: {{{{prenom}}}}.",
    "template_variable_unknown": "A variable of the template does not exist.",
    "template_value_missing": "A value is missing to fill the template.",
    "consent_saved": "The choice is saved.",
}

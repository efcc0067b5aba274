"""What the dashboard says to the people who read it: ready sentences, French and English.

A sentence is found by a key; the keys of errors are also the `code` that a problem carries.
"""

from collections.abc import Mapping

from dashboard import (
    agenda_catalogue,
    appointment_catalogue,
    calendar_catalogue,
    call_catalogue,
    channel_catalogue,
    knowledge_catalogue,
    line_catalogue,
    persons_catalogue,
    text_catalogue,
)
from domain.messages import Language, language_of

_FR: Mapping[str, str] = {
    # By status, when nothing more precise is known.
    "bad_request": "La demande est illisible. Rechargez la page, puis réessayez.",
    "unauthorised": "Votre session n’est pas valable. Veuillez vous reconnecter.",
    "forbidden": "Vous n’avez pas accès à cette page.",
    "not_found": "Cet élément est introuvable.",
    "method_not_allowed": "Cette action n’existe pas ici.",
    "timeout": "La demande a mis trop de temps à arriver. Veuillez réessayer.",
    "conflict": "Cette valeur est déjà prise.",
    "too_large": "La demande est trop volumineuse.",
    "unsupported_media_type": "Le format de la demande n’est pas reconnu (JSON attendu).",
    "invalid": "Une valeur n’est pas valable. Vérifiez votre saisie.",
    "invalid_field": "La valeur de « {field} » n’est pas valable.",
    "too_many_requests": "Trop de demandes à la fois. Veuillez patienter un instant.",
    "unavailable": "Le service est momentanément indisponible. Veuillez réessayer.",
    "internal": "Un problème est survenu de notre côté. Veuillez réessayer dans un instant.",
    "code_wrong": "Ce code n’est pas le bon, ou il a expiré. Demandez-en un nouveau.",
    "changed_meanwhile": "Quelqu’un d’autre vient de modifier cet élément. Rechargez la page.",
    # Sessions, rights and keys.
    "session_expired": "Session expirée, veuillez vous reconnecter.",
    "tenant_suspended": "Votre organisation est suspendue. Contactez votre hébergeur.",
    "not_allowed": "Vous n’avez pas le droit de faire cela. Demandez au responsable du compte.",
    "refresh_elsewhere": "Votre session ne peut pas être prolongée ici. Veuillez vous reconnecter.",
    "key_unknown": "Cette clé est introuvable.",
    "window_closed": (
        "WhatsApp ne permet plus de réponse libre : la personne a écrit il y a plus de 24 heures."
        " Envoyez un modèle de message."
    ),
    "key_over": "Cette clé a déjà été remplacée ou révoquée.",
    "keys_too_many": "Vous avez trop de clés actives. Révoquez-en une d’abord.",
    "key_label_invalid": "Donnez à la clé un nom d’une seule ligne (100 caractères au plus).",
    "scopes_invalid": "Choisissez au moins un droit pour cette clé, parmi ceux proposés.",
    # Keys and tenants.
    "tenant_unknown": "Cette organisation est introuvable.",
    "tenant_id_taken": "Cet identifiant d’organisation est déjà utilisé.",
    "tenant_id_invalid": (
        "L’identifiant ne peut contenir que des lettres sans accent, des chiffres, des tirets"
        " et des tirets bas (64 au plus)."
    ),
    "tenant_name_invalid": "Veuillez indiquer le nom de l’organisation.",
    "timezone_invalid": "Ce fuseau horaire n’existe pas (exemple : Europe/Paris).",
    "locale_invalid": "Cette langue n’est pas disponible (exemples : fr-FR, en-GB).",
    "number_unreadable": "Un numéro est illisible. Indiquez-le par exemple sous la forme +33….",
    "number_shared": "Un numéro commun ne peut pas être attribué à une seule organisation.",
    "number_is_line": "Un numéro indiqué est déjà une ligne renvoyée vers nous.",
    "number_is_transfer": "Un numéro indiqué reçoit déjà des transferts d’appels.",
    "number_taken": "Un numéro indiqué est déjà attribué à une organisation.",
    # The phone channel.
    "channel_unknown": "Ce canal n’est pas disponible.",
    "channel_by_hand": "Ce canal se configure ici avec vos propres identifiants.",
    "channel_saved": "Vos réglages sont enregistrés.",
    "secrets_no_key": (
        "Vos identifiants ne peuvent pas encore être conservés : votre hébergeur doit d’abord"
        " définir une clé de chiffrement. Rien n’a été enregistré."
    ),
    "secrets_unreadable": (
        "Vos identifiants enregistrés sont illisibles pour le moment. Rien n’est perdu : prévenez"
        " votre hébergeur."
    ),
    "secret_unusable": "Cette clé n’est pas utilisable : vérifiez que vous l’avez bien copiée.",
    "line_unreadable": (
        "Votre numéro professionnel est illisible. Saisissez-le avec ses dix chiffres,"
        " ou sous la forme +33…."
    ),
    "line_taken": (
        "Ce numéro est déjà relié à une autre organisation. S’il est à vous, lancez la vérification"
        " de la ligne : elle vous sera attribuée."
    ),
    "line_is_ours": (
        "Ce numéro est celui de votre assistante : indiquez votre propre numéro, celui que vos"
        " clients composent."
    ),
    "line_is_transfer": (
        "Ce numéro reçoit déjà les transferts d’appels : les appels tourneraient en rond."
    ),
    "transfer_unreadable": (
        "Le numéro de transfert est illisible. Saisissez-le avec ses dix chiffres, ou sous la"
        " forme +33…."
    ),
    "transfer_is_line": (
        "Le numéro de transfert renvoie ses appels vers nous : ils tourneraient en rond."
        " Choisissez une ligne qui n’est pas renvoyée."
    ),
    "transfer_is_ours": (
        "Le numéro de transfert est celui de votre assistante. Choisissez le numéro d’une personne."
    ),
    "too_many_streams": "Trop de pages suivent les appels en direct. Fermez-en une.",
    # Calls, appointments, hours.
    "call_unknown": "Cet appel est introuvable.",
    "date_invalid": "Une date est illisible (exemple : 2026-03-31).",
    "filter_invalid": "Un filtre de recherche n’est pas valable.",
    "page_invalid": "Le numéro de page n’est pas valable.",
    "hours_time_invalid": "Une heure est illisible (exemple : 09:00).",
    "hours_order": "Une heure de fin doit suivre l’heure de début (au plus tard 6 h le lendemain).",
    "hours_overlap": "Deux plages d’ouverture se chevauchent.",
    "hours_break": "La pause doit se trouver à l’intérieur des heures d’ouverture.",
    "hours_missing": "Indiquez les heures d’ouverture, ou fermez ce jour.",
    "hours_both": "Indiquez soit une pause, soit des plages d’ouverture.",
    "hours_day_invalid": "Le jour doit aller de 1 (lundi) à 7 (dimanche), une fois chacun.",
    "hours_saved": "Vos horaires sont enregistrés.",
    **knowledge_catalogue.FRENCH,
    **agenda_catalogue.FRENCH,
    **appointment_catalogue.FRENCH,
    **call_catalogue.FRENCH,
    **calendar_catalogue.FRENCH,
    **line_catalogue.FRENCH,
    **channel_catalogue.FRENCH,
    **text_catalogue.FRENCH,
    **persons_catalogue.FRENCH,
}

_EN: Mapping[str, str] = {
    "bad_request": "The request can't be read. Reload the page and try again.",
    "unauthorised": "Your session is not valid. Please sign in again.",
    "forbidden": "You don't have access to this page.",
    "not_found": "This can't be found.",
    "method_not_allowed": "This action doesn't exist here.",
    "timeout": "The request took too long to arrive. Please try again.",
    "conflict": "This value is already taken.",
    "too_large": "The request is too large.",
    "unsupported_media_type": "The format of the request isn't recognised (JSON expected).",
    "invalid": "A value is not valid. Please check what you entered.",
    "invalid_field": "The value of “{field}” is not valid.",
    "too_many_requests": "Too many requests at once. Please wait a moment.",
    "unavailable": "The service is unavailable for a moment. Please try again.",
    "internal": "Something went wrong on our side. Please try again in a moment.",
    "code_wrong": "This code is wrong or has expired. Ask for a new one.",
    "changed_meanwhile": "Somebody else has just changed this. Reload the page.",
    "session_expired": "Your session has expired, please sign in again.",
    "tenant_suspended": "Your organisation is suspended. Please contact your host.",
    "not_allowed": "You aren't allowed to do this. Ask whoever is in charge of the account.",
    "refresh_elsewhere": "Your session can't be renewed here. Please sign in again.",
    "key_unknown": "This key can't be found.",
    "window_closed": (
        "WhatsApp no longer allows a free answer: they wrote more than 24 hours ago. Send a"
        " template instead."
    ),
    "key_over": "This key was already replaced or revoked.",
    "keys_too_many": "You have too many active keys. Revoke one first.",
    "key_label_invalid": "Give the key a name on a single line (100 characters at most).",
    "scopes_invalid": "Choose at least one permission for this key, among those offered.",
    "tenant_unknown": "This organisation can't be found.",
    "tenant_id_taken": "This organisation identifier is already in use.",
    "tenant_id_invalid": (
        "The identifier may only contain unaccented letters, digits, hyphens and underscores"
        " (64 at most)."
    ),
    "tenant_name_invalid": "Please give the name of the organisation.",
    "timezone_invalid": "This time zone doesn't exist (example: Europe/Paris).",
    "locale_invalid": "This language is not available (examples: fr-FR, en-GB).",
    "number_unreadable": "A number can't be read. Give it like +33…, for example.",
    "number_shared": "A shared number can't belong to a single organisation.",
    "number_is_line": "One of the numbers is already a line that forwards to us.",
    "number_is_transfer": "One of the numbers already receives call transfers.",
    "number_taken": "One of the numbers already belongs to an organisation.",
    "channel_unknown": "This channel is not available.",
    "channel_by_hand": "This channel is configured here with credentials of your own.",
    "channel_saved": "Your settings are saved.",
    "secrets_no_key": (
        "Your credentials can't be kept yet: whoever hosts this service must set an encryption key"
        " first. Nothing was saved."
    ),
    "secrets_unreadable": (
        "Your saved credentials can't be read at the moment. Nothing is lost: please tell whoever"
        " hosts this service."
    ),
    "secret_unusable": "This key can't be used: please check that you copied all of it.",
    "line_unreadable": "Your business number can't be read. Give all its digits, or like +33….",
    "line_taken": (
        "This number is already connected to another organisation. If it is yours, verify the"
        " line: it will be given to you."
    ),
    "line_is_ours": (
        "This is your assistant's own number: give yours, the one that your customers dial."
    ),
    "line_is_transfer": "This number already receives call transfers: calls would go in circles.",
    "transfer_unreadable": "The transfer number can't be read. Give all its digits, or like +33….",
    "transfer_is_line": (
        "The transfer number forwards its calls to us: they would go in circles. Choose a line"
        " that isn't forwarded."
    ),
    "transfer_is_ours": (
        "The transfer number is your assistant's own. Choose the number of a person."
    ),
    "too_many_streams": "Too many pages are following live calls. Please close one.",
    "call_unknown": "This call can't be found.",
    "date_invalid": "A date can't be read (example: 2026-03-31).",
    "filter_invalid": "A search filter is not valid.",
    "page_invalid": "The page number is not valid.",
    "hours_time_invalid": "A time can't be read (example: 09:00).",
    "hours_order": "An end time must follow its start time (until 6 the next morning at most).",
    "hours_overlap": "Two opening ranges overlap.",
    "hours_break": "The break must lie within the opening hours.",
    "hours_missing": "Give the opening hours, or close that day.",
    "hours_both": "Give either a break or opening ranges.",
    "hours_day_invalid": "Days go from 1 (Monday) to 7 (Sunday), each once.",
    "hours_saved": "Your opening hours are saved.",
    **knowledge_catalogue.ENGLISH,
    **agenda_catalogue.ENGLISH,
    **appointment_catalogue.ENGLISH,
    **call_catalogue.ENGLISH,
    **calendar_catalogue.ENGLISH,
    **line_catalogue.ENGLISH,
    **channel_catalogue.ENGLISH,
    **text_catalogue.ENGLISH,
    **persons_catalogue.ENGLISH,
}

CATALOGUES: Mapping[Language, Mapping[str, str]] = {"fr": _FR, "en": _EN}


def sentence(locale: str, key: str, /, **values: str) -> str:
    """The sentence for `key` in the language of `locale` ("fr-FR"); French when it isn't known.

    Values are inserted once and never rendered again. Raises KeyError for an unknown key or a
    missing value.
    """
    return CATALOGUES[language_of(locale)][key].format_map(values)


def has_sentence(key: str) -> bool:
    """Whether the dashboard has its own words for `key`."""
    return key in _FR

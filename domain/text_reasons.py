"""Why a text didn't go or didn't arrive, in words a shop owner understands, by the vendor's code or
by our own reason. Pure.

Sources: https://www.twilio.com/docs/api/errors (twilio.md §5.3), Meta's error codes
(text-channels.md §1.3), SMTP's replies (§3.2).
"""

import re
from collections.abc import Mapping
from typing import Final

from domain.messages import language_of

_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    # Ours: nothing was sent
    "opted_out": (
        "Cette personne a demandé à ne plus recevoir de messages sur ce canal.",
        "This person asked for no more messages on this channel.",
    ),
    "no_consent": (
        "Cette personne n'a pas donné son accord pour recevoir des offres.",
        "This person has not agreed to receive offers.",
    ),
    "sender_blocked": (
        "Cette personne a bloqué le numéro d'envoi (STOP) : elle n'est plus joignable par SMS.",
        "This person has blocked the sending number (STOP): texts no longer reach them.",
    ),
    "template_off": (
        "Ce type de message est désactivé dans les réglages du canal.",
        "This kind of message is switched off in the channel's settings.",
    ),
    "channel_off": (
        "Ce canal est désactivé dans vos réglages.",
        "This channel is switched off in your settings.",
    ),
    "number_taken": (
        "Ce numéro WhatsApp est relié à une autre organisation.",
        "This WhatsApp number belongs to another organisation.",
    ),
    "no_tls": (
        "Le serveur d'e-mail ne propose pas de connexion chiffrée.",
        "The mail server offers no encrypted connection.",
    ),
    "bad_certificate": (
        "Le certificat du serveur d'e-mail n'est pas valable.",
        "The mail server's certificate is not valid.",
    ),
    "channel_not_configured": (
        "Ce canal n'est pas configuré.",
        "This channel is not set up.",
    ),
    "country_not_allowed": (
        "L'envoi vers ce pays n'est pas autorisé.",
        "Sending to this country is not allowed.",
    ),
    "number_invalid": ("Ce numéro n'est pas valable.", "This number is not valid."),
    "number_premium": (
        "Ce numéro est surtaxé ou spécial : rien ne lui est envoyé.",
        "This is a premium or special number: nothing is sent to it.",
    ),
    "number_landline": (
        "Ce numéro est une ligne fixe : il ne reçoit pas de SMS.",
        "This is a landline: it cannot receive texts.",
    ),
    "daily_cap": (
        "Le nombre de messages par jour est atteint.",
        "The daily number of messages has been reached.",
    ),
    "spend_cap": (
        "Le plafond de dépenses du jour est atteint : le message n'est pas parti.",
        "Today's spending cap is reached: the message was not sent.",
    ),
    "quiet_hours": (
        "Il était trop tard, ou c'était un jour sans envoi : le message n'est pas parti.",
        "It was too late, or a day on which nothing is sent: the message did not go.",
    ),
    "tenant_suspended": ("Votre compte est suspendu.", "Your account is suspended."),
    "expired": (
        "Le message n'a pas pu partir à temps : il n'était plus utile.",
        "The message could not leave in time: it was no longer of use.",
    ),
    "appointment_changed": (
        "Le rendez-vous a changé depuis : le message n'avait plus lieu d'être.",
        "The appointment has changed since: the message was no longer true.",
    ),
    "human_took_over": (
        "Quelqu'un de chez vous a répondu entre-temps.",
        "One of you answered in the meantime.",
    ),
    "cancelled": ("L'envoi a été annulé.", "Sending was cancelled."),
    "whatsapp_window": (
        "WhatsApp n'accepte un message libre que dans les 24 h après le dernier message du client,"
        " et aucun modèle approuvé n'est enregistré.",
        "WhatsApp only takes free text within 24 hours of the customer's last message,"
        " and no approved template is kept.",
    ),
    "too_many_attempts": (
        "Le service d'envoi n'a pas répondu malgré plusieurs essais.",
        "The sending service did not answer in spite of several attempts.",
    ),
    "unknown_outcome": (
        "Le service d'envoi n'a pas confirmé : le message est peut-être arrivé. Il n'est pas"
        " renvoyé, pour ne pas arriver deux fois.",
        "The sending service did not confirm: the message may have arrived. It is not sent again,"
        " so as not to arrive twice.",
    ),
    "credentials_unreadable": (
        "Les identifiants du canal sont illisibles : saisissez-les à nouveau.",
        "The channel's credentials cannot be read: enter them again.",
    ),
    # Twilio
    "20003": (
        "Le compte d'envoi de SMS est refusé : contactez le support.",
        "The texting account is refused: contact support.",
    ),
    "21211": ("Ce numéro n'existe pas.", "This number does not exist."),
    "21214": ("Ce numéro n'est pas joignable.", "This number cannot be reached."),
    "21212": ("Le numéro d'envoi n'est pas valable.", "The sending number is not valid."),
    "21606": (
        "Le numéro d'envoi ne permet pas les SMS.",
        "The sending number cannot send texts.",
    ),
    "21408": (
        "L'envoi de SMS vers ce pays n'est pas activé.",
        "Texting to this country is not enabled.",
    ),
    "21610": (
        "Cette personne a bloqué le numéro d'envoi (STOP) : elle n'est plus joignable par SMS.",
        "This person has blocked the sending number (STOP): texts no longer reach them.",
    ),
    "21612": (
        "Ce numéro ne peut pas être joint depuis le numéro d'envoi.",
        "This number cannot be reached from the sending number.",
    ),
    "21614": (
        "Ce numéro n'est pas un mobile : il ne reçoit pas de SMS.",
        "This is not a mobile number: it cannot receive texts.",
    ),
    "21617": ("Le message est trop long.", "The message is too long."),
    "21635": (
        "Ce numéro est une ligne fixe : il ne reçoit pas de SMS.",
        "This is a landline: it cannot receive texts.",
    ),
    "30001": (
        "Trop de messages attendaient chez l'opérateur.",
        "Too many messages were waiting at the carrier.",
    ),
    "30002": (
        "Le compte d'envoi de SMS est suspendu : contactez le support.",
        "The texting account is suspended: contact support.",
    ),
    "30003": (
        "Le téléphone est éteint ou hors réseau.",
        "The telephone is switched off or out of reach.",
    ),
    "30004": (
        "L'opérateur ou la personne bloque ces messages.",
        "The carrier or the person blocks these messages.",
    ),
    "30005": ("Ce numéro n'est pas attribué.", "This number is not in use."),
    "30006": (
        "Ce numéro est une ligne fixe, ou son opérateur n'est pas joignable.",
        "This is a landline, or its carrier cannot be reached.",
    ),
    "30007": (
        "Le message a été filtré par l'opérateur : son contenu ressemble à de la publicité.",
        "The carrier filtered the message: it looks like advertising.",
    ),
    "30008": (
        "L'opérateur n'a pas livré le message, sans dire pourquoi.",
        "The carrier did not deliver the message and did not say why.",
    ),
    # Meta
    "0": (
        "Meta refuse vos identifiants WhatsApp : reconnectez le canal.",
        "Meta refuses your WhatsApp credentials: connect the channel again.",
    ),
    "190": (
        "Le jeton d'accès WhatsApp a expiré : enregistrez-en un nouveau.",
        "The WhatsApp access token has expired: save a new one.",
    ),
    "10": (
        "Votre compte WhatsApp n'a pas la permission d'envoyer.",
        "Your WhatsApp account is not permitted to send.",
    ),
    "131005": (
        "Votre compte WhatsApp n'a pas la permission d'envoyer.",
        "Your WhatsApp account is not permitted to send.",
    ),
    "131026": (
        "Cette personne n'a pas WhatsApp, ou ne peut pas y recevoir ce message.",
        "This person is not on WhatsApp, or cannot receive this message there.",
    ),
    "131030": (
        "Ce numéro n'est pas dans la liste d'essai de votre compte WhatsApp.",
        "This number is not on the test list of your WhatsApp account.",
    ),
    "131031": (
        "Votre compte WhatsApp est bloqué par Meta.",
        "Meta has locked your WhatsApp account.",
    ),
    "131042": (
        "Meta signale un problème de paiement sur votre compte WhatsApp.",
        "Meta reports a payment problem on your WhatsApp account.",
    ),
    "131047": (
        "Plus de 24 h depuis le dernier message du client : WhatsApp demande un modèle approuvé.",
        "Over 24 hours since the customer's last message: WhatsApp wants an approved template.",
    ),
    "131048": (
        "Meta limite vos envois WhatsApp : trop de messages signalés comme indésirables.",
        "Meta limits your WhatsApp messages: too many were reported as spam.",
    ),
    "131049": (
        "WhatsApp n'a pas livré cette offre : la personne en a reçu trop récemment.",
        "WhatsApp did not deliver this offer: the person got too many recently.",
    ),
    "131050": (
        "Cette personne a coupé les offres de votre entreprise dans WhatsApp.",
        "This person stopped your business's offers in WhatsApp.",
    ),
    "131053": ("WhatsApp n'a pas pris le fichier joint.", "WhatsApp did not take the attachment."),
    "132000": (
        "Le modèle WhatsApp attend d'autres valeurs : vérifiez-le.",
        "The WhatsApp template wants other values: check it.",
    ),
    "132001": (
        "Ce modèle WhatsApp n'existe pas dans cette langue, ou n'est pas approuvé.",
        "This WhatsApp template does not exist in this language, or is not approved.",
    ),
    "132015": (
        "Meta a mis ce modèle WhatsApp en pause.",
        "Meta has paused this WhatsApp template.",
    ),
    "132016": (
        "Meta a désactivé ce modèle WhatsApp.",
        "Meta has disabled this WhatsApp template.",
    ),
    # SMTP
    "421": ("Le serveur d'e-mail est occupé.", "The mail server is busy."),
    "452": ("La boîte de réception est pleine.", "The mailbox is full."),
    "530": (
        "Le serveur d'e-mail demande une connexion sécurisée : vérifiez les réglages.",
        "The mail server wants a secure connection: check the settings.",
    ),
    "534": (
        "Google demande un mot de passe d'application : créez-en un et enregistrez-le.",
        "Google wants an app password: create one and save it.",
    ),
    "535": (
        "Le serveur d'e-mail refuse l'utilisateur ou le mot de passe : vérifiez-les.",
        "The mail server refuses the user or the password: check them.",
    ),
    "550": (
        "Le serveur du destinataire refuse : adresse inconnue, ou vos e-mails y sont bloqués.",
        "The recipient's server refuses: the address does not exist, or blocks your mail.",
    ),
    "552": ("La boîte de réception est pleine.", "The mailbox is full."),
    "553": (
        "L'adresse d'expédition n'appartient pas à ce compte d'e-mail.",
        "The sending address does not belong to this mail account.",
    ),
    "554": (
        "L'e-mail a été refusé comme indésirable.",
        "The email was refused as spam.",
    ),
}

_OTHER: Final = (
    "Le message n'est pas arrivé (code {code}).",
    "The message did not arrive (code {code}).",
)
_NO_CODE: Final = ("Le message n'est pas arrivé.", "The message did not arrive.")


def reason(code: str | None, locale: str | None) -> str:
    """The sentence for a vendor's code ("30003", "535 5.7.8") or a reason of ours."""
    at = 0 if language_of(locale) == "fr" else 1
    if not code:
        return _NO_CODE[at]
    found = _REASONS.get(code) or _REASONS.get(re.split(r"[ .]", code, maxsplit=1)[0])
    if found is not None:
        return found[at]
    shown = re.sub(r"[^\w.#-]", "", code)[:20]
    return _OTHER[at].format(code=shown)

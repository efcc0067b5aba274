"""What the dashboard says about channels: whether they work and why not, switches, addresses."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    # States (`domain.channel_state.Why`).
    "channel_works": "Ce canal fonctionne.",
    "channel_sends_only": (
        "Ce canal envoie vos messages, mais les réponses ne nous parviennent pas encore."
    ),
    "channel_off": "Ce canal est désactivé.",
    "channel_phone_off": (
        "Votre assistante ne répond pas : les appels sont transférés à votre numéro de transfert"
        " s’il y en a un, sinon à la messagerie."
    ),
    "channel_not_offered": "Ce canal n’est pas proposé sur cette installation.",
    "channel_no_number": (
        "Aucun numéro ne mène à votre assistante : saisissez votre numéro professionnel, puis"
        " activez le renvoi d’appel."
    ),
    "channel_not_configured": "Ce canal n’est pas configuré.",
    "channel_connecting": "Votre numéro WhatsApp est en cours de raccordement.",
    "channel_credentials_unreadable": (
        "Vos identifiants enregistrés sont illisibles pour le moment. Rien n’est perdu : prévenez"
        " votre hébergeur."
    ),
    "channel_credentials_refused": (
        "Vos identifiants sont refusés : {reason} Corrigez-les, puis enregistrez."
    ),
    "channel_number_taken": "Ce numéro est déjà relié à une autre organisation.",
    "channel_number_unverified": "Votre numéro n’est pas encore vérifié.",
    "channel_paused": "Nous avons mis ce canal en pause : {reason}",
    "channel_vendor_down": (
        "Le service d’envoi ne répond pas. Vos messages attendent et partiront dès son retour."
    ),
    # Switches.
    "channel_must_be_configured": (
        "Ce canal n’est pas encore configuré. Configurez-le avant de l’activer."
    ),
    "channel_enabled": "Le canal est activé.",
    "channel_disabled": "Le canal est désactivé.",
    "channel_resumed": "Le canal reprend : les messages en attente vont partir.",
    "channel_nothing_given": "Rien n’a été envoyé à enregistrer.",
    "whatsapp_number_taken": "Ce numéro WhatsApp est déjà relié à une autre organisation.",
    "whatsapp_number_unproven": (
        "Votre numéro WhatsApp n’est pas encore vérifié. Enregistrez d’abord son jeton et son"
        " identifiant, puis patientez un instant."
    ),
    # Inbound email.
    "inbound_made": (
        "Voici l’adresse à donner à votre service d’e-mail. Notez le mot de passe : il ne sera"
        " plus affiché."
    ),
    "inbound_removed": "Cette adresse ne reçoit plus rien.",
    "inbound_none": "Aucune adresse de réception n’a été créée.",
    "whatsapp_webhook_made": (
        "Indiquez cette adresse et ce jeton dans votre application Meta. Le jeton ne sera plus"
        " affiché."
    ),
    "preset_account": "Le mot de passe de votre boîte e-mail.",
    "preset_app_password": "Un mot de passe d’application, à créer dans votre compte.",
    "preset_api_key": "Une clé d’API (SMTP), à créer dans votre compte.",
    "preset_oauth": ("Ce fournisseur n’accepte plus les mots de passe : choisissez-en un autre."),
    # The words of SMS.
    "model_segments": "Ce message compte {segments} SMS, facturés chacun.",
    "model_strangers": "Ces caractères rendent le message plus cher : {strangers}",
    # The import of what browsers kept.
    "import_done": "Vos réglages enregistrés dans ce navigateur ont été examinés.",
    "import_kept": "Déjà enregistré ici : rien n’a été changé.",
    "import_taken": "Repris.",
    "import_unreadable": "Ces réglages sont illisibles.",
}
ENGLISH: Mapping[str, str] = {
    "channel_works": "This channel works.",
    "channel_sends_only": "This channel sends your messages; answers don't reach us yet.",
    "channel_off": "This channel is switched off.",
    "channel_phone_off": (
        "Your assistant doesn't answer: calls go to your transfer number if there is one, else to"
        " voicemail."
    ),
    "channel_not_offered": "This deployment doesn't offer this channel.",
    "channel_no_number": (
        "No number leads to your assistant: enter your business number, then forward it."
    ),
    "channel_not_configured": "This channel isn't set up.",
    "channel_connecting": "Your WhatsApp number is being connected.",
    "channel_credentials_unreadable": (
        "Your saved credentials can't be read right now. Nothing is lost: tell your host."
    ),
    "channel_credentials_refused": (
        "Your credentials are refused: {reason} Correct them, then save."
    ),
    "channel_number_taken": "This number already belongs to another organisation.",
    "channel_number_unverified": "Your number isn't verified yet.",
    "channel_paused": "We have paused this channel: {reason}",
    "channel_vendor_down": (
        "The sending service doesn't answer. Your messages wait and leave when it is back."
    ),
    "channel_must_be_configured": "This channel isn't set up yet. Set it up, then switch it on.",
    "channel_enabled": "The channel is switched on.",
    "channel_disabled": "The channel is switched off.",
    "channel_resumed": "The channel goes on: what waits will leave.",
    "channel_nothing_given": "Nothing was sent to be saved.",
    "whatsapp_number_taken": "This WhatsApp number already belongs to another organisation.",
    "whatsapp_number_unproven": (
        "Your WhatsApp number isn't verified yet. Save its token and its id first, then wait a"
        " moment."
    ),
    "inbound_made": (
        "Give this address to your mail service. Note the password: it won't be shown again."
    ),
    "inbound_removed": "This address takes nothing any more.",
    "inbound_none": "There is no address for inbound email.",
    "whatsapp_webhook_made": (
        "Enter this address and this token in your app at Meta. The token won't be shown again."
    ),
    "preset_account": "Your mailbox's password.",
    "preset_app_password": "An app password, made in your account.",
    "preset_api_key": "An API key (SMTP), made in your account.",
    "preset_oauth": "This provider takes no passwords any more: choose another.",
    "model_segments": "This message counts as {segments} SMS, each paid for.",
    "model_strangers": "These characters make the message dearer: {strangers}",
    "import_done": "The settings kept in this browser were looked at.",
    "import_kept": "Saved here already: nothing was changed.",
    "import_taken": "Taken over.",
    "import_unreadable": "These settings can't be read.",
}

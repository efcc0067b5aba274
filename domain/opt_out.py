"""Words that end texts, or begin them again: before any model reads the message.

Pure. The whole message must be such a word, but for case, accents and punctuation: "Arrêt !" ends
them, "je voudrais arrêter à 15 h" is a sentence (text-channels.md §7).
"""

from typing import Final, Literal

from domain.folding import bare_words

Order = Literal["stop", "stop_marketing", "start", "help"]

#: Twilio's own English words (twilio.md §5.4) but CANCEL, by which people cancel appointments, and
#: French ones, which Twilio doesn't know.
_WORDS: Final[dict[str, Order]] = {}


def _define(meaning: Order, *phrases: str) -> None:
    for phrase in phrases:
        _WORDS[phrase] = meaning


_define(
    "stop",
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt out",
    "arret",
    "arrete",
    "arretez",
    "arreter",
    "stop sms",
    "arret sms",
    "stop tout",
    "stoppez",
    "stopper",
    "stop rappels",
    "stop messages",
    "stop message",
    "desabonner",
    "desabonnement",
    "desabonnez moi",
    "me desabonner",
    "desinscription",
    "desinscrire",
    "desinscrivez moi",
    "me desinscrire",
    "ne plus recevoir",
    "ne plus recevoir de messages",
    "ne plus recevoir de sms",
    "ne plus me contacter",
    "ne m ecrivez plus",
    "plus de sms",
    "plus de messages",
    "plus de rappels",
)
_define("stop_marketing", "stop pub", "stop pubs", "stop promo", "stop promos", "stop promotions",
        "plus de pub", "plus de promos", "stop ads")  # fmt: skip
_define("start", "start", "unstop", "reprendre", "recommencer", "reabonner", "reabonnement",
        "reabonnez moi", "me reabonner", "reinscription", "reinscrire")  # fmt: skip
_define("help", "help", "info", "aide")

_LONGEST: Final = 60


def order_in(message: str) -> Order | None:
    """What a whole message asks for: `stop` everything on this channel, `stop_marketing`, `start`
    again, `help`; None when it is something else. "Oui" and "annuler" are answers, not these."""
    if len(message) > _LONGEST:
        return None
    return _WORDS.get(bare_words(message))

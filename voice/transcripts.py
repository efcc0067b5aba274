"""What transcribers write that nobody said, and what callers say that is no turn. Pure."""

import re
from typing import Final

#: Whisper was trained on subtitles, and writes their last lines over noise and silence
#: (https://github.com/openai/whisper/discussions/928).
_SUBTITLES: Final = re.compile(
    r"sous-?titr|amara\.org|soustitreur|st' ?501|radio-canada|abonnez-vous|abonne-toi"
    r"|merci d'avoir (regardé|visionné)|à la prochaine vidéo|❤|♪|thanks? (you )?for watching"
    r"|subtitles? by|transcription by|like and subscribe",
    re.I,
)
#: More characters a second than anybody speaks (15 to 20 are fast), beside one short word.
_FASTEST: Final = 40.0
_SHORT: Final = 14

#: Longer than anybody speaks in a minute.
_MAX_CHARACTERS: Final = 2_000

_BACK_CHANNEL: Final = re.compile(
    r"oui|ouais|ouai|m+h?m*|hm+|hum+|ah|oh|ok|okay|o\.k|d'accord|voilà|très bien|c'est ça"
    r"|bien sûr|parfait|je vois|entendu|yes|yeah|uh-?huh|right|i see|sure"
)
_BETWEEN: Final = re.compile(r"[,.!…;]\s*|\s+(?=oui|ok|d'accord|ouais|ah|oh)")


def clean(text: str, spoken_ms: int) -> str:
    """The transcript of a turn with so much speech in it; "" when it can't be what was said."""
    said = " ".join(text[:_MAX_CHARACTERS].split())
    if not any(each.isalnum() for each in said):
        return ""
    if _SUBTITLES.search(said):
        return ""
    too_much = len(said) > _SHORT and len(said) > _FASTEST * spoken_ms / 1000
    return "" if too_much else said


def is_back_channel(text: str) -> bool:
    """ "Oui", "d'accord", "mmh": somebody listens, and wants nothing."""
    said = text[:_MAX_CHARACTERS].strip().casefold().replace("’", "'")
    parts = [part for part in _BETWEEN.split(said) if part.strip()]
    return bool(parts) and all(_BACK_CHANNEL.fullmatch(part.strip()) for part in parts)

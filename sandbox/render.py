"""The agent's voice for any text: known phrases, then words, then syllables, one after the other.

Deterministic: the same text is the same audio, in every process. Real speech sounds throughout.
"""

import re
import unicodedata
import zlib
from functools import lru_cache

from sandbox.audio import hush
from sandbox.bank import Clip, clips
from sandbox.wording import PAUSES, tokens

_SHORT_PAUSE = 8  # frames of 20 ms after a comma
_LONG_PAUSE = 14  # after a sentence
# French spelling, roughly as it sounds, in the letters of the syllable clips.
_SOUNDS = tuple(
    (re.compile(spelling), sound)
    for spelling, sound in (
        (r"[èêë]", "é"),
        (r"[àâä]", "a"),
        (r"[îï]", "i"),
        (r"[ôö]", "o"),
        (r"[ùûü]", "u"),
        (r"eau|au", "o"),
        (r"ph", "f"),
        (r"qu?", "k"),
        (r"ç|c(?=[eiéy])", "s"),
        (r"g(?=[eéi])(?!u)", "j"),
        (r"gu(?=[eéi])", "g"),
        (r"ch", "C"),
        (r"gn", "G"),
        (r"c", "k"),
        (r"h", ""),
        (r"x", "ks"),
        (r"w", "v"),
        (r"y", "i"),
        (r"(?:ain|ein|aim|im|in|un)(?![aeéioun])", "in"),
        (r"(?:en|em|am|an)(?![aeéiounm])", "an"),
        (r"(?:on|om)(?![aeéiounm])", "on"),
        (r"ai|ei|(?:er|ez)$", "é"),
        (r"e(?=[^aeéiou]{2})", "é"),
        (r"(?:es|ent|e)$", ""),
        (r"(?<=[aéiou])[tsdpz]+$|(?<=n)[tsdp]+$", ""),
        (r"e(?!u)", "eu"),
        (r"([bdfgjklmnprstvz])\1", r"\1"),
        (r"C", "ch"),
        (r"G", "gn"),
    )
)


@lru_cache(maxsize=512)
def render(text: str) -> bytes:
    """µ-law of the agent saying the text; empty when there is nothing to say in it."""
    said = tokens(text)
    if all(token in PAUSES for token in said):
        return b""
    while said[-1] in PAUSES:
        said = said[:-1]
    phrases, longest = _phrases()
    parts: list[bytes] = []
    at = 0
    while at < len(said):
        taken, audio = _longest(said, at, phrases, longest)
        parts.append(audio)
        at += taken
    return b"".join(parts)


def _longest(
    said: tuple[str, ...], at: int, phrases: dict[tuple[str, ...], bytes], longest: int
) -> tuple[int, bytes]:
    for size in range(min(longest, len(said) - at), 0, -1):
        audio = phrases.get(said[at : at + size])
        if audio is not None:
            return size, audio
    token = said[at]
    if token in PAUSES:
        return 1, hush(_SHORT_PAUSE if token in ",;:" else _LONG_PAUSE)
    return 1, _spell(token)


def _spell(word: str) -> bytes:
    """A word that the bank doesn't hold, by syllables."""
    sounds = word
    for spelling, sound in _SOUNDS:
        sounds = spelling.sub(sound, sounds)
    table, longest = _syllables()
    parts: list[bytes] = []
    at = 0
    sounds = sounds or word
    while at < len(sounds):
        for size in range(min(longest, len(sounds) - at), 0, -1):
            audio = table.get(sounds[at : at + size]) or table.get(sounds[at : at + size] + "eu")
            if audio is not None:
                break
        else:
            size, audio = 1, _any_syllable(sounds[at])
        parts.append(audio)
        at += size
    return b"".join(parts)


def _any_syllable(letter: str) -> bytes:
    """Foreign letters get a syllable that is always the same one."""
    bare = unicodedata.normalize("NFD", letter)[0]
    table, _ = _syllables()
    known = table.get(bare) or table.get(bare + "eu")
    if known is not None:
        return known
    every = list(table.values())
    return every[zlib.crc32(letter.encode()) % len(every)]


def _pieces(kind: str) -> list[Clip]:
    return [each for each in clips(role="agent") if each.id.startswith(kind)]


@lru_cache(maxsize=1)
def _phrases() -> tuple[dict[tuple[str, ...], bytes], int]:
    found = {tokens(each.text): each.audio for each in _pieces("word:") + _pieces("phrase:")}
    return found, max(map(len, found))


@lru_cache(maxsize=1)
def _syllables() -> tuple[dict[str, bytes], int]:
    found = {each.id.removeprefix("syllable:"): each.audio for each in _pieces("syllable:")}
    return found, max(map(len, found))

"""Our own lines and sentences in the deployment's voices: spoken once, and never waited for."""

import asyncio
import base64
from collections.abc import AsyncGenerator

import pytest

from domain.errors import ProviderError
from domain.messages import text
from tests.voice.cascade_models import Speaking
from voice.announcements import KEYS, LANGUAGES, SpokenLines, bundled, voiced
from voice.announcements.voiced import VoicedLines
from voice.spoken_before import SpokenBefore

HOLD = text("fr", "hold_1")
LINES = len(KEYS) * len(LANGUAGES)
VOICES = {"female": "anna", "male": "marc"}


def sound(lines: SpokenLines, words: str) -> bytes:
    return b"".join(base64.b64decode(piece) for piece in lines.audio(words))


async def test_each_line_is_spoken_once_in_each_voice() -> None:
    speaking = Speaking(ms=30, latency=0)
    lines = VoicedLines(speaking, VOICES)
    assert sound(lines.of("male"), HOLD) == bundled()[HOLD]
    await lines.run()
    assert len(speaking.asked) == 2 * LINES
    assert {voice for _, voice in speaking.asked} == set(VOICES.values())
    assert len(sound(lines.of("female"), HOLD)) == len(HOLD) * 30 * 8
    assert sound(lines.of("nobody"), HOLD) == bundled()[HOLD]
    assert lines.of("male").audio("Jamais dit") == ()


async def test_what_fails_stays_bundled_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voiced, "AGAIN_SECONDS", 0.05)
    speaking = Speaking(ms=30, latency=0, failures=LINES * 2)
    lines = VoicedLines(speaking, VOICES)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lines.run())
        await asyncio.sleep(0.02)
        assert sound(lines.of("female"), HOLD) == bundled()[HOLD]
        await running
    assert sound(lines.of("female"), HOLD) != bundled()[HOLD]
    assert len(speaking.asked) == 4 * LINES


async def test_a_voice_that_never_answers_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voiced, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(voiced, "TRIES", 1)
    lines = VoicedLines(Speaking(latency=60), VOICES)
    await lines.run()
    assert sound(lines.of("female"), HOLD) == bundled()[HOLD]


async def said(speech: SpokenBefore, words: str) -> bytes:
    return b"".join([piece async for piece in speech.speak(words, "anna")])


async def test_a_sentence_is_synthesised_once() -> None:
    speaking = Speaking(latency=0)
    speech = SpokenBefore(speaking)
    first = await said(speech, "Bonjour, ici Sara.")
    assert await said(speech, "Bonjour, ici Sara.") == first
    assert speaking.asked == [("Bonjour, ici Sara.", "anna")]
    assert (speech.rate, speech.name) == (24_000, "fake-tts")


async def test_what_was_not_spoken_to_its_end_is_not_kept() -> None:
    speaking = Speaking(latency=0, failures=1)
    speech = SpokenBefore(speaking)
    with pytest.raises(ProviderError):
        await said(speech, "Bonjour.")
    half: AsyncGenerator[bytes, None] = speech.speak("Bonjour.", "anna")
    await anext(half)
    await half.aclose()
    assert await said(speech, "Bonjour.")
    assert len(speaking.asked) == 3


async def test_the_least_used_go_first_and_too_long_ones_are_never_kept() -> None:
    speaking = Speaking(latency=0, ms=10)  # 480 bytes a character
    speech = SpokenBefore(speaking, max_bytes=480 * 40)
    for words in ("un", "deux", "un", "x" * 11, "y" * 10, "z" * 10, "w" * 10, "un", "v" * 9):
        await said(speech, words)
    assert [words for words, _ in speaking.asked].count("un") == 1
    before = len(speaking.asked)
    await said(speech, "x" * 11)
    await said(speech, "deux")
    assert len(speaking.asked) == before + 2

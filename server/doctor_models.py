"""Whether the cascade's models answer: each is asked for a word, as a call would ask it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from domain.clock import Clock
from domain.errors import ProviderError
from domain.language_model import ModelMessage, TextPiece
from server.doctor_findings import Finding, ok
from server.models import language_model, speech_to_text, text_to_speech
from server.settings import Settings

#: Until a caller hears a first word, all three have to answer: together within the 2.5 s after
#: which silence is a fault.
SLOW_SECONDS = 1.0

_RATE = 16_000
_SILENCE = bytes(2 * _RATE)  # a second of it

Probe = Callable[[Settings], Awaitable[str | None]]


async def examine_models(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """One finding for each that is set, each bounded in time by its provider."""
    for kind, probe in (("STT", _listens), ("LLM", _thinks), ("TTS", _speaks)):
        began = clock.monotonic()
        try:
            name = await probe(settings)
        except ProviderError as error:
            yield _failed(kind, error)
            continue
        if name is not None:
            yield _answered(kind, name, clock.monotonic() - began)


async def _listens(settings: Settings) -> str | None:
    ears = speech_to_text(settings)
    if ears is None:
        return None
    async with ears:
        await ears.transcribe(_SILENCE, _RATE, "fr")
    return ears.name


async def _thinks(settings: Settings) -> str | None:
    model = language_model(settings)
    if model is None:
        return None
    question = [ModelMessage("user", "Réponds par un seul mot : bonjour.")]
    async with model, contextlib.aclosing(model.answer(question)) as answer:
        words = "".join([each.text async for each in answer if isinstance(each, TextPiece)])
    if not words.strip():
        raise ProviderError("llm", "an answer without a word", retryable=True, code="empty")
    return model.name


async def _speaks(settings: Settings) -> str | None:
    mouth = text_to_speech(settings)
    if mouth is None:
        return None
    async with mouth:
        for voice in dict.fromkeys(settings.tts_voices.values()):
            async with contextlib.aclosing(mouth.speak("Bonjour.", voice)) as speech:
                await anext(speech)
    return mouth.name


def _answered(kind: str, name: str, seconds: float) -> Finding:
    what = f"{kind}: {name} answers in {seconds * 1000:.0f} ms"
    if seconds > SLOW_SECONDS:
        return Finding("warn", what, "callers wait so long: use a faster model or machine")
    return ok(what)


def _failed(kind: str, error: ProviderError) -> Finding:
    if error.status in (401, 403):
        cure = f"check {kind}_API_KEY"
    elif error.status in (400, 404, 422):
        also = ", TTS_VOICE_FEMALE and TTS_VOICE_MALE" if kind == "TTS" else ""
        cure = f"check {kind}_MODEL{also}, and that {kind}_BASE_URL ends with /v1 if it should"
    elif error.code == "thoughts":
        cure = "set LLM_THINKING to open, or keep it from thinking (LLM_REQUEST_FIELDS)"
    elif error.code == "empty":
        cure = "does it think, or end its thoughts? See LLM_THINKING and LLM_REQUEST_FIELDS"
    elif kind == "TTS" and error.code == "unexpected_answer":
        cure = "set TTS_FORMAT to wav, or use a server that gives 16-bit mono as PCM or WAV"
    else:
        cure = f"is {kind}_BASE_URL right, and is its server running?"
    return Finding("fail", f"{kind}: {error.reason}", cure)

"""The cascade, where its three models are set: who it is made of, and its place on the ladder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from domain.language_model import LanguageModel
from server.models import speech_to_text, text_to_speech
from server.settings import Settings
from voice.agents import Speaker
from voice.announcements import SpokenLines, bundled
from voice.announcements.voiced import VoicedLines
from voice.cascade import CascadeConnector, CascadeModels
from voice.ladder import Rung
from voice.spoken_before import SpokenBefore
from voice.streams import NOBODY


@asynccontextmanager
async def cascade_models(
    settings: Settings, model: LanguageModel | None
) -> AsyncIterator[CascadeModels | None]:
    """All three of them, or None. `model` is closed by who made it."""
    stt, tts = speech_to_text(settings), text_to_speech(settings)
    async with AsyncExitStack() as stack:
        for each in (stt, tts):
            if each is not None:
                await stack.enter_async_context(each)
        if stt is None or tts is None or model is None:
            yield None
        else:
            own = SpokenBefore(tts)
            yield CascadeModels(stt, model, tts, settings.tts_voices, own)


def cascade(models: CascadeModels | None, tasks: asyncio.TaskGroup) -> dict[Rung, Speaker]:
    """Its rung. The deployment's own keys serve every tenant: one account."""
    if models is None:
        return {}
    connector = CascadeConnector(models, tasks)

    async def probe() -> None:
        await connector.probe(NOBODY)

    return {Rung.CASCADE: Speaker(connector, lambda _: True, lambda _: "", probe)}


def announcements(models: CascadeModels | None) -> SpokenLines:
    """Our own lines: in the deployment's voices where it has some."""
    return SpokenLines(bundled()) if models is None else VoicedLines(models.tts, models.voices)

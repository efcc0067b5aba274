"""The cascade, where its three models are set: who it is made of, and its place on the ladder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial

from domain.language_model import LanguageModel
from server.models import speech_to_text, text_to_speech
from server.settings import Settings
from voice.agents import Speaker, breaker_of
from voice.announcements import SpokenLines, bundled
from voice.announcements.voiced import VoicedLines
from voice.cascade import CascadeConnector, CascadeModels, hears, speaks
from voice.cascade_links import STT, TTS, CascadeLinks
from voice.ladder import Rung
from voice.ports import AgentSpec
from voice.probes import Probe


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
            yield CascadeModels(stt, model, tts, settings.tts_voices)


def cascade(
    links: CascadeLinks | None, tasks: asyncio.TaskGroup, nobody: AgentSpec
) -> tuple[dict[Rung, Speaker], dict[str, Probe]]:
    """Its rung, and the probes of what it is made of, the language model's excepted, which isn't
    its alone. The deployment's own keys serve every tenant: one account. `nobody`: for whom the
    probes ask."""
    if links is None:
        return {}, {}
    connector = CascadeConnector(links.models, tasks, lambda: links.are_well)
    speaker = Speaker(connector, lambda _: True, lambda _: "", links)
    return {Rung.CASCADE: speaker}, {
        breaker_of(Rung.CASCADE): partial(connector.probe, nobody),
        STT: partial(hears, links.unwatched.stt, nobody),
        TTS: partial(speaks, links.unwatched.voice(nobody.gender)),
    }


def announcements(models: CascadeModels | None) -> SpokenLines:
    """Our own lines: in the deployment's voices where it has some."""
    return _bundled_lines() if models is None else VoicedLines(models.tts, models.voices)


@cache
def _bundled_lines() -> SpokenLines:
    """Read and encoded once in a process: 4 ms."""
    return SpokenLines(bundled())

"""The cascade's models, from the settings. Their package is loaded only where one is set: it takes
a second to load, and 27 MB."""

from typing import TYPE_CHECKING

from server.settings import Settings

if TYPE_CHECKING:
    from providers.openai.chat import OpenAIChat
    from providers.openai.speech import OpenAISpeech
    from providers.openai.transcription import OpenAITranscription


def language_model(settings: Settings) -> "OpenAIChat | None":
    """The language model, if one is set; to be closed."""
    server = settings.model_server("llm")
    if server is None:
        return None
    from providers.openai.chat import OpenAIChat

    return OpenAIChat(
        server.base_url,
        server.api_key,
        server.model,
        thinking=settings.llm_thinking == "open",
        fields=settings.llm_request_fields,
    )


def speech_to_text(settings: Settings) -> "OpenAITranscription | None":
    """Who writes down what callers say, if one is set; to be closed."""
    server = settings.model_server("stt")
    if server is None:
        return None
    from providers.openai.transcription import OpenAITranscription

    return OpenAITranscription(server.base_url, server.api_key, server.model)


def text_to_speech(settings: Settings) -> "OpenAISpeech | None":
    """Who speaks, if one is set; to be closed."""
    server = settings.model_server("tts")
    if server is None:
        return None
    from providers.openai.speech import OpenAISpeech

    return OpenAISpeech(
        server.base_url,
        server.api_key,
        server.model,
        form=settings.tts_format,
        rate=settings.tts_sample_rate,
    )

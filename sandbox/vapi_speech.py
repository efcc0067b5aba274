"""What Vapi's API takes as an assistant's voice and transcriber: each vendor has fields of its own.

From the schemas behind `voice` and `transcriber` of CreateAssistantDTO (https://api.vapi.ai/api-json,
as of 2026-08). Where one lists dozens of names (voices, languages), their form is looked at. Pure.
"""

from collections.abc import Mapping
from typing import Any

from sandbox.vapi_checks import (
    SERVER,
    Check,
    Problems,
    Shape,
    any_object,
    flag,
    like,
    list_of,
    number,
    one_of,
    text,
)

_CODE = like(r"[a-z]{2}|yue|fil|auto", "ISO 639-1 codes")
_TAG = like(r"[a-z]{2,3}(-([A-Z]{2}|[A-Z][a-z]{3}|419|LATAM))?|multi|auto", "BCP 47 tags")
_REGIONAL = like(r"[a-z]{2,3}-[A-Z][A-Za-z]+(-[A-Z]{2})?", "BCP 47 tags with a region")
_NAMED = like(r"[A-Z][a-z]+", "languages by their English names")
_named = like(r"[a-z]+", "languages by their English names")
_SHARE = number(0, 1)


def _among(*values: str) -> Check:
    return one_of(frozenset(values))


_CHUNKS = Shape(
    {
        "enabled": flag,
        "minCharacters": number(1, 80),
        "punctuationBoundaries": list_of(text()),
        "formatPlan": any_object,
    }
)
_OF_VOICES: Mapping[str, Check] = {
    "cachingEnabled": flag,
    "voiceId": text(),
    "chunkPlan": _CHUNKS,
    "fallbackPlan": Shape({"voices": list_of(any_object)}, frozenset({"voices"})),
}
_VOICES: Mapping[str, Mapping[str, Check]] = {
    "11labs": {
        "stability": _SHARE,
        "similarityBoost": _SHARE,
        "style": _SHARE,
        "useSpeakerBoost": flag,
        "speed": number(0.7, 1.2),
        "optimizeStreamingLatency": number(0, 4),
        "enableSsmlParsing": flag,
        "autoMode": flag,
        "model": _among(
            "eleven_multilingual_v2",
            "eleven_turbo_v2",
            "eleven_turbo_v2_5",
            "eleven_flash_v2",
            "eleven_flash_v2_5",
            "eleven_monolingual_v1",
            "eleven_v3",
        ),
        "language": text(),
        "pronunciationDictionaryLocators": list_of(any_object),
    },
    "azure": {"speed": number(0.5, 2)},
    "cartesia": {
        "model": like(r"sonic(-[a-z0-9.-]+)?", "sonic and its versions"),
        "language": _CODE,
        "experimentalControls": any_object,
        "generationConfig": any_object,
        "pronunciationDictId": text(),
    },
    "custom-voice": {"server": SERVER},
    "deepgram": {"model": _among("aura", "aura-2"), "mipOptOut": flag},
    "hume": {
        "model": _among("octave", "octave2"),
        "isCustomHumeVoice": flag,
        "description": text(),
    },
    "inworld": {
        "model": _among("inworld-tts-1"),
        "languageCode": _CODE,
        "temperature": number(0.1, 2),
        "speakingRate": number(0.5, 1.5),
    },
    "lmnt": {"speed": number(0.25, 2), "language": _CODE},
    "microsoft": {
        "style": text(),
        "styleDegree": number(0.01, 2),
        "role": text(),
        "speed": number(0.5, 2),
    },
    "minimax": {
        "model": _among("speech-02-hd", "speech-02-turbo", "speech-2.5-turbo-preview"),
        "emotion": text(),
        "subtitleType": _among("word", "sentence"),
        "pitch": number(-12, 12),
        "speed": number(0.5, 2),
        "volume": number(0.5, 2),
        "region": _among("worldwide", "china"),
        "languageBoost": _NAMED,
        "textNormalizationEnabled": flag,
    },
    "neuphonic": {
        "model": _among("neu_hq", "neu_fast"),
        "language": _CODE,
        "speed": number(0.25, 2),
    },
    "openai": {
        "model": _among("tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
        "instructions": text(10_000),
        "speed": number(0.25, 4),
    },
    "playht": {
        "speed": number(0.1, 5),
        "temperature": number(0.1, 2),
        "emotion": text(),
        "voiceGuidance": number(1, 6),
        "styleGuidance": number(1, 30),
        "textGuidance": number(1, 2),
        "model": _among("PlayHT2.0", "PlayHT2.0-turbo", "Play3.0-mini", "PlayDialog"),
        "language": _named,
    },
    "rime-ai": {
        "model": _among("arcana", "mistv2", "mist"),
        "speed": number(0.1, 100),
        "pauseBetweenBrackets": flag,
        "phonemizeBetweenBrackets": flag,
        "reduceLatency": flag,
        "inlineSpeedAlpha": text(),
        "language": _CODE,
    },
    "sesame": {"model": _among("csm-1b")},
    "smallest-ai": {"model": _among("lightning"), "speed": number(0, 100)},
    "tavus": {
        "personaId": text(),
        "callbackUrl": text(),
        "conversationName": text(),
        "conversationalContext": text(),
        "customGreeting": text(),
        "properties": any_object,
    },
    "vapi": {
        "version": lambda value, path: (
            [] if value in ("1", "2", "latest", 1, 2) else [f"{path} must be 1, 2 or latest"]
        ),
        "speed": number(0.25, 2),
        "language": _TAG,
        "pronunciationDictionary": list_of(any_object),
    },
    "wellsaid": {
        "model": _among("caruso", "legacy"),
        "enableSsml": flag,
        "libraryIds": list_of(text()),
    },
    "xai": {"language": _TAG, "speed": number(0.7, 1.5)},
}
_MUST_OF_VOICES = {
    "custom-voice": ("server",),
    "neuphonic": ("voiceId", "language"),
    "sesame": ("voiceId", "model"),
}

_OF_TRANSCRIBERS: Mapping[str, Check] = {"fallbackPlan": any_object}
_TRANSCRIBERS: Mapping[str, Mapping[str, Check]] = {
    "11labs": {
        "model": _among("scribe_v1", "scribe_v2", "scribe_v2_realtime"),
        "language": _CODE,
        "silenceThresholdSeconds": number(0.3, 3),
        "confidenceThreshold": number(0.1, 0.9),
        "minSpeechDurationMs": number(50, 2000),
        "minSilenceDurationMs": number(50, 2000),
    },
    "assembly-ai": {
        "language": _among("multi", "en"),
        "languageCodes": list_of(_CODE),
        "confidenceThreshold": _SHARE,
        "formatTurns": flag,
        "endOfTurnConfidenceThreshold": _SHARE,
        "minEndOfTurnSilenceWhenConfident": number(0, 1e6),
        "wordFinalizationMaxWaitTime": number(0, 1e6),
        "maxTurnSilence": number(0, 1e6),
        "vadAssistedEndpointingEnabled": flag,
        "mode": _among("max_accuracy", "min_latency", "balanced"),
        "prompt": text(1750),
        "agentContext": text(1750),
        "speechModel": _among(
            "universal-streaming-english", "universal-streaming-multilingual", "universal-3-5-pro"
        ),
        "realtimeUrl": text(),
        "wordBoost": list_of(text(2500)),
        "keytermsPrompt": list_of(text(50)),
        "endUtteranceSilenceThreshold": number(0, 1e6),
        "disablePartialTranscripts": flag,
    },
    "azure": {
        "language": _REGIONAL,
        "segmentationStrategy": _among("Default", "Time", "Semantic"),
        "segmentationSilenceTimeoutMs": number(100, 5000),
        "segmentationMaximumTimeMs": number(20_000, 70_000),
    },
    "cartesia": {"model": _among("ink-whisper", "ink-2"), "language": _CODE},
    "custom-transcriber": {"server": SERVER},
    "deepgram": {
        "model": text(),
        "language": _TAG,
        "smartFormat": flag,
        "mipOptOut": flag,
        "numerals": flag,
        "profanityFilter": flag,
        "redaction": list_of(_among("pci", "pii", "phi", "numbers")),
        "confidenceThreshold": _SHARE,
        "eotThreshold": number(0.5, 0.9),
        "eotTimeoutMs": number(500, 10_000),
        "languages": list_of(text()),
        "keywords": list_of(text()),
        "keyterm": list_of(text()),
        "endpointing": number(10, 500),
    },
    "gladia": {
        "model": _among("fast", "accurate", "solaria-1"),
        "languageBehaviour": _among(
            "manual", "automatic single language", "automatic multiple languages"
        ),
        "language": _CODE,
        "languages": list_of(_CODE),
        "transcriptionHint": text(600),
        "prosody": flag,
        "audioEnhancer": flag,
        "confidenceThreshold": _SHARE,
        "endpointing": number(0.01, 10),
        "speechThreshold": _SHARE,
        "customVocabularyEnabled": flag,
        "customVocabularyConfig": any_object,
        "region": _among("us-west", "eu-west"),
        "receivePartialTranscripts": flag,
    },
    "google": {"model": like(r"gemini-[a-z0-9.-]+", "Gemini's models"), "language": _NAMED},
    "openai": {
        "model": _among("gpt-4o-transcribe", "gpt-4o-mini-transcribe"),
        "language": _CODE,
    },
    "soniox": {
        "model": _among("stt-rt-v4", "stt-rt-v5"),
        "language": _CODE,
        "languages": list_of(_CODE),
        "languageHintsStrict": flag,
        "maxEndpointDelayMs": number(500, 3000),
        "customVocabulary": list_of(text()),
        "contextGeneral": list_of(any_object),
    },
    "speechmatics": {
        "model": _among("default"),
        "language": like(r"[a-z]{2,3}(_[a-z]{2})?|auto", "languages of Speechmatics"),
        "operatingPoint": _among("standard", "enhanced"),
        "region": _among("eu", "us"),
        "enableDiarization": flag,
        "maxDelay": number(500, 10_000),
        "customVocabulary": list_of(any_object),
        "numeralStyle": _among("written", "spoken"),
        "endOfTurnSensitivity": _SHARE,
        "removeDisfluencies": flag,
        "minimumSpeechDuration": number(0, 5),
    },
    "talkscriber": {"model": _among("whisper"), "language": _CODE},
    "vapi": {
        "version": _among("latest", "1"),
        "language": _CODE,
        "languages": list_of(_CODE),
        "keywords": list_of(text()),
        "turnTaking": _among("intelligent", "manual"),
    },
    "xai": {"model": _among("default"), "language": _CODE},
}
_MUST_OF_TRANSCRIBERS = {
    "custom-transcriber": ("server",),
    "openai": ("model",),
    "speechmatics": ("customVocabulary",),
}


def _by_vendor(
    vendors: Mapping[str, Mapping[str, Check]],
    common: Mapping[str, Check],
    must: Mapping[str, tuple[str, ...]],
    otherwise: tuple[str, ...],
) -> Check:
    """An object whose `provider` says which fields it has."""
    shapes = {
        name: Shape(
            {"provider": _among(name), **common, **fields},
            frozenset({"provider", *must.get(name, otherwise)}),
        )
        for name, fields in vendors.items()
    }
    known = one_of(frozenset(vendors))

    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, dict):
            return [f"{path} must be an object"]
        return known(value.get("provider"), f"{path}.provider") or shapes[value["provider"]](
            value, path
        )

    return check


VOICE = _by_vendor(_VOICES, _OF_VOICES, _MUST_OF_VOICES, ("voiceId",))
TRANSCRIBER = _by_vendor(_TRANSCRIBERS, _OF_TRANSCRIBERS, _MUST_OF_TRANSCRIBERS, ())

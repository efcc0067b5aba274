"""A tenant's configuration as an assistant of Vapi's: the body of POST and PATCH /assistant. Pure.

The same configuration gives the same body, byte for byte, and `digest` tells whether anything has
changed. What is of one call alone isn't in it: its place in the instructions is filled by the
overrides of each call. Shapes: vapi-openai-pinecone.md §1.2 to §1.5.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import msgspec

from domain.errors import OperatorError
from domain.language_model import FunctionSpec
from domain.messages import language_of, text

#: Stands in the stored instructions where `variableValues.about_call` of each call is put.
ABOUT_CALL: Final = "{{ about_call }}"

#: Our names in an assistant's metadata, by which an orphan is known as ours.
DEPLOYMENT: Final = "coccinelle_deployment"
TENANT: Final = "tenant_id"

#: Limits of the API (§1.2, §1.4).
MAX_NAME: Final = 40
MAX_MESSAGE: Final = 1000
LONGEST_SECONDS: Final = 43_200

#: Where functions are run, below PUBLIC_URL, and where the rest of what Vapi tells goes.
FUNCTIONS_PATH: Final = "/api/vapi/functions"
EVENTS_PATH: Final = "/api/vapi/events"
#: A function of ours takes 10 s at the most (voice.functions.runner); Vapi's own default is 20.
FUNCTION_SECONDS: Final = 12
EVENT_SECONDS: Final = 10

#: What we want to be told; the defaults are many times as much (§1.8).
SERVER_MESSAGES: Final = ("tool-calls", "status-update", "end-of-call-report", "hang")

#: The function by which an agent ends a call. Vapi has a tool of its own for that, under its own
#: name: it ends the call on its side, once its goodbye has been spoken.
END_CALL: Final = "end_call"
_VAPI_END_CALL: Final = "endCall"

#: Trusted values that Vapi lays over the model's arguments (§1.4). `{{ call.id }}` is Vapi's, the
#: others are variables that we give each call.
STATIC: Final = (
    ("_call", "{{ call.id }}"),
    ("_call_id", "{{ call_id }}"),
    ("_call_sid", "{{ call_sid }}"),
)

# What doesn't interrupt the agent, and what does at once. Vapi's own lists are English (§1.2).
_ACKNOWLEDGEMENTS: Final[Mapping[str, Sequence[str]]] = {
    "fr": (
        "oui", "ouais", "d'accord", "ok", "okay", "très bien", "bien", "parfait", "voilà",
        "c'est ça", "exact", "exactement", "je vois", "je comprends", "entendu", "bien sûr",
        "mmh", "mhm", "hum", "ah", "ah oui", "ah bon", "super", "merci",
    ),
    "en": (
        "yes", "yeah", "okay", "ok", "right", "sure", "i see", "got it", "understood", "exactly",
        "great", "perfect", "uh-huh", "mhm", "thanks",
    ),
}  # fmt: skip
_INTERRUPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "fr": (
        "non", "attendez", "attends", "stop", "arrêtez", "arrête", "pardon", "excusez-moi",
        "une seconde", "un instant", "une minute", "mais", "en fait", "pas du tout",
        "je n'ai pas compris", "vous pouvez répéter", "laissez-moi parler",
    ),
    "en": (
        "no", "wait", "stop", "hold on", "hang on", "pardon", "excuse me", "sorry", "but",
        "actually", "one second", "let me speak", "i didn't understand",
    ),
}  # fmt: skip

#: Languages with their region, as Azure's names want it.
_REGIONS: Final = {"fr": "fr-FR", "en": "en-GB"}
#: … and as Google's.
_NAMES: Final = {"fr": "French", "en": "English"}
#: Vendors whose voices are told by `language`; a field that a vendor doesn't have is refused.
_TOLD_THE_LANGUAGE: Final = frozenset(
    {"11labs", "cartesia", "lmnt", "neuphonic", "rime-ai", "vapi", "xai"}
)
#: Where none is chosen: voices by language and gender that need no account of their own at Vapi.
VOICES: Final = {
    ("fr", "female"): "azure:fr-FR-DeniseNeural",
    ("fr", "male"): "azure:fr-FR-HenriNeural",
    ("en", "female"): "azure:en-GB-SoniaNeural",
    ("en", "male"): "azure:en-GB-RyanNeural",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """The deployment's models: `provider:model` for the first two; for voices, by the agent's
    gender, `provider:voice` or `provider:voice:model`, None: one of each language. `temperature`
    0 to 2."""

    model: str
    transcriber: str
    voices: Mapping[str, str | None]
    temperature: float = 0.3
    max_tokens: int = 300


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What an assistant is made of. `instructions` hold ABOUT_CALL; `language` is a BCP 47 tag;
    `gender` of the voice; `public_url` has no trailing slash; `seconds`: the longest call."""

    tenant_id: str
    deployment_id: str
    company: str
    first_message: str
    instructions: str
    functions: Sequence[FunctionSpec]
    language: str
    gender: str
    public_url: str
    secret: str = field(repr=False)
    seconds: float


def assistant(blueprint: Blueprint, choices: Choices) -> dict[str, Any]:
    """The body. Raises OperatorError when a choice can't be read."""
    language = language_of(blueprint.language)
    return {
        "name": _clipped(blueprint.company or "Coccinelle", MAX_NAME),
        "metadata": {DEPLOYMENT: blueprint.deployment_id, TENANT: blueprint.tenant_id},
        "firstMessage": blueprint.first_message,
        "firstMessageMode": "assistant-speaks-first",
        # That an AI speaks is in there, and must have been heard.
        "firstMessageInterruptionsEnabled": False,
        "model": _model(blueprint, choices),
        "transcriber": transcriber(choices.transcriber, language),
        "voice": voice(
            choices.voices[blueprint.gender] or VOICES[language, blueprint.gender], language
        ),
        # A report that we couldn't store is told again; tool calls have a server of their own.
        "server": {
            **_server(blueprint, EVENTS_PATH, EVENT_SECONDS),
            "backoffPlan": {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 2},
        },
        "serverMessages": list(SERVER_MESSAGES),
        # Later than our own limit, at which the caller is told so.
        "maxDurationSeconds": min(LONGEST_SECONDS, max(10, round(blueprint.seconds) + 60)),
        "backgroundSound": "off",
        "startSpeakingPlan": {
            "waitSeconds": 0.4,
            "smartEndpointingPlan": {"provider": "vapi"},  # livekit's knows English only
        },
        "stopSpeakingPlan": {
            "numWords": 0,
            "voiceSeconds": 0.2,
            "backoffSeconds": 1,
            "acknowledgementPhrases": list(_ACKNOWLEDGEMENTS[language]),
            "interruptionPhrases": list(_INTERRUPTIONS[language]),
        },
        "analysisPlan": {
            "summaryPlan": {
                "enabled": True,
                "messages": [
                    {"role": "system", "content": text(language, "vapi_summary")},
                    {"role": "user", "content": "{{ transcript }}"},
                ],
            },
            "successEvaluationPlan": {"enabled": False},
            "structuredDataPlan": {"enabled": False},
        },
        # Vapi would record unasked, from the first second on. Whoever has calls recorded has them
        # recorded by us: announced first, and refusable during the call (server/recordings.py).
        "artifactPlan": {"recordingEnabled": False},
        # Nobody listens in. Who controls a call knows its address, which only we are told: the key
        # that authentication wants is the account's public one (Vapi's schema of MonitorPlan),
        # which we don't have.
        "monitorPlan": {
            "listenEnabled": False,
            "controlEnabled": True,
            "controlAuthenticationEnabled": False,
        },
    }


def digest(blueprint: Blueprint, choices: Choices) -> str:
    """Another one as soon as the body is another. The secret goes in by a slow hash: who reads the
    database can't try words."""
    known = replace(blueprint, secret=_fingerprint(blueprint.secret, blueprint.deployment_id))
    body = msgspec.json.encode(assistant(known, choices), order="deterministic")
    return hashlib.sha256(body).hexdigest()


def belongs_to(metadata: Mapping[str, Any] | None, deployment_id: str) -> str | None:
    """The tenant of an assistant that this deployment made; None: it isn't ours."""
    if metadata is None or metadata.get(DEPLOYMENT) != deployment_id:
        return None
    tenant_id = metadata.get(TENANT)
    return tenant_id if isinstance(tenant_id, str) else ""


# ---------------------------------------------------------------------------------- its parts


def transcriber(choice: str, language: str) -> dict[str, Any]:
    """`deepgram:nova-3` and the like, as §1.3 has them. Raises OperatorError."""
    provider, model, *rest = [*_parts(choice, "VAPI_TRANSCRIBER"), ""]
    if rest not in ([], [""]):
        raise OperatorError(f"VAPI_TRANSCRIBER={choice!r} has more parts than provider:model")
    made: dict[str, Any] = {"provider": provider, **({"model": model} if model else {})}
    match provider:
        case "azure":
            return {"provider": provider, "language": _REGIONS[language]}
        case "gladia":
            return {**made, "language": language, "languageBehaviour": "manual"}
        case "google":
            return {**made, "language": _NAMES[language]}
        case "assembly-ai":
            return {**made, "language": "en" if language == "en" else "multi"}
        case "speechmatics":
            return {**made, "language": language, "customVocabulary": []}
    return {**made, "language": language}


def voice(choice: str, language: str) -> dict[str, Any]:
    """`azure:fr-FR-DeniseNeural`, `11labs:<id>:eleven_flash_v2_5` and the like. OperatorError."""
    provider, name, *rest = _parts(choice, "VAPI_VOICE")
    if not name or len(rest) > 1:
        raise OperatorError(f"VAPI_VOICE={choice!r} must be provider:voice or provider:voice:model")
    made = {"provider": provider, "voiceId": name, **({"model": rest[0]} if rest else {})}
    return {**made, "language": language} if provider in _TOLD_THE_LANGUAGE else made


def _parts(choice: str, name: str) -> list[str]:
    parts = [part.strip() for part in choice.split(":")]
    if not parts[0]:
        raise OperatorError(f"{name}={choice!r} names no provider")
    return parts if len(parts) > 1 else [parts[0], ""]


def _model(blueprint: Blueprint, choices: Choices) -> dict[str, Any]:
    provider, _, name = choices.model.partition(":")
    if not provider or not name:
        raise OperatorError(f"VAPI_MODEL={choices.model!r} must be provider:model")
    instructions = blueprint.instructions.replace(END_CALL, _VAPI_END_CALL)
    return {
        "provider": provider,
        "model": name,
        "messages": [{"role": "system", "content": instructions}],
        "temperature": choices.temperature,
        "maxTokens": choices.max_tokens,
        "tools": [
            *(_tool(each, blueprint) for each in blueprint.functions if each.name != END_CALL),
            {"type": "endCall"},
        ],
    }


def _tool(function: FunctionSpec, blueprint: Blueprint) -> dict[str, Any]:
    return {
        "type": "function",
        "async": False,
        "function": {
            "name": function.name,
            "description": function.description,
            "parameters": dict(function.parameters),
        },
        "parameters": [
            {"key": "_tenant", "value": blueprint.tenant_id},
            *({"key": key, "value": value} for key, value in STATIC),
        ],
        "messages": _tool_messages(function.name, blueprint.language),
        "server": _server(blueprint, FUNCTIONS_PATH, FUNCTION_SECONDS),
    }


def _tool_messages(name: str, language: str) -> list[dict[str, Any]]:
    """Without our own, Vapi fills the pause in English (§1.4)."""
    start = "transfer_wait" if name == "transfer_call" else "filler_1"

    def message(kind: str, key: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "content": text(language, key)[:MAX_MESSAGE], **more}

    return [
        message("request-start", start),
        message("request-response-delayed", "filler_2", timingMilliseconds=4000),
        message("request-failed", "function_unavailable"),
    ]


def _server(blueprint: Blueprint, path: str, seconds: int) -> dict[str, Any]:
    """In `headers`: `server.secret` is gone from the schema, and was never effective (§1.5)."""
    return {
        "url": f"{blueprint.public_url}{path}",
        "timeoutSeconds": seconds,
        "headers": {"X-Vapi-Secret": blueprint.secret},
    }


def _clipped(name: str, limit: int) -> str:
    """Vapi counts as JavaScript does, in UTF-16."""
    units = name.encode("utf-16-le")[: 2 * limit]
    return units.decode("utf-16-le", "ignore").strip()


@lru_cache(maxsize=8)
def _fingerprint(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()

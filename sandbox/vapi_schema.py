"""What Vapi's API takes in the body of an assistant or a call, and how it words a refusal. Pure.

Fields and limits: https://api.vapi.ai/api-json (CreateAssistantDTO, CreateCallDTO), as of 2026-11.
Unknown properties are refused, as NestJS's whitelist does ("property x should not exist").
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

MAX_NAME = 40
MAX_MESSAGE = 1000
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

SERVER_MESSAGES = frozenset(
    "assistant.started conversation-update end-of-call-report function-call hang "
    "handoff-destination-request knowledge-base-request language-change-detected model-output "
    "phone-call-control speech-update status-update tool-calls transcript "
    'transcript[transcriptType="final"] transfer-destination-request transfer-update '
    "user-interrupted voice-input".split()
)
CLIENT_MESSAGES = frozenset(
    "assistant.started conversation-update function-call function-call-result hang "
    "language-changed metadata model-output speech-update status-update tool-calls "
    "tool-calls-result tool.completed transcript transfer-update user-interrupted voice-input "
    "workflow.node.started".split()
)
FIRST_MESSAGE_MODES = frozenset(
    {
        "assistant-speaks-first",
        "assistant-speaks-first-with-model-generated-message",
        "assistant-waits-for-user",
    }
)
_MODEL_PROVIDERS = frozenset(
    "anthropic anthropic-bedrock anyscale cerebras custom-llm deep-seek deepinfra google groq "
    "inflection-ai minimax openai openrouter perplexity-ai together-ai vapi xai".split()
)

Problems = list[str]
Check = Callable[[Any, str], Problems]


class Refused(Exception):
    """A body that the API doesn't take: status 400, and one sentence for each problem."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class _Object:
    """An object with these fields and no others."""

    fields: Mapping[str, Check]
    required: frozenset[str] = frozenset()

    def __call__(self, value: Any, path: str) -> Problems:
        if not isinstance(value, dict):
            return [f"{path} must be an object"]
        under = f"{path}." if path else ""
        problems = [
            f"{under}property {name} should not exist" for name in value.keys() - self.fields
        ]
        problems += [f"{under}{name} should not be empty" for name in self.required - value.keys()]
        for name, check in self.fields.items():
            if name in value:
                problems += check(value[name], f"{under}{name}")
        return sorted(problems)


def _text(maximum: int | None = None) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, str):
            return [f"{path} must be a string"]
        if maximum is not None and len(value) > maximum:
            return [f"{path} must be shorter than or equal to {maximum} characters"]
        return []

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any, path: str) -> Problems:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return [f"{path} must be a number conforming to the specified constraints"]
        if value < low:
            return [f"{path} must not be less than {low:g}"]
        return [f"{path} must not be greater than {high:g}"] if value > high else []

    return check


def _flag(value: Any, path: str) -> Problems:
    return [] if isinstance(value, bool) else [f"{path} must be a boolean value"]


def _any_object(value: Any, path: str) -> Problems:
    return [] if isinstance(value, dict) else [f"{path} must be an object"]


def _one_of(values: frozenset[str]) -> Check:
    def check(value: Any, path: str) -> Problems:
        if isinstance(value, str) and value in values:
            return []
        return [f"{path} must be one of the following values: {', '.join(sorted(values))}"]

    return check


def _list(each: Check) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, list):
            return [f"{path} must be an array"]
        return [said for at, item in enumerate(value) for said in each(item, f"{path}.{at}")]

    return check


def _web_address(value: Any, path: str) -> Problems:
    fine = isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+(/\S*)?", value)
    return [] if fine else [f"{path} must be a URL address"]


def _headers(value: Any, path: str) -> Problems:
    if not isinstance(value, dict):
        return [f"{path} must be an object"]
    wrong = [
        name
        for name, each in value.items()
        if not _HEADER.fullmatch(name) or not isinstance(each, str) or not each.isprintable()
    ]
    return [f"{path}.{name} must be a header" for name in wrong]


def _uuid(value: Any, path: str) -> Problems:
    try:
        UUID(value)
    except (ValueError, TypeError, AttributeError):
        return [f"{path} must be a UUID"]
    return []


def _tool_name(value: Any, path: str) -> Problems:
    fine = isinstance(value, str) and _TOOL_NAME.fullmatch(value)
    return [] if fine else [f"{path} must match /^[a-zA-Z0-9_-]{{1,64}}$/"]


_SERVER = _Object(
    {
        "url": _web_address,
        "timeoutSeconds": _number(1, 300),
        "credentialId": _text(),
        "headers": _headers,
        "backoffPlan": _any_object,
        "staticIpAddressesEnabled": _flag,
        "encryptedPaths": _list(_text()),
    }
)
_FUNCTION = _Object(
    {
        "name": _tool_name,
        "description": _text(),
        "parameters": _any_object,
        "strict": _flag,
    },
    frozenset({"name"}),
)
_TOOL_MESSAGE = _Object(
    {
        "type": _one_of(
            frozenset(
                {"request-start", "request-complete", "request-failed", "request-response-delayed"}
            )
        ),
        "content": _text(MAX_MESSAGE),
        "contents": _list(_any_object),
        "conditions": _list(_any_object),
        "blocking": _flag,
        "role": _one_of(frozenset({"assistant", "system"})),
        "endCallAfterSpokenEnabled": _flag,
        "timingMilliseconds": _number(100, 120_000),
    },
    frozenset({"type"}),
)
_STATIC = _Object({"key": _text(), "value": lambda _value, _path: []}, frozenset({"key"}))
_FUNCTION_TOOL = _Object(
    {
        "type": _one_of(frozenset({"function"})),
        "async": _flag,
        "function": _FUNCTION,
        "server": _SERVER,
        "messages": _list(_TOOL_MESSAGE),
        "parameters": _list(_STATIC),
        "rejectionPlan": _any_object,
        "variableExtractionPlan": _any_object,
    },
    frozenset({"function"}),
)
_OTHER_TOOL = _Object(
    {
        "type": _one_of(frozenset({"endCall", "dtmf", "transferCall", "voicemail"})),
        "function": _FUNCTION,
        "messages": _list(_TOOL_MESSAGE),
        "destinations": _list(_any_object),
        "rejectionPlan": _any_object,
    }
)


def _tool(value: Any, path: str) -> Problems:
    if not isinstance(value, dict):
        return [f"{path} must be an object"]
    return (_FUNCTION_TOOL if value.get("type") == "function" else _OTHER_TOOL)(value, path)


_MODEL = _Object(
    {
        "provider": _one_of(_MODEL_PROVIDERS),
        "model": _text(),
        "messages": _list(
            _Object(
                {
                    "role": _one_of(frozenset({"system", "user", "assistant", "tool", "function"})),
                    "content": _text(),
                },
                frozenset({"role"}),
            )
        ),
        "tools": _list(_tool),
        "toolIds": _list(_text()),
        "temperature": _number(0, 2),
        "maxTokens": _number(50, 10_000),
        "knowledgeBase": _any_object,
        "fallbackModels": _list(_text()),
        "reasoningEffort": _text(),
        "url": _web_address,
        "emotionRecognitionEnabled": _flag,
        "numFastTurns": _number(0, 1000),
    },
    frozenset({"provider", "model"}),
)


def _provided(value: Any, path: str) -> Problems:
    """A voice or a transcriber: of each vendor's fields, its name is what must be there."""
    if not isinstance(value, dict):
        return [f"{path} must be an object"]
    return _text()(value.get("provider"), f"{path}.provider")


_ASSISTANT_FIELDS: Mapping[str, Check] = {
    "name": _text(MAX_NAME),
    "firstMessage": _text(),
    "firstMessageMode": _one_of(FIRST_MESSAGE_MODES),
    "firstMessageInterruptionsEnabled": _flag,
    "model": _MODEL,
    "transcriber": _provided,
    "voice": _provided,
    "server": _SERVER,
    "serverMessages": _list(_one_of(SERVER_MESSAGES)),
    "clientMessages": _list(_one_of(CLIENT_MESSAGES)),
    "maxDurationSeconds": _number(10, 43_200),
    "endCallMessage": _text(MAX_MESSAGE),
    "endCallPhrases": _list(_text(140)),
    "voicemailMessage": _text(MAX_MESSAGE),
    "voicemailDetection": _any_object,
    "backgroundSound": _text(),
    "backgroundSpeechDenoisingPlan": _any_object,
    "modelOutputInMessagesEnabled": _flag,
    "analysisPlan": _any_object,
    "artifactPlan": _any_object,
    "compliancePlan": _any_object,
    "startSpeakingPlan": _any_object,
    "stopSpeakingPlan": _any_object,
    "monitorPlan": _any_object,
    "metadata": _any_object,
    "hooks": _list(_any_object),
    "keypadInputPlan": _any_object,
    "credentials": _list(_any_object),
    "credentialIds": _list(_text()),
    "observabilityPlan": _any_object,
    "transportConfigurations": _list(_any_object),
}
_ASSISTANT = _Object(_ASSISTANT_FIELDS)
_OVERRIDES = _Object({**_ASSISTANT_FIELDS, "variableValues": _any_object})
_AUDIO_FORMAT = _Object(
    {
        "format": _one_of(frozenset({"pcm_s16le", "mulaw"})),
        "container": _one_of(frozenset({"raw"})),
        "sampleRate": _number(8000, 48_000),
    }
)
_CALL = _Object(
    {
        "assistantId": _uuid,
        "assistant": _ASSISTANT,
        "assistantVersion": _number(1, 1e9),
        "assistantOverrides": _OVERRIDES,
        "name": _text(MAX_NAME),
        "customer": _Object(
            {
                "number": _text(),
                "numberE164CheckEnabled": _flag,
                "extension": _text(10),
                "sipUri": _text(),
                "name": _text(MAX_NAME),
                "email": _text(MAX_NAME),
                "externalId": _text(MAX_NAME),
            }
        ),
        "phoneNumberId": _uuid,
        "transport": _Object(
            {"provider": _text(), "audioFormat": _AUDIO_FORMAT}, frozenset({"provider"})
        ),
        "phoneCallProviderBypassEnabled": _flag,
        "schedulePlan": _any_object,
    }
)


def check_assistant(body: Any) -> None:
    """The body of POST and PATCH. Raises Refused."""
    _refuse(_ASSISTANT(body, ""))


def check_call(body: Any) -> None:
    """The body of POST /call. Raises Refused."""
    _refuse(_CALL(body, ""))
    if ("assistantId" in body) == ("assistant" in body):
        _refuse(["exactly one of assistantId and assistant must be given"])
    transport = body.get("transport")
    if transport is not None:
        _refuse(_check_transport(body, transport))
    elif "phoneNumberId" not in body:
        _refuse(["phoneNumberId must be given, or a transport"])
    customer = body.get("customer", {})
    number = customer.get("number")
    checked = customer.get("numberE164CheckEnabled", True)
    if number is not None and checked and not _E164.fullmatch(number):
        _refuse(["customer.number must be a valid phone number in the E.164 format"])


def _check_transport(body: Any, transport: Any) -> Problems:
    if transport["provider"] != "vapi.websocket":
        return ["transport.provider must be one of the following values: vapi.websocket"]
    problems = [
        f"{name} is not allowed with this transport" for name in ("phoneNumberId",) if name in body
    ]
    audio = transport.get("audioFormat", {})
    if audio.get("format") == "mulaw" and audio.get("sampleRate", 8000) != 8000:
        problems.append("transport.audioFormat.sampleRate must be 8000 for mulaw")
    return problems


def _refuse(problems: Problems) -> None:
    if problems:
        raise Refused(problems)

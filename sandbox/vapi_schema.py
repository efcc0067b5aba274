"""What Vapi's API takes in the body of an assistant or a call, and how it words a refusal. Pure.

Fields and limits: https://api.vapi.ai/api-json (CreateAssistantDTO, CreateCallDTO), as of 2026-11.
"""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.vapi_checks import (
    SERVER,
    Check,
    Problems,
    Shape,
    any_object,
    flag,
    list_of,
    number,
    one_of,
    text,
    tool_name,
    uuid,
    web_address,
)
from sandbox.vapi_speech import TRANSCRIBER, VOICE

MAX_NAME = 40
MAX_MESSAGE = 1000
_E164 = re.compile(r"\+[1-9]\d{6,14}")

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


class Refused(Exception):
    """A body that the API doesn't take: status 400, and one sentence for each problem."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


_FUNCTION = Shape(
    {
        "name": tool_name,
        "description": text(),
        "parameters": any_object,
        "strict": flag,
    },
    frozenset({"name"}),
)
_TOOL_MESSAGE = Shape(
    {
        "type": one_of(
            frozenset(
                {"request-start", "request-complete", "request-failed", "request-response-delayed"}
            )
        ),
        "content": text(MAX_MESSAGE),
        "contents": list_of(any_object),
        "conditions": list_of(any_object),
        "blocking": flag,
        "role": one_of(frozenset({"assistant", "system"})),
        "endCallAfterSpokenEnabled": flag,
        "timingMilliseconds": number(100, 120_000),
    },
    frozenset({"type"}),
)
_STATIC = Shape({"key": text(), "value": lambda _value, _path: []}, frozenset({"key"}))
_FUNCTION_TOOL = Shape(
    {
        "type": one_of(frozenset({"function"})),
        "async": flag,
        "function": _FUNCTION,
        "server": SERVER,
        "messages": list_of(_TOOL_MESSAGE),
        "parameters": list_of(_STATIC),
        "rejectionPlan": any_object,
        "variableExtractionPlan": any_object,
    },
    frozenset({"function"}),
)
_OTHER_TOOL = Shape(
    {
        "type": one_of(frozenset({"endCall", "dtmf", "transferCall", "voicemail"})),
        "function": _FUNCTION,
        "messages": list_of(_TOOL_MESSAGE),
        "destinations": list_of(any_object),
        "rejectionPlan": any_object,
    }
)


def _tool(value: Any, path: str) -> Problems:
    if not isinstance(value, dict):
        return [f"{path} must be an object"]
    return (_FUNCTION_TOOL if value.get("type") == "function" else _OTHER_TOOL)(value, path)


_MODEL = Shape(
    {
        "provider": one_of(_MODEL_PROVIDERS),
        "model": text(),
        "messages": list_of(
            Shape(
                {
                    "role": one_of(frozenset({"system", "user", "assistant", "tool", "function"})),
                    "content": text(),
                },
                frozenset({"role"}),
            )
        ),
        "tools": list_of(_tool),
        "toolIds": list_of(text()),
        "temperature": number(0, 2),
        "maxTokens": number(50, 10_000),
        "knowledgeBase": any_object,
        "fallbackModels": list_of(text()),
        "reasoningEffort": text(),
        "url": web_address,
        "emotionRecognitionEnabled": flag,
        "numFastTurns": number(0, 1000),
    },
    frozenset({"provider", "model"}),
)


_PLAN_MESSAGES = list_of(any_object)
_PLAN_SECONDS = number(1, 60)
_ANALYSIS = Shape(
    {
        "minMessagesThreshold": number(0, 10_000),
        "summaryPlan": Shape(
            {"messages": _PLAN_MESSAGES, "enabled": flag, "timeoutSeconds": _PLAN_SECONDS}
        ),
        "structuredDataPlan": Shape(
            {
                "messages": _PLAN_MESSAGES,
                "enabled": flag,
                "schema": any_object,
                "timeoutSeconds": _PLAN_SECONDS,
            }
        ),
        "structuredDataMultiPlan": list_of(any_object),
        "successEvaluationPlan": Shape(
            {
                "rubric": one_of(
                    frozenset(
                        "NumericScale DescriptiveScale Checklist Matrix PercentageScale "
                        "LikertScale AutomaticRubric PassFail".split()
                    )
                ),
                "messages": _PLAN_MESSAGES,
                "enabled": flag,
                "timeoutSeconds": _PLAN_SECONDS,
            }
        ),
        "outcomeIds": list_of(text()),
    }
)
_ARTIFACTS = Shape(
    {
        "recordingEnabled": flag,
        "recordingFormat": one_of(frozenset({"wav;l16", "mp3"})),
        "recordingUseCustomStorageEnabled": flag,
        "recordingPath": text(),
        "videoRecordingEnabled": flag,
        "fullMessageHistoryEnabled": flag,
        "pcapEnabled": flag,
        "pcapS3PathPrefix": text(),
        "pcapUseCustomStorageEnabled": flag,
        "loggingEnabled": flag,
        "loggingUseCustomStorageEnabled": flag,
        "loggingPath": text(),
        "transcriptPlan": Shape({"enabled": flag, "assistantName": text(), "userName": text()}),
        "structuredOutputIds": list_of(text()),
        "structuredOutputs": list_of(any_object),
        "scorecardIds": list_of(text()),
        "scorecards": list_of(any_object),
    }
)
_ENDPOINTING = Shape(
    {
        "provider": one_of(frozenset({"vapi", "livekit", "custom-endpointing-model"})),
        "waitFunction": text(),
        "server": SERVER,
    },
    frozenset({"provider"}),
)
_START_SPEAKING = Shape(
    {
        "waitSeconds": number(0, 5),
        "smartEndpointingPlan": _ENDPOINTING,
        "customEndpointingRules": list_of(any_object),
        "transcriptionEndpointingPlan": Shape(
            {
                "onPunctuationSeconds": number(0, 3),
                "onNoPunctuationSeconds": number(0, 3),
                "onNumberSeconds": number(0, 3),
            }
        ),
    }
)
_STOP_SPEAKING = Shape(
    {
        "numWords": number(0, 10),
        "voiceSeconds": number(0, 0.5),
        "backoffSeconds": number(0, 10),
        "acknowledgementPhrases": list_of(text(240)),
        "interruptionPhrases": list_of(text(240)),
    }
)
_MONITOR = Shape(
    {
        "listenEnabled": flag,
        "listenAuthenticationEnabled": flag,
        "controlEnabled": flag,
        "controlAuthenticationEnabled": flag,
        "monitorIds": list_of(text()),
    }
)


_ASSISTANT_FIELDS: Mapping[str, Check] = {
    "name": text(MAX_NAME),
    "firstMessage": text(),
    "firstMessageMode": one_of(FIRST_MESSAGE_MODES),
    "firstMessageInterruptionsEnabled": flag,
    "model": _MODEL,
    "transcriber": TRANSCRIBER,
    "voice": VOICE,
    "server": SERVER,
    "serverMessages": list_of(one_of(SERVER_MESSAGES)),
    "clientMessages": list_of(one_of(CLIENT_MESSAGES)),
    "maxDurationSeconds": number(10, 43_200),
    "endCallMessage": text(MAX_MESSAGE),
    "endCallPhrases": list_of(text(140)),
    "voicemailMessage": text(MAX_MESSAGE),
    "voicemailDetection": any_object,
    "backgroundSound": text(),
    "backgroundSpeechDenoisingPlan": any_object,
    "modelOutputInMessagesEnabled": flag,
    "analysisPlan": _ANALYSIS,
    "artifactPlan": _ARTIFACTS,
    "compliancePlan": any_object,
    "startSpeakingPlan": _START_SPEAKING,
    "stopSpeakingPlan": _STOP_SPEAKING,
    "monitorPlan": _MONITOR,
    "metadata": any_object,
    "hooks": list_of(any_object),
    "keypadInputPlan": any_object,
    "credentials": list_of(any_object),
    "credentialIds": list_of(text()),
    "observabilityPlan": any_object,
    "transportConfigurations": list_of(any_object),
}
_ASSISTANT = Shape(_ASSISTANT_FIELDS)
_OVERRIDES = Shape({**_ASSISTANT_FIELDS, "variableValues": any_object})
_AUDIO_FORMAT = Shape(
    {
        "format": one_of(frozenset({"pcm_s16le", "mulaw"})),
        "container": one_of(frozenset({"raw"})),
        "sampleRate": number(8000, 48_000),
    }
)
_CALL = Shape(
    {
        "assistantId": uuid,
        "assistant": _ASSISTANT,
        "assistantVersion": number(1, 1e9),
        "assistantOverrides": _OVERRIDES,
        "name": text(MAX_NAME),
        "customer": Shape(
            {
                "number": text(),
                "numberE164CheckEnabled": flag,
                "extension": text(10),
                "sipUri": text(),
                "name": text(MAX_NAME),
                "email": text(MAX_NAME),
                "externalId": text(MAX_NAME),
            }
        ),
        "phoneNumberId": uuid,
        "transport": Shape(
            {"provider": text(), "audioFormat": _AUDIO_FORMAT}, frozenset({"provider"})
        ),
        "phoneCallProviderBypassEnabled": flag,
        "schedulePlan": any_object,
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

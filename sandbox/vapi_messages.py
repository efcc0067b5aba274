"""Server messages of an emulated Vapi call: their bodies, and the shapes of tool calls. Pure.

Three shapes of one tool call are documented or seen in the field
(shared/reference/vapi-openai-pinecone.md §1.9); the emulator writes them all in turn:

- `schema`: `toolCallList[] = {id, type, function: {name, arguments: "<JSON text>"}}`
- `arguments`, `parameters`: `toolCallList[] = {id, name, arguments|parameters: {…}}`
- `observed`: arguments as an object inside `function`, the same again under `toolCalls`, and
  `toolWithToolCallList[] = {…the tool's definition…, toolCall: {…}}`
- `with_tool`: the latter alone.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.vapi_record import CallRecord, ToolCall

SHAPES = ("schema", "arguments", "observed", "parameters", "with_tool")
#: docs.vapi.ai/server-url: what is posted when an assistant doesn't say.
DEFAULT_SERVER_MESSAGES = (
    "conversation-update",
    "end-of-call-report",
    "function-call",
    "hang",
    "speech-update",
    "status-update",
    "tool-calls",
    "transfer-destination-request",
    "handoff-destination-request",
    "user-interrupted",
    "assistant.started",
)
DEFAULT_CLIENT_MESSAGES = (
    "conversation-update",
    "function-call",
    "hang",
    "model-output",
    "speech-update",
    "status-update",
    "transfer-update",
    "transcript",
    "tool-calls",
    "user-interrupted",
    "voice-input",
    "assistant.started",
)
_PLACE = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")


def subscribed(kinds: Sequence[str], kind: str, fields: Mapping[str, Any]) -> bool:
    """Whether a message is among those asked for; `transcript[transcriptType="final"]` narrows."""
    if kind in kinds:
        return True
    narrowed = 'transcript[transcriptType="final"]'
    final = fields.get("transcriptType") == "final"
    return kind == "transcript" and narrowed in kinds and final


def tool_call_fields(
    calls: Sequence[ToolCall], record: CallRecord, call_object: Mapping[str, Any]
) -> dict[str, Any]:
    """What a `tool-calls` message says of these calls, in the shape of the first."""
    shape = calls[0].shape
    full = {call.id: _arguments(call, record, call_object) for call in calls}
    if shape == "schema":
        return {"toolCallList": [_openai(call, json.dumps(full[call.id])) for call in calls]}
    if shape in ("arguments", "parameters"):
        listed = [{"id": call.id, "name": call.name, shape: full[call.id]} for call in calls]
        return {"toolCallList": listed}
    items = [_openai(call, full[call.id]) for call in calls]
    with_tool = [
        {**tool_of(record, call.name), "toolCall": item}
        for call, item in zip(calls, items, strict=True)
    ]
    if shape == "with_tool":
        return {"toolWithToolCallList": with_tool}
    return {"toolCallList": items, "toolCalls": items, "toolWithToolCallList": with_tool}


def tool_of(record: CallRecord, name: str) -> dict[str, Any]:
    """The assistant's definition of a tool."""
    for tool in record.assistant.get("model", {}).get("tools", ()):
        if tool.get("function", {}).get("name") == name:
            return dict(tool)
    return {}


def server_of(record: CallRecord, tool_names: Sequence[str] = ()) -> dict[str, Any]:
    """Where messages go: tool calls to the tool's own server, if it has one."""
    for name in tool_names:
        own = tool_of(record, name).get("server")
        if own:
            return dict(own)
    return dict(record.assistant.get("server", {}))


def retry_delays(server: Mapping[str, Any]) -> list[float]:
    """Seconds before each further attempt to post there: none without a plan (BackoffPlan of Vapi's
    OpenAPI: fixed, or from the base on; that exponential means doubled is our reading)."""
    plan = server.get("backoffPlan", {})
    base = plan.get("baseDelaySeconds", 0)
    grows = plan.get("type") == "exponential"
    return [base * (2**n if grows else 1) for n in range(int(plan.get("maxRetries", 0)))]


def is_retried(server: Mapping[str, Any], status: int) -> bool:
    """Whether an attempt that ended so is followed by another. 0: without an answer."""
    excluded = server.get("backoffPlan", {}).get("excludedStatusCodes", ())
    return not 200 <= status < 300 and status not in excluded


def _openai(call: ToolCall, arguments: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(
    call: ToolCall, record: CallRecord, call_object: Mapping[str, Any]
) -> dict[str, Any]:
    """The model's arguments with the tool's static parameters laid over them (trusted values that
    no model writes: docs.vapi.ai/tools/static-variables-and-aliases)."""
    known = {
        "call": call_object,
        "customer": call_object.get("customer", {}),
        "assistant": {"id": call_object.get("assistantId", "")},
        "transport": {"callSid": call_object.get("phoneCallProviderId", "")},
        **record.assistant.get("variableValues", {}),
    }
    static = {
        each["key"]: resolved(each.get("value"), known)
        for each in tool_of(record, call.name).get("parameters", ())
    }
    return {**call.arguments, **static}


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """`{{ a.b }}` in texts, as Liquid resolves them: what isn't known is empty."""
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _look_up(place[1], known), value)
    if isinstance(value, dict):
        return {key: resolved(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, known) for each in value]
    return value


def _look_up(path: str, known: Mapping[str, Any]) -> str:
    value: Any = known
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, Mapping) else ""
    return str(value)


def report(record: CallRecord, ended: str, costs: Mapping[str, float]) -> dict[str, Any]:
    """The fields of an end-of-call-report."""
    turns = sorted(
        [(each.at, "user", each.text) for each in record.heard]
        + [(each.at, "assistant", each.text) for each in record.said]
    )
    names = {"user": "User", "assistant": "AI"}
    transcript = "".join(f"{names[role]}: {text}\n" for _, role, text in turns)
    messages = [{"role": "bot" if r == "assistant" else r, "message": t} for _, r, t in turns]
    fields: dict[str, Any] = {
        "endedReason": ended,
        "cost": round(sum(costs.values()), 4),
        "costBreakdown": dict(costs),
        "artifact": {"transcript": transcript, "messages": messages},
        "transcript": transcript,
        "analysis": {},
    }
    plan = record.assistant.get("analysisPlan", {}).get("summaryPlan", {})
    if plan.get("enabled", True) and turns:
        summary = f"The caller spoke {len(record.heard)} times; the call ended: {ended}."
        fields["analysis"] = {"summary": summary}
        fields["summary"] = summary
    return fields

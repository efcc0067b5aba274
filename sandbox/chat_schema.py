"""What the emulated chat endpoint refuses, in the vendor's words as far as they are known.

https://platform.openai.com/docs/api-reference/chat/create. In the order of roles it is as strict as
Mistral's servers, which take the same requests and refuse a user behind a result, and an assistant
at the end (https://github.com/avante-corp/avante.nvim/issues/2562). Pure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_FIELDS = frozenset(
    "model messages stream stream_options tools tool_choice max_tokens max_completion_tokens "
    "temperature top_p stop user seed parallel_tool_calls metadata".split()
)
_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_TOOLS = 128
#: invalid_request_message_order
_WRONG_ORDER = "3230"


class Refused(Exception):
    """400, or another status. `param`: the path of the wrong field."""

    def __init__(self, message: str, param: str | None = None, code: str = "", status: int = 400):
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


def check(body: Any, models: Sequence[str], *, strict: frozenset[str] = frozenset()) -> None:
    """Raises Refused for what the vendor refuses. `strict`: fields that this server doesn't know,
    as some compatible ones."""
    if not isinstance(body, dict):
        raise Refused("We could not parse the JSON body of your request.")
    for name in body:
        if name not in _FIELDS or name in strict:
            raise Refused(f"Unrecognized request argument supplied: {name}", name)
    if not isinstance(body.get("model"), str):
        raise Refused("you must provide a model parameter")
    if body["model"] not in models:
        message = f"The model `{body['model']}` does not exist or you do not have access to it."
        raise Refused(message, "model", "model_not_found", 404)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    _check_messages(body.get("messages"))
    _check_tools(body.get("tools"))


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid 'messages': empty array.", "messages", "empty_array")
    waiting: set[str] = set()
    before = ""
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise Refused(f"Invalid value: {role!r}.", f"{where}.role", "invalid_value")
        behind_result, before = before == "tool", role
        if role == "tool":
            _check_result(message, waiting, where)
            continue
        _all_answered(waiting, where)
        if behind_result and role != "assistant":
            raise Refused(f"Unexpected role '{role}' after role 'tool'", code=_WRONG_ORDER)
        calls = message.get("tool_calls")
        if calls is not None:
            waiting = _check_calls(role, calls, where)
        _check_content(message.get("content"), where, optional=bool(calls))
    _all_answered(waiting, f"messages[{len(messages)}]")
    if before == "assistant":
        raise Refused(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
            "assistant",
            code=_WRONG_ORDER,
        )


def _check_result(message: Mapping[str, Any], waiting: set[str], where: str) -> None:
    if message.get("tool_call_id") not in waiting:
        raise Refused(
            "messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            f"{where}.role",
        )
    waiting.discard(message["tool_call_id"])
    _check_content(message.get("content"), where, optional=False)


def _all_answered(waiting: set[str], where: str) -> None:
    if waiting:
        raise Refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(waiting)),
            f"{where}.role",
        )


def _check_calls(role: str, calls: Any, where: str) -> set[str]:
    if role != "assistant" or not isinstance(calls, list) or not calls:
        raise Refused("Invalid 'tool_calls'.", f"{where}.tool_calls")
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if (
            not isinstance(function, dict)
            or call.get("type") != "function"
            or not call.get("id")
            or not isinstance(function.get("arguments"), str)
        ):
            raise Refused("Missing required parameter.", f"{where}.tool_calls")
        if not _NAME.fullmatch(str(function.get("name"))):
            raise Refused("Invalid name.", f"{where}.tool_calls", "invalid_value")
    return {call["id"] for call in calls}


def _check_content(content: Any, where: str, *, optional: bool) -> None:
    if content is None and optional:
        return
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    for part in parts:
        if (
            not isinstance(part, dict)
            or part.get("type") != "text"
            or not isinstance(part.get("text"), str)
        ):
            raise Refused(
                "Invalid type for 'content': expected a string or an array of text parts.",
                f"{where}.content",
                "invalid_type",
            )


def _check_tools(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list) or not 1 <= len(tools) <= _MAX_TOOLS:
        raise Refused("Invalid 'tools': 1 to 128 of them.", "tools")
    for at, tool in enumerate(tools):
        where = f"tools[{at}]"
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise Refused(f"Missing required parameter: '{where}.function'.", where)
        if not _NAME.fullmatch(str(function.get("name"))):
            raise Refused(f"Invalid '{where}.function.name'.", where, "invalid_value")
        parameters = function.get("parameters", {"type": "object"})
        if not isinstance(parameters, dict) or parameters.get("type") != "object":
            raise Refused(
                f"Invalid schema for function '{function['name']}': schema must be a JSON Schema "
                "of 'type: \"object\"'.",
                f"{where}.function.parameters",
                "invalid_function_parameters",
            )

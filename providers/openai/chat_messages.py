"""A conversation as the chat endpoint wants it, and as the strictest templates of models accept it.

Pure. OpenAI wants an answer right after each request for a function. Templates of open models
(Mistral, Gemma, Qwen) want more: one system message, at the beginning; then user and assistant in
turns, user first. Mistral's own servers refuse a user behind a result, and an assistant at the end
(400, code 3230: https://github.com/avante-corp/avante.nvim/issues/2562 and
https://github.com/huggingface/smolagents/issues/757). What says the same in their form is sent to
all.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain.language_model import FunctionRequest, FunctionSpec, ModelMessage

Wire = dict[str, Any]

#: The agent speaks first: what it answers is that somebody has called.
_CALL_BEGINS: Final = "[call]"
#: The agent shall speak, and was the last who did: its words broke off, or nobody answered them.
_NOBODY_SPOKE: Final = "[silence]"
#: The caller spoke before the agent had said anything about a result.
_SAID_NOTHING: Final = "…"
#: What stands for a result that never came.
_NO_RESULT: Final = '{"status":"unknown"}'
#: Says that a message isn't the caller's own words.
_NOTE: Final = "[system] "
_RESULT: Final = "[result] "


def wire_messages(messages: Sequence[ModelMessage]) -> list[Wire]:
    """`messages` of POST /chat/completions. System messages at the beginning become one, later ones
    notes among the user's; results stand behind their requests, and one that was never asked for
    becomes a note. What the agent said while a function ran stands with its request."""
    opening = _leading_system(messages)
    asked = {request.id for message in messages for request in message.requests}
    answers: dict[str, str] = {}
    for message in messages:
        if message.role == "function" and message.answers in asked:
            answers.setdefault(message.answers, message.text)
    told: list[Wire] = []
    running: set[str] = set()  # what was asked for and has its answer further on
    for message in messages[opening:]:
        if message.role == "assistant":
            _add_assistant(told, message, answers, meanwhile=bool(running))
            running.update(each.id for each in message.requests if each.id in answers)
        elif message.role == "function":
            running.discard(message.answers)
            if message.answers not in asked:
                _add_user(told, _RESULT + message.text)
        else:
            _add_user(told, (_NOTE if message.role == "system" else "") + message.text)
    if not told or told[0]["role"] == "assistant":
        told.insert(0, {"role": "user", "content": _CALL_BEGINS})
    if told[-1]["role"] == "assistant":
        told.append({"role": "user", "content": _NOBODY_SPOKE})
    instructions = "\n\n".join(each.text for each in messages[:opening] if each.text)
    return [*([{"role": "system", "content": instructions}] if instructions else []), *told]


def wire_tools(functions: Sequence[FunctionSpec]) -> list[Wire]:
    """`tools` of POST /chat/completions."""
    return [
        {
            "type": "function",
            "function": {
                "name": each.name,
                "description": each.description,
                "parameters": _plain(each.parameters),
            },
        }
        for each in functions
    ]


def _leading_system(messages: Sequence[ModelMessage]) -> int:
    return next(
        (at for at, message in enumerate(messages) if message.role != "system"), len(messages)
    )


def _add_user(told: list[Wire], text: str) -> None:
    if not text.strip():
        return
    if told and told[-1]["role"] == "user":
        told[-1]["content"] += "\n" + text
        return
    if told and told[-1]["role"] == "tool":
        told.append({"role": "assistant", "content": _SAID_NOTHING})
    told.append({"role": "user", "content": text})


def _add_assistant(
    told: list[Wire], message: ModelMessage, answers: Mapping[str, str], *, meanwhile: bool
) -> None:
    """`meanwhile`: a function runs whose result stands in `told` already."""
    if not message.requests and not message.text.strip():
        return
    if meanwhile and not message.requests and told[-1]["role"] == "tool":
        asking = next(each for each in reversed(told) if each["role"] == "assistant")
        _say_more(asking, message.text)
        return
    if told and told[-1]["role"] == "assistant":
        _say_more(told[-1], message.text)
    else:
        # "" and not null: templates cut, join and strip it.
        told.append({"role": "assistant", "content": message.text})
    if message.requests:
        told[-1]["tool_calls"] = [_call(each) for each in message.requests]
    for each in message.requests:
        content = answers.get(each.id) or _NO_RESULT
        told.append({"role": "tool", "tool_call_id": each.id, "content": content})


def _say_more(said: Wire, text: str) -> None:
    said["content"] = "\n".join(filter(None, (said["content"], text)))


def _call(request: FunctionRequest) -> Wire:
    called = {"name": request.name, "arguments": _readable(request.arguments)}
    return {"id": request.id, "type": "function", "function": called}


def _readable(arguments: str) -> str:
    """Servers read the arguments in a conversation, and refuse all of it for one bad piece."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except ValueError:
        return "{}"


def _plain(value: Any) -> Any:
    """Mappings and sequences as the JSON encoder knows them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value

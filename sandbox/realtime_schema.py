"""The client events of OpenAI Realtime (GA) and their fields.

Source: shared/reference/vapi-openai-pinecone.md §2.2–2.5, and the types of openai-python 3.54
(openai/types/realtime) for the names of the fields. Tools of type `mcp` and events that only WebRTC
and SIP have are not emulated: they are refused.
"""

from typing import Any

from sandbox.realtime_shapes import (
    Anything,
    Either,
    Flag,
    ListOf,
    Maybe,
    Number,
    Object,
    Refused,
    Shape,
    Text,
    Variants,
)

VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse"),
    *("marin", "cedar"),
)
MAX_AUDIO_BASE64 = 15 * 1024 * 1024  # per input_audio_buffer.append
_MAX_ID = 32
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_NAME = Text(longest=64)
# The reference leaves the range open ("docs elsewhere 5000–30000"); we hold clients to it.
_IDLE_TIMEOUT = Number(5_000, 30_000, whole=True)

_FORMAT = Variants(
    "type",
    {
        "audio/pcm": Object({"type": Text(), "rate": Number(24_000, 24_000, whole=True)}),
        "audio/pcmu": Object({"type": Text()}),
        "audio/pcma": Object({"type": Text()}),
    },
)
_TURN_DETECTION = Variants(
    "type",
    {
        "server_vad": Object(
            {
                "type": Text(),
                "threshold": Number(0.0, 1.0),
                "prefix_padding_ms": Number(0, 10_000, whole=True),
                "silence_duration_ms": Number(0, 10_000, whole=True),
                "create_response": Flag(),
                "interrupt_response": Flag(),
                "idle_timeout_ms": Maybe(_IDLE_TIMEOUT),
            }
        ),
        "semantic_vad": Object(
            {
                "type": Text(),
                "eagerness": Text(("low", "medium", "high", "auto")),
                "create_response": Flag(),
                "interrupt_response": Flag(),
            }
        ),
    },
)
_TRANSCRIPTION = Object(
    {
        "model": Text(),
        "language": Text(),
        "languages": ListOf(Text()),
        "prompt": Text(),
        "keywords": ListOf(Text()),
        "delay": Text(_EFFORTS),
    },
)
_VOICE = Either(Text(VOICES), object=Object({"id": Text()}, required=("id",)))
_AUDIO = Object(
    {
        "input": Object(
            {
                "format": _FORMAT,
                "noise_reduction": Maybe(
                    Object(
                        {"type": Text(("near_field", "far_field")), "strength": Number(0.0, 1.0)}
                    )
                ),
                "transcription": Maybe(_TRANSCRIPTION),
                "turn_detection": Maybe(_TURN_DETECTION),
            }
        ),
        "output": Object({"format": _FORMAT, "voice": _VOICE, "speed": Number(0.25, 1.5)}),
    }
)
_TOOL = Variants(
    "type",
    {
        "function": Object(
            {"type": Text(), "name": _NAME, "description": Text(), "parameters": Anything()},
            required=("name",),
        ),
    },
)
_TOOL_CHOICE = Either(
    Text(("auto", "none", "required")),
    object=Object({"type": Text(("function",)), "name": _NAME}, required=("type", "name")),
)
_MAX_TOKENS = Either(Text(("inf",)), number=Number(1, 4096, whole=True))
_MODALITIES = ListOf(Text(("text", "audio")), longest=1)
_COMMON: dict[str, Shape] = {
    "instructions": Text(),
    "max_output_tokens": _MAX_TOKENS,
    "output_modalities": _MODALITIES,
    "parallel_tool_calls": Flag(),
    "prompt": Maybe(Anything()),
    "reasoning": Maybe(Object({"effort": Text(_EFFORTS)})),
    "tool_choice": _TOOL_CHOICE,
    "tools": ListOf(_TOOL),
}
_SESSION = Object(
    {
        **_COMMON,
        "type": Text(("realtime",)),
        "model": Text(),
        "audio": _AUDIO,
        "include": Maybe(ListOf(Text(("item.input_audio_transcription.logprobs",)))),
        "tracing": Maybe(
            Either(
                Text(("auto",)),
                object=Object(
                    {"workflow_name": Text(), "group_id": Text(), "metadata": Anything()}
                ),
            )
        ),
        "truncation": Either(
            Text(("auto", "disabled")),
            object=Object(
                {
                    "type": Text(("retention_ratio",)),
                    "retention_ratio": Number(0.0, 1.0),
                    "token_limits": Object(
                        {"post_instructions": Number(0, 128_000, whole=True)},
                    ),
                },
                required=("type", "retention_ratio"),
            ),
        ),
    },
    required=("type",),
)
_RESPONSE = Object(
    {
        **_COMMON,
        "audio": Object({"output": Object({"format": _FORMAT, "voice": _VOICE})}),
        "conversation": Text(("auto", "none")),
        "input": ListOf(Anything()),
        "metadata": Maybe(Anything()),
    }
)

_ITEM_COMMON: dict[str, Shape] = {
    "id": Text(longest=_MAX_ID),
    "object": Text(("realtime.item",)),
    "status": Text(("completed", "incomplete", "in_progress")),
    "type": Text(),
}


def _message(role: str, content: dict[str, Object]) -> Object:
    own: dict[str, Shape] = {"role": Text((role,)), "content": ListOf(Variants("type", content))}
    return Object({**_ITEM_COMMON, **own}, required=("role", "content"))


def _part(field: str, *more: str) -> Object:
    fields: dict[str, Shape] = {name: Text() for name in (field, *more)}
    return Object({"type": Text(), **fields}, required=(field,))


_MESSAGES = {
    "user": _message(
        "user",
        {
            "input_text": _part("text"),
            "input_audio": _part("audio", "transcript"),
            "input_image": _part("image_url", "detail"),
        },
    ),
    # An assistant's turn is replayed as text; its audio is the model's own (`output_audio` is
    # answered with "Missing required parameter: 'item.content[0].text'").
    "assistant": _message(
        "assistant",
        {
            "output_text": _part("text"),
            "output_audio": _part("text", "audio", "transcript"),
        },
    ),
    "system": _message("system", {"input_text": _part("text")}),
}
_CALL_ID = Text(longest=_MAX_ID)
_ITEMS = {
    "function_call": Object(
        {**_ITEM_COMMON, "call_id": _CALL_ID, "name": _NAME, "arguments": Text()},
        required=("name", "arguments"),
    ),
    "function_call_output": Object(
        {**_ITEM_COMMON, "call_id": _CALL_ID, "output": Text()},
        required=("call_id", "output"),
    ),
}


class _Item:
    """A conversation item: a message by its role, or another item by its type."""

    def check(self, value: Any, path: str) -> None:
        if isinstance(value, dict) and value.get("type") == "message":
            Variants("role", _MESSAGES).check(value, path)
            return
        message = Object({}, required=("role", "content"))
        Variants("type", {"message": message, **_ITEMS}).check(value, path)


_ITEM_ID = Text()
_INDEX = Number(0, 0, whole=True)
_FOREVER_MS = 10**9
_EVENTS: dict[str, tuple[dict[str, Shape], tuple[str, ...]]] = {
    "session.update": ({"session": _SESSION}, ("session",)),
    "input_audio_buffer.append": ({"audio": Text()}, ("audio",)),
    "input_audio_buffer.commit": ({}, ()),
    "input_audio_buffer.clear": ({}, ()),
    "conversation.item.create": (
        {"item": _Item(), "previous_item_id": Maybe(_ITEM_ID)},
        ("item",),
    ),
    "conversation.item.truncate": (
        {
            "item_id": _ITEM_ID,
            "content_index": _INDEX,
            "audio_end_ms": Number(0, _FOREVER_MS, whole=True),
        },
        ("item_id", "content_index", "audio_end_ms"),
    ),
    "conversation.item.delete": ({"item_id": _ITEM_ID}, ("item_id",)),
    "conversation.item.retrieve": ({"item_id": _ITEM_ID}, ("item_id",)),
    "response.create": ({"response": Maybe(_RESPONSE)}, ()),
    "response.cancel": ({"response_id": Text()}, ()),
}
_SHAPES = {
    name: Object({"type": Text(), "event_id": Text(longest=512), **fields}, required=required)
    for name, (fields, required) in _EVENTS.items()
}


def check_client_event(event: Any) -> None:
    """Raise Refused unless this is a client event as the vendor documents it."""
    if not isinstance(event, dict):
        raise Refused("invalid_event", "Expected a JSON object as the client event.")
    if "type" not in event:
        raise Refused("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    Text(tuple(_SHAPES)).check(event["type"], "type")
    _SHAPES[event["type"]].check(event, "")

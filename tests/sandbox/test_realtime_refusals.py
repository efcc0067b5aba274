"""What the emulated Realtime service refuses, and in which words. Every case over a real socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.brain import Brain
from sandbox.openai_realtime import RealtimeEmulator
from tests.sandbox.realtime_client import KEY, PCMU, Client, dialled

Fields = dict[str, Any]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with (
        RealtimeEmulator(KEY, lambda _: Brain([]), latency_ms=5, speed=40.0) as emulator,
        dialled(emulator) as connected,
    ):
        yield connected


def audio(**sides: Fields) -> Fields:
    return {"type": "realtime", "audio": sides}


def vad(**fields: Any) -> Fields:
    return audio(input={"turn_detection": {"type": "server_vad", **fields}})


AUDIO = "session.audio"
DETECTION = "session.audio.input.turn_detection"


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "realtime", "temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"type": "realtime", "voice": "marin"}, "unknown_parameter", "session.voice"),
        ({"type": "realtime", "modalities": []}, "unknown_parameter", "session.modalities"),
        (
            {"type": "realtime", "input_audio_format": "g711_ulaw"},
            "unknown_parameter",
            "session.input_audio_format",
        ),
        (
            {"type": "realtime", "turn_detection": None},
            "unknown_parameter",
            "session.turn_detection",
        ),
        (
            audio(input={"format": {**PCMU, "rate": 8_000}}),
            "unknown_parameter",
            f"{AUDIO}.input.format.rate",
        ),
        (audio(input={"format": "g711_ulaw"}), "invalid_type", f"{AUDIO}.input.format"),
        (
            audio(output={"format": {"type": "audio/opus"}}),
            "invalid_value",
            f"{AUDIO}.output.format.type",
        ),
        (
            audio(output={"format": {"type": "audio/pcm", "rate": 8_000}}),
            "integer_below_min_value",
            f"{AUDIO}.output.format.rate",
        ),
        (audio(output={"voice": "julie"}), "invalid_value", f"{AUDIO}.output.voice"),
        (audio(output={"speed": 1.6}), "decimal_above_max_value", f"{AUDIO}.output.speed"),
        (audio(output={"speed": 0.2}), "decimal_below_min_value", f"{AUDIO}.output.speed"),
        (vad(threshold=1.1), "decimal_above_max_value", f"{DETECTION}.threshold"),
        (vad(threshold="0.5"), "invalid_type", f"{DETECTION}.threshold"),
        (
            vad(silence_duration_ms=-1),
            "integer_below_min_value",
            f"{DETECTION}.silence_duration_ms",
        ),
        (vad(silence_duration_ms=0.5), "invalid_type", f"{DETECTION}.silence_duration_ms"),
        (vad(create_response=None), "invalid_type", f"{DETECTION}.create_response"),
        (vad(idle_timeout_ms=1_000), "integer_below_min_value", f"{DETECTION}.idle_timeout_ms"),
        (vad(eagerness="low"), "unknown_parameter", f"{DETECTION}.eagerness"),
        (
            audio(input={"turn_detection": {"type": "semantic_vad", "idle_timeout_ms": 8_000}}),
            "unknown_parameter",
            f"{DETECTION}.idle_timeout_ms",
        ),
        (
            audio(input={"turn_detection": {"threshold": 0.5}}),
            "missing_required_parameter",
            f"{DETECTION}.type",
        ),
        (
            audio(input={"noise_reduction": {"type": "far"}}),
            "invalid_value",
            f"{AUDIO}.input.noise_reduction.type",
        ),
        (
            {"type": "realtime", "output_modalities": ["audio", "text"]},
            "array_above_max_length",
            "session.output_modalities",
        ),
        (
            {"type": "realtime", "max_output_tokens": 5_000},
            "integer_above_max_value",
            "session.max_output_tokens",
        ),
        (
            {"type": "realtime", "max_output_tokens": "all"},
            "invalid_value",
            "session.max_output_tokens",
        ),
        (
            {
                "type": "realtime",
                "tools": [{"type": "function", "function": {"name": "end_call"}}],
            },
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "tools": [{"name": "end_call"}]},
            "missing_required_parameter",
            "session.tools[0].type",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function", "name": "f", "strict": True}]},
            "unknown_parameter",
            "session.tools[0].strict",
        ),
        ({"type": "realtime", "model": "gpt-realtime"}, "invalid_value", "session.model"),
        ({"type": "realtime", "instructions": ["x"]}, "invalid_type", "session.instructions"),
    ],
)
async def test_session_update(client: Client, session: Fields, code: str, param: str) -> None:
    await client.send("session.update", event_id="cfg_1", session=session)
    error = await client.error()
    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error",
        code,
        param,
    )
    assert error["event_id"] == "cfg_1"
    assert "session.updated" not in client.kinds()


async def test_the_vendors_words(client: Client) -> None:
    await client.send("session.update", session={"type": "realtime", "temperature": 1})
    assert (await client.error())["message"] == "Unknown parameter: 'session.temperature'."
    await client.send("session.update", session=vad(create_response=None))
    assert (await client.error())["message"] == (
        f"Invalid type for '{DETECTION}.create_response': expected a boolean, but got null instead."
    )


async def test_a_whole_telephone_session_is_taken(client: Client) -> None:
    """The example of the reference, field for field."""
    session = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "…",
        "audio": {
            "input": {
                "format": PCMU,
                "noise_reduction": {"type": "far_field"},
                "transcription": {"model": "gpt-transcribe", "language": "fr"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.6,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": 8_000,
                },
            },
            "output": {"format": PCMU, "voice": "marin", "speed": 1.0},
        },
        "tools": [
            {
                "type": "function",
                "name": "check_availability",
                "description": "…",
                "parameters": {"type": "object", "properties": {"date": {"type": "string"}}},
            }
        ],
        "tool_choice": "auto",
        "max_output_tokens": 1024,
        "truncation": {
            "type": "retention_ratio",
            "retention_ratio": 0.8,
            "token_limits": {"post_instructions": 8_000},
        },
        "tracing": None,
    }
    await client.send("session.update", event_id="cfg_1", session=session)
    updated = (await client.until("session.updated"))["session"]
    for name, value in session.items():
        assert updated[name] == value
    # A second, partial update leaves the rest.
    partial = audio(input={"turn_detection": {"type": "server_vad", "threshold": 0.7}})
    await client.send("session.update", session=partial)
    updated = (await client.until("session.updated"))["session"]
    assert updated["audio"]["input"]["format"] == PCMU
    assert updated["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert updated["tools"] == session["tools"]


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.audio.delta"}, "invalid_value", "type"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        ({"no": "type"}, "missing_required_parameter", "type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_type", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "é?"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "abc"}, "invalid_value", "audio"),
        (
            {"type": "input_audio_buffer.append", "audio": "A" * (15 * 1024 * 1024 + 4)},
            "string_above_max_length",
            "audio",
        ),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "response.cancel", "response_id": "resp_1"}, "response_cancel_not_active", None),
        (
            {"type": "response.create", "response": {"temperature": 1}},
            "unknown_parameter",
            "response.temperature",
        ),
        (
            {"type": "response.create", "response": {"modalities": ["audio"]}},
            "unknown_parameter",
            "response.modalities",
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0},
            "missing_required_parameter",
            "audio_end_ms",
        ),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "item_1",
                "content_index": 0,
                "audio_end_ms": 10,
            },
            "item_truncate_invalid_item_id",
            "item_id",
        ),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "item_1",
                "content_index": 0,
                "audio_end_ms": 10.5,
            },
            "invalid_type",
            "audio_end_ms",
        ),
        (
            {"type": "conversation.item.delete", "item_id": "item_1"},
            "item_delete_invalid_item_id",
            "item_id",
        ),
    ],
)
async def test_events(client: Client, event: Fields, code: str, param: str | None) -> None:
    await client.configure()
    kind = event.pop("type", None)
    if kind is None:
        await client.connection.send('{"event_id": "e1"}')
    else:
        await client.send(kind, event_id="e1", **event)
    error = await client.error()
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "e1")


OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}
TEXT = {"type": "input_text", "text": "x"}


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (OUTPUT, "invalid_tool_call_id", None),
        ({**OUTPUT, "call_id": "call/1"}, "invalid_value", "item.call_id"),
        ({**OUTPUT, "output": {"status": "booked"}}, "invalid_type", "item.output"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        (
            {"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": [TEXT]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "x"}],
            },
            "missing_required_parameter",
            "item.content[0].text",
        ),
        ({"type": "message", "role": "robot", "content": [TEXT]}, "invalid_value", "item.role"),
        ({"type": "note", "text": "x"}, "invalid_value", "item.type"),
        (
            {"type": "message", "role": "user", "content": [TEXT], "id": "i" * 33},
            "string_above_max_length",
            "item.id",
        ),
    ],
)
async def test_items(client: Client, item: Fields, code: str, param: str | None) -> None:
    await client.send("conversation.item.create", item=item)
    error = await client.error()
    assert (error["code"], error["param"]) == (code, param)
    assert "conversation.item.added" not in client.kinds()


async def test_an_item_has_its_place(client: Client) -> None:
    message = {"type": "message", "role": "user", "content": [TEXT]}
    for item_id, previous in (("a", None), ("c", None), ("b", "a"), ("first", "root")):
        await client.send(
            "conversation.item.create",
            item={**message, "id": item_id},
            previous_item_id=previous,
        )
    places = {}
    for _ in range(4):
        added = await client.until("conversation.item.added")
        places[added["item"]["id"]] = added["previous_item_id"]
    assert places == {"a": None, "c": "a", "b": "a", "first": None}
    await client.send("conversation.item.create", item={**message, "id": "a"})
    assert (await client.error())["param"] == "item.id"
    await client.send("conversation.item.create", item=message, previous_item_id="gone")
    assert (await client.error())["param"] == "previous_item_id"
    await client.send("conversation.item.delete", item_id="b")
    assert (await client.until("conversation.item.deleted"))["item_id"] == "b"


async def test_no_json(client: Client) -> None:
    for text in ("{", "[]", "7", b"\xff\xfe"):
        await client.connection.send(text)
        assert (await client.error())["code"] in ("invalid_json", "invalid_event")
    await client.configure()  # the session goes on


async def test_a_second_response(client: Client) -> None:
    await client.configure()
    await client.say("Bonjour, comment puis-je vous aider ? " * 5)
    created = await client.until("response.created")
    await client.send("response.create", event_id="again")
    error = await client.error()
    assert error["code"] == "conversation_already_has_active_response"
    assert created["response"]["id"] in error["message"]
    assert error["event_id"] == "again"
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_the_voice_is_settled_once_it_was_heard(client: Client) -> None:
    await client.configure()
    await client.say("Bonjour.")
    await client.until("response.done")
    await client.send("session.update", session=audio(output={"voice": "cedar"}))
    error = await client.error()
    assert error["code"] == "cannot_update_voice"
    await client.send("session.update", session=audio(output={"voice": "marin"}))
    await client.until("session.updated")


async def test_only_the_models_sound_is_truncated(client: Client) -> None:
    await client.configure()
    item = {"type": "message", "role": "user", "content": [TEXT], "id": "mine"}
    await client.send("conversation.item.create", item=item)
    await client.send("conversation.item.truncate", item_id="mine", content_index=0, audio_end_ms=0)
    assert (await client.error())["message"] == "Only model output audio messages can be truncated"


async def test_audio_in_a_format_that_was_not_agreed(client: Client) -> None:
    """The session's default is PCM at 24 kHz; this emulator says that it cannot hear it."""
    await client.hear(1)
    assert (await client.error())["code"] == "sandbox_unsupported"


async def test_reasoning_is_for_the_models_that_can() -> None:
    async with RealtimeEmulator(KEY, lambda _: Brain([])) as emulator, dialled(emulator) as client:
        await client.configure(reasoning={"effort": "low"}, parallel_tool_calls=False)
        emulator.sessions[0].config["model"] = "gpt-realtime-1.5"
        await client.send("session.update", session={"type": "realtime", "reasoning": {}})
        assert (await client.error())["code"] == "unsupported_parameter"


async def test_tracing_is_settled(client: Client) -> None:
    await client.configure(tracing="auto")
    await client.send("session.update", session={"type": "realtime", "tracing": None})
    assert (await client.error())["param"] == "session.tracing"

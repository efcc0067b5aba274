"""The session object of the emulated Realtime service: its defaults, and what an update does."""

from typing import Any

from sandbox.brain import Tool
from sandbox.realtime_shapes import Refused

Config = dict[str, Any]

# Longest waits of semantic detection are 8, 4 and 2 s; a sentence that is clearly over ends sooner.
_SEMANTIC_SILENCE_MS = {"low": 1_200, "medium": 700, "auto": 700, "high": 400}
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
    "idle_timeout_ms": None,
}
_SEMANTIC_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}


def default_config(session_id: str, model: str, expires_at: int) -> Config:
    """What `session.created` says. `expires_at`: seconds since the epoch."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "prompt": None,
        "truncation": "auto",
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(_SERVER_VAD),
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "voice": "alloy",
                "speed": 1.0,
            },
        },
    }


def updated(config: Config, update: Config, *, spoken: bool) -> Config:
    """The session after an update that has passed the schema; raises Refused for what the vendor
    forbids. `spoken`: the model has spoken already."""
    audio = update.get("audio", {})
    _refuse_changes(config, update, audio, spoken=spoken)
    merged = {**config, **update}
    merged["audio"] = {
        side: {**config["audio"][side], **audio.get(side, {})} for side in ("input", "output")
    }
    detection = merged["audio"]["input"]["turn_detection"]
    if detection is not None:
        defaults = _SERVER_VAD if detection["type"] == "server_vad" else _SEMANTIC_VAD
        merged["audio"]["input"]["turn_detection"] = {**defaults, **detection}
    return merged


def _refuse_changes(config: Config, update: Config, audio: Config, *, spoken: bool) -> None:
    voice = audio.get("output", {}).get("voice")
    if spoken and voice not in (None, config["audio"]["output"]["voice"]):
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise Refused("cannot_update_voice", message)
    if update.get("model", config["model"]) != config["model"]:
        message = "The model of a session cannot be changed once it is connected."
        raise Refused("invalid_value", message, "session.model")
    if (
        config["tracing"] is not None
        and update.get("tracing", config["tracing"]) != (config["tracing"])
    ):
        message = "Tracing cannot be changed once it is enabled for a session."
        raise Refused("invalid_value", message, "session.tracing")
    for name in ("reasoning", "parallel_tool_calls"):
        if update.get(name) is not None and not config["model"].startswith("gpt-realtime-2"):
            message = f"Unsupported parameter: 'session.{name}' is not supported with this model."
            raise Refused("unsupported_parameter", message, f"session.{name}")


def silence_ms(detection: Config) -> int:
    """How long a pause ends the turn."""
    if detection["type"] == "semantic_vad":
        return _SEMANTIC_SILENCE_MS[detection["eagerness"]]
    return int(detection["silence_duration_ms"])


def tools(config: Config) -> list[Tool]:
    """The functions that the model may call."""
    if config["tool_choice"] == "none":
        return []
    return [Tool(each["name"], _parameters(each)) for each in config["tools"]]


def _parameters(tool: Config) -> frozenset[str] | None:
    schema = tool.get("parameters")
    if not schema or "properties" not in schema:
        return None
    return frozenset(schema["properties"])

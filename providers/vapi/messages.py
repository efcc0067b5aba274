"""Vapi's JSON on a call's websocket: its messages, our orders, what a call overrides. Pure.

Shapes: vapi-openai-pinecone.md §1.6, §1.8 and §1.10.
"""

from typing import Any, Final

import msgspec

from voice.ports import AgentSpec

#: What we want to be told over the socket.
CLIENT_MESSAGES: Final = (
    "assistant.started",
    "hang",
    "model-output",
    "speech-update",
    "status-update",
    "transcript",
    "user-interrupted",
    "voice-input",
)


class Message(msgspec.Struct, rename="camel"):
    """A client message, as far as we read it. All else is ignored."""

    type: str
    status: str = ""
    role: str = ""
    transcript: str = ""
    transcript_type: str = ""
    ended_reason: str = ""
    output: Any = None
    input: Any = None


class _Wrapped(msgspec.Struct):
    message: Message


_decoder = msgspec.json.Decoder(Message)
_wrapped = msgspec.json.Decoder(_Wrapped)


def overrides(spec: AgentSpec) -> dict[str, Any]:
    """What is laid over the stored assistant for this call. Only whole fields: a nested object
    would be replaced, with all that provisioning put there (§1.2)."""
    values: dict[str, Any] = {"clientMessages": list(CLIENT_MESSAGES)}
    if spec.call is not None:
        values["variableValues"] = {
            "call_id": spec.call.call_id,
            "call_sid": spec.call.call_sid,
            "tenant_id": spec.call.tenant_id,
            # The stored assistant's instructions have a place for it (`assistant.ABOUT_CALL`).
            "about_call": spec.about_call,
        }
    if spec.resumed:
        values["firstMessageMode"] = "assistant-waits-for-user"
    return values


def read(text: bytes) -> Message | None:
    """A message, bare or in an envelope as the webhooks' (§1.8)."""
    for decoder in (_decoder, _wrapped):
        try:
            found = decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        return found.message if isinstance(found, _Wrapped) else found
    return None


def add_message(role: str, text: str, *, respond: bool = False) -> bytes:
    """Put a turn before the model; `respond`: and have it answer. `role`: user | system."""
    message = {"role": role, "content": text}
    return msgspec.json.encode(
        {"type": "add-message", "message": message, "triggerResponseEnabled": respond}
    )


def say(text: str, *, replaces: bool = False) -> bytes:
    """Speak this very sentence, behind what is being said or instead of it
    (ClientInboundMessageSay of Vapi's OpenAPI)."""
    order: dict[str, Any] = {"type": "say", "content": text, "endCallAfterSpoken": False}
    if replaces:
        order["interruptAssistantEnabled"] = True
    return msgspec.json.encode(order)

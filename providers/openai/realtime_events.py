"""What an OpenAI Realtime server sends, typed: only the fields that we use, in both dialects.

Shapes: shared/reference/vapi-openai-pinecone.md §2.3. Pure. A field that an event may lack has a
default: compatible servers leave some out.
"""

from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import msgspec


class Audio(
    msgspec.Struct,
    tag_field="type",
    tag="response.output_audio.delta",
    frozen=True,
    gc=False,
):
    """Sound for the caller: base64 µ-law, forwarded as it is."""

    item_id: str
    response_id: str = ""
    payload: str = msgspec.field(name="delta", default="")


class AudioBeta(Audio, tag="response.audio.delta", frozen=True, gc=False):
    """The same, in the beta dialect."""


class SessionUpdated(msgspec.Struct, tag_field="type", tag="session.updated"):
    pass


class SpeechStarted(msgspec.Struct, tag_field="type", tag="input_audio_buffer.speech_started"):
    audio_start_ms: float = 0


class SpeechStopped(msgspec.Struct, tag_field="type", tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: float = 0


@dataclass(frozen=True, slots=True)
class HeardUntil:
    """The server has heard the caller's audio up to here, and tells us so now."""

    ms: float


class Transcribed(
    msgspec.Struct,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.completed",
):
    item_id: str
    transcript: str | None = None


class NotTranscribed(
    msgspec.Struct,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.failed",
):
    item_id: str
    error: dict[str, Any] | None = None


class Item(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ItemAdded(msgspec.Struct, tag_field="type", tag="conversation.item.added"):
    item: Item


class ItemCreated(ItemAdded, tag="conversation.item.created"):
    pass


class ResponseCreated(msgspec.Struct, tag_field="type", tag="response.created"):
    response: dict[str, Any]


class Text(msgspec.Struct, tag_field="type", tag="response.output_audio_transcript.delta"):
    item_id: str
    response_id: str = ""
    delta: str = ""


class TextBeta(Text, tag="response.audio_transcript.delta"):
    pass


class TextDone(msgspec.Struct, tag_field="type", tag="response.output_audio_transcript.done"):
    item_id: str
    response_id: str = ""
    transcript: str = ""


class TextDoneBeta(TextDone, tag="response.audio_transcript.done"):
    pass


class AudioDone(msgspec.Struct, tag_field="type", tag="response.output_audio.done"):
    item_id: str


class AudioDoneBeta(AudioDone, tag="response.audio.done"):
    pass


class OutputAdded(msgspec.Struct, tag_field="type", tag="response.output_item.added"):
    item: Item
    response_id: str = ""


class OutputDone(msgspec.Struct, tag_field="type", tag="response.output_item.done"):
    item: Item
    response_id: str = ""


class ArgumentsDone(msgspec.Struct, tag_field="type", tag="response.function_call_arguments.done"):
    item_id: str | None = None
    response_id: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ResponseDone(msgspec.Struct, tag_field="type", tag="response.done"):
    response: dict[str, Any]


class Error(msgspec.Struct, tag_field="type", tag="error"):
    error: dict[str, Any]


ServerEvent = (
    Audio
    | AudioBeta
    | SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | Transcribed
    | NotTranscribed
    | ItemAdded
    | ItemCreated
    | ResponseCreated
    | Text
    | TextBeta
    | TextDone
    | TextDoneBeta
    | AudioDone
    | AudioDoneBeta
    | OutputAdded
    | OutputDone
    | ArgumentsDone
    | ResponseDone
    | Error
)


class Envelope(msgspec.Struct):
    type: str


_decoder: Final[msgspec.json.Decoder[ServerEvent]] = msgspec.json.Decoder(ServerEvent)
_envelope: Final = msgspec.json.Decoder(Envelope)
_KNOWN: Final = frozenset(
    kind.__struct_config__.tag
    for kind in cast(tuple[type[msgspec.Struct], ...], get_args(ServerEvent))
)


class NotAnEvent(Exception):
    """The server sent something that is no event at all."""


class Malformed(Exception):
    """An event of a kind that we know, with fields of another shape. The text says which."""


def parse(text: bytes | memoryview | str) -> ServerEvent | None:
    """One text frame; None for an event that we don't use (new ones appear without notice).

    Raises NotAnEvent, Malformed.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        kind = _kind(text)
        if kind in _KNOWN:
            raise Malformed(f"{kind}: {error}") from error
        return None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotAnEvent("not JSON") from error


def _kind(text: bytes | memoryview | str) -> str:
    try:
        return _envelope.decode(text).type
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotAnEvent("no type") from error


def item(raw: object) -> Item | None:
    """An item of a response's output; None when it isn't one."""
    try:
        return msgspec.convert(raw, Item)
    except msgspec.ValidationError:
        return None

"""Twilio Media Streams on the wire: JSON text ⇄ messages. Knows nothing of sockets.

Shapes and rules: shared/reference/twilio.md §3.2–3.5. Twilio ignores a message with a missing or
an extra field (31951), so what we send is built by hand from exactly the documented fields.
"""

from collections.abc import Mapping

import msgspec


class Connected(msgspec.Struct, tag_field="event", tag="connected", frozen=True):
    """The socket is open; `start` follows."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """What the audio is; anything but µ-law 8 kHz mono is refused."""

    encoding: str = ""
    sample_rate: int = 0
    channels: int = 0


class StartDetails(msgspec.Struct, frozen=True, rename="camel"):
    """Which call this stream belongs to, and our own parameters."""

    stream_sid: str
    call_sid: str
    account_sid: str = ""
    media_format: MediaFormat = MediaFormat()
    custom_parameters: Mapping[str, str] = {}


class Start(msgspec.Struct, tag_field="event", tag="start", frozen=True):
    """Exactly one per stream, before any audio."""

    start: StartDetails


class _Payload(msgspec.Struct, frozen=True):
    payload: str
    track: str = "inbound"


class Media(msgspec.Struct, tag_field="event", tag="media", frozen=True):
    """20 ms of the caller: base64 µ-law."""

    media: _Payload


class _Digit(msgspec.Struct, frozen=True):
    digit: str


class Dtmf(msgspec.Struct, tag_field="event", tag="dtmf", frozen=True):
    """A key."""

    dtmf: _Digit


class _Name(msgspec.Struct, frozen=True):
    name: str


class Mark(msgspec.Struct, tag_field="event", tag="mark", frozen=True):
    """The echo of a mark: what was queued before it has been played, or was cleared."""

    mark: _Name


class Stop(msgspec.Struct, tag_field="event", tag="stop", frozen=True):
    """The stream is over: the caller hung up, or the call was redirected."""


Message = Connected | Start | Media | Dtmf | Mark | Stop

_EVENTS = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class _Envelope(msgspec.Struct):
    event: str


_envelope: msgspec.json.Decoder[_Envelope] = msgspec.json.Decoder(_Envelope)


#: What msgspec raises for what isn't JSON, or is nested some thousand levels deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ProtocolError(Exception):
    """The peer doesn't speak Media Streams."""


def parse(text: bytes) -> Message | None:
    """One text frame; None for an event we don't know (Twilio adds some without notice).

    Raises ProtocolError for anything that isn't a well-formed message.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        event = _event(text)
        if event in _EVENTS:
            raise ProtocolError(f"malformed {event} message") from error
        return None
    except _UNREADABLE as error:
        raise ProtocolError("not JSON") from error


def _event(text: bytes) -> str:
    """The event of a message whose rest we don't understand. Raises ProtocolError."""
    try:
        return _envelope.decode(text).event
    except _UNREADABLE as error:
        raise ProtocolError("not a Media Streams message") from error


def is_telephone_audio(details: StartDetails) -> bool:
    """Whether the stream carries what we pass through untouched."""
    audio = details.media_format
    return (audio.encoding, audio.sample_rate, audio.channels) == ("audio/x-mulaw", 8000, 1)


class Encoder:
    """Writes the three messages a bidirectional stream may receive, for one stream."""

    __slots__ = ("_clear", "_mark", "_media")

    def __init__(self, stream_sid: str) -> None:
        sid = msgspec.json.encode(stream_sid)
        self._media = b'{"event":"media","streamSid":' + sid + b',"media":{"payload":"'
        self._mark = b'{"event":"mark","streamSid":' + sid + b',"mark":{"name":"'
        self._clear = b'{"event":"clear","streamSid":' + sid + b"}"

    def media(self, payload: str) -> bytes:
        """Audio to play: base64 µ-law (an alphabet that needs no escaping)."""
        return self._media + payload.encode("ascii") + b'"}}'

    def mark(self, name: str) -> bytes:
        """To be echoed when all before it has been played. `name`: ASCII without quotes."""
        return self._mark + name.encode("ascii") + b'"}}'

    def clear(self) -> bytes:
        """Forget what hasn't been played."""
        return self._clear

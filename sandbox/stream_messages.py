"""Media Streams messages, both ways, as strict as Twilio is about what it receives. Pure."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """A message that Twilio ignores, with the error it logs."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Media:
    """µ-law audio to play."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """To be returned once everything before it has been heard."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what is queued."""


_FIELDS = {
    "media": {"event", "streamSid", "media"},
    "mark": {"event", "streamSid", "mark"},
    "clear": {"event", "streamSid"},
}


def parse(message: str | bytes, stream_sid: str) -> Media | Mark | Clear:
    """What the server sent. Raises Refused: 31950 for a binary message, 31951 for one that is not
    JSON, is of an unknown type, has a missing or extra field or the sid of another stream."""
    if isinstance(message, bytes):
        raise Refused(31950, "binary message")
    try:
        fields = json.loads(message)
    except json.JSONDecodeError as error:
        raise Refused(31951, f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refused(31951, "not an object")
    event = fields.get("event")
    if not isinstance(event, str) or event not in _FIELDS:
        raise Refused(31951, f"unknown event {event!r}")
    if fields.keys() != _FIELDS[event]:
        raise Refused(
            31951, f"{event}: fields {sorted(fields)} instead of {sorted(_FIELDS[event])}"
        )
    if fields["streamSid"] != stream_sid:
        raise Refused(31951, f"{event}: streamSid {fields['streamSid']!r} is not this stream's")
    if event == "clear":
        return Clear()
    return _media(fields["media"]) if event == "media" else _mark(fields["mark"])


def _media(body: Any) -> Media:
    payload = _only_string(body, "media", "payload")
    try:
        audio = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(31951, f"media.payload is not base64: {error}") from error
    if not audio:
        raise Refused(31951, "media.payload is empty")
    return Media(audio)


def _mark(body: Any) -> Mark:
    return Mark(_only_string(body, "mark", "name"))


def _only_string(body: Any, event: str, name: str) -> str:
    if not isinstance(body, dict) or body.keys() != {name} or not isinstance(body[name], str):
        raise Refused(31951, f"{event} must be an object with the one string {name!r}")
    text: str = body[name]
    return text


CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose stream it is; `parameters` are those of the TwiML."""

    stream_sid: str
    account_sid: str
    call_sid: str
    parameters: tuple[tuple[str, str], ...]


class Sender:
    """Writes the messages of one stream, numbered as Twilio numbers them (numbers as strings)."""

    def __init__(self, identity: StreamIdentity) -> None:
        self._identity = identity
        self._sequence = 0
        self._chunk = 0

    def start(self) -> str:
        """The one message that says which call this is."""
        of = self._identity
        return self._message(
            "start",
            {
                "accountSid": of.account_sid,
                "streamSid": of.stream_sid,
                "callSid": of.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": dict(of.parameters),
            },
        )

    def media(self, frame: bytes, timestamp_ms: int) -> str:
        """20 ms of the caller; `timestamp_ms` counts from the start of the stream."""
        self._sequence += 1
        self._chunk += 1
        # 50 a second and call: written by hand.
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunk}","timestamp":"{timestamp_ms}",'
            f'"payload":"{base64.b64encode(frame).decode("ascii")}"}},'
            f'"streamSid":"{self._identity.stream_sid}"}}'
        )

    def mark(self, name: str) -> str:
        """The server's mark, returned."""
        return self._message("mark", {"name": name})

    def dtmf(self, digit: str) -> str:
        """A key; note that the track is spelled otherwise than in `media`."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def stop(self) -> str:
        """The last message."""
        of = self._identity
        return self._message("stop", {"accountSid": of.account_sid, "callSid": of.call_sid})

    def _message(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                event: body,
                "streamSid": self._identity.stream_sid,
            }
        )

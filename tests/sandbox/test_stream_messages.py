import base64
import json

import pytest

from sandbox.stream_messages import (
    Clear,
    Mark,
    Media,
    Refused,
    Sender,
    StreamIdentity,
    parse,
)

SID = "MZ1"


def test_what_a_server_may_send() -> None:
    payload = base64.b64encode(b"\x01\x02").decode()
    text = json.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}})
    assert parse(text, SID) == Media(b"\x01\x02")
    text = json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": "r7:3"}})
    assert parse(text, SID) == Mark("r7:3")
    assert parse(json.dumps({"event": "clear", "streamSid": SID}), SID) == Clear()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b'{"event":"clear","streamSid":"MZ1"}', 31950),
        ("{", 31951),
        ("[]", 31951),
        ('{"event":"hangup","streamSid":"MZ1"}', 31951),
        ('{"event":["media"],"streamSid":"MZ1"}', 31951),
        ('{"event":"clear"}', 31951),
        ('{"event":"clear","streamSid":"MZ2"}', 31951),
        ('{"event":"clear","streamSid":"MZ1","extra":1}', 31951),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":"a","extra":1}}', 31951),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":3}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"no base64!"}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":""}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"AA==","track":"x"}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":"AA=="}', 31951),
    ],
)
def test_what_twilio_ignores(message: str | bytes, code: int) -> None:
    with pytest.raises(Refused) as refused:
        parse(message, SID)
    assert refused.value.code == code


def test_what_a_stream_sends_is_numbered_in_strings() -> None:
    sender = Sender(StreamIdentity(SID, "AC1", "CA1", (("token", "t"),)))
    start = json.loads(sender.start())
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": SID,
        "start": {
            "accountSid": "AC1",
            "streamSid": SID,
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "t"},
        },
    }
    first, second = json.loads(sender.media(b"\xff" * 160, 0)), json.loads(sender.media(b"a", 20))
    assert first["sequenceNumber"] == "2"
    assert first["media"]["track"] == "inbound"
    assert (first["media"]["chunk"], first["media"]["timestamp"]) == ("1", "0")
    assert base64.b64decode(first["media"]["payload"]) == b"\xff" * 160
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "20")
    dtmf = json.loads(sender.dtmf("5"))
    assert dtmf["dtmf"] == {"track": "inbound_track", "digit": "5"}
    assert json.loads(sender.mark("m"))["mark"] == {"name": "m"}
    stop = json.loads(sender.stop())
    assert stop["stop"] == {"accountSid": "AC1", "callSid": "CA1"}
    assert stop["sequenceNumber"] == "6"

"""An SMS from Twilio's form."""

import pytest

from messaging.inbound import kind_of, read_sms, readable

SID = "SM" + "0" * 32
FORM = {
    "MessageSid": SID,
    "From": "+33639980001",
    "To": "+33757000001",
    "Body": "Oui",
    "NumMedia": "0",
}


def test_what_is_a_message() -> None:
    message = read_sms(FORM | {"OptOutType": "STOP"})
    assert message is not None
    assert (message.vendor_id, message.opt_out, message.automatic) == (SID, "STOP", False)


@pytest.mark.parametrize("sender", ["Ameli", "38663", "Info Trafic"])
def test_machines_write_too(sender: str) -> None:
    message = read_sms(FORM | {"From": sender})
    assert message is not None
    assert (message.automatic, message.sender) == (True, sender)


@pytest.mark.parametrize(
    "wrong",
    [
        {"MessageSid": "SM1"},
        {"From": ""},
        {"From": "whatsapp:+33639980001"},
        {"To": "whatsapp:+33757000001"},
        {"From": "a\r\nb"},
        {"From": "x" * 33},
    ],
    ids=str,
)
def test_what_is_none(wrong: dict[str, str]) -> None:
    assert read_sms(FORM | wrong) is None


def test_media_are_counted_by_whoever_sent_them_and_bounded_by_us() -> None:
    media = {f"MediaUrl{n}": f"https://api.twilio.com/{n}" for n in range(20)}
    for number, found in (("2", 2), ("99", 10), ("-1", 0), ("x", 0), ("", 0)):
        message = read_sms(FORM | media | {"NumMedia": number})
        assert message is not None
        assert len(message.media) == found


def test_words() -> None:
    assert readable(" a\r\nb\x00c\ud800 ") == "a\nbc?"
    assert [kind_of(each) for each in ("image/png", "text/x-vcard", "application/pdf", "")] == [
        "image",
        "contacts",
        "document",
        "other",
    ]

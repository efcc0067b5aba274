import pytest

from sandbox.twiml import TwimlError, parse


def verbs(body: str) -> list[str]:
    return [each.name for each in parse(body.encode()).verbs]


def test_a_stream_with_parameters() -> None:
    document = parse(
        b'<?xml version="1.0" encoding="UTF-8"?><Response>'
        b'<Connect action="https://a.fr/next"><Stream url="wss://a.fr/media-stream">'
        b'<Parameter name="token" value="t&amp;u"/></Stream></Connect>'
        b'<Say language="fr-FR">Un <emphasis>instant</emphasis></Say></Response>'
    )
    connect, say = document.verbs
    assert connect.get("action") == "https://a.fr/next"
    stream = connect.children[0]
    assert stream.get("url") == "wss://a.fr/media-stream"
    assert stream.children[0].get("value") == "t&u"
    assert say.text == "Un instant"
    assert document.warnings == ()


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("<Response>", "text/xml", 12100),
        ("<Response/>", "application/json", 12300),
        ("<Response/>", "", 12300),
        ("<response/>", "text/xml", 12100),
        ("", "text/xml", 12100),
        ('<Response><Say voice="a&b">x</Say></Response>', "text/xml", 12100),
        ('<!DOCTYPE x [<!ENTITY y "z">]><Response/>', "text/xml", 12100),
        ("<Response><Pay/></Response>", "text/xml", 12200),
        ("<Response><Connect/></Response>", "text/xml", 12200),
        ("<Response>" + " " * 65536 + "</Response>", "text/xml", 11750),
    ],
)
def test_documents_that_cannot_be_run(body: str, content_type: str, code: int) -> None:
    with pytest.raises(TwimlError) as error:
        parse(body.encode(), content_type)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://a.fr/m", 31922),
        ("ws://a.fr/m", 31922),
        ("/media", 31923),
        ("wss://a.fr:port/m", 31923),
        ("wss://a.fr/m?token=1", 31920),
    ],
)
def test_stream_addresses_that_twilio_refuses(url: str, code: int) -> None:
    with pytest.raises(TwimlError) as error:
        parse(f'<Response><Connect><Stream url="{url}"/></Connect></Response>'.encode())
    assert error.value.code == code


def test_loopback_streams_need_no_certificate() -> None:
    for host in ("127.0.0.1:80", "localhost", "[::1]"):
        body = f'<Response><Connect><Stream url="ws://{host}/m"/></Connect></Response>'
        assert verbs(body) == ["Connect"]


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("<Response><say>x</say></Response>", "<say> has no place in <Response>"),
        ("<Response><Say Voice='x'>x</Say></Response>", "no such attribute"),
        ("<Response><Gather><Dial>1</Dial></Gather></Response>", "<Dial> has no place in <Gather>"),
        ("<Response><Pause length='long'/></Response>", "not a whole number"),
        ("<Response><Gather action='https://my_host.fr/x'/></Response>", "underscore"),
        ("<Response><Redirect method='PUT'>/x</Redirect></Response>", "neither GET nor POST"),
        ("<Response><Hangup>bye</Hangup></Response>", "holds text"),
    ],
)
def test_what_the_debugger_would_warn_of(body: str, warning: str) -> None:
    assert any(warning in each for each in parse(body.encode()).warnings)


def test_a_warned_attribute_or_verb_is_left_out() -> None:
    document = parse(b"<Response><say>x</say><Pause length='x'/></Response>")
    assert [each.name for each in document.verbs] == ["Pause"]
    assert document.verbs[0].seconds("length", 1) == 1


def test_parameters_are_bounded() -> None:
    body = (
        '<Response><Connect><Stream url="wss://a.fr/m">'
        f'<Parameter name="token" value="{"x" * 500}"/></Stream></Connect></Response>'
    )
    with pytest.raises(TwimlError):
        parse(body.encode())

"""TwiML, read as strictly as Twilio reads it: names are case-sensitive, nothing is guessed. Pure.

Verbs and attributes: twilio.com/docs/voice/twiml and its pages.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_BYTES = 64 * 1024
XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


class TwimlError(Exception):
    """A document that cannot be run, with Twilio's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verb:
    """An element: its name, attributes, text (trimmed) and children."""

    name: str
    attributes: Mapping[str, str]
    text: str
    children: "tuple[Verb, ...]"

    def get(self, name: str, default: str = "") -> str:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    def seconds(self, name: str, default: float) -> float:
        """An attribute that is a number; its default when it is missing or "auto"."""
        text = self.attributes.get(name, "")
        return float(text) if text and text != "auto" else default

    def flag(self, name: str, default: bool) -> bool:
        """An attribute that is true or false."""
        text = self.attributes.get(name)
        return default if text is None else text == "true"


@dataclass(frozen=True, slots=True)
class Document:
    """What to do, in order, and what Twilio's debugger would say about it."""

    verbs: tuple[Verb, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    attributes: frozenset[str]
    children: frozenset[str] = frozenset()
    text: bool = False


def _shape(attributes: str = "", children: str = "", *, text: bool = False) -> _Shape:
    return _Shape(frozenset(attributes.split()), frozenset(children.split()), text)


_SSML = "break emphasis lang p phoneme prosody s say-as sub w"
_VERBS = {
    "Say": _shape("voice language loop", _SSML, text=True),
    "Play": _shape("loop digits", text=True),
    "Pause": _shape("length"),
    "Gather": _shape(
        "input action method timeout speechTimeout maxSpeechTime finishOnKey numDigits language"
        " hints profanityFilter bargeIn speechModel enhanced partialResultCallback"
        " partialResultCallbackMethod actionOnEmptyResult debug",
        "Say Play Pause",
    ),
    "Dial": _shape(
        "action method timeout hangupOnStar timeLimit callerId record trim recordingStatusCallback"
        " recordingStatusCallbackMethod recordingStatusCallbackEvent answerOnBridge ringTone"
        " recordingTrack sequential referUrl referMethod events",
        "Number",
        text=True,
    ),
    "Record": _shape(
        "action method timeout finishOnKey maxLength playBeep trim recordingStatusCallback"
        " recordingStatusCallbackMethod recordingStatusCallbackEvent transcribe transcribeCallback"
    ),
    "Redirect": _shape("method", text=True),
    "Reject": _shape("reason"),
    "Hangup": _shape(),
    "Connect": _shape("action method", "Stream"),
}
_NOUNS = {
    "Number": _shape(
        "url method byoc sendDigits statusCallback statusCallbackMethod statusCallbackEvent",
        text=True,
    ),
    "Stream": _shape("url name track statusCallback statusCallbackMethod", "Parameter"),
    "Parameter": _shape("name value"),
}
#: Exist, and aren't emulated: a document with one of them fails loudly instead of half running.
_NOT_EMULATED = frozenset(
    "Enqueue Leave Pay Prompt Refer Siprec Sms Start Stop Conference Client Sip Queue Application"
    " ConversationRelay VirtualAgent Room Conversation AiSession".split()
)
_NUMBERS = frozenset({"timeout", "length", "timeLimit", "maxLength", "numDigits", "loop"})
_ADDRESSES = frozenset(
    {"action", "url", "statusCallback", "partialResultCallback", "recordingStatusCallback"}
)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def parse(body: bytes, content_type: str = "text/xml") -> Document:
    """Read an answer. Raises TwimlError: 11750 too long, 12300 content type, 12100 not well
    formed or no `<Response>`, 31922/31923 for a stream's address."""
    if len(body) > MAX_BYTES:
        raise TwimlError(11750, f"TwiML of {len(body)} bytes; 64 KB at most")
    if content_type.partition(";")[0].strip().lower() not in XML_TYPES:
        raise TwimlError(12300, f"content type {content_type!r} is not XML")
    if b"<!DOCTYPE" in body:
        raise TwimlError(12100, "a document type declaration")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, so no entities; 64 KB at most
    except ET.ParseError as error:
        raise TwimlError(12100, f"not well formed: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12100, f"the root is <{root.tag}> instead of <Response>")
    warnings: list[str] = []
    verbs = tuple(_verbs(root, frozenset(_VERBS), warnings, inside="Response"))
    return Document(verbs, tuple(warnings))


def _verbs(
    parent: ET.Element, allowed: frozenset[str], warnings: list[str], *, inside: str
) -> Iterator[Verb]:
    for element in parent:
        if element.tag in _NOT_EMULATED:
            raise TwimlError(12200, f"<{element.tag}> is not emulated")
        if element.tag not in allowed:
            # Twilio warns (12200) and goes on without it.
            warnings.append(f"12200: <{element.tag}> has no place in <{inside}>")
            continue
        yield _verb(element, warnings)


def _verb(element: ET.Element, warnings: list[str]) -> Verb:
    name = element.tag
    if name in _SSML.split():
        return Verb(name, dict(element.attrib), "".join(element.itertext()).strip(), ())
    shape = _VERBS.get(name) or _NOUNS[name]
    for attribute, value in element.attrib.items():
        problem = _problem(shape, attribute, value)
        if problem:
            warnings.append(f"12200: <{name} {attribute}={value!r}>: {problem}")
    said = "".join(element.itertext()) if name == "Say" else element.text or ""
    if said.strip() and not shape.text:
        warnings.append(f"12200: <{name}> holds text")
    attributes = {k: v for k, v in element.attrib.items() if not _problem(shape, k, v)}
    children = tuple(_verbs(element, shape.children, warnings, inside=name))
    verb = Verb(name, attributes, said.strip(), children)
    _check(verb)
    return verb


def _problem(shape: _Shape, attribute: str, value: str) -> str:
    """What is wrong with an attribute, or nothing."""
    if attribute not in shape.attributes:
        return "no such attribute"
    if attribute in _NUMBERS and not value.isdigit():
        return "not a whole number"
    if attribute in _ADDRESSES and "_" in (urlsplit(value).hostname or ""):
        return "a host name with an underscore is refused"
    if attribute in ("method", "statusCallbackMethod") and value not in ("GET", "POST"):
        return "neither GET nor POST"
    return ""


def _check(verb: Verb) -> None:
    if verb.name == "Stream":
        _check_stream(verb)
    elif verb.name == "Connect" and len(verb.children) != 1:
        raise TwimlError(12200, "<Connect> needs exactly one noun")
    elif verb.name == "Dial" and not verb.text and not verb.children:
        raise TwimlError(13224, "<Dial> without a number")
    elif verb.name == "Parameter":
        for part in ("name", "value"):
            if not 0 < len(verb.get(part)) < 500:
                raise TwimlError(12200, f"<Parameter {part}>: 1 to 499 characters")


def _check_stream(verb: Verb) -> None:
    """`wss` only; on loopback `ws` too, since nobody has a certificate for it."""
    try:
        address = urlsplit(verb.get("url"))
        _ = address.port
    except ValueError as error:
        raise TwimlError(31923, f"malformed stream address: {error}") from error
    if not address.hostname:
        raise TwimlError(31923, f"malformed stream address {verb.get('url')!r}")
    if address.scheme != "wss" and not (address.scheme == "ws" and address.hostname in _LOOPBACK):
        raise TwimlError(31922, f"stream address is {address.scheme}, not wss")
    if address.query:
        raise TwimlError(31920, "a stream address takes no query string: use <Parameter>")
    if verb.get("track", "inbound_track") != "inbound_track":
        raise TwimlError(31941, "<Connect><Stream> takes the inbound track only")

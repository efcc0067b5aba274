"""The XML that we answer Twilio with: absolute addresses, values escaped by the vendor's builder.

Rules: shared/reference/twilio.md §1.3, §3.1, §4.4, §4.6.
"""

from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from twilio.twiml.voice_response import Connect, Dial, Gather, Number, VoiceResponse

# One tested constant per language: an unknown voice is an error at Twilio (twilio.md §4.7).
_VOICES = {"fr": ("Polly.Lea-Neural", "fr-FR"), "en": ("Polly.Amy-Neural", "en-GB")}

#: Longer than any document of a vendor's; Twilio takes 64 KB (twilio.md §1.3).
MAX_DOCUMENT: Final = 16 * 1024

#: The name of the `<Parameter>` that carries the one-time token.
TOKEN_PARAMETER = "token"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class Addresses:
    """Our own absolute addresses. `public_url` has no trailing slash; `stream_url` is ws(s)."""

    public_url: str
    stream_url: str

    def voice(self, *steps: str) -> str:
        """An address below the voice webhook."""
        return "/".join([f"{self.public_url}/webhooks/twilio/voice", *steps])


def stream(addresses: Addresses, token: str) -> str:
    """Join the caller to our media stream; when it ends, ask `continue`."""
    response = VoiceResponse()
    connect = Connect(action=addresses.voice("continue"), method="POST")
    connect.stream(url=addresses.stream_url).parameter(name=TOKEN_PARAMETER, value=token)
    response.append(connect)
    return str(response)


def ask(addresses: Addresses, locale: str, words: str, *steps: str, digits: int) -> str:
    """Ask by voice or keys; the answer, even an empty one, goes to the address of `steps`."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    gather = Gather(
        input="dtmf speech",
        action=addresses.voice(*steps),
        method="POST",
        language=language,
        num_digits=digits,
        timeout=6,
        speech_timeout="auto",
        action_on_empty_result=True,
        profanity_filter=False,
    )
    gather.say(words, voice=voice, language=language)
    response.append(gather)
    return str(response)


#: How an answer of a turn is taken. A single key ends it at once; what is told at length may have
#: pauses in it; a number ends with # (twilio.md §4.6).
_TAKEN: dict[str, dict[str, str | int]] = {
    "key": {"input": "dtmf speech", "num_digits": 1, "speech_timeout": "auto"},
    "words": {"input": "dtmf speech", "speech_timeout": 2, "max_speech_time": 60},
    "number": {"input": "dtmf speech", "finish_on_key": "#", "speech_timeout": 2},
    "open": {"input": "dtmf speech", "finish_on_key": "#", "speech_timeout": "auto"},
}
#: How long somebody may think before they answer, seconds.
TURN_TIMEOUT = 6


def turn(
    addresses: Addresses,
    locale: str,
    words: str,
    listen: Literal["key", "words", "number", "open"],
    *steps: str,
) -> str:
    """Ask; the answer, even an empty one, goes to the address of `steps`."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    gather = Gather(
        action=addresses.voice(*steps),
        method="POST",
        language=language,
        timeout=TURN_TIMEOUT,
        action_on_empty_result=True,
        profanity_filter=False,
        **_TAKEN[listen],
    )
    gather.say(words, voice=voice, language=language)
    response.append(gather)
    return str(response)


def say_and_ask(addresses: Addresses, locale: str, words: str, *steps: str) -> str:
    """Say this, if anything, and ask at the address of `steps` how it goes on."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    if words:
        response.say(words, voice=voice, language=language)
    response.redirect(addresses.voice(*steps), method="POST")
    return str(response)


#: A voicemail's length and the pause that ends it, seconds.
VOICEMAIL_SECONDS = 120
VOICEMAIL_PAUSE = 5


def voicemail(addresses: Addresses, locale: str, words: str, call_id: str) -> str:
    """Record a message. Its end goes to `done`, and besides to `recorded`, also when the caller
    has hung up; a recording without a sound has no `done`, and goes to `empty` (Twilio's docs of
    <Record>: "if Twilio receives an empty recording, it will not make a request to the action
    URL")."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    response.say(words, voice=voice, language=language)
    response.record(
        action=addresses.voice("voicemail", call_id, "done"),
        method="POST",
        timeout=VOICEMAIL_PAUSE,
        finish_on_key="#",
        max_length=VOICEMAIL_SECONDS,
        play_beep=True,
        trim="trim-silence",
        recording_status_callback=addresses.voice("voicemail", call_id, "recorded"),
        recording_status_callback_method="POST",
        recording_status_callback_event="completed absent",
    )
    response.redirect(addresses.voice("voicemail", call_id, "empty"), method="POST")
    return str(response)


def say_and_hang_up(locale: str, words: str) -> str:
    """The last word is ours."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    response.say(words, voice=voice, language=language)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def then_continue(addresses: Addresses, document: str) -> str:
    """A vendor's document, and behind what it does, `continue` (twilio.md §1.3: verbs behind
    `<Connect>` run once its stream has ended, unless it has an action of its own). ValueError: it
    is none behind which anything would run, or that could be used at all."""
    # Read and written anew: what a comment holds, or what stands behind the end, hides nothing.
    if len(document) > MAX_DOCUMENT or "<!" in document.replace("<!--", ""):
        raise ValueError("a document that is too long, or has a DTD")
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - without a DTD, and short
        verbs = list(root)
        connects = [verb for verb in verbs if verb.tag == "Connect"]
        if root.tag != "Response" or len(connects) != 1 or verbs[-1] is not connects[0]:
            raise ValueError("a document whose last verb isn't its one <Connect>")
        if "action" in connects[0].attrib:
            raise ValueError("a document whose <Connect> has an action")
        redirect = VoiceResponse()
        redirect.redirect(addresses.voice("continue"), method="POST")
        root.append(redirect.xml()[0])
        return ElementTree.tostring(root, encoding="unicode")
    except ElementTree.ParseError as error:
        raise ValueError("a document that is no XML") from error
    except RecursionError as error:
        raise ValueError("a document that is nested too deeply") from error


def nothing() -> str:
    """An empty document: go on, or end."""
    return str(VoiceResponse())


def wait(addresses: Addresses, locale: str, words: str, seconds: int) -> str:
    """A word, a pause, and the voice webhook once more."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    response.say(words, voice=voice, language=language)
    response.pause(length=seconds)
    response.redirect(addresses.voice(), method="POST")
    return str(response)


def reject() -> str:
    """Refuse the call before it is answered, so that it isn't billed (twilio.md §1.3)."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def dial(addresses: Addresses, number: str, caller_id: str, call_id: str, ring: int) -> str:
    """Ring the owner; who answers hears an announcement and must press 1 to take the call."""
    response = VoiceResponse()
    target = Dial(
        action=addresses.voice("transfer", call_id, "done"),
        method="POST",
        timeout=ring,
        caller_id=caller_id or None,
    )
    target.append(
        Number(number, url=addresses.voice("transfer", call_id, "announce"), method="POST")
    )
    response.append(target)
    return str(response)


def announce(addresses: Addresses, locale: str, words: str, call_id: str) -> str:
    """What the person called hears; without a key the leg ends and nobody was bridged."""
    response = VoiceResponse()
    voice, language = _voice(locale)
    gather = Gather(
        input="dtmf",
        num_digits=1,
        timeout=10,
        action=addresses.voice("transfer", call_id, "accept"),
        method="POST",
    )
    gather.say(words, voice=voice, language=language)
    response.append(gather)
    response.hangup()
    return str(response)


def _voice(locale: str) -> tuple[str, str]:
    return _VOICES.get(locale[:2].lower(), _VOICES["fr"])

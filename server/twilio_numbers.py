"""Our numbers at Twilio: which they are, and what each of them must call."""

from urllib.parse import quote, urlsplit

from domain.errors import OperatorError
from domain.messages import text
from domain.tenant import DEFAULT_LOCALE
from providers.twilio.rest import NumberAddresses, TwilioAccount
from server.settings import Settings, host_of
from storage import Storage
from voice.twiml import Addresses, say_and_hang_up

STATUS_PATH = "/webhooks/twilio/status"
SMS_PATH = "/webhooks/twilio/sms"

#: Answers with the TwiML that its address carries; Twilio hosts it
#: (https://www.twilio.com/labs/twimlets/echo).
TWILIO_ECHO = "https://twimlets.com/echo"

OWN_BIN = (
    "make a TwiML Bin in Twilio's console (docs/deploy.md has a text for it) and give its address "
    "with --fallback-url or in TWILIO_FALLBACK_URL"
)


def account(settings: Settings) -> TwilioAccount:
    """The account's REST API, with the first of the tokens."""
    tokens = settings.auth_tokens
    return TwilioAccount(
        settings.twilio_api_base_url, settings.twilio_account_sid or "", tokens[0] if tokens else ""
    )


def wanted(settings: Settings, fallback_url: str = "") -> NumberAddresses:
    """Where a number of ours must send what happens."""
    ours = Addresses(settings.public_url, settings.stream_url)
    public = settings.public_url
    return NumberAddresses(
        ours.voice(), public + STATUS_PATH, fallback_url, sms_url=public + SMS_PATH
    )


def default_fallback() -> str:
    """An address of Twilio's own that apologises, asks to call again and hangs up, without us."""
    # Who was called isn't known there: the shared number's callers are of many businesses.
    words = text(DEFAULT_LOCALE, "technical_apology_unbound")
    return f"{TWILIO_ECHO}?Twiml={quote(say_and_hang_up(DEFAULT_LOCALE, words), safe='')}"


async def our_numbers(settings: Settings, storage: Storage) -> list[str]:
    """The shared one and the dedicated ones of tenants, in E.164."""
    shared = {settings.twilio_phone_number} if settings.twilio_phone_number else set()
    return sorted(shared | await storage.operator.our_numbers())


def check_fallback(url: str, settings: Settings) -> None:
    """Raises OperatorError when the address would fail together with us."""
    if urlsplit(url).scheme not in ("http", "https") or not host_of(url):
        raise OperatorError(f"the fallback {url!r} is no http or https address: {OWN_BIN}")
    if is_ours(url, settings):
        raise OperatorError(
            f"the fallback is on our own host {host_of(url)} and would fail together with us: "
            f"{OWN_BIN}"
        )


def is_ours(url: str, settings: Settings) -> bool:
    """Whether an address is answered by this deployment."""
    return host_of(url) in {host_of(settings.public_url), host_of(settings.stream_url)}

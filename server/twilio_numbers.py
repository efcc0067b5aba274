"""Our numbers at Twilio: which they are, and what each of them must call."""

from urllib.parse import urlsplit

from domain.errors import OperatorError
from providers.twilio.rest import NumberAddresses, TwilioAccount
from server.settings import Settings, host_of
from storage import Storage
from voice.twiml import Addresses

STATUS_PATH = "/webhooks/twilio/status"

NEEDS_FALLBACK = (
    "a number needs an address that answers when this server doesn't. Make a TwiML Bin in Twilio's "
    "console (docs/deploy.md has a text for it) and give its address with --fallback-url or in "
    "TWILIO_FALLBACK_URL"
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
    return NumberAddresses(ours.voice(), settings.public_url + STATUS_PATH, fallback_url)


async def our_numbers(settings: Settings, storage: Storage) -> list[str]:
    """The shared one and the dedicated ones of tenants, in E.164."""
    shared = {settings.twilio_phone_number} if settings.twilio_phone_number else set()
    return sorted(shared | await storage.operator.our_numbers())


def check_fallback(url: str, settings: Settings) -> None:
    """Raises OperatorError when the address would fail together with us."""
    if urlsplit(url).scheme not in ("http", "https") or not host_of(url):
        raise OperatorError(f"the fallback {url!r} is no http or https address: {NEEDS_FALLBACK}")
    if is_ours(url, settings):
        raise OperatorError(
            f"the fallback is on our own host {host_of(url)} and would fail together with us: "
            f"{NEEDS_FALLBACK}"
        )


def is_ours(url: str, settings: Settings) -> bool:
    """Whether an address is answered by this deployment."""
    return host_of(url) in {host_of(settings.public_url), host_of(settings.stream_url)}

"""The deployment's accounts at its vendors, from the settings. The worker has them as the server
does, without the parts that serve calls (`server.wiring`)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.language_model import LanguageModel
from providers.guarded import GuardedDoor
from providers.twilio.rest import TwilioAccount
from providers.vapi.addresses import VENDOR_HOSTS
from providers.vapi.rest import VapiAccount
from server.models import language_model
from server.settings import Settings


def twilio_account(settings: Settings) -> TwilioAccount:
    """The account's REST API; without credentials each use says so."""
    return TwilioAccount(
        settings.twilio_api_base_url,
        settings.twilio_account_sid or "",
        settings.auth_tokens[0] if settings.auth_tokens else "",
    )


@asynccontextmanager
async def vapi_account(settings: Settings) -> AsyncIterator[VapiAccount | None]:
    """The deployment's account at Vapi, if it has one."""
    key = settings.vapi_api_key
    if key is None:
        yield None
        return
    guard = GuardedDoor(settings.guard_allowed_networks, (VENDOR_HOSTS,))
    async with VapiAccount(str(settings.vapi_base_url), key.get_secret_value(), guard=guard) as it:
        yield it


@asynccontextmanager
async def text_model(settings: Settings) -> AsyncIterator[LanguageModel | None]:
    """The language model, if one is set."""
    model = language_model(settings)
    if model is None:
        yield None
        return
    async with model:
        yield model

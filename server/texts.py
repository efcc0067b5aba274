"""Who sends texts: settings → a `messaging.ports.Sender` per channel.

Holds connections, no tenant's credentials: those come with each text.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from domain.clock import Clock
from domain.jobs import VendorLimits
from domain.mail_servers import MailServer
from messaging.email import compose, email_of, wire
from messaging.ports import Credentials, OutgoingText, Sender
from providers.dialog360_hub import Dialog360Hub, Partner, partner_of
from providers.guarded import GuardedDoor
from providers.smtp import Letter, SmtpTexts
from providers.twilio.messages import SmsDefaults, TwilioTexts
from providers.twilio.rest import TwilioAccount
from providers.whatsapp import WhatsAppApi, WhatsAppTexts
from server.settings import Settings, host_of
from server.twilio_numbers import STATUS_PATH
from storage import Storage

#: By the `vendor` of a job kind, across all processes. Twilio limits requests at once by account
#: (twilio.md §5.7 advises 10 to 20); Meta a number to 80 messages a second.
LIMITS: Final[Mapping[str, VendorLimits]] = {
    "twilio": VendorLimits(concurrent=10, per_second=20.0),
    "smtp": VendorLimits(concurrent=20, per_second=20.0),
    "whatsapp": VendorLimits(concurrent=20, per_second=40.0),
}


@dataclass(frozen=True, slots=True)
class TextVendors:
    """`senders` by channel. `whatsapp` reads what is no text (media, templates, webhooks), `hub`
    onboards numbers: None without a partner's credentials."""

    senders: Mapping[str, Sender]
    sms: TwilioTexts
    email: SmtpTexts
    whatsapp: WhatsAppApi
    hub: Dialog360Hub | None


@asynccontextmanager
async def text_vendors(
    settings: Settings,
    storage: Storage,
    clock: Clock,
    *,
    account: TwilioAccount | None = None,
    guard: GuardedDoor | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[TextVendors]:
    """All of them, open while the block runs. `account`: one that is open already; `guard`: the
    door to tenants' mail servers, by default the settings' own; `trust`: whose certificates are
    believed there, by default those that browsers believe."""
    async with AsyncExitStack() as stack:
        twilio = account
        if twilio is None:
            twilio = await stack.enter_async_context(_account(settings))
        api = await stack.enter_async_context(
            WhatsAppApi(
                settings.whatsapp_base_url,
                settings.whatsapp_graph_version,
                settings.dialog360_base_url,
            )
        )
        partner = dialog360_partner(settings)
        hub = None
        if partner is not None:
            hub = await stack.enter_async_context(
                Dialog360Hub(settings.dialog360_hub_base_url, partner, settings.dialog360_base_url)
            )
        sms = TwilioTexts(twilio, _sms_defaults(settings), clock, _Owns(storage).owns)
        email = SmtpTexts(
            guard or GuardedDoor(settings.guard_allowed_networks),
            _Composer(clock).letter,
            name=_greeting(settings),
            trust=trust,
        )
        whatsapp = WhatsAppTexts(api)
        senders: Mapping[str, Sender] = {"sms": sms, "email": email, "whatsapp": whatsapp}
        yield TextVendors(senders, sms, email, api, hub)


def dialog360_partner(settings: Settings) -> Partner | None:
    """The operator's account at 360dialog, if it has one."""
    secret = settings.whatsapp_360dialog_client_secret
    return partner_of(
        settings.whatsapp_360dialog_client_id,
        secret.get_secret_value() if secret else None,
        settings.whatsapp_360dialog_partner_id,
    )


@dataclass(frozen=True, slots=True)
class SmsAsker:
    """Sends a stranger the question whom they mean; a messaging.receiving.Asker."""

    sms: TwilioTexts

    async def ask(self, inbound_id: str, to: str, sender: str, words: str) -> None:
        """From the number that they wrote to, which is the deployment's own."""
        text = OutgoingText(inbound_id, "", "sms", to, words, purpose="answer", sender=sender)
        await self.sms.send(text, Credentials())


@dataclass(frozen=True, slots=True)
class _Composer:
    """Writes e-mails; the time in them is the clock's."""

    clock: Clock

    def letter(self, text: OutgoingText, server: MailServer) -> Letter:
        email = email_of(text, server.sender, server.sender_name, self.clock.now())
        message = compose(email)
        recipient = message["To"].addresses[0].addr_spec
        sender = message["From"].addresses[0].addr_spec
        return Letter(email.message_id, sender, recipient, wire(message))


@dataclass(frozen=True, slots=True)
class _Owns:
    """Which of the account's numbers is whose."""

    storage: Storage

    async def owns(self, tenant_id: str, number: str) -> bool:
        return number in await self.storage.operator.numbers(tenant_id)


def _account(settings: Settings) -> TwilioAccount:
    return TwilioAccount(
        settings.twilio_api_base_url,
        settings.twilio_account_sid or "",
        settings.auth_tokens[0] if settings.auth_tokens else "",
    )


def _sms_defaults(settings: Settings) -> SmsDefaults:
    return SmsDefaults(
        sender=settings.twilio_sms_from or "",
        messaging_service=settings.twilio_messaging_service_sid or "",
        status_url=settings.public_url + STATUS_PATH,
        own_numbers=settings.own_numbers,
    )


def _greeting(settings: Settings) -> str:
    """How we greet mail servers: our name, or as one without (RFC 5321 §4.1.3)."""
    host = host_of(settings.public_url)
    return host if host and ":" not in host and not host.replace(".", "").isdigit() else "localhost"

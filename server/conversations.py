"""The jobs of text conversations and reminders: what a worker of this deployment needs for them."""

from dataclasses import dataclass

import structlog

from domain.breaker import Breakers
from domain.clock import Clock
from domain.errors import CoccinelleError
from domain.jobs import Backoff, JobKind
from domain.knowledge import Knowledge
from domain.language_model import LanguageModel
from messaging.answering import Answering
from messaging.doors import Operators, TextDoors
from messaging.incoming import IncomingMessage
from messaging.ports import Credentials
from messaging.receiving import ANSWER, Receiving
from messaging.reminding import ELSEWHERE, Reminding
from providers.meta_signature import WhatsAppProof
from providers.twilio.messages import replies_reach
from providers.whatsapp import line_of
from server.metrics import Metrics
from server.settings import Settings
from server.text_agent import TextAgent
from server.texts import SmsAsker, TextVendors
from storage import Storage
from storage.inbound import RECEIVE
from storage.reminders import SEND
from voice.functions.runner import FunctionRunner
from voice.turn_model import TurnModel

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Marks WhatsApp messages as read and shows that we type, which nobody waits for in vain: it
    is tried once."""

    storage: Storage
    vendors: TextVendors

    async def __call__(self, tenant_id: str, message: IncomingMessage) -> None:
        if message.channel != "whatsapp" or message.echo:
            return
        async with self.storage.tenant(tenant_id).read() as rows:
            channel = await rows.channels.get("whatsapp")
            line = line_of(Credentials(channel.config, rows.channels.opened(channel)))
        if line is None:
            return
        try:
            await self.vendors.whatsapp.mark_read(line, message.vendor_id, typing=True)
        except CoccinelleError as error:
            log.info("whatsapp.not_marked", error=type(error).__name__)


def text_doors(settings: Settings, storage: Storage, clock: Clock, metrics: Metrics) -> TextDoors:
    """The webhooks of texts: they record, and jobs do the rest elsewhere."""
    secret, token = settings.whatsapp_app_secret, settings.whatsapp_verify_token
    platform = settings.whatsapp_360dialog_platform_secret
    return TextDoors(
        storage=storage,
        receiving=Receiving(storage, clock),
        clock=clock,
        proof=WhatsAppProof(platform.get_secret_value() if platform else ""),
        operators=Operators(
            app_secret=secret.get_secret_value() if secret else "",
            verify_token=token.get_secret_value() if token else "",
        ),
        count=lambda what: metrics.count("texts_dropped", what),
    )


def conversation_jobs(
    settings: Settings,
    storage: Storage,
    clock: Clock,
    vendors: TextVendors,
    model: LanguageModel | None,
    knowledge: Knowledge | None,
) -> list[JobKind]:
    """Bringing texts home, answering them, reminding."""
    arriving = Receiving(storage, clock, SmsAsker(vendors.sms), _Seen(storage, vendors))
    agent = None
    if model is not None:
        agent = TextAgent(
            model=TurnModel(model, Breakers(clock)),
            functions=FunctionRunner(),
            storage=storage,
            clock=clock,
            region=settings.default_region,
            knowledge=knowledge,
        )
    answering = Answering(storage, clock, agent, settings.own_numbers)
    reminds = reminding(settings, storage, clock)
    soon = Backoff(first=0.5, longest=60.0, attempts=10)
    return [
        JobKind(RECEIVE, arriving.take, backoff=soon, time_limit=60.0),
        JobKind(ANSWER, answering.run, backoff=soon, time_limit=120.0),
        JobKind(SEND, reminds.send, backoff=soon),
        JobKind(ELSEWHERE, reminds.elsewhere, backoff=soon),
    ]


def reminding(settings: Settings, storage: Storage, clock: Clock) -> Reminding:
    """What plans confirmations and reminders: a follower of appointments' changes."""
    replies = bool(settings.twilio_messaging_service_sid) or replies_reach(
        settings.twilio_sms_from or ""
    )
    return Reminding(storage, clock, settings.public_url, replies)

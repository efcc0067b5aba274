"""A business connects its WhatsApp number by 360dialog: there, back, and what a job does then.

Nothing in the redirect is proven (shared/reference/text-channels.md §2.4). It counts for the tenant
whose one-time state it bears; each channel is looked up at the hub, must be of the client that came
back, and can be one tenant's only. Then a key is made, stored, and the webhook registered with a
secret of ours. A job does it, for 360dialog may need minutes until a number runs.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.channel_state import (
    DIALOG360_KEY,
    NUMBER_TAKEN,
    ON_ITS_WAY,
    ONBOARDING_STATE,
    WEBHOOK_KEY,
    WHATSAPP_CHECK,
)
from domain.clock import Clock
from domain.errors import Conflict, Invalid, NotFound, ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from domain.webhook_keys import WEBHOOK_SECRET, key_digest
from messaging.holding import hold
from messaging.ports import Credentials
from providers.dialog360_hub import Dialog360Hub, HubChannel, onboarding_url, read_redirect
from providers.meta_signature import SECRET_HEADER
from providers.whatsapp import META, WhatsAppApi, line_of
from server.settings import Settings
from server.texts import TextVendors, dialog360_partner
from storage import Storage, TenantRows

log = structlog.get_logger(__name__)

CALLBACK: Final = "/oauth/360dialog/callback"
CONNECT: Final = "whatsapp.connect"
#: Signing up with Meta takes a coffee, not a day.
STATE_LIVES: Final = timedelta(hours=2)
#: How often a number is looked at that isn't running yet, and how long.
LOOK_AGAIN: Final = timedelta(minutes=2)
LOOK_UNTIL: Final = timedelta(hours=24)

#: The secret that a state is kept as: digest and end. And whose number it became.
_CHANNEL: Final = "d360ChannelId"
_ENDPOINT: Final = "d360_channel"
_STATES = re.compile(r"([0-9a-f]{32})\.[A-Za-z0-9_-]{32,64}")

_THANKS: Final = (
    "Merci. Votre numéro WhatsApp est en cours de raccordement : vous pouvez fermer cette page et "
    "revenir à votre tableau de bord, qui vous dira quand il est prêt.\n"
)
_EXPIRED: Final = (
    "Ce lien a déjà servi ou n’est plus valable. Recommencez depuis la page WhatsApp de votre "
    "tableau de bord.\n"
)


@dataclass(frozen=True, slots=True)
class Onboarding:
    """The way there and back. `link`: state → the address to sign up at."""

    storage: Storage
    clock: Clock
    link: Callable[[str], str]

    async def begin(self, tenant_id: str) -> str:
        """Where the tenant signs up; a link that was made before leads nowhere now."""
        state = f"{tenant_id}.{secrets.token_urlsafe(32)}"
        ends = int((self.clock.now() + STATE_LIVES).timestamp())
        async with self.storage.tenant(tenant_id).write() as rows:
            await rows.channels.save_secrets(
                "whatsapp", {ONBOARDING_STATE: f"{_digest(state)}.{ends}"}
            )
        return self.link(state)

    def routes(self) -> list[Route]:
        """Where 360dialog sends the browser back to."""
        return [Route(CALLBACK, self.came_back, methods=["GET"])]

    async def came_back(self, request: Request) -> Response:
        """The browser, from 360dialog: the state is used up, and a job does the rest."""
        try:
            redirect = read_redirect(dict(request.query_params))
        except Invalid:
            return _page(_EXPIRED, 400)
        tenant_id = await self._spend(redirect.state)
        if tenant_id is None:
            log.warning("whatsapp.onboarding_refused")
            return _page(_EXPIRED, 400)
        until = self.clock.now() + LOOK_UNTIL
        async with self.storage.tenant(tenant_id).write() as rows:
            payload = {
                "tenant_id": tenant_id,
                "client_id": redirect.client_id,
                "channels": list(redirect.channels),
                "revoked": list(redirect.revoked),
                "until": until.isoformat(),
            }
            await rows.jobs.put(CONNECT, payload, key=f"{CONNECT}:{tenant_id}")
            under_way = f"{ON_ITS_WAY}.{int(until.timestamp())}"
            await rows.channels.save_secrets("whatsapp", {ONBOARDING_STATE: under_way})
        return _page(_THANKS)

    async def _spend(self, state: str) -> str | None:
        """The tenant whose state this is, for the first who brings it in time."""
        matched = _STATES.fullmatch(state)
        if matched is None:
            return None
        tenant_id = matched[1]
        try:
            async with self.storage.tenant(tenant_id).write() as rows:
                await rows.tenant()
                kept = (await rows.channels.secrets("whatsapp")).get(ONBOARDING_STATE, "")
                digest, _, ends = str(kept).partition(".")
                if not hmac.compare_digest(digest.encode(), _digest(state).encode()):
                    return None
                await rows.channels.save_secrets("whatsapp", {ONBOARDING_STATE: None})
        except NotFound:
            return None
        late = not ends.isdigit() or int(ends) < self.clock.now().timestamp()
        return None if late else tenant_id


@dataclass(frozen=True, slots=True)
class Connecting:
    """The job."""

    storage: Storage
    clock: Clock
    hub: Dialog360Hub
    api: WhatsAppApi
    public_url: str

    async def run(self, job: Job) -> Again | None:
        """Connect the first channel that is the client's and runs; look again while none runs."""
        tenant_id, client_id = str(job.payload["tenant_id"]), str(job.payload["client_id"])
        await self._forget(tenant_id, [str(each) for each in job.payload["revoked"]])
        pending = False
        for channel_id in job.payload["channels"]:
            channel = await self.hub.channel(str(channel_id))
            if channel is None or channel.client_id != client_id:
                log.warning("whatsapp.onboarding_foreign_channel", tenant_id=tenant_id)
            elif not channel.ready:
                pending = True
            elif await self._connect(tenant_id, channel):
                return None
        if pending and self.clock.now() < datetime.fromisoformat(str(job.payload["until"])):
            return Again(self.clock.now() + LOOK_AGAIN)
        await self._give_up(tenant_id)
        return None

    async def _give_up(self, tenant_id: str) -> None:
        """Nothing is on its way any more; a link that was made meanwhile stays good."""
        async with self.storage.tenant(tenant_id).write() as rows:
            kept = await rows.channels.secrets("whatsapp")
            if str(kept.get(ONBOARDING_STATE, "")).startswith(f"{ON_ITS_WAY}."):
                await rows.channels.save_secrets("whatsapp", {ONBOARDING_STATE: None})

    async def _connect(self, tenant_id: str, channel: HubChannel) -> bool:
        """False when the channel is another tenant's. Each step may be repeated but the making of
        a key, which is done once: a key that is stored is not made again."""
        tenant = self.storage.tenant(tenant_id)
        async with tenant.write() as rows:
            if not await rows.endpoints.take(_ENDPOINT, channel.id, "whatsapp"):
                log.warning("whatsapp.onboarding_taken", tenant_id=tenant_id)
                return False
            await rows.endpoints.drop("whatsapp", _ENDPOINT, but=channel.id)
            found = await rows.channels.get("whatsapp")
            known = rows.channels.opened(found)
        if found.config.get(_CHANNEL) != channel.id or not known.get(DIALOG360_KEY):
            made = await self.hub.create_key(channel.id)
            async with tenant.write() as rows:
                given = {DIALOG360_KEY: made.api_key, ONBOARDING_STATE: None}
                await _store(rows, channel, given, made.address)
        await self._register(tenant_id)
        return True

    async def _register(self, tenant_id: str) -> None:
        """A webhook address and a secret, new each time: what 360dialog forgot is told anew."""
        key, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        async with self.storage.tenant(tenant_id).write() as rows:
            digest = key_digest(key)
            if not await rows.endpoints.take("key", digest, "whatsapp"):
                raise Conflict("a random key is taken")
            await rows.endpoints.drop("whatsapp", "key", but=digest)
            await rows.channels.save_secrets("whatsapp", {WEBHOOK_SECRET: secret})
            channel = await rows.channels.get("whatsapp")
            line = line_of(Credentials(channel.config, rows.channels.opened(channel)))
        if line is not None:
            url = f"{self.public_url}/webhooks/whatsapp/{key}"
            await self.api.set_webhook(line, url, {SECRET_HEADER: secret})

    async def _forget(self, tenant_id: str, revoked: Sequence[str]) -> None:
        """Of what the tenant took back, its own alone."""
        async with self.storage.tenant(tenant_id).write() as rows:
            channel = await rows.channels.get("whatsapp")
            if channel.config.get(_CHANNEL) not in revoked:
                return
            await rows.channels.save_secrets(
                "whatsapp", {DIALOG360_KEY: None, WEBHOOK_SECRET: None}
            )
            config = {name: value for name, value in channel.config.items() if name != _CHANNEL}
            await rows.channels.save("whatsapp", enabled=False, config=config, configured=False)
            await rows.endpoints.drop("whatsapp", _ENDPOINT)
            await rows.endpoints.drop("whatsapp", "key")
            await rows.endpoints.drop("whatsapp", "phone_number_id")


@dataclass(frozen=True, slots=True)
class Proving:
    """The job after a channel was saved by hand: whose number it is."""

    storage: Storage
    api: WhatsAppApi

    async def run(self, job: Job) -> None:
        """A number is the tenant's whose token opens it at Meta: anybody may type anybody's id.
        Only then do its webhooks reach the tenant. Credentials that are refused prove nothing: the
        channel rests, and its owner is told; a vendor that is away is asked again."""
        tenant = self.storage.tenant(str(job.payload["tenant_id"]))
        async with tenant.read() as rows:
            channel = await rows.channels.get("whatsapp")
            line = line_of(Credentials(channel.config, rows.channels.opened(channel)))
        if line is None:
            return
        try:
            await self.api.check(line)
        except ProviderError as error:
            if error.retryable:
                raise
            log.info("whatsapp.not_proven", tenant_id=tenant.tenant_id, code=error.code)
            async with tenant.write() as rows:
                await hold(rows, "whatsapp", error.code or str(error.status or ""))
            return
        async with tenant.write() as rows:
            await rows.outbox.resume("whatsapp")
            number = line.phone_number_id
            if line.via != META:
                return
            if not await rows.endpoints.take("phone_number_id", number, "whatsapp"):
                log.warning("whatsapp.number_taken", tenant_id=tenant.tenant_id)
                await hold(rows, "whatsapp", NUMBER_TAKEN)
                return
            await rows.endpoints.drop("whatsapp", "phone_number_id", but=number)
            if not (await rows.channels.secrets("whatsapp")).get(WEBHOOK_KEY):
                key = secrets.token_urlsafe(32)
                await rows.endpoints.take("key", key_digest(key), "whatsapp")
                await rows.channels.save_secrets("whatsapp", {WEBHOOK_KEY: key})


def onboarding(settings: Settings, storage: Storage, clock: Clock) -> Onboarding | None:
    """None without a partner's credentials: the channel is then connected by hand."""
    partner = dialog360_partner(settings)
    if partner is None:
        return None
    secret = settings.whatsapp_360dialog_platform_secret
    back = settings.whatsapp_360dialog_redirect_uri or settings.public_url + CALLBACK

    def link(state: str) -> str:
        return onboarding_url(
            partner.id,
            state=state,
            redirect_url=back,
            now=clock.now(),
            platform_secret=secret.get_secret_value() if secret else "",
        )

    return Onboarding(storage, clock, link)


def onboarding_jobs(
    settings: Settings, storage: Storage, clock: Clock, vendors: TextVendors
) -> list[JobKind]:
    """Proving numbers; connecting them, for whoever has a partner's credentials."""
    patient = Backoff(first=10.0, longest=600.0, attempts=8)
    proving = Proving(storage, vendors.whatsapp)
    kinds = [JobKind(WHATSAPP_CHECK, proving.run, vendor="whatsapp", backoff=patient)]
    if vendors.hub is None:
        return kinds
    connecting = Connecting(storage, clock, vendors.hub, vendors.whatsapp, settings.public_url)
    return [*kinds, JobKind(CONNECT, connecting.run, vendor="whatsapp", backoff=patient)]


async def _store(rows: TenantRows, channel: HubChannel, kept: dict[str, Any], address: str) -> None:
    found = await rows.channels.get("whatsapp")
    config = {
        **found.config,
        "connectionMethod": "oauth",
        "whatsappNumber": channel.number,
        "wabaId": channel.account_id,
        "d360ClientId": channel.client_id,
        "d360Address": address,
        _CHANNEL: channel.id,
    }
    # Another number's, perhaps: the new one's comes with its first webhook.
    await rows.endpoints.drop("whatsapp", "phone_number_id")
    await rows.channels.save_secrets("whatsapp", kept)
    await rows.channels.save("whatsapp", enabled=True, config=config, configured=True)


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _page(words: str, status: int = 200) -> Response:
    # The state stood in this page's address: it goes nowhere from here.
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return PlainTextResponse(words, status, headers)

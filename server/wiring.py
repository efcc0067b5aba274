"""Who is introduced to whom: settings → the concrete parts of one running server."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version

from dashboard.api.settings import ApiSettings
from dashboard.api.tokens import TokenRules, Tokens
from domain.breaker import Breakers
from domain.clock import Clock
from domain.knowledge import Knowledge, PassageIndex
from domain.language_model import LanguageModel
from messaging.statuses import record_message_status
from providers.jwks import Jwks
from providers.openai.realtime import OpenAIRealtime
from providers.twilio.messages import replies_reach
from providers.twilio.rest import TwilioCallControl
from providers.twilio.signature import TwilioSignature
from providers.vapi.bypass import VapiBypass
from providers.vapi.connector import VapiConnector
from providers.vapi.rest import VapiAccount
from server.cascade import announcements, cascade
from server.drain import Drain
from server.key_ring import key_ring
from server.knowledge import knowledge_search
from server.metrics import Metrics
from server.money import cap_of
from server.settings import Settings
from storage import Storage
from storage.capacity import CallSlots
from storage.database import Database
from storage.nodes import Node
from voice.agent import RealtimeDefaults
from voice.agents import Agents, Speaker, breaker_of
from voice.announcements.voiced import VoicedLines
from voice.background import Background
from voice.bridge import Surroundings
from voice.bypass import Bypass
from voice.call import Rules
from voice.cascade import CascadeModels, thinks
from voice.cascade_links import CascadeLinks
from voice.endings import Endings
from voice.functions.runner import FunctionRunner
from voice.journal import Journal
from voice.ladder import Rung
from voice.live_calls import LiveCalls
from voice.lower_rungs import LowerRungs
from voice.media_stream.endpoint import MediaStreamEndpoint
from voice.openings import Openings
from voice.places import Places
from voice.ports import AgentSpec, CallFacts, TurnDetection
from voice.probes import Probe, Probes, speaks
from voice.rescue import Rescue
from voice.streams import NOBODY, Streams
from voice.turn_answers import TurnAnswers
from voice.turn_model import LLM, TurnModel
from voice.turn_webhooks import TurnWebhooks
from voice.twiml import Addresses
from voice.vapi_departures import Departures
from voice.vapi_webhooks import VapiWebhooks
from voice.voicemail import Voicemail
from voice.webhooks import VoiceWebhooks

#: The vendor's voices (vapi-openai-pinecone.md §2.2); a tenant may choose one by name.
REALTIME_VOICES = frozenset("alloy ash ballad coral echo sage shimmer verse marin cedar".split())


#: An assistant that doesn't exist, in the form of Vapi's ids.
NO_ASSISTANT = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Parts:
    """One running server's parts, for `server.app`."""

    storage: Storage
    knowledge: Knowledge
    node: Node
    journal: Journal
    live_calls: LiveCalls
    endings: Endings
    openings: Openings
    webhooks: VoiceWebhooks
    endpoint: MediaStreamEndpoint
    vapi: VapiWebhooks
    rescue: Rescue
    drain: Drain
    probes: Probes


@dataclass(frozen=True, slots=True)
class Vendors:
    """Connections to others; who makes them closes them. `index`: passages at a vendor's; `vapi`:
    None without a key; `text_model`: of conversations by turns."""

    control: TwilioCallControl
    index: PassageIndex | None = None
    vapi: VapiAccount | None = None
    text_model: LanguageModel | None = None
    cascade: CascadeModels | None = None


def addresses(settings: Settings) -> Addresses:
    """Our own absolute addresses."""
    return Addresses(settings.public_url, settings.stream_url)


def signature(settings: Settings) -> TwilioSignature:
    """What checks that a request is Twilio's; without a token it refuses everything."""
    return TwilioSignature(settings.auth_tokens)


#: A page that tries a channel waits so long for what becomes of it.
TEST_SECONDS = 8.0


def api_settings(settings: Settings) -> ApiSettings:
    """What the REST endpoints must know."""
    admin, vapi = settings.admin_api_key, settings.vapi_webhook_secret
    return ApiSettings(
        admin_key=admin.get_secret_value() if admin else None,
        vapi_secret=vapi.get_secret_value() if vapi else None,
        shared_number=settings.twilio_phone_number,
        own_numbers=settings.own_numbers,
        default_region=settings.default_region,
        requests_per_minute=settings.api_requests_per_minute,
        key_requests_per_minute=settings.api_key_requests_per_minute,
        address_requests_per_minute=settings.api_address_requests_per_minute,
        refused_per_minute=settings.api_refused_per_minute,
        address_key=sha256(b"addresses" + _token_secret(settings)).digest(),
        cors_origins=settings.cors_origins,
        public_url=settings.public_url,
        sms_sender=settings.sends_sms,
        # Of a messaging service nobody knows beforehand.
        sms_replies=bool(settings.twilio_messaging_service_sid)
        or replies_reach(settings.twilio_sms_from or ""),
        whatsapp_app=bool(settings.whatsapp_app_secret and settings.whatsapp_verify_token),
        allowed_countries=frozenset(settings.allowed_countries),
        texts_per_day=settings.texts_per_day_api,
        sms_prices=settings.sms_prices,
        test_seconds=TEST_SECONDS,
        spend_cap=cap_of(settings),
    )


@asynccontextmanager
async def session_tokens(settings: Settings, clock: Clock) -> AsyncIterator[Tokens | None]:
    """What reads the sessions of the dashboard's people, if any are signed."""
    if settings.jwt_jwks_url is not None:
        rules = TokenRules(settings.jwt_algorithm, issuer=settings.jwt_issuer)
        async with Jwks(settings.jwt_jwks_url, clock) as keys:
            yield Tokens(rules, clock, keys)
        return
    secret = settings.jwt_secret
    if secret is None:
        yield None
        return
    yield Tokens(TokenRules("HS256", secret.get_secret_value(), settings.jwt_issuer), clock)


def build(
    settings: Settings,
    database: Database,
    clock: Clock,
    metrics: Metrics,
    vendors: Vendors,
    tasks: asyncio.TaskGroup,
) -> Parts:
    """Introduce everybody. `tasks` outlives all calls."""
    control, index = vendors.control, vendors.index
    storage = Storage(database, clock, key_ring(settings))
    knowledge = knowledge_search(settings, storage, clock, metrics, index)
    journal = Journal(storage.journal)
    node = Node(database, clock, "server", version("coccinelle"))
    live_calls = LiveCalls(
        clock,
        tasks,
        per_node=settings.max_calls_per_node,
        per_tenant=settings.max_calls_per_tenant,
        places=_places(settings, database, clock, metrics, node),
        relieved=node.relieved,
    )
    voicemail = Voicemail(
        storage=storage,
        clock=clock,
        base_url=settings.twilio_api_base_url,
        account_sid=settings.twilio_account_sid or "",
        transcribes=settings.model_server("stt") is not None,
    )
    endings = Endings(
        storage,
        journal,
        control,
        clock,
        metrics,
        live_calls.call_ids,
        missed=voicemail.missed,
        public_url=settings.public_url,
        sms_replies=api_settings(settings).sms_replies,
    )
    breakers = Breakers(clock)
    lines = announcements(vendors.cascade)
    if isinstance(lines, VoicedLines):
        Background(tasks).start("announcements", lines.run)
    functions = FunctionRunner()
    defaults = _defaults(settings)
    # For whom probes ask: as a call does, and as little as it can.
    nobody = replace(NOBODY, functions=functions.specs(["end_call"], NOBODY.language))
    links = CascadeLinks(vendors.cascade, breakers, clock) if vendors.cascade else None
    rungs = (
        _vapi(vendors.vapi, storage, clock, tasks),
        _realtime(settings.openai_base_url, defaults, nobody),
        cascade(links, tasks, nobody),
    )
    probes = {key: probe for _, its in rungs for key, probe in its.items()}
    if vendors.text_model is not None:
        probes[LLM] = partial(thinks, vendors.text_model, nobody)
    streams = Streams(
        storage=storage,
        live_calls=live_calls,
        endings=endings,
        surroundings=Surroundings(clock, journal, metrics, lines),
        agents=Agents(
            {rung: speaker for its, _ in rungs for rung, speaker in its.items()}, breakers, metrics
        ),
        control=control,
        functions=functions,
        knowledge=knowledge,
        rules=_rules(settings),
        defaults=defaults,
        addresses=addresses(settings),
        account_sid=settings.twilio_account_sid or "",
        region=settings.default_region,
        node_id=node.id,
        sends_texts=settings.sends_sms,
    )
    lower = LowerRungs(streams, TurnModel(vendors.text_model, breakers), addresses(settings))
    openings = Openings(
        storage=storage,
        streams=streams,
        lower=lower,
        live_calls=live_calls,
        endings=endings,
        clock=clock,
        addresses=addresses(settings),
        token_secret=_token_secret(settings),
        own_numbers=settings.own_numbers,
        region=settings.default_region,
        bypass=_bypass(settings, vendors.vapi, breakers, streams, metrics),
    )
    background = Background(tasks)
    turns = TurnWebhooks(
        storage=storage,
        openings=openings,
        answers=TurnAnswers(lower),
        voicemail=voicemail,
        addresses=addresses(settings),
        background=background,
        endings=endings,
    )
    webhooks = VoiceWebhooks(
        storage=storage,
        openings=openings,
        endings=endings,
        turns=turns,
        addresses=addresses(settings),
        background=background,
        message_status=lambda form, text_id: record_message_status(form, storage, text_id),
        clock=clock,
        metrics=metrics,
        caller_id=settings.twilio_phone_number or "",
        ring_seconds=settings.transfer_ring_seconds,
    )
    endpoint = MediaStreamEndpoint(streams.open, metrics)
    departures = Departures(
        storage=storage,
        control=control,
        addresses=addresses(settings),
        background=background,
        clock=clock,
        close_stream=live_calls.close_stream,
    )
    vapi = VapiWebhooks(
        storage=storage,
        contexts=streams.context_of,
        functions=streams.functions,
        endings=endings,
        departures=departures,
        metrics=metrics,
        clock=clock,
    )
    rescue = Rescue(
        orphans=node.register,
        endings=endings,
        control=control,
        addresses=addresses(settings),
        metrics=metrics,
        clock=clock,
        node_id=node.id,
        every=node.register.pace.dead,
    )
    drain = Drain(
        node=node,
        live_calls=live_calls,
        journal=journal,
        background=Background(tasks),
        clock=clock,
        seconds=settings.drain_seconds,
        alone_seconds=settings.drain_alone_seconds,
        calls_elsewhere=lambda: departures.are_under_way,
    )
    return Parts(
        storage=storage,
        knowledge=knowledge,
        node=node,
        journal=journal,
        live_calls=live_calls,
        endings=endings,
        openings=openings,
        webhooks=webhooks,
        endpoint=endpoint,
        vapi=vapi,
        rescue=rescue,
        drain=drain,
        probes=Probes(breakers, probes),
    )


def _places(
    settings: Settings, database: Database, clock: Clock, metrics: Metrics, node: Node
) -> Places | None:
    """Where a tenant's calls are counted, if they are limited and there may be several nodes."""
    if settings.max_calls_per_tenant is None or database.dialect == "sqlite":
        return None
    return Places(CallSlots(database, clock, node.id), metrics)


#: A rung, if it is configured, and what asks its vendors for a sign, by their breakers.
Rungs = tuple[dict[Rung, Speaker], dict[str, Probe]]


def _realtime(base_url: str, defaults: RealtimeDefaults, nobody: AgentSpec) -> Rungs:
    ours = defaults.api_key

    def account(spec: AgentSpec) -> str:
        """Ours is "", a tenant's own is known by its digest."""
        return "" if spec.api_key == ours else sha256(spec.api_key.encode()).hexdigest()[:16]

    realtime = OpenAIRealtime(base_url)
    asks = replace(nobody, model=defaults.model, voice=defaults.voices["female"], api_key=ours)
    speaker = Speaker(realtime, lambda spec: bool(spec.api_key), account)
    return {Rung.REALTIME: speaker}, {breaker_of(Rung.REALTIME): partial(speaks, realtime, asks)}


def _vapi(
    account: VapiAccount | None, storage: Storage, clock: Clock, tasks: asyncio.TaskGroup
) -> Rungs:
    """Vapi, for tenants whose assistant is stored. All share the account: its lines and its key."""
    if account is None:
        return {}, {}

    async def remember(facts: CallFacts, vapi_call_id: str) -> bool:
        return await storage.vapi_calls.link(facts.call_id, vapi_call_id)

    connector = VapiConnector(account, clock, Background(tasks).start, remember)

    async def probe() -> None:
        # 404 is a sign of life. Not of a free line: a call would cost one, and money.
        await account.get_assistant(NO_ASSISTANT)

    def usable(spec: AgentSpec) -> bool:
        return bool(spec.assistant_id)

    return {Rung.VAPI: Speaker(connector, usable, lambda _: "")}, {breaker_of(Rung.VAPI): probe}


def _bypass(
    settings: Settings,
    account: VapiAccount | None,
    breakers: Breakers,
    streams: Streams,
    metrics: Metrics,
) -> Bypass | None:
    """Past our media, for whoever wants it; not without a number of Vapi's."""
    if account is None or settings.vapi_phone_number_id is None:
        return None
    return Bypass(
        calls=VapiBypass(account, settings.vapi_phone_number_id),
        breakers=breakers,
        storage=streams.storage,
        streams=streams,
        addresses=addresses(settings),
        metrics=metrics,
        clock=streams.surroundings.clock,
        default=settings.vapi_bridge == "bypass",
    )


def _rules(settings: Settings) -> Rules:
    return Rules(
        prompt_after=settings.silence_prompt_seconds,
        prompts=settings.silence_prompts,
        goodbye_after=settings.silence_goodbye_seconds,
        max_seconds=settings.max_call_seconds,
        filler_after=settings.filler_seconds,
        goodbye_cap=settings.goodbye_cap_seconds,
    )


def _defaults(settings: Settings) -> RealtimeDefaults:
    key = settings.openai_api_key
    return RealtimeDefaults(
        model=settings.realtime_model,
        voices={
            "female": settings.realtime_voice_female,
            "male": settings.realtime_voice_male,
        },
        known_voices=REALTIME_VOICES,
        transcription_model=settings.realtime_transcription_model,
        turn_detection=TurnDetection(
            threshold=settings.realtime_vad_threshold,
            prefix_padding_ms=settings.realtime_vad_prefix_ms,
            silence_duration_ms=settings.realtime_vad_silence_ms,
        ),
        api_key=key.get_secret_value() if key else "",
    )


def _token_secret(settings: Settings) -> bytes:
    """What stream tokens are derived with: the same on every node that shares the account."""
    if settings.auth_tokens:
        return settings.auth_tokens[0].encode()
    return secrets.token_bytes(32)  # without an auth token every webhook is refused anyway

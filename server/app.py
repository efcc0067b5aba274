"""create_app(settings): routes + middleware + lifespan, nothing else."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute

from dashboard.api.auth import vapi_access
from dashboard.api.operations import Door, operation, resource
from dashboard.api.router import routes as api_routes
from dashboard.api.tokens import Tokens
from domain.clock import Clock
from domain.errors import OperatorError
from messaging.feeds import CalendarFeeds
from messaging.guesses import Guesses
from messaging.links import AppointmentLinks
from messaging.unsubscribe import UnsubscribeLinks
from providers.twilio.rest import TwilioCallControl
from providers.twilio.signature import TwilioWebhookGuard
from server import accounts, wiring
from server.cascade import cascade_models
from server.clock import SystemClock
from server.conversations import text_doors
from server.health import health_routes, metrics_server
from server.job_metrics import JobMetrics
from server.knowledge import passage_index
from server.listening import listening
from server.membership import announce_draining, count_nodes, keep_up, membership
from server.metrics import Metrics
from server.path_prefix import PathPrefix
from server.secret_rotation import reencrypt_soon
from server.setting_values import STREAM_PATH
from server.settings import Settings
from server.text_metrics import TextMetrics
from server.whatsapp_onboarding import onboarding
from storage.database import Database
from voice.background import Background
from voice.steering import Steering

log = structlog.get_logger(__name__)


class _Stop(Exception):
    """Ends the application's task group, and with it all background work."""


def create_app(settings: Settings, clock: Clock | None = None) -> Starlette:
    """The ASGI application. Opens and migrates the database when it starts; reaches no vendor.
    While it runs, its `state.drain` is what SIGTERM begins."""
    clock = clock or SystemClock()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _running(app, settings, clock, metrics) as routes:
            app.router.routes[:] = routes
            gc.collect()
            gc.freeze()  # a full collection over all this takes 20 ms: audible (engines.md §8)
            yield

    return Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(
                PathPrefix,
                public_url=settings.public_url,
                stream_base=settings.stream_url.removesuffix(STREAM_PATH),
            ),
            Middleware(
                TwilioWebhookGuard,
                signature=wiring.signature(settings),
                public_url=settings.public_url,
                stream_url=settings.stream_url,
                account_sid=settings.twilio_account_sid or "",
            ),
        ],
    )


@asynccontextmanager
async def _running(
    app: Starlette, settings: Settings, clock: Clock, metrics: Metrics
) -> AsyncIterator[list[BaseRoute]]:
    """Everything that must be there while requests are served; ends in reverse order."""
    database = await Database.open(settings.database_url.get_secret_value())
    try:
        async with (
            accounts.twilio_account(settings) as account,
            passage_index(settings) as index,
            accounts.vapi_account(settings) as vapi,
            accounts.text_model(settings) as model,
            cascade_models(settings, model) as models,
            wiring.session_tokens(settings, clock) as tokens,
        ):
            vendors = wiring.Vendors(TwilioCallControl(account), index, vapi, model, models)
            with metrics_server(metrics, settings.metrics_port):
                async with _parts(settings, database, clock, metrics, vendors) as parts:
                    app.state.drain = parts.drain
                    api = _api(settings, parts, clock, tokens)
                    pages = _customers_pages(settings, parts, clock)
                    doors = text_doors(settings, parts.storage, clock, metrics)
                    routes = [*_routes(settings, parts, database, metrics), *doors.routes()]
                    yield [*routes, *pages, *api]
    finally:
        await database.close()


@asynccontextmanager
async def _parts(
    settings: Settings,
    database: Database,
    clock: Clock,
    metrics: Metrics,
    vendors: wiring.Vendors,
) -> AsyncIterator[wiring.Parts]:
    try:
        async with asyncio.TaskGroup() as tasks:
            parts = wiring.build(settings, database, clock, metrics, vendors, tasks)
            metrics.read_gauge("live_calls", "Streams on this node", lambda: len(parts.live_calls))
            loop = asyncio.get_running_loop()
            metrics.read_gauge("asyncio_tasks", "Tasks", lambda: len(asyncio.all_tasks(loop)))
            metrics.read_counter("journal_lost", "Lines lost", lambda: parts.journal.lost)
            background = Background(tasks)
            count_nodes(parts.node, metrics)
            await parts.openings.warm_up()
            await reencrypt_soon(parts.storage)
            background.keep("journal", parts.journal.run)
            background.keep("jobs.count", JobMetrics(parts.storage.jobs, metrics).run)
            background.keep("texts.count", TextMetrics(parts.storage.text_reports, metrics).run)
            background.keep("live_events", parts.storage.live_events.run)
            background.keep("calls.touch", parts.endings.touch)
            background.keep("calls.sweep", parts.endings.sweep)
            background.keep("agents.probe", parts.probes.run)
            async with membership(parts.node, parts.live_calls):
                keep_up(parts.node, database, parts.live_calls, parts.storage.operator, background)
                parts.node.buried = parts.rescue.look
                background.keep("calls.rescue", parts.rescue.run)
                yield parts
                parts.live_calls.draining = True
                await announce_draining(parts.node)
                await _flush(parts)
            raise _Stop
    except* _Stop:
        pass


async def _flush(parts: wiring.Parts) -> None:
    try:
        await parts.journal.flush()
    except OperatorError as error:
        log.error("journal.lost_at_stop", error=str(error))


def _routes(
    settings: Settings, parts: wiring.Parts, database: Database, metrics: Metrics
) -> list[BaseRoute]:
    return [
        *parts.webhooks.routes(),
        WebSocketRoute(STREAM_PATH, parts.endpoint),
        *health_routes(
            ping=database.ping,
            draining=lambda: parts.live_calls.draining,
            metrics=metrics,
            metrics_token=settings.metrics_token,
        ),
    ]


def _api(
    settings: Settings, parts: wiring.Parts, clock: Clock, tokens: Tokens | None
) -> list[BaseRoute]:
    connecting = onboarding(settings, parts.storage, clock)
    api = api_routes(
        parts.storage,
        replace(
            wiring.api_settings(settings),
            steering=Steering(
                parts.storage, parts.endings.control, wiring.addresses(settings), clock
            ),
            recording=listening(settings),
            connect_whatsapp=None if connecting is None else connecting.begin,
        ),
        clock,
        extra=_vapi_doors(parts),
        knowledge=parts.knowledge,
        tokens=tokens,
    )
    return [*(connecting.routes() if connecting else []), *api]


def _customers_pages(settings: Settings, parts: wiring.Parts, clock: Clock) -> list[BaseRoute]:
    """What is opened by its address alone: appointments' pages, calendar feeds."""
    storage = parts.storage
    guesses = Guesses(storage.rates, clock, wiring.api_settings(settings).address_key)
    return [
        *AppointmentLinks(storage, clock, guesses, settings.public_url).routes(),
        *CalendarFeeds(storage, clock, guesses).routes(),
        *UnsubscribeLinks(storage, guesses).routes(),
    ]


def _vapi_doors(parts: wiring.Parts) -> list[BaseRoute]:
    """Below /api, where the guard asks for Vapi's secret; one handler for both addresses."""

    @operation("What Vapi says", may=Door.VAPI)
    async def door(request: Request) -> Response:
        vapi_access(request)
        return await parts.vapi.handle(request)

    return [resource(path, POST=door) for path in ("/vapi/functions", "/vapi/events")]

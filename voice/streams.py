"""A media stream's life on this node: its token, its agent, its bridge, its end."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from domain.agent import profile
from domain.errors import OperatorError, ProviderError
from domain.knowledge import Knowledge
from domain.memory import Contacted
from domain.phone import is_mobile, normalise
from domain.tenant import Tenant
from storage import Storage
from storage.calls import CallRow
from storage.channels import Channel
from storage.rows import TenantRows
from voice import events as ev
from voice.agent import OWN_KEY, Earlier, Moment, RealtimeDefaults, brief, earlier, script
from voice.agents import Agents, rung_of
from voice.bridge import Bridge, Identity, Surroundings
from voice.call import Call, Phase, Rules
from voice.endings import CLOSING, DIALLING, LIVE, NO_AGENT, TRANSFERRING, Endings
from voice.functions.context import CallContext, StreamOfCall
from voice.functions.runner import FunctionRunner
from voice.history import History, achieved, read_functions, read_history
from voice.ladder import Loss, Rung, ladder
from voice.live_calls import LiveCalls, let_go
from voice.media_stream.endpoint import RunStream, Stream
from voice.media_stream.protocol import Encoder, StartDetails
from voice.ports import AgentLeg, AgentSpec, CallControl, CallFacts, MediaSocket
from voice.stream_token import digest
from voice.twiml import TOKEN_PARAMETER, Addresses

log = structlog.get_logger(__name__)

#: How long a hang-up waits for the database.
STAGE_SECONDS = 2.0
#: How long the next agent waits for the database to say what the last one has done.
RECALL_SECONDS = 0.3
_SUPERSEDED = "another stream carries the call by now"
#: Until it is known who.
NOBODY = AgentSpec(instructions="", functions=(), model="", voice="", language="fr", api_key="")


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything about the agent of one call, read once per stream."""

    tenant: Tenant
    config: dict[str, Any]
    defaults: RealtimeDefaults
    assistant_id: str | None
    has_knowledge: bool
    earlier: Earlier
    spec: AgentSpec
    has_texts: bool = False  # the caller can be sent an SMS
    contacted: Contacted | None = None  # by the number, which proves nothing
    without: tuple[str, ...] = ()  # rungs that have just failed this very call

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in ladder(self.config) if rung.value not in self.without)


@dataclass(frozen=True, slots=True)
class Known:
    """What decides who takes a call. `spec` says whose keys and assistant would be used, and holds
    no instructions; `transfer_number` is E.164, None when there is none; `answers`: the tenant's
    agent may answer, its phone channel isn't switched off."""

    tenant: Tenant
    config: dict[str, Any]
    spec: AgentSpec
    transfer_number: str | None
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Streams:
    """Runs streams. One per node; holds no call itself."""

    storage: Storage
    live_calls: LiveCalls
    endings: Endings
    surroundings: Surroundings
    agents: Agents
    control: CallControl
    functions: FunctionRunner
    rules: Rules
    defaults: RealtimeDefaults
    addresses: Addresses
    account_sid: str
    region: str
    node_id: str
    knowledge: Knowledge | None = None
    sends_texts: bool = False  # this deployment has somebody to send SMS as

    def warm_up(self) -> None:
        """Build what is built once: persona texts, patterns, the functions' schemas."""
        nobody = Tenant("", "", "")
        brief(
            nobody,
            {},
            self.defaults,
            functions=self.functions.specs,
            moment=Moment(self.surroundings.clock.now(), None, has_knowledge=True, has_texts=True),
            earlier=Earlier(),
        )
        script(nobody, {}, Earlier())

    # --------------------------------------------------------------------------- preparing

    async def setup(self, row: CallRow) -> Setup:
        """Read the tenant's configuration and what an earlier stream left."""
        assert row.tenant_id is not None, "only bound calls have an agent"
        handle = self.storage.tenant(row.tenant_id)
        async with handle.read() as rows:
            tenant = await rows.tenant()
            channel = await rows.channels.get("phone")
            own_key = self._own_key(rows, channel)
            assistant_id = await _assistant(rows, channel)
            has_knowledge = self.knowledge is not None and await rows.knowledge.has_any()
            has_texts = self.sends_texts and is_mobile(row.from_number)
            has_texts = has_texts and (await rows.channels.get("sms")).enabled
            contacted = await rows.memories.contacted(row.from_number, except_call=row.id)
        before = Earlier()
        if row.attempts > 0:
            await self.surroundings.journal.flush()
            history = await read_history(handle, row.id)
            unanswered = bool(row.opening.get("nobody_answered"))
            before = earlier(tenant, channel.config, history, transfer_failed=unanswered)
        config = dict(channel.config)
        defaults = self.defaults.paid_with(own_key)
        setup = Setup(tenant, config, defaults, assistant_id, has_knowledge, before, NOBODY)
        without = tuple(row.opening.get("without", ()))
        setup = replace(setup, has_texts=has_texts, contacted=contacted, without=without)
        return replace(setup, spec=self.brief(row, setup, before))

    async def known(self, tenant_id: str, call_sid: str, caller_number: str | None) -> Known:
        """So much of the tenant's configuration as decides who takes a call. OperatorError."""
        async with self.storage.tenant(tenant_id).read() as rows:
            tenant = await rows.tenant()
            channel = await rows.channels.get("phone")
            own_key = self._own_key(rows, channel)
            assistant_id = await _assistant(rows, channel)
        spec = replace(
            NOBODY,
            api_key=own_key or self.defaults.api_key,
            assistant_id=assistant_id,
            call=CallFacts("", call_sid, tenant_id, caller_number),
        )
        config = dict(channel.config)
        return Known(tenant, config, spec, self._transfer_number(config), channel.enabled)

    def _transfer_number(self, config: Mapping[str, Any]) -> str | None:
        """As the owner wrote it, with spaces or in the national form, in E.164."""
        return normalise(str(config.get("transferNumber") or ""), self.region)

    def context(self, row: CallRow, setup: Setup) -> CallContext:
        """What functions may touch that run for this call."""
        return self._context(row, setup.tenant, setup.config)

    async def context_of(self, row: CallRow) -> CallContext:
        """The same, for who asks from outside of a stream. OperatorError."""
        assert row.tenant_id is not None
        async with self.storage.tenant(row.tenant_id).read() as rows:
            tenant = await rows.tenant()
            channel = await rows.channels.get("phone")
        return self._context(row, tenant, channel.config)

    def _context(self, row: CallRow, tenant: Tenant, config: Mapping[str, Any]) -> CallContext:
        assert row.tenant_id is not None
        return CallContext(
            storage=self.storage.tenant(row.tenant_id),
            call_id=row.id,
            tenant=tenant,
            caller_number=row.from_number or None,
            clock=self.surroundings.clock,
            locale=profile(tenant, config).language,
            # <Number> takes E.164 only.
            transfer_number=self._transfer_number(config),
            region=self.region,
            knowledge=self.knowledge,
            public_url=self.addresses.public_url,
        )

    def brief(self, row: CallRow, setup: Setup, before: Earlier) -> AgentSpec:
        """What the agent is told that is connected now."""
        assert row.tenant_id is not None
        caller_number = row.from_number or None
        spec = brief(
            setup.tenant,
            setup.config,
            setup.defaults,
            functions=self.functions.specs,
            moment=Moment(
                self.surroundings.clock.now(),
                caller_number,
                has_knowledge=setup.has_knowledge,
                has_texts=setup.has_texts,
                contacted=setup.contacted,
            ),
            earlier=before,
        )
        return replace(
            spec,
            call=CallFacts(row.id, row.call_sid, row.tenant_id, caller_number),
            resumed=before.resumed,
            assistant_id=setup.assistant_id,
        )

    def _own_key(self, rows: TenantRows, channel: Channel) -> str | None:
        """The tenant's own key of OpenAI; None when it has none, and when it can't be opened: then
        the deployment's answers, for the caller must be answered, and its vendor and the operator
        hear the call either way. A key that opens and is refused is the tenant's to mend: nobody
        else pays for it. docs/decisions/0011-secrets.md."""
        try:
            key = rows.channels.opened(channel).get(OWN_KEY)
        except OperatorError as error:
            log.error("secrets.unreadable", channel=channel.type, reason=str(error))
            self.surroundings.metrics.count("own_keys_unreadable")
            return None
        return key if isinstance(key, str) else None

    def prepare(self, row: CallRow) -> None:
        """Start connecting the agent while the carrier still opens the stream."""

        async def connect() -> AgentLeg:
            setup = await self.setup(row)
            return await self.agents.connect(setup.spec, setup.rungs)

        self.live_calls.prepare(row.call_sid, connect)

    # --------------------------------------------------------------------------- the door

    async def open(self, details: StartDetails) -> RunStream | None:
        """Use up the stream's one-time token; how to run the stream, or None when the token
        doesn't open its call. It opens nothing twice, and no call that has ended."""
        token = details.custom_parameters.get(TOKEN_PARAMETER, "")
        if not token or (self.account_sid and details.account_sid != self.account_sid):
            return None
        row = await self.storage.operator.join_stream(
            digest(token), details.call_sid, LIVE, self.surroundings.clock.now(), self.node_id
        )
        return None if row is None else partial(self._run, row, details)

    async def _run(
        self,
        row: CallRow,
        details: StartDetails,
        socket: MediaSocket,
        listen: Callable[[Stream], None],
    ) -> None:
        """One stream, from `start` to its end."""
        setup = await self.setup(row)
        bridge = self._bridge(row, setup, socket, details)
        structlog.contextvars.bind_contextvars(call_id=row.id, tenant_id=row.tenant_id)
        self.live_calls.join(row.call_sid, bridge)
        try:
            await self._carry(bridge, row, setup, listen)
        finally:
            self.live_calls.leave(row.call_sid, bridge)
            await bridge.close()
        await self._over(bridge, row)

    async def _carry(
        self, bridge: Bridge, row: CallRow, setup: Setup, listen: Callable[[Stream], None]
    ) -> None:
        pending = self.live_calls.claim(
            row.call_sid, lambda: self.agents.connect(setup.spec, setup.rungs)
        )
        log.info("stream.started", resumed=setup.earlier.resumed)
        try:
            async with asyncio.TaskGroup() as tasks:
                attaching = tasks.create_task(bridge.attach(pending))
                bridge.start(
                    tasks,
                    resumed=setup.earlier.resumed,
                    turns=setup.earlier.history.turns,
                    was_cut=row.attempts > 0 and not row.opening.get("nobody_answered"),
                )
                listen(bridge)
                await bridge.ended.wait()
                attaching.cancel()
        finally:
            # `attach` may have been cancelled before it began, or with the leg in its hands.
            await let_go(pending)

    def _bridge(
        self, row: CallRow, setup: Setup, socket: MediaSocket, details: StartDetails
    ) -> Bridge:
        assert row.tenant_id is not None
        history = setup.earlier.history
        stream = StreamOfCall(row.opening, self.node_id)
        context = replace(self.context(row, setup), stream=stream)
        return Bridge(
            call=Call(
                script(setup.tenant, setup.config, setup.earlier),
                self.rules,
                history.achieved,
                caller_turns=history.caller_turns,
                answered=history.answered or history.farewell,
            ),
            identity=Identity(row.id, row.call_sid, row.tenant_id),
            socket=socket,
            encoder=Encoder(details.stream_sid),
            actions=_Actions(
                self,
                row,
                context,
                setup,
                _by_id(history.ran),
                {each.function_call_id for each in history.ran},
            ),
            surroundings=replace(
                self.surroundings,
                announcements=self.surroundings.announcements.of(setup.spec.gender),
            ),
        )

    async def _over(self, bridge: Bridge, row: CallRow) -> None:
        """The stream is over; is the call? Not when another stream has come, when the agent's leg
        or the network failed (`continue` goes on), or when it is being transferred."""
        ended_by = bridge.call.ended_by
        if bridge.was_replaced or bridge.call.phase is not Phase.OVER:
            return
        if ended_by in ("fault", "network", "transfer"):
            log.info("stream.ended", by=ended_by)
            return
        assert row.tenant_id is not None
        if not await self.is_ours(row):
            log.info("stream.superseded", by=ended_by)
            return
        # A function of an earlier stream may have come to its end after this one had begun.
        ran = await read_functions(self.storage.tenant(row.tenant_id), row.id)
        await self.endings.finish(
            row.id,
            bridge.call.outcome(achieved(ran)),
            agent=bridge.agent_name,
            detail=f"ended_by_{ended_by}",
        )

    async def is_ours(self, row: CallRow) -> bool:
        """Whether this stream still carries the call. A node that was frozen, or taken for dead,
        finds its streams closed by the carrier: the calls are somebody else's by now, or about to
        be, and not over."""
        current = await self.storage.operator.get_call(row.id)
        if current is None or current.outcome is not None:
            return True
        return current.node_id == self.node_id and current.opening == row.opening


async def _assistant(rows: TenantRows, channel: Channel) -> str | None:
    """The tenant's assistant at Vapi, if it has one of ours: none is used that isn't stored, or
    that was only imported."""
    return await rows.assistants.usable() if channel.assistant_id else None


def _by_id(ran: Iterable[ev.FunctionFinished]) -> dict[str, ev.FunctionFinished]:
    return {each.function_call_id: each for each in ran}


@dataclass(frozen=True, slots=True)
class _Actions:
    """What one call may ask of the outside (`voice.bridge.CallActions`). `ran`: what functions have
    answered so far, on this stream and before it, by their calls' ids; `known`: those of which the
    heart has heard, or will."""

    streams: Streams
    row: CallRow
    context: CallContext
    setup: Setup
    ran: dict[str, ev.FunctionFinished]
    known: set[str]
    lost: list[Loss] = field(default_factory=list)

    async def run_function(self, command: ev.RunFunction) -> ev.FunctionFinished:
        self.known.add(command.function_call_id)
        finished = await self.streams.functions.run(
            command.function_call_id, command.name, command.arguments, self.context
        )
        self.ran[finished.function_call_id] = finished
        return finished

    async def next_agent(
        self, lost: str | None, why: ev.ChangeAgent, turns: Sequence[tuple[str, str]]
    ) -> AgentLeg:
        setup = self.setup
        before = setup.earlier.history
        rung = rung_of(lost) if lost else None
        if rung is Rung.VAPI:
            await self._given_up()
            await self._recall()
        # From memory: a database that is away must not keep a caller waiting.
        told = History(turns, list(self.ran.values()), before.agent)
        spec = self.streams.brief(self.row, setup, Earlier(told, resumed=True))
        if rung is not None and lost is not None:
            self.lost.append(Loss(rung, why.reason))
            self.streams.agents.lost(lost, spec, why.reason, why.code)
        return await self.streams.agents.connect(spec, setup.rungs, self.lost)

    def sounded(self, name: str) -> None:
        self.streams.agents.sounded(name, self.setup.spec)

    async def _given_up(self) -> None:
        """Vapi may know nothing of it, and go on: its requests shan't move this call any more."""
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                await self.streams.storage.vapi_calls.give_up(self.row.id)
        except (OperatorError, TimeoutError) as error:
            log.warning("call.given_up_not_stored", error=type(error).__name__)

    async def _recall(self) -> None:
        """What Vapi's functions have answered: they ran at our webhook, on any node."""
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                ran = await read_functions(self.context.storage, self.row.id)
        except (OperatorError, TimeoutError) as error:
            log.warning("call.functions_not_read", error=type(error).__name__)
        else:
            self.ran.update(_by_id(ran))

    def runs_elsewhere(self, agent: str) -> bool:
        return rung_of(agent) is Rung.VAPI

    async def ran_elsewhere(
        self, since: datetime | None, until: datetime
    ) -> list[ev.FunctionFinished]:
        try:
            async with asyncio.timeout(STAGE_SECONDS):
                ran = await read_functions(
                    self.context.storage, self.row.id, since=since, until=until
                )
        except (OperatorError, TimeoutError) as error:
            log.warning("call.functions_not_read", error=type(error).__name__)
            return []
        # What ends or transfers a call is done by who ran it (voice/vapi_departures.py).
        late = [each for each in ran if each.function_call_id not in self.known and not each.then]
        self.known.update(each.function_call_id for each in late)
        self.ran.update(_by_id(late))
        return late

    async def record(self) -> None:
        """A job asks the carrier: nobody on the line waits for it."""
        try:
            async with asyncio.timeout(STAGE_SECONDS), self.context.storage.write() as rows:
                await rows.recordings.announced(self.row.id)
        except (OperatorError, TimeoutError) as error:
            log.warning("recording.not_begun", error=type(error).__name__)

    async def leave(self, reason: str) -> None:
        """No agent is left: `continue` must find the call so, and not open another stream for the
        same vendors. A database that is away keeps nobody on a silent line."""
        operator, node_id = self.streams.storage.operator, self.streams.node_id
        try:
            async with asyncio.timeout(STAGE_SECONDS):
                await operator.set_stage(self.row.id, NO_AGENT, carried_by=node_id)
        except (OperatorError, TimeoutError) as error:
            log.warning("call.stage_not_stored", error=type(error).__name__)

    async def hang_up(self, reason: str) -> None:
        # Stored first: if the carrier can't be reached, `continue` finds that the call is over.
        # But a database that is away keeps nobody on a silent line.
        failure: ProviderError | None = None
        async with asyncio.TaskGroup() as tasks:
            storing = tasks.create_task(self._store_closing())
            await asyncio.wait({storing}, timeout=STAGE_SECONDS)
            if storing.done() and not storing.result():
                failure = ProviderError("storage", _SUPERSEDED, retryable=False)
            else:
                try:
                    await self.streams.control.hang_up(self.row.call_sid)
                except ProviderError as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _store_closing(self) -> bool:
        """False if the call is no longer this node's to end."""
        operator, node_id = self.streams.storage.operator, self.streams.node_id
        try:
            return await operator.set_stage(self.row.id, CLOSING, carried_by=node_id)
        except OperatorError as error:
            log.warning("call.stage_not_stored", error=str(error))
            return True

    async def transfer(self, reason: str) -> None:
        operator = self.streams.storage.operator
        try:
            number, node_id = self.context.transfer_number, self.streams.node_id
            if not await operator.set_transfer(self.row.id, number, DIALLING, carried_by=node_id):
                raise ProviderError("storage", _SUPERSEDED, retryable=False)
            await operator.set_stage(self.row.id, TRANSFERRING, carried_by=node_id)
            # If we were frozen meanwhile, we would begin anew what a rescuer has begun long ago.
            if not await self.streams.is_ours(self.row):
                raise ProviderError("storage", _SUPERSEDED, retryable=False)
        except OperatorError as error:
            raise ProviderError("storage", str(error), retryable=True) from error
        await self.streams.control.redirect(
            self.row.call_sid, self.streams.addresses.voice("transfer", self.row.id)
        )

"""Tenants' assistants at Vapi: made, kept up to date, found again, cleared away.

One per tenant, however many processes try and wherever they die: see storage/assistants.py for who
may ask, and docs/vapi.md for the whole of it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from domain.agent import function_names, greeting, lasting_instructions, profile
from domain.clock import Clock
from domain.errors import NotFound, ProviderError
from domain.jobs import Again, Backoff, Job, JobKind, VendorLimits
from domain.language_model import FunctionSpec
from domain.tenant import Tenant
from providers.vapi.assistant import (
    ABOUT_CALL,
    Blueprint,
    Choices,
    assistant,
    belongs_to,
    digest,
)
from providers.vapi.rest import Assistant, VapiAccount
from server.settings import Settings
from storage import Storage, TenantRows
from storage.assistants import PROVISION, Claim, wake
from voice.functions.runner import FunctionRunner
from voice.ladder import Rung, ladder

log = structlog.get_logger(__name__)

RECONCILE: Final = "vapi.reconcile"
#: What nobody told us of (a new version's instructions, another PUBLIC_URL, an assistant deleted
#: at Vapi) is found this much later; and orphans are an hour old by then.
RECONCILE_SECONDS: Final = 3600.0
RECONCILE_LIMIT: Final = 600.0
#: Shorter than a claim (storage.assistants.CLAIM).
PROVISION_LIMIT: Final = 90.0
#: A vendor may be away for a night: about 17 h.
BACKOFF: Final = Backoff(first=5.0, longest=3600.0, attempts=24)
#: The account's request rate is unpublished (§1.11); nobody waits for these.
LIMITS: Final = VendorLimits(concurrent=2, per_second=2.0)
#: Only what is older is removed (the issue's rule).
ORPHAN_AGE: Final = timedelta(hours=1)
#: Vapi's clock and ours.
SKEW: Final = timedelta(hours=1)
#: While the account refuses us altogether, only the operator can help.
ACCOUNT_SECONDS: Final = 900.0
SOON: Final = timedelta(seconds=5)

#: What Vapi says of a body that it doesn't take.
_REFUSED: Final = (400, 422)

Specs = Callable[[Sequence[str], str], Sequence[FunctionSpec]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for all tenants. `secret`: what Vapi shows at our doors; `sends_texts`:
    this deployment has somebody to send SMS as."""

    choices: Choices
    public_url: str
    secret: str = field(repr=False)
    seconds: float
    specs: Specs
    sends_texts: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tenant's assistant is to be."""

    body: Mapping[str, Any] = field(repr=False)
    hash: str


def plan(settings: Settings) -> Plan:
    """By the settings."""
    secret = settings.vapi_webhook_secret
    return Plan(
        choices=Choices(
            model=settings.vapi_model,
            transcriber=settings.vapi_transcriber,
            voices={"female": settings.vapi_voice_female, "male": settings.vapi_voice_male},
        ),
        public_url=settings.public_url.rstrip("/"),
        secret=secret.get_secret_value() if secret else "",
        seconds=settings.max_call_seconds,
        specs=FunctionRunner().specs,
        sends_texts=settings.sends_sms,
    )


def blueprint(
    plan: Plan,
    deployment_id: str,
    tenant: Tenant,
    config: Mapping[str, Any],
    *,
    has_knowledge: bool,
    has_texts: bool = False,
) -> Blueprint:
    """A tenant's public phone configuration as an assistant's. `has_texts`: callers can be sent
    SMS; those who call from no mobile are told so by the function itself."""
    who = profile(tenant, config)
    has_transfer = bool(config.get("transferNumber"))
    names = function_names(
        who.agent_type,
        has_transfer=has_transfer,
        has_knowledge=has_knowledge,
        has_texts=has_texts,
        recording=who.recording,
    )
    return Blueprint(
        tenant_id=tenant.id,
        deployment_id=deployment_id,
        company=who.company,
        first_message=greeting(who),
        instructions=lasting_instructions(
            who,
            has_transfer=has_transfer,
            has_knowledge=has_knowledge,
            has_texts=has_texts,
            about_call=ABOUT_CALL,
        ),
        functions=plan.specs(names, who.language),
        language=who.language,
        gender=who.voice,
        public_url=plan.public_url,
        secret=plan.secret,
        seconds=plan.seconds,
    )


class Provisioning:
    """`account` may be without a key, and `plan` without a secret: then nothing is done."""

    def __init__(self, storage: Storage, clock: Clock, account: VapiAccount, plan: Plan) -> None:
        self._storage = storage
        self._clock = clock
        self._account = account
        self._plan = plan

    async def provision(self, tenant_id: str, *, check: bool = False) -> str | datetime:
        """Bring one up to date: unchanged | created | updated | adopted | unwanted | refused |
        gone; or when to try again, because somebody else is at it. `check`: see whether it is still
        there, and whether Vapi still refuses what it has refused. ProviderError, OperatorError."""
        by = secrets.token_hex(8)
        deployment_id = await self._storage.assistants.deployment_id()
        try:
            async with self._storage.tenant(tenant_id).write() as rows:
                claim = await rows.assistants.claim(by)
                if isinstance(claim, datetime):
                    return claim
                wanted = await self.wanted(rows, deployment_id)
                if wanted is None or (self._is_done(claim, wanted) and not check):
                    await rows.assistants.settled(by)
                    return "unwanted" if wanted is None else "unchanged"
                if claim.refused_hash == wanted.hash and not check:
                    await rows.assistants.give_back(by)
                    return "refused"
        except NotFound:
            return "gone"
        try:
            return await self._converge(tenant_id, deployment_id, claim, wanted)
        except ProviderError as error:
            known = (error.vendor, str(error.status or ""), error.code)
            words = " ".join(part for part in known if part)
            async with self._storage.tenant(tenant_id).write() as rows:
                await rows.assistants.failed(by, words)
            raise

    async def wanted(self, rows: TenantRows, deployment_id: str) -> Wanted | None:
        """What this tenant's assistant is to be; None: it shall have none."""
        tenant = await rows.tenant()
        channel = await rows.channels.get("phone")
        if tenant.status != "active" or Rung.VAPI not in ladder(channel.config):
            return None
        has_texts = self._plan.sends_texts and (await rows.channels.get("sms")).enabled
        made_of = blueprint(
            self._plan,
            deployment_id,
            tenant,
            channel.config,
            has_knowledge=await rows.knowledge.has_any(),
            has_texts=has_texts,
        )
        choices = self._plan.choices
        return Wanted(assistant(made_of, choices), digest(made_of, choices))

    @staticmethod
    def _is_done(claim: Claim, wanted: Wanted) -> bool:
        return claim.assistant_id is not None and claim.config_hash == wanted.hash

    async def _converge(
        self, tenant_id: str, deployment_id: str, claim: Claim, wanted: Wanted
    ) -> str | datetime:
        if claim.assistant_id is not None:
            if self._is_done(claim, wanted) and await self._is_there(claim.assistant_id):
                async with self._storage.tenant(tenant_id).write() as rows:
                    await rows.assistants.settled(claim.by)
                return "unchanged"
            if await self._updated(tenant_id, claim, claim.assistant_id, wanted):
                return await self._store(tenant_id, claim, claim.assistant_id, wanted, "updated")
            async with self._storage.tenant(tenant_id).write() as rows:
                if not await rows.assistants.lost(claim.by):
                    return self._clock.now() + SOON
        if claim.asked_at is not None:
            orphan = await self._orphan(tenant_id, deployment_id, claim.asked_at)
            if orphan is not None and await self._updated(tenant_id, claim, orphan, wanted):
                return await self._store(tenant_id, claim, orphan, wanted, "adopted")
        async with self._storage.tenant(tenant_id).write() as rows:
            if not await rows.assistants.asking(claim.by):
                return self._clock.now() + SOON
        made = await self._created(tenant_id, claim, wanted)
        return await self._store(tenant_id, claim, made.id, wanted, "created")

    async def _is_there(self, assistant_id: str) -> bool:
        return await self._account.get_assistant(assistant_id) is not None

    async def _updated(
        self, tenant_id: str, claim: Claim, assistant_id: str, wanted: Wanted
    ) -> bool:
        """False: there is no such assistant."""
        try:
            await self._account.update_assistant(assistant_id, wanted.body)
        except ProviderError as error:
            if error.status == 404:
                return False
            if error.status in _REFUSED:
                async with self._storage.tenant(tenant_id).write() as rows:
                    await rows.assistants.refused(claim.by, wanted.hash)
            raise
        return True

    async def _created(self, tenant_id: str, claim: Claim, wanted: Wanted) -> Assistant:
        try:
            return await self._account.create_assistant(wanted.body)
        except ProviderError as error:
            async with self._storage.tenant(tenant_id).write() as rows:
                # One may have come of an earlier request, whatever becomes of this one.
                if claim.asked_at is None and _made_nothing(error):
                    await rows.assistants.not_made(claim.by)
                if error.status in _REFUSED:
                    await rows.assistants.refused(claim.by, wanted.hash)
            raise

    async def _store(
        self, tenant_id: str, claim: Claim, assistant_id: str, wanted: Wanted, what: str
    ) -> str | datetime:
        async with self._storage.tenant(tenant_id).write() as rows:
            stored = await rows.assistants.store(claim.by, assistant_id, wanted.hash)
        if not stored:  # we took so long that somebody took over: theirs counts
            return self._clock.now() + SOON
        log.info("assistant.provisioned", tenant_id=tenant_id, state=what)
        return what

    async def _orphan(self, tenant_id: str, deployment_id: str, asked_at: datetime) -> str | None:
        """The oldest that this deployment made for this tenant since, and that nobody stored."""
        found: list[Assistant] = [
            each
            async for each in self._account.assistants(created_after=asked_at - SKEW)
            if belongs_to(each.metadata, deployment_id) == tenant_id
        ]
        for each in sorted(found, key=lambda one: (one.created_at, one.id)):
            if not await self._storage.assistants.is_stored(each.id):
                return each.id
        return None

    # --------------------------------------------------------------------------- reconciling

    async def reconcile(self) -> None:
        """Wake what isn't up to date, whatever the reason; then clear orphans away."""
        deployment_id = await self._storage.assistants.deployment_id()
        there: set[str] = set()
        ours: list[Assistant] = []
        async for each in self._account.assistants():
            there.add(each.id)
            if belongs_to(each.metadata, deployment_id) is not None:
                ours.append(each)
        for tenant_id in await self._storage.assistants.active_tenants():
            await self._wake_if_due(tenant_id, deployment_id, there)
        for each in ours:
            if each.created_at <= self._clock.now() - ORPHAN_AGE:
                tenant_id = belongs_to(each.metadata, deployment_id) or ""
                await self._remove_orphan(each, tenant_id, deployment_id)

    async def _wake_if_due(self, tenant_id: str, deployment_id: str, there: set[str]) -> None:
        try:
            async with self._storage.tenant(tenant_id).read() as rows:
                state = await rows.assistants.state()
                wanted = await self.wanted(rows, deployment_id)
        except NotFound:
            return  # deleted meanwhile
        if wanted is None:
            return
        missing = state.assistant_id is None or state.assistant_id not in there
        refused = state.refused_hash == wanted.hash
        if (missing or state.config_hash != wanted.hash) and not refused:
            async with self._storage.tenant(tenant_id).write() as rows:
                await wake(rows.jobs, tenant_id, check=missing)

    async def _remove_orphan(self, orphan: Assistant, tenant_id: str, deployment_id: str) -> None:
        """Under the claim of the tenant that it was made for, so that nobody adopts it while it is
        removed. One that will be adopted stays."""
        by = secrets.token_hex(8)
        handle = self._storage.tenant(tenant_id)
        waits = False
        try:
            async with handle.write() as rows:
                claim = await rows.assistants.claim(by)
                if isinstance(claim, datetime):
                    return  # being made or adopted: look again next time
                if claim.asked_at is not None:
                    waits = await self.wanted(rows, deployment_id) is not None
        except NotFound:
            claim = None  # the tenant is gone, and nobody can adopt it
        try:
            if not waits and not await self._storage.assistants.is_stored(orphan.id):
                await self._account.delete_assistant(orphan.id)
                log.info("assistant.orphan_removed", tenant_id=tenant_id)
        finally:
            if claim is not None:
                async with handle.write() as rows:
                    await rows.assistants.give_back(by)

    # --------------------------------------------------------------------------------- jobs

    async def run(self, job: Job) -> Again | None:
        """The handler of PROVISION."""
        assert job.tenant_id is not None, "a tenant's job"
        return await self._guarded(
            lambda: self.provision(str(job.tenant_id), check=bool(job.payload.get("check")))
        )

    async def run_reconcile(self, _job: Job) -> Again | None:
        """The handler of RECONCILE."""

        async def work() -> str:
            await self.reconcile()
            return "reconciled"

        return await self._guarded(work)

    async def _guarded(self, work: Callable[[], Any]) -> Again | None:
        try:
            done = await work()
        except ProviderError as error:
            if error.status not in (401, 402, 403):
                raise
            # The key, or the account's balance: no dead letter for every tenant.
            log.error("vapi.account_refused", status=error.status)
            return Again(self._clock.now() + timedelta(seconds=ACCOUNT_SECONDS))
        return Again(done) if isinstance(done, datetime) else None


def _made_nothing(error: ProviderError) -> bool:
    """Of a request with this answer there can be no assistant."""
    status = error.status or 0
    return 400 <= status < 500 and status not in (408, 409, 429)


def assistant_jobs(
    settings: Settings, storage: Storage, clock: Clock, account: VapiAccount | None
) -> list[JobKind]:
    """The kinds of job that keep assistants up to date. Without an account, or a secret by which
    Vapi is known to us, there are none to keep: what waits is done with at once."""

    async def nothing(_job: Job) -> None:
        return None

    if account is None or not settings.is_set("vapi_webhook_secret"):
        return [JobKind(PROVISION, nothing)]
    provisioning = Provisioning(storage, clock, account, plan(settings))
    return [
        JobKind(
            PROVISION,
            provisioning.run,
            vendor="vapi",
            time_limit=PROVISION_LIMIT,
            backoff=BACKOFF,
        ),
        JobKind(
            RECONCILE,
            provisioning.run_reconcile,
            vendor="vapi",
            time_limit=RECONCILE_LIMIT,
            every=RECONCILE_SECONDS,
        ),
    ]

"""One assistant per tenant, whoever dies in the middle: an emulated Vapi, both databases."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import ProviderError
from domain.jobs import Again, Job
from domain.tenant import Tenant
from providers.http import Limits
from providers.vapi.assistant import DEPLOYMENT, TENANT, Choices
from providers.vapi.rest import Assistant, VapiAccount
from sandbox.brain import Brain
from sandbox.vapi import VapiEmulator
from sandbox.vapi_faults import Outage
from server.vapi_assistants import ORPHAN_AGE, RECONCILE, Plan, Provisioning
from storage import Database, Storage
from storage.assistants import CLAIM, PROVISION, AssistantState
from storage.schema import deployment, tenants
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from voice.functions.runner import FunctionRunner

KEY = "vapi-private-key"
SECRET = "a-secret-of-some-length"
#: The deployment's, the same in each test: it salts the slow hash of the secret, made once then.
NAME = "the-same-deployment"
PLAN = Plan(
    Choices(
        "openai:gpt-5.4-mini",
        "deepgram:nova-3",
        {"female": "azure:fr-FR-DeniseNeural", "male": "azure:fr-FR-HenriNeural"},
    ),
    "https://voice.example.fr",
    SECRET,
    900.0,
    FunctionRunner().specs,
)
LIMITS = Limits(connect=1.0, read=1.0, total=2.0, attempts=1)


class Killed(BaseException):
    """What no handler of ours survives."""


class DyingAccount(VapiAccount):
    """The process dies before, or right after, the request that makes an assistant."""

    dies = ""

    async def create_assistant(self, body: Mapping[str, Any]) -> Assistant:
        if self.dies == "before":
            raise Killed
        made = await super().create_assistant(body)
        if self.dies == "after":
            raise Killed
        return made


@dataclass
class World:
    storage: Storage
    clock: FakeClock
    vapi: VapiEmulator
    account: DyingAccount
    tenant: Tenant

    def provisioning(self, plan: Plan = PLAN) -> Provisioning:
        return Provisioning(self.storage, self.clock, self.account, plan)

    async def provision(self, **options: Any) -> str | datetime:
        return await self.provisioning().provision(self.tenant.id, **options)

    async def usable(self) -> str | None:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            return await rows.assistants.usable()

    async def save_phone(self, **config: Any) -> None:
        async with self.storage.tenant(self.tenant.id).write() as rows:
            before = await rows.channels.get("phone")
            await rows.channels.save("phone", enabled=True, config={**before.config, **config})

    async def state(self) -> AssistantState:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            return await rows.assistants.state()

    async def woken(self) -> list[str]:
        return [each.key or "" for each in await self.storage.jobs.waiting()]

    async def forget_jobs(self) -> None:
        async with self.storage.tenant(self.tenant.id).write() as rows:
            await rows.jobs.cancel(f"{PROVISION}:{self.tenant.id}")

    def posts(self) -> int:
        return sum(method == "POST" for method, _, _ in self.vapi.requests)

    def plant(self, **metadata: str) -> str:
        """An assistant that somebody made at Vapi, now."""
        moment = self.clock.now().isoformat().replace("+00:00", "Z")
        planted = f"planted-{len(self.vapi.assistants)}"
        self.vapi.assistants[planted] = {
            "id": planted,
            "createdAt": moment,
            "updatedAt": moment,
            "metadata": metadata,
        }
        return planted


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = migrated_file(tmp_path / "test.sqlite3")
    if request.param == "postgresql":
        url = request.getfixturevalue("migrated_postgres_url")
    clock = FakeClock()
    database = await Database.open(url)
    async with database.write() as connection:
        named = {"name": "id", "value": NAME, "created_at": clock.now()}
        await connection.execute(sa.insert(deployment).values(named))
    storage = Storage(database, clock)
    emulator = VapiEmulator(KEY, lambda _: Brain([]), now=lambda: clock.now().timestamp())
    try:
        async with emulator as vapi:
            account = DyingAccount(vapi.url, KEY, limits=LIMITS, call_limits=LIMITS)
            async with account:
                tenant = await storage.operator.create_tenant("Garage du Port", sector="automobile")
                yield World(storage, clock, vapi, account, tenant)
    finally:
        await database.close()


async def test_made_once_and_changed_only_when_something_changed(world: World) -> None:
    assert await world.usable() is None
    assert await world.provision() == "created"
    made = await world.usable()
    assert [*world.vapi.assistants] == [made]
    assert await world.provision() == "unchanged"
    assert await world.provision(check=True) == "unchanged"
    assert len(world.vapi.requests) == 1
    await world.save_phone(sara={"assistantName": "Léa"})
    assert await world.provision() == "updated"
    assert await world.usable() == made
    assert "Léa" in world.vapi.assistants[str(made)]["firstMessage"]
    another = replace(PLAN, secret="another-secret-of-some-length")
    assert await world.provisioning(another).provision(world.tenant.id) == "updated"
    assert world.vapi.refusals == []


async def test_a_deployment_gives_itself_a_name_once(world: World) -> None:
    async with world.storage.operator._database.write() as connection:
        await connection.execute(sa.delete(deployment))
    register = world.storage.assistants
    names = await asyncio.gather(*(register.deployment_id() for _ in range(3)))
    assert {*names, await register.deployment_id()} == {names[0]}
    assert names[0] != NAME


async def test_what_the_assistant_is(world: World) -> None:
    await world.provision()
    (made,) = world.vapi.assistants.values()
    deployment = await world.storage.assistants.deployment_id()
    assert made["metadata"] == {DEPLOYMENT: deployment, TENANT: world.tenant.id}
    assert made["backgroundSound"] == "off"
    assert made["artifactPlan"]["recordingEnabled"] is False
    assert made["transcriber"]["language"] == "fr"
    assert made["server"]["headers"] == {"X-Vapi-Secret": SECRET}
    assert "{{ about_call }}" in made["model"]["messages"][0]["content"]
    assert "attendez" in made["stopSpeakingPlan"]["interruptionPhrases"]
    tools = {each.get("function", {}).get("name", each["type"]) for each in made["model"]["tools"]}
    assert {"check_availability", "take_message", "endCall"} <= tools
    assert "end_call" not in tools
    assert "send_text" not in tools
    # Ours is announced and can be refused; Vapi's can't, and stays off whatever somebody asks for.
    await world.save_phone(vapi={"recording": True}, recording={"enabled": True})
    await world.provision()
    assert made["artifactPlan"]["recordingEnabled"] is False
    tools = {each.get("function", {}).get("name", each["type"]) for each in made["model"]["tools"]}
    assert "refuse_recording" in tools


async def test_an_assistant_sends_sms_where_there_is_a_channel_for_them(world: World) -> None:
    sending = replace(PLAN, sends_texts=True)

    async def offered() -> bool:
        await world.provisioning(sending).provision(world.tenant.id)
        (made,) = world.vapi.assistants.values()
        instructed = "send_text" in made["model"]["messages"][0]["content"]
        names = [each.get("function", {}).get("name") for each in made["model"]["tools"]]
        assert ("send_text" in names) == instructed
        return instructed

    assert not await offered()
    handle = world.storage.tenant(world.tenant.id)
    for on in (True, False):
        await world.forget_jobs()
        async with handle.write() as rows:
            await rows.channels.switch("sms", enabled=on, configured=True)
        assert await world.woken() == [f"{PROVISION}:{world.tenant.id}"]
        assert await offered() == on


async def test_tenants_without_vapi_in_their_ladder_have_none(world: World) -> None:
    await world.save_phone(ladder=["realtime"])
    assert await world.provision() == "unwanted"
    await world.storage.operator.set_tenant_status(world.tenant.id, "suspended")
    await world.save_phone(ladder=["vapi"])
    assert await world.provision() == "unwanted"
    assert await world.provisioning().provision("nobody") == "gone"
    assert world.vapi.assistants == {}


@pytest.mark.parametrize(("dies", "then"), [("before", "created"), ("after", "adopted")])
async def test_killed_around_the_request(world: World, dies: str, then: str) -> None:
    world.account.dies = dies
    with pytest.raises(Killed):
        await world.provision()
    world.account.dies = ""
    assert await world.usable() is None
    # The claim of the dead holds others off for a while, then it is anybody's.
    assert await world.provision() == world.clock.now() + CLAIM
    world.clock.advance(CLAIM)
    assert await world.provision() == then
    assert [*world.vapi.assistants] == [await world.usable()]


async def test_killed_while_storing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(Provisioning, "_store", die)
    with pytest.raises(Killed):
        await world.provision()
    monkeypatch.undo()
    world.clock.advance(CLAIM)
    # Nothing of another deployment, or of another tenant, is taken for it.
    world.plant(**{DEPLOYMENT: "another", TENANT: world.tenant.id})
    ours = await world.storage.assistants.deployment_id()
    world.plant(**{DEPLOYMENT: ours, TENANT: "another"})
    assert await world.provision() == "adopted"
    assert world.posts() == 1


@pytest.mark.parametrize(
    ("status", "method"), [(401, "GET"), (402, "GET"), (403, "PATCH"), (400, "PATCH")]
)
async def test_who_is_refused_while_adopting_forgets_no_orphan(
    world: World, status: int, method: str
) -> None:
    world.account.dies = "after"
    with pytest.raises(Killed):
        await world.provision()
    world.account.dies = ""
    world.clock.advance(CLAIM)
    world.vapi.faults.outages.append(Outage(status=status, method=method))
    with pytest.raises(ProviderError):
        await world.provision(check=True)
    assert await world.provision(check=True) == "adopted"
    assert world.posts() == 1
    assert [*world.vapi.assistants] == [await world.usable()]


async def test_a_second_request_that_is_refused_says_nothing_of_the_first(world: World) -> None:
    world.account.dies = "after"
    with pytest.raises(Killed):
        await world.provision()
    world.account.dies = ""
    world.clock.advance(CLAIM)
    (late,) = world.vapi.assistants.items()
    world.vapi.assistants.clear()  # not listed yet
    world.vapi.faults.outages.append(Outage(status=402, method="POST"))
    with pytest.raises(ProviderError):
        await world.provision()
    world.vapi.assistants.update([late])
    assert await world.provision() == "adopted"


async def test_an_answer_that_is_lost(world: World) -> None:
    world.vapi.faults.outages.append(Outage(status=0, method="POST", done=True))
    with pytest.raises(ProviderError):
        await world.provision()
    assert len(world.vapi.assistants) == 1
    assert await world.usable() is None
    assert await world.provision() == "adopted"  # the claim was given back
    assert [*world.vapi.assistants] == [await world.usable()]


async def test_many_at_once_make_one(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.provision()) for _ in range(6)]
    done = [task.result() for task in tasks]
    assert done.count("created") == 1
    assert all(each in ("created", "unchanged") or isinstance(each, datetime) for each in done)
    assert world.posts() == 1


async def test_who_was_overtaken_stores_nothing(world: World) -> None:
    handle = world.storage.tenant(world.tenant.id)
    async with handle.write() as rows:
        await rows.assistants.claim("slow")
    world.clock.advance(CLAIM)
    assert await world.provision() == "created"
    made = await world.usable()
    async with handle.write() as rows:
        assert not await rows.assistants.store("slow", "another", "hash")
        assert not await rows.assistants.lost("slow")
    assert await world.usable() == made


async def test_one_that_vapi_refuses_is_said_and_not_sent_again(world: World) -> None:
    world.vapi.faults.outages.append(Outage(status=400, method="POST"))
    with pytest.raises(ProviderError):
        await world.provision()
    assert (await world.state()).error == "vapi 400"
    await world.forget_jobs()
    await world.provisioning().reconcile()
    assert await world.woken() == []
    asked = len(world.vapi.requests)
    assert await world.provision() == "refused"
    assert len(world.vapi.requests) == asked
    await world.save_phone(sara={"assistantName": "Léa"})
    assert await world.woken() == [f"{PROVISION}:{world.tenant.id}"]
    assert await world.provision() == "created"
    assert (await world.state()).error is None


async def test_a_change_that_vapi_refuses_is_no_unchanged_assistant(world: World) -> None:
    await world.provision()
    await world.save_phone(sara={"assistantName": "Léa"})
    await world.forget_jobs()
    for _ in range(2):  # whoever asks by hand hears it each time
        world.vapi.faults.outages.append(Outage(status=400, method="PATCH"))
        with pytest.raises(ProviderError):
            await world.provision(check=True)
    assert await world.provision() == "refused"
    assert (await world.state()).error == "vapi 400"
    await world.provisioning().reconcile()
    assert await world.woken() == []
    assert await world.provision(check=True) == "updated"  # Vapi takes it by now
    state = await world.state()
    assert (state.error, state.refused_hash) == (None, None)


@pytest.mark.parametrize("status", [401, 503])
async def test_a_check_that_failed_keeps_no_assistant_from_being_made_again(
    world: World, status: int
) -> None:
    await world.provision()
    world.vapi.faults.outages.append(Outage(status=status, method="GET"))
    with pytest.raises(ProviderError):
        await world.provision(check=True)
    assert (await world.state()).error == f"vapi {status}"
    gone = dict(world.vapi.assistants)
    world.vapi.assistants.clear()
    await world.forget_jobs()
    await world.provisioning().reconcile()
    assert await world.woken() == [f"{PROVISION}:{world.tenant.id}"]
    world.vapi.assistants.update(gone)
    assert await world.provision(check=True) == "unchanged"
    assert (await world.state()).error is None


async def test_one_deleted_at_vapi_is_made_again(world: World) -> None:
    await world.provision()
    gone = await world.usable()
    world.vapi.assistants.clear()
    await world.forget_jobs()
    assert await world.provisioning().run_reconcile(Job("1", RECONCILE, {}, 1)) is None
    (job,) = await world.storage.jobs.waiting()
    assert job.kind == PROVISION
    woken = Job("1", PROVISION, {"check": True}, 1, world.tenant.id)
    assert await world.provisioning().run(woken) is None
    assert await world.usable() not in (None, gone)


async def test_only_our_own_old_orphans_are_removed(world: World) -> None:
    ours = await world.storage.assistants.deployment_id()
    await world.provision()
    kept = {
        str(await world.usable()),
        world.plant(),
        world.plant(tenant_id=world.tenant.id),
        world.plant(**{DEPLOYMENT: "another", TENANT: world.tenant.id}),
    }
    orphans = {
        world.plant(**{DEPLOYMENT: ours, TENANT: world.tenant.id}),
        world.plant(**{DEPLOYMENT: ours, TENANT: "a tenant that was deleted"}),
    }
    world.clock.advance(ORPHAN_AGE.total_seconds() - 60)
    kept.add(world.plant(**{DEPLOYMENT: ours, TENANT: "nobody"}))
    await world.provisioning().reconcile()
    assert world.vapi.assistants.keys() == kept | orphans  # none is an hour old
    world.clock.advance(60)
    await world.provisioning().reconcile()
    assert world.vapi.assistants.keys() == kept


async def test_an_orphan_that_is_about_to_be_adopted_stays(world: World) -> None:
    world.account.dies = "after"
    with pytest.raises(Killed):
        await world.provision()
    world.account.dies = ""
    world.clock.advance(ORPHAN_AGE)
    await world.provisioning().reconcile()
    assert len(world.vapi.assistants) == 1
    assert await world.provision() == "adopted"


async def test_an_orphan_that_nobody_will_adopt_goes(world: World) -> None:
    world.account.dies = "after"
    with pytest.raises(Killed):
        await world.provision()
    await world.save_phone(ladder=["realtime"])
    world.clock.advance(ORPHAN_AGE)
    await world.provisioning().reconcile()
    assert world.vapi.assistants == {}


async def test_what_an_assistant_is_made_of_wakes_its_job(world: World) -> None:
    key = f"{PROVISION}:{world.tenant.id}"
    await world.provision()
    await world.forget_jobs()
    async with world.storage.tenant(world.tenant.id).write() as rows:
        await rows.channels.new_instructions("Reste bref, toujours.", activate=True)
    assert key in await world.woken()
    assert await world.provision() == "updated"
    (made,) = world.vapi.assistants.values()
    assert "Reste bref, toujours." in made["model"]["messages"][0]["content"]
    for status, then in (("suspended", "unwanted"), ("active", "unchanged")):
        await world.forget_jobs()
        await world.storage.operator.set_tenant_status(world.tenant.id, status)
        assert key in await world.woken()
        assert await world.provision() == then


async def test_a_deleted_tenants_assistant_goes(world: World) -> None:
    await world.provision()
    async with world.storage.operator._database.write() as connection:
        await connection.execute(sa.delete(tenants).where(tenants.c.id == world.tenant.id))
    world.clock.advance(ORPHAN_AGE)
    await world.provisioning().reconcile()
    assert world.vapi.assistants == {}


async def test_an_imported_assistant_is_no_call_s(world: World) -> None:
    """Somebody else's tools and addresses are in it."""
    await world.save_phone()
    foreign = world.plant()
    async with world.storage.operator._database.write() as connection:
        await connection.execute(
            sa.text("UPDATE channel_configurations SET assistant_id = :id"), {"id": foreign}
        )
    assert await world.usable() is None
    assert await world.provision() == "created"
    assert await world.usable() not in (None, foreign)
    assert foreign in world.vapi.assistants


async def test_an_account_that_refuses_us_is_no_dead_letter(world: World) -> None:
    provisioning = world.provisioning()
    world.vapi.faults.outages.append(Outage(status=401, times=2))
    again = await provisioning.run(Job("1", PROVISION, {}, 1, world.tenant.id))
    assert isinstance(again, Again)
    assert isinstance(await provisioning.run_reconcile(Job("1", RECONCILE, {}, 1)), Again)
    # One that Vapi is down for is tried again as any job is.
    world.vapi.faults.outages.append(Outage(status=503))
    with pytest.raises(ProviderError):
        await provisioning.run_reconcile(Job("1", RECONCILE, {}, 1))

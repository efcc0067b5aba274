"""The forwarding check from the API to the carrier and back: our whole server, its worker's jobs,
the emulated carrier with lines that forward, hide, answer, or ring in vain."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from sandbox.callee import Callee
from sandbox.leg import Leg
from sandbox.twilio import TwilioEmulator
from server.app import create_app
from server.clock import SystemClock
from server.lines import line_jobs
from storage import Database, Storage
from storage.jobs.worker import JobWorker, Pace
from tests.running import ACCOUNT, ADMIN, NO_TLS, TOKEN, settings

OURS, OWN = "+33199000000", "+33199000001"
LINE = "+33261910077"
FORWARDED = Callee("forwards", rings_seconds=0.02, forwards_to=OURS)
#: Two frames of silence: what is said is in the report, and takes no time.
QUIET = b"\xff" * 320


@dataclass
class World:
    """All of it, under way."""

    base: str
    storage: Storage
    carrier: TwilioEmulator

    def placed(self) -> list[Leg]:
        """The calls that we asked for."""
        legs = self.carrier.legs.values()
        return [leg for leg in legs if leg.record.direction == "outbound-api"]

    @asynccontextmanager
    async def tenant(self, name: str, line: str | None = LINE) -> AsyncIterator["Owner"]:
        tenant = await self.storage.operator.create_tenant(name)
        key = await self.storage.operator.create_key(tenant.id)
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            base_url=self.base, headers=headers, timeout=20, verify=NO_TLS
        ) as http:
            owner = Owner(tenant.id, http)
            if line is not None:
                assert (await owner.save(line)).status_code == 200
            yield owner


@dataclass
class Owner:
    """A tenant's key in use."""

    id: str
    http: httpx.AsyncClient

    async def save(self, line: str) -> httpx.Response:
        body = {"config": {"clientPhoneNumber": line}, "enabled": True}
        return await self.http.put("/api/v1/channels/phone", json=body)

    async def begin(self, **body: Any) -> httpx.Response:
        return await self.http.post("/api/v1/channels/phone/check", json=body)

    async def check(self, **body: Any) -> dict[str, Any]:
        """Until it is done."""
        begun = await self.begin(**body)
        assert begun.status_code == 202, begun.text
        path = f"/api/v1/channels/phone/check/{begun.json()['check']['id']}"
        found: dict[str, Any] = {}

        async def done() -> bool:
            found.update((await self.http.get(path)).json()["check"])
            return bool(found["state"] == "done")

        await until(done)
        return found

    async def numbers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.http.get("/api/v1/channels/numbers")).json()[
            "numbers"
        ]
        return found

    async def told(self) -> list[str]:
        listed = (await self.http.get("/api/v1/notifications")).json()["notifications"]
        return [each["type"] for each in listed]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port = free_port()
    numbers = [OURS, OWN]
    async with TwilioEmulator(
        account_sid=ACCOUNT,
        auth_tokens=[TOKEN],
        numbers=numbers,
        say=lambda _: QUIET,
        hurry=100.0,
    ) as carrier:
        config = settings(
            tmp_path,
            public_url=f"http://127.0.0.1:{port}",
            twilio_api_base_url=carrier.url,
            job_worker="none",
        )
        carrier.point_at(config.public_url)
        clock = SystemClock()
        server = uvicorn.Server(uvicorn.Config(create_app(config), port=port, log_level="error"))
        database = await Database.open(config.database_url.get_secret_value())
        storage = Storage(database, clock)
        worker = JobWorker(database, clock, line_jobs(config, storage, clock), pace=Pace(poll=0.02))
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            running = tasks.create_task(worker.run())
            yield World(config.public_url, storage, carrier)
            worker.stop()
            await running
            server.should_exit = True
            await serving
        await database.close()


async def test_forwarding_works(world: World) -> None:
    """The call comes back, is answered at once, and reaches no agent and no tenant's list."""
    world.carrier.callees[LINE] = FORWARDED
    async with world.tenant("Garage du Port") as garage:
        (line, _shared) = await garage.numbers()
        assert (line["state"], line["verifiedAt"]) == ("unverified", None)
        found = await garage.check()
        assert (found["verdict"], found["reason"]) == ("works", None)
        assert found["message"].startswith("Le renvoi fonctionne")
        (line, _shared) = await garage.numbers()
        assert line["state"] == "verified"
        (returned,) = world.carrier.forwarded
        assert "Test de renvoi" in returned.twiml[0]
        assert "Stream" not in returned.twiml[0]
        assert (await garage.http.get("/api/v1/calls")).json()["calls"] == []
        # The line was called once.
        (placed,) = world.placed()
        assert "test automatique" in placed.log.report.twiml[0]

        # Its carrier shows another number in its place: from then on it is found by that.
        trunk = "+33261910000"
        world.carrier.callees[LINE] = replace(FORWARDED, shows=trunk)
        assert (await garage.check())["verdict"] == "works"
        tenant = await world.storage.operator.tenant_by_line(trunk)
        assert tenant is not None
        assert tenant.id == garage.id

        # It hides everything, but the number that it forwards to is the tenant's alone.
        await world.storage.operator.add_number(garage.id, OWN)
        world.carrier.callees[LINE] = replace(FORWARDED, forwards_to=OWN, shows="")
        assert (await garage.check())["verdict"] == "works"


OTHERWISE = [
    (replace(FORWARDED, shows=""), "hidden", None),
    (replace(FORWARDED, poses_as_caller=True), "hidden", None),
    (Callee("hangs_up", 0.02), "not_forwarded", "answered"),
    (Callee("says_nothing", 0.02), "not_forwarded", "answered"),  # a voicemail
    (Callee("busy", 0.02), "not_forwarded", "busy"),
    (Callee("no_answer"), "not_forwarded", "no_answer"),
    (Callee("failed", 0.02), "unknown", "not_reached"),
]


async def test_what_else_may_be_found(world: World) -> None:
    for number, (callee, verdict, reason) in enumerate(OTHERWISE):
        number_of_it = f"+3326191010{number}"
        world.carrier.callees[number_of_it] = callee
        async with world.tenant(f"Garage {number}", number_of_it) as garage:
            found = await garage.check()
            assert (found["verdict"], found["reason"]) == (verdict, reason)
            assert [code["line"] for code in found["codes"]] == ["landline", "box"]
            assert found["codes"][0]["activate"] == "*21*0199000000#"
            (line, _shared) = await garage.numbers()
            assert (line["state"], line["reason"]) == ("unverified", found["message"])


async def test_another_claimant_proves_it_by_a_code(world: World) -> None:
    """While the first one's forwarding stands it proves nothing about the second; the code that is
    spoken on the line does, and the first one is told."""
    world.carrier.callees[LINE] = FORWARDED
    async with world.tenant("Garage") as first, world.tenant("Salon", None) as second:
        refused = await second.save(LINE)
        assert refused.status_code == 409
        assert "lancez la vérification" in refused.json()["error"]
        found = await second.check(number=LINE)
        assert (found["verdict"], found["reason"]) == ("not_forwarded", "still_theirs")

        world.carrier.callees[LINE] = Callee("hangs_up", 0.02)
        found = await second.check(number=LINE)
        assert (found["verdict"], found["expectsCode"]) == ("code_spoken", True)
        *_, placed = world.placed()
        said = placed.log.report.twiml[0]
        code = "".join(c for c in said.split("code est ")[1].split(".")[0] if c.isdigit())
        path = f"/api/v1/channels/phone/check/{found['id']}/code"
        wrong = await second.http.post(path, json={"code": "x" + code})
        assert wrong.json()["verified"] is False
        right = await second.http.post(path, json={"code": code})
        assert right.json()["verified"] is True
        assert (await second.numbers())[0]["state"] == "verified"
        assert "number_lost" in await first.told()
        assert [each["state"] for each in await first.numbers()] == ["lost", "shared"]
        # Nobody takes it from there but the operator.
        assert (await first.begin()).json()["code"] == "line_proven"
        given = await second.http.post(
            f"/api/tenants/{first.id}/lines",
            json={"number": LINE},
            headers={"authorization": f"Bearer {ADMIN}"},
        )
        assert given.json()["lines"] == [LINE]
        assert "number_lost" in await second.told()


async def test_three_a_day_one_at_a_time_and_not_for_any_money(world: World) -> None:
    world.carrier.callees[LINE] = Callee("busy", 0.1)
    async with world.tenant("Garage du Port") as garage:
        assert (await garage.begin()).status_code == 202
        again = await garage.begin()
        assert (again.status_code, again.json()["code"]) == (409, "check_under_way")

        async def over() -> bool:
            checks = (await garage.http.get("/api/v1/channels/phone/check")).json()["checks"]
            return all(each["state"] == "done" for each in checks)

        await until(over)
        await garage.check()
        await garage.check()
        fourth = await garage.begin()
        assert (fourth.status_code, fourth.json()["code"]) == (429, "checks_too_many")

    async with world.tenant("Salon", "+33261910078") as garage:
        capped = await garage.http.put(
            f"/api/tenants/{garage.id}/spending",
            json={"cap": 0.05},
            headers={"authorization": f"Bearer {ADMIN}"},
        )
        assert capped.json()["ownCap"] == 0.05
        found = await garage.check()
        assert (found["verdict"], found["reason"]) == ("unknown", "spend_cap")
        assert "spend_cap" in await garage.told()
        assert len(world.placed()) == 3

"""Nothing lost, nothing doubled, order kept: with processes that are killed between a vendor's
acceptance and our commit, and with a vendor that takes texts and doesn't say so."""

import asyncio
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.clock import SystemClock
from storage import Database, Report, Storage
from storage.schema import channel_messages_log
from storage.text_rows import NewText
from tests.databases import migrated_file
from tests.messaging.text_process import worker
from tests.messaging.vendors import FileVendor, remembered

CLOCK = SystemClock()
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return migrated_file(tmp_path / "texts.sqlite3")
    address: str = request.getfixturevalue("migrated_postgres_url")
    return address


async def put(storage: Storage, people: int, each: int) -> str:
    """`each` texts to so many people, numbered per person; the tenant's id."""
    tenant = await storage.operator.create_tenant("Salon")
    for number in range(each):
        async with storage.tenant(tenant.id).write() as rows:
            for person in range(people):
                await rows.outbox.put(
                    NewText(
                        "sms",
                        f"+336{39_980_000 + person:08}",
                        body=f"{number}",
                        dedupe_key=f"{person}:{number}",
                        even_if_off=True,
                    )
                )
    return tenant.id


async def statuses(database: Database) -> Counter[str]:
    async with database.read() as connection:
        rows = await connection.execute(sa.select(channel_messages_log.c.status))
        return Counter(rows.scalars())


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def settle(database: Database, vendor: FileVendor, seconds: float) -> None:
    """A worker of this process sends all that is to be sent."""
    running = worker(database, CLOCK, vendor, places=16)

    async def settled() -> bool:
        return not (await statuses(database)).keys() & {"queued", "sending"}

    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(running.run())
        try:
            await until(settled, seconds)
        finally:
            running.stop()
            await work


# ------------------------------------------------------------------------------- killed


class Process:
    """A worker that can be killed."""

    def __init__(self, url: str, path: Path, seconds: float) -> None:
        command = (sys.executable, "-m", "tests.messaging.text_process", url, str(path))
        self._process = subprocess.Popen(
            (*command, str(seconds)), stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    async def ready(self) -> None:
        assert self._process.stdout is not None
        assert await asyncio.to_thread(self._process.stdout.readline) == "ready\n"

    async def kill(self) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.communicate)


async def killed(url: str, path: Path, *, people: int, rounds: int) -> Counter[str]:
    """In each round all that was taken is unconfirmed when the process is killed; this one ends
    what those began."""
    database = await Database.open(url)
    try:
        await put(Storage(database, CLOCK), people, 1)
        for number in range(rounds):
            process = Process(url, path, seconds=0.01 if number else 0.5)
            try:
                await process.ready()
                before = len(remembered(path))

                async def taken(before: int = before) -> bool:
                    return len(remembered(path)) > before

                await until(taken, 20)
            finally:
                await process.kill()
        await settle(database, FileVendor(path, seconds=0.01), 60)
        return await statuses(database)
    finally:
        await database.close()


async def test_a_kill_between_acceptance_and_commit_sends_no_second_sms(
    url: str, tmp_path: Path
) -> None:
    path = tmp_path / "vendor"
    found = await killed(url, path, people=8, rounds=1)
    assert Counter(line[1] for line in remembered(path)).most_common(1)[0][1] == 1
    assert found["unknown"] >= 1
    assert found["unknown"] + found["accepted"] == 8
    # Whatever is accepted was taken, and what was taken unseen is resolved by its status.
    await resolved(url, path)


async def resolved(url: str, path: Path) -> None:
    database = await Database.open(url)
    storage = Storage(database, CLOCK)
    for _, text_id, _ in remembered(path):
        report = Report("delivered", "twilio", "delivered", vendor_id=f"SM{text_id}")
        assert await storage.text_reports.record(report, text_id)
    assert (await statuses(database))["delivered"] == len(remembered(path))
    await database.close()


@pytest.mark.long
async def test_kills_at_any_time_double_nothing(url: str, tmp_path: Path) -> None:
    path = tmp_path / "vendor"
    found = await killed(url, path, people=300, rounds=12)
    assert max(Counter(line[1] for line in remembered(path)).values()) == 1
    assert sum(found.values()) == 300
    assert found.keys() <= {"unknown", "accepted"}


# -------------------------------------------------------------------------------- flaky


async def flaky(url: str, path: Path, *, people: int, each: int, seconds: float) -> None:
    """A vendor that is busy one time in seven, and silent one time in seven: after all, each text
    is there once, in order."""
    database = await Database.open(url)
    storage = Storage(database, CLOCK)
    try:
        await put(storage, people, each)
        await settle(database, FileVendor(path, flaky=2 / 7), seconds)
        number = people * each
        lines = remembered(path)
        assert Counter(line[1] for line in lines).most_common(1)[0][1] == 1, "doubled"
        assert len(lines) == number, "lost"
        order: dict[str, list[int]] = defaultdict(list)
        for address, _, body in lines:
            order[address].append(int(body))
        assert all(bodies == list(range(each)) for bodies in order.values())
        found = await statuses(database)
        assert found.keys() == {"accepted", "unknown"}
        for _, text_id, _ in lines:  # the statuses come in whatever order
            report = Report("delivered", "twilio", "delivered", vendor_id=f"SM{text_id}")
            await storage.text_reports.record(report, text_id)
        assert await statuses(database) == {"delivered": number}
    finally:
        await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a hundredth: what is tested isn't how long they are."""
    from datetime import timedelta

    from messaging import outbox

    monkeypatch.setattr(outbox, "_MINUTES", {"sms": (0.001,) * 12})
    monkeypatch.setattr(outbox, "SOON", timedelta(seconds=0.02))


@pytest.mark.usefixtures("impatient")
async def test_a_flaky_vendor_gets_each_text_once_and_in_order(url: str, tmp_path: Path) -> None:
    await flaky(url, tmp_path / "vendor", people=6, each=8, seconds=60)


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
async def test_ten_thousand_texts_and_a_flaky_vendor(url: str, tmp_path: Path) -> None:
    await flaky(url, tmp_path / "vendor", people=500, each=20, seconds=1800)

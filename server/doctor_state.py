"""What the doctor finds in the database: its schema, jobs, servers and documents."""

from collections.abc import AsyncIterator

from domain.clock import Clock
from server.doctor_findings import Finding, ok
from server.settings import Settings
from storage import Storage
from storage.database import Database, SchemaState
from storage.knowledge.census import documents_by_status
from storage.migrations import SERVER_VERSION
from storage.nodes import NodeRegister, NodeRow

#: A job that is due is begun within a second, if there is a worker that has a place for it.
LATE_SECONDS = 60.0


async def check_state(
    state: SchemaState, database: Database, storage: Storage, clock: Clock
) -> AsyncIterator[Finding]:
    """One finding about each, and more where something is wrong."""
    yield check_schema(state)
    register = NodeRegister(database, clock)
    servers = await register.living("server")
    for finding in check_servers(servers, len(await register.orphaned_calls())):
        yield finding
    for finding in await check_jobs(storage, servers=len(servers)):
        yield finding
    for finding in await check_documents(database):
        yield finding


def behind(settings: Settings, state: SchemaState) -> Finding:
    """Nothing else can be looked at before it is brought up to date."""
    name = settings.database_name
    if state.revision is None:
        return ok(f"database {name} is empty, and will be set up at the first start")
    return Finding(
        "warn",
        f"database {name} is at revision {state.revision}; this version, {SERVER_VERSION}, needs "
        f"{state.head}",
        "start the server, or run `coccinelle migrate`, and ask the doctor again",
    )


def check_schema(state: SchemaState) -> Finding:
    """A newer one than ours is no fault while servers are replaced one by one."""
    if state.known:
        return ok(f"the schema is at revision {state.revision}")
    return Finding(
        "warn",
        f"the schema is at revision {state.revision}, which a newer version has applied; this one, "
        f"{SERVER_VERSION}, can run on it",
        "update this server too",
    )


def check_servers(servers: list[NodeRow], orphans: int) -> list[Finding]:
    """Who beats, in which version, and the calls that nobody carries."""
    found = []
    versions = sorted({each.version for each in servers})
    if not servers:
        found.append(ok("servers: none is running"))
    else:
        what = f"servers: {len(servers)} running, version {', '.join(versions)}"
        draining = sum(each.draining_at is not None for each in servers)
        found.append(ok(what + (f"; {draining} about to stop" if draining else "")))
    if len(versions) > 1:
        found.append(
            Finding(
                "warn",
                "servers of different versions run together",
                "finish the update: they are meant to for minutes, not for days",
            )
        )
    if orphans:
        found.append(
            Finding(
                "warn",
                f"{orphans} calls have no end, and no server carries them",
                "a running server takes them up within seconds; start one",
            )
        )
    return found


async def check_jobs(storage: Storage, *, servers: int) -> list[Finding]:
    """Whether somebody does them, and what nobody tries any more."""
    counts = await storage.jobs.counts()
    found = []
    # Without a server nothing is expected of anybody.
    if servers and counts.oldest > LATE_SECONDS:
        found.append(
            Finding(
                "fail",
                f"a job that is due has waited for {counts.oldest:.0f} s: no worker takes it",
                "with JOB_WORKER=none somebody must run `coccinelle work`; otherwise look for "
                "worker.died in the server's log",
            )
        )
    if counts.dead:
        kinds = sorted({letter.kind for letter in await storage.jobs.dead()})
        found.append(
            Finding(
                "warn",
                f"{counts.dead} jobs are dead ({', '.join(kinds)})",
                "`coccinelle jobs dead` says why; `coccinelle jobs replay ID` tries one again, "
                "`discard` forgets it",
            )
        )
    return found or [ok(f"jobs: {counts.waiting} waiting, {counts.running} running, none dead")]


async def check_documents(database: Database) -> list[Finding]:
    """Whether what tenants gave us can be read."""
    numbers = await documents_by_status(database)
    if not numbers:
        return []
    if failed := numbers.get("failed", 0):
        return [
            Finding(
                "warn",
                f"{failed} of {sum(numbers.values())} documents couldn't be read",
                "`coccinelle knowledge list --tenant ID` says why; their tenants see it too",
            )
        ]
    under_way = numbers.get("pending", 0) + numbers.get("indexing", 0)
    rest = f", {under_way} being read" if under_way else ""
    return [ok(f"documents: {numbers.get('ready', 0)} can be searched{rest}")]

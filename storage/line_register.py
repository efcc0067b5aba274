"""Lines and their checks across tenants: for the webhooks, the jobs and the operator alone."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import Conflict, NotFound
from domain.lines import (
    CHECK_LASTS,
    CLAIM_LAPSES,
    CLAIM_WARNS,
    CODE_PERIOD,
    CODE_SPOKEN,
    CODE_TRIES,
    HIDDEN,
    NOT_FORWARDED,
    UNKNOWN,
    WORKS,
    Returned,
    is_returned,
    stronger,
    verdict_of,
    verdict_without,
)
from storage.audit import committed, settle
from storage.channels import Channels
from storage.database import Database
from storage.lines import CHECK_COLUMNS, LineCheck, publish
from storage.live_events import store
from storage.notifications import Notifications
from storage.outbox import Outbox
from storage.schema import channel_configurations, tenant_numbers
from storage.schema import line_checks as checks
from storage.schema import tenant_lines as lines
from storage.scope import Scope
from storage.secrets import KeyRing

#: The one lane there is: without ForwardedFrom, calls of two checks couldn't be told apart.
LANE: Final = "deployment"


class LineRegister:
    """Unscoped: a line's claims and a call that comes back concern several tenants."""

    def __init__(self, database: Database, clock: Clock, keyring: KeyRing | None = None) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring

    # ------------------------------------------------------------------------- the check

    async def kind_of_check(self, tenant_id: str, number: str) -> str:
        """How this tenant can prove that the line is its own: "forwarding", or, where another one
        claims it, by a "code" spoken on the line. A number that the line forwards to, and that
        rings for this tenant alone, proves it too. Conflict when another one has proven it."""
        async with self._database.read() as connection:
            holder = await _holder(connection, number)
            if holder is None or holder["tenant_id"] == tenant_id:
                return "forwarding"
            if not stronger("code", holder["proof"]):
                raise Conflict("another business has proven it", message_key="line_proven")
            own = sa.select(tenant_numbers.c.number).where(tenant_numbers.c.tenant_id == tenant_id)
            dedicated = (await connection.execute(own.limit(1))).first() is not None
        return "forwarding" if dedicated and stronger("forwarding", holder["proof"]) else "code"

    async def start(
        self, check_id: str, caller_id: str, code: str | None = None
    ) -> LineCheck | None:
        """The line may be called now, from `caller_id`; None when another check is under way, or
        this one isn't waiting. `code`: what will be spoken, for a check of that kind."""
        now = self._clock.now()
        try:
            async with self._writing() as writing:
                # What its own job hasn't ended in time blocks nobody.
                await self._end(
                    writing,
                    sa.and_(
                        checks.c.lane == LANE,
                        checks.c.ends_at < now - timedelta(minutes=1),
                    ),
                    UNKNOWN,
                    "interrupted",
                )
                return await self._change(
                    writing,
                    sa.and_(checks.c.id == check_id, checks.c.state == "queued"),
                    state="calling",
                    lane=LANE,
                    caller_id=caller_id,
                    code_hash=None if code is None else _hash(check_id, code),
                    started_at=now,
                    ends_at=now + CHECK_LASTS,
                )
        except IntegrityError:
            return None

    async def called(self, check_id: str, call_sid: str) -> None:
        """The carrier has taken the call."""
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(checks).where(checks.c.id == check_id).values(call_sid=call_sid)
            )

    async def finish(self, check_id: str, verdict: str, reason: str | None = None) -> None:
        """What came of it, unless that is known already."""
        async with self._writing() as writing:
            await self._end(writing, checks.c.id == check_id, verdict, reason)

    async def ended(self, check_id: str, status: str) -> None:
        """Our call stands so at the carrier: if it is over, nothing will come back any more."""
        async with self._writing() as writing:
            found = await _check(writing.connection, checks.c.id == check_id)
            if found is None or found.state != "calling":
                return
            said = verdict_without(found.kind, status)
            if said is not None:
                await self._end(writing, checks.c.id == check_id, *said)

    async def calling(self) -> LineCheck | None:
        """The one that is under way."""
        async with self._database.read() as connection:
            return await _check(connection, checks.c.lane == LANE)

    async def returned(
        self,
        call_sid: str,
        call: Returned,
        ours: Collection[str],
        raw: str = "",
        *,
        ambiguous: bool = False,
    ) -> bool:
        """Whether this call that has just come in is the test call of the check under way; if so,
        the check is done, and the line is the tenant's where that proves it. `ours`: numbers that
        are no tenant's line; `ambiguous`: it may as well be another call of ours. A call that is
        known already is still one."""
        async with self._writing() as writing:
            if await _check(writing.connection, checks.c.returned_sid == call_sid) is not None:
                return True
            found = await _check(writing.connection, checks.c.lane == LANE, for_update=True)
            if found is None or found.ends_at is None or found.ends_at < self._clock.now():
                return False
            if not is_returned(found.number, found.caller_id or "", call):
                return False
            said: tuple[str, str | None] = (UNKNOWN, "ambiguous")
            if not ambiguous:
                said = verdict_of(found.number, call, ours)
            if said[0] == WORKS:
                said = await self._works(writing, found, call)
            await writing.connection.execute(
                sa.update(checks)
                .where(checks.c.id == found.id)
                .values(returned_sid=call_sid, returned_as=raw[:200])
            )
            await self._end(writing, checks.c.id == found.id, *said)
            return True

    async def _works(
        self, writing: "Writing", check: LineCheck, call: Returned
    ) -> tuple[str, str | None]:
        """The forwarding stands: keep what it looks like, and whose the line is."""
        other = await _other(writing.connection, check.number, check.tenant_id)
        if other is not None and not (call.to_own and stronger("forwarding", other["proof"])):
            # It comes to a number that its present holder shares: that is their forwarding.
            return NOT_FORWARDED, "still_theirs"
        shown = call.shown if call.shown != check.number and not call.to_own else None
        if shown is not None and await _is_taken(writing.connection, shown, check.number):
            return HIDDEN, "shared_form"
        await self._give(writing, check.number, check.tenant_id, "forwarding", shown)
        return WORKS, None

    async def prove(self, tenant_id: str, check_id: str, code: str) -> bool:
        """Whether this is the code that was spoken on the line; if so, the line is the tenant's,
        and its configuration says so. NotFound; Conflict when it isn't waited for (any more)."""
        async with self._writing(tenant_id) as writing:
            mine = sa.and_(checks.c.id == check_id, checks.c.tenant_id == tenant_id)
            row = await _first(writing.connection, sa.select(checks).where(mine).with_for_update())
            if row is None:
                raise NotFound("no such check")
            good_until = (row["finished_at"] or row["created_at"]) + CODE_PERIOD
            over = row["code_tries"] >= CODE_TRIES or self._clock.now() > good_until
            if row["verdict"] != CODE_SPOKEN or over:
                raise Conflict("no code is waited for", message_key="code_over")
            tries = {"code_tries": row["code_tries"] + 1}
            await writing.connection.execute(sa.update(checks).where(mine).values(tries))
            if not hmac.compare_digest(row["code_hash"] or "", _hash(check_id, code.strip())):
                return False
            await self._taken_by_code(writing, tenant_id, row["number"])
            await self._change(writing, mine, verdict=WORKS, reason="proven", code_hash=None)
            return True

    async def _taken_by_code(self, writing: "Writing", tenant_id: str, number: str) -> None:
        other = await _other(writing.connection, number, tenant_id)
        if other is not None and not stronger("code", other["proof"]):
            raise Conflict("another business has proven it", message_key="line_proven")
        await self._give(writing, number, tenant_id, "code", None)
        scope = writing.scope(tenant_id)
        channels, it = Channels(scope), channel_configurations
        before = await channels.get("phone")
        kept = scope.select(it, it.c.transfer_number).where(it.c.channel_type == "phone")
        row = await scope.first(kept)
        await channels.save(
            "phone",
            enabled=before.enabled,
            config={**before.config, "clientPhoneNumber": number},
            line=number,
            transfer_number=None if row is None else row["transfer_number"],
        )

    # ---------------------------------------------------------------------------- claims

    async def assign(self, tenant_id: str, number: str) -> None:
        """The operator says whose a line (E.164) is; whoever loses it is told. NotFound."""
        try:
            async with self._writing(tenant_id) as writing:
                await self._give(writing, number, tenant_id, "operator", None)
        except IntegrityError as error:
            raise NotFound("no such tenant") from error

    async def lapse(self) -> int:
        """End the claims that were never proven, and warn those that soon end; how many ended."""
        now, ended = self._clock.now(), 0
        unproven = sa.select(lines).where(lines.c.verified_at.is_(None))
        async with self._database.read() as connection:
            found = (await connection.execute(unproven)).mappings().all()
        for row in found:
            claimed = row["claimed_at"]
            same = sa.and_(lines.c.number == row["number"], lines.c.verified_at.is_(None))
            async with self._writing() as writing:
                if claimed is None:  # its time begins now: nobody had told the owner before
                    unset = sa.update(lines).where(same, lines.c.claimed_at.is_(None))
                    await writing.connection.execute(unset.values(claimed_at=now))
                elif claimed <= now - CLAIM_LAPSES:
                    gone = sa.delete(lines).where(same, lines.c.claimed_at == claimed)
                    if (await writing.connection.execute(gone)).rowcount:
                        ended += 1
                        await writing.tell(row["tenant_id"], "line_lapsed", row["number"])
                elif claimed <= now - CLAIM_WARNS:
                    key = f"line_lapses:{row['number']}:{claimed.isoformat()}"
                    await writing.tell(row["tenant_id"], "line_lapses", row["number"], key)
        return ended

    async def _give(
        self, writing: "Writing", number: str, tenant_id: str, proof: str, shown: str | None
    ) -> None:
        """The line is this tenant's, by this proof; an earlier and stronger one of its own
        stays. Whoever had it is told."""
        now = self._clock.now()
        holder = await _holder(writing.connection, number, for_update=True)
        values: dict[str, Any] = {"verified_at": now, "forwarded_as": shown}
        if holder is None:
            row = {"number": number, "tenant_id": tenant_id, "created_at": now, "claimed_at": now}
            await writing.connection.execute(
                sa.insert(lines).values(row | values | {"proof": proof})
            )
            return
        if holder["tenant_id"] != tenant_id:
            values |= {"tenant_id": tenant_id, "proof": proof, "claimed_at": now, "created_at": now}
        elif stronger(proof, holder["proof"]):
            values["proof"] = proof
        if proof != "forwarding" and holder["tenant_id"] == tenant_id:
            del values["forwarded_as"]  # only a call that came back says otherwise
        await writing.connection.execute(
            sa.update(lines).where(lines.c.number == number).values(values)
        )
        if holder["tenant_id"] != tenant_id:
            await writing.tell(holder["tenant_id"], "number_lost", number)

    # ----------------------------------------------------------------------------- parts

    async def _end(
        self,
        writing: "Writing",
        which: sa.ColumnElement[bool],
        verdict: str,
        reason: str | None,
    ) -> None:
        await self._change(
            writing,
            sa.and_(which, checks.c.state != "done"),
            state="done",
            lane=None,
            verdict=verdict,
            reason=reason,
            finished_at=self._clock.now(),
        )

    async def _change(
        self, writing: "Writing", which: sa.ColumnElement[bool], **values: Any
    ) -> LineCheck | None:
        statement = sa.update(checks).where(which).values(**values).returning(*CHECK_COLUMNS)
        row = (await writing.connection.execute(statement)).mappings().first()
        if row is None:
            return None
        check = LineCheck(**row)
        publish(writing.scope(check.tenant_id), check)
        return check

    @asynccontextmanager
    async def _writing(self, acting: str | None = None) -> AsyncIterator["Writing"]:
        """A transaction over several tenants; `acting`: in whose audit log its request goes."""
        async with self._database.write() as connection:
            writing = Writing(
                connection, lambda tenant: Scope(connection, tenant, self._clock, self._keyring)
            )
            yield writing
            if acting is not None:
                await settle(writing.scope(acting))
            scopes = list(writing.scopes.values())
            await store(connection, [event for scope in scopes for event in scope.published])
        if acting is not None:
            committed(writing.scope(acting))


class Writing:
    """A transaction, and what it tells each tenant."""

    def __init__(self, connection: AsyncConnection, make: Callable[[str], Scope]) -> None:
        self.connection = connection
        self.scopes: dict[str, Scope] = {}
        self._make = make

    def scope(self, tenant_id: str) -> Scope:
        """The tenant's rows, in this transaction."""
        return self.scopes.setdefault(tenant_id, self._make(tenant_id))

    async def tell(self, tenant_id: str, kind: str, number: str, key: str | None = None) -> None:
        """Tell a tenant about a line."""
        scope = self.scope(tenant_id)
        notifications = Notifications(scope, Outbox(scope))
        await notifications.tell(kind, subject_id=number, values={"phone": number}, key=key)


async def _first(connection: AsyncConnection, statement: sa.Select[Any]) -> sa.RowMapping | None:
    row: sa.RowMapping | None = (await connection.execute(statement)).mappings().first()
    return row


async def _check(
    connection: AsyncConnection,
    which: sa.ColumnElement[bool],
    *,
    for_update: bool = False,
) -> LineCheck | None:
    statement = sa.select(*CHECK_COLUMNS).where(which).limit(1)
    if for_update:
        statement = statement.with_for_update()
    row = await _first(connection, statement)
    return None if row is None else LineCheck(**row)


async def _holder(
    connection: AsyncConnection, number: str, *, for_update: bool = False
) -> sa.RowMapping | None:
    statement = sa.select(lines.c.tenant_id, lines.c.proof).where(lines.c.number == number)
    return await _first(connection, statement.with_for_update() if for_update else statement)


async def _other(connection: AsyncConnection, number: str, tenant_id: str) -> sa.RowMapping | None:
    """Who else has it, held until the end of the transaction."""
    holder = await _holder(connection, number, for_update=True)
    return None if holder is None or holder["tenant_id"] == tenant_id else holder


async def _is_taken(connection: AsyncConnection, shown: str, number: str) -> bool:
    """Whether another line is known by this form of ForwardedFrom."""
    statement = sa.select(lines.c.number).where(
        lines.c.number != number, sa.or_(lines.c.number == shown, lines.c.forwarded_as == shown)
    )
    return await _first(connection, statement.limit(1)) is not None


def _hash(check_id: str, code: str) -> str:
    """Short-lived and counted: a plain hash is enough to keep it out of the table."""
    return hashlib.sha256(f"{check_id}:{code}".encode("utf-8", "surrogatepass")).hexdigest()

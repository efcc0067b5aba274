"""A tenant's lines, which forward to us, and its checks of whether they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import CallerError, Conflict, NotFound
from domain.lines import CHECKS_PER_DAY
from storage.conflicts import insert_unless_taken
from storage.jobs import jobs_on
from storage.schema import line_checks as checks
from storage.schema import tenant_lines as table
from storage.scope import Scope, new_id
from storage.text_limits import TextLimits

#: The job: payload {"check_id": …}.
CHECK: Final = "line.check"
#: The bucket in which a tenant's checks of a day are counted.
_COUNTED: Final = "line_check"


@dataclass(frozen=True, slots=True)
class Line:
    """A claim. `proof`: forwarding | code | operator, None: not verified; `forwarded_as`: what
    ForwardedFrom says for it, None: the number, or nobody knows yet."""

    number: str
    created_at: datetime
    claimed_at: datetime | None
    verified_at: datetime | None
    proof: str | None
    forwarded_as: str | None


@dataclass(frozen=True, slots=True)
class LineCheck:
    """As stored; `state` queued | calling | done; `verdict` is one of `domain.lines.VERDICTS`."""

    id: str
    tenant_id: str
    number: str
    kind: str
    state: str
    verdict: str | None
    reason: str | None
    caller_id: str | None
    call_sid: str | None
    started_at: datetime | None
    ends_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


CHECK_COLUMNS: Final = tuple(checks.c[name] for name in LineCheck.__dataclass_fields__)
_LINE_COLUMNS: Final = tuple(table.c[name] for name in Line.__dataclass_fields__)


class Lines:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(self) -> Sequence[Line]:
        """By number."""
        rows = await self._scope.all(
            self._scope.select(table, *_LINE_COLUMNS).order_by(table.c.number)
        )
        return [Line(**row) for row in rows]

    async def claim(self, line: str | None) -> None:
        """The tenant says that this line (E.164) is its own, and none but it; what the operator
        gave it stays. Conflict when it is another tenant's: then nothing is changed."""
        others = self._scope.delete(table).where(table.c.proof.is_distinct_from("operator"))
        if line is not None:
            others = others.where(table.c.number != line)
        await self._scope.connection.execute(others)
        if line is None:
            return
        now = self._scope.now()
        row = {
            "number": line,
            "tenant_id": self._scope.tenant_id,
            "created_at": now,
            "claimed_at": now,
        }
        if await insert_unless_taken(self._scope.connection, table, row):
            return
        ours = self._scope.select(table, table.c.number).where(table.c.number == line)
        if await self._scope.first(ours) is None:
            raise Conflict(
                "this line already belongs to another business", field="config.clientPhoneNumber"
            )

    # ----------------------------------------------------------------------------- checks

    async def begin(self, number: str, kind: str = "forwarding") -> LineCheck:
        """Ask for a check of this number (E.164): a row, and the job that wakes it. Conflict while
        one of the tenant's is under way, CallerError (429) after three on a day (in UTC)."""
        scope = self._scope
        waiting = self._checks().where(checks.c.state != "done").limit(1)
        if await scope.first(waiting) is not None:
            raise Conflict("a check is under way", message_key="check_under_way")
        if not await TextLimits(scope).count(_COUNTED, CHECKS_PER_DAY):
            raise CallerError(
                f"there have been {CHECKS_PER_DAY} checks today",
                message_key="checks_too_many",
                status=429,
            )
        check_id = new_id()
        await scope.insert(checks, id=check_id, number=number, kind=kind, created_at=scope.now())
        jobs = jobs_on(scope.connection, scope.clock, scope.tenant_id)
        await jobs.put(CHECK, {"check_id": check_id}, key=f"{CHECK}:{check_id}")
        check = await self.check(check_id)
        publish(scope, check)
        return check

    async def check(self, check_id: str) -> LineCheck:
        """One of the tenant's; NotFound."""
        row = await self._scope.first(self._checks().where(checks.c.id == check_id))
        if row is None:
            raise NotFound("no such check")
        return LineCheck(**row)

    async def checks(self, limit: int = 20) -> Sequence[LineCheck]:
        """The latest first."""
        latest = self._checks().order_by(checks.c.created_at.desc(), checks.c.id).limit(limit)
        return [LineCheck(**row) for row in await self._scope.all(latest)]

    def _checks(self) -> sa.Select[Any]:
        return self._scope.select(checks, *CHECK_COLUMNS)


def publish(scope: Scope, check: LineCheck) -> None:
    """Tell the tenant's dashboards how a check stands."""
    scope.publish(
        "line.check",
        check.id,
        {"state": check.state, "verdict": check.verdict, "reason": check.reason},
    )

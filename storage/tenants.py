"""Tenants, their keys and their numbers, as the operator and the webhooks see them: unscoped."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import Conflict, Invalid, NotFound, OperatorError
from domain.permissions import ADMIN
from domain.tenant import DEFAULT_LOCALE, DEFAULT_TIMEZONE, Tenant
from storage.assistants import wake
from storage.conflicts import insert_unless_taken
from storage.database import Database
from storage.jobs import jobs_on
from storage.schema import (
    call_logs,
    channel_configurations,
    qualified_prospects,
    rendez_vous,
    tenant_keys,
    tenant_lines,
    tenant_numbers,
    tenants,
    tickets,
)
from storage.scope import TENANT_COLUMNS, new_id

#: Callers may key in a tenant's code: four digits.
CODES = frozenset(f"{number:04}" for number in range(10_000))
#: A key is recognisable in a log or a leaked file; 32 random bytes follow.
KEY_PREFIX = "cck_"
KEY_BYTES = 32

#: What no XML can carry: a call to a business with one of these in its name would fail at Twilio.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
#: Ids stand in paths of our API: no character there that would need escaping.
_TENANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


#: When a key was last used is noted this often: who looks wants to know whether it still is.
USED_NOTED_EVERY = timedelta(minutes=10)

KEY_COLUMNS = (
    tenant_keys.c.id,
    tenant_keys.c.label,
    tenant_keys.c.created_at,
    tenant_keys.c.revoked_at,
    tenant_keys.c.scopes,
    tenant_keys.c.expires_at,
    tenant_keys.c.last_used_at,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TenantKey:
    """An API key, without the key."""

    id: str
    label: str
    created_at: datetime
    revoked_at: datetime | None
    scopes: tuple[str, ...] = (ADMIN,)
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose a good key is, and what it opens."""

    tenant_id: str
    key_id: str
    label: str
    scopes: tuple[str, ...]


class TenantDirectory:
    """Who the tenants are, and whose a key or a number is.

    What selects a tenant for a call or a request (`tenant_of_key`, `tenant_by_…`,
    `tenants_of_contact`, `tenant_names`) never answers with a suspended one.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create_tenant(
        self,
        name: str,
        timezone: str = DEFAULT_TIMEZONE,
        locale: str = DEFAULT_LOCALE,
        sector: str = "generaliste",
        id: str | None = None,
    ) -> Tenant:
        """Create one, with a random code that no other has. `id` None: a random one.

        Raises Invalid (name, timezone, id), Conflict when the id is taken.
        """
        _check_tenant(name, timezone, id)
        tenant_id = id or new_id()
        async with self._database.write() as connection:
            code = await self._insert_tenant(
                connection,
                {
                    "id": tenant_id,
                    "name": name.strip(),
                    "timezone": timezone,
                    "locale": locale,
                    "sector": sector,
                    "created_at": self._clock.now(),
                    "updated_at": self._clock.now(),
                },
            )
        return Tenant(tenant_id, name.strip(), code, timezone, locale, sector)

    async def _insert_tenant(self, connection: AsyncConnection, values: dict[str, Any]) -> str:
        """The code it got. Another process may take a free code first: then again."""
        while True:
            taken = set((await connection.execute(sa.select(tenants.c.code))).scalars())
            free = list(CODES - taken)
            if not free:
                raise OperatorError(
                    f"all {len(CODES)} tenant codes are taken. Run a second deployment."
                )
            code = secrets.choice(free)
            if await insert_unless_taken(connection, tenants, {**values, "code": code}):
                return code
            same_id = sa.select(tenants.c.id).where(tenants.c.id == values["id"])
            if (await connection.execute(same_id)).first() is not None:
                raise Conflict("a tenant with this id exists already", field="id")

    async def get_tenant(self, tenant_id: str) -> Tenant | None:
        """Any tenant, suspended ones too."""
        return await self._tenant(tenants.c.id == tenant_id)

    async def list_tenants(self) -> list[Tenant]:
        """All, suspended ones too, by name."""
        return await self._tenants()

    async def set_tenant_status(self, tenant_id: str, status: str) -> None:
        """`active` or `suspended`. Raises Invalid, NotFound."""
        if status not in ("active", "suspended"):
            raise Invalid("must be active or suspended", field="status")
        async with self._database.write() as connection:
            changed = await connection.execute(
                sa.update(tenants)
                .where(tenants.c.id == tenant_id)
                .values(status=status, updated_at=self._clock.now())
            )
            if not changed.rowcount:
                raise NotFound("no such tenant")
            await wake(jobs_on(connection, self._clock, tenant_id), tenant_id)

    # ------------------------------------------------------------------------------ keys

    async def create_key(
        self, tenant_id: str, label: str = "", scopes: Sequence[str] = (ADMIN,)
    ) -> str:
        """A new API key: shown now and never again, for only its hash is kept. NotFound."""
        key = new_key()
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    sa.insert(tenant_keys).values(
                        id=new_id(),
                        tenant_id=tenant_id,
                        key_hash=key_hash(key),
                        label=label,
                        scopes=list(scopes),
                        created_at=self._clock.now(),
                    )
                )
        except IntegrityError as error:
            raise NotFound("no such tenant") from error
        return key

    async def list_keys(self, tenant_id: str) -> list[TenantKey]:
        """A tenant's keys, revoked ones too, oldest first."""
        statement = (
            sa.select(*KEY_COLUMNS)
            .where(tenant_keys.c.tenant_id == tenant_id)
            .order_by(tenant_keys.c.created_at, tenant_keys.c.id)
        )
        async with self._database.read() as connection:
            return [described_key(row) for row in await connection.execute(statement)]

    async def revoke_key(self, tenant_id: str, key_id: str) -> bool:
        """From now on the key opens nothing. False when it was no valid key of this tenant."""
        async with self._database.write() as connection:
            revoked = await connection.execute(
                sa.update(tenant_keys)
                .where(
                    tenant_keys.c.id == key_id,
                    tenant_keys.c.tenant_id == tenant_id,
                    tenant_keys.c.revoked_at.is_(None),
                )
                .values(revoked_at=self._clock.now())
            )
            return revoked.rowcount > 0

    async def holder_of_key(self, key: str) -> KeyHolder | None:
        """Whose key this is, and what it opens; None if it is nobody's, revoked, over, or its
        tenant suspended. Notes that it was used, a few times an hour at most."""
        if not key.startswith(KEY_PREFIX):
            return None
        now = self._clock.now()
        it = tenant_keys.c
        statement = (
            sa.select(tenants.c.id, it.id, it.label, it.scopes, it.last_used_at)
            .join(tenant_keys, it.tenant_id == tenants.c.id)
            .where(
                it.key_hash == key_hash(key),
                it.revoked_at.is_(None),
                sa.or_(it.expires_at.is_(None), it.expires_at > now),
                tenants.c.status == "active",
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        tenant_id, key_id, label, scopes, used = row
        if used is None or now - used >= USED_NOTED_EVERY:
            await self._note_use(key_id, now)
        return KeyHolder(tenant_id, key_id, label, tuple(scopes))

    async def _note_use(self, key_id: str, now: datetime) -> None:
        """A database that can be read but not written must not refuse good keys."""
        used = tenant_keys.c.last_used_at
        statement = (
            sa.update(tenant_keys)
            .where(
                tenant_keys.c.id == key_id, sa.or_(used.is_(None), used <= now - USED_NOTED_EVERY)
            )
            .values(last_used_at=now)
        )
        try:
            async with self._database.single() as connection:
                await connection.execute(statement)
        except OperatorError as error:
            log.warning("key.use_not_noted", reason=str(error))

    async def tenant_of_key(self, key: str) -> str | None:
        """The id of the tenant whose key this is; None as `holder_of_key`."""
        holder = await self.holder_of_key(key)
        return None if holder is None else holder.tenant_id

    # --------------------------------------------------------------------------- numbers

    async def add_number(self, tenant_id: str, e164: str) -> None:
        """A number of ours that rings for this tenant alone. Adding it twice is the same as once.

        Raises Conflict when it rings for another tenant, NotFound.
        """
        row = {"number": e164, "tenant_id": tenant_id, "created_at": self._clock.now()}
        try:
            async with self._database.write() as connection:
                await insert_unless_taken(connection, tenant_numbers, row)
                owner = sa.select(tenant_numbers.c.tenant_id).where(tenant_numbers.c.number == e164)
                if (await connection.execute(owner)).scalar_one() != tenant_id:
                    raise Conflict("this number rings for another tenant", field="number")
        except IntegrityError as error:
            raise NotFound("no such tenant") from error

    async def numbers(self, tenant_id: str) -> list[str]:
        """A tenant's dedicated numbers."""
        statement = sa.select(tenant_numbers.c.number).where(
            tenant_numbers.c.tenant_id == tenant_id
        )
        async with self._database.read() as connection:
            return list((await connection.execute(statement.order_by("number"))).scalars())

    async def lines(self, tenant_id: str) -> list[str]:
        """The lines of a tenant that forward to us."""
        statement = sa.select(tenant_lines.c.number).where(tenant_lines.c.tenant_id == tenant_id)
        async with self._database.read() as connection:
            return list((await connection.execute(statement.order_by("number"))).scalars())

    async def our_numbers(self) -> set[str]:
        """All dedicated numbers, of all tenants."""
        async with self._database.read() as connection:
            return set((await connection.execute(sa.select(tenant_numbers.c.number))).scalars())

    async def is_line(self, e164: str) -> bool:
        """Does a tenant's line with this number forward to us?"""
        return await self._exists(tenant_lines.c.number == e164)

    async def is_transfer_number(self, e164: str) -> bool:
        """Is it a number to which some tenant has its calls transferred?"""
        return await self._exists(channel_configurations.c.transfer_number == e164)

    # ------------------------------------------------------------------- finding a tenant

    async def tenant_by_number(self, e164: str) -> Tenant | None:
        """The active tenant for which this number of ours rings."""
        owner = sa.select(tenant_numbers.c.tenant_id).where(tenant_numbers.c.number == e164)
        return await self._tenant(tenants.c.id.in_(owner), _active())

    async def tenant_by_line(self, e164: str) -> Tenant | None:
        """The active tenant whose line, with this number, forwards to us; or whose line's
        forwarding has been seen to say this (`domain.lines.shown_as`)."""
        it = tenant_lines.c
        owner = (
            sa.select(it.tenant_id)
            .where(sa.or_(it.number == e164, it.forwarded_as == e164))
            # The number itself goes before what a carrier shows for another one.
            .order_by(sa.case((it.number == e164, 0), else_=1))
            .limit(1)
        )
        return await self._tenant(tenants.c.id.in_(owner), _active())

    async def tenant_named(self, name: str) -> Tenant | None:
        """The only active tenant of this very name, but for case and spaces around it."""
        wanted = " ".join(name.split()).lower()
        if not wanted:
            return None
        statement = (
            sa.select(*TENANT_COLUMNS)
            .where(sa.func.lower(tenants.c.name) == wanted, _active())
            .limit(2)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return Tenant(**rows[0]) if len(rows) == 1 else None

    async def tenant_by_code(self, code: str) -> Tenant | None:
        """The active tenant with this four-digit code."""
        return await self._tenant(tenants.c.code == code, _active())

    async def tenants_of_contact(self, e164: str, since: datetime) -> list[Tenant]:
        """The active tenants that this number has had to do with since then: it called, left a
        request, or has an appointment made or taking place after `since`."""
        if not e164:
            return []
        seen = (
            sa.select(call_logs.c.tenant_id).where(
                call_logs.c.from_number == e164, call_logs.c.started_at >= since
            ),
            sa.select(rendez_vous.c.tenant_id).where(
                rendez_vous.c.customer_phone == e164, rendez_vous.c.created_at >= since
            ),
            sa.select(rendez_vous.c.tenant_id).where(
                rendez_vous.c.customer_phone == e164, rendez_vous.c.starts_at >= since
            ),
            sa.select(qualified_prospects.c.tenant_id).where(
                qualified_prospects.c.phone == e164, qualified_prospects.c.created_at >= since
            ),
            sa.select(tickets.c.tenant_id).where(
                tickets.c.customer_phone == e164, tickets.c.created_at >= since
            ),
        )
        return await self._tenants(tenants.c.id.in_(sa.union(*seen)), _active())

    async def tenant_names(self) -> list[Tenant]:
        """All active tenants, by name: what a spoken company name is matched against."""
        return await self._tenants(_active())

    async def _tenant(self, *conditions: sa.ColumnElement[bool]) -> Tenant | None:
        statement = sa.select(*TENANT_COLUMNS).where(*conditions)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else Tenant(*row)

    async def _tenants(self, *conditions: sa.ColumnElement[bool]) -> list[Tenant]:
        statement = sa.select(*TENANT_COLUMNS).where(*conditions)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(tenants.c.name, tenants.c.id))
            return [Tenant(*row) for row in rows]

    async def _exists(self, condition: sa.ColumnElement[bool]) -> bool:
        async with self._database.read() as connection:
            statement = sa.select(sa.literal(1)).where(condition).limit(1)
            return (await connection.execute(statement)).first() is not None


def _active() -> sa.ColumnElement[bool]:
    return tenants.c.status == "active"


def new_key() -> str:
    """A key that nobody else has."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def described_key(row: Iterable[Any]) -> TenantKey:
    """A row of KEY_COLUMNS."""
    id, label, created_at, revoked_at, scopes, expires_at, last_used_at = row
    return TenantKey(id, label, created_at, revoked_at, tuple(scopes), expires_at, last_used_at)


def key_hash(key: str) -> str:
    """What is kept of a key: 32 random bytes need no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _check_tenant(name: str, timezone: str, tenant_id: str | None) -> None:
    if not name.strip():
        raise Invalid("must not be empty", field="name")
    if _CONTROL.search(name.strip()):
        raise Invalid("must be one line without control characters", field="name")
    if tenant_id is not None and not _TENANT_ID.fullmatch(tenant_id):
        raise Invalid(
            "must be 1 to 64 letters, digits, '_', '-' or '.', and begin with a letter or digit",
            field="id",
        )
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("must be an IANA zone such as Europe/Paris", field="timezone") from error

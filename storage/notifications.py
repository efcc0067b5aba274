"""What a business is told: a row, a live event, and an alert by the channel of the owner's choice.

All three are written in the transaction of what they tell: an alert that was promised is a text in
the outbox, and one that can't be sent says why.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, Protocol

import sqlalchemy as sa

from domain.errors import CallerError, Invalid
from domain.notifications import KINDS, alerts, code_words, quiet_end, words
from domain.people import email_address
from domain.phone import normalise
from storage.conflicts import unless_taken
from storage.cursors import behind, cursor_of
from storage.schema import ALERT_CHANNELS, notification_settings
from storage.schema import notifications as table
from storage.scope import MAX_PAGE, Scope, new_id
from storage.text_limits import TextLimits

#: How long a code is good, and how many wrong ones use it up: six digits, one in 200,000.
CODE_PERIOD: Final = timedelta(minutes=30)
CODE_TRIES: Final = 5
#: Of a day and tenant: whoever changes the address often has somebody else's telephone ring.
CODES_PER_DAY: Final = 10
#: Alerts of a day and tenant, and as many that are urgent: strangers' messages cause them, and the
#: operator pays for them. Nobody reads more; the rows are there all the same.
ALERTS_PER_DAY: Final = 100
#: An alert that couldn't be sent within a day tells nothing new.
ALERT_PERIOD: Final = timedelta(days=1)

_COLUMNS = (
    table.c.id,
    table.c.kind,
    table.c.subject_id,
    table.c.title,
    table.c.message,
    table.c.alert_id,
    table.c.alert_reason,
    table.c.read_at,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class Notification:
    """As stored. `alert_id` is the text that told the owner; without one, `alert_reason` says why:
    "off", "not_chosen", "unverified", "unavailable", "too_many"."""

    id: str
    kind: str
    subject_id: str | None
    title: str
    message: str
    alert_id: str | None
    alert_reason: str | None
    read_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """How the owner wants to be told. `kinds` None: what needs a human. Quiet hours are on the
    tenant's clock; what is urgent comes all the same."""

    channel: str = "none"
    address: str | None = None
    verified_at: datetime | None = None
    kinds: tuple[str, ...] | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None


class Alerting(Protocol):
    """Who sends texts (`storage.outbox`): puts one in this transaction and gives its id."""

    async def alert(
        self,
        channel: str,
        address: str,
        subject: str,
        body: str,
        *,
        dedupe_key: str,
        not_before: datetime | None,
        expires_at: datetime,
    ) -> str: ...


class Notifications:
    """A tenant's notifications."""

    def __init__(self, scope: Scope, alerting: Alerting | None = None) -> None:
        self._scope = scope
        self._alerting = alerting

    async def tell(
        self,
        kind: str,
        *,
        subject_id: str | None,
        values: Mapping[str, str],
        key: str | None = None,
    ) -> Notification:
        """Tell the business, in this transaction. `values` are what `domain.notifications` knows:
        who, phone, when, subject, reason, channel, score. With `key`, once for that key: the
        earlier notification is returned, and nobody is told again. Invalid for an unknown kind."""
        if kind not in KINDS:
            raise Invalid("no such kind of notification", field="kind")
        tenant = await self._scope.tenant()
        title, message = words(kind, tenant.locale, values)
        now, told = self._scope.now(), new_id()
        row = {
            "id": told,
            "tenant_id": self._scope.tenant_id,
            "kind": kind,
            "subject_id": subject_id,
            "title": title,
            "message": message,
            "dedupe_key": key,
            "created_at": now,
        }
        statement = unless_taken(self._scope.connection, table, table.c.id)
        if (await self._scope.connection.execute(statement, row)).first() is None:
            return await self._earlier(key)
        alert_id, reason = await self._alert(kind, told, title, message, tenant.timezone)
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == told)
            .values(alert_id=alert_id, alert_reason=reason)
        )
        self._scope.publish(
            "notification", told, {"kind": kind, "title": title, "subject_id": subject_id}
        )
        return Notification(told, kind, subject_id, title, message, alert_id, reason, None, now)

    async def _earlier(self, key: str | None) -> Notification:
        row = await self._scope.first(
            self._scope.select(table, *_COLUMNS).where(table.c.dedupe_key == key)
        )
        assert row is not None, "it is the only unique key that an insert can violate"
        return Notification(**row)

    async def _alert(
        self, kind: str, notification_id: str, title: str, message: str, timezone: str
    ) -> tuple[str | None, str | None]:
        """The id of the text, or why there is none."""
        settings = await self.settings()
        if not alerts(kind, settings.kinds):
            return None, "not_chosen"
        if settings.channel == "none" or settings.address is None:
            return None, "off"
        if settings.verified_at is None:
            return None, "unverified"
        if self._alerting is None:
            return None, "unavailable"
        bucket = "alerts.urgent" if KINDS[kind].urgent else "alerts"
        if not await TextLimits(self._scope).count(bucket, ALERTS_PER_DAY):
            return None, "too_many"
        now = self._scope.now()
        later = quiet_end(kind, now, timezone, settings.quiet_from, settings.quiet_until)
        text_id = await self._alerting.alert(
            settings.channel,
            settings.address,
            title,
            message,
            dedupe_key=f"notification:{notification_id}",
            not_before=later,
            expires_at=(later or now) + ALERT_PERIOD,
        )
        return text_id, None

    # -------------------------------------------------------------------------- reading

    async def list(
        self,
        *,
        unread: bool = False,
        limit: int = 50,
        offset: int = 0,
        kind: str | None = None,
        cursor: str | None = None,
    ) -> tuple[list[Notification], int]:
        """The latest first, behind `cursor` if there is one; and how many are unread in all."""
        statement = self._scope.select(table, *_COLUMNS)
        if unread:
            statement = statement.where(table.c.read_at.is_(None))
        if kind is not None:
            statement = statement.where(table.c.kind == kind)
        if cursor:
            statement = statement.where(behind(cursor, table.c.created_at, table.c.id))
        order = (table.c.created_at.desc(), table.c.id)
        if not 1 <= limit <= MAX_PAGE or offset < 0:
            raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
        rows = await self._scope.all(statement.order_by(*order).limit(limit).offset(offset))
        count = self._scope.select(table, sa.func.count()).where(table.c.read_at.is_(None))
        unread_count = (await self._scope.connection.execute(count)).scalar_one()
        return [Notification(**row) for row in rows], unread_count

    @staticmethod
    def cursor(last: Notification) -> str:
        """Where the list goes on behind this one."""
        return cursor_of(last.created_at, last.id)

    async def get(self, notification_id: str) -> Notification | None:
        """One of the tenant's, or None."""
        row = await self._scope.first(
            self._scope.select(table, *_COLUMNS).where(table.c.id == notification_id)
        )
        return None if row is None else Notification(**row)

    async def read(self, notification_id: str | None = None) -> int:
        """Mark one as read, or all; how many were unread."""
        statement = (
            self._scope.update(table)
            .where(table.c.read_at.is_(None))
            .values(read_at=self._scope.now())
        )
        if notification_id is not None:
            statement = statement.where(table.c.id == notification_id)
        return (await self._scope.connection.execute(statement)).rowcount

    # ------------------------------------------------------------------------- settings

    async def settings(self) -> AlertSettings:
        """How the owner wants to be told; not at all, as long as nobody has said anything."""
        it = notification_settings.c
        row = await self._scope.first(
            self._scope.select(
                notification_settings,
                it.channel,
                it.address,
                it.verified_at,
                it.kinds,
                it.quiet_from,
                it.quiet_until,
            )
        )
        if row is None:
            return AlertSettings()
        kinds = None if row["kinds"] is None else tuple(row["kinds"])
        return AlertSettings(**{**row, "kinds": kinds})

    async def configure(
        self,
        channel: str,
        address: str | None,
        *,
        kinds: Collection[str] | None = None,
        quiet_from: time | None = None,
        quiet_until: time | None = None,
    ) -> AlertSettings:
        """Keep them. A new address must answer first: a code is on its way to it (`verify`).
        Invalid when an address isn't one of its channel, or a kind unknown."""
        wanted = _address(channel, address)
        unknown = sorted(set(kinds or ()) - KINDS.keys())
        if unknown:
            raise Invalid("no such kind of notification", field="kinds")
        if (quiet_from is None) != (quiet_until is None):
            raise Invalid("give both ends of the quiet hours, or none", field="quiet_from")
        before = await self.settings()
        kept = (channel, wanted) == (before.channel, before.address)
        values: dict[str, Any] = {
            "channel": channel,
            "address": wanted,
            "verified_at": before.verified_at if kept else None,
            "kinds": None if kinds is None else sorted(set(kinds)),
            "quiet_from": quiet_from,
            "quiet_until": quiet_until,
            "updated_at": self._scope.now(),
        }
        await self._keep(values)
        if wanted is not None and values["verified_at"] is None:
            await self.send_code()
        return await self.settings()

    async def _keep(self, values: Mapping[str, Any]) -> None:
        row = {"tenant_id": self._scope.tenant_id, **values}
        statement = unless_taken(
            self._scope.connection, notification_settings, notification_settings.c.tenant_id
        )
        if (await self._scope.connection.execute(statement, row)).first() is None:
            await self._scope.connection.execute(
                self._scope.update(notification_settings).values(**values)
            )

    async def send_code(self) -> bool:
        """Send a new code to the address; False when nothing can be sent, or needs to be.
        CallerError after too many."""
        settings = await self.settings()
        if self._alerting is None or settings.address is None or settings.verified_at is not None:
            return False
        if not await TextLimits(self._scope).count("codes", CODES_PER_DAY):
            raise CallerError(
                f"no more than {CODES_PER_DAY} codes a day", status=429, message_key="text_too_many"
            )
        code = f"{secrets.randbelow(10**6):06d}"
        now = self._scope.now()
        tenant = await self._scope.tenant()
        await self._scope.connection.execute(
            self._scope.update(notification_settings).values(
                code_hash=self._hash(code), code_until=now + CODE_PERIOD, code_tries=0
            )
        )
        await self._alerting.alert(
            settings.channel,
            settings.address,
            tenant.name,
            code_words(code, tenant.locale),
            dedupe_key=f"alert_code:{new_id()}",
            not_before=None,
            expires_at=now + CODE_PERIOD,
        )
        return True

    async def verify(self, code: str) -> bool:
        """Whether this is the code that was sent; if so, alerts go to the address from now on."""
        it = notification_settings.c
        row = await self._scope.first(
            self._scope.select(
                notification_settings, it.code_hash, it.code_until, it.code_tries
            ).with_for_update()
        )
        if row is None or row["code_hash"] is None or row["code_tries"] >= CODE_TRIES:
            return False
        now = self._scope.now()
        right = now <= row["code_until"] and hmac.compare_digest(
            row["code_hash"], self._hash(code.strip())
        )
        values = {"code_tries": row["code_tries"] + 1}
        if right:
            values = {"verified_at": now, "code_hash": None}
        await self._scope.connection.execute(
            self._scope.update(notification_settings).values(**values)
        )
        return right

    def _hash(self, code: str) -> str:
        """Short-lived and counted: a plain hash is enough to keep it out of the table."""
        return hashlib.sha256(f"{self._scope.tenant_id}:{code}".encode()).hexdigest()


def _address(channel: str, address: str | None) -> str | None:
    if channel not in ALERT_CHANNELS:
        raise Invalid(f"must be one of {', '.join(ALERT_CHANNELS)}", field="channel")
    if channel == "none":
        return None
    found = email_address(address) if channel == "email" else normalise(address)
    if found is None:
        raise Invalid("is not an address of this channel", field="address")
    return found

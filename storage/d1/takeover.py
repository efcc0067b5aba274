"""Putting an export's rows among ours: batch by batch, so that it can be interrupted and run again.

Each batch is one transaction. What is there already (by id) is left as it is; what can't be kept
is said with its reason. A dry run does the same and stores nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import secret_fields
from domain.agent import normalise_sector
from domain.clock import Clock
from domain.errors import CallerError, OperatorError
from domain.phone import DEFAULT_REGION
from domain.tenant import DEFAULT_TIMEZONE
from storage.appointments import cells_of
from storage.channels import Channels
from storage.conflicts import insert_unless_taken
from storage.d1.export import Export
from storage.d1.readers import READERS
from storage.d1.report import Report, TableReport, shown_id
from storage.d1.rules import Reading, Refused
from storage.database import Database
from storage.schema import (
    call_logs,
    channel_configurations,
    metadata,
    rendez_vous_cells,
    tenant_lines,
)
from storage.scope import Scope
from storage.secrets import KeyRing
from storage.tenants import TenantDirectory

#: How often a batch is tried whose rows collide with what the running service stores meanwhile.
ATTEMPTS = 3
#: The first one booked is kept, where two overlap.
_ORDER = {"rendez_vous": ("created_at", "id"), "call_logs": ("started_at", "id")}
#: What databases take as parameters of one statement, with room to spare.
_IN = 400

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the export: `id` as the report shows it, its values read, what is to be said."""

    shown: str
    values: Values
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    """What this run has kept: a dry run finds it nowhere else."""

    ids: set[str] = field(default_factory=set)
    sids: set[str] = field(default_factory=set)
    cells: set[tuple[str, int]] = field(default_factory=set)
    channels: set[tuple[str, str]] = field(default_factory=set)
    lines: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """What becomes of the rows of one batch, until its transaction is committed."""

    kept: list[_Row] = field(default_factory=list)
    there: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    cells: list[Values] = field(default_factory=list)


class Takeover:
    """One import. `own_numbers` are the deployment's: no tenant's line."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        keyring: KeyRing | None = None,
        *,
        region: str = DEFAULT_REGION,
        own_numbers: frozenset[str] = frozenset(),
        dry_run: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring
        self._region = region
        self._own_numbers = own_numbers
        self._seen = _Seen()
        self._zones: dict[str, str] = {}
        self.report = Report(dry_run=dry_run)

    async def run(self, export: Export, *, create_tenants: bool = False) -> Report:
        """Read all six tables; the report. Raises OperatorError when the export can't be read or
        the database fails: what is committed by then is "already there" next time."""
        directory = TenantDirectory(self._database, self._clock)
        self._zones = {each.id: each.timezone for each in await directory.list_tenants()}
        if create_tenants:
            await self._create_tenants(export, directory)
        for table, read in READERS.items():
            report = self.report.tables[table] = TableReport(missing=not export.has(table))
            if report.missing:
                continue
            known = metadata.tables[table].c
            report.unknown_columns = [
                each if each.isidentifier() else "?"
                for each in await asyncio.to_thread(export.columns, table)
                if each not in known
            ]
            self._seen.ids.clear()
            batches = export.batches(table, _ORDER.get(table, ()))
            place = 0
            while (raw := await asyncio.to_thread(next, batches, None)) is not None:
                rows = [
                    self._read(each, place + at, read, report) for at, each in enumerate(raw, 1)
                ]
                place += len(raw)
                await self._keep(table, [row for row in rows if row is not None], report)
        return self.report

    # --------------------------------------------------------------------------- tenants

    async def _create_tenants(self, export: Export, directory: TenantDirectory) -> None:
        report = self.report.tables["tenants"] = TableReport(missing=not export.has("tenants"))
        if report.missing:
            return
        place = 0
        for batch in await asyncio.to_thread(lambda: list(export.batches("tenants"))):
            for raw in batch:
                place += 1
                await self._create_tenant(Reading(raw), shown_id(raw.get("id"), place), directory)

    async def _create_tenant(self, row: Reading, shown: str, directory: TenantDirectory) -> None:
        report = self.report.tables["tenants"]
        try:
            tenant_id = row.key("id")
            if tenant_id in self._zones:
                report.already_there += 1
                return
            name = row.text("company_name") or row.words("name")
            zone = row.text("timezone", DEFAULT_TIMEZONE) or DEFAULT_TIMEZONE
            sector = normalise_sector(row.text("sector") or "")
            if not self.report.dry_run:
                await directory.create_tenant(name, zone, sector=sector, id=tenant_id)
        except (Refused, CallerError) as error:
            report.refuse(shown, str(error))
            return
        self._zones[tenant_id] = zone
        report.kept += 1

    # ------------------------------------------------------------------------------ rows

    def _read(self, raw: Mapping[str, Any], place: int, read: Any, report: TableReport) -> Any:
        shown = shown_id(raw.get("id"), place)
        row = Reading(raw)
        try:
            row_id, tenant_id = row.key("id"), row.key("tenant_id")
            zone = self._zones.get(tenant_id)
            if zone is None:
                raise Refused(
                    "its tenant isn't here: create it with --create-tenants, or with "
                    "POST /api/tenants and this id"
                )
            values = read(row, zone, self._region)
        except Refused as error:
            report.refuse(shown, str(error))
            return None
        return _Row(shown, {"id": row_id, "tenant_id": tenant_id, **values}, tuple(row.notes))

    async def _keep(self, table: str, rows: Sequence[_Row], report: TableReport) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                batch = await self._try(table, rows)
                break
            except IntegrityError as error:
                if attempt == ATTEMPTS:
                    raise OperatorError(
                        f"{table}: the running service keeps changing what is imported. Run the "
                        "import again; what was kept stays."
                    ) from error
        else:
            return
        report.kept += len(batch.kept)
        report.already_there += batch.there
        for shown, reason in batch.refused:
            report.refuse(shown, reason)
        for row in batch.kept:
            for note in row.notes:
                report.note(row.shown, note)
        for shown, note in batch.notes:
            report.note(shown, note)
        self._remember(table, batch)

    async def _try(self, table: str, rows: Sequence[_Row]) -> _Batch:
        if self.report.dry_run:
            async with self._database.read() as connection:
                return await self._sorted(connection, table, rows)
        async with self._database.write() as connection:
            batch = await self._sorted(connection, table, rows)
            await self._store(connection, table, batch)
            return batch

    def _remember(self, table: str, batch: _Batch) -> None:
        self._seen.ids.update(row.values["id"] for row in batch.kept)
        self._seen.cells.update((cell["tenant_id"], cell["cell"]) for cell in batch.cells)
        for row in batch.kept:
            if table == call_logs.name:
                self._seen.sids.add(row.values["call_sid"])
            if table == channel_configurations.name:
                tenant_id = row.values["tenant_id"]
                self._seen.channels.add((tenant_id, row.values["channel_type"]))
                if row.values["line"]:
                    self._seen.lines[row.values["line"]] = tenant_id

    # --------------------------------------------------------- kept, already there, refused

    async def _sorted(
        self, connection: AsyncConnection, table: str, rows: Sequence[_Row]
    ) -> _Batch:
        batch = _Batch()
        owners = await self._owners(connection, table, [row.values["id"] for row in rows])
        new: list[_Row] = []
        here: set[str] = set()
        for row in rows:
            owner = owners.get(row.values["id"])
            if row.values["id"] in here or row.values["id"] in self._seen.ids:
                batch.refused.append((row.shown, "the export has this id twice"))
            elif owner is None and row.values["id"] not in owners:
                new.append(row)
            elif owner == row.values["tenant_id"]:
                batch.there += 1
            else:
                batch.refused.append((row.shown, "this id belongs to another tenant's row here"))
            here.add(row.values["id"])
        refine = {
            call_logs.name: self._calls,
            "rendez_vous": self._appointments,
            channel_configurations.name: self._channels,
        }.get(table)
        if refine is None:
            batch.kept = new
        else:
            await refine(connection, new, batch)
        return batch

    async def _owners(
        self, connection: AsyncConnection, table: str, ids: Sequence[str]
    ) -> dict[str, str | None]:
        columns = metadata.tables[table].c
        found: dict[str, str | None] = {}
        for at in range(0, len(ids), _IN):
            statement = sa.select(columns.id, columns.tenant_id)
            rows = await connection.execute(statement.where(columns.id.in_(ids[at : at + _IN])))
            found.update({row.id: row.tenant_id for row in rows})
        return found

    async def _calls(self, connection: AsyncConnection, new: list[_Row], batch: _Batch) -> None:
        sids = [row.values["call_sid"] for row in new]
        taken: set[str] = set()
        for at in range(0, len(sids), _IN):
            some = call_logs.c.call_sid.in_(sids[at : at + _IN])
            rows = await connection.execute(sa.select(call_logs.c.call_sid).where(some))
            taken.update(rows.scalars())
        for row in new:
            if row.values["call_sid"] in taken or row.values["call_sid"] in self._seen.sids:
                batch.refused.append((row.shown, "another call has this call_sid"))
            else:
                batch.kept.append(row)
                taken.add(row.values["call_sid"])

    async def _appointments(
        self, connection: AsyncConnection, new: list[_Row], batch: _Batch
    ) -> None:
        """Those that lie ahead take their time; of two that overlap the first is kept."""
        now = self._clock.now()
        taken: set[tuple[str, int]] = set()
        wanted = {row.shown: _cells(row.values, now) for row in new}
        numbers = sorted({cell for cells in wanted.values() for cell in cells})
        table = rendez_vous_cells.c
        for at in range(0, len(numbers), _IN):
            some = table.cell.in_(numbers[at : at + _IN]), table.resource == ""
            rows = await connection.execute(sa.select(table.tenant_id, table.cell).where(*some))
            taken.update((row.tenant_id, row.cell) for row in rows)
        for row in new:
            mine = {(row.values["tenant_id"], cell) for cell in wanted[row.shown]}
            if mine & taken or mine & self._seen.cells:
                batch.refused.append((row.shown, "overlaps an appointment that is kept"))
                continue
            taken |= mine
            batch.kept.append(row)
            batch.cells += [
                {
                    "tenant_id": tenant,
                    "resource": "",
                    "cell": cell,
                    "rendez_vous_id": row.values["id"],
                }
                for tenant, cell in sorted(mine)
            ]

    async def _channels(self, connection: AsyncConnection, new: list[_Row], batch: _Batch) -> None:
        columns = channel_configurations.c
        saved = await connection.execute(sa.select(columns.tenant_id, columns.channel_type))
        configured = {(row.tenant_id, row.channel_type) for row in saved} | self._seen.channels
        owned = await connection.execute(sa.select(tenant_lines.c.number, tenant_lines.c.tenant_id))
        lines = {**self._seen.lines, **{row.number: row.tenant_id for row in owned}}
        for row in new:
            key = (row.values["tenant_id"], row.values["channel_type"])
            if key in configured:
                batch.refused.append((row.shown, "this channel is configured here already"))
                continue
            try:
                values, notes = self._split(row, lines)
            except (Refused, CallerError) as error:
                batch.refused.append((row.shown, str(error)))
                continue
            configured.add(key)
            if values["line"]:
                lines[values["line"]] = values["tenant_id"]
            batch.kept.append(replace(row, values=values, notes=(*row.notes, *notes)))

    def _split(self, row: _Row, lines: Mapping[str, str]) -> tuple[Values, list[str]]:
        notes: list[str] = []
        public, secrets = secret_fields.split(row.values["config"])
        secrets = {name: each for name, each in secrets.items() if not secret_fields.keeps(each)}
        if secrets and self._keyring is None:
            raise Refused(
                "it holds credentials in the clear, and no key is set to seal them: set "
                "ENCRYPTION_KEYS and run the import again"
            )
        if secrets:
            notes.append("credentials stood in the clear; they are sealed now, change them")
        values = {**row.values, "config": public, "secrets": secrets}
        line = values["line"]
        if line is not None and lines.get(line, values["tenant_id"]) != values["tenant_id"]:
            notes.append("clientPhoneNumber is another tenant's line: kept, but nothing is routed")
            values["line"] = None
        elif line in self._own_numbers:
            notes.append("clientPhoneNumber is a number of this server: nothing is routed by it")
            values["line"] = None
        if values["transfer_number"] in {*self._own_numbers, *lines, line} - {None}:
            notes.append("transferNumber would bring the call back here: not used")
            values["transfer_number"] = None
        return values, notes

    # ----------------------------------------------------------------------------- storing

    async def _store(self, connection: AsyncConnection, table: str, batch: _Batch) -> None:
        if not batch.kept:
            return
        if table == channel_configurations.name:
            for row in batch.kept:
                await self._store_channel(connection, row.values)
            return
        values = [row.values for row in batch.kept]
        await connection.execute(sa.insert(metadata.tables[table]), values)
        if batch.cells:
            await connection.execute(sa.insert(rendez_vous_cells), batch.cells)

    async def _store_channel(self, connection: AsyncConnection, values: Values) -> None:
        stored = {
            column: values[column] for column in values.keys() & channel_configurations.c.keys()
        }
        await connection.execute(
            sa.insert(channel_configurations).values(**stored, config_public=values["config"])
        )
        scope = Scope(connection, values["tenant_id"], self._clock, self._keyring)
        if values["secrets"]:
            await Channels(scope).save_secrets(values["channel_type"], values["secrets"])
        if values["line"]:
            line = {"number": values["line"], "tenant_id": values["tenant_id"]}
            await insert_unless_taken(
                connection, tenant_lines, {**line, "created_at": self._clock.now()}
            )


def _cells(values: Values, now: datetime) -> range:
    """What an appointment takes: only one that is confirmed and not over yet."""
    if values["status"] != "confirmed" or values["ends_at"] <= now:
        return range(0)
    return cells_of(values["starts_at"], values["ends_at"])

"""A tenant's own words for texts: versions of templates, ours where it has none."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.errors import Conflict, Invalid, NotFound
from domain.text_defaults import KEYS, LANGUAGES, TEXT_CHANNELS, default
from domain.text_templates import Template, checked
from storage.conflicts import insert_unless_taken
from storage.schema import message_templates as table
from storage.scope import Scope


@dataclass(frozen=True, slots=True)
class Kept:
    """A template and since when; `own` False: ours."""

    template: Template
    own: bool = False
    created_at: datetime | None = None
    created_by: str | None = None


class Templates:
    """A tenant's templates."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, channel: str, key: str, language: str) -> Kept:
        """The one that counts now; of a language that we don't have, the French one. NotFound for
        an unknown channel or key."""
        _check(channel, key)
        language = language if language in LANGUAGES else "fr"
        row = await self._scope.first(
            self._versions(channel, key, language).order_by(table.c.version.desc()).limit(1)
        )
        return _kept(row) if row is not None else Kept(default(channel, key, language))

    async def current(self) -> list[Kept]:
        """All that count now, of every channel, key and language."""
        latest = (
            self._scope.select(
                table,
                table.c.channel_type,
                table.c.template_key,
                table.c.language,
                sa.func.max(table.c.version).label("version"),
            )
            .group_by(table.c.channel_type, table.c.template_key, table.c.language)
            .subquery()
        )
        rows = await self._scope.all(
            self._scope.select(table).join(
                latest,
                sa.and_(
                    *(
                        table.c[name] == latest.c[name]
                        for name in ("channel_type", "template_key", "language", "version")
                    )
                ),
            )
        )
        own = {(r["channel_type"], r["template_key"], r["language"]): _kept(r) for r in rows}
        return [
            own.get((channel, key, language)) or Kept(default(channel, key, language))
            for channel in TEXT_CHANNELS
            for key in KEYS
            for language in LANGUAGES
        ]

    async def versions(self, channel: str, key: str, language: str) -> list[Kept]:
        """All that the tenant ever kept, the latest first."""
        _check(channel, key)
        rows = await self._scope.all(
            self._versions(channel, key, language).order_by(table.c.version.desc()).limit(100)
        )
        return [_kept(row) for row in rows]

    async def save(
        self, template: Template, *, by: str | None = None, after: int | None = None
    ) -> Kept:
        """Keep a new version. `after`: the version that was changed; Conflict when another one has
        come since. Invalid when it can't be used (domain/text_templates.py)."""
        _check(template.channel, template.key)
        if template.language not in LANGUAGES:
            raise Invalid(f"must be one of {', '.join(LANGUAGES)}", field="language")
        return await self._add(checked(template), by, after, ours=False)

    async def reset(self, channel: str, key: str, language: str, *, by: str | None = None) -> Kept:
        """Let ours count again."""
        _check(channel, key)
        return await self._add(default(channel, key, language), by, None, ours=True)

    async def _add(
        self, template: Template, by: str | None, after: int | None, *, ours: bool
    ) -> Kept:
        scope = self._scope
        latest = sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0)).where(
            table.c.tenant_id == scope.tenant_id,
            table.c.channel_type == template.channel,
            table.c.template_key == template.key,
            table.c.language == template.language,
        )
        version = int((await scope.connection.execute(latest)).scalar_one())
        if after is not None and after != version:
            raise _changed()
        row: dict[str, Any] = {
            "tenant_id": scope.tenant_id,
            "channel_type": template.channel,
            "template_key": template.key,
            "language": template.language,
            "version": version + 1,
            "subject": None if ours else template.subject,
            "body": None if ours else template.body,
            "vendor": {} if ours else _vendor(template),
            "created_by": by,
            "created_at": scope.now(),
        }
        if not await insert_unless_taken(scope.connection, table, row):
            raise _changed()
        return await self.get(template.channel, template.key, template.language)

    def _versions(self, channel: str, key: str, language: str) -> sa.Select[Any]:
        return self._scope.select(table).where(
            table.c.channel_type == channel,
            table.c.template_key == key,
            table.c.language == language,
        )


def _changed() -> Conflict:
    return Conflict(
        "changed by somebody else in the meantime; load it again",
        field="version",
        message_key="template_changed",
    )


def _check(channel: str, key: str) -> None:
    if channel not in TEXT_CHANNELS or key not in KEYS:
        raise NotFound("no such template", message_key="template_not_found")


def _vendor(template: Template) -> dict[str, Any]:
    if not template.vendor_name:
        return {}
    return {
        "name": template.vendor_name,
        "language": template.vendor_language,
        "parameters": list(template.vendor_parameters),
        "named": template.vendor_named,
    }


def _kept(row: sa.RowMapping) -> Kept:
    channel, key, language = row["channel_type"], row["template_key"], row["language"]
    if row["body"] is None:
        ours = replace(default(channel, key, language), version=row["version"])
        return Kept(ours, False, row["created_at"], row["created_by"])
    vendor = row["vendor"]
    template = Template(
        channel=channel,
        key=key,
        language=language,
        body=row["body"],
        subject=row["subject"] or "",
        version=row["version"],
        vendor_name=vendor.get("name", ""),
        vendor_language=vendor.get("language", ""),
        vendor_parameters=tuple(vendor.get("parameters", ())),
        vendor_named=bool(vendor.get("named")),
    )
    return Kept(template, True, row["created_at"], row["created_by"])

"""How a tenant is reached: its configuration per channel.

What is secret in a configuration never reaches a plain column, whoever saves it: `save` takes it
out and seals it.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain import secret_fields
from domain.errors import Invalid
from storage.assistants import wake
from storage.conflicts import insert_unless_taken
from storage.instructions import Version, add, follow, use
from storage.jobs import jobs_on
from storage.lines import Lines
from storage.schema import CHANNEL_TYPES
from storage.schema import channel_configurations as table
from storage.scope import Scope, new_id

#: What the dashboard's pages start from when a tenant has never configured a channel.
#: real-users.md §1.4: the keys are the pages' own.
DEFAULT_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "phone": {
        "clientPhoneNumber": "",
        "sara": {
            "voice": "female",
            "assistantName": "Sara",
            "agentType": "reception",
            "customInstructions": "",
            "language": "fr-FR",
        },
        "transferConfigured": False,
    },
    "sms": {"templates": {"rdvConfirmation": True, "rdvRappel": True, "promotions": False}},
    "email": {
        "smtp": {
            "host": "",
            "port": 587,
            "secure": True,
            "user": "",
            "fromEmail": "",
            "fromName": "",
        },
        "templates": {
            "rdvConfirmation": True,
            "rdvRappel": True,
            "newsletter": False,
            "promotions": False,
        },
    },
    "whatsapp": {
        "connectionMethod": "",
        "whatsappNumber": "",
        "templates": {
            "rdvConfirmation": True,
            "rdvRappel": True,
            "promotions": False,
            "reponseAuto": True,
        },
    },
}

#: Channels that work without credentials of the tenant's own, and are on until somebody switches
#: them off: a tenant's calls are answered before it has opened its dashboard.
_CONFIGURED_FROM_THE_START = frozenset({"phone"})

_COLUMNS = (
    table.c.channel_type,
    table.c.enabled,
    table.c.configured,
    table.c.config_public,
    table.c.config_encrypted,
    table.c.templates,
    table.c.assistant_id,
    table.c.created_at,
    table.c.updated_at,
)


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a tenant. `created_at` and `updated_at` are None when it was never saved;
    `config` holds nothing secret; `sealed` is what `Channels.opened` opens."""

    type: str
    enabled: bool
    configured: bool
    config: dict[str, Any]
    templates: dict[str, Any]
    assistant_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sealed: str | None = field(default=None, repr=False)

    @property
    def has_secrets(self) -> bool:
        """Whether there is something to open; needs no key."""
        return self.sealed is not None


class Channels:
    """A tenant's four channels."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, channel_type: str) -> Channel:
        """As saved, or as it is before. Invalid for an unknown type."""
        _check_type(channel_type)
        statement = self._scope.select(table, *_COLUMNS)
        row = await self._scope.first(statement.where(table.c.channel_type == channel_type))
        return await self._default(channel_type) if row is None else _channel(row)

    async def list(self) -> list[Channel]:
        """All four, in the order of `CHANNEL_TYPES`."""
        rows = await self._scope.all(self._scope.select(table, *_COLUMNS))
        saved = {row["channel_type"]: _channel(row) for row in rows}
        return [saved.get(each) or await self._default(each) for each in CHANNEL_TYPES]

    async def save(
        self,
        channel_type: str,
        *,
        enabled: bool,
        config: Mapping[str, Any],
        templates: Mapping[str, Any] | None = None,
        configured: bool | None = None,
        line: str | None = None,
        transfer_number: str | None = None,
    ) -> Channel:
        """Replace the public configuration. What is None of `templates` and `configured` stays.
        A password inside `config` (`secret_fields.split`) is kept like one given to
        `save_secrets`, with the same errors.

        For the telephone, `line` and `transfer_number` are `config.clientPhoneNumber` and
        `config.transferNumber` in E.164 (None: there is none). The line is claimed, and the earlier
        one is free; Conflict when it is another tenant's.
        """
        _check_type(channel_type)
        public, secrets = secret_fields.split(config)
        await self._create_if_new(channel_type)
        left_in_plain = await self._left_in_plain(channel_type)
        if secrets or left_in_plain:
            await self.save_secrets(channel_type, {**left_in_plain, **secrets})
        if channel_type == "phone":
            await Lines(self._scope).claim(line)
        await self._wake_assistant(channel_type)
        changes: dict[str, Any] = {
            "enabled": enabled,
            "config_public": public,
            "transfer_number": transfer_number,
            "updated_at": self._scope.now(),
        }
        if templates is not None:
            changes["templates"] = dict(templates)
        if configured is not None:
            changes["configured"] = configured
        before = await self._text_before() if channel_type == "phone" else ""
        statement = self._scope.update(table).where(table.c.channel_type == channel_type)
        await self._scope.connection.execute(statement.values(**changes))
        if channel_type == "phone":
            await follow(self._scope, before, own_instructions(public))
        return await self.get(channel_type)

    async def switch(self, channel_type: str, *, enabled: bool, configured: bool) -> Channel:
        """On or off, and nothing else. Invalid for an unknown type."""
        _check_type(channel_type)
        await self._create_if_new(channel_type)
        await self._wake_assistant(channel_type)
        statement = self._scope.update(table).where(table.c.channel_type == channel_type)
        await self._scope.connection.execute(
            statement.values(enabled=enabled, configured=configured, updated_at=self._scope.now())
        )
        return await self.get(channel_type)

    # --------------------------------------------------------------------- instructions

    async def new_instructions(self, text: str, *, note: str = "", activate: bool) -> Version:
        """One more version of the tenant's own instructions; used from the next call on, or kept
        for later."""
        await self._hold_phone()
        version = await add(self._scope, text, note=note, activate=False)
        if activate:
            await self.instruct(version)
        return replace(version, activated_at=self._scope.now() if activate else None)

    async def instruct(self, version: Version) -> None:
        """From the next call on, this version's text is the tenant's own instructions."""
        config = await self._hold_phone()
        sara = config.get("sara")
        spoken = dict(sara) if isinstance(sara, Mapping) else {}
        for name in INSTRUCTIONS[1:]:  # an older spelling would be read where ours is empty
            spoken.pop(name, None)
        config = {**config, "sara": {**spoken, INSTRUCTIONS[0]: version.text}}
        change = self._scope.update(table).where(table.c.channel_type == "phone")
        await self._scope.connection.execute(
            change.values(config_public=config, updated_at=self._scope.now())
        )
        await use(self._scope, version.id)
        await self._wake_assistant("phone")

    async def _wake_assistant(self, channel_type: str) -> None:
        """What callers are offered is made of these two: an SMS, too."""
        if channel_type in ("phone", "sms"):
            jobs = jobs_on(self._scope.connection, self._scope.clock, self._scope.tenant_id)
            await wake(jobs, self._scope.tenant_id)

    async def _text_before(self) -> str:
        return own_instructions(await self._phone_config())

    async def _hold_phone(self) -> dict[str, Any]:
        """Its configuration; nobody else changes it, nor versions, until this transaction ends.
        What it says before there are versions becomes the first one."""
        await self._create_if_new("phone")
        config = await self._phone_config() or (await self._default("phone")).config
        await follow(self._scope, own_instructions(config), own_instructions(config))
        return config

    async def _phone_config(self) -> dict[str, Any]:
        statement = self._scope.select(table, table.c.config_public)
        held = statement.where(table.c.channel_type == "phone").with_for_update()
        row = await self._scope.first(held)
        return dict(row["config_public"]) if row is not None else {}

    # ------------------------------------------------------------------------- secrets

    async def has_secrets(self, channel_type: str) -> bool:
        """Whether any is kept; needs no key. Invalid for an unknown type."""
        return await self._sealed(channel_type) is not None

    async def secrets(self, channel_type: str) -> dict[str, Any]:
        """What is kept, in the clear, by name (`accessToken`, `smtp.password`); {} when nothing
        is. NoKey without a key ring, Unreadable when it can't be opened; Invalid."""
        return self._open(channel_type, await self._sealed(channel_type))

    def opened(self, channel: Channel) -> dict[str, Any]:
        """The secrets of a channel that was just read here: `secrets` without asking again."""
        return self._open(channel.type, channel.sealed)

    async def save_secrets(self, channel_type: str, secrets: Mapping[str, Any]) -> None:
        """Merge these into what is kept, as part of this transaction: a name that is absent, and a
        value that is empty or masked, keeps; None removes.

        Nothing is stored when it raises: NoKey, Unreadable (what is kept could not be merged),
        Invalid (an unknown type, too many, a value that is no JSON).
        """
        _check_type(channel_type)
        if not any(value is None or not secret_fields.keeps(value) for value in secrets.values()):
            return
        # First the row, so that two who save at once have something to wait for each other at.
        await self._create_if_new(channel_type)
        before = self._open(channel_type, await self._sealed(channel_type, for_update=True))
        after = secret_fields.changed(before, secrets)
        if after == before:
            return
        statement = self._scope.update(table).where(table.c.channel_type == channel_type)
        await self._scope.connection.execute(
            statement.values(
                config_encrypted=self._seal(channel_type, after) if after else None,
                updated_at=self._scope.now(),
            )
        )

    async def _sealed(self, channel_type: str, *, for_update: bool = False) -> str | None:
        _check_type(channel_type)
        statement = self._scope.select(table, table.c.config_encrypted)
        statement = statement.where(table.c.channel_type == channel_type)
        row = await self._scope.first(statement.with_for_update() if for_update else statement)
        return None if row is None else row["config_encrypted"]

    async def _left_in_plain(self, channel_type: str) -> dict[str, Any]:
        """What version 0.2, which knew no secrets, has left in the public column and nobody has
        given anew since."""
        channel = table.c.channel_type == channel_type
        row = await self._scope.first(
            self._scope.select(table, table.c.config_public).where(channel)
        )
        plain = secret_fields.split(row["config_public"]).secrets if row else {}
        if not plain:
            return {}
        sealed = await self.secrets(channel_type)
        return {name: value for name, value in plain.items() if name not in sealed}

    def _seal(self, channel_type: str, secrets: Mapping[str, Any]) -> str:
        try:
            text = json.dumps(secrets, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError):
            raise Invalid("a secret must be a JSON value", field="configSecret") from None
        return self._scope.keys.seal(text.encode("ascii"), self._scope.tenant_id, channel_type)

    def _open(self, channel_type: str, sealed: str | None) -> dict[str, Any]:
        if sealed is None:
            return {}
        plaintext = self._scope.keys.open(sealed, self._scope.tenant_id, channel_type)
        opened: dict[str, Any] = json.loads(plaintext)
        return opened

    async def _default(self, channel_type: str) -> Channel:
        config: dict[str, Any] = copy.deepcopy(dict(DEFAULT_CONFIGS[channel_type]))
        if channel_type == "phone":
            # The agent speaks the tenant's language until somebody says otherwise.
            config["sara"]["language"] = (await self._scope.tenant()).locale
        return Channel(
            type=channel_type,
            enabled=channel_type in _CONFIGURED_FROM_THE_START,
            configured=channel_type in _CONFIGURED_FROM_THE_START,
            config=config,
            templates={},
        )

    async def _create_if_new(self, channel_type: str) -> None:
        now = self._scope.now()
        await insert_unless_taken(
            self._scope.connection,
            table,
            {
                "id": new_id(),
                "tenant_id": self._scope.tenant_id,
                "channel_type": channel_type,
                "enabled": channel_type in _CONFIGURED_FROM_THE_START,
                "configured": channel_type in _CONFIGURED_FROM_THE_START,
                "created_at": now,
                "updated_at": now,
            },
        )


#: How pages spell it (domain/agent.py).
INSTRUCTIONS = ("customInstructions", "custom_instructions")


def own_instructions(config: Mapping[str, Any]) -> str:
    """The tenant's own instructions in a configuration of the telephone, "" without."""
    sara = config.get("sara")
    if not isinstance(sara, Mapping):
        return ""
    found = (sara.get(name) for name in INSTRUCTIONS)
    return next((each for each in found if isinstance(each, str) and each.strip()), "")


def _check_type(channel_type: str) -> None:
    if channel_type not in CHANNEL_TYPES:
        raise Invalid(f"must be one of {', '.join(CHANNEL_TYPES)}", field="type")


def _channel(row: sa.RowMapping) -> Channel:
    return Channel(
        type=row["channel_type"],
        enabled=row["enabled"],
        configured=row["configured"],
        config=secret_fields.split(row["config_public"]).public,
        templates=row["templates"],
        assistant_id=row["assistant_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        sealed=row["config_encrypted"],
    )

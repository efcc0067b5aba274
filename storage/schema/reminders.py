"""Reminders of appointments, and confirmations: what is due, and which text it became."""

import sqlalchemy as sa

from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    one_of,
    partial,
    tenant,
    text,
    updated,
    words,
)

REMINDER_KINDS = ("24h", "1h", "confirmation", "moved", "cancelled")
REMINDER_STATES = ("planned", "sending", "sent", "dropped", "failed")

#: One row per appointment, kind and start: moving an appointment makes new ones. The row is the
#: truth; a job (`reminder.send`) wakes it.
reminders = sa.Table(
    "reminders",
    metadata,
    identifier(),
    tenant(),
    words("appointment_id"),
    words("kind"),
    instant("starts_at", nullable=False),
    instant("due_at", nullable=False),
    sa.Column("only_without_first", sa.Boolean, nullable=False, server_default=sa.false()),
    text("state", "planned"),
    text("reason"),  # why it was dropped or failed: a key of the catalogue
    json("tried", "[]"),  # [channel, id of the text] in order
    created(),
    updated(),
    sa.ForeignKeyConstraint(
        ["tenant_id", "appointment_id"],
        ["rendez_vous.tenant_id", "rendez_vous.id"],
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint("tenant_id", "appointment_id", "kind", "starts_at"),
    partial("reminders_planned", "tenant_id", "due_at", where="state = 'planned'"),
    one_of("kind", REMINDER_KINDS),
    one_of("state", REMINDER_STATES),
)

"""What belongs to appointments besides their rows: who did what with them, and under which keys.

Appointments themselves, and the cells that guard them, are in storage/schema/core.py.
"""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    one_of,
    tenant,
    text,
    updated,
    words,
)

#: What can happen to an appointment.
APPOINTMENT_ACTIONS = (
    "held",
    "booked",
    "moved",
    "cancelled",
    "completed",
    "no_show",
    "reopened",
    "corrected",
    "acknowledged",
)
#: By which door: a call, a text, a link that a customer opened, our API, or ourselves.
APPOINTMENT_ACTORS = ("voice", "text", "link", "rest", "system")


def _of_appointment() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "rendez_vous_id"],
        ["rendez_vous.tenant_id", "rendez_vous.id"],
        ondelete="CASCADE",
    )


#: One row per change, numbered from 1 within its appointment.
rendez_vous_history = sa.Table(
    "rendez_vous_history",
    metadata,
    identifier(),
    tenant(),
    words("rendez_vous_id"),
    sa.Column("position", sa.Integer, nullable=False),
    instant("at", nullable=False),
    words("action"),
    text("actor", "system"),
    text("call_id"),
    text("reason"),
    instant("from_start"),
    text("from_resource"),
    instant("to_start"),
    text("to_resource"),
    one_of("action", APPOINTMENT_ACTIONS),
    one_of("actor", APPOINTMENT_ACTORS),
    _of_appointment(),
    sa.Index(None, "tenant_id", "rendez_vous_id", "position"),
)

#: Requests that were carried out, so that the same one is never carried out twice. `content` is a
#: digest of what was asked for.
rendez_vous_requests = sa.Table(
    "rendez_vous_requests",
    metadata,
    tenant(primary_key=True),
    sa.Column("request_key", CleanText, primary_key=True),
    words("rendez_vous_id"),
    words("content"),
    created(),
    _of_appointment(),
    sa.Index(None, "tenant_id", "rendez_vous_id"),
)

#: What the dashboard's page of settings keeps; ours to store, not to understand.
appointment_settings = sa.Table(
    "appointment_settings",
    metadata,
    tenant(primary_key=True),
    json("settings", "{}"),
    updated(),
)

"""What an agenda is made of: resources, services, rules, exceptions; appointments with holds,
buffers and a history.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    _upgrade_agenda()
    _upgrade_booking()


def downgrade() -> None:
    _downgrade_booking()
    _downgrade_agenda()


# ------------------------------------------------------------------- appointments and their guard

HELD = sa.text("status = 'held'")
OLD_STATUSES = "status IN ('confirmed', 'cancelled', 'completed', 'no_show', 'rescheduled')"
STATUSES = OLD_STATUSES.removesuffix(")") + ", 'held')"
#: Name, type, default (with one: NOT NULL).
BOOKING_COLUMNS = (
    ("service_id", TEXT, None),
    ("contact_id", TEXT, None),
    ("prospect_id", TEXT, None),
    ("before_minutes", sa.Integer(), "0"),
    ("after_minutes", sa.Integer(), "0"),
    ("hold_until", INSTANT, None),
    ("holder", TEXT, None),
    ("code", TEXT, None),
    ("link_token", TEXT, None),
    ("sequence", sa.Integer(), "0"),
    ("cancel_reason", TEXT, None),
    ("acknowledged_at", INSTANT, None),
)


def _upgrade_booking() -> None:
    for name, kind, default in BOOKING_COLUMNS:
        column = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("rendez_vous", column)
    _replace_status_check(OLD_STATUSES, STATUSES)
    op.create_index(
        op.f("ix_rendez_vous_tenant_id_code"), "rendez_vous", ["tenant_id", "code"], unique=True
    )
    op.create_index(op.f("ix_rendez_vous_link_token"), "rendez_vous", ["link_token"], unique=True)
    op.create_index(
        op.f("ix_rendez_vous_tenant_id_contact_id"), "rendez_vous", ["tenant_id", "contact_id"]
    )
    op.create_index(
        "ix_rendez_vous_held",
        "rendez_vous",
        ["hold_until"],
        sqlite_where=HELD,
        postgresql_where=HELD,
    )
    _create_rendez_vous_history()
    _create_rendez_vous_requests()
    _create_appointment_settings()


def _downgrade_booking() -> None:
    for table in ("appointment_settings", "rendez_vous_requests", "rendez_vous_history"):
        op.drop_table(table)
    # A hold is over within minutes, and nobody was promised anything.
    op.execute(
        "DELETE FROM rendez_vous_cells WHERE (tenant_id, rendez_vous_id) IN "
        "(SELECT tenant_id, id FROM rendez_vous WHERE status = 'held')"
    )
    op.execute("UPDATE rendez_vous SET status = 'cancelled' WHERE status = 'held'")
    for name in (
        "ix_rendez_vous_held",
        op.f("ix_rendez_vous_tenant_id_contact_id"),
        op.f("ix_rendez_vous_link_token"),
        op.f("ix_rendez_vous_tenant_id_code"),
    ):
        op.drop_index(name, "rendez_vous")
    _replace_status_check(STATUSES, OLD_STATUSES)
    for name, _kind, _default in BOOKING_COLUMNS[::-1]:
        op.drop_column("rendez_vous", name)


def _replace_status_check(old: str, new: str) -> None:
    """Another CHECK in place of that one, without copying the table: on SQLite dropping the
    original would delete, by their foreign keys, the cells that guard its appointments.

    The procedure is SQLite's own for changes that don't touch what is on the disk:
    https://www.sqlite.org/lang_altertable.html#otheralter
    """
    name = op.f("ck_rendez_vous_status")
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(name, "rendez_vous", type_="check")
        op.create_check_constraint(name, "rendez_vous", new)
        return
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) "
        "WHERE type = 'table' AND name = 'rendez_vous' AND instr(sql, ?)",
        (old, new, old),
    )
    assert changed.rowcount == 1, "the CHECK of rendez_vous.status isn't what 0001 made"
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=OFF")


def _create_rendez_vous_history() -> None:
    op.create_table(
        "rendez_vous_history",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("rendez_vous_id", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("actor", TEXT, server_default="system", nullable=False),
        sa.Column("call_id", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("from_start", INSTANT, nullable=True),
        sa.Column("from_resource", TEXT, nullable=True),
        sa.Column("to_start", INSTANT, nullable=True),
        sa.Column("to_resource", TEXT, nullable=True),
        sa.CheckConstraint(
            "action IN ('held', 'booked', 'moved', 'cancelled', 'completed', 'no_show', "
            "'reopened', 'corrected', 'acknowledged')",
            name=op.f("ck_rendez_vous_history_action"),
        ),
        sa.CheckConstraint(
            "actor IN ('voice', 'text', 'link', 'rest', 'system')",
            name=op.f("ck_rendez_vous_history_actor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rendez_vous_id"],
            ["rendez_vous.tenant_id", "rendez_vous.id"],
            name=op.f("fk_rendez_vous_history_tenant_id_rendez_vous_id_rendez_vous"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_rendez_vous_history_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rendez_vous_history")),
    )
    op.create_index(
        op.f("ix_rendez_vous_history_tenant_id_rendez_vous_id_position"),
        "rendez_vous_history",
        ["tenant_id", "rendez_vous_id", "position"],
    )


def _create_rendez_vous_requests() -> None:
    op.create_table(
        "rendez_vous_requests",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("request_key", TEXT, nullable=False),
        sa.Column("rendez_vous_id", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rendez_vous_id"],
            ["rendez_vous.tenant_id", "rendez_vous.id"],
            name=op.f("fk_rendez_vous_requests_tenant_id_rendez_vous_id_rendez_vous"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_rendez_vous_requests_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "request_key", name=op.f("pk_rendez_vous_requests")),
    )
    op.create_index(
        op.f("ix_rendez_vous_requests_tenant_id_rendez_vous_id"),
        "rendez_vous_requests",
        ["tenant_id", "rendez_vous_id"],
    )


def _create_appointment_settings() -> None:
    op.create_table(
        "appointment_settings",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("settings", TEXT, server_default="{}", nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_appointment_settings_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_appointment_settings")),
    )


# ---------------------------------------------------------- resources, services, exceptions, rules


def _upgrade_agenda() -> None:
    _create_resources()
    _create_resource_hours()
    _create_services()
    _create_service_resources()
    _create_agenda_exceptions()
    _create_agenda_rules()


def _downgrade_agenda() -> None:
    op.drop_table("agenda_rules")
    op.drop_table("agenda_exceptions")
    op.drop_table("service_resources")
    op.drop_table("services")
    op.drop_table("resource_hours")
    op.drop_table("resources")


def _create_resources() -> None:
    op.create_table(
        "resources",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, server_default="staff", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("color", TEXT),
        sa.Column("hours_set_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("archived_at", INSTANT),
        sa.CheckConstraint("kind IN ('staff', 'room', 'vehicle')", name=op.f("ck_resources_kind")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_resources_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_resources_tenant_id_id")),
    )


def _create_resource_hours() -> None:
    op.create_table(
        "resource_hours",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("resource_id", TEXT, nullable=False),
        sa.Column("day", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.CheckConstraint("day BETWEEN 1 AND 7", name=op.f("ck_resource_hours_day")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "resource_id"],
            ["resources.tenant_id", "resources.id"],
            name=op.f("fk_resource_hours_tenant_id_resource_id_resources"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_resource_hours_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "resource_id", "day", "opens", name=op.f("pk_resource_hours")
        ),
    )


def _create_services() -> None:
    op.create_table(
        "services",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, server_default="", nullable=False),
        sa.Column("minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("before_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("after_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("step_minutes", sa.Integer()),
        sa.Column("notice_minutes", sa.Integer()),
        sa.Column("horizon_days", sa.Integer()),
        sa.Column("daily_cap", sa.Integer()),
        sa.Column("price_cents", sa.Integer()),
        sa.Column("color", TEXT),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("archived_at", INSTANT),
        sa.CheckConstraint(
            "before_minutes >= 0 AND after_minutes >= 0", name=op.f("ck_services_buffers")
        ),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_services_minutes")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_services_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_services_tenant_id_id")),
    )


def _create_service_resources() -> None:
    op.create_table(
        "service_resources",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("service_id", TEXT, nullable=False),
        sa.Column("resource_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "resource_id"],
            ["resources.tenant_id", "resources.id"],
            name=op.f("fk_service_resources_tenant_id_resource_id_resources"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "service_id"],
            ["services.tenant_id", "services.id"],
            name=op.f("fk_service_resources_tenant_id_service_id_services"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_service_resources_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "service_id", "resource_id", name=op.f("pk_service_resources")
        ),
    )
    op.create_index(
        op.f("ix_service_resources_tenant_id_resource_id"),
        "service_resources",
        ["tenant_id", "resource_id"],
        unique=False,
    )


def _create_agenda_exceptions() -> None:
    op.create_table(
        "agenda_exceptions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("resource_id", TEXT),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("ranges", TEXT, server_default="[]", nullable=False),
        sa.Column("label", TEXT, server_default="", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("first_day <= last_day", name=op.f("ck_agenda_exceptions_first_day")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "resource_id"],
            ["resources.tenant_id", "resources.id"],
            name=op.f("fk_agenda_exceptions_tenant_id_resource_id_resources"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_agenda_exceptions_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agenda_exceptions")),
    )
    op.create_index(
        op.f("ix_agenda_exceptions_tenant_id_last_day"),
        "agenda_exceptions",
        ["tenant_id", "last_day"],
        unique=False,
    )


def _create_agenda_rules() -> None:
    op.create_table(
        "agenda_rules",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("holiday_region", TEXT),
        sa.Column("on_holidays", TEXT, server_default="closed", nullable=False),
        sa.Column("holiday_hours", TEXT, server_default="[]", nullable=False),
        sa.Column("minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("step_minutes", sa.Integer()),
        sa.Column("notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("horizon_days", sa.Integer(), server_default="60", nullable=False),
        sa.Column("daily_cap", sa.Integer()),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "on_holidays IN ('open', 'closed', 'special')", name=op.f("ck_agenda_rules_on_holidays")
        ),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_agenda_rules_minutes")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_agenda_rules_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_agenda_rules")),
    )

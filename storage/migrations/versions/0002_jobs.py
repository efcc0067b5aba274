"""Durable jobs.

On PostgreSQL they are Procrastinate's: its tables and functions are made by the library's own
migrations, which it keeps for ever, up to the one named last here. A library that needs more is
refused by a test, until a migration of ours applies what it adds.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import re
from importlib import resources

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PROCRASTINATE = tuple(
    """
    00.00.00_01_initial
    00.05.00_01_drop_started_at_column
    00.05.00_02_drop_started_at_column
    00.05.00_03_drop_procrastinate_version_table
    00.06.00_01_fix_procrastinate_fetch_job
    00.07.01_01_fix_trigger_status_events_insert
    00.08.01_01_add_queueing_lock_column
    00.10.00_01_close_fetch_job_race_condition
    00.10.00_02_add_defer_job_function
    00.11.00_03_add_procrastinate_periodic_defers
    00.12.00_01_add_foreign_key_index
    00.14.00_01_add_locks_to_periodic_defer
    00.15.02_01_fix_procrastinate_defer_periodic_job
    00.16.00_01_add_finish_job_and_retry_job_functions
    00.17.00_01_add_trigger_on_job_deletion
    00.17.00_02_delete_finished_jobs
    00.17.00_03_add_checks_to_finish_job
    00.17.00_04_add_checks_to_retry_job
    00.18.01_01_fix_finish_job_compat_issue
    00.19.00_01_add_index_on_procrastinate_jobs
    00.22.00_01_add_kwargs_to_defer_periodic_job
    00.23.00_01_null_locks_excluded
    01.00.00_01_remove_old_finish_job_function
    01.01.01_01_job_id_bigint
    02.00.03_01_add_job_priority
    02.05.00_01_add_periodic_job_priority
    02.06.00_01_add_cancel_states
    02.08.00_01_add_additional_params_to_retry_job
    02.14.01_01_add_indexes_for_fetch_job
    03.00.00_01_pre_cancel_notification
    03.00.00_50_post_cancel_notification
    03.01.00_01_pre_add_heartbeat
    03.01.00_50_post_add_heartbeat
    03.02.00_01_pre_batch_defer_jobs
    03.02.00_50_post_batch_defer_jobs
    03.03.00_01_pre_priority_lock_fetch_job
    03.04.00_01_pre_add_retry_failed_job_procedure
    03.04.00_50_post_add_retry_failed_job_procedure
    """.split()
)

_ADDED = re.compile(r"ALTER TYPE (\w+) ADD VALUE '(\w+)'[^;]*;")

# Jobs don't point at their tenant by a foreign key there, and must go with it all the same.
WITH_THE_TENANT = """
CREATE FUNCTION coccinelle_forget_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'tenant' = OLD.id;
    RETURN OLD;
END;
$$;
CREATE TRIGGER coccinelle_forget_jobs AFTER DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION coccinelle_forget_jobs();
CREATE INDEX ix_procrastinate_jobs_due ON procrastinate_jobs (scheduled_at) WHERE status = 'todo';
"""

ALL_GONE = """
DROP TRIGGER coccinelle_forget_jobs ON tenants;
DROP FUNCTION coccinelle_forget_jobs();
DO $$
DECLARE
    each regprocedure;
BEGIN
    FOR each IN
        SELECT oid FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE 'DROP FUNCTION ' || each || ' CASCADE';  -- triggers call them
    END LOOP;
END;
$$;
DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs,
    procrastinate_workers;
DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_event_type, procrastinate_job_status;
"""


def upgrade() -> None:
    _create_jobs()
    _create_job_workers()
    _create_dead_jobs()
    _create_job_rates()
    if op.get_bind().dialect.name == "postgresql":
        scripts = resources.files("procrastinate") / "sql" / "migrations"
        for script in _at_once(
            [(scripts / f"{name}.sql").read_text(encoding="utf-8") for name in PROCRASTINATE]
        ):
            _run(script)
        _run(WITH_THE_TENANT)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _run(ALL_GONE)
    for table in (
        "job_rates",
        "dead_jobs",
        "job_workers",
        "jobs",
    ):
        op.drop_table(table)


def _at_once(scripts: list[str]) -> list[str]:
    """The scripts for one transaction: what they add to a type is there from the beginning, for
    before PostgreSQL 17 an added value can't be used in the transaction that has added it."""
    first, *others = scripts
    for script in others:
        for name, value in _ADDED.findall(script):
            first = first.replace(f"TYPE {name} AS ENUM (", f"TYPE {name} AS ENUM ('{value}',")
    return [first, *(_ADDED.sub("", script) for script in others)]


def _run(script: str) -> None:
    """Several statements at once, which only the driver itself takes."""
    connection = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", SEQUENCE, sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", TEXT, nullable=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("payload", TEXT, server_default="{}", nullable=False),
        sa.Column("run_at", INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_by", TEXT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_jobs_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_jobs_key",
        "jobs",
        ["key"],
        unique=True,
        sqlite_where=sa.text("key IS NOT NULL AND leased_by IS NULL"),
        postgresql_where=sa.text("key IS NOT NULL AND leased_by IS NULL"),
    )
    op.create_index(
        "ix_jobs_leased",
        "jobs",
        ["leased_by"],
        unique=False,
        sqlite_where=sa.text("leased_by IS NOT NULL"),
        postgresql_where=sa.text("leased_by IS NOT NULL"),
    )
    op.create_index("ix_jobs_tenant_id", "jobs", ["tenant_id"], unique=False)
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["kind", "tenant_id", "run_at"],
        unique=False,
        sqlite_where=sa.text("leased_by IS NULL"),
        postgresql_where=sa.text("leased_by IS NULL"),
    )


def _create_job_workers() -> None:
    op.create_table(
        "job_workers",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("beats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("entered_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_workers"),
    )


def _create_dead_jobs() -> None:
    op.create_table(
        "dead_jobs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("payload", TEXT, server_default="{}", nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("died_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_dead_jobs_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_dead_jobs"),
    )
    op.create_index("ix_dead_jobs_died_at", "dead_jobs", ["died_at"], unique=False)
    op.create_index("ix_dead_jobs_tenant_id", "dead_jobs", ["tenant_id"], unique=False)


def _create_job_rates() -> None:
    op.create_table(
        "job_rates",
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("free_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_job_rates"),
    )

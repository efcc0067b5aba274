"""Reminders of appointments.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

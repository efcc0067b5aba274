"""What Vapi refused of an assistant, apart from what it was made of; what Vapi's part of a call
cost, apart from the carrier's.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"


def upgrade() -> None:
    op.add_column("assistant_claims", sa.Column("refused_hash", sa.Text()))
    op.add_column("call_logs", sa.Column("vapi_cost_cents", sa.Integer()))


def downgrade() -> None:
    op.drop_column("call_logs", "vapi_cost_cents")
    op.drop_column("assistant_claims", "refused_hash")

"""What people may ask for, and what the agent is told: recordings, erasures, instructions."""

import sqlalchemy as sa

from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    one_of,
    tenant,
    text,
    words,
)

#: `refused`: the caller said no; it is being deleted. What is deleted has no row any more.
RECORDING_STATES = ("announced", "recording", "refused", "kept", "failed")

#: Recordings at the carrier: the row is there before the carrier is asked, so that none is left
#: behind there. It goes when the carrier has deleted it (job `recording.delete`).
recordings = sa.Table(
    "recordings",
    metadata,
    identifier(),
    tenant(),
    words("source"),
    words("call_id"),
    words("call_sid"),
    text("recording_sid"),  # NULL until the carrier has said it
    text("state", "announced"),
    instant("started_at"),
    created(),
    one_of("state", RECORDING_STATES),
    one_of("source", ("call", "voicemail")),
    sa.UniqueConstraint("tenant_id", "call_id", "source"),
)

#: That somebody was erased: when, how much, and what vendors must still delete. Nobody's name.
erasures = sa.Table(
    "erasures",
    metadata,
    identifier(),
    tenant(),
    json("erased", "{}"),  # table → rows
    json("pending", "[]"),  # [what, the vendor's id], until the vendor has deleted it
    created(),
    instant("finished_at"),
    sa.Index(None, "tenant_id", "created_at"),
)

#: The tenant's own instructions, as they were one after the other. What calls use is
#: `config.sara.customInstructions`, which is written together with a version's activation.
instruction_versions = sa.Table(
    "instruction_versions",
    metadata,
    identifier(),
    tenant(),
    sa.Column("number", sa.Integer, nullable=False),
    words("text"),
    text("note", ""),
    text("created_by"),
    # NULL: never used. The greatest is the one in use, so that there is exactly one.
    sa.Column("activation", sa.Integer),
    instant("activated_at"),
    created(),
    sa.UniqueConstraint("tenant_id", "number"),
    sa.UniqueConstraint("tenant_id", "activation"),
)

"""All tables.

Every table with a `tenant_id` belongs to a tenant and is reached through `storage.scope` only.
Migrations repeat these definitions; a test holds both together.
"""

from storage.schema.assistants import assistant_claims, deployment
from storage.schema.base import metadata
from storage.schema.core import (
    APPOINTMENT_STATUSES,
    CALL_STATUSES,
    CHANNEL_TYPES,
    EVENT_KINDS,
    MESSAGE_STATUSES,
    PROSPECT_STATUSES,
    TICKET_PRIORITIES,
    TICKET_STATUSES,
    TRANSFER_STATES,
    business_hours,
    call_events,
    call_logs,
    channel_configurations,
    channel_messages_log,
    function_calls,
    qualified_prospects,
    rendez_vous,
    rendez_vous_cells,
    stream_tokens,
    tenant_keys,
    tenant_lines,
    tenant_numbers,
    tenants,
    tickets,
)
from storage.schema.jobs import dead_jobs, job_rates, job_workers, jobs
from storage.schema.knowledge import (
    DOCUMENT_STATUSES,
    DOCUMENT_TYPES,
    knowledge_chunks,
    knowledge_documents,
    knowledge_files,
)
from storage.schema.nodes import call_slots, live_events, nodes, rate_counters, schema_revisions
from storage.schema.retention import retention_marks

__all__ = [
    "APPOINTMENT_STATUSES",
    "CALL_STATUSES",
    "CHANNEL_TYPES",
    "DOCUMENT_STATUSES",
    "DOCUMENT_TYPES",
    "EVENT_KINDS",
    "MESSAGE_STATUSES",
    "PROSPECT_STATUSES",
    "TICKET_PRIORITIES",
    "TICKET_STATUSES",
    "TRANSFER_STATES",
    "assistant_claims",
    "business_hours",
    "call_events",
    "call_logs",
    "call_slots",
    "channel_configurations",
    "channel_messages_log",
    "dead_jobs",
    "deployment",
    "function_calls",
    "job_rates",
    "job_workers",
    "jobs",
    "knowledge_chunks",
    "knowledge_documents",
    "knowledge_files",
    "live_events",
    "metadata",
    "nodes",
    "qualified_prospects",
    "rate_counters",
    "rendez_vous",
    "rendez_vous_cells",
    "retention_marks",
    "schema_revisions",
    "stream_tokens",
    "tenant_keys",
    "tenant_lines",
    "tenant_numbers",
    "tenants",
    "tickets",
]

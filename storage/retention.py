"""How long each kind of data is kept, and which rows are due: a table of rules, without I/O.

A new table must be named here, by a rule, in KEPT or in EXPIRING, or die with a row that is; a
test generated from the schema says so otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from storage.schema import (
    audit_log,
    call_events,
    call_logs,
    channel_messages_log,
    contacts,
    conversation_messages,
    conversations,
    dead_jobs,
    function_calls,
    inbound_texts,
    line_checks,
    live_events,
    notifications,
    qualified_prospects,
    rendez_vous,
    revoked_tokens,
    stream_tokens,
    tickets,
)


@dataclass(frozen=True, slots=True)
class Periods:
    """Days. The defaults are what the privacy policy of the mission promises (real-users.md §4.8)
    and what the CNIL advises for prospects: three years after the last contact. Tickets and
    appointments are kept as long as a client's file."""

    transcripts: int = 365  # what was said, what functions were asked and answered
    calls: int = 365  # that there was a call, from whom, and what it came to
    messages: int = 365
    prospects: int = 3 * 365
    tickets: int = 3 * 365
    appointments: int = 3 * 365
    dead_jobs: int = 30
    inbound_texts: int = 30  # longer than any vendor repeats a message (7 days)
    live_events: int = 1  # who was away for longer reads the lists
    stream_tokens: int = 1
    # Who did what, and who read what was said: a year, as the CNIL advises for such journals.
    audit: int = 365
    revoked_tokens: int = 1  # after their own end
    contacts: int = 3 * 365  # since they were last heard of
    notifications: int = 365

    def of(self, kind: str) -> timedelta:
        """The period of a rule's kind. A transcript goes with its call at the latest."""
        days: int = getattr(self, kind)
        return timedelta(days=min(days, self.calls) if kind == "transcripts" else days)


Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of `table` that are due: `due(before, now)` where `before` is a period ago. With
    `parent`, a column of `table` that refers to an id, it is that row's age which counts, and
    `due` speaks of its table. `blank`: what to put in place of what was there, the row stays."""

    kind: str  # a field of Periods
    table: sa.Table
    due: Callable[[datetime, datetime], Condition]
    parent: sa.Column[Any] | None = None
    blank: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> sa.Column[Any]:
        """What batches are made by."""
        (key,) = self.table.primary_key.columns
        return key

    def found(self, before: datetime, now: datetime) -> Condition:
        """The rows, for a statement that looks for them."""
        return self._condition(before, now, exists=False)

    def still(self, before: datetime, now: datetime) -> Condition:
        """The same, for a statement that knows their keys: nothing is scanned for it."""
        return self._condition(before, now, exists=True)

    def _condition(self, before: datetime, now: datetime, *, exists: bool) -> Condition:
        due = self.due(before, now)
        if self.parent is not None:
            (reference,) = self.parent.foreign_keys
            their = reference.column
            if exists:
                return sa.exists().where(their == self.parent, due)
            return self.parent.in_(sa.select(their).where(due))
        if not self.blank:
            return due
        return sa.and_(due, sa.or_(*(self._filled(name) for name in self.blank)))

    def _filled(self, name: str) -> Condition:
        column, blank = self.table.c[name], self.blank[name]
        return column.is_not(None) if blank is None else column != blank


def _call(before: datetime, _now: datetime) -> Condition:
    # A call without an outcome isn't over: the sweeper gives it one.
    return sa.and_(call_logs.c.started_at < before, call_logs.c.outcome.is_not(None))


def _prospect(before: datetime, now: datetime) -> Condition:
    it = qualified_prospects.c
    return sa.and_(
        sa.func.coalesce(it.last_contact_at, it.created_at, type_=it.created_at.type) < before,
        sa.or_(it.next_follow_up_at.is_(None), it.next_follow_up_at < now),
    )


def _ticket(before: datetime, _now: datetime) -> Condition:
    it = tickets.c
    closed = sa.func.coalesce(it.closed_at, it.resolved_at, it.updated_at, type_=it.updated_at.type)
    return sa.and_(it.status.in_(("resolved", "closed")), closed < before)


#: In the order in which they are applied: children in batches of their own before their parents,
#: whose deletion would take them along in one long transaction.
RULES: Final = (
    Rule("transcripts", call_events, _call, parent=call_events.c.call_id),
    Rule("transcripts", function_calls, _call, parent=function_calls.c.call_id),
    Rule(
        "transcripts",
        call_logs,
        _call,
        blank=MappingProxyType(
            {
                "transcript": None,
                "summary": None,
                "sentiment": None,
                "recording_url": None,
                "opening": {},
                "detail": "",
                "from_raw": "",
                "forwarded_from_raw": None,
            }
        ),
    ),
    Rule("calls", call_logs, _call),
    Rule("calls", line_checks, lambda before, _: line_checks.c.created_at < before),
    Rule(
        "messages",
        channel_messages_log,
        # A message that hasn't been sent yet may be meant for a day to come.
        lambda before, _: sa.and_(
            channel_messages_log.c.created_at < before,
            channel_messages_log.c.status.not_in(("pending", "queued", "sending")),
        ),
    ),
    Rule(
        "messages",
        conversation_messages,
        lambda before, _: conversation_messages.c.created_at < before,
    ),
    # With what functions answered in it.
    Rule("messages", conversations, lambda before, _: conversations.c.updated_at < before),
    Rule("inbound_texts", inbound_texts, lambda before, _: inbound_texts.c.received_at < before),
    Rule("prospects", qualified_prospects, _prospect),
    Rule("tickets", tickets, _ticket),
    # With their addresses and their history; what refers to them by id has its own period.
    Rule("contacts", contacts, lambda before, _: contacts.c.last_seen_at < before),
    Rule("notifications", notifications, lambda before, _: notifications.c.created_at < before),
    Rule("appointments", rendez_vous, lambda before, _: rendez_vous.c.ends_at < before),
    Rule("dead_jobs", dead_jobs, lambda before, _: dead_jobs.c.died_at < before),
    Rule("live_events", live_events, lambda before, _: live_events.c.at < before),
    Rule("audit", audit_log, lambda before, _: audit_log.c.at < before),
    Rule("revoked_tokens", revoked_tokens, lambda before, _: revoked_tokens.c.expires_at < before),
    Rule("stream_tokens", stream_tokens, lambda before, _: stream_tokens.c.expires_at < before),
)

KINDS: Final = tuple(dict.fromkeys(rule.kind for rule in RULES))

#: Kept as long as the tenant exists, and why.
KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenants": "the customer; deleting it deletes all that it had",
        "tenant_numbers": "the tenant's configuration",
        "tenant_lines": "the tenant's configuration",
        "tenant_limits": "the tenant's configuration",
        "tenant_keys": "revoked keys stay, as hashes, so that it can be said when they were",
        "business_hours": "the tenant's configuration",
        "channel_configurations": "the tenant's configuration",
        "message_templates": "the tenant's own words, with their earlier versions: a text that was "
        "sent says by which version",
        "consent_ledger": "the proof that somebody agreed or refused must outlive what was sent; "
        "an erased person leaves a keyed hash",
        "channel_pauses": "replaced by the next one, deleted when the channel works again",
        "suppression_keys": "the key of those hashes; nobody's words",
        "sender_blocks": "a number's refusal of our sender holds until it writes START",
        "calendar_feeds": "the tenant's configuration: addresses, as hashes",
        "external_calendars": "the tenant's configuration; what is busy there dies with it",
        "channel_endpoints": "the tenant's configuration",
        "notification_settings": "the tenant's configuration",
        "appointment_settings": "the tenant's configuration",
        "resources": "the tenant's configuration; appointments name what was archived",
        "resource_hours": "the tenant's configuration",
        "services": "the tenant's configuration; appointments name what was archived",
        "service_resources": "the tenant's configuration",
        "agenda_exceptions": "the tenant's configuration",
        "agenda_rules": "the tenant's configuration",
        "knowledge_documents": "the tenant's own texts; deleted ones leave the bin by a job of "
        "their own (knowledge.purge), once every index has forgotten them",
        "assistant_claims": "what the tenant's assistant at Vapi was made of; nobody's words",
        "deployment": "the deployment's own name; nothing of anybody",
        "instruction_versions": "the tenant's own words, to go back to",
        "erasures": "the proof that somebody was erased, and when; not whom",
        "schema_revisions": "the schema's own; nothing of anybody",
        "retention_marks": "the purge's own; nothing of anybody",
    }
)

#: Rows that their owners remove when they have had their time.
EXPIRING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "jobs": "deleted when done",
        "job_workers": "deleted by their process, or when it was silent for long",
        "job_rates": "counted anew in each window",
        "nodes": "reaped when silent",
        "call_slots": "given back with the call, or reaped",
        "rate_counters": "deleted when expired",
        "recordings": "deleted with the recording at the carrier (recording.delete)",
        "tenant_spend": "a day's first expense deletes those of earlier days",
        "text_counters": "a day's first text deletes those of earlier days",
        "external_busy": "replaced with each reading, by what is to come",
    }
)

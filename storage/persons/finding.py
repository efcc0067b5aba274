"""Which rows are about somebody: what their addresses, and what hangs on those rows, lead to.

A row is theirs when it bears their contact's id or one of their addresses, or when it belongs to
such a row (a call's timeline, an appointment's reminders). What was said in somebody else's call
or message is that person's.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Conflict
from storage.contact_claims import Key, owners_of
from storage.persons.addresses import Addresses, addresses_of, one_of
from storage.schema import (
    audit_log,
    call_events,
    call_logs,
    channel_messages_log,
    consent_ledger,
    contact_addresses,
    contact_proposals,
    contacts,
    conversation_functions,
    conversation_messages,
    conversations,
    dead_jobs,
    function_calls,
    inbound_texts,
    live_events,
    notifications,
    qualified_prospects,
    record_history,
    recordings,
    reminders,
    rendez_vous,
    rendez_vous_cells,
    rendez_vous_history,
    rendez_vous_requests,
    sender_blocks,
    stream_tokens,
    text_events,
    tickets,
)
from storage.scope import Scope

#: Rows of one table that are one person's; a machine that calls all day has more, and its owner
#: has to be asked what is to become of them.
MOST_ROWS: Final = 10_000


@dataclass(slots=True)
class Person:
    """`ids`: by table, the ids of rows that are theirs; `keys`: the addresses, as contacts have
    them; `elsewhere`: calls of other people in which something was done for them."""

    keys: list[Key]
    addresses: Addresses
    ids: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)  # numbers of live events

    def of(self, table: sa.Table) -> list[str]:
        return self.ids.get(table.name, [])

    @property
    def all_ids(self) -> frozenset[str]:
        return frozenset(each for ids in self.ids.values() for each in ids)


Belongs = Callable[[Person], sa.ColumnElement[bool]]


def _by(column: sa.Column[Any], parent: sa.Table, name: str = "id") -> Belongs:
    """Rows that hang on a row that is theirs."""
    key = parent.name if name == "id" else f"{parent.name}.{name}"
    return lambda person: one_of(column, person.ids.get(key, []))


def _history(person: Person) -> sa.ColumnElement[bool]:
    it = record_history.c
    return sa.or_(
        one_of(it.contact_id, person.of(contacts)),
        one_of(it.prospect_id, person.of(qualified_prospects)),
        one_of(it.ticket_id, person.of(tickets)),
    )


def _proposed(person: Person) -> sa.ColumnElement[bool]:
    it, theirs = contact_proposals.c, person.of(contacts)
    return sa.or_(one_of(it.contact_id, theirs), one_of(it.other_id, theirs))


def _text(person: Person) -> sa.ColumnElement[bool]:
    it = channel_messages_log.c
    return sa.or_(
        one_of(it.contact_id, person.of(contacts)),
        person.addresses.any(it.to_address),
        one_of(it.conversation_id, person.of(conversations)),
        one_of(it.appointment_id, person.of(rendez_vous)),
        # What told the owner about them.
        one_of(it.id, person.ids.get("notifications.alert_id", [])),
    )


def _consent(person: Person) -> sa.ColumnElement[bool]:
    it = consent_ledger.c
    return sa.or_(one_of(it.contact_id, person.of(contacts)), person.addresses.any(it.address))


#: By table, in the order in which rows lead to rows; those with an `id` lead on.
BELONGS: Final[Mapping[str, Belongs]] = MappingProxyType(
    {
        contacts.name: lambda person: one_of(contacts.c.id, person.of(contacts)),
        contact_addresses.name: _by(contact_addresses.c.contact_id, contacts),
        contact_proposals.name: _proposed,
        call_logs.name: lambda person: one_of(call_logs.c.id, person.of(call_logs)),
        rendez_vous.name: lambda person: one_of(rendez_vous.c.id, person.of(rendez_vous)),
        qualified_prospects.name: lambda person: one_of(
            qualified_prospects.c.id, person.of(qualified_prospects)
        ),
        tickets.name: lambda person: one_of(tickets.c.id, person.of(tickets)),
        record_history.name: _history,
        call_events.name: _by(call_events.c.call_id, call_logs),
        function_calls.name: _by(function_calls.c.call_id, call_logs),
        stream_tokens.name: _by(stream_tokens.c.call_sid, call_logs, "call_sid"),
        recordings.name: _by(recordings.c.call_id, call_logs),
        rendez_vous_cells.name: _by(rendez_vous_cells.c.rendez_vous_id, rendez_vous),
        rendez_vous_history.name: _by(rendez_vous_history.c.rendez_vous_id, rendez_vous),
        rendez_vous_requests.name: _by(rendez_vous_requests.c.rendez_vous_id, rendez_vous),
        reminders.name: _by(reminders.c.appointment_id, rendez_vous),
        conversations.name: lambda person: sa.or_(
            one_of(conversations.c.contact_id, person.of(contacts)),
            person.addresses.any(conversations.c.address),
        ),
        conversation_messages.name: _by(conversation_messages.c.conversation_id, conversations),
        conversation_functions.name: _by(conversation_functions.c.conversation_id, conversations),
        notifications.name: lambda person: one_of(notifications.c.subject_id, person.all_ids),
        channel_messages_log.name: _text,
        text_events.name: _by(text_events.c.text_id, channel_messages_log),
        consent_ledger.name: _consent,
        inbound_texts.name: lambda person: person.addresses.any(inbound_texts.c.sender),
        live_events.name: lambda person: (
            live_events.c.seq.in_(person.told) if person.told else sa.false()
        ),
        dead_jobs.name: lambda person: one_of(dead_jobs.c.id, person.of(dead_jobs)),
        audit_log.name: lambda person: one_of(audit_log.c.subject_id, person.all_ids),
        # No tenant's: what a carrier has told of an address.
        sender_blocks.name: lambda person: person.addresses.any(sender_blocks.c.address),
    }
)

#: Besides ids, what leads on.
_LEADS: Final = {call_logs.name: "call_sid", notifications.name: "alert_id"}

#: Tables that hold nothing of customers, and why.
NOT_OF_PERSONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenants": "the business",
        "tenant_numbers": "our numbers",
        "tenant_lines": "the business's lines",
        "tenant_keys": "hashes of the business's keys",
        "business_hours": "configuration",
        "channel_configurations": "configuration",
        "resources": "the business's staff and rooms",
        "resource_hours": "configuration",
        "services": "configuration",
        "service_resources": "configuration",
        "agenda_exceptions": "configuration",
        "agenda_rules": "configuration",
        "appointment_settings": "configuration",
        "assistant_claims": "configuration",
        "deployment": "the deployment's own",
        "calendar_feeds": "configuration",
        "external_calendars": "configuration",
        "external_busy": "times alone: neither titles nor names are kept",
        "channel_endpoints": "configuration",
        "channel_pauses": "a vendor's words about a channel",
        "message_templates": "the business's words, with variables for people",
        "notification_settings": "the owner's own address",
        "suppression_keys": "a sealed key",
        "text_counters": "numbers",
        "knowledge_documents": "the business's texts",
        "knowledge_files": "the business's files",
        "knowledge_chunks": "the business's texts",
        "instruction_versions": "the business's words",
        "erasures": "counts, and what vendors must delete; nobody's name",
        "jobs": "ids of rows",
        "job_workers": "the deployment's own",
        "job_rates": "the deployment's own",
        "nodes": "the deployment's own",
        "call_slots": "a call under way, by its id; nobody is erased during a call",
        "rate_counters": "hashes and ids, for minutes",
        "schema_revisions": "the deployment's own",
        "retention_marks": "the deployment's own",
        "revoked_tokens": "hashes of users' tokens",
        # Of the forwarding check, which calls the business.
        "line_checks": "the business's lines",
        "tenant_limits": "configuration",
        "tenant_spend": "sums of money",
    }
)


async def find(scope: Scope, keys: Sequence[Key]) -> Person:
    """Everything of the tenant's that is about whoever has these addresses. Conflict when that is
    more than MOST_ROWS of one kind."""
    owners = sorted(set((await owners_of(scope, keys)).values()))
    it = contact_addresses.c
    known_by = scope.select(contact_addresses, it.kind, it.value).where(it.contact_id.in_(owners))
    theirs = await scope.all(known_by) if owners else ()
    every = list(dict.fromkeys([*keys, *((row["kind"], row["value"]) for row in theirs)]))
    person = Person(every, addresses_of(every))
    known = sa.or_(one_of(contacts.c.id, owners), one_of(contacts.c.merged_into, owners))
    person.ids[contacts.name] = await _ids(scope, contacts, known)
    await _calls_and_what_they_left(scope, person)
    for name, belongs in BELONGS.items():
        await _lead_on(scope, person, name, belongs)
    await _told_and_dead(scope, person)
    return person


async def _lead_on(scope: Scope, person: Person, name: str, belongs: Belongs) -> None:
    table = audit_log.metadata.tables[name]
    if "tenant_id" not in table.c or name in (dead_jobs.name, live_events.name, audit_log.name):
        return
    if "id" in table.c and name not in person.ids:
        person.ids[name] = await _ids(scope, table, belongs(person))
    if name in _LEADS and person.ids[name]:
        column = table.c[_LEADS[name]]
        statement = scope.select(table, column).where(belongs(person), column.is_not(None))
        person.ids[f"{name}.{column.name}"] = [row[0] for row in await _rows(scope, statement)]


async def _calls_and_what_they_left(scope: Scope, person: Person) -> None:
    at, theirs = person.addresses, person.of(contacts)
    calls = sa.or_(call_logs.c.contact_id.in_(theirs), at.phone(call_logs.c.from_number))
    calls = sa.or_(calls, at.phone(call_logs.c.from_raw))
    outbound = sa.and_(call_logs.c.direction == "outbound", at.phone(call_logs.c.to_number))
    person.ids[call_logs.name] = await _ids(scope, call_logs, sa.or_(calls, outbound))
    mentioned: set[str] = set()
    for table, phone, email in (
        (rendez_vous, rendez_vous.c.customer_phone, rendez_vous.c.customer_email),
        (qualified_prospects, qualified_prospects.c.phone, qualified_prospects.c.email),
        (tickets, tickets.c.customer_phone, tickets.c.customer_email),
    ):
        nobodys = sa.and_(
            table.c.contact_id.is_(None),
            sa.func.coalesce(phone, "") == "",
            sa.func.coalesce(email, "") == "",
        )
        mine = sa.or_(
            table.c.contact_id.in_(theirs),
            at.phone(phone),
            at.email(email),
            sa.and_(table.c.call_id.in_(person.of(call_logs)), nobodys),
        )
        statement = scope.select(table, table.c.id, table.c.call_id).where(mine)
        found = await _rows(scope, statement)
        person.ids[table.name] = [row[0] for row in found]
        mentioned |= {row[1] for row in found if row[1] is not None}
    await _calls_elsewhere(scope, person, mentioned - set(person.of(call_logs)))


async def _calls_elsewhere(scope: Scope, person: Person, mentioned: Collection[str]) -> None:
    """Calls in which something was done for them: theirs if the caller is nobody else."""
    it = call_logs.c
    statement = scope.select(call_logs, it.id, it.contact_id).where(it.id.in_(sorted(mentioned)))
    for row in await _rows(scope, statement) if mentioned else ():
        if row[1] is None:
            person.ids[call_logs.name].append(row[0])
        else:
            person.elsewhere.append(row[0])


async def _told_and_dead(scope: Scope, person: Person) -> None:
    """Rows that have them somewhere inside of JSON: few, and for a short time."""
    marks = person.all_ids | person.addresses.all

    def about(*values: object) -> bool:
        return any(text in marks for text in _texts(values))

    it = live_events.c
    told = await _rows(scope, scope.select(live_events, it.seq, it.subject, it.data), limit=None)
    person.told = [row[0] for row in told if about(row[1], row[2])]
    dead = dead_jobs.c
    statement = scope.select(dead_jobs, dead.id, dead.payload, dead.key)
    letters = await _rows(scope, statement, limit=None)
    person.ids[dead_jobs.name] = [
        row[0] for row in letters if about(row[1], *(row[2] or "").split(":"))
    ]


def _texts(value: object) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return []


async def _ids(scope: Scope, table: sa.Table, whose: sa.ColumnElement[bool]) -> list[str]:
    if nothing(whose):
        return []
    return [row[0] for row in await _rows(scope, scope.select(table, table.c.id).where(whose))]


async def _rows(
    scope: Scope, statement: sa.Select[Any], limit: int | None = MOST_ROWS
) -> list[tuple[Any, ...]]:
    bounded = statement if limit is None else statement.limit(limit + 1)
    rows = [tuple(row) for row in (await scope.connection.execute(bounded)).all()]
    if limit is not None and len(rows) > limit:
        raise Conflict(
            f"more than {limit} records are this person's: ask the operator",
            message_key="person_too_much",
        )
    return rows


def whose(scope: Scope, person: Person, table: sa.Table) -> sa.ColumnElement[bool]:
    """The tenant's rows of a table that are this person's. Where a table doesn't say whose its rows
    are, the row that they hang on does."""
    theirs = BELONGS[table.name](person)
    if "tenant_id" not in table.c:
        return theirs
    return sa.and_(table.c.tenant_id == scope.tenant_id, theirs)


def nothing(condition: sa.ColumnElement[bool]) -> bool:
    """Whether it can't be true of any row: then the database needn't be asked."""
    return isinstance(condition, sa.False_)


async def unrouted(scope: Scope, person: Person) -> list[sa.RowMapping]:
    """What they wrote of which nobody knows yet for whom, where this business may be meant."""
    statement = sa.select(inbound_texts).where(
        inbound_texts.c.tenant_id.is_(None), person.addresses.any(inbound_texts.c.sender)
    )
    rows = await scope.all(statement.limit(MOST_ROWS))
    return [row for row in rows if scope.tenant_id in row["candidates"]]

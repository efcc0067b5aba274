"""The six tables of the earlier service, each row read into the values of ours."""

from typing import Any

from domain.outcome import Outcome
from storage.d1.rules import (
    MAX_MINUTES,
    MAX_NUMBER,
    Reader,
    Reading,
    Refused,
    caller,
    ended,
    joined,
    number,
)
from storage.schema import (
    APPOINTMENT_STATUSES,
    CALL_STATUSES,
    CHANNEL_TYPES,
    MESSAGE_STATUSES,
    PROSPECT_STATUSES,
    TICKET_PRIORITIES,
    TICKET_STATUSES,
)

#: In our timeline's words: where an imported call is.
STAGE = "imported"
#: How long a call may have lasted, seconds: Twilio's own limit is 24 hours.
MAX_CALL_SECONDS = 24 * 3600
_NUMBERED = ("phone", "sms", "whatsapp")
#: Calls that are still going on in the export are over by now.
_UNFINISHED = ("queued", "initiated", "ringing", "in-progress")


def configuration(row: Reading, _zone: str, region: str) -> dict[str, Any]:
    """`config` still holds what must be sealed, `line` is to be taken: both are for the caller."""
    channel_type = row.one_of("channel_type", CHANNEL_TYPES, None)
    if channel_type is None:
        raise Refused("channel_type is missing")
    config = row.json("config_public", dict, {})
    phone = channel_type == "phone"
    if (row.text("config_encrypted") or "").strip() not in ("", "{}", "null"):
        row.notes.append(
            "config_encrypted is left out: only the earlier service can read it; enter these "
            "credentials again"
        )
    created = row.created("updated_at")
    return {
        "channel_type": channel_type,
        # The earlier service answered calls whatever this said (real-users.md §1.3): here it
        # counts.
        "enabled": row.flag("enabled") or phone,
        "configured": row.flag("configured"),
        "config": config,
        "templates": row.json("templates", dict, {}),
        "assistant_id": row.text("assistant_id"),
        "line": _configured(row, config, "clientPhoneNumber", region) if phone else None,
        "transfer_number": _configured(row, config, "transferNumber", region) if phone else None,
        "created_at": created,
        "updated_at": row.instant("updated_at") or created,
    }


def _configured(row: Reading, config: dict[str, Any], key: str, region: str) -> str | None:
    written = config.get(key)
    if not isinstance(written, str) or not written.strip():
        return None
    read = number(written, region)
    if read is None:
        row.notes.append(f"{key} is no telephone number: nothing is routed by it")
    return read


def message(row: Reading, _zone: str, region: str) -> dict[str, Any]:
    """A text that was sent."""
    channel_type = row.one_of("channel_type", CHANNEL_TYPES, None)
    if channel_type is None:
        raise Refused("channel_type is missing")
    address: str | None = row.words("to_address").strip()
    if channel_type in _NUMBERED:
        address = number(str(address), region)
        if address is None:
            raise Refused("to_address is no telephone number")
    return {
        "channel_type": channel_type,
        "to_address": address,
        **_texts(row, "template_name", "subject", "content"),
        "template_variables": row.json("template_variables", dict, {}),
        "status": row.one_of("status", MESSAGE_STATUSES, "pending"),
        **_texts(row, "external_message_id", "error_message", "error_code", "provider"),
        "cost_cents": row.whole("cost_cents", 0, 10**9),
        "duration_seconds": row.whole("duration_seconds", 0, MAX_CALL_SECONDS),
        **_instants(row, "sent_at", "delivered_at", "read_at", "failed_at"),
        "created_at": row.created("sent_at", "delivered_at", "failed_at"),
    }


def appointment(row: Reading, zone: str, region: str) -> dict[str, Any]:
    """An appointment; its wall clock read in `zone`."""
    day, at, start = row.start(zone)
    minutes = row.whole("rdv_duration_minutes", 1, MAX_MINUTES, 60) or 60
    created = row.created("updated_at")
    return {
        "customer_name": row.words("customer_name"),
        "customer_phone": row.phone("customer_phone", region),
        "customer_email": row.text("customer_email"),
        "rdv_date": day,
        "rdv_time": at,
        **_texts(row, "rdv_type", "rdv_location", "notes"),
        "rdv_duration_minutes": minutes,
        "status": row.one_of("status", APPOINTMENT_STATUSES, "confirmed"),
        "internal_notes": joined(row.text("internal_notes"), row.unread("customer_phone", region)),
        "reminder_24h_sent": row.flag("reminder_24h_sent"),
        "reminder_1h_sent": row.flag("reminder_1h_sent"),
        "confirmation_sent": row.flag("confirmation_sent"),
        **_origin(row),
        "created_at": created,
        "updated_at": row.instant("updated_at") or created,
        **_instants(row, "cancelled_at", "completed_at"),
        "starts_at": start,
        "ends_at": ended(start, minutes),
        "timezone": zone,
        "resource": "",
    }


def prospect(row: Reading, _zone: str, region: str) -> dict[str, Any]:
    """Somebody who may become a customer."""
    created = row.created("updated_at")
    return {
        "name": row.words("name"),
        "phone": row.phone("phone", region),
        "email": row.text("email"),
        "source": row.one_of("source", ("phone", "sms", "email", "whatsapp", "web"), "phone"),
        **_texts(row, "interest_type", "location_preference", "property_type"),
        "budget_min": row.whole("budget_min", 0, MAX_NUMBER),
        "budget_max": row.whole("budget_max", 0, MAX_NUMBER),
        "qualification_score": row.whole("qualification_score", 0, 100, 0),
        "qualification_status": row.one_of("qualification_status", PROSPECT_STATUSES, "new"),
        "notes": joined(row.text("notes"), row.unread("phone", region)),
        "qualification_notes": row.text("qualification_notes"),
        **_origin(row),
        **_instants(row, "last_contact_at", "next_follow_up_at", "converted_at"),
        "converted_to_client": row.flag("converted_to_client"),
        "created_at": created,
        "updated_at": row.instant("updated_at") or created,
    }


def ticket(row: Reading, _zone: str, region: str) -> dict[str, Any]:
    """Something to see to."""
    created = row.created("updated_at")
    return {
        "customer_name": row.words("customer_name"),
        "customer_phone": row.phone("customer_phone", region),
        "customer_email": row.text("customer_email"),
        "subject": row.words("subject"),
        "description": joined(row.text("description"), row.unread("customer_phone", region)),
        "category": row.text("category"),
        "priority": row.one_of("priority", TICKET_PRIORITIES, "medium"),
        "status": row.one_of("status", TICKET_STATUSES, "open"),
        **_texts(row, "assigned_to", "resolution_notes"),
        **_instants(row, "assigned_at", "resolved_at", "closed_at"),
        **_origin(row),
        "created_at": created,
        "updated_at": row.instant("updated_at") or created,
    }


def call(row: Reading, _zone: str, region: str) -> dict[str, Any]:
    """A call that is over: nobody waits for it any more, whatever the export says."""
    started = row.instant("started_at") or row.created("ended_at")
    status = row.one_of("call_status", CALL_STATUSES, "completed")
    if status in _UNFINISHED:
        row.notes.append("call_status was unfinished; it is failed now")
        status = "failed"
    duration = row.whole("duration_seconds", 0, MAX_CALL_SECONDS)
    achieved = {
        flag: row.flag(flag)
        for flag in ("rdv_created", "qualified_prospect_created", "ticket_created")
    }
    raw_from, raw_forwarded = row.text("from_number", ""), row.text("forwarded_from")
    to_number = row.words("to_number").strip()
    return {
        "call_sid": row.key("call_sid"),
        "assistant_id": row.text("assistant_id"),
        "from_number": caller(raw_from, region),
        "from_raw": raw_from or "",
        "to_number": number(to_number, region) or to_number,
        "forwarded_from": caller(raw_forwarded, region) or None,
        "forwarded_from_raw": raw_forwarded,
        "direction": row.one_of("direction", ("inbound", "outbound"), "inbound"),
        "call_status": status,
        "duration_seconds": duration,
        "cost_cents": row.whole("cost_cents", 0, 10**9),
        **_texts(row, "recording_url", "transcript", "summary"),
        "sentiment": row.one_of("sentiment", ("positive", "neutral", "negative"), None),
        "actions_performed": row.json("actions_performed", list, []),
        **achieved,
        "started_at": started,
        "ended_at": row.instant("ended_at") or started,
        "created_at": row.created("started_at", "ended_at"),
        "stage": STAGE,
        "outcome": _outcome(row, achieved, status).value,
    }


def _outcome(row: Reading, achieved: dict[str, bool], status: str) -> Outcome:
    """The strongest that the earlier service's flags tell; it kept no outcomes."""
    if achieved["rdv_created"]:
        return Outcome.BOOKED
    if achieved["qualified_prospect_created"]:
        return Outcome.QUALIFIED
    if achieved["ticket_created"]:
        return Outcome.TICKET
    if status == "failed":
        return Outcome.FAILED
    return Outcome.INFORMED if row.text("transcript") else Outcome.ABANDONED


def _origin(row: Reading) -> dict[str, Any]:
    return {"call_id": row.text("call_id"), "created_by": row.text("created_by", "sara")}


def _texts(row: Reading, *columns: str) -> dict[str, Any]:
    return {column: row.text(column) for column in columns}


def _instants(row: Reading, *columns: str) -> dict[str, Any]:
    return {column: row.instant(column) for column in columns}


#: In the order of reading: calls first, which the others refer to.
READERS: dict[str, Reader] = {
    "channel_configurations": configuration,
    "call_logs": call,
    "rendez_vous": appointment,
    "qualified_prospects": prospect,
    "tickets": ticket,
    "channel_messages_log": message,
}

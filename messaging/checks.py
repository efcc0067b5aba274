"""What is looked at once more just before a text leaves (`messaging.outbox.Check`)."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from messaging.outbox import Stop
from messaging.reminding import Wishes, late_into_quiet, quiet_hours
from storage import TenantRows, Text
from storage.conversations import AGENT
from storage.reminders import STILL

#: Who puts them (`channel_messages_log.created_by`).
BY_AGENT, BY_REMINDERS = "agent", "reminders"


async def still_the_agents(rows: TenantRows, text: Text) -> Stop | None:
    """An answer of the agent's isn't sent once a person has taken the conversation over, not even
    if they have handed it back since."""
    if text.created_by != BY_AGENT or text.conversation_id is None:
        return None
    conversation = await rows.conversations.get(text.conversation_id)
    since = conversation.handled_since
    if conversation.handled_by == AGENT and (since is None or since <= text.created_at):
        return None
    return Stop("human_took_over", "cancelled")


async def still_the_appointment(rows: TenantRows, text: Text) -> Stop | None:
    """What is said of an appointment is still so."""
    if text.created_by != BY_REMINDERS or text.appointment_id is None:
        return None
    reminder = await rows.reminders.with_text(text.id)
    appointment = await rows.appointments.get(text.appointment_id)
    if reminder is None or appointment is None:
        return Stop("appointment_changed", "cancelled")
    same = appointment.start_utc == reminder.starts_at
    if not same or appointment.status not in STILL.get(reminder.kind, ("confirmed",)):
        return Stop("appointment_changed", "cancelled")
    if await late_into_quiet(rows, reminder, appointment):
        return Stop("quiet_hours")
    return None


async def outside_quiet_hours(rows: TenantRows, text: Text) -> Stop | None:
    """Offers go when people may be written to, or not at all. Those by SMS never on Sundays
    (text-channels.md §7)."""
    quiet = await quiet_hours(rows, Wishes.of(await rows.bookings.settings()))
    if text.channel == "sms":
        quiet = replace(quiet, sundays=True)
    zone = ZoneInfo((await rows.tenant()).timezone)
    return Stop("quiet_hours") if quiet.quiet(rows.now().astimezone(zone)) else None

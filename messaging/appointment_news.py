"""The business hears what customers made of their appointments: on the telephone, by text, on the
page of an appointment. What it did itself it knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.clock import Clock
from domain.customer_pages import written_instant
from domain.messages import language_of
from storage import Appointment, Storage
from storage.appointments import HistoryEntry

#: By what happened, the kind of notification (`domain.notifications`).
_KINDS: Final[Mapping[str, str]] = {
    "booked": "appointment_booked",
    "moved": "appointment_moved",
    "cancelled": "appointment_cancelled",
}
_CUSTOMERS: Final = frozenset({"voice", "text", "link"})
#: What is older was told, or is news no more. Shorter than notifications are kept: those are what
#: says that something was told.
_NEWS: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AppointmentNews:
    """A follower of `server.appointment_jobs`."""

    storage: Storage
    clock: Clock

    async def tell(self, tenant_id: str, appointment_id: str) -> None:
        """Each thing that a customer did, once, however often this is called."""
        async with self.storage.tenant(tenant_id).write() as rows:
            it = await rows.appointments.get(appointment_id)
            if it is None or it.status == "held":
                return
            locale = (await rows.tenant()).locale
            since = self.clock.now() - _NEWS
            history = await rows.appointments.history(appointment_id)
            for number, entry in enumerate(history):
                kind = _KINDS.get(entry.action)
                if kind is None or entry.actor not in _CUSTOMERS or entry.at < since:
                    continue
                await rows.notifications.tell(
                    kind,
                    subject_id=it.id,
                    values=_values(it, entry, locale),
                    key=f"appointment:{it.id}:{number}",
                )


def _values(it: Appointment, entry: HistoryEntry, locale: str) -> dict[str, str]:
    start = (entry.to_start or entry.from_start or it.start_utc).astimezone(ZoneInfo(it.timezone))
    return {
        "who": it.customer_name,
        "when": written_instant(start, language_of(locale)),
        "subject": entry.reason or it.service or "",
    }

"""An appointment as its page shows it. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from domain.agenda import Agenda
from domain.availability import Slot
from domain.customer_pages import page_text, written_instant, written_time
from domain.messages import Language, language_of
from domain.spoken import calendar_day
from domain.tenant import Tenant
from storage import Appointment

#: More times than this on one day are no choice; the business's grid has rarely half of it.
MOST_A_DAY: Final = 60
#: What `?done=` may say, and in which state it is believed.
DONE: Final = {
    "confirmed": ("acknowledged",),
    "moved": ("booked",),
    "cancelled": ("cancelled",),
}


@dataclass(frozen=True, slots=True)
class View:
    """`state` booked, acknowledged, cancelled or past; `open`: it can still be changed. `token`
    stands for what the page shows: a form that carries another one is stale."""

    company: str
    what: str
    when: str
    iso: str
    minutes: int
    who: str
    place: str
    phone: str
    state: str
    open: bool
    token: str


def view_of(
    it: Appointment,
    tenant: Tenant,
    agenda: Agenda,
    language: Language,
    now: datetime,
    *,
    phone: str = "",
    place: str = "",
) -> View:
    """`now` aware; `phone` in E.164; `place` the address that they come to."""
    start = it.start_utc.astimezone(ZoneInfo(tenant.timezone))
    state = state_of(it, now)
    names = {each.id: each.name for each in agenda.resources}
    return View(
        company=tenant.name,
        what=it.service or page_text(language, "appointment"),
        when=written_instant(start, language),
        iso=start.isoformat(),
        minutes=it.minutes,
        who=names.get(it.resource, "") if it.resource else "",
        place=place,
        phone=phone,
        state=state,
        open=state in ("booked", "acknowledged"),
        token=token_of(it),
    )


def state_of(it: Appointment, now: datetime) -> str:
    """What becomes of it, for its customer."""
    if it.status in ("cancelled", "rescheduled"):
        return "cancelled"
    if it.status != "confirmed" or it.start_utc <= now:
        return "past"
    return "acknowledged" if it.acknowledged_at else "booked"


def token_of(it: Appointment) -> str:
    """Changes whenever what the page shows does. No secret: the address is."""
    shown = f"{it.id}|{it.sequence}|{it.status}|{it.start_utc.isoformat()}|{it.minutes}"
    return hashlib.sha256(shown.encode()).hexdigest()[:24]


def days_of(slots: Iterable[Slot], language: Language) -> list[dict[str, Any]]:
    """Free slots by day, for the template."""
    days: dict[date, dict[datetime, Slot]] = {}
    for slot in slots:
        its = days.setdefault(slot.start.date(), {})
        if len(its) < MOST_A_DAY:
            its.setdefault(slot.start, slot)
    return [
        {
            "name": calendar_day(day, language),
            "slots": [
                {
                    "id": f"{start:%Y%m%d%H%M}{start.fold}",
                    "value": start.isoformat(),
                    "name": written_time(start.time(), language),
                }
                for start in sorted(its)
            ],
        }
        for day, its in sorted(days.items())
    ]


def language_for(asked: str, accepted: str, tenant_locale: str | None) -> Language:
    """`asked` in the address; what the browser accepts, by preference; the tenant's."""
    if asked in ("fr", "en"):
        return "fr" if asked == "fr" else "en"
    best: tuple[float, int, str] | None = None
    for number, part in enumerate(accepted[:200].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        primary = tag.split("-")[0].lower()
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if primary in ("fr", "en") and weight > 0 and (best is None or weight > best[0]):
            best = (weight, -number, primary)
    return language_of(best[2] if best else tenant_locale)

"""What a caller says to prove that an appointment is theirs, as a model passes it on."""

from collections.abc import Mapping
from datetime import date as calendar_day
from typing import Annotated, Final, TypeVar

import msgspec

from domain.messages import Language
from domain.spoken import parse_day
from voice.functions.arguments import Name
from voice.functions.contact import person
from voice.functions.context import CallContext
from voice.functions.function import Refused

PARAMETERS: Final[Mapping[Language, Mapping[str, str]]] = {
    "fr": {
        "name": "Le nom auquel le rendez-vous est pris, tel que l'appelant le dit.",
        "date": (
            "Le jour actuel du rendez-vous, tel que l'appelant le dit : 2026-11-24, « mardi »."
        ),
        "code": "Le code de confirmation, si l'appelant le donne : six lettres et chiffres.",
        "appointment_id": "Repris tel quel d'une réponse précédente de cet appel.",
    },
    "en": {
        "name": "The name the appointment is under, as the caller says it.",
        "date": "The current day of the appointment, as the caller says it: 2026-11-24, “Tuesday”.",
        "code": "The confirmation code, if the caller gives it: six letters and digits.",
        "appointment_id": "Taken as it is from an earlier answer in this call.",
    },
}

Day = Annotated[str, msgspec.Meta(max_length=100)]
Code = Annotated[str, msgspec.Meta(max_length=60)]
Id = Annotated[str, msgspec.Meta(max_length=64)]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Once prepared, `date` is ISO."""

    name: Name | None = None
    date: Day | None = None
    code: Code | None = None
    appointment_id: Id | None = None

    @property
    def day(self) -> calendar_day | None:
        """The day, once prepared."""
        return None if self.date is None else calendar_day.fromisoformat(self.date)


F = TypeVar("F", bound=Facts)


def prepared(said: F, context: CallContext) -> F:
    """The day in ISO, and the name if it can be somebody's. Refused when the day can't be read, or
    when nothing was said that could prove anything: whoever answers our own text about an
    appointment needn't say anything more of it."""
    facts = msgspec.structs.replace(said, name=person(said.name), date=_iso_day(said.date, context))
    if facts.code or facts.appointment_id or (facts.name and facts.date):
        return facts
    if context.known_appointments:
        return facts
    raise Refused(
        "ask for the name and the day of the appointment, or for its confirmation code",
        sentence="appointment_facts_missing",
    )


def _iso_day(text: str | None, context: CallContext) -> str | None:
    """The day that was said, in ISO; Refused when it can't be read."""
    if text is None:
        return None
    day = parse_day(text, context.today(), timezone=context.tenant.timezone)
    if day is None:
        raise Refused(
            "date can't be read; ask for which day the appointment is, then send YYYY-MM-DD",
            sentence="appointment_day_unreadable",
        )
    return day.isoformat()

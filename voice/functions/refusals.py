"""What a caller is told who can't have a moment; and how a moment is said."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.agenda import Agenda
from domain.messages import one_of, text
from domain.spoken import spoken_instant
from storage import Unavailable
from voice.functions.context import CallContext
from voice.functions.diary import offered
from voice.functions.function import Answer
from voice.functions.sentences import say


def not_had(sentence: str, refused: Unavailable, agenda: Agenda, context: CallContext) -> Answer:
    """What can't be mistaken for success: no id, a sentence (of `voice.functions.sentences`) that
    says so, and {status (as `Unavailable.why`), alternatives}."""
    alternatives = offered(refused.alternatives, agenda, context)
    spoken = [slot["spoken"] for slot in alternatives]
    why = (
        text(context.locale, f"slot_{refused.why}", alternatives=one_of(context.locale, spoken))
        if spoken
        else text(context.locale, f"slot_{refused.why}_no_other")
    )
    result: dict[str, Any] = {
        "status": refused.why,
        "spoken": f"{say(context.locale, sentence)} {why}",
        "alternatives": alternatives,
    }
    return Answer(result)


def when(start: datetime, context: CallContext, *, article: bool = False) -> str:
    """The moment on the tenant's clock, as it stands inside a sentence."""
    local = start.astimezone(ZoneInfo(context.tenant.timezone))
    spoken = spoken_instant(local, context.today(), context.locale, article=article)
    return spoken.removesuffix(".")  # "two p.m." at the end of a sentence


def door_of(context: CallContext) -> str:
    """By which door they came, for an appointment's history."""
    return "voice" if context.text_turn is None else "text"

"""When what a caller proved fits several appointments."""

from collections.abc import Sequence

from domain.messages import one_of
from storage import Appointment
from voice.functions.context import CallContext
from voice.functions.function import Answer
from voice.functions.refusals import when
from voice.functions.sentences import say


def which_one(found: Sequence[Appointment], context: CallContext) -> Answer:
    """{status: "several", appointments, spoken}: nothing was changed."""
    moments = [when(each.start_utc, context) for each in found]
    return Answer(
        {
            "status": "several",
            "appointments": [
                {"appointment_id": each.id, "spoken": moment}
                for each, moment in zip(found, moments, strict=True)
            ],
            "spoken": say(
                context.locale, "appointment_which", options=one_of(context.locale, moments)
            ),
        }
    )

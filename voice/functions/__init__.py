"""What the agent can do while it talks: one verb per file."""

from voice.functions import (
    book_appointment,
    cancel_appointment,
    check_availability,
    create_ticket,
    end_call,
    find_appointment,
    qualify_prospect,
    refuse_recording,
    reschedule_appointment,
    search_knowledge,
    send_text,
    take_message,
    transfer_call,
)
from voice.functions.function import Function

FUNCTIONS: tuple[Function, ...] = (
    search_knowledge,
    check_availability,
    book_appointment,
    find_appointment,
    reschedule_appointment,
    cancel_appointment,
    qualify_prospect,
    create_ticket,
    take_message,
    send_text,
    refuse_recording,
    transfer_call,
    end_call,
)

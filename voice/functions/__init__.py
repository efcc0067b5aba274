"""What the agent can do while it talks: one verb per file."""

from voice.functions import (
    book_appointment,
    check_availability,
    create_ticket,
    end_call,
    qualify_prospect,
    search_knowledge,
    take_message,
    transfer_call,
)
from voice.functions.function import Function

FUNCTIONS: tuple[Function, ...] = (
    search_knowledge,
    check_availability,
    book_appointment,
    qualify_prospect,
    create_ticket,
    take_message,
    transfer_call,
    end_call,
)

"""Whom a function's row is about: one person, however they spelt their number."""

from storage import TenantRows
from voice.functions.context import CallContext


async def contact_of(
    rows: TenantRows,
    context: CallContext,
    name: str | None,
    phone: str | None,
    email: str | None = None,
) -> str | None:
    """The id of the contact who can be reached at `phone` (E.164) or `email`, None when nothing
    identifies them.

    Whoever dictates another number than they call from may be the same person or not: that is
    proposed, and decided by the business."""
    if phone is not None and phone == context.caller_number:
        person = await rows.contacts.person(name=name, phone=phone, source="call")
        if email is not None:
            person = await rows.contacts.person(phone=phone, email=email, source="said")
        return None if person is None else person.id
    if phone is None and email is None:
        return context.contact_id
    other = await rows.contacts.person(name=name, phone=phone, email=email, source="said")
    caller = await rows.contacts.person(phone=context.caller_number, source="call")
    if other is None or caller is None:
        found = other or caller
        return None if found is None else found.id
    await rows.contacts.suggest(caller.id, other.id, "dictated", context.call_id)
    return other.id

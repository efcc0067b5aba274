"""Whom a function's row is about: one person, however they spelt their number."""

from storage import TenantRows
from storage.contacts import Contact
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
    other = await _dictated(rows, context, name, phone, email)
    caller = await rows.contacts.person(phone=context.caller_number, source="call")
    if other is None or caller is None:
        found = other or caller
        return None if found is None else found.id
    await rows.contacts.suggest(caller.id, other.id, "dictated", context.call_id)
    return other.id


async def _dictated(
    rows: TenantRows, context: CallContext, name: str | None, phone: str | None, email: str | None
) -> Contact | None:
    """Whose these are. An address that somebody else has is not joined by one that was dictated
    with it: whoever dictates a customer's number and an e-mail address of their own would be
    written to in that customer's place."""
    known = await rows.contacts.of(phone=phone) or await rows.contacts.of(email=email)
    if phone is None or email is None or known is None or known.id == context.contact_id:
        return await rows.contacts.person(name=name, phone=phone, email=email, source="said")
    one = await rows.contacts.person(name=name, phone=phone, source="said")
    other = await rows.contacts.person(name=name, email=email, source="said")
    if one is not None and other is not None and one.id != other.id:
        await rows.contacts.suggest(one.id, other.id, "dictated", context.call_id)
    return one or other

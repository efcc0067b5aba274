"""A call of our own to a business's line that has been forwarded to us: whose forwarding works is
known by it, and it goes no further."""

from collections.abc import Collection
from datetime import datetime

from domain.lines import Returned, shown_as
from domain.phone import normalise
from storage import Storage
from storage.calls import NewCall


def unread_forwarding(call: NewCall, region: str) -> str | None:
    """A ForwardedFrom that is no number, as a forwarding check may have learnt it."""
    if normalise(call.forwarded_from_raw, region) is not None:
        return None  # ours, or the caller's own
    return shown_as(call.forwarded_from_raw, region)


async def is_line_test(
    storage: Storage,
    call: NewCall,
    own_numbers: Collection[str],
    region: str,
    dialled_since: datetime,
) -> bool:
    """Whether this call is the one of the forwarding check under way; if so, what it tells is
    stored. `own_numbers`: the deployment's; `dialled_since`: transfers that were dialled since then
    may come back as well."""
    lines, operator = storage.lines, storage.operator
    check = await lines.calling()
    if check is None or call.from_number not in (check.caller_id, check.number):
        return False
    pending = await operator.pending_transfers(dialled_since)
    if call.forwarded_from and any(each.number == call.forwarded_from for each in pending):
        return False
    dialled = None
    if call.to_number not in own_numbers:
        dialled = await operator.tenant_by_number(call.to_number)
    returned = Returned(
        caller=call.from_number,
        shown=call.forwarded_from or unread_forwarding(call, region),
        to_own=dialled is not None and dialled.id == check.tenant_id,
        to_other=dialled is not None and dialled.id != check.tenant_id,
    )
    return await lines.returned(
        call.call_sid,
        returned,
        await operator.our_numbers() | set(own_numbers),
        call.forwarded_from_raw or "",
        ambiguous=bool(pending) and returned.shown is None,
    )

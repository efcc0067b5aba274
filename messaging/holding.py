"""A channel that a vendor refuses rests, with all that waits, until its owner has acted."""

from domain.text_reasons import reason
from storage import TenantRows


async def hold(rows: TenantRows, channel: str, code: str) -> bool:
    """Pause the channel and tell the owner, once; False when it is paused already. `code`: a
    vendor's, or a reason of domain/text_reasons.py."""
    words = reason(code or None, (await rows.tenant()).locale)
    if not await rows.outbox.pause(channel, code or "refused", words):
        return False
    await rows.notifications.tell(
        "channel_paused", subject_id=channel, values={"channel": channel, "reason": words}
    )
    return True

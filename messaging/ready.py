"""From a text's row to what a sender is given."""

from datetime import datetime
from email.utils import parseaddr
from typing import Any

from domain.text_templates import parameter
from messaging.ports import Attachment, Button, OutgoingText, VendorTemplate
from storage import TenantRows, Text

#: A reserved name (RFC 2606): an email without a sender's domain isn't sent anyway.
_NO_DOMAIN = "coccinelle.invalid"


async def outgoing(
    rows: TenantRows, text: Text, sender: str, public_url: str, now: datetime
) -> OutgoingText | None:
    """The text as it goes now; None when WhatsApp would take it neither freely (within 24 hours of
    their last message) nor as a template."""
    extras = text.extras
    template = _template(extras)
    if text.channel == "whatsapp":
        if await window_is_open(rows, text.to, now):
            template = None
        elif template is None:
            return None
    marketing = text.purpose == "marketing" and bool(public_url)
    return OutgoingText(
        id=text.id,
        tenant_id=(await rows.tenant()).id,
        channel=text.channel,
        to=text.to,
        body=text.body,
        purpose=text.purpose,
        subject=text.subject,
        html=str(extras.get("html", "")),
        sender=text.sender or sender or None,
        message_id=text.message_id or _message_id(text, sender),
        in_reply_to=text.in_reply_to or "",
        references=tuple(extras.get("references", ())),
        template=template,
        buttons=tuple(Button(*each) for each in extras.get("buttons", ())),
        attachments=tuple(Attachment(*each) for each in extras.get("attachments", ())),
        unsubscribe_url=f"{public_url.rstrip('/')}/u/{text.id}" if marketing else "",
        reply_to=str(extras.get("reply_to", "")),
        automatic=bool(extras.get("automatic")),
        expires_at=text.expires_at,
        attempt=text.attempts + 1,
    )


async def window_is_open(rows: TenantRows, address: str, now: datetime) -> bool:
    """Whether they wrote within the last 24 hours, so that we may write freely."""
    conversation = await rows.conversations.with_address("whatsapp", address)
    if conversation is None or conversation.window_expires_at is None:
        return False
    return conversation.window_expires_at > now


def _template(extras: Any) -> VendorTemplate | None:
    kept = extras.get("vendor_template")
    if not kept:
        return None
    return VendorTemplate(
        name=kept["name"],
        language=kept["language"],
        parameters=tuple((name, parameter(value)) for name, value in kept["parameters"]),
        buttons=tuple(kept.get("buttons", ())),
    )


def _message_id(text: Text, sender: str) -> str:
    """The same in each attempt: made with the first one, and stored."""
    if text.channel != "email":
        return ""
    _, _, domain = parseaddr(sender)[1].rpartition("@")
    return f"<{text.id}@{domain or _NO_DOMAIN}>"

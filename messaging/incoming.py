"""A text that somebody has sent us, whichever vendor brought it. Pure.

Every vendor's parser makes these; what follows knows no vendor any more.
"""

from datetime import datetime
from typing import Literal

import msgspec

Channel = Literal["sms", "email", "whatsapp"]


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """Something that isn't text. `kind`: image | video | audio | document | sticker | location |
    contacts | other; `reference` is the vendor's id or address, which is never dialled as it is."""

    kind: str
    media_type: str = ""
    reference: str = ""
    name: str = ""


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """An e-mail's place among others: ids with their angle brackets, oldest reference first."""

    subject: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    `vendor_id` is unique within the channel (MessageSid, wamid, Message-ID); `sender` an E.164
    number, a WhatsApp number in E.164, or an e-mail address in lower case, "" when the vendor
    keeps it back; `sender_id` WhatsApp's business-scoped user id or ""; `recipient` what they wrote
    to: our number, WhatsApp's phone_number_id, a mailbox. `reply_to` is the vendor's id of the
    message that is quoted. `button` is the payload of a button that was pressed. `opt_out` is what
    the vendor itself has understood and done (Twilio's OptOutType). `automatic`: written by a
    machine, so never answered. `echo`: the owner's own answer, sent past us from another device
    (`sender` is still the customer). `doubtful`: nothing vouches for the sender, so that a person
    must look before anybody answers.
    """

    channel: Channel
    vendor_id: str
    sender: str
    recipient: str
    text: str = ""
    sender_id: str = ""
    sender_name: str = ""
    sent_at: datetime | None = None
    media: tuple[Media, ...] = ()
    reply_to: str = ""
    button: str = ""
    opt_out: Literal["", "STOP", "START", "HELP"] = ""
    thread: Thread | None = None
    automatic: bool = False
    echo: bool = False
    doubtful: bool = False

"""What sends texts, as the outbox sees it.

A `Sender` hands one text to one vendor and says what is certain:

    Accepted            the vendor has it
    Refused             it has certainly not, and never will: don't ask again
    TryLater            it has certainly not, but may later
    ChannelPaused       it has certainly not, and takes nothing until the tenant acts
    UnknownOutcome      it may have it or not: nobody asks again

Whatever else is raised counts as an unknown outcome. A sender never retries after the vendor
may have taken the text, has a time limit of its own below `TIME_LIMIT`, and logs neither an address
nor a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from domain.errors import ProviderError, TenantError

#: A sender is cut short after so many seconds; the outcome is unknown then.
TIME_LIMIT: Final = 30.0

#: What stands before our id where a vendor carries a word of ours along: theirs, or another
#: program's with the same account, are told apart by it.
OUR_MARK: Final = "text:"


@dataclass(frozen=True, slots=True)
class Button:
    """A reply that is offered (WhatsApp: at most three; `title` ≤ 20 characters, `id` ≤ 256)."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A small text file, such as an invitation: `media_type` with parameters, `content` in UTF-8.
    `alternative`: as another form of the message itself (RFC 6047), not only beside it."""

    name: str
    media_type: str
    content: str = field(repr=False)
    alternative: bool = False


@dataclass(frozen=True, slots=True)
class VendorTemplate:
    """A template that Meta approved. `parameters`: (name, text) in order; the name is "" where
    they are known by position. `buttons`: payloads of its quick replies in order."""

    name: str
    language: str
    parameters: tuple[tuple[str, str], ...] = ()
    buttons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """One text, ready to go. `id` is ours: let the vendor bring it back in each status.

    `to`: E.164, an email address (one addr-spec), or WhatsApp's user id ("FR.1349…"). `body` is
    plain text, also of an email, whose `html` says the same. `sender` None: the vendor's default.
    `in_reply_to` and `references`: Message-IDs, or the id of the WhatsApp message that is quoted.
    `template` goes before `body`. `expires_at`: of no use to anybody after that.
    """

    id: str
    tenant_id: str
    channel: str
    to: str = field(repr=False)
    body: str = field(repr=False)
    purpose: str = "service"  # service | marketing | answer | owner
    subject: str = field(default="", repr=False)
    html: str = field(default="", repr=False)
    sender: str | None = None
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    template: VendorTemplate | None = field(default=None, repr=False)
    buttons: tuple[Button, ...] = field(default=(), repr=False)
    attachments: tuple[Attachment, ...] = ()
    unsubscribe_url: str = field(default="", repr=False)
    reply_to: str = field(default="", repr=False)
    automatic: bool = False  # written by the agent: Auto-Submitted
    expires_at: datetime | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """The tenant's channel as saved, opened. Empty for what is the deployment's own."""

    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor has it. `status`: accepted, or sent when the vendor itself says no more (SMTP's
    250). `sender`: by which number or mailbox it goes, `segments` and `price` if it was told."""

    vendor_id: str
    status: str = "accepted"
    sender: str | None = None
    segments: int | None = None
    price_micros: int | None = None
    price_currency: str | None = None


class Refused(ProviderError):
    """Certainly not taken, and never will be: `code` is the vendor's."""

    def __init__(
        self, vendor: str, reason: str, *, status: int | None = None, code: str = ""
    ) -> None:
        super().__init__(vendor, reason, retryable=False, status=status, code=code)


class TryLater(ProviderError):
    """Certainly not taken, but may be later: after `after` seconds at the earliest, if known."""

    def __init__(
        self,
        vendor: str,
        reason: str,
        *,
        status: int | None = None,
        code: str = "",
        after: float | None = None,
    ) -> None:
        super().__init__(vendor, reason, retryable=True, status=status, code=code)
        self.after = after


class UnknownOutcome(ProviderError):
    """Asked, and no answer: it may have been taken."""

    def __init__(
        self, vendor: str, reason: str, *, status: int | None = None, code: str = ""
    ) -> None:
        super().__init__(vendor, reason, retryable=False, status=status, code=code)


class ChannelPaused(TenantError):
    """Certainly not taken, nor will anything be before the tenant acts: wrong password, expired
    token, unpaid account. What waits stays queued; `code` is the vendor's."""

    def __init__(self, vendor: str, reason: str, *, code: str = "") -> None:
        super().__init__(f"{vendor}: {reason}")
        self.vendor = vendor
        self.reason = reason
        self.code = code


class Sender(Protocol):
    """One vendor's door for one channel."""

    @property
    def vendor(self) -> str:
        """twilio | smtp | whatsapp | 360dialog …: the log's `provider`."""
        ...

    def usable(self, credentials: Credentials) -> bool:
        """Whether it has what it needs to send at all."""
        ...

    def sender(self, credentials: Credentials) -> str:
        """The number, name or mailbox that texts go out by, "" when it isn't known beforehand."""
        ...

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        """Hand it over, once. Raises what the module says."""
        ...

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        """Of a text whose outcome is unknown: what the vendor has of it, if it can be asked. None:
        can't be asked, or nothing was found, which proves nothing. Raises ProviderError."""
        ...

"""WhatsApp by the Cloud API, at Meta's or at 360dialog's; a messaging.ports.Sender.

The two differ in base URL, credentials and path (shared/reference/text-channels.md §1.1 and §2.1);
errors are Meta's codes (§1.3), beside a few of 360dialog's own. There is no idempotency key: what
may have been taken is never sent again, and `biz_opaque_callback_data` brings our id back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.channel_state import DIALOG360_KEY
from domain.errors import ProviderError
from messaging.ports import (
    OUR_MARK,
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    UnknownOutcome,
    VendorTemplate,
)
from providers.http import HttpDoor, Limits
from providers.whatsapp_errors import error_code, kind_of_failure

VENDOR: Final = "whatsapp"
META: Final = "meta"
DIALOG360: Final = "360dialog"

LIMITS: Final = Limits(connect=3.0, read=12.0, total=20.0)

#: WhatsApp's bounds: a text; a text above buttons; buttons, their titles and ids.
MAX_TEXT: Final = 4096
MAX_BUTTONS_TEXT: Final = 1024
MAX_BUTTONS, MAX_TITLE, MAX_BUTTON_ID = 3, 20, 256

_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_NUMBER_ID = re.compile(r"[0-9]{5,32}")
_NUMBER = re.compile(r"\+?([1-9][0-9]{6,14})")


@dataclass(frozen=True, slots=True)
class Line:
    """One number of a business, and whose API it is reached by. `address` "" is the setting's."""

    via: str  # META or DIALOG360
    key: str
    phone_number_id: str = ""
    account_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """What Meta says of a number: a test of its credentials."""

    display_phone_number: str
    verified_name: str
    quality: str


@dataclass(frozen=True, slots=True)
class MediaFile:
    """Where a medium can be fetched for five minutes, with the same credentials. The address is the
    vendor's: it goes through the guarded door."""

    url: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ApprovedTemplate:
    """A template as the account has it. `components` as Meta has them."""

    name: str
    language: str
    status: str
    category: str
    components: tuple[Mapping[str, Any], ...]


class _Id(msgspec.Struct):
    id: str


class _Sent(msgspec.Struct):
    messages: list[_Id] = []


class _Facts(msgspec.Struct):
    display_phone_number: str = ""
    verified_name: str = ""
    quality_rating: str = ""


class _Media(msgspec.Struct):
    url: str
    mime_type: str = ""
    file_size: int = 0
    sha256: str = ""


class _Template(msgspec.Struct):
    name: str
    language: str = ""
    status: str = ""
    category: str = ""
    components: list[dict[str, Any]] = []


class _Templates(msgspec.Struct):
    data: list[_Template] = []
    waba_templates: list[_Template] = []


def line_of(credentials: Credentials) -> Line | None:
    """Which number these are the credentials of; None when something is missing.

    360dialog: secret `d360ApiKey`. Meta: secret `accessToken`, and `phoneNumberId` (which pages
    send as a secret); `wabaId` lists templates.
    """
    secrets, config = credentials.secrets, credentials.config
    key = _text(secrets, DIALOG360_KEY)
    if key:
        return Line(DIALOG360, key, address=_text(config, "d360Address"))
    token = _text(secrets, "accessToken")
    number = _text(secrets, "phoneNumberId") or _text(config, "phoneNumberId")
    if not token or not _NUMBER_ID.fullmatch(number):
        return None
    account = _text(config, "wabaId") or _text(secrets, "wabaId")
    return Line(META, token, number, account if _NUMBER_ID.fullmatch(account) else "")


class WhatsAppApi:
    """Both vendors' APIs. An async context manager; raises ProviderError.

    `graph_url` with `version` ("v25.0"), `dialog360_url`: the settings' own addresses. Another one
    of 360dialog's, which it names with a new key, is honoured below `.360dialog.io` alone.
    """

    def __init__(
        self, graph_url: str, version: str, dialog360_url: str, *, limits: Limits = LIMITS
    ) -> None:
        self._doors = {
            META: HttpDoor(META, f"{graph_url}/{version}", limits=limits, error_code=error_code),
            DIALOG360: HttpDoor(DIALOG360, dialog360_url, limits=limits, error_code=error_code),
        }
        self.dialog360_url = dialog360_url
        self._limits = limits
        self._others: dict[str, HttpDoor] = {}

    async def __aenter__(self) -> "WhatsAppApi":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for door in (*self._doors.values(), *self._others.values()):
            await door.aclose()

    async def post(self, line: Line, body: Mapping[str, Any]) -> bytes:
        """`POST …/messages`, once: nothing is repeated that may have been done."""
        path = f"{line.phone_number_id}/messages" if line.via == META else "messages"
        door = self._door(line)
        answer = await door.request(
            "POST", path, json=body, headers=_authorised(line), idempotent=False
        )
        return answer.body

    async def mark_read(self, line: Line, message_id: str, *, typing: bool = False) -> None:
        """Two blue ticks, and "writing…" until the answer comes, 25 s at most (§1.2)."""
        body: dict[str, Any] = {"messaging_product": "whatsapp", "status": "read"}
        body["message_id"] = message_id
        if typing:
            body["typing_indicator"] = {"type": "text"}
        await self.post(line, body)

    async def check(self, line: Line) -> NumberFacts | None:
        """Whether the credentials open the number; None where only sending would tell (360dialog).
        Raises ProviderError."""
        if line.via != META:
            await self.templates(line)  # an invalid key is refused here too
            return None
        fields = {"fields": "display_phone_number,verified_name,quality_rating"}
        facts = (await self._get(line, line.phone_number_id, fields)).read(_Facts)
        return NumberFacts(facts.display_phone_number, facts.verified_name, facts.quality_rating)

    async def media(self, line: Line, media_id: str) -> MediaFile:
        """Where it is. 360dialog names Meta's host, which only opens under its own (§2.1)."""
        found = (await self._get(line, quote(media_id, safe=""))).read(_Media)
        url = found.url
        if line.via == DIALOG360:
            own = line.address or self.dialog360_url
            url = own.rstrip("/") + "/" + re.sub(r"^https?://[^/]*/?", "", url)
        return MediaFile(url, found.mime_type, found.file_size, found.sha256)

    async def templates(self, line: Line) -> tuple[ApprovedTemplate, ...]:
        """All of the account, whatever their state. Of Meta's, the number's account id must be
        known; () without."""
        if line.via == META and not line.account_id:
            return ()
        if line.via == META:
            fields = {"fields": "name,status,language,category,components", "limit": "200"}
            answer = await self._get(line, f"{line.account_id}/message_templates", fields)
        else:
            answer = await self._get(line, "v1/configs/templates", {"limit": "200"})
        read = answer.read(_Templates)
        return tuple(
            ApprovedTemplate(t.name, t.language, t.status.upper(), t.category, tuple(t.components))
            for t in (*read.data, *read.waba_templates)
        )

    async def set_webhook(self, line: Line, url: str, headers: Mapping[str, str]) -> None:
        """360dialog: where this number's webhooks go, and what they carry; read back, as a new key
        forgets it (§2.2). Raises ProviderError."""
        door = self._door(line)
        body = {"url": url, "headers": dict(headers)}
        await door.request(
            "POST", "v1/configs/webhook", json=body, headers=_authorised(line), idempotent=True
        )
        if await self.webhook(line) != url:
            raise ProviderError(DIALOG360, "the webhook wasn't kept", retryable=True)

    async def webhook(self, line: Line) -> str:
        """360dialog: where this number's webhooks go, "" for nowhere."""
        return (await self._get(line, "v1/configs/webhook")).read(_Webhook).url or ""

    async def _get(self, line: Line, path: str, params: Mapping[str, str] | None = None) -> Any:
        door = self._door(line)
        return await door.request("GET", path, params=params, headers=_authorised(line))

    def _door(self, line: Line) -> HttpDoor:
        if line.via == META or line.address in ("", self.dialog360_url):
            return self._doors[line.via]
        if not is_dialog360_address(line.address):
            raise ProviderError(DIALOG360, "another host's address", retryable=False, code="host")
        if line.address not in self._others:
            self._others[line.address] = HttpDoor(
                DIALOG360, line.address, limits=self._limits, error_code=error_code
            )
        return self._others[line.address]


class _Webhook(msgspec.Struct):
    url: str | None = None


def is_dialog360_address(url: str) -> bool:
    """Whether a key may be sent there: a host below 360dialog.io, over TLS, no port, no path."""
    return bool(re.fullmatch(r"https://[a-z0-9-]{1,63}\.360dialog\.io/?", url))


class WhatsAppTexts:
    """Sends for every tenant by its own number."""

    vendor: Final = VENDOR

    def __init__(self, api: WhatsAppApi) -> None:
        self._api = api

    def usable(self, credentials: Credentials) -> bool:
        """Token and number, or a key of 360dialog's."""
        return line_of(credentials) is not None

    def sender(self, credentials: Credentials) -> str:
        """The number as its owner wrote it, if it is one."""
        number = _NUMBER.fullmatch(
            re.sub(r"[\s.()-]", "", _text(credentials.config, "whatsappNumber"))
        )
        return f"+{number[1]}" if number else ""

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        """One message. Raises what messaging.ports says."""
        line = line_of(credentials)
        if line is None:
            raise ChannelPaused(VENDOR, "no credentials", code="not_configured")
        try:
            answer = await self._api.post(line, message_body(text))
            sent = msgspec.json.decode(answer, type=_Sent)
        except ProviderError as error:
            raise kind_of_failure(error, line.via) from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise UnknownOutcome(line.via, "an answer of another shape") from error
        if not sent.messages:
            raise UnknownOutcome(line.via, "an answer without an id")
        return Accepted(sent.messages[0].id, sender=self.sender(credentials) or None)

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        """Neither vendor can be asked: the status brings our id."""
        return None


# --------------------------------------------------------------------------- what is sent


def message_body(text: OutgoingText) -> dict[str, Any]:
    """The request. Raises Refused for what WhatsApp takes from nobody."""
    body: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    number = _NUMBER.fullmatch(text.to)
    if number is not None:
        body["to"] = number[1]
    elif _USER_ID.fullmatch(text.to):
        body["recipient"] = text.to
    else:
        raise Refused(VENDOR, "neither a number nor a user id", code="131009")
    body["biz_opaque_callback_data"] = f"{OUR_MARK}{text.id}"
    if text.in_reply_to:
        body["context"] = {"message_id": text.in_reply_to}
    if text.template is not None:
        return body | {"type": "template", "template": _template(text.template)}
    if text.buttons:
        return body | {"type": "interactive", "interactive": _buttons(text)}
    if not 1 <= len(text.body) <= MAX_TEXT:
        raise Refused(VENDOR, f"a text has 1 to {MAX_TEXT} characters", code="100")
    return body | {"type": "text", "text": {"preview_url": False, "body": text.body}}


def _template(template: VendorTemplate) -> dict[str, Any]:
    parameters = []
    for name, value in template.parameters:
        # Line breaks, tabs and four spaces are refused in parameters (§1.1).
        shown = " ".join(value.split())
        if not shown:
            raise Refused(VENDOR, "a parameter of the template is empty", code="131008")
        named = {"parameter_name": name} if name else {}
        parameters.append({"type": "text", **named, "text": shown})
    components: list[dict[str, Any]] = []
    if parameters:
        components.append({"type": "body", "parameters": parameters})
    for index, payload in enumerate(template.buttons):
        press = {"type": "payload", "payload": payload[:MAX_BUTTON_ID]}
        button = {"type": "button", "sub_type": "quick_reply", "index": str(index)}
        components.append({**button, "parameters": [press]})
    named_template = {"name": template.name, "language": {"code": template.language}}
    return {**named_template, "components": components} if components else named_template


def _buttons(text: OutgoingText) -> dict[str, Any]:
    fine = all(
        1 <= len(b.title) <= MAX_TITLE and 1 <= len(b.id) <= MAX_BUTTON_ID for b in text.buttons
    )
    if not fine or len(text.buttons) > MAX_BUTTONS or not 1 <= len(text.body) <= MAX_BUTTONS_TEXT:
        raise Refused(VENDOR, "too many or too long buttons, or too long a text", code="131009")
    replies = [{"type": "reply", "reply": {"id": b.id, "title": b.title}} for b in text.buttons]
    return {"type": "button", "body": {"text": text.body}, "action": {"buttons": replies}}


def _authorised(line: Line) -> dict[str, str]:
    if line.via == META:
        return {"Authorization": f"Bearer {line.key}"}
    return {"D360-API-KEY": line.key}


def _text(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)  # an id that a page sent as a number
    return found.strip() if isinstance(found, str) else ""

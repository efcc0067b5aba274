"""WhatsApp's Cloud API as Meta and 360dialog both speak it: what a number may send to whom, and
what is told of it afterwards. No HTTP here.

Facts: shared reference `text-channels.md` §1 (marked there where they aren't Meta's own words).
"""

import itertools
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

WINDOW_SECONDS = 24 * 3600.0
MAX_TEXT = 4096
MAX_OPAQUE = 512
_NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_KNOWN = frozenset(
    "messaging_product recipient_type to recipient type context biz_opaque_callback_data text "
    "template interactive status message_id typing_indicator image document audio video sticker "
    "reaction location contacts".split()
)


class GraphError(Exception):
    """An error answer; `code` is Meta's."""

    def __init__(self, status: int, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details

    def body(self) -> dict[str, Any]:
        """As Meta words it."""
        error: dict[str, Any] = {"message": f"(#{self.code}) {self.message}", "code": self.code}
        error["type"] = "OAuthException"
        if self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        return {"error": error | {"fbtrace_id": "Asandbox"}}


@dataclass(frozen=True, slots=True)
class Template:
    """A template of an account. `parameters`: names, or how many there are when they go by
    position; `buttons`: how many quick replies it has."""

    name: str
    language: str
    parameters: tuple[str, ...] | int = 0
    buttons: int = 0
    status: str = "APPROVED"
    category: str = "UTILITY"
    body: str = "…"

    def resource(self) -> dict[str, Any]:
        """As a list of templates shows it."""
        components: list[dict[str, Any]] = [{"type": "BODY", "text": self.body}]
        if self.buttons:
            texts = [{"type": "QUICK_REPLY", "text": f"{n + 1}"} for n in range(self.buttons)]
            components.append({"type": "BUTTONS", "buttons": texts})
        return {
            "name": self.name,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "components": components,
        }


@dataclass(slots=True)
class Person:
    """Somebody on WhatsApp. `number` "" is kept from businesses: only `user_id` is known then.
    `wrote_at`: by the clock of the emulator; None never did."""

    number: str
    user_id: str
    name: str = "Léa"
    wrote_at: float | None = None
    stopped_marketing: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the next message: `refuse` a code at once; `status` an HTTP status instead
    of an answer; `accept_then`: it is taken, and then the connection is cut or silent; `statuses`
    in the order in which they are told, each `times`; `error`: the code of "failed"."""

    refuse: int = 0
    status: int = 0
    accept_then: Literal["", "cut", "hang"] = ""
    statuses: tuple[str, ...] = ("sent", "delivered")
    error: int = 0
    times: int = 1


@dataclass(slots=True)
class Sent:
    """A message that was taken, and what it was asked as."""

    id: str
    phone_number_id: str
    to: Person
    body: dict[str, Any]
    fate: Fate


@dataclass(slots=True)
class Account:
    """One number of a business and what belongs to it."""

    phone_number_id: str
    waba_id: str
    number: str
    name: str = "Salon Élégance"
    templates: list[Template] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    typing: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    received: set[str] = field(default_factory=set)


class CloudApi:
    """Everybody on WhatsApp, and what businesses send them. `now`: seconds, any clock."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.accounts: dict[str, Account] = {}
        self.people: list[Person] = []
        self.fates: deque[Fate] = deque()
        self.media: dict[str, tuple[str, bytes]] = {}
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        """A fresh wamid."""
        return f"wamid.HBgSANDBOX{next(self._ids):08d}=="

    def find(self, to: str) -> Person | None:
        """By number or by user id."""
        digits = to.lstrip("+")
        for person in self.people:
            if to == person.user_id or (person.number and digits == person.number.lstrip("+")):
                return person
        return None

    # ------------------------------------------------------------------ sending

    def post(self, account: Account, body: Any) -> tuple[dict[str, Any], Sent | None]:
        """What `POST …/messages` answers, and the message, if it was one. Raises GraphError."""
        if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
            raise _missing("messaging_product")
        unknown = body.keys() - _KNOWN
        if unknown:
            raise GraphError(400, 100, f"Unexpected key {sorted(unknown)[0]!r}")
        if "status" in body:
            return self._mark_read(account, body), None
        fate = self.fates.popleft() if self.fates else Fate()
        person = self._recipient(account, body)
        self._check(account, person, body)
        if fate.refuse:
            raise GraphError(400, fate.refuse, "As ordered")
        sent = Sent(self.new_id(), account.phone_number_id, person, body, fate)
        if not fate.status:
            account.sent.append(sent)
        contact = {"input": body.get("to") or body.get("recipient"), "user_id": person.user_id}
        if person.number:
            contact["wa_id"] = person.number.lstrip("+")
        answer = {"messaging_product": "whatsapp", "contacts": [contact]}
        return answer | {"messages": [{"id": sent.id, "message_status": "accepted"}]}, sent

    def _mark_read(self, account: Account, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["status"] != "read" or body.get("message_id") not in account.received:
            raise GraphError(400, 100, "Invalid parameter", "message_id isn't one of a user")
        account.read.append(body["message_id"])
        if "typing_indicator" in body:
            if body["typing_indicator"] != {"type": "text"}:
                raise _wrong("typing_indicator")
            account.typing.append(body["message_id"])
        return {"success": True}

    def _recipient(self, account: Account, body: Mapping[str, Any]) -> Person:
        to, recipient = body.get("to"), body.get("recipient")
        if not to and not recipient:
            raise _missing("to")
        if to and not (isinstance(to, str) and _NUMBER.fullmatch(to)):
            raise _wrong("to")  # a user id among them
        if recipient and not (isinstance(recipient, str) and _USER_ID.fullmatch(recipient)):
            raise _wrong("recipient")
        if to and to.lstrip("+") == account.number.lstrip("+"):
            raise GraphError(400, 131021, "Recipient cannot be sender")
        person = self.find(str(to or recipient))
        if person is None:
            raise GraphError(400, 131026, "Message undeliverable")
        return person

    def _check(self, account: Account, person: Person, body: dict[str, Any]) -> None:
        opaque = body.get("biz_opaque_callback_data", "")
        if not isinstance(opaque, str) or len(opaque) > MAX_OPAQUE:
            raise _wrong("biz_opaque_callback_data")
        kind = body.get("type", "text")
        if kind == "template":
            self._check_template(account, person, body.get("template"))
            return
        if kind == "text":
            _check_text(body.get("text"))
        elif kind == "interactive":
            _check_interactive(body.get("interactive"))
        else:
            raise GraphError(400, 131051, "Unsupported message type")
        if person.wrote_at is None or self.now() - person.wrote_at > WINDOW_SECONDS:
            raise GraphError(
                400,
                131047,
                "Re-engagement message",
                "More than 24 hours have passed since the customer last replied",
            )

    def _check_template(self, account: Account, person: Person, given: Any) -> None:
        if not isinstance(given, dict) or not given.get("name"):
            raise _missing("template.name")
        code = given.get("language", {}).get("code")
        if not code:
            raise _missing("template.language.code")
        found = [
            each
            for each in account.templates
            if (each.name, each.language, each.status) == (given["name"], code, "APPROVED")
        ]
        if not found:
            raise GraphError(404, 132001, "Template name does not exist in the translation")
        (template,) = found
        if template.category == "MARKETING" and person.stopped_marketing:
            raise GraphError(400, 131050, "User has stopped marketing messages")
        _check_components(template, given.get("components", []))

    # ------------------------------------------------------------------ what is told

    def envelope(self, account: Account, field: str, value: Mapping[str, Any]) -> bytes:
        """A webhook's body: Meta escapes what isn't ASCII."""
        told = {"messaging_product": "whatsapp"} | {
            "metadata": {
                "display_phone_number": account.number.lstrip("+"),
                "phone_number_id": account.phone_number_id,
            }
        }
        change = {"field": field, "value": told | dict(value)}
        entry = {"id": account.waba_id, "changes": [change]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()

    def written(self, account: Account, person: Person, **message: Any) -> dict[str, Any]:
        """The value of a change in which somebody writes; the window opens."""
        person.wrote_at = self.now()
        whole = {
            "from_user_id": person.user_id,
            "id": self.new_id(),
            "timestamp": str(int(self.now())),
        } | message
        contact: dict[str, Any] = {"profile": {"name": person.name}, "user_id": person.user_id}
        if person.number:
            whole["from"] = contact["wa_id"] = person.number.lstrip("+")
        account.received.add(whole["id"])
        return {"contacts": [contact], "messages": [whole]}

    def status(self, sent: Sent, status: str) -> dict[str, Any]:
        """The value of a change that tells what became of a message."""
        told: dict[str, Any] = {
            "id": sent.id,
            "status": status,
            "timestamp": str(int(self.now())),
            "recipient_user_id": sent.to.user_id,
        }
        if sent.to.number:
            told["recipient_id"] = sent.to.number.lstrip("+")
        opaque = sent.body.get("biz_opaque_callback_data")
        if opaque:
            told["biz_opaque_callback_data"] = opaque
        if status == "failed":
            error = GraphError(400, sent.fate.error or 131000, "As ordered").body()["error"]
            told["errors"] = [{"code": error["code"], "title": error["message"]}]
        elif status == "sent":
            price = {"billable": True, "pricing_model": "PMP", "category": "utility"}
            told["pricing"] = price | {"type": "regular"}
        return {"statuses": [told]}


def _check_text(text: Any) -> None:
    body = text.get("body") if isinstance(text, dict) else None
    if not isinstance(body, str) or not body:
        raise _missing("text.body")
    if len(body) > MAX_TEXT:
        raise GraphError(400, 100, "Param text['body'] must be at most 4096 characters long.")


def _check_interactive(given: Any) -> None:
    if not isinstance(given, dict) or given.get("type") != "button":
        raise _wrong("interactive.type")
    body = given.get("body", {}).get("text", "")
    if not 1 <= len(body) <= 1024:
        raise _wrong("interactive.body.text")
    buttons = given.get("action", {}).get("buttons", [])
    if not 1 <= len(buttons) <= 3:
        raise GraphError(400, 131009, "Parameter value is not valid", "1 to 3 buttons")
    replies = [each.get("reply", {}) for each in buttons if each.get("type") == "reply"]
    ids = [each.get("id", "") for each in replies]
    titles = [each.get("title", "") for each in replies]
    fine = all(1 <= len(each) <= 256 for each in ids) and all(1 <= len(t) <= 20 for t in titles)
    if len(replies) != len(buttons) or not fine or len(set(titles)) != len(titles):
        raise _wrong("interactive.action.buttons")


def _check_components(template: Template, components: Any) -> None:
    parameters: list[dict[str, Any]] = []
    buttons = 0
    for component in components:
        if component.get("type") == "body":
            parameters += component.get("parameters", [])
        elif component.get("type") == "button":
            buttons += 1
            payload = component.get("parameters", [{}])[0]
            if component.get("sub_type") != "quick_reply" or payload.get("type") != "payload":
                raise _wrong("template.components.button")
            if not component.get("index", "").isdigit():
                raise _wrong("template.components.button.index")
        else:
            raise _wrong("template.components.type")
    wanted = template.parameters
    count = wanted if isinstance(wanted, int) else len(wanted)
    if len(parameters) != count or buttons > template.buttons:
        raise GraphError(400, 132000, "Number of parameters does not match")
    for parameter in parameters:
        text = parameter.get("text")
        if parameter.get("type") != "text" or not text or re.search(r"[\n\t]| {4}", text):
            raise GraphError(400, 132012, "Parameter format does not match")
    names = {parameter.get("parameter_name") for parameter in parameters}
    expected = {None} if isinstance(wanted, int) else set(wanted)
    if parameters and names != expected:
        raise GraphError(400, 132012, "Parameter names do not match")


def _missing(name: str) -> GraphError:
    return GraphError(400, 131008, "Required parameter is missing", name)


def _wrong(name: str) -> GraphError:
    return GraphError(400, 131009, "Parameter value is not valid", name)

"""Twilio's REST interface, as far as a voice server uses it: Calls, Messages, IncomingPhoneNumbers.

Paths, parameters and codes: shared reference `twilio.md` §4 and §5 (Twilio's OpenAPI v2010 spec);
codes marked there as unverified are the best known.
"""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.call_recordings import STATUSES, CallRecording
from sandbox.leg import Fetch, Inline, Leg
from sandbox.messages import Message, MessageRefused
from sandbox.numbers import Number
from sandbox.twilio_texts import Texts

MAX_INLINE_TWIML = 4000
API_VERSION = "2010-04-01"


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class Outage:
    """Makes the next requests fail: `times` of them, on paths that contain `path`."""

    status: int
    code: int
    times: int = 1
    path: str = ""
    retry_after: str = ""


class Account(Protocol):
    """What the interface serves and acts on."""

    account_sid: str
    outages: list[Outage]

    @property
    def legs(self) -> Mapping[str, Leg]:
        """By sid."""
        ...

    @property
    def messages(self) -> Mapping[str, Message]:
        """By sid."""
        ...

    @property
    def texts(self) -> Texts:
        """What becomes of them."""
        ...

    @property
    def recordings(self) -> dict[str, bytes]:
        """WAV files by sid."""
        ...

    def accepts(self, auth_token: str) -> bool:
        """Whether this is the primary or the secondary token."""
        ...

    @property
    def numbers(self) -> Mapping[str, Number]:
        """By number."""
        ...

    def place_call(self, fields: Mapping[str, str], events: frozenset[str]) -> Leg:
        """Ring somebody. Raises Refusal."""
        ...

    def send_message(self, fields: Mapping[str, str]) -> Message:
        """Raises MessageRefused."""
        ...


Handler = Callable[[Request], Awaitable[Response]]


class RestApi:
    """The application; everything under one account, with Basic authentication."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.call_recordings: dict[str, CallRecording] = {}
        root = f"/{API_VERSION}/Accounts/{{account}}"
        table: list[tuple[str, Mapping[str, Handler]]] = [
            (f"{root}.json", {"GET": self._get_account}),
            (f"{root}/Calls.json", {"POST": self._create_call}),
            (f"{root}/Calls/{{sid}}.json", {"GET": self._get_call, "POST": self._update_call}),
            (
                f"{root}/Messages.json",
                {"GET": self._list_messages, "POST": self._create_message},
            ),
            (f"{root}/Messages/{{sid}}.json", {"GET": self._get_message}),
            (f"{root}/IncomingPhoneNumbers.json", {"GET": self._list_numbers}),
            (
                f"{root}/IncomingPhoneNumbers/{{sid}}.json",
                {"GET": self._get_number, "POST": self._update_number},
            ),
            (f"{root}/Recordings/{{sid}}.wav", {"GET": self._get_recording}),
            (f"{root}/Recordings/{{recording}}.json", {"DELETE": self._delete_recording}),
            (
                f"{root}/Calls/{{sid}}/Recordings.json",
                {"GET": self._list_recordings, "POST": self._start_recording},
            ),
            (
                f"{root}/Calls/{{sid}}/Recordings/{{recording}}.json",
                {"POST": self._update_recording},
            ),
        ]
        self.app = Starlette(
            routes=[
                Route(path, self._guarded(handlers), methods=["GET", "POST", "DELETE", "PUT"])
                for path, handlers in table
            ],
            exception_handlers={404: _not_found},
        )

    def _guarded(self, handlers: Mapping[str, Handler]) -> Handler:
        async def endpoint(request: Request) -> Response:
            try:
                self._authenticate(request)
                self._fail_if_told(request)
                handler = handlers.get("GET" if request.method == "HEAD" else request.method)
                if handler is None:
                    raise Refusal(405, 20004, "Method not allowed")
                return await handler(request)
            except Refusal as refusal:
                return _error(refusal)

        return endpoint

    def _authenticate(self, request: Request) -> None:
        account = self._account
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            user = password = ""
        known = hmac.compare_digest(user.encode(), account.account_sid.encode())
        if kind.lower() != "basic" or not known or not account.accepts(password):
            raise Refusal(401, 20003, "Authenticate")
        if request.path_params["account"] != account.account_sid:
            raise _missing(request)

    def _fail_if_told(self, request: Request) -> None:
        for outage in self._account.outages:
            if outage.times > 0 and outage.path in request.url.path:
                outage.times -= 1
                raise Refusal(outage.status, outage.code, "The sandbox was told to fail")

    # ------------------------------------------------------------------ resources

    async def _get_account(self, request: Request) -> Response:
        sid = self._account.account_sid
        return JSONResponse(
            {"sid": sid, "friendly_name": "Sandbox", "status": "active", "type": "Full"}
            | {"uri": f"/{API_VERSION}/Accounts/{sid}.json"}
        )

    async def _get_call(self, request: Request) -> Response:
        return JSONResponse(self._call(self._leg(request)))

    async def _create_call(self, request: Request) -> Response:
        pairs = await _pairs(request)
        events = frozenset(value for name, value in pairs if name == "StatusCallbackEvent")
        leg = self._account.place_call(dict(pairs), events)
        return JSONResponse(self._call(leg), status_code=201)

    async def _update_call(self, request: Request) -> Response:
        leg = self._leg(request)
        fields = dict(await _pairs(request))
        _check_update(leg, fields)
        status = fields.get("Status")
        if status is not None:
            leg.end("server", status)
        elif "Url" in fields:
            leg.redirect(Fetch(fields["Url"], fields.get("Method", "POST")))
        elif "Twiml" in fields:
            leg.redirect(Inline(fields["Twiml"]))
        if "StatusCallback" in fields:
            leg.record.status_callback = fields["StatusCallback"]
        return JSONResponse(self._call(leg))

    async def _create_message(self, request: Request) -> Response:
        try:
            message = self._account.send_message(dict(await _pairs(request)))
        except MessageRefused as refused:
            raise Refusal(400, refused.code, str(refused)) from refused
        fate = self._account.texts.by_sid[message.sid].answer
        if fate == "hang":
            await asyncio.Event().wait()
        if fate == "500":
            raise Refusal(500, 20500, "Internal Server Error")
        if fate == "cut":
            return Response(b"", headers={"content-length": "512"})  # which never come
        return JSONResponse(message.resource(self._account.account_sid), status_code=201)

    async def _list_messages(self, request: Request) -> Response:
        """The latest first; `To` and `From` are whole numbers."""
        query = request.query_params
        found = [
            message.resource(self._account.account_sid)
            for message in reversed(tuple(self._account.messages.values()))
            if query.get("To", message.to_number) == message.to_number
            and query.get("From", message.from_number or "") == (message.from_number or "")
        ]
        size = int(query.get("PageSize", "50"))
        return JSONResponse({"messages": found[:size], "page": 0, "page_size": size})

    async def _get_message(self, request: Request) -> Response:
        message = self._account.messages.get(request.path_params["sid"])
        if message is None:
            raise _missing(request)
        return JSONResponse(message.resource(self._account.account_sid))

    async def _list_numbers(self, request: Request) -> Response:
        wanted = request.query_params.get("PhoneNumber", "")
        # "Only show numbers that match this pattern": part of a number is enough.
        found = [
            number.resource(self._account.account_sid)
            for number in self._account.numbers.values()
            if wanted.lstrip("+") in number.phone_number
        ]
        uri = f"{request.url.path}?{request.url.query}"
        return JSONResponse(
            {"incoming_phone_numbers": found, "page": 0, "page_size": 50, "uri": uri}
            | {"first_page_uri": uri, "next_page_uri": None, "previous_page_uri": None}
            | {"start": 0, "end": max(0, len(found) - 1)}
        )

    async def _get_number(self, request: Request) -> Response:
        return JSONResponse(self._number(request).resource(self._account.account_sid))

    async def _update_number(self, request: Request) -> Response:
        number = self._number(request)
        problem = number.update(dict(await _pairs(request)))
        if problem is not None:
            raise Refusal(400, *problem)
        return JSONResponse(number.resource(self._account.account_sid))

    async def _get_recording(self, request: Request) -> Response:
        audio = self._account.recordings.get(request.path_params["sid"])
        if audio is None:
            raise _missing(request)
        return Response(audio, media_type="audio/x-wav")

    async def _start_recording(self, request: Request) -> Response:
        leg = self._leg(request)
        if leg.record.status != "in-progress":
            raise Refusal(400, 21220, "Requested resource is not eligible for recording")
        fields = dict(await _pairs(request))
        if fields.get("RecordingChannels", "mono") not in ("mono", "dual"):
            raise Refusal(400, 20001, "RecordingChannels is neither mono nor dual")
        made = CallRecording(f"RE{uuid4().hex}", leg.record.sid)
        self.call_recordings[made.sid] = made
        return JSONResponse(made.resource(self._account.account_sid, API_VERSION), status_code=201)

    async def _list_recordings(self, request: Request) -> Response:
        leg = self._leg(request)
        found = [
            each.resource(self._account.account_sid, API_VERSION)
            for each in self.call_recordings.values()
            if each.call_sid == leg.record.sid
        ]
        return JSONResponse({"recordings": found, "page": 0, "page_size": 50})

    async def _update_recording(self, request: Request) -> Response:
        found = self.call_recordings.get(request.path_params["recording"])
        if found is None or found.call_sid != request.path_params["sid"]:
            raise _missing(request)
        status = dict(await _pairs(request)).get("Status")
        if status not in STATUSES:
            raise Refusal(400, 20001, "Status is none of in-progress, paused, stopped")
        if found.status == "stopped" or self._leg(request).record.over:
            raise Refusal(400, 21220, "Recording is not in-progress")
        found.status = status
        return JSONResponse(found.resource(self._account.account_sid, API_VERSION))

    async def _delete_recording(self, request: Request) -> Response:
        sid = request.path_params["recording"]
        begun = self.call_recordings.pop(sid, None)
        if self._account.recordings.pop(sid, None) is None and begun is None:
            raise _missing(request)
        return Response(status_code=204)

    # ------------------------------------------------------------------ parts

    def _leg(self, request: Request) -> Leg:
        leg = self._account.legs.get(request.path_params["sid"])
        if leg is None:
            raise _missing(request)
        return leg

    def _number(self, request: Request) -> Number:
        for number in self._account.numbers.values():
            if number.sid == request.path_params["sid"]:
                return number
        raise _missing(request)

    def _call(self, leg: Leg) -> dict[str, Any]:
        return call_resource(leg, self._account.account_sid)


def call_resource(leg: Leg, account_sid: str) -> dict[str, Any]:
    """A Call, as GET gives it: numbers of seconds are strings, dates RFC 2822."""
    record = leg.record
    return {
        "sid": record.sid,
        "account_sid": account_sid,
        "parent_call_sid": record.parent_sid,
        "api_version": API_VERSION,
        "from": record.from_number,
        "to": record.to_number,
        "status": record.status,
        "direction": record.direction,
        "forwarded_from": record.forwarded_from,
        "answered_by": None,
        "caller_name": None,
        "date_created": format_datetime(record.created),
        "date_updated": format_datetime(record.ended or record.started or record.created),
        "start_time": record.started and format_datetime(record.started),
        "end_time": record.ended and format_datetime(record.ended),
        "duration": str(record.duration) if record.over else None,
        "price": f"-{0.0085 * -(-record.duration // 60):.5f}" if record.over else None,
        "price_unit": "USD",
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"/{API_VERSION}/Accounts/{account_sid}/Calls/{record.sid}.json",
    }


def _check_update(leg: Leg, fields: Mapping[str, str]) -> None:
    """Raises Refusal for what Twilio would not do to this call."""
    status = fields.get("Status")
    if "Url" in fields and "Twiml" in fields:
        raise Refusal(400, 20001, "Url and Twiml are mutually exclusive")
    if len(fields.get("Twiml", "")) > MAX_INLINE_TWIML:
        raise Refusal(400, 32018, f"Twiml: at most {MAX_INLINE_TWIML} characters")
    if status not in (None, "completed", "canceled"):
        raise Refusal(400, 20001, f"Status {status!r} is neither completed nor canceled")
    for name in ("Url", "FallbackUrl", "StatusCallback"):
        if name in fields and not is_address(fields[name]):
            raise Refusal(400, 21205, f"{name} is not a valid URL: {fields[name]}")
    if leg.record.over:
        raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
    if status == "canceled" and leg.record.status not in ("queued", "ringing"):
        raise Refusal(400, 21220, "Only a queued or ringing call can be canceled.")
    if ("Url" in fields or "Twiml" in fields) and leg.record.status != "in-progress":
        raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")


def is_address(url: str) -> bool:
    """Whether Twilio would request it: absolute, http(s), no underscore in the host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "_" not in parts.netloc


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The form, blank values kept. Anything else is refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, 20415, f"Content type {kind!r} is not supported")
    return parse_qsl((await request.body()).decode(), keep_blank_values=True)


def _missing(request: Request) -> Refusal:
    return Refusal(404, 20404, f"The requested resource {request.url.path} was not found")


def _error(refusal: Refusal) -> Response:
    body = {"code": refusal.code, "message": refusal.message, "status": refusal.status}
    body["more_info"] = f"https://www.twilio.com/docs/errors/{refusal.code}"
    headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if refusal.status == 401 else None
    return JSONResponse(body, status_code=refusal.status, headers=headers)


async def _not_found(request: Request, error: Exception) -> Response:
    return _error(_missing(request))

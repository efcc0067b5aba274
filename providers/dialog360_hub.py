"""360dialog's partner API: which numbers are a client's, and keys for them.

Onboarding is not OAuth (shared/reference/text-channels.md §2.4): the tenant signs up there and
comes back with the names of channels, which nothing vouches for. Each is therefore looked up here
before a key is made, and a key is only made for a channel of that very client.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from domain.errors import Invalid, ProviderError
from providers.http import Answer, HttpDoor, Limits
from providers.whatsapp import DIALOG360, is_dialog360_address
from providers.whatsapp_errors import error_code

LIMITS: Final = Limits(connect=3.0, read=8.0, total=15.0)
#: Where a tenant signs up.
SIGN_UP: Final = "https://app.360dialog.com/onboarding"

_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_MAX_CHANNELS: Final = 20


@dataclass(frozen=True, slots=True)
class Partner:
    """The operator's account: `api_key`, or the older `user` and `password`, for which the hub
    gives tokens."""

    id: str
    api_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HubChannel:
    """A number as the hub knows it. `ready`: messages can be sent."""

    id: str
    client_id: str
    number: str
    name: str
    account_id: str
    status: str

    @property
    def ready(self) -> bool:
        """Running; before, a key is of no use yet."""
        return self.status in {"running", "ready"}


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """A new key, shown once, and the messaging API that it opens."""

    api_key: str = field(repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a browser comes back with; nothing in it is proven."""

    client_id: str
    channels: tuple[str, ...]
    revoked: tuple[str, ...]
    state: str


class _Token(msgspec.Struct):
    access_token: str


class _Setup(msgspec.Struct):
    phone_number: str | None = None
    phone_name: str | None = None


class _Account(msgspec.Struct):
    external_id: str | None = None
    id: str | None = None


class _Client(msgspec.Struct):
    id: str | None = None


class _Channel(msgspec.Struct):
    id: str
    client_id: str | None = None
    client: _Client | None = None
    status: str | None = None
    setup_info: _Setup | None = None
    waba_account: _Account | None = None


class _Channels(msgspec.Struct):
    partner_channels: list[_Channel] = []


class _Key(msgspec.Struct):
    api_key: str | None = None
    address: str | None = None
    api_keys: list["_Key"] = []


class Dialog360Hub:
    """The hub at `base_url`. An async context manager; raises ProviderError.

    `messaging_url`: the setting's address of the messaging API; a key may open another one below
    `.360dialog.io`, and nothing else.
    """

    def __init__(
        self, base_url: str, partner: Partner, messaging_url: str, *, limits: Limits = LIMITS
    ) -> None:
        self._partner = partner
        self._messaging_url = messaging_url.rstrip("/")
        self._door = HttpDoor(DIALOG360, base_url, limits=limits, error_code=error_code)

    async def __aenter__(self) -> "Dialog360Hub":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._door.aclose()

    async def channel(self, channel_id: str) -> HubChannel | None:
        """The number of that id, if it is one of this partner's."""
        params = {"filters": json.dumps({"id": channel_id}, separators=(",", ":"))}
        answer = await self._request("GET", "channels", params=params)
        found = answer.read(_Channels).partner_channels
        return next((_hub_channel(each) for each in found if each.id == channel_id), None)

    async def create_key(self, channel_id: str) -> ChannelKey:
        """A new key for a number. It makes the old one invalid and forgets the webhook, so it is
        never repeated; the webhook has to be set anew. 403: the client hasn't permitted it."""
        path = f"channels/{quote(channel_id, safe='')}/api_keys"
        answer = await self._request("POST", path, json={}, idempotent=False)
        read = answer.read(_Key)
        key = read.api_keys[0] if read.api_keys else read
        if not key.api_key:
            raise ProviderError(
                DIALOG360, "an answer without a key", retryable=False, code="unexpected_answer"
            )
        address = (key.address or self._messaging_url).rstrip("/")
        if address != self._messaging_url and not is_dialog360_address(address):
            raise ProviderError(DIALOG360, "a key for another host", retryable=False, code="host")
        return ChannelKey(key.api_key, "" if address == self._messaging_url else address)

    async def _request(self, method: str, path: str, **more: Any) -> Answer:
        headers = await self._headers()
        whole = f"api/v2/partners/{quote(self._partner.id, safe='')}/{path}"
        return await self._door.request(method, whole, headers=headers, **more)

    async def _headers(self) -> dict[str, str]:
        if self._partner.api_key:
            return {"x-api-key": self._partner.api_key}
        # One token per request: these are few, and then none has to be kept or renewed.
        login = {"username": self._partner.user, "password": self._partner.password}
        answer = await self._door.request("POST", "api/v2/token", json=login, idempotent=True)
        return {"Authorization": f"Bearer {answer.read(_Token).access_token}"}


def partner_of(
    client_id: str | None, client_secret: str | None, partner_id: str | None
) -> Partner | None:
    """The settings' two or three values (§2.4): an e-mail address as client id is a user, whose
    partner must be named; anything else is the partner's id, and its secret a key. None when
    something is missing."""
    if not client_id or not client_secret:
        return None
    if "@" in client_id:
        return Partner(partner_id, user=client_id, password=client_secret) if partner_id else None
    return Partner(partner_id or client_id, api_key=client_secret)


def onboarding_url(
    partner_id: str,
    *,
    state: str,
    redirect_url: str,
    now: datetime,
    platform_secret: str = "",
    details: Mapping[str, str] | None = None,
) -> str:
    """Where a tenant signs up. `state` must be single-use and hard to guess: it is all that ties
    who comes back to who left. `details`: `email`, `name`, `number`, filled in beforehand."""
    query = {"redirect_url": redirect_url, "state": state, **(details or {})}
    if platform_secret:
        stamp = str(int(now.timestamp()))
        signed = f"{partner_id}|{stamp}".encode()
        query["io_timestamp"] = stamp
        query["io_signature"] = hmac.new(
            platform_secret.encode(), signed, hashlib.sha256
        ).hexdigest()
    return f"{SIGN_UP}/{quote(partner_id, safe='')}?{urlencode(query)}"


def read_redirect(query: Mapping[str, str]) -> Redirect:
    """`?client=CL…&channels=[CH…,CH…]&revoked=[CH…]&state=…`. A `code` means nothing. Raises
    Invalid."""
    client, state = query.get("client", ""), query.get("state", "")
    if not _ID.fullmatch(client):
        raise Invalid("isn't a client of 360dialog's", field="client")
    if not 16 <= len(state) <= 512:
        raise Invalid("is missing, or none of ours", field="state")
    return Redirect(client, _ids(query, "channels"), _ids(query, "revoked"), state)


def _ids(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Bracketed, unquoted, comma-separated: not JSON."""
    text = query.get(name, "").strip().removeprefix("[").removesuffix("]")
    ids = [each.strip().strip('"') for each in text.split(",") if each.strip()]
    if len(ids) > _MAX_CHANNELS or not all(_ID.fullmatch(each) for each in ids):
        raise Invalid("isn't a list of channels", field=name)
    return tuple(dict.fromkeys(ids))


def _hub_channel(found: _Channel) -> HubChannel:
    setup, account = found.setup_info or _Setup(), found.waba_account or _Account()
    digits = re.sub(r"\D", "", setup.phone_number or "")
    return HubChannel(
        id=found.id,
        client_id=found.client_id or (found.client.id if found.client else None) or "",
        number=f"+{digits}" if digits else "",
        name=setup.phone_name or "",
        account_id=account.external_id or account.id or "",
        status=found.status or "",
    )

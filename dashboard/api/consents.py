"""Who agreed to what, and who refused: `/api/v1/consents`, a ledger with proof."""

from typing import Annotated, Any, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import actor_of
from dashboard.api.query import read_query
from dashboard.api.settings import ApiSettings
from domain.errors import Invalid
from domain.permissions import May
from domain.text_address import checked
from storage import Storage, TenantRows
from storage.consents import Consent

Channel = Literal["sms", "email", "whatsapp"]
Line = Annotated[str, msgspec.Meta(max_length=500)]


class ConsentBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`source`: where they said so (a form, the counter, a call); `wording`: what they were asked,
    or said, literally."""

    channel: Channel
    purpose: Literal["service", "marketing"]
    decision: Literal["granted", "withdrawn"]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    wording: Line
    to: Line = ""
    contact_id: Line | None = None


class ConsentsQuery(msgspec.Struct, frozen=True, rename="camel"):
    """Of a contact, or of an address on a channel."""

    contact_id: Line | None = None
    channel: Channel | None = None
    to: Line | None = None


class ConsentJson(TypedDict):
    """A line of the ledger. `address` null: the person was erased."""

    channel: str
    purpose: str
    decision: str
    source: str
    wording: str | None
    address: str | None
    contactId: str | None
    recordedBy: str | None
    at: str


class ConsentList(TypedDict):
    """The latest first. `state`: per channel and purpose, what counts now."""

    success: bool
    consents: list[ConsentJson]
    state: dict[str, dict[str, str]]


class Consents:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    @operation("Show consents", may=May.VIEW, query=ConsentsQuery, answer=ConsentList)
    async def index(self, request: Request) -> Response:
        """All that a person said about texts, with proof, and what counts now."""
        query = read_query(request, ConsentsQuery)
        tenant = tenant_access(request).tenant
        if query.contact_id is None and (query.channel is None or not query.to):
            raise Invalid("give contactId, or channel and to", field="contactId")
        async with self._storage.tenant(tenant.id).read() as rows:
            return json_response(
                await self._listed(rows, query.contact_id, query.channel, query.to or "")
            )

    @operation("Record a consent", may=May.WORK, body=ConsentBody, answer=ConsentList, status=201)
    async def create(self, request: Request) -> Response:
        """A line is added; nothing that stood there is changed. It counts at once, everywhere."""
        body = await read_json(request, ConsentBody)
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            address = checked(
                body.channel, await _address(rows, body), self._settings.default_region
            )
            contact_id = body.contact_id or await rows.recipients.contact_at(body.channel, address)
            await rows.consents.record(
                Consent(
                    channel=body.channel,
                    purpose=body.purpose,
                    decision=body.decision,
                    source=body.source,
                    at=rows.outbox.now(),
                    address=address,
                    contact_id=contact_id,
                    wording=body.wording,
                    recorded_by=actor_of(request),
                )
            )
            return json_response(await self._listed(rows, None, body.channel, address), 201)

    async def _listed(
        self, rows: TenantRows, contact_id: str | None, channel: str | None, to: str
    ) -> dict[str, Any]:
        address = checked(channel, to, self._settings.default_region) if channel and to else ""
        found = await rows.consents.history(
            contact_id=contact_id, channel=channel if address else None, address=address
        )
        state: dict[str, dict[str, str]] = {}
        for each in found:
            state.setdefault(each.channel, {}).setdefault(each.purpose, each.decision)
        return {"success": True, "consents": [_shown(each) for each in found], "state": state}


async def _address(rows: TenantRows, body: ConsentBody) -> str:
    if body.to or body.contact_id is None:
        return body.to
    return await rows.recipients.address_of(body.contact_id, body.channel)


def _shown(consent: Consent) -> ConsentJson:
    return {
        "channel": consent.channel,
        "purpose": consent.purpose,
        "decision": consent.decision,
        "source": consent.source,
        "wording": consent.wording,
        "address": consent.address,
        "contactId": consent.contact_id,
        "recordedBy": consent.recorded_by,
        "at": consent.at.isoformat(),
    }

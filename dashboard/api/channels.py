"""How customers reach the business: `GET /api/v1/channels`, `GET|PUT /api/v1/channels/{type}`, and
the same at `/api/channels/{type}/config`.

The configuration is the page's own object: what it sends is given back, keys that we don't know
included, secrets excepted: those are sealed, wherever they stood, and never come out again.
"""

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import channel_secrets
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.channel_saving import ChannelSaving
from dashboard.api.channel_shapes import (
    ChannelAnswer,
    ChannelBody,
    ChannelConnection,
    ChannelList,
    ChannelSaved,
    PhoneConfigBody,
)
from dashboard.api.channel_status import PHONE, WHATSAPP, ChannelStatus
from dashboard.api.operations import operation
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import sentence
from domain.errors import Conflict, Invalid, NotFound
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage
from storage.schema import CHANNEL_TYPES
from storage.secrets import NoKey, Unreadable


class Channels:
    """The handlers."""

    def __init__(
        self,
        storage: Storage,
        settings: ApiSettings,
        status: ChannelStatus,
        saving: ChannelSaving,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._status = status
        self._saving = saving

    @operation("List channels", may=May.VIEW, answer=ChannelList)
    async def index(self, request: Request) -> Response:
        """GET: the four channels, in short."""
        found = await self._status.look(tenant_access(request).tenant, *CHANNEL_TYPES)
        return json_response(
            {"success": True, "channels": [self._status.short(each) for each in found]}
        )

    @operation("Show a channel", may=May.VIEW, answer=ChannelAnswer)
    async def show(self, request: Request) -> Response:
        """GET: one channel, with defaults when nobody has configured it. `secrets` names what is
        kept, masked; null, with `secretsProblem`, when it can't be opened."""
        tenant = tenant_access(request).tenant
        found = await self._status.look(tenant, channel_type_of(request))
        return json_response({"success": True, "channel": self._status.whole(found[0])})

    @operation(
        "Save a channel",
        may=May.SETTINGS,
        body=ChannelBody,
        answer=ChannelSaved,
        problems=(409,),
    )
    async def save(self, request: Request) -> Response:
        """PUT: keys that the body's `config` (and its `sara`, `smtp`, `templates`) lack stay as
        they are, and so do secrets that are absent, empty or masked. 409 when the line, or the
        WhatsApp number, is another tenant's, 422 when a value can't serve, 503 when a secret can't
        be kept; then nothing is changed."""
        channel_type = channel_type_of(request)
        body = await read_json(request, ChannelBody)
        return await self._saved(tenant_access(request).tenant, channel_type, body)

    @operation(
        "Save the phone channel",
        may=May.SETTINGS,
        body=PhoneConfigBody,
        answer=ChannelSaved,
        problems=(409,),
    )
    async def save_phone(self, request: Request) -> Response:
        """POST: as PUT; the configuration's keys may also stand beside `enabled`. 422 when there is
        nothing to be saved."""
        body = (await read_json(request, PhoneConfigBody)).whole()
        if body is None:
            raise Invalid(
                "Give config, or some of its keys.",
                field="config",
                message_key="channel_nothing_given",
            )
        return await self._saved(tenant_access(request).tenant, PHONE, body)

    async def _saved(self, tenant: Tenant, channel_type: str, body: ChannelBody) -> Response:
        channel = await self._saving.save(tenant, channel_type, body)
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "channel_saved"),
                "channelType": channel_type,
                "enabled": channel.enabled,
                "configured": channel.configured,
            }
        )

    @operation(
        "Connect a WhatsApp number by 360dialog",
        may=May.SETTINGS,
        answer=ChannelConnection,
        problems=(409,),
    )
    async def connect(self, request: Request) -> Response:
        """POST: where the owner signs up. A link that was made before leads nowhere from now on.
        409 where this deployment has no partner's account: the channel is configured by hand."""
        tenant, begin = tenant_access(request).tenant, self._settings.connect_whatsapp
        if channel_type_of(request) != WHATSAPP or begin is None:
            raise Conflict(
                "This channel is configured by hand here.", message_key="channel_by_hand"
            )
        try:
            url = await begin(tenant.id)
        except (NoKey, Unreadable) as error:
            raise channel_secrets.refusal(error, WHATSAPP) from None
        return json_response({"success": True, "url": url})


def channel_type_of(request: Request) -> str:
    """The one of the path. NotFound when there is no such channel."""
    channel_type: str = request.path_params["type"]
    if channel_type not in CHANNEL_TYPES:
        raise NotFound(
            f"There is no such channel; there are {', '.join(CHANNEL_TYPES)}.",
            message_key="channel_unknown",
        )
    return channel_type

"""Channels on and off, and how they are: `toggle`, `enable`, `disable`, `resume`, `etat`."""

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.channel_saving import ChannelSaving
from dashboard.api.channel_shapes import (
    CanalJson,
    ChannelResumed,
    ChannelSwitched,
    EtatAnswer,
    Toggle,
)
from dashboard.api.channel_status import PHONE, ChannelStatus, Looked
from dashboard.api.channels import channel_type_of
from dashboard.api.operations import operation
from dashboard.catalogue import sentence
from domain.channel_state import Why
from domain.errors import CallerError, NotFound
from domain.permissions import May
from storage import Storage
from storage.schema import CHANNEL_TYPES


class ChannelSwitches:
    """The handlers."""

    def __init__(self, storage: Storage, status: ChannelStatus, saving: ChannelSaving) -> None:
        self._storage = storage
        self._status = status
        self._saving = saving

    @operation(
        "Switch a channel on or off",
        may=May.SETTINGS,
        body=Toggle,
        answer=ChannelSwitched,
    )
    async def toggle(self, request: Request) -> Response:
        """400 for switching on what isn't configured, 422 without `enabled`. Calls of a phone
        channel that is off are not answered by the agent, but none is lost: the transfer number
        rings if there is one, else a message is taken."""
        channel_type = channel_type_of(request)
        wanted = await read_json(request, Toggle, may_be_empty=True)  # none at all: 422 as well
        return await self._switch(request, channel_type, on=wanted.enabled)

    @operation("Switch a channel on", may=May.SETTINGS, answer=ChannelSwitched, problems=(400,))
    async def enable(self, request: Request) -> Response:
        """400 for what isn't configured; again is as good as once."""
        return await self._switch(request, channel_type_of(request), on=True)

    @operation("Switch a channel off", may=May.SETTINGS, answer=ChannelSwitched)
    async def disable(self, request: Request) -> Response:
        """Again is as good as once. What is said of calls: see `toggle`."""
        return await self._switch(request, channel_type_of(request), on=False)

    async def _switch(self, request: Request, channel_type: str, *, on: bool) -> Response:
        tenant = tenant_access(request).tenant
        channel = await self._saving.switch(tenant, channel_type, on=on)
        if channel is None:
            raise CallerError(
                "Configure this channel before switching it on.",
                message_key="channel_must_be_configured",
                status=400,
            )
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "channel_enabled" if on else "channel_disabled"),
                "channelType": channel_type,
                "enabled": channel.enabled,
            }
        )

    @operation("Resume a channel", may=May.SETTINGS, answer=ChannelResumed)
    async def resume(self, request: Request) -> Response:
        """End a pause: what waits is tried again, within five minutes. Saving the channel does the
        same. 404 for the phone, which is never paused."""
        tenant, channel_type = tenant_access(request).tenant, channel_type_of(request)
        if channel_type == PHONE:
            raise NotFound("Calls are never paused.", message_key="channel_unknown")
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.outbox.resume(channel_type)
        found = await self._status.look(tenant, channel_type)
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, "channel_resumed"),
                "channelType": channel_type,
                "state": self._status.state(found[0]),
            }
        )

    @operation("Which channels work", may=May.VIEW, answer=EtatAnswer)
    async def etat(self, request: Request) -> Response:
        """GET: a channel is active when it works, not when it is ticked."""
        found = await self._status.look(tenant_access(request).tenant, *CHANNEL_TYPES)
        return json_response(
            {
                "success": True,
                "canaux": [self._canal(each) for each in found],
                "actifs": sum(each.state.active for each in found),
            }
        )

    def _canal(self, it: Looked) -> CanalJson:
        canal: CanalJson = {
            "type": it.channel.type,
            "actif": it.state.active,
            "pourquoi": it.pourquoi,
            "message": self._status.state(it)["message"],
        }
        if it.state.why is Why.CONNECTING:
            canal["bientot"] = True
        return canal

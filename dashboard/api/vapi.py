"""Vapi's doors: `POST /api/vapi/functions` and `/api/vapi/events`.

This deployment places no call through Vapi yet, so every tool call that arrives belongs to a call
that isn't ours: each gets an error, and none runs. Vapi reads only answers of status 200.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import vapi_access
from dashboard.api.body import json_response, read_json

#: One line: Vapi drops results that contain a line break.
UNKNOWN_CALL = "This call is not known here; nothing was done. Offer to be called back."

#: More tool calls than any model makes in one message.
MAX_TOOL_CALLS = 64


class ServerMessage(msgspec.Struct, frozen=True):
    """What Vapi posts: `message.type` and, for tool calls, one of three lists of them."""

    message: dict[str, Any]


async def refuse_tool_calls(request: Request) -> Response:
    """200 `{"results": [{"toolCallId", "name", "error"}]}`, one for each tool call."""
    vapi_access(request)
    body = await read_json(request, ServerMessage)
    results = [
        {"toolCallId": call_id, "name": name, "error": UNKNOWN_CALL}
        for call_id, name in tool_calls(body.message)
    ]
    return json_response({"results": results})


def tool_calls(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(id, function name) of each tool call, once, in order; whichever of the documented lists
    they come in."""
    found: dict[str, str] = {}
    for call in _listed(message):
        call_id = call.get("id")
        function = call.get("function")
        name = function.get("name") if isinstance(function, Mapping) else call.get("name")
        if isinstance(call_id, str) and call_id and len(found) < MAX_TOOL_CALLS:
            found.setdefault(call_id, name if isinstance(name, str) else "")
    return list(found.items())


def _listed(message: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for key in ("toolCallList", "toolCalls", "toolWithToolCallList"):
        listed = message.get(key)
        if isinstance(listed, list) and listed:
            items = [each for each in listed if isinstance(each, Mapping)]
            if key == "toolWithToolCallList":
                items = [
                    {**call, "name": call.get("name", each.get("name"))}
                    for each in items
                    if isinstance(call := each.get("toolCall"), Mapping)
                ]
            return items
    return ()

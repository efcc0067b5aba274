"""What the agent is told: `/api/v1/instructions`, with versions, going back, and a preview."""

import difflib
from typing import Annotated, Any, TypedDict
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import iso
from dashboard.api.query import read_query
from domain.agent import (
    MAX_CUSTOM_INSTRUCTIONS,
    CallContext,
    disclosure,
    greeting,
    instructions,
    introduction,
    profile,
    wording_problem,
)
from domain.errors import NotFound
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage, TenantRows
from storage.channels import own_instructions
from storage.instructions import Version

MAX_PAGE = 200

Words = Annotated[str, msgspec.Meta(max_length=MAX_CUSTOM_INSTRUCTIONS)]


class VersionBody(msgspec.Struct, frozen=True):
    """`activate` False: kept for later, calls go on as before."""

    text: Words
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""
    activate: bool = True


class PreviewBody(msgspec.Struct, frozen=True, rename="camel"):
    """What would be said and told with these in place of what is saved."""

    custom_instructions: Words | None = None
    welcome_message: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    text_introduction: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class VersionsQuery(msgspec.Struct, frozen=True):
    """`before`: an answer's `next`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    before: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class VersionJson(TypedDict):
    """`created_by`: "user:…", "key:…", or null; `activated_at`: the last time, null: never."""

    id: str
    number: int
    text: str
    note: str
    active: bool
    created_by: str | None
    created_at: str | None
    activated_at: str | None


class VersionList(TypedDict):
    """The latest first. `text`: what calls use now; `active` null: nobody has ever saved any."""

    success: bool
    text: str
    active: VersionJson | None
    versions: list[VersionJson]
    next: int | None


class VersionAnswer(TypedDict):
    """`diff`: lines of a unified diff from the version in use to this one."""

    success: bool
    version: VersionJson
    diff: list[str]


class WordingProblem(TypedDict):
    """`reason`: too_long, unknown_variable or denies_ai: then ours are said instead."""

    field: str
    reason: str


class InstructionPreview(TypedDict):
    """`greeting`: the first words of a call, literal; `disclosure`: how much of them must have been
    heard to know that an AI speaks. `text_introduction`: the first words of a text conversation.
    `instructions`: the whole prompt."""

    success: bool
    greeting: str
    disclosure: str
    text_introduction: str
    instructions: str
    problems: list[WordingProblem]


class InstructionEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List instructions", may=May.VIEW, query=VersionsQuery, answer=VersionList)
    async def index(self, request: Request) -> Response:
        """The tenant's own instructions, as calls have them, and their versions."""
        query = read_query(request, VersionsQuery)
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            active = await rows.instructions.active()
            found = await rows.instructions.list(limit=query.limit + 1, before=query.before)
            text = own_instructions((await rows.channels.get("phone")).config)
        page = found[: query.limit]
        return json_response(
            {
                "success": True,
                "text": text,
                "active": None if active is None else _shown(active, active),
                "versions": [_shown(each, active) for each in page],
                "next": page[-1].number if len(found) > query.limit else None,
            }
        )

    @operation("Show a version", may=May.VIEW, answer=VersionAnswer)
    async def show(self, request: Request) -> Response:
        """One version, and what it would change."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            version = await _version(rows, request)
            return json_response(await _answer(rows, version))

    @operation(
        "Save instructions", may=May.SETTINGS, body=VersionBody, answer=VersionAnswer, status=201
    )
    async def create(self, request: Request) -> Response:
        """A new version; calls that begin from now on use it, unless `activate` is false."""
        body = await read_json(request, VersionBody)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            version = await rows.channels.new_instructions(
                body.text, note=body.note, activate=body.activate
            )
            changes = {"number": version.number, "activated": body.activate}
            await rows.audit.record("instructions.saved", "instructions", version.id, changes)
            return json_response(await _answer(rows, version), 201)

    @operation("Use a version", may=May.SETTINGS, answer=VersionAnswer)
    async def activate(self, request: Request) -> Response:
        """Go back to an earlier version, or begin with one that was kept for later."""
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            before = await rows.instructions.active()
            version = await _version(rows, request)
            await rows.channels.instruct(version)
            changes = {"from": before.number if before else None, "to": version.number}
            await rows.audit.record("instructions.activated", "instructions", version.id, changes)
            return json_response(await _answer(rows, await _version(rows, request)))

    @operation("Preview what the agent says and is told", may=May.VIEW, answer=InstructionPreview)
    async def preview(self, request: Request) -> Response:
        """As a call from a withheld number would have it now."""
        return json_response(await self._previewed(request, {}))

    @operation(
        "Preview other words",
        may=May.VIEW,
        body=PreviewBody,
        answer=InstructionPreview,
        changes=False,
    )
    async def try_out(self, request: Request) -> Response:
        """The same with words that aren't saved yet."""
        body = await read_json(request, PreviewBody)
        tried = {
            "customInstructions": body.custom_instructions,
            "welcomeMessage": body.welcome_message,
            "textIntroduction": body.text_introduction,
        }
        given = {name: value for name, value in tried.items() if value is not None}
        return json_response(await self._previewed(request, given))

    async def _previewed(self, request: Request, tried: dict[str, str]) -> dict[str, Any]:
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            config = dict((await rows.channels.get("phone")).config)
            has_knowledge, now = await rows.knowledge.has_any(), rows.now()
        sara = config.get("sara")
        config["sara"] = {**(sara if isinstance(sara, dict) else {}), **tried}
        context = CallContext(
            now=now.astimezone(ZoneInfo(tenant.timezone)),
            caller_number=None,
            has_transfer=bool(config.get("transferNumber")),
            has_knowledge=has_knowledge,
        )
        return previewed(tenant, config, context)


def previewed(tenant: Tenant, config: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """What this configuration makes the agent say, and be told."""
    who = profile(tenant, config)
    first = greeting(who)
    own = {"welcomeMessage": who.greeting, "textIntroduction": who.text_introduction}
    reasons = {field: wording_problem(who, words) for field, words in own.items()}
    return {
        "success": True,
        "greeting": first,
        "disclosure": disclosure(first),
        "text_introduction": introduction(who),
        "instructions": instructions(who, context),
        "problems": [
            {"field": field, "reason": reason} for field, reason in reasons.items() if reason
        ],
    }


async def _version(rows: TenantRows, request: Request) -> Version:
    try:
        return await rows.instructions.get(request.path_params["id"])
    except NotFound:
        raise NotFound("There is no such version.", message_key="version_unknown") from None


async def _answer(rows: TenantRows, version: Version) -> dict[str, Any]:
    active = await rows.instructions.active()
    before = active.text if active is not None else ""
    diff = difflib.unified_diff(before.splitlines(), version.text.splitlines(), lineterm="", n=2)
    return {"success": True, "version": _shown(version, active), "diff": list(diff)}


def _shown(version: Version, active: Version | None) -> VersionJson:
    return {
        "id": version.id,
        "number": version.number,
        "text": version.text,
        "note": version.note,
        "active": active is not None and active.id == version.id,
        "created_by": version.created_by,
        "created_at": iso(version.created_at),
        "activated_at": iso(version.activated_at),
    }

"""A tenant's words for texts: `/api/v1/templates`, and how they look filled in."""

from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import actor_of
from dashboard.api.query import read_query
from dashboard.api.settings import ApiSettings
from dashboard.api.texts import TextMeasure, measured
from domain.messages import language_of
from domain.permissions import May
from domain.tenant import Tenant
from domain.text_defaults import KEYS
from domain.text_templates import Template, checked, names_in, render
from domain.text_variables import VARIABLES
from storage import Storage
from storage.templates import Kept

Language = Literal["fr", "en"]
Words = Annotated[str, msgspec.Meta(max_length=25_000)]
Line = Annotated[str, msgspec.Meta(max_length=500)]


class VendorTemplateJson(msgspec.Struct, frozen=True):
    """A WhatsApp template as Meta approved it. `parameters`: our variables in its order; `named`:
    whether it knows them by name."""

    name: Annotated[str, msgspec.Meta(max_length=512, pattern="^[a-z0-9_]*$")] = ""
    language: Annotated[str, msgspec.Meta(max_length=15, pattern="^[A-Za-z_]*$")] = "fr"
    parameters: Annotated[list[Line], msgspec.Meta(max_length=30)] = msgspec.field(
        default_factory=list
    )
    named: bool = False


class TemplateBody(msgspec.Struct, frozen=True, kw_only=True):
    """`version`: the one that was changed; 409 when there is a newer one."""

    body: Words
    subject: Line = ""
    language: Language = "fr"
    version: int | UnsetType = UNSET
    vendor: VendorTemplateJson | None = None


class TemplatePreviewBody(msgspec.Struct, frozen=True, kw_only=True):
    """Words that aren't saved yet, or none: those that count now. Values that are missing are
    samples."""

    body: Words | None = None
    subject: Line | None = None
    language: Language = "fr"
    variables: dict[str, Words] = msgspec.field(default_factory=dict)
    to: Line = ""


class TemplateQuery(msgspec.Struct, frozen=True):
    """Which language."""

    language: Language = "fr"


class TemplateJson(TypedDict):
    """A template; `own` false: ours. `variables`: those that it holds."""

    channel: str
    key: str
    name: str
    purpose: str
    language: str
    subject: str
    body: str
    version: int
    own: bool
    variables: list[str]
    vendor: dict[str, Any] | None
    updatedAt: str | None
    updatedBy: str | None


class VariableJson(TypedDict):
    """A variable, what it stands for, and what else it may be called."""

    name: str
    meaning: str
    sample: str
    aliases: list[str]


class TemplateList(TypedDict):
    """All that count now."""

    success: bool
    templates: list[TemplateJson]
    variables: list[VariableJson]


class TemplateAnswer(TypedDict):
    """The one that counts now, and the versions before it, the latest first."""

    success: bool
    template: TemplateJson
    versions: list[TemplateJson]


class RenderedJson(TypedDict):
    """As it would be sent. `sms`: what it would cost, of an SMS."""

    subject: str
    body: str
    html: str
    sms: TextMeasure | None


class PreviewAnswer(TypedDict):
    """A template filled in."""

    success: bool
    preview: RenderedJson


class Templates:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    @operation("List templates", may=May.VIEW, answer=TemplateList)
    async def index(self, request: Request) -> Response:
        """Those that count now, of all channels and languages, and the variables they may hold."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            current = await rows.templates.current()
        english = language_of(tenant.locale) == "en"
        return json_response(
            {
                "success": True,
                "templates": [_shown(kept) for kept in current],
                "variables": [
                    {
                        "name": each.name,
                        "meaning": each.meaning,
                        "sample": each.sample[english],
                        "aliases": list(each.aliases),
                    }
                    for each in VARIABLES
                ],
            }
        )

    @operation("Show a template", may=May.VIEW, query=TemplateQuery, answer=TemplateAnswer)
    async def show(self, request: Request) -> Response:
        """The one that counts now, and its earlier versions."""
        query = read_query(request, TemplateQuery)
        return await self._answer(request, query.language)

    @operation(
        "Save a template",
        may=May.SETTINGS,
        body=TemplateBody,
        answer=TemplateAnswer,
        problems=(409,),
    )
    async def save(self, request: Request) -> Response:
        """A new version. Variables that don't exist are refused, with the one that was meant."""
        tenant = tenant_access(request).tenant
        channel, key = request.path_params["channel"], request.path_params["key"]
        body = await read_json(request, TemplateBody)
        vendor = body.vendor or VendorTemplateJson()
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.templates.get(channel, key, body.language)  # there is such a one
            await rows.templates.save(
                Template(
                    channel,
                    key,
                    body.language,
                    body.body,
                    body.subject,
                    vendor_name=vendor.name if channel == "whatsapp" else "",
                    vendor_language=vendor.language,
                    vendor_parameters=tuple(vendor.parameters),
                    vendor_named=vendor.named,
                ),
                by=actor_of(request),
                after=None if body.version is UNSET else body.version,
            )
        return await self._answer(request, body.language)

    @operation(
        "Go back to the original template",
        may=May.SETTINGS,
        query=TemplateQuery,
        answer=TemplateAnswer,
    )
    async def reset(self, request: Request) -> Response:
        """Ours counts again; the versions stay."""
        query = read_query(request, TemplateQuery)
        tenant = tenant_access(request).tenant
        channel, key = request.path_params["channel"], request.path_params["key"]
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.templates.reset(channel, key, query.language, by=actor_of(request))
        return await self._answer(request, query.language)

    @operation(
        "Preview a template",
        may=May.VIEW,
        body=TemplatePreviewBody,
        answer=PreviewAnswer,
        changes=False,
    )
    async def preview(self, request: Request) -> Response:
        """Filled in, with samples where nothing is given; of an SMS with segments and price."""
        tenant = tenant_access(request).tenant
        channel, key = request.path_params["channel"], request.path_params["key"]
        body = await read_json(request, TemplatePreviewBody)
        async with self._storage.tenant(tenant.id).read() as rows:
            kept = await rows.templates.get(channel, key, body.language)
        template = kept.template
        if body.body is not None:
            subject = template.subject if body.subject is None else body.subject
            template = checked(Template(channel, key, body.language, body.body, subject))
        done = render(template, {**samples(tenant, body.language), **body.variables}, body.language)
        cost = measured(done.body, body.to, self._settings) if channel == "sms" else None
        return json_response(
            {
                "success": True,
                "preview": {
                    "subject": done.subject,
                    "body": done.body,
                    "html": done.html,
                    "sms": cost,
                },
            }
        )

    async def _answer(self, request: Request, language: str) -> Response:
        tenant = tenant_access(request).tenant
        channel, key = request.path_params["channel"], request.path_params["key"]
        async with self._storage.tenant(tenant.id).read() as rows:
            kept = await rows.templates.get(channel, key, language)
            versions = await rows.templates.versions(channel, key, language)
        return json_response(
            {
                "success": True,
                "template": _shown(kept),
                "versions": [_shown(each) for each in versions],
            }
        )


def samples(tenant: Tenant, language: str) -> dict[str, str]:
    """What previews show, under the tenant's own name."""
    shown = {each.name: each.sample[language == "en"] for each in VARIABLES}
    return {**shown, "entreprise": tenant.name}


def _shown(kept: Kept) -> TemplateJson:
    template = kept.template
    key = KEYS[template.key]
    vendor = None
    if template.vendor_name:
        vendor = {
            "name": template.vendor_name,
            "language": template.vendor_language,
            "parameters": list(template.vendor_parameters),
            "named": template.vendor_named,
        }
    return {
        "channel": template.channel,
        "key": template.key,
        "name": key.name,
        "purpose": key.purpose,
        "language": template.language,
        "subject": template.subject,
        "body": template.body,
        "version": template.version,
        "own": kept.own,
        "variables": names_in(f"{template.subject}\n{template.body}"),
        "vendor": vendor,
        "updatedAt": kept.created_at.isoformat() if kept.created_at else None,
        "updatedBy": kept.created_by,
    }

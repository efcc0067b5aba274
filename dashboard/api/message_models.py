"""The words of SMS as the messages page edits them: `/api/v1/communications/modeles/{type}`.

The same templates as `/api/v1/templates/sms/{key}`, in the page's French (real-users.md §1.8).
"""

from typing import Annotated, Final, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import actor_of
from dashboard.api.templates import samples
from dashboard.catalogue import has_sentence, sentence
from domain import sms
from domain.errors import CallerError, Invalid, NotFound
from domain.messages import language_of
from domain.permissions import May
from domain.tenant import Tenant
from domain.text_defaults import KEYS
from domain.text_templates import Template, checked, names_in, render
from storage import Storage
from storage.templates import Kept

SMS: Final = "sms"
Words = Annotated[str, msgspec.Meta(max_length=25_000)]


class ModelBody(msgspec.Struct, frozen=True):
    """New words, or back to ours."""

    corps: Words | None = None
    reinitialiser: bool = False


class ModelTrial(msgspec.Struct, frozen=True):
    """Words that aren't saved yet."""

    corps: Words


class ModelJson(TypedDict):
    """`personnalise`: the tenant's own words; `variables` that they hold."""

    type: str
    nom: str
    canal: str
    corps: str
    personnalise: bool
    variables: list[str]
    version: int


class ModelAnswer(TypedDict):
    """The words that count now."""

    success: bool
    modele: ModelJson
    corps: str


class ModelVerdict(TypedDict):
    """`apercu` with samples, `apercuEnvoye` as it would leave, with cheaper letters where that
    saves segments; `unites` of `encodage` (GSM-7 or UCS-2)."""

    success: bool
    valide: bool
    erreurs: list[str]
    avertissements: list[str]
    apercu: str
    apercuEnvoye: str
    segments: int
    unites: int
    encodage: str


class MessageModels:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("Show the words of an SMS", may=May.VIEW, answer=ModelAnswer)
    async def show(self, request: Request) -> Response:
        """GET: those that count now, in the tenant's language."""
        tenant, key = tenant_access(request).tenant, _key(request)
        async with self._storage.tenant(tenant.id).read() as rows:
            kept = await rows.templates.get(SMS, key, language_of(tenant.locale))
        return _answer(kept)

    @operation("Change the words of an SMS", may=May.SETTINGS, body=ModelBody, answer=ModelAnswer)
    async def save(self, request: Request) -> Response:
        """PUT: `corps`, or `reinitialiser`. 422 for words that can't be used."""
        tenant, key = tenant_access(request).tenant, _key(request)
        language, by = language_of(tenant.locale), actor_of(request)
        body = await read_json(request, ModelBody)
        if not body.reinitialiser and body.corps is None:
            raise Invalid("Give corps, or reinitialiser.", field="corps")
        async with self._storage.tenant(tenant.id).write() as rows:
            if body.corps is None or body.reinitialiser:
                await rows.templates.reset(SMS, key, language, by=by)
            else:
                await rows.templates.save(Template(SMS, key, language, body.corps), by=by)
            kept = await rows.templates.get(SMS, key, language)
        return _answer(kept)

    @operation(
        "Try the words of an SMS",
        may=May.VIEW,
        body=ModelTrial,
        answer=ModelVerdict,
        changes=False,
    )
    async def verify(self, request: Request) -> Response:
        """POST: whether they could be saved, how they look, and what they would cost."""
        tenant, key = tenant_access(request).tenant, _key(request)
        language = language_of(tenant.locale)
        corps = (await read_json(request, ModelTrial)).corps
        try:
            template = checked(Template(SMS, key, language, corps))
            shown = render(template, samples(tenant, language), language).body
            errors = []
        except CallerError as error:
            shown, errors = corps, [_words(tenant, error)]
        sent = sms.economical(shown)
        measure = sms.measure(sent)
        return json_response(
            {
                "success": True,
                "valide": not errors,
                "erreurs": errors,
                "avertissements": _warnings(tenant, measure),
                "apercu": shown,
                "apercuEnvoye": sent,
                "segments": measure.segments,
                "unites": measure.units,
                "encodage": measure.encoding,
            }
        )


def _key(request: Request) -> str:
    key: str = request.path_params["type"]
    if key not in KEYS:
        raise NotFound("There is no such template.", message_key="template_not_found")
    return key


def _answer(kept: Kept) -> Response:
    template = kept.template
    model: ModelJson = {
        "type": template.key,
        "nom": KEYS[template.key].name,
        "canal": SMS,
        "corps": template.body,
        "personnalise": kept.own,
        "variables": names_in(template.body),
        "version": template.version,
    }
    return json_response({"success": True, "modele": model, "corps": template.body})


def _words(tenant: Tenant, error: CallerError) -> str:
    key = error.message_key or ""
    return sentence(tenant.locale, key if has_sentence(key) else "invalid")


def _warnings(tenant: Tenant, measure: sms.Measure) -> list[str]:
    found = []
    if measure.segments > 1:
        segments = str(measure.segments)
        found.append(sentence(tenant.locale, "model_segments", segments=segments))
    if measure.strangers:
        strangers = " ".join(measure.strangers[:10])
        found.append(sentence(tenant.locale, "model_strangers", strangers=strangers))
    return found

"""The rights of persons: `POST /api/v1/persons/export` and `POST /api/v1/persons/erase`."""

from typing import Annotated, Any, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.catalogue import sentence
from domain.errors import Invalid, OperatorError
from domain.permissions import May
from storage import Storage
from storage.secrets import NoKey, Unreadable

Address = Annotated[str, msgspec.Meta(max_length=254)]


class PersonBody(msgspec.Struct, frozen=True):
    """Whom: by one address at least. `phone` in any spelling; `whatsapp`: a number, or Meta's
    business-scoped user id."""

    phone: Address | None = None
    email: Address | None = None
    whatsapp: Address | None = None


class ErasureBody(PersonBody, frozen=True):
    """`confirm`: one of the addresses given, once more, as it was given.
    `cancel_appointments`: those to come, too; else they are a 409."""

    confirm: Address = ""
    cancel_appointments: bool = False


class PersonAddress(TypedDict):
    """`kind` phone, email, whatsapp or whatsapp_id."""

    kind: str
    value: str


class PersonExport(TypedDict):
    """`records`: by table, its rows as they are stored. `addresses`: also those that were found by
    the ones given. `calls_of_others`: calls of other people in which something was done for this
    one; what was said there is theirs, and isn't shown."""

    success: bool
    exported_at: str
    contact_ids: list[str]
    addresses: list[PersonAddress]
    counts: dict[str, int]
    records: dict[str, list[dict[str, Any]]]
    calls_of_others: int


class PersonErased(TypedDict):
    """`erased`: rows by table, deleted or emptied; `kept`: by table, why something stays.
    `pending`: what vendors still have to delete, which goes on by itself. `erasure_id` null: there
    was nothing of them."""

    success: bool
    message: str
    erasure_id: str | None
    erased: dict[str, int]
    kept: dict[str, str]
    cancelled_appointments: list[str]
    calls_of_others: int
    pending: int


class PersonRights:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation(
        "Export a person",
        may=May.EXPORT,
        body=PersonBody,
        answer=PersonExport,
        problems=(409,),
        audit_read="person.exported",
        changes=False,
    )
    async def export(self, request: Request) -> Response:
        """All that is held about somebody, on all channels, found by any of their addresses.
        Recordings are named by their address at the carrier (`recording_url`)."""
        body = await read_json(request, PersonBody)
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            held, now = await rows.persons.export(**_whom(body)), rows.now()
        answer = json_response(
            {
                "success": True,
                "exported_at": now.isoformat(),
                "contact_ids": list(held.contact_ids),
                "addresses": [{"kind": kind, "value": value} for kind, value in held.addresses],
                "counts": {name: len(rows) for name, rows in held.records.items()},
                "records": held.records,
                "calls_of_others": held.elsewhere,
            }
        )
        answer.headers["content-disposition"] = 'attachment; filename="person.json"'
        return answer

    @operation(
        "Erase a person",
        may=May.ERASE,
        body=ErasureBody,
        answer=PersonErased,
        problems=(409,),
    )
    async def erase(self, request: Request) -> Response:
        """Their words, names and addresses, on all channels; that there were calls, texts and
        appointments stays for the figures, and that they refused texts stays as a keyed hash. Can't
        be undone; a second time does nothing. 409 while they are on the telephone, while a text is
        on its way to them, and when appointments are to come that aren't to be cancelled."""
        body = await read_json(request, ErasureBody)
        tenant = tenant_access(request).tenant
        whom = _whom(body)
        if not body.confirm or body.confirm not in whom.values():
            raise Invalid(
                "must repeat one of the addresses",
                field="confirm",
                message_key="person_unconfirmed",
            )
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                erased = await rows.persons.erase(
                    **whom, cancel_appointments=body.cancel_appointments
                )
                counted = {"rows": sum(erased.rows.values()), "pending": erased.pending}
                await rows.audit.record("person.erased", "erasure", erased.erasure_id, counted)
        except (NoKey, Unreadable) as error:
            raise OperatorError(
                "this person's refusal of texts can't be kept: set ENCRYPTION_KEYS"
            ) from error
        await self._storage.empty_log()  # else the job does
        said = "person_erased" if erased.erasure_id else "person_unknown"
        return json_response(
            {
                "success": True,
                "message": sentence(tenant.locale, said),
                "erasure_id": erased.erasure_id,
                "erased": erased.rows,
                "kept": erased.kept,
                "cancelled_appointments": erased.cancelled,
                "calls_of_others": erased.elsewhere,
                "pending": erased.pending,
            }
        )


def _whom(body: PersonBody) -> dict[str, str | None]:
    return {"phone": body.phone, "email": body.email, "whatsapp": body.whatsapp}

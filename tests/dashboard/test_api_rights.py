"""Who may do what: every operation × every role and every scope, from the route table."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request

from dashboard.api.auth import TenantAccess, VapiAccess
from dashboard.api.body import json_response
from dashboard.api.openapi import operations
from dashboard.api.operations import SAFE, declared, permit
from dashboard.api.router import endpoints
from domain.errors import Forbidden, Unauthorised
from domain.permissions import ROLES, SCOPES, May
from domain.tenant import Tenant
from storage import Storage
from storage.audit import Actor
from tests.dashboard.api_client import SETTINGS, Client, session

#: Issue 7 knows three roles; "admin" is the accounts' backend's word for who opened the account.
AGENT = {May.SESSION, May.VIEW, May.CALLS, May.WORK, May.SEND}
MANAGER = AGENT | {May.SEND_FREE, May.SETTINGS, May.EXPORT}


def test_roles_are_what_was_decided() -> None:
    assert ROLES.keys() == {"owner", "admin", "manager", "agent"}
    assert ROLES["agent"] == AGENT
    assert ROLES["manager"] == MANAGER
    assert ROLES["owner"] == ROLES["admin"] == set(May)


def test_no_scope_opens_more_than_its_word_says() -> None:
    assert SCOPES["read"] == {May.VIEW}
    assert SCOPES["write"] == {May.WORK}
    assert SCOPES["send"] == {May.SEND}
    for name, opened in SCOPES.items():
        assert May.SESSION not in opened
        assert name == "admin" or not opened & {May.KEYS, May.AUDIT, May.ERASE}


def table(storage: Storage) -> list[tuple[str, str, May]]:
    """(method, path, what one must be allowed) of the tenants' operations."""
    found = []
    for (method, path), handler in operations(endpoints(storage, SETTINGS)).items():
        its = declared(handler)
        silent = May.VIEW if method in SAFE else May.KEYS
        may = silent if its is None else its.may
        if isinstance(may, May) and not path.startswith(("/tenants", "/v1/auth/refresh")):
            found.append((method, "/api" + path.replace("{id}", "x").replace("{type}", "sms"), may))
    return found


async def holders(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> list[tuple[str, Client, frozenset[May]]]:
    people = [(role, session(http, garage.id, role), may) for role, may in ROLES.items()]
    programs = []
    for scope, may in SCOPES.items():
        key = await storage.operator.create_key(garage.id, scope, [scope])
        programs.append((scope, Client(http, {"authorization": f"Bearer {key}"}), may))
    return [*people, *programs]


async def test_every_operation_by_every_role_and_scope(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    """Who may isn't refused as such (an empty body is), who mayn't is 403 before anything else."""
    asked = 0
    for name, client, may in await holders(http, storage, garage):
        for method, path, needed in table(storage):
            if needed in may and path in ("/api/v1/auth/logout", "/api/v1/events"):
                continue  # ends the session; streams
            answer = await client.http.request(method, path, headers=dict(client.headers))
            asked += 1
            what = (name, method, path, answer.text[:200])
            if needed in may:
                assert answer.status_code not in (401, 403, 500), what
            else:
                assert answer.status_code == 403, what
                assert answer.json()["code"] == "not_allowed", what
    assert asked > 150


async def test_what_declares_nothing_is_for_owners() -> None:
    async def silent(request: Request) -> Any:
        return json_response({})

    tenant = Tenant("t", "t", "0000")

    def somebody(may: frozenset[May]) -> TenantAccess:
        return TenantAccess(tenant, Actor("user"), may, "x")

    permit(somebody(ROLES["owner"]), declared(silent), "POST")
    permit(somebody(ROLES["agent"]), declared(silent), "GET")
    for role in ("manager", "agent"):
        with pytest.raises(Forbidden):
            permit(somebody(ROLES[role]), declared(silent), "DELETE")


async def test_other_doors_stay_shut(storage: Storage) -> None:
    for handler in operations(endpoints(storage, SETTINGS)).values():
        its = declared(handler)
        if its is not None and isinstance(its.may, May):
            for stranger in (VapiAccess(), None):
                with pytest.raises(Unauthorised):
                    permit(stranger, its, "GET")


def test_reading_needs_no_right_to_change(storage: Storage) -> None:
    """A key with `read` reads every list that isn't somebody's words."""
    reading = {May.SESSION, May.VIEW, May.CALLS, May.EXPORT, May.KEYS, May.AUDIT}
    asked = {path: may for method, path, may in table(storage) if method == "GET"}
    assert {path: may for path, may in asked.items() if may not in reading} == {}

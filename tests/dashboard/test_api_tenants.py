"""The operator makes tenants and keys."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from domain.tenant import Tenant
from storage import Storage
from tests.dashboard.api_client import BOTH_DATABASES, SHARED_NUMBER, Client, assert_problem

TENANTS = "/api/tenants"


async def create(operator: Client, **body: Any) -> httpx.Response:
    return await operator.send("POST", TENANTS, json={"name": "Garage du Port", **body})


async def add_number(client: Client, tenant_id: str, number: object) -> httpx.Response:
    path = f"{TENANTS}/{tenant_id}/numbers"
    return await client.send("POST", path, json={"number": number})


async def test_a_name_is_enough(operator: Client, storage: Storage) -> None:
    answer = await create(operator, name="  Garage du Port ")
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch(r"[0-9]{4}", body["code"])
    assert {key: body[key] for key in ("name", "timezone", "locale", "sector", "status")} == {
        "name": "Garage du Port",
        "timezone": "Europe/Paris",
        "locale": "fr-FR",
        "sector": "generaliste",
        "status": "active",
    }
    stored = await storage.operator.get_tenant(body["id"])
    assert stored is not None
    assert (stored.code, stored.name) == (body["code"], "Garage du Port")


async def test_everything_may_be_given(operator: Client, storage: Storage) -> None:
    answer = await create(
        operator,
        id="tenant_demo-001",
        timezone="Indian/Reunion",
        locale="EN_gb",
        sector="Garage",
        numbers=["01 99 00 12 34", "0033199001234", "+33 (0)1.99.00.12.35"],
    )
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"] == "tenant_demo-001"
    assert (body["timezone"], body["locale"]) == ("Indian/Reunion", "en-GB")
    assert body["sector"] == "automobile"
    assert body["numbers"] == ["+33199001234", "+33199001235"]
    found = await storage.operator.tenant_by_number("+33199001235")
    assert found is not None
    assert found.id == "tenant_demo-001"
    shown = await operator.get(f"{TENANTS}/tenant_demo-001")
    assert shown == body
    (listed,) = (await operator.get(TENANTS))["tenants"]
    assert listed == {key: body[key] for key in listed}


async def test_an_id_is_taken_once(operator: Client, storage: Storage) -> None:
    answers = await asyncio.gather(*(create(operator, id="same") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "id")
    assert len(await storage.operator.list_tenants()) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"timezone": "Europe"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "/etc/localtime"}, "timezone"),
        ({"timezone": "europe/paris"}, "timezone"),
        ({"locale": ""}, "locale"),
        ({"locale": "french"}, "locale"),
        ({"locale": "de-DE"}, "locale"),
        ({"locale": "fr-FR-x"}, "locale"),
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": "é"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"sector": 5}, "sector"),
        ({"numbers": ["garage"]}, "numbers[0]"),
        ({"numbers": ["+33199001234", ""]}, "numbers[1]"),
        ({"numbers": [SHARED_NUMBER]}, "numbers[0]"),
        ({"numbers": ["09 39 03 57 61"]}, "numbers[0]"),
        ({"numbers": ["+33199001234"] * 51}, "numbers"),
    ],
)
async def test_a_wrong_value_makes_no_tenant(
    operator: Client, storage: Storage, body: dict[str, Any], field: str
) -> None:
    assert_problem(await create(operator, **body), 422, field)
    assert await storage.operator.list_tenants() == []


async def test_a_number_in_other_use_makes_no_tenant(
    operator: Client, storage: Storage, garage: Tenant, owner: Client
) -> None:
    await storage.operator.add_number(garage.id, "+33199001234")
    config = {"clientPhoneNumber": "02 61 91 00 01", "transferNumber": "06 39 98 00 01"}
    assert (await owner.put_phone(config=config, enabled=True)).status_code == 200
    for number, status in (("+33199001234", 409), ("+33261910001", 422), ("+33639980001", 422)):
        answer = await create(operator, numbers=["+33199009999", number])
        assert_problem(answer, status, "numbers[1]")
    assert await storage.operator.list_tenants() == [garage]


async def test_a_suspended_tenants_number_is_still_taken(
    operator: Client, storage: Storage, garage: Tenant
) -> None:
    await storage.operator.add_number(garage.id, "+33199001234")
    await storage.operator.set_tenant_status(garage.id, "suspended")
    assert_problem(await create(operator, numbers=["+33199001234"]), 409, "numbers[0]")
    assert await storage.operator.get_tenant(garage.id)
    assert len(await storage.operator.list_tenants()) == 1


@pytest.mark.parametrize("tenant_id", ["nobody", "a%00b", "x" * 65, "%C3%A9", "a%0A"])
async def test_an_unknown_tenant(operator: Client, tenant_id: str) -> None:
    assert_problem(await operator.send("GET", f"{TENANTS}/{tenant_id}"), 404)
    answer = await operator.send("POST", f"{TENANTS}/{tenant_id}/keys", json={})
    assert_problem(answer, 404)
    assert_problem(await add_number(operator, tenant_id, "+33199001234"), 404)


async def test_a_key_is_shown_once_and_opens_its_tenant(
    operator: Client, garage: Tenant, storage: Storage, http: httpx.AsyncClient
) -> None:
    answer = await operator.send(
        "POST", f"{TENANTS}/{garage.id}/keys", json={"label": " the dashboard "}
    )
    assert answer.status_code == 201
    body = answer.json()
    assert (body["tenant_id"], body["label"]) == (garage.id, "the dashboard")
    headers = {"authorization": f"Bearer {body['key']}"}
    assert (await http.get("/api/v1/calls", headers=headers)).status_code == 200
    (stored,) = await storage.operator.list_keys(garage.id)
    assert stored.label == "the dashboard"
    shown = await operator.send("GET", f"{TENANTS}/{garage.id}")
    assert body["key"] not in shown.text


async def test_a_key_needs_no_body(operator: Client, garage: Tenant) -> None:
    first = await operator.send("POST", f"{TENANTS}/{garage.id}/keys")
    second = await operator.send("POST", f"{TENANTS}/{garage.id}/keys")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["key"] != second.json()["key"]


async def test_a_label_is_bounded(operator: Client, garage: Tenant) -> None:
    path = f"{TENANTS}/{garage.id}/keys"
    assert_problem(await operator.send("POST", path, json={"label": "x" * 101}), 422, "label")


@BOTH_DATABASES
async def test_a_tenant_gets_a_number_of_its_own(
    operator: Client, garage: Tenant, storage: Storage
) -> None:
    given = ("01 99 00 12 35", "0033199001234", "+33 (0)1.99.00.12.35")
    answers = [await add_number(operator, garage.id, written) for written in given]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    numbers = ["+33199001234", "+33199001235"]
    assert answers[-1].json() == {"success": True, "id": garage.id, "numbers": numbers}
    assert (await operator.get(f"{TENANTS}/{garage.id}"))["numbers"] == numbers
    assert await storage.operator.tenant_by_number("+33199001235") == garage


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("+33199001234", 409, "number_taken"),
        ("garage", 422, "number_unreadable"),
        ("", 422, "number_unreadable"),
        (None, 422, "invalid"),
        (SHARED_NUMBER, 422, "number_shared"),
        ("09 39 03 57 61", 422, "number_shared"),
        ("02 61 91 00 01", 422, "number_is_line"),
        ("06 39 98 00 01", 422, "number_is_transfer"),
    ],
)
async def test_a_number_in_other_use_is_not_added(
    operator: Client,
    owner: Client,
    storage: Storage,
    garage: Tenant,
    dentist: Tenant,
    number: object,
    status: int,
    code: str,
) -> None:
    await storage.operator.add_number(dentist.id, "+33199001234")
    config = {"clientPhoneNumber": "02 61 91 00 01", "transferNumber": "06 39 98 00 01"}
    assert (await owner.put_phone(config=config)).status_code == 200
    problem = assert_problem(await add_number(operator, garage.id, number), status, "number")
    assert problem["code"] == code
    assert dentist.id not in str(problem)
    assert await storage.operator.our_numbers() == {"+33199001234"}
    assert await storage.operator.numbers(garage.id) == []


@BOTH_DATABASES
async def test_of_two_tenants_that_get_a_number_at_once_one_has_it(
    operator: Client, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    answers = await asyncio.gather(
        *(add_number(operator, tenant.id, "+33199001234") for tenant in (garage, dentist))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    owned = [await storage.operator.numbers(tenant.id) for tenant in (garage, dentist)]
    assert sorted(owned) == [[], ["+33199001234"]]


async def test_only_the_operator_gives_numbers(
    owner: Client, nobody: Client, storage: Storage, garage: Tenant
) -> None:
    for client in (owner, nobody):
        assert_problem(await add_number(client, garage.id, "+33199001234"), 401)
    assert await storage.operator.our_numbers() == set()

"""The API's description: every address is in it, it is well-formed, and it is true."""

import json
import re
from typing import Any, TypedDict

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import OPEN_PATHS
from dashboard.api.body import json_response, read_json
from dashboard.api.openapi import described, document, operations
from dashboard.api.operations import Door, declared, operation, resource
from dashboard.api.router import endpoints
from domain.permissions import May
from storage import Storage
from tests.dashboard.api_client import SETTINGS, Client
from tests.dashboard.declared import difference

#: Addresses whose owners haven't declared them yet. To be emptied; never to grow.
UNDECLARED: frozenset[str] = frozenset()


@pytest.fixture
def table(storage: Storage) -> dict[tuple[str, str], Any]:
    return operations(described(endpoints(storage, SETTINGS)))


@pytest.fixture
def api(storage: Storage) -> dict[str, Any]:
    made = document(described(endpoints(storage, SETTINGS)))
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(made))
    return decoded


def test_every_address_declares_itself(table: dict[tuple[str, str], Any]) -> None:
    silent = {f"{method} {path}" for (method, path), it in table.items() if declared(it) is None}
    assert silent == UNDECLARED
    assert len(table) > 30


def test_open_addresses_are_those_that_the_guard_knows(
    table: dict[tuple[str, str], Any],
) -> None:
    opened = {
        path
        for (_, path), it in table.items()
        if (its := declared(it)) is not None and its.may is Door.OPEN
    }
    assert opened == OPEN_PATHS


def test_it_holds_together(api: dict[str, Any]) -> None:
    assert api["openapi"] == "3.1.0"
    text = json.dumps(api)
    names = set(re.findall(r"#/components/schemas/([^\"]+)", text))
    assert names <= api["components"]["schemas"].keys()
    ids = [its["operationId"] for each in api["paths"].values() for its in each.values()]
    assert len(ids) == len(set(ids))
    for path, methods in api["paths"].items():
        for its in methods.values():
            named = {each["name"] for each in its["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert its["summary"]
            assert its["description"], (path, "needs a docstring")


async def test_it_is_published_for_anybody(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"]["/v1/keys"]["post"]["x-permission"] == "keys"
    page = await http.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/api/v1/keys" in page.text
    assert "<script" not in page.text


class _Wanted(msgspec.Struct, frozen=True):
    a: int


class _Other(msgspec.Struct, frozen=True):
    a: int


class _Shown(TypedDict):
    a: int
    inner: list[dict[str, int]]


async def test_a_handler_that_takes_another_shape_than_it_declares_fails(owner: Client) -> None:
    @operation("Lies", may=May.VIEW, body=_Wanted)
    async def lies(request: Request) -> Response:
        await read_json(request, _Other)
        return json_response({})

    route = resource("/lies", POST=lies)
    scope = {"type": "http", "method": "POST", "path": "/lies", "headers": [], "operation": None}
    request = Request({**scope, "operation": declared(lies), "query_string": b""})
    with pytest.raises(RuntimeError, match="isn't the declared one"):
        await lies(request)
    assert declared(route.endpoint.handlers["POST"]) is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"a": 1, "inner": []}, None),
        ({"a": "1", "inner": []}, "Expected `int`"),
        ({"a": 1}, "missing required field `inner`"),
        ({"a": 1, "inner": [], "b": 2}, "undeclared ['b']"),
    ],
)
def test_answers_are_compared_with_what_is_declared(sent: object, wrong: str | None) -> None:
    found = difference(json.dumps(sent).encode(), _Shown)
    assert (found is None) if wrong is None else (wrong in str(found))

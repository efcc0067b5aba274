"""Whatever goes wrong under /api/ is told as problem+json, and tells nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.api import body, routes
from dashboard.api.auth import tenant_access
from domain.errors import OperatorError, TenantError
from domain.tenant import Tenant
from storage import Storage
from tests.dashboard.api_client import ADMIN_KEY, SETTINGS, VAPI_SECRET, Client, assert_problem
from tests.fakes.clock import FakeClock

PHONE = "/api/v1/channels/phone"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/api/", "/api/v1", "/api/v1/nothing", "/api/v1/calls/"])
async def test_unknown_paths(owner: Client, path: str) -> None:
    problem = assert_problem(await owner.send("GET", path), 404)
    assert problem["instance"] == path


async def test_an_unknown_method_learns_which_are_known(owner: Client) -> None:
    answer = await owner.send("DELETE", PHONE)
    assert_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"enabled": true} x', 400),
        (b'{"enabled": NaN}', 400),
        (b'{"config": {"a": "\xff"}}', 400),
        (b'"\xe9"', 400),
        (b"[" * 200_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"enabled": 1e999}', 400),
    ],
)
async def test_bodies_that_cant_be_read(owner: Client, content: bytes, status: int) -> None:
    answer = await owner.send("PUT", PHONE, content=content, headers=JSON)
    assert_problem(answer, status)


@pytest.mark.parametrize(
    ("json", "field"),
    [
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"config": []}, "config"),
        ({"config": {"sara": {"customInstructions": "a\x00b"}}}, "config.sara.customInstructions"),
        ({"config": {"clientPhoneNumber": 612345678}}, "config.clientPhoneNumber"),
    ],
)
async def test_a_wrong_value_is_named(owner: Client, json: object, field: str) -> None:
    problem = assert_problem(await owner.send("PUT", PHONE, json=json), 422, field)
    assert problem["errors"] == [{"field": field, "detail": problem["detail"]}]


async def test_a_missing_value_is_named(operator: Client) -> None:
    problem = assert_problem(await operator.send("POST", "/api/tenants", json={}), 422, "name")
    assert problem["detail"] == "This field is required."


async def test_a_wrong_value_deep_inside_is_named(owner: Client) -> None:
    hours = {"hours": [{"day_of_week": 1}, {"day_of_week": "mardi"}]}
    answer = await owner.send("POST", "/api/v1/business-hours", json=hours)
    assert_problem(answer, 422, "hours[1].day_of_week")


async def test_nesting_is_bounded(owner: Client) -> None:
    deep: dict[str, object] = {}
    for _ in range(body.MAX_DEPTH - 2):
        deep = {"a": deep}
    assert (await owner.put_phone(config=deep)).status_code == 200
    problem = assert_problem(
        await owner.put_phone(config={"a": {"a": deep}}), 422, "config" + ".a" * body.MAX_DEPTH
    )
    assert "levels deep" in problem["detail"]


@pytest.mark.parametrize(
    "declared",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "null", ""],
)
async def test_only_json_is_taken(owner: Client, declared: str | None) -> None:
    headers = {} if declared is None else {"content-type": declared}
    before = (await owner.phone())["enabled"]
    content = json.dumps({"enabled": not before}).encode()
    answer = await owner.send("PUT", PHONE, content=content, headers=headers)
    assert_problem(answer, 415)
    assert (await owner.phone())["enabled"] is before


async def test_json_may_name_its_charset(owner: Client) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = await owner.send("PUT", PHONE, content=b'{"enabled": true}', headers=headers)
    assert answer.status_code == 200


async def test_a_body_that_declares_too_much_is_not_read(owner: Client) -> None:
    read: list[bool] = []

    async def recorded() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{}"

    headers = {**JSON, "content-length": str(body.MAX_BODY_BYTES + 1)}
    assert_problem(await owner.send("PUT", PHONE, content=recorded(), headers=headers), 413)
    assert read == []


async def test_a_body_that_declares_nothing_is_read_up_to_the_limit(owner: Client) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    assert_problem(await owner.send("PUT", PHONE, content=endless(), headers=JSON), 413)
    assert read <= body.MAX_BODY_BYTES + 2 * 65536


async def test_the_largest_body_is_taken(owner: Client) -> None:
    empty = len(b'{"config": {"note": ""}}')
    note = "x" * (body.MAX_BODY_BYTES - empty)
    content = b'{"config": {"note": "%s"}}' % note.encode()
    assert len(content) == body.MAX_BODY_BYTES
    answer = await owner.send("PUT", PHONE, content=content, headers=JSON)
    assert answer.status_code == 200
    assert (await owner.phone())["config"]["note"] == note


async def test_a_body_that_never_ends_is_given_up(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    assert_problem(await owner.send("PUT", PHONE, content=slow(), headers=JSON), 408)


async def failing(request: Request) -> Response:
    tenant_access(request)
    raise {
        "unexpected": RuntimeError("secret-detail"),
        "database": OperatorError("secret-detail: disk full"),
        "tenant": TenantError("secret-detail"),
    }[request.path_params["how"]]


@pytest.mark.parametrize(
    ("how", "status"), [("unexpected", 500), ("database", 503), ("tenant", 500)]
)
async def test_our_failures_say_nothing_of_themselves(
    storage: Storage, clock: FakeClock, owner: Client, how: str, status: int
) -> None:
    app = Starlette(routes=routes(storage, SETTINGS, clock, [Route("/v1/fail/{how}", failing)]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answer = await client.get(f"/api/v1/fail/{how}", headers=dict(owner.headers))
    assert_problem(answer, status)
    assert "secret-detail" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_failure_is_raised_again_for_the_servers_log(
    storage: Storage, clock: FakeClock, owner: Client
) -> None:
    app = Starlette(routes=routes(storage, SETTINGS, clock, [Route("/v1/fail/{how}", failing)]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        with pytest.raises(RuntimeError, match="secret-detail"):
            await client.get("/api/v1/fail/unexpected", headers=dict(owner.headers))


async def test_a_database_that_is_away_is_told_before_and_behind_the_guard(
    storage: Storage, owner: Client, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise OperatorError("secret-detail")

    with monkeypatch.context() as patch:
        patch.setattr(storage.operator, "holder_of_key", away)
        answer = await owner.send("GET", "/api/v1/calls")
        assert_problem(answer, 503)
        assert answer.headers["retry-after"] == "5"
    await owner.get("/api/v1/calls")
    monkeypatch.setattr(storage.operator, "numbers", away)
    assert_problem(await owner.send("GET", PHONE), 503)


async def test_people_read_their_own_language(owner: Client, stranger: Client) -> None:
    for client, said in ((owner, "introuvable"), (stranger, "can't be found")):
        assert said in assert_problem(await client.send("GET", "/api/v1/calls/x"), 404)["error"]


async def test_without_a_key_people_read_french(nobody: Client) -> None:
    problem = assert_problem(await nobody.send("GET", "/api/v1/calls"), 401)
    assert "reconnecter" in problem["error"]


async def test_head_is_get_without_a_body(owner: Client) -> None:
    answer = await owner.send("HEAD", "/api/v1/calls")
    assert answer.status_code == 200


# ---------------------------------------------------------------------------------- Vapi


async def test_vapis_secret_is_no_bearer(nobody: Client) -> None:
    for headers in (
        {"authorization": f"Bearer {VAPI_SECRET}"},
        {"authorization": f"Bearer {ADMIN_KEY}"},
    ):
        answer = await nobody.send("POST", "/api/vapi/functions", json={}, headers=headers)
        assert_problem(answer, 401)

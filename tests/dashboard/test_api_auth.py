"""Nothing under /api/ opens without the credential that fits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from dashboard.api import ApiSettings, routes
from dashboard.api.auth import (
    ELSEWHERE,
    ELSEWHERE_BELOW,
    KEY_CACHE_SECONDS,
    KEY_CACHE_SIZE,
    KeyCache,
)
from dashboard.api.router import endpoints
from domain.tenant import Tenant
from storage import KeyHolder, Storage
from tests.dashboard.api_client import ADMIN_KEY, SETTINGS, VAPI_SECRET, Client, assert_problem
from tests.fakes.clock import FakeClock


def addresses(storage: Storage) -> Iterator[tuple[str, str]]:
    """(method, path) of every route there is."""
    for route in endpoints(storage, SETTINGS):
        path = "/api" + route.path.replace("{id}", "some-id").replace("{type}", "phone")
        assert route.methods
        for method in sorted(route.methods):
            yield method, path


def kind(path: str) -> str:
    noun = path.split("/")[2]
    return noun if noun in ("tenants", "vapi") else "tenant"


@asynccontextmanager
async def client_of(
    storage: Storage, settings: ApiSettings, clock: FakeClock, *extra: Route
) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(storage, settings, clock, extra))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


NO_CREDENTIALS: list[dict[str, str]] = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": "Bearer null"},
    {"authorization": "Bearer undefined"},
    {"authorization": "null"},
    {"authorization": f"Basic {ADMIN_KEY}"},
    {"authorization": ADMIN_KEY},
    {"authorization": f"Bearer {ADMIN_KEY}x"},
    {"authorization": f"Bearer {ADMIN_KEY[:-1]}"},
    {"authorization": "Bearer " + "k" * 100_000},
    {"authorization": "Bearer cck_" + "A" * 43},
    {"x-api-key": ADMIN_KEY, "x-tenant-id": "some-id"},
    {"x-vapi-secret": ""},
    {"x-vapi-secret": "null"},
    {"x-vapi-secret": VAPI_SECRET + "x"},
]


@pytest.mark.parametrize("headers", NO_CREDENTIALS)
async def test_no_route_opens_without_a_key(
    storage: Storage, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method, path in addresses(storage):
        answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_of_one_kind_doesnt_open_paths_of_another(
    storage: Storage, owner: Client, operator: Client
) -> None:
    vapi = Client(owner.http, {"x-vapi-secret": VAPI_SECRET})
    holders = {"tenant": owner, "tenants": operator, "vapi": vapi}
    tried = 0
    for method, path in addresses(storage):
        for holds, client in holders.items():
            if holds != kind(path):
                tried += 1
                answer = await client.send(method, path)
                assert answer.status_code == 401, (method, path, holds)
    assert tried > 20


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nothing",
        "/api/v1",
        "/api/v1/calls/",
        "/api/v1/calls/a/b",
        "/api//tenants",
        "/api/TENANTS",
        "/api/v1/tenants",
        "/api/tenants%0A",
        "/api/%0A/tenants",
        "/api/a%0Ab/c",
        "/api/%74enants%2F",
        "/api/auth/login",
        "/api/v1/auth/login/x",
        "/api/v1/publics",
    ],
)
async def test_unknown_paths_are_401_without_a_key_and_404_with_one(
    nobody: Client, owner: Client, path: str
) -> None:
    assert_problem(await nobody.send("GET", path), 401)
    answer = await owner.send("GET", path)
    assert answer.status_code in (401, 404)
    assert_problem(answer, answer.status_code)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer null"}])
@pytest.mark.parametrize(
    "path", ["auth/login", "auth/signup", "auth/verify-email", "public/booking/garage/book"]
)
async def test_what_pages_ask_of_others_before_signing_in_is_404(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await Client(http, headers).send("POST", f"/api/v1/{path}", json={"email": "a@b.fr"})
    assert_problem(answer, 404)


def test_no_address_of_ours_is_where_others_are_asked(storage: Storage) -> None:
    ours = {route.path for route in endpoints(storage, SETTINGS)}
    assert not ours & ELSEWHERE
    assert not [path for path in ours if path.startswith(ELSEWHERE_BELOW)]


async def test_the_operators_list_stays_shut_to_tenants_however_the_path_is_written(
    owner: Client, garage: Tenant
) -> None:
    for path in (
        "/api/tenants",
        "/api/tenants%0A",
        "/api/%0A/tenants",
        "/api/a%0Ab/c",
        "/api//tenants",
        "/api/%74enants",
        "/api/./tenants",
    ):
        answer = await owner.send("GET", path)
        assert answer.status_code in (401, 404), path
        assert garage.code not in answer.text


async def test_two_authorizations_are_none(http: httpx.AsyncClient) -> None:
    header = ("authorization", f"Bearer {ADMIN_KEY}")
    assert (await http.get("/api/tenants", headers=[header])).status_code == 200
    assert_problem(await http.get("/api/tenants", headers=[header, header]), 401)


async def test_the_scheme_is_case_insensitive(http: httpx.AsyncClient) -> None:
    headers = {"authorization": f"bEARER   {ADMIN_KEY} "}
    assert (await http.get("/api/tenants", headers=headers)).status_code == 200


@pytest.mark.parametrize("unset", [None, ""])
async def test_what_is_not_configured_opens_to_nobody(
    storage: Storage, clock: FakeClock, unset: str | None
) -> None:
    nothing = ApiSettings(admin_key=unset, vapi_secret=unset)
    async with client_of(storage, nothing, clock) as client:
        for given_key in ("", "None", "null", ADMIN_KEY):
            headers = {"authorization": f"Bearer {given_key}", "x-vapi-secret": given_key}
            assert_problem(await client.get("/api/tenants", headers=headers), 401)
            assert_problem(await client.post("/api/vapi/functions", headers=headers), 401)
            assert_problem(await client.post("/api/vapi/events", headers=headers), 401)


@given(
    header=st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda tail: b"Bearer " + tail),
        st.text(st.characters(max_codepoint=255), max_size=40).map(
            lambda text: b"Bearer " + text.encode("latin-1")
        ),
    )
)
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
async def test_a_made_up_header_never_opens(http: httpx.AsyncClient, header: bytes) -> None:
    for path in ("/api/v1/calls", "/api/tenants", "/api/vapi/functions"):
        answer = await http.request(
            "POST" if "vapi" in path else "GET",
            path,
            headers=[(b"authorization", header), (b"x-vapi-secret", header)],
        )
        assert answer.status_code == 401


async def test_a_revoked_key_dies_within_seconds(
    storage: Storage, owner: Client, garage: Tenant, clock: FakeClock
) -> None:
    await owner.get("/api/v1/calls")
    (key,) = await storage.operator.list_keys(garage.id)
    await storage.operator.revoke_key(garage.id, key.id)
    clock.advance(KEY_CACHE_SECONDS)
    assert_problem(await owner.send("GET", "/api/v1/calls"), 401)


async def test_a_suspended_tenants_key_opens_nothing(
    storage: Storage, owner: Client, garage: Tenant
) -> None:
    await storage.operator.set_tenant_status(garage.id, "suspended")
    assert_problem(await owner.send("GET", "/api/v1/calls"), 401)


GOOD, BAD = "cck_good", "cck_bad"


class CountingKeys:
    """Every key is good, and asking is counted."""

    def __init__(self) -> None:
        self.asked = 0

    async def holder_of_key(self, key: str) -> KeyHolder | None:
        self.asked += 1
        return None if key == BAD else KeyHolder(key, "an-id", "", ("admin",))

    async def get_tenant(self, tenant_id: str) -> Tenant | None:
        return Tenant(tenant_id, tenant_id, "0000")


async def test_a_good_key_is_asked_for_once_in_a_while_and_a_bad_one_each_time() -> None:
    keys, clock = CountingKeys(), FakeClock()
    cache = KeyCache(keys, clock)
    for _ in range(3):
        access = await cache.access(GOOD)
        assert access is not None
        assert access.tenant.id == GOOD
    assert keys.asked == 1
    clock.advance(KEY_CACHE_SECONDS)
    await cache.access(GOOD)
    assert keys.asked == 2
    for _ in range(3):
        assert await cache.access(BAD) is None
    assert keys.asked == 5


async def test_the_cache_of_keys_is_bounded() -> None:
    keys = CountingKeys()
    cache = KeyCache(keys, FakeClock())
    for number in range(KEY_CACHE_SIZE + 1):
        await cache.access(f"cck_{number}")
    await cache.access(f"cck_{KEY_CACHE_SIZE}")
    assert keys.asked == KEY_CACHE_SIZE + 1  # the newest is still known …
    await cache.access("cck_0")
    assert keys.asked == KEY_CACHE_SIZE + 2  # … and the oldest is forgotten


async def test_a_route_that_forgets_to_ask_stands_behind_the_guard_all_the_same(
    storage: Storage, clock: FakeClock, owner: Client
) -> None:
    async def forgetful(request: Request) -> Response:
        return PlainTextResponse("open")

    async with client_of(storage, SETTINGS, clock, Route("/v1/forgetful", forgetful)) as client:
        assert_problem(await client.get("/api/v1/forgetful"), 401)
        answer = await client.get("/api/v1/forgetful", headers=dict(owner.headers))
        assert answer.text == "open"


async def test_the_guard_reads_the_same_path_as_the_router_when_mounted_deeper(
    storage: Storage, clock: FakeClock, owner: Client
) -> None:
    app = Starlette(routes=[Mount("/voice", routes=routes(storage, SETTINGS, clock))])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answer = await client.get("/voice/api/tenants", headers=dict(owner.headers))
        assert_problem(answer, 401)
        answer = await client.get("/voice/api/v1/calls", headers=dict(owner.headers))
        assert answer.status_code == 200


async def test_a_websocket_is_refused(storage: Storage, clock: FakeClock) -> None:
    (api,) = routes(storage, SETTINGS, clock)
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:  # type: ignore[type-arg, unused-ignore]
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/api/v1/calls",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {ADMIN_KEY}".encode())],
        "query_string": b"",
        "subprotocols": [],
    }
    await api(scope, receive, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.close"]

"""Whatever is sent, by whoever has a key: an answer, and never a failure of ours."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.api.router import endpoints
from storage import Storage
from tests.dashboard.api_client import BOTH_DATABASES, SETTINGS, VAPI_SECRET, Client

pytestmark = BOTH_DATABASES

hostile = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)

NAMES = [
    *("config", "enabled", "templates", "configSecret", "clientPhoneNumber", "transferNumber"),
    *("sara", "hours", "day_of_week", "is_open", "open_time", "close_time", "break_start"),
    *("break_end", "ranges", "open", "close", "slot_minutes", "name", "timezone", "locale"),
    *(
        "sector",
        "id",
        "number",
        "numbers",
        "label",
        "message",
        "toolCallList",
        "toolCall",
        "function",
    ),
    *("toolWithToolCallList", "twilioSharedNumber", "language", "agentType"),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-1, 8),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", "\x00", "\ud800", "09:00", "18:00", "Europe/Paris", "fr-FR", "garage", "+33261910001"]
    ),
    st.sampled_from(["02 61 91 00 01", "{company}", "%s", "../..", "٠٦٣٩٩٨٠٠٠١", "tel:", "sip:<"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5),
    ),
    max_leaves=25,
)
#: Each body goes to one address in so many; drawn with it. None: to all.
PARTS = 8
parts = st.integers(0, PARTS - 1)
bodies = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), values, max_size=6)


def client_for(path: str, owner: Client, operator: Client) -> Client:
    if path.startswith("/tenants"):
        return operator
    if path.startswith("/vapi"):
        return Client(owner.http, {"x-vapi-secret": VAPI_SECRET})
    return owner


@pytest.fixture
def writing(storage: Storage) -> list[tuple[str, str]]:
    """Method and path of all that takes a body."""
    found = [
        (method, route.path)
        for route in endpoints(storage, SETTINGS)
        for method in sorted((route.methods or set()) & {"POST", "PUT"})
    ]
    assert len(found) > 50
    return found


async def send_everywhere(
    writing: list[tuple[str, str]],
    owner: Client,
    operator: Client,
    content: bytes,
    tenant_id: str,
    part: int | None,
) -> bool:
    """Whether any of it was accepted."""
    accepted = False
    for method, template in writing if part is None else writing[part::PARTS]:
        path = template.replace("{id}", tenant_id).replace("{type}", "phone")
        answer = await client_for(path, owner, operator).send(
            method,
            f"/api{path}",
            content=content,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code < 500, (method, path, answer.text)
        assert answer.headers["content-type"] in (
            "application/json",
            "application/problem+json",
        )
        answer.json()
        accepted |= answer.status_code < 300
    return accepted


@given(body=bodies, part=parts)
@example(
    body={"hours": [{"day_of_week": 1, "open_time": "09:00", "close_time": "18:00"}]}, part=None
)
@example(body={"config": {"sara": None, "clientPhoneNumber": "02 61 91 00 01"}}, part=None)
@example(body={"config": {"n": 10**30, "f": 1e308, "\ud800": "\ud800"}}, part=None)
@example(body={"name": "\u202e\u0000"}, part=None)
@hostile
async def test_no_body_makes_the_api_fail(
    storage: Storage,
    writing: list[tuple[str, str]],
    owner: Client,
    operator: Client,
    body: dict[str, Any],
    part: int | None,
) -> None:
    (tenant,) = [t for t in await storage.operator.list_tenants() if t.name == "Garage du Port"][:1]
    content = json.dumps(body).encode()
    if not await send_everywhere(writing, owner, operator, content, tenant.id, part):
        return
    # … nor leaves anything behind that does.
    for path in ("/api/v1/channels", "/api/v1/channels/phone", "/api/v1/business-hours"):
        await owner.get(path)
    await owner.get("/api/v1/appointments")
    await operator.get("/api/tenants")


@given(content=st.binary(max_size=200), part=parts)
@example(content=b"\x00", part=None)
@hostile
async def test_no_bytes_make_the_api_fail(
    writing: list[tuple[str, str]],
    owner: Client,
    operator: Client,
    content: bytes,
    part: int | None,
) -> None:
    await send_everywhere(writing, owner, operator, content, "nobody", part)


@given(
    query=st.lists(
        st.tuples(
            st.sampled_from(
                ["page", "limit", "offset", "status", "direction", "outcome", "date_from"]
            ),
            st.one_of(
                st.text(max_size=30),
                st.integers().map(str),
                st.datetimes().map(lambda instant: instant.isoformat()),
                st.dates().map(lambda date: date.isoformat()),
            ),
        ),
        max_size=4,
    ),
    tail=st.text(max_size=20),
)
@hostile
async def test_no_query_and_no_id_makes_the_api_fail(
    storage: Storage, owner: Client, query: list[tuple[str, str]], tail: str
) -> None:
    pairs = [(name, text.encode("utf-8", "replace").decode()) for name, text in query]
    for path in ("calls", "appointments", "prospects", "tickets"):
        # Past `send`, which would mind parameters that the description doesn't name.
        answer = await owner.http.get(f"/api/v1/{path}", params=pairs, headers=owner.headers)
        assert answer.status_code in (200, 422), answer.text
    safe = "".join(f"%{byte:02X}" for byte in tail.encode("utf-8", "replace"))
    answer = await owner.send("GET", f"/api/v1/calls/{safe}")
    assert answer.status_code in (200, 404), answer.text

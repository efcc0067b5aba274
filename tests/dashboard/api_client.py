"""How the tests talk to the API, and what they expect of its refusals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest

from dashboard.api import ApiSettings
from tests.dashboard.declared import check_answer
from tests.fakes.clock import START

#: For tests whose statements may mean different things to SQLite and to PostgreSQL.
BOTH_DATABASES = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])

ADMIN_KEY = "an-operator-key-of-some-length"
JWT_SECRET = "s3ssi0n-Kq7wZp2vXr9bTn4mYc6hLd1f"
VAPI_SECRET = "a-vapi-secret-of-some-length"
SHARED_NUMBER = "+33939035760"

SETTINGS = ApiSettings(
    admin_key=ADMIN_KEY,
    vapi_secret=VAPI_SECRET,
    shared_number=SHARED_NUMBER,
    own_numbers=frozenset({SHARED_NUMBER, "+33939035761"}),
)


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who sends requests: with a key, another's or none. What is answered must be what
    the API's description says."""

    http: httpx.AsyncClient
    headers: Mapping[str, str]

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        # What the pages send; without it, the live events would be a stream without an end.
        accept = {"accept": "application/json"}
        headers = {**accept, **self.headers, **arguments.pop("headers", {})}
        answer = await self.http.request(method, path, headers=headers, **arguments)
        check_answer(self.http, answer)
        return answer

    async def get(self, path: str, **arguments: Any) -> Any:
        """The answer's JSON; the status must be 200."""
        answer = await self.send("GET", path, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put_phone(self, **body: Any) -> httpx.Response:
        return await self.send("PUT", "/api/v1/channels/phone", json=body)

    async def phone(self) -> Any:
        return (await self.get("/api/v1/channels/phone"))["channel"]


def token(
    tenant_id: str,
    role: str = "owner",
    /,
    *,
    secret: str = JWT_SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """What the accounts' backend signs: good for an hour, unless `claims` say otherwise."""
    now = START.timestamp()
    said = {"user_id": "u-1", "tenant_id": tenant_id, "role": role, "iat": int(now)}
    said |= {"exp": int(now) + 3600, "email": "paul@example.org", **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm, headers=headers)


def session(
    http: httpx.AsyncClient, tenant_id: str, role: str = "owner", /, **claims: Any
) -> Client:
    """Somebody who signed in."""
    return Client(http, {"authorization": f"Bearer {token(tenant_id, role, **claims)}"})


def assert_problem(answer: httpx.Response, status: int, field: str | None = None) -> Any:
    """The answer is a problem of this status (RFC 9457), and has what the pages read."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["status"] == status
    assert body["success"] is False
    assert {"type", "title", "detail", "instance", "code"} <= body.keys()
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body.get("field") == field, body
    return body

"""schemathesis asks for everything that the API's description allows, and for some that it
doesn't: nothing answers 5xx, and what is answered is what is described."""

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from domain.tenant import Tenant
from storage import Database, Storage
from storage.schema import channel_configurations, tenants
from tests.dashboard.api_client import ADMIN_KEY
from tests.dashboard.declared import check_answer
from tests.furniture import Rows, furnish

#: A stream has no end; signing out would end the rest.
_SKIPPED = {"/v1/events", "/v1/auth/logout"}
_SECONDS = 30.0


@pytest_asyncio.fixture(loop_scope="session")
async def furnished(database: Database, garage: Tenant) -> Rows:
    """Rows of the garage in every table."""
    async with database.write() as connection:
        statement = sa.select(tenants).where(tenants.c.id == garage.id)
        row = (await connection.execute(statement)).mappings().one()
        rows = await connection.run_sync(lambda sync: furnish(sync, row, "Cigogne", copies=1))
        # Invented secrets can't be opened, and 503 is the right answer then.
        await connection.execute(sa.update(channel_configurations).values(config_encrypted=None))
        return rows


async def fuzz(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant, examples: int
) -> dict[str, int]:
    """How many requests each operation got."""
    document = (await http.get("/api/openapi.json")).json()
    key = await storage.operator.create_key(garage.id)
    loop = asyncio.get_running_loop()
    asked: dict[str, int] = {}

    there = await _ids(http, document, key)

    async def ask(case: schemathesis.Case, path: str) -> None:
        bearer = ADMIN_KEY if path.startswith("/tenants") else key
        # Something that is there, every other time: what isn't answers 404, whatever is asked.
        if asked[f"{case.method.upper()} {path}"] % 2 and path in there:
            case.path_parameters = {**(case.path_parameters or {}), "id": there[path]}
        given = case.as_transport_kwargs(base_url="http://api.test/api")
        headers = {
            name: value
            for name, value in dict(given.pop("headers", None) or {}).items()
            if name.lower() != "authorization"
        }
        headers["authorization"] = f"Bearer {bearer}"
        prepared = _as_httpx(given, headers)
        if prepared is None:
            return
        answer = await http.send(http.build_request(**prepared))
        what = f"{case.method} {answer.request.url} {given.get('json')!r}: {answer.text[:500]}"
        assert answer.status_code < 500, what
        check_answer(http, answer)

    def all_of_them() -> None:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _walk(document, mode, examples, asked, lambda case, path: _wait(loop, ask(case, path)))

    await asyncio.to_thread(all_of_them)
    return asked


async def _ids(http: httpx.AsyncClient, document: dict[str, Any], key: str) -> dict[str, str]:
    """For paths with an id, one that is there: the first that the list above it shows."""
    found: dict[str, str] = {}
    for path in document["paths"]:
        above, parameter, _ = path.partition("/{id}")
        if not parameter or "get" not in document["paths"].get(above, {}):
            continue
        bearer = ADMIN_KEY if path.startswith("/tenants") else key
        headers = {"authorization": f"Bearer {bearer}"}
        shown = (await http.get(f"/api{above}", headers=headers)).json()
        listed = next((each for each in shown.values() if isinstance(each, list) and each), [{}])
        if isinstance(listed[0], dict) and "id" in listed[0]:
            found[path] = str(listed[0]["id"])
    return found


def _walk(
    document: dict[str, Any], mode: GenerationMode, examples: int, asked: dict[str, int], ask: Any
) -> None:
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in _SKIPPED:
            continue
        label = f"{operation.method.upper()} {operation.path}"
        strategy = operation.as_strategy(generation_mode=mode)
        counted = partial(_count, asked, label, partial(ask, path=operation.path))
        _try(strategy, examples, counted)


def _count(asked: dict[str, int], label: str, ask: Any, case: schemathesis.Case) -> None:
    asked[label] = asked.get(label, 0) + 1
    ask(case)


def _try(strategy: Any, examples: int, ask: Any) -> None:
    @given(strategy)
    @hypothesis_settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: schemathesis.Case) -> None:
        ask(case)

    # There is nothing that isn't allowed to send to some.
    with contextlib.suppress(Unsatisfiable):
        one()


def _wait(loop: asyncio.AbstractEventLoop, doing: Coroutine[Any, Any, None]) -> None:
    asyncio.run_coroutine_threadsafe(doing, loop).result(_SECONDS)


def _as_httpx(given: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any] | None:
    """requests' arguments as httpx's; None for what HTTP can't carry."""
    try:
        return {
            "method": given["method"],
            "url": given["url"],
            "params": given.get("params") or None,
            "headers": {name: str(value).encode("latin-1") for name, value in headers.items()},
            **({"json": given["json"]} if "json" in given else {}),
            **({"content": _bytes(given["data"])} if given.get("data") is not None else {}),
            **({"files": _files(given["files"])} if given.get("files") else {}),
        }
    except UnicodeEncodeError:
        return None


def _files(given: Any) -> Any:
    """The parts of a form; httpx reads what isn't text as a file, while the request is answered."""
    parts = given.items() if isinstance(given, dict) else given
    return [(name, _part(part)) for name, part in parts]


def _part(part: Any) -> Any:
    if isinstance(part, tuple):
        return (part[0], _part(part[1]), *part[2:])
    return part if isinstance(part, str | bytes) or hasattr(part, "read") else str(part).encode()


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else str(data).encode()


async def test_nothing_that_is_described_breaks(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant, furnished: Rows
) -> None:
    asked = await fuzz(http, storage, garage, examples=2)
    assert len(asked) >= 15


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_nothing_that_is_described_breaks_at_length(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant, furnished: Rows
) -> None:
    asked = await fuzz(http, storage, garage, examples=100)
    assert len(asked) >= 15

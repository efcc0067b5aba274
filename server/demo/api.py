"""The demo's way to the server: its REST API, as an operator and as a tenant would use it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from domain.errors import OperatorError

#: Loopback: what takes longer doesn't come.
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Api:
    """One server. `admin_key` is the operator's, `tenant_key` the demo tenant's."""

    client: httpx.AsyncClient
    admin_key: str
    tenant_key: str = ""

    async def ready(self) -> bool:
        """Whether it takes calls."""
        try:
            response = await self.client.get("/readyz")
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK

    async def create_tenant(self, name: str, sector: str) -> str:
        """Its id."""
        body = {"name": name, "timezone": "Europe/Paris", "locale": "fr-FR", "sector": sector}
        created = await self._ask("POST", "/api/tenants", self.admin_key, body)
        return str(created["id"])

    async def create_key(self, tenant_id: str) -> str:
        """The tenant's key."""
        path = f"/api/tenants/{tenant_id}/keys"
        created = await self._ask("POST", path, self.admin_key, {"label": "demo"})
        return str(created["key"])

    async def configure_phone(self, config: Mapping[str, Any]) -> None:
        """As the dashboard's page does."""
        body = {"enabled": True, "config": dict(config)}
        await self._ask("PUT", "/api/v1/channels/phone", self.tenant_key, body)

    async def has_assistant(self) -> bool:
        """Whether the tenant's assistant at Vapi is stored."""
        found = await self._ask("GET", "/api/v1/channels/phone", self.tenant_key)
        return bool(found.get("assistantId") or (found.get("channel") or {}).get("assistantId"))

    async def call_id(self, call_sid: str) -> str | None:
        """Our id of Twilio's call."""
        found = await self._ask("GET", "/api/v1/calls", self.tenant_key)
        ids = [str(call["id"]) for call in found["calls"] if call.get("call_sid") == call_sid]
        return ids[0] if ids else None

    async def call(self, call_id: str) -> dict[str, Any]:
        """With its timeline."""
        shown = await self._ask("GET", f"/api/v1/calls/{call_id}", self.tenant_key)
        return dict(shown["call"])

    async def appointments(self) -> list[dict[str, Any]]:
        """All bookings of the tenant."""
        shown = await self._ask("GET", "/api/v1/appointments", self.tenant_key)
        return list(shown["appointments"])

    async def _ask(
        self, method: str, path: str, key: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {key}"}
        try:
            response = await self.client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise OperatorError(
                f"{method} {path}: the server doesn't answer ({error!r})"
            ) from error
        if response.is_error:
            raise OperatorError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        answer: dict[str, Any] = response.json()
        return answer


@asynccontextmanager
async def api(public_url: str, admin_key: str) -> AsyncIterator[Api]:
    """For as long as the block lasts. Takes no proxy from the environment."""
    client = httpx.AsyncClient(base_url=public_url, timeout=TIMEOUT_SECONDS, trust_env=False)
    async with client:
        yield Api(client, admin_key)

"""A real server process and the sandbox's world, shared by the scenarios."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from sandbox.openai_http import CHAT_MODEL, SPEECH_MODEL, TRANSCRIPTION_MODEL, VOICES
from sandbox.world import World
from tests.databases import migrated_file
from tests.running import NO_TLS

ACCOUNT = "AC" + "5" * 32
NUMBER = "+33199000000"
#: Of those that were free a moment ago another program may take one before the server does.
PORTS = 5


@dataclass(slots=True)
class Deployment:
    """One running server, its world, and its operator."""

    world: World
    url: str
    admin: str
    log: Path
    process: subprocess.Popen[bytes]
    tenants: int = 0

    async def operator(self, method: str, path: str, body: Any) -> Any:
        return await self.request(self.admin, method, path, body)

    async def request(self, key: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=10, verify=NO_TLS
        ) as client:
            response = await client.request(method, path, json=body)
        assert response.is_success, response.text
        return response.json()

    async def tenant(self, sector: str, agent_type: str, **config: Any) -> "Business":
        self.tenants += 1
        line = f"+331990{self.tenants:05d}"
        name = f"Garage du Port {self.tenants}"
        created = await self.operator("POST", "/api/tenants", {"name": name, "sector": sector})
        keys = await self.operator("POST", f"/api/tenants/{created['id']}/keys", {})
        business = Business(self, keys["key"], line, created["id"])
        sara = {"agentType": agent_type, "assistantName": "Sara"}
        body = {"config": {"clientPhoneNumber": line, "sara": sara, **config}, "enabled": True}
        await self.request(business.key, "PUT", "/api/v1/channels/phone", body)
        return business


@dataclass(frozen=True, slots=True)
class Business:
    """One tenant, seen by its owner."""

    deployment: Deployment
    key: str
    line: str
    id: str

    async def get(self, path: str) -> Any:
        return await self.deployment.request(self.key, "GET", path)

    async def the_call(self) -> dict[str, Any]:
        """The one call, once its outcome is stored."""
        for _ in range(80):
            calls = (await self.get("/api/v1/calls"))["calls"]
            assert len(calls) <= 1
            if calls:
                call = (await self.get(f"/api/v1/calls/{calls[0]['id']}"))["call"]
                if call["outcome"]:
                    return call
            await asyncio.sleep(0.1)
        raise AssertionError("the call has no outcome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def deployed(
    directory: Path,
    vapi_key: str = "",
    *,
    cascade: bool = False,
    worker: bool = False,
    lines: Mapping[str, bytes] = MappingProxyType({}),
    speed: float = 8.0,
    **environment: str,
) -> AsyncIterator[Deployment]:
    """`coccinelle serve` as a user starts it, between emulated vendors; Vapi with a `vapi_key`,
    with `cascade` models behind OpenAI's HTTP API. `lines`, `speed`: the world's. Without a job
    worker beside it unless there is a `worker`, or Vapi, whose assistants it makes."""
    token, admin, openai_key = (secrets.token_hex(16) for _ in range(3))
    async with World(
        auth_token=token,
        account_sid=ACCOUNT,
        number=NUMBER,
        openai_key=openai_key,
    ) as world:
        world.lines = lines
        assert world.openai is not None
        world.openai.pace = replace(world.openai.pace, speed=speed)
        if vapi_key:
            vapi_url = await world.serve_vapi(vapi_key)
            environment |= {"VAPI_API_KEY": vapi_key, "VAPI_BASE_URL": vapi_url}
        if cascade:
            environment |= cascade_settings(world.models_url, openai_key)
        log = directory / "server.log"
        settings = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": migrated_file(directory / "coccinelle.sqlite3"),
            "JOB_WORKER": "child" if worker or vapi_key else "none",
            **of_vendors(world, admin, token, openai_key),
            **environment,
        }
        for _ in range(PORTS):
            url = f"http://127.0.0.1:{(port := free_port())}"
            process = _serve(directory, log, {**settings, "PORT": str(port), "PUBLIC_URL": url})
            if await _ready(url, process):
                break
            assert b"Address already in use" in log.read_bytes(), log.read_text()
        else:
            raise AssertionError("no port is free for long enough")
        try:
            world.target(url)
            yield Deployment(world, url, admin, log, process)
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 15)
            finally:
                process.kill()


def of_vendors(world: World, admin: str, token: str, openai_key: str) -> dict[str, str]:
    """What a server between the sandbox's carrier and models is told of them."""
    return {
        "ADMIN_API_KEY": admin,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": world.twilio_url,
        "OPENAI_API_KEY": openai_key,
        "OPENAI_BASE_URL": world.openai_url,
    }


def cascade_settings(url: str, key: str) -> dict[str, str]:
    """Of a cascade whose models are the sandbox's."""
    settings = {"TTS_VOICE_FEMALE": VOICES[0], "TTS_VOICE_MALE": VOICES[1]}
    models = {"STT": TRANSCRIPTION_MODEL, "LLM": CHAT_MODEL, "TTS": SPEECH_MODEL}
    for link, model in models.items():
        settings |= {f"{link}_BASE_URL": url, f"{link}_API_KEY": key, f"{link}_MODEL": model}
    return settings


def _serve(directory: Path, log: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "server", "serve"],
            cwd=directory,
            stderr=errors,
            env=settings,
        )


async def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    """False: it has ended instead."""
    async with httpx.AsyncClient(timeout=1, verify=NO_TLS) as client:
        for _ in range(200):
            if process.poll() is not None:
                return False
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    process.kill()
    raise AssertionError("the server isn't ready")

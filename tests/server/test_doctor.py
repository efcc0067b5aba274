import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from providers.http import Answer
from sandbox.twilio import TwilioEmulator
from server.doctor import check_clock, check_public_url, check_settings, examine
from server.doctor_findings import Finding
from server.health import health_routes
from server.metrics import Metrics
from server.setting_values import STREAM_PATH
from server.settings import Settings
from server.twilio_numbers import default_fallback
from storage.database import move_schema, schema_state
from tests.fakes.clock import START, FakeClock
from tests.fakes.scripted_http import answer, scripted

SID = "AC" + "0123456789abcdef" * 2
NUMBER = "+33939000001"
FALLBACK = "https://handler.twilio.com/twiml/EH1"
DATE = {"Date": "Mon, 23 Nov 2026 09:00:00 GMT"}


async def nothing() -> None:
    """A database in good health."""


async def refuse(websocket: WebSocket) -> None:
    await websocket.close()


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def server(stream: Any = refuse, *, upgrades: bool = True) -> AsyncIterator[str]:
    """Our own address, as far as the doctor asks it."""
    routes = health_routes(
        ping=nothing, draining=lambda: False, metrics=Metrics(), metrics_token=None
    )
    config = uvicorn.Config(
        Starlette(routes=[*routes, WebSocketRoute(STREAM_PATH, stream)]),
        ws="websockets-sansio" if upgrades else "none",
        lifespan="off",
        log_config=None,
    )
    running = _Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(running.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True


KEY = "e19c5d07a2b84f1366d0c97ab3581fe4250e8b6cf7923d41a87f05bcd6e23419"


def settings(tmp_path: Path, **values: Any) -> Settings:
    given = {
        "database_url": f"sqlite:///{tmp_path}/c.sqlite3",
        "admin_api_key": "k" * 32,
        "twilio_account_sid": SID,
        "twilio_auth_token": "secret",
        "twilio_phone_number": NUMBER,
        "openai_api_key": "sk-test",
        "public_url": "http://127.0.0.1:1",
        "twilio_api_base_url": "http://127.0.0.1:1",
        "openai_base_url": "http://127.0.0.1:1/v1",
        "encryption_key": KEY,
        **{f"{kind}_base_url": "http://127.0.0.1:1/v1" for kind in ("stt", "llm", "tts")},
        **{f"{kind}_model": "a-model" for kind in ("stt", "llm", "tts")},
        "tts_voice_female": "a-voice",
        **values,
    }
    return Settings.of(**{name: value for name, value in given.items() if value is not None})


async def findings(given: Settings) -> list[Finding]:
    return [finding async for finding in examine(given, FakeClock())]


def about(found: list[Finding], *words: str) -> Finding:
    matching = [each for each in found if all(word in each.what for word in words)]
    assert len(matching) == 1, (words, found)
    return matching[0]


MODELS = {"data": [{"id": "gpt-realtime-2.1"}, {"id": "gpt-transcribe"}]}


async def test_a_healthy_deployment(tmp_path: Path) -> None:
    emulator = TwilioEmulator(account_sid=SID, auth_tokens=["secret"], numbers=[NUMBER])
    async with server() as url, emulator, scripted(answer(200, MODELS, DATE)) as openai:
        emulator.point_at(url)
        emulator.numbers[NUMBER].voice_fallback_url = FALLBACK
        given = settings(
            tmp_path,
            public_url=url,
            twilio_api_base_url=emulator.url,
            openai_base_url=f"{openai.url}/v1",
        )
        found = await findings(given)
    assert [each.level for each in found if each.level == "fail"] == []
    about(found, "will be created")
    about(found, f"{url} is this server")
    about(found, "takes websockets")
    about(found, "Twilio accepts our credentials")
    assert about(found, NUMBER).level == "ok"
    about(found, "OpenAI accepts our key")
    about(found, "the clock is right")
    assert openai.got[0].headers["authorization"] == "Bearer sk-test"
    assert not (tmp_path / "c.sqlite3").exists()


async def test_nothing_answers(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite3").touch()
    found = await findings(settings(tmp_path, public_url="https://127.0.0.2:1"))
    assert about(found, "database").level == "ok"
    assert about(found, "healthz").level == "fail"
    assert about(found, "Twilio:").level == "fail"
    assert about(found, "OpenAI:").level == "fail"
    assert all(each.cure for each in found if each.level != "ok")


@pytest.mark.parametrize(
    ("revision", "level", "said"),
    [("base", "ok", "will be set up"), ("0012", "warn", "at revision 0012")],
)
async def test_the_database_is_left_as_it_is(
    tmp_path: Path, revision: str, level: str, said: str
) -> None:
    given = settings(tmp_path)
    url = given.database_url.get_secret_value()
    await move_schema(url, revision)
    assert about(await findings(given), "database", said).level == level
    assert (await schema_state(url)).revision == (None if revision == "base" else revision)


async def test_the_database_is_not_there(tmp_path: Path) -> None:
    given = settings(tmp_path, database_url="postgresql://me:hunter2@127.0.0.1:1/c")
    found = about(await findings(given), "database")
    assert found.level == "fail"
    assert "hunter2" not in found.what


async def test_another_program_answers_at_our_address(tmp_path: Path) -> None:
    async with scripted(answer(200, {"hello": "world"})) as other:
        found = await findings(settings(tmp_path, public_url=other.url))
    assert about(found, "something else").level == "fail"


async def test_a_proxy_that_passes_no_websocket_on(tmp_path: Path) -> None:
    async with server(upgrades=False) as url:
        found = await findings(settings(tmp_path, public_url=url))
    bad = about(found, "takes no websocket")
    assert bad.level == "fail"
    assert "Upgrade" in bad.cure


async def test_a_stream_that_takes_anybody(tmp_path: Path) -> None:
    async with server(stream=accept) as url:
        found = await findings(settings(tmp_path, public_url=url))
    assert about(found, "without Twilio's signature").level == "fail"


async def test_a_wrong_twilio_token(tmp_path: Path) -> None:
    emulator = TwilioEmulator(account_sid=SID, auth_tokens=["another"], numbers=[NUMBER])
    async with emulator:
        found = await findings(settings(tmp_path, twilio_api_base_url=emulator.url))
    bad = about(found, "Twilio:")
    assert bad.level == "fail"
    assert "TWILIO_AUTH_TOKEN" in bad.cure


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({"voice_url": "https://old.example/voice"}, "fail", "voice_url"),
        ({"voice_method": "GET"}, "fail", "voice_method"),
        ({"status_callback": ""}, "fail", "status_callback"),
        ({"voice_fallback_url": ""}, "warn", "no fallback"),
        ({"voice_fallback_url": "http://127.0.0.1:1/fallback"}, "warn", "our own host"),
    ],
)
async def test_a_number_that_is_set_up_wrongly(
    tmp_path: Path, change: dict[str, str], level: str, said: str
) -> None:
    emulator = TwilioEmulator(account_sid=SID, auth_tokens=["secret"], numbers=[NUMBER])
    async with emulator:
        emulator.point_at("http://127.0.0.1:1")
        emulator.numbers[NUMBER].voice_fallback_url = FALLBACK
        for name, value in change.items():
            setattr(emulator.numbers[NUMBER], name, value)
        found = about(await findings(settings(tmp_path, twilio_api_base_url=emulator.url)), NUMBER)
    assert found.level == level
    assert said in found.what
    assert "provision" in found.cure


async def test_the_default_fallback_is_good_enough(tmp_path: Path) -> None:
    emulator = TwilioEmulator(account_sid=SID, auth_tokens=["secret"], numbers=[NUMBER])
    async with emulator:
        emulator.point_at("http://127.0.0.1:1")
        emulator.numbers[NUMBER].voice_fallback_url = default_fallback()
        found = about(await findings(settings(tmp_path, twilio_api_base_url=emulator.url)), NUMBER)
    assert (found.level, found.what.endswith("falls back to twimlets.com")) == ("ok", True)


async def test_a_number_of_another_account(tmp_path: Path) -> None:
    emulator = TwilioEmulator(account_sid=SID, auth_tokens=["secret"], numbers=["+33939000009"])
    async with emulator:
        found = await findings(settings(tmp_path, twilio_api_base_url=emulator.url))
    assert about(found, NUMBER).level == "fail"


@pytest.mark.parametrize(
    ("response", "level", "said"),
    [
        (answer(401, {}), "fail", "refuses our key"),
        (answer(404, {}), "warn", "lists no models"),
        (answer(200, {"models": []}), "warn", "lists no models"),
        (answer(500, {}), "fail", "OpenAI:"),
    ],
)
async def test_openai_says_no(tmp_path: Path, response: bytes, level: str, said: str) -> None:
    async with scripted(response) as openai:
        found = await findings(settings(tmp_path, openai_base_url=f"{openai.url}/v1"))
    assert about(found, said).level == level


async def test_a_model_that_the_key_has_not(tmp_path: Path) -> None:
    async with scripted(answer(200, {"data": [{"id": "gpt-transcribe"}]}, DATE)) as openai:
        found = await findings(settings(tmp_path, openai_base_url=f"{openai.url}/v1"))
    assert about(found, "REALTIME_MODEL").level == "warn"


def test_what_is_missing_fails_if_no_call_can_do_without() -> None:
    levels = {each.what.split()[0]: each.level for each in check_settings(Settings.of())}
    assert levels["TWILIO_AUTH_TOKEN"] == "fail"
    assert levels["OPENAI_API_KEY"] == "fail"
    assert levels["ADMIN_API_KEY"] == "warn"


def test_what_is_weak(tmp_path: Path) -> None:
    given = settings(tmp_path, admin_api_key="short", twilio_account_sid="ACtest")
    assert [(each.level, each.what.split()[0]) for each in check_settings(given)] == [
        ("warn", "TWILIO_ACCOUNT_SID"),
        ("warn", "ADMIN_API_KEY"),
    ]
    assert check_settings(settings(tmp_path)) == [Finding("ok", "settings")]


def test_streams_need_tls() -> None:
    found = check_public_url(Settings.of(public_url="http://voice.example.fr"))
    assert [each.level for each in found] == ["fail", "fail"]
    assert check_public_url(Settings.of(public_url="https://voice.example.fr")) == []
    assert check_public_url(Settings.of())[0].level == "warn"


@pytest.mark.parametrize(
    ("date", "seconds", "level"),
    [
        ("Mon, 23 Nov 2026 09:00:00 GMT", 1, "ok"),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 60, "warn"),
        ("Mon, 23 Nov 2026 09:01:00 GMT", 0, "warn"),
        ("", 0, "warn"),
        ("yesterday", 0, "warn"),
        ("Mon, 23 Nov 2026 09:00:00 -0000", 0, "warn"),
    ],
)
def test_the_clock(date: str, seconds: int, level: str) -> None:
    said = Answer("x", 200, httpx.Headers({"date": date} if date else {}), b"")
    assert check_clock(said, START + timedelta(seconds=seconds)).level == level

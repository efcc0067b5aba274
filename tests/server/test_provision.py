import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest

from sandbox.brain import Brain
from sandbox.twilio import TwilioEmulator
from sandbox.vapi import VapiEmulator
from sandbox.vapi_faults import Outage
from server.__main__ import main
from server.settings import Settings
from tests.databases import migrated_file

SID = "AC" + "0123456789abcdef" * 2
NUMBER, DEDICATED = "+33939000001", "+33939000002"
BIN = "https://handler.twilio.com/twiml/EH1"

Coccinelle = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def coccinelle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Coccinelle:
    """The command line, in a thread with a loop of its own: (exit status, stdout, stderr)."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", migrated_file(tmp_path / "c.sqlite3"))
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "secret")
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", NUMBER)
    monkeypatch.setenv("PUBLIC_URL", "https://voice.example.fr")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["coccinelle", "--env-file", os.devnull, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code if isinstance(ended.value.code, int) else 0

    async def command(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, *arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
async def twilio(monkeypatch: pytest.MonkeyPatch) -> TwilioEmulator:
    return TwilioEmulator(account_sid=SID, auth_tokens=["secret"], numbers=[NUMBER, DEDICATED])


async def test_sets_the_addresses_and_reads_them_back(
    coccinelle: Coccinelle, twilio: TwilioEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with twilio:
        monkeypatch.setenv("TWILIO_API_BASE_URL", twilio.url)
        code, out, err = await coccinelle("provision", "--twilio", "--fallback-url", BIN)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        NUMBER,
        "  calls     POST https://voice.example.fr/webhooks/twilio/voice",
        f"  fallback  POST {BIN}",
        "  status    POST https://voice.example.fr/webhooks/twilio/status",
    ]
    number = twilio.numbers[NUMBER]
    assert number.voice_url == "https://voice.example.fr/webhooks/twilio/voice"
    assert (number.voice_method, number.voice_fallback_url) == ("POST", BIN)
    assert number.status_callback == "https://voice.example.fr/webhooks/twilio/status"
    assert twilio.numbers[DEDICATED].voice_url == ""


@pytest.mark.parametrize(
    "url", ["https://voice.example.fr/fallback", "https://VOICE.example.fr:444/f", "ftp://x/y", "x"]
)
async def test_refuses_a_fallback_that_would_fail_with_us(
    coccinelle: Coccinelle,
    twilio: TwilioEmulator,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
) -> None:
    async with twilio:
        monkeypatch.setenv("TWILIO_API_BASE_URL", twilio.url)
        code, _, err = await coccinelle("provision", "--twilio", "--fallback-url", url)
    assert code == 1
    assert "TwiML Bin" in err
    assert twilio.numbers[NUMBER].voice_url == ""


@pytest.mark.parametrize("before", ["", "https://voice.example.fr/fallback"])
async def test_without_a_fallback_of_ones_own_twilio_apologises(
    coccinelle: Coccinelle, twilio: TwilioEmulator, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    async with twilio:
        monkeypatch.setenv("TWILIO_API_BASE_URL", twilio.url)
        number = twilio.numbers[NUMBER]
        number.voice_fallback_url = before
        first = await coccinelle("provision", "--twilio")
        default = number.voice_fallback_url
        assert await coccinelle("provision", "--twilio") == first
        assert number.voice_fallback_url == default
        monkeypatch.setenv("TWILIO_FALLBACK_URL", BIN)
        code, own, _ = await coccinelle("provision", "--twilio")
    assert number.voice_fallback_url == BIN
    assert (code, "TwiML Bin" in own) == (0, False)
    code, out, err = first
    assert (code, err) == (0, "")
    assert f"  fallback  POST {default}" in out.splitlines()
    assert "TwiML Bin" in out
    assert "TWILIO_FALLBACK_URL" in out
    assert number.voice_url == "https://voice.example.fr/webhooks/twilio/voice"
    assert number.voice_method == "POST"
    assert number.status_callback == "https://voice.example.fr/webhooks/twilio/status"
    assert number.status_callback_method == "POST"
    address, _, query = default.partition("?")
    assert address == "https://twimlets.com/echo"
    # Nothing but unreserved characters and escapes (RFC 3986 §2), which no server reads twice.
    assert re.fullmatch(r"Twiml=(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+", query)
    ((name, twiml),) = parse_qsl(query, strict_parsing=True)
    response = ElementTree.fromstring(twiml)  # noqa: S314 - our own
    assert (name, response.tag) == ("Twiml", "Response")
    said, ended = response
    assert (said.tag, said.attrib) == ("Say", {"voice": "Polly.Lea-Neural", "language": "fr-FR"})
    assert "souci technique" in (said.text or "")
    assert "rappeler dans quelques minutes" in (said.text or "")
    assert (ended.tag, ended.attrib) == ("Hangup", {})


async def test_keeps_a_fallback_that_is_there_already(
    coccinelle: Coccinelle, twilio: TwilioEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with twilio:
        monkeypatch.setenv("TWILIO_API_BASE_URL", twilio.url)
        twilio.numbers[NUMBER].voice_fallback_url = BIN
        code, out, _ = await coccinelle("provision", "--twilio")
    assert code == 0
    assert BIN in out
    assert twilio.numbers[NUMBER].voice_fallback_url == BIN


async def test_says_what_it_lacks(
    coccinelle: Coccinelle, twilio: TwilioEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with twilio:
        monkeypatch.setenv("TWILIO_API_BASE_URL", twilio.url)
        code, _, err = await coccinelle("provision")
        assert code == 2
        assert "--twilio" in err
        monkeypatch.setenv("TWILIO_PHONE_NUMBER", "+33939000009")
        code, _, err = await coccinelle("provision", "--twilio", "--fallback-url", BIN)
        assert code == 1
        assert "+33939000009" in err
        monkeypatch.delenv("TWILIO_PHONE_NUMBER")
        code, _, err = await coccinelle("provision", "--twilio", "--fallback-url", BIN)
        assert code == 1
        assert "TWILIO_PHONE_NUMBER" in err
        monkeypatch.delenv("PUBLIC_URL")
        code, _, err = await coccinelle("provision", "--twilio", "--fallback-url", BIN)
        assert code == 1
        assert "PUBLIC_URL" in err


async def test_without_credentials_twilio_is_not_asked(
    coccinelle: Coccinelle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    monkeypatch.setenv("TWILIO_API_BASE_URL", "http://127.0.0.1:1")
    code, _, err = await coccinelle("provision", "--twilio", "--fallback-url", BIN)
    assert code == 1
    assert "auth token" in err


async def test_brings_the_assistants_of_all_tenants_up_to_date(
    coccinelle: Coccinelle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAPI_WEBHOOK_SECRET", "what-vapi-shows-at-our-door")
    first, second = [
        re.findall(r"[0-9a-f]{32}", (await coccinelle("tenants", "create", "--name", name))[1])[0]
        for name in ("Garage du Port", "Cabinet Molaire")
    ]
    async with VapiEmulator("vapi-private-key", lambda _: Brain([])) as vapi:
        monkeypatch.setenv("VAPI_BASE_URL", vapi.url)
        code, _, err = await coccinelle("provision", "--vapi")
        assert code != 0
        assert "VAPI_API_KEY" in err
        monkeypatch.setenv("VAPI_API_KEY", "vapi-private-key")
        assert await coccinelle("provision", "--vapi", "--tenant", first) == (
            0,
            f"{first}\tcreated\n",
            "",
        )
        code, out, _ = await coccinelle("provision", "--vapi")
        assert code == 0
        assert set(out.splitlines()) == {f"{first}\tunchanged", f"{second}\tcreated"}
        assert len(vapi.assistants) == 2
        assert "nobody" in (await coccinelle("provision", "--vapi", "--tenant", "nobody"))[2]
        monkeypatch.setenv("VAPI_API_KEY", "another-key")
        code, out, _ = await coccinelle("provision", "--vapi")
        assert code == 1
        assert out.count("failed: vapi") == 2
        monkeypatch.setenv("VAPI_API_KEY", "vapi-private-key")
        assert await coccinelle("tenants", "create", "--name", "Institut Rose")
        for _ in range(2):  # what Vapi refuses is sent again, and said again
            vapi.faults.outages.append(Outage(status=400, method="POST"))
            code, out, _ = await coccinelle("provision", "--vapi")
            assert code == 1
            assert (out.count("unchanged"), out.count("failed: vapi")) == (2, 1)

"""Our client of Vapi's REST API against the emulator that shares no code with it."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from domain.errors import OperatorError, ProviderError
from providers.guarded import GuardedDoor
from providers.http import Limits
from providers.vapi.addresses import VapiAddresses
from providers.vapi.rest import FULL, VapiAccount, VapiCall
from sandbox.brain import Brain
from sandbox.vapi import PHONE_NUMBER_ID, VapiEmulator
from sandbox.vapi_faults import Outage, VapiFaults
from tests.fakes.scripted_http import answer, scripted

KEY = "vapi-private-key"
QUICK = Limits(connect=0.5, read=0.5, total=2.0, attempts=2)
ONCE = Limits(connect=0.5, read=0.5, total=1.0, attempts=1)
SERVER = {"url": "https://voice.example/api/vapi/events", "headers": {"X-Vapi-Secret": "s"}}
BODY: dict[str, Any] = {
    "name": "t_42 Cabinet Moreau",
    "metadata": {"coccinelle_deployment": "d1", "tenant_id": "t_42"},
    "firstMessage": "Bonjour.",
    "model": {"provider": "openai", "model": "gpt-5.4-mini", "messages": []},
    "server": SERVER,
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[VapiEmulator, VapiAccount]]:
    async with (
        VapiEmulator(KEY, lambda _tag: Brain(())) as emulator,
        VapiAccount(emulator.url, KEY, limits=QUICK, call_limits=ONCE) as account,
    ):
        yield emulator, account


@pytest.fixture
def vapi(running: tuple[VapiEmulator, VapiAccount]) -> VapiEmulator:
    """As if it had just begun."""
    vapi = running[0]
    vapi.faults = VapiFaults()
    for each in (vapi.assistants, vapi.calls, vapi.requests):
        each.clear()
    return vapi


@pytest.fixture
def account(running: tuple[VapiEmulator, VapiAccount], vapi: VapiEmulator) -> VapiAccount:
    return running[1]


async def test_an_assistant_is_made_read_changed_and_removed(
    vapi: VapiEmulator, account: VapiAccount
) -> None:
    made = await account.create_assistant(BODY)
    assert made.name == BODY["name"]
    assert made.metadata == BODY["metadata"]
    assert abs((datetime.now(UTC) - made.created_at).total_seconds()) < 60
    stored = await account.get_assistant(made.id)
    assert stored is not None
    assert stored["server"] == SERVER
    await account.update_assistant(made.id, {"firstMessage": "Bonsoir."})
    assert vapi.assistants[made.id]["firstMessage"] == "Bonsoir."
    await account.delete_assistant(made.id)
    assert await account.get_assistant(made.id) is None
    await account.delete_assistant(made.id)  # done already


async def test_what_vapi_refuses_is_an_error_with_its_status(account: VapiAccount) -> None:
    with pytest.raises(ProviderError) as refused:
        await account.create_assistant({**BODY, "name": "n" * 41})
    assert refused.value.status == 400
    assert not refused.value.retryable
    with pytest.raises(ProviderError) as refused:
        await account.create_assistant({**BODY, "silenceTimeout": 3})
    assert refused.value.status == 400
    assert "silenceTimeout" not in str(refused.value)  # its sentences quote what was sent
    with pytest.raises(ProviderError) as refused:
        await account.update_assistant("0b2f6a0e-6d4e-4c6b-9f0a-5b1d2c3e4f50", BODY)
    assert refused.value.status == 404


async def test_a_wrong_key_and_none(vapi: VapiEmulator) -> None:
    async with VapiAccount(vapi.url, "another") as account:
        with pytest.raises(ProviderError) as refused:
            await account.create_assistant(BODY)
        assert refused.value.status == 401
    for key in ("", "clé"):
        async with VapiAccount(vapi.url, key) as account:
            with pytest.raises(ProviderError) as refused:
                await account.create_assistant(BODY)
            assert refused.value.code == "not_configured"
    assert vapi.requests == []


@pytest.mark.parametrize("ascending", [False, True])
async def test_all_assistants_by_pages(ascending: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However Vapi orders them, and with several of one moment."""
    began = 1_790_000_000
    times = itertools.count()
    async with (
        VapiEmulator(KEY, lambda _tag: Brain(()), now=lambda: began + next(times) // 3) as vapi,
        VapiAccount(vapi.url, KEY) as account,
    ):
        made = [(await account.create_assistant(BODY)).id for _ in range(23)]
        monkeypatch.setattr("providers.vapi.rest.PAGE", 5)
        if ascending:
            vapi.oldest_first = True
        found = [each.id async for each in account.assistants()]
        assert sorted(found) == sorted(made)
        middle = datetime.fromtimestamp(began + 3, UTC)
        early = [each async for each in account.assistants(created_before=middle)]
        assert 0 < len(early) < 23
        assert all(each.created_at <= middle for each in early)
        late = [
            each async for each in account.assistants(created_after=middle + timedelta(seconds=1))
        ]
        assert len(early) + len(late) == 23


async def test_more_of_one_moment_than_a_page_isnt_passed_over_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        VapiEmulator(KEY, lambda _tag: Brain(()), now=lambda: 1_790_000_000) as vapi,
        VapiAccount(vapi.url, KEY) as account,
    ):
        for _ in range(5):
            await account.create_assistant(BODY)
        monkeypatch.setattr("providers.vapi.rest.PAGE", 3)
        with pytest.raises(ProviderError, match="of one moment"):
            _ = [each async for each in account.assistants()]


async def test_nothing_is_made_twice(vapi: VapiEmulator, account: VapiAccount) -> None:
    """An answer that is lost, or 429, or 503, is not asked for again."""
    for status in (503, 429, 500):
        vapi.faults.outages.append(Outage(status, "/assistant", "POST", done=status != 429))
        with pytest.raises(ProviderError) as failed:
            await account.create_assistant(BODY)
        assert failed.value.status == status
    assert len(vapi.assistants) == 2
    made = await account.create_assistant(BODY)
    vapi.faults.outages.append(Outage(502, "/call", "POST", done=True))
    with pytest.raises(ProviderError):
        await account.create_websocket_call(made.id, customer_number=None)
    assert len(vapi.calls) == 1


async def test_what_can_be_repeated_is(vapi: VapiEmulator, account: VapiAccount) -> None:
    made = await account.create_assistant(BODY)
    for method in ("GET", "PATCH", "DELETE"):
        vapi.faults.outages.append(Outage(503, "/assistant/", method))
    assert await account.get_assistant(made.id) is not None
    await account.update_assistant(made.id, {"firstMessage": "Bonsoir."})
    await account.delete_assistant(made.id)
    assert vapi.assistants == {}


async def test_a_call_over_the_websocket(vapi: VapiEmulator, account: VapiAccount) -> None:
    made = await account.create_assistant(BODY)
    overrides = {"variableValues": {"call_sid": "CA1"}}
    call = await account.create_websocket_call(
        made.id, customer_number="+33639981234", overrides=overrides
    )
    (record,) = vapi.calls.values()
    assert call.id == record.id
    assert call.websocket_url is not None
    assert call.websocket_url.endswith(f"/{call.id}/transport")
    assert record.request["transport"]["audioFormat"] == {
        "format": "mulaw",
        "container": "raw",
        "sampleRate": 8000,
    }
    assert record.request["customer"]["number"] == "+33639981234"
    assert record.request["assistantOverrides"] == overrides
    known = await account.get_call(call.id)
    assert known is not None
    assert known.status == "queued"
    assert await account.get_call("nobody") is None


async def test_a_withheld_number_and_one_that_is_no_number(
    vapi: VapiEmulator, account: VapiAccount
) -> None:
    made = await account.create_assistant(BODY)
    await account.create_websocket_call(made.id, customer_number=None)
    await account.create_websocket_call(made.id, customer_number="anonymous")
    first, second = (each.request for each in vapi.calls.values())
    assert "customer" not in first
    assert second["customer"]["numberE164CheckEnabled"] is False


async def test_a_bypass_call_brings_its_document(vapi: VapiEmulator, account: VapiAccount) -> None:
    made = await account.create_assistant(BODY)
    call = await account.create_bypass_call(made.id, PHONE_NUMBER_ID, customer_number=None)
    assert call.twiml is not None
    assert "<Connect><Stream" in call.twiml
    assert call.websocket_url is None


@pytest.mark.parametrize("how", ["400", "201"])
async def test_a_full_account_is_the_vendors_state(
    how: str, vapi: VapiEmulator, account: VapiAccount
) -> None:
    made = await account.create_assistant(BODY)
    vapi.faults.full = how
    with pytest.raises(ProviderError) as full:
        await account.create_websocket_call(made.id, customer_number=None)
    assert (full.value.code, full.value.status, full.value.retryable) == (FULL, 429, True)


async def test_ten_lines_and_no_more(vapi: VapiEmulator, account: VapiAccount) -> None:
    made = await account.create_assistant(BODY)
    calls = [await account.create_websocket_call(made.id, customer_number=None) for _ in range(10)]
    with pytest.raises(ProviderError) as full:
        await account.create_websocket_call(made.id, customer_number=None)
    assert full.value.code == FULL
    await account.end(calls[0])
    await account.create_websocket_call(made.id, customer_number=None)


async def test_control(vapi: VapiEmulator, account: VapiAccount) -> None:
    made = await account.create_assistant(BODY)
    call = await account.create_websocket_call(made.id, customer_number=None)
    await account.say(call, "Un instant.")
    await account.add_message(call, "system", "L'appelant est pressé.", respond=False)
    await account.mute(call)
    await account.mute(call, muted=False)
    await account.end(call)
    await account.end(call)  # it has ended: done
    record = vapi.calls[call.id]
    kinds = [each["type"] for each in record.orders]
    assert kinds == ["say", "add-message", "control", "control", "end-call"]
    assert record.ended == "customer-ended-call"
    with pytest.raises(ProviderError) as gone:
        await account.say(call, "Vous êtes là ?")
    assert gone.value.status == 404


async def test_the_addresses_of_a_call_are_nowhere_to_be_read(
    account: VapiAccount, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await account.create_assistant(BODY)
    call = await account.create_websocket_call(made.id, customer_number="+33639981234")
    await account.say(call, "Bonjour")
    assert call.control_url is not None
    assert call.websocket_url is not None
    secret = call.control_url.rpartition("/")[2]
    ours = [each for each in caplog.records if not each.name.startswith("uvicorn")]
    text = "\n".join(each.getMessage() for each in ours)  # the emulator's own log isn't ours
    assert secret not in text
    assert "/transport" not in text
    assert "+33639981234" not in text
    assert secret not in repr(call)
    assert "transport" not in repr(call)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://api.vapi.ai.evil.example/x",
        "https://evilvapi.ai/x",
        "https://user@x.vapi.ai/x",
        "https://x.vapi.ai:8443/x",
        "http://x.vapi.ai/x",
        "file:///etc/passwd",
        "https://x.vapi.ai/\r\nHost: evil",
        "https://[bad/x",
        "",
    ],
)
async def test_control_elsewhere_is_not_dialled(address: str) -> None:
    call = VapiCall("c1", control_url=address)
    async with VapiAccount("https://api.vapi.ai", KEY) as account:
        with pytest.raises(ProviderError) as refused:
            await account.say(call, "Bonjour")
    assert refused.value.code == "unexpected_address"
    assert not address or address not in str(refused.value)


async def test_vapis_own_hosts_go_through_the_guarded_door(vapi: VapiEmulator) -> None:
    """Whose name leads into our own network, isn't reached."""
    asked: list[str] = []

    async def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    guard = GuardedDoor(token_hosts=(".vapi.ai",), resolver=resolver)
    async with VapiAccount(vapi.url, KEY, guard=guard) as account:
        call = VapiCall("c1", control_url="https://phone-call-websocket.vapi.ai/c1/control")
        with pytest.raises(ProviderError) as refused:
            await account.say(call, "Bonjour")
    assert asked == ["phone-call-websocket.vapi.ai"]
    assert refused.value.code == "unreachable"


async def test_the_operators_own_host_is_trusted_and_never_without_tls_where_it_has_it() -> None:
    local = VapiAddresses("http://127.0.0.1:8001")
    assert local.judge("ws://127.0.0.1:9000/x/transport", plain="ws", tls="wss") == "operator"
    proxied = VapiAddresses("https://vapi.proxy.example/v1")
    assert proxied.judge("wss://vapi.proxy.example/x", plain="ws", tls="wss") == "operator"
    with pytest.raises(ProviderError):
        proxied.judge("ws://vapi.proxy.example/x", plain="ws", tls="wss")
    vendor = VapiAddresses("https://api.eu.vapi.ai")
    assert vendor.judge("wss://api.eu.vapi.ai/x", plain="ws", tls="wss") == "operator"
    assert vendor.judge("wss://phone-1.vapi.ai/x", plain="ws", tls="wss") == "guarded"
    for wrong in ("vapi", "ftp://x", "https://u:p@x", "https://x/?q=1", "https:///x"):
        with pytest.raises(OperatorError):
            VapiAddresses(wrong)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"id": 7}', b'{"id": "c1", "transport": {"websocketCallUrl": 7}}', b"{}"],
)
async def test_garbage_is_an_error(body: bytes) -> None:
    reply = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with scripted(reply) as server, VapiAccount(server.url, KEY) as account:
        with pytest.raises(ProviderError) as failed:
            await account.create_websocket_call("a", customer_number=None)
    assert failed.value.code == "unexpected_answer"
    assert not failed.value.retryable


@pytest.mark.parametrize(
    "said",
    [
        {"message": "Over Concurrency Limit. Please…", "statusCode": 400},
        {"message": ["subscription concurrency limit reached"], "error": "Bad Request"},
        {"error": "Over Concurrency Limit"},
    ],
)
async def test_all_known_wordings_of_full(said: dict[str, Any]) -> None:
    async with scripted(answer(400, said)) as server, VapiAccount(server.url, KEY) as account:
        with pytest.raises(ProviderError) as full:
            await account.create_websocket_call("a", customer_number=None)
    assert full.value.code == FULL


async def test_a_vendor_that_hangs_is_left_in_time(
    vapi: VapiEmulator, account: VapiAccount
) -> None:
    made = await account.create_assistant(BODY)
    vapi.faults.outages.append(Outage(path="/call", hang_s=5))
    with pytest.raises(ProviderError) as late:
        await account.create_websocket_call(made.id, customer_number=None)
    assert late.value.status is None

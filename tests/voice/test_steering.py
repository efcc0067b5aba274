"""Calls ended and handed over from the dashboard, while their stream runs."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.scripted_http import answer
from tests.running import ACCOUNT, PUBLIC_URL, french_call
from tests.voice.carrier import OWNER_PHONE, Served, greeted, serving, talking, until

VOICE = f"{PUBLIC_URL}/webhooks/twilio/voice"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.3)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def post(served: Served, path: str) -> tuple[int, dict[str, Any]]:
    response = await served.twilio.http.post(path, headers=served.owner.headers)
    return response.status_code, response.json()


async def test_a_call_is_ended(served: Served) -> None:
    async with talking(served) as line:
        await greeted(served)
        (live,) = (await served.owner.get("/api/v1/calls/live"))["calls"]
        assert (live["stage"], live["status"]) == ("live", "in_progress")
        address = f"/api/v1/calls/{live['id']}/end"
        status, body = await post(served, address)
        assert (status, body["status"]) == (202, "ending")
        (got,) = served.posted("Status=completed")
        assert french_call()["CallSid"] in got.target
        await line.stops()  # as Twilio does then
    await served.everything_is_over()
    assert await served.outcome()
    call = await served.call()
    assert "end_asked" in [each.get("name") for each in call["events"]]
    assert (await served.owner.get("/api/v1/calls/live"))["calls"] == []
    status, problem = await post(served, address)
    assert (status, problem["code"]) == (409, "call_over")
    assert len(served.posted("Status=completed")) == 1


async def test_a_call_is_handed_over(served: Served) -> None:
    async with talking(served) as line:
        await greeted(served)
        (live,) = (await served.owner.get("/api/v1/calls/live"))["calls"]
        address = f"/api/v1/calls/{live['id']}/transfer"
        status, body = await post(served, address)
        assert (status, body["status"]) == (202, "transferring")
        await until(lambda: served.posted("Url="))
        (redirect,) = served.posted("Url=")
        assert redirect.form["Url"] == f"{VOICE}/transfer/{live['id']}"
        status, problem = await post(served, address)
        assert (status, problem["code"]) == (409, "call_not_with_agent")
        await line.stops()  # the redirect takes the call off its stream
    await served.everything_is_over()
    call = await served.call()
    assert call["outcome"] is None, "a stream that ends because of us is no death"
    form = french_call(CallStatus="in-progress")
    dialled = await served.twilio.post(redirect.form["Url"], form)
    assert OWNER_PHONE in dialled.text
    over = {**form, "DialCallStatus": "no-answer"}
    back = await served.twilio.post(f"{redirect.form['Url']}/done", over)
    assert "<Stream" in back.text, "nobody came: the agent takes the caller back"
    assert (await served.call())["transfer_state"] == "failed"


async def test_what_the_carrier_refuses_leaves_the_call_as_it_was(
    served: Served,
) -> None:
    async with talking(served) as line:
        await greeted(served)
        (live,) = (await served.owner.get("/api/v1/calls/live"))["calls"]
        served.rest.answers[:] = [answer(400, {"code": 20001})]
        for verb in ("end", "transfer"):
            status, problem = await post(served, f"/api/v1/calls/{live['id']}/{verb}")
            assert (status, problem["code"]) == (503, "carrier_failed")
            (now,) = (await served.owner.get("/api/v1/calls/live"))["calls"]
            assert (now["stage"], now["transfer_state"]) == ("live", None)
        served.rest.answers[:] = [answer(200, {"status": "completed"})]
        await line.presses("9#")  # the agent can still hand it over itself: this node carries it
        await until(lambda: len(served.posted("Url=")) > 1)
        await line.stops()
    await served.everything_is_over()


async def test_without_a_number_nobody_is_rung(served: Served) -> None:
    phone = {"config": {"transferNumber": ""}}
    changed = await served.twilio.http.put(
        "/api/v1/channels/phone", json=phone, headers=served.owner.headers
    )
    assert changed.status_code == 200, changed.text
    async with talking(served) as line:
        (live,) = (await served.owner.get("/api/v1/calls/live"))["calls"]
        status, problem = await post(served, f"/api/v1/calls/{live['id']}/transfer")
        assert (status, problem["code"]) == (409, "call_no_transfer_number")
        other = await served.twilio.tenant("Cabinet Molaire", "+33199005678")
        for verb in ("end", "transfer"):
            path = f"/api/v1/calls/{live['id']}/{verb}"
            response = await served.twilio.http.post(path, headers=other.headers)
            assert response.status_code == 404
        assert (await other.get("/api/v1/calls/live"))["count"] == 0
        assert not [got for got in served.rest.got if got.method == "POST"]
        await line.stops()
    await served.everything_is_over()


async def test_what_was_recorded_is_listened_to_through_us(served: Served) -> None:
    async with talking(served) as line:
        await line.stops()
    await served.everything_is_over()
    call = await served.call()
    path = f"/api/v1/calls/{call['id']}/recording"
    assert call["recording"] is False
    refused = await served.twilio.http.get(path, headers=served.owner.headers)
    assert (refused.status_code, refused.json()["code"]) == (404, "recording_unknown")
    # Whatever host stands there, ours is asked: the operator's Twilio.
    address = f"https://evil.example/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{1:032x}"
    with closing(sqlite3.connect(served.directory / "test.sqlite3")) as database, database:
        database.execute("UPDATE call_logs SET recording_url = ?", (address,))
    served.rest.answers[:] = [answer(200, b"ID3 audio", {"Content-Type": "audio/mpeg"})]
    heard = await served.twilio.http.get(path, headers=served.owner.headers)
    assert (heard.status_code, heard.content) == (200, b"ID3 audio")
    assert heard.headers["content-type"] == "audio/mpeg"
    got = served.rest.got[-1]
    assert got.target == f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{1:032x}.mp3"
    assert got.headers["authorization"].startswith("Basic ")
    lines = (await served.owner.get("/api/v1/audit?action=recording.read"))["entries"]
    assert [line["subject_id"] for line in lines] == [call["id"]]
    with closing(sqlite3.connect(served.directory / "test.sqlite3")) as database, database:
        row = (served.owner.id, call["id"], call["call_sid"], f"RE{1:032x}")
        database.execute(
            "INSERT INTO recordings"
            " (id, tenant_id, source, call_id, call_sid, recording_sid, state, created_at) VALUES"
            " ('r', ?, 'call', ?, ?, ?, 'recording', '2026-11-23T09:00:00.000000Z')",
            row,
        )
    assert (await served.call())["recording"] is True
    with closing(sqlite3.connect(served.directory / "test.sqlite3")) as database, database:
        database.execute("UPDATE recordings SET state = 'refused'")
    assert (await served.call())["recording"] is False, "the caller said no"
    refused = await served.twilio.http.get(path, headers=served.owner.headers)
    assert refused.status_code == 404
    with closing(sqlite3.connect(served.directory / "test.sqlite3")) as database, database:
        database.execute("DELETE FROM recordings")
    served.rest.answers[:] = [answer(404, {"code": 20404})]
    gone = await served.twilio.http.get(path, headers=served.owner.headers)
    assert gone.status_code == 404

"""The REST interface over real HTTP."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.callee import Callee
from sandbox.twilio import TwilioEmulator
from sandbox.twilio_rest import Outage
from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, TwimlServer

ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"


@pytest.fixture
async def client(twilio: TwilioEmulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=twilio.url, auth=(ACCOUNT, TOKEN)) as client:
        yield client


def error_of(response: httpx.Response) -> tuple[int, int]:
    body = response.json()
    assert body.keys() == {"code", "message", "more_info", "status"}
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


@pytest.mark.parametrize(
    "auth", [None, (ACCOUNT, "wrong"), ("AC1", TOKEN), (ACCOUNT, ""), ("", "")]
)
async def test_nobody_comes_in_without_the_token(
    twilio: TwilioEmulator, auth: tuple[str, str] | None
) -> None:
    async with httpx.AsyncClient(base_url=twilio.url, auth=auth) as client:
        assert error_of(await client.get(f"{ROOT}.json")) == (401, 20003)


async def test_the_secondary_token_authenticates_too(twilio: TwilioEmulator) -> None:
    auth = (ACCOUNT, "the-other-token")
    async with httpx.AsyncClient(base_url=twilio.url, auth=auth) as client:
        assert (await client.get(f"{ROOT}.json")).json()["status"] == "active"


async def test_what_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    for path in (
        f"{ROOT}/Calls/CA{'0' * 32}.json",
        f"{ROOT}/Nothing.json",
        f"/2010-04-01/Accounts/AC{'1' * 32}/Calls.json",
        f"{ROOT}/Messages/SM0.json",
        f"{ROOT}/IncomingPhoneNumbers/PN0.json",
    ):
        assert error_of(await client.get(path)) == (404, 20404)


async def test_numbers_are_found_and_pointed_at_a_server(client: httpx.AsyncClient) -> None:
    listed = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": NUMBER})
    [number] = listed.json()["incoming_phone_numbers"]
    assert number["phone_number"] == NUMBER
    other = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": "+1999"})
    assert other.json()["incoming_phone_numbers"] == []
    path = f"{ROOT}/IncomingPhoneNumbers/{number['sid']}.json"
    new = {"VoiceUrl": "https://a.fr/voice", "VoiceMethod": "POST", "StatusCallback": ""}
    assert (await client.post(path, data=new)).json()["voice_url"] == "https://a.fr/voice"
    assert (await client.get(path)).json()["status_callback"] == ""
    for wrong in ({"VoiceUrl": "ftp://a.fr"}, {"VoiceUrl": "https://a_b.fr/"}):
        assert error_of(await client.post(path, data=wrong))[0] == 400
    assert error_of(await client.post(path, data={"VoiceMethod": "PUT"}))[0] == 400
    assert (await client.get(path)).json()["voice_url"] == "https://a.fr/voice"


async def test_messages_are_refused_as_twilio_refuses_them(
    client: httpx.AsyncClient, twilio: TwilioEmulator
) -> None:
    twilio.opted_out.add("+33639980001")
    good = {"To": "+33639981234", "From": NUMBER, "Body": "Bonjour"}
    for change, code in (
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"To": "0639981234"}, 21211),
        ({"From": "+33600000000"}, 21606),
        ({"Body": ""}, 21619),
        ({"Body": "x" * 1601}, 21617),
        ({"To": "+33639980001"}, 21610),
        ({"To": "+33145000000"}, 21635),
    ):
        response = await client.post(f"{ROOT}/Messages.json", data=good | change)
        assert error_of(response) == (400, code)
    assert twilio.messages == {}


async def test_a_message_is_sent_and_its_statuses_are_told(
    client: httpx.AsyncClient, twilio: TwilioEmulator, server: TwimlServer
) -> None:
    fields = {"To": "+33639981234", "From": "Garage", "Body": "Ça marche"}
    fields["StatusCallback"] = f"{server.url}/sms-status"
    created = await client.post(f"{ROOT}/Messages.json", data=fields)
    assert created.status_code == 201
    assert (created.json()["status"], created.json()["num_segments"]) == ("queued", "1")
    sid = created.json()["sid"]
    async with asyncio.timeout(3):
        while len(server.fields("/sms-status")) < 2:
            await asyncio.sleep(0.02)
    assert [each["MessageStatus"] for each in server.fields("/sms-status")] == ["sent", "delivered"]
    assert all(signed for path, _, signed in server.requests if path == "/sms-status")
    fetched = (await client.get(f"{ROOT}/Messages/{sid}.json")).json()
    assert fetched["status"] == "delivered"


async def test_an_outage_lasts_as_long_as_told(
    client: httpx.AsyncClient, twilio: TwilioEmulator
) -> None:
    twilio.outages.append(Outage(429, 20429, times=2, path="/Messages"))
    good = {"To": "+33639981234", "From": NUMBER, "Body": "Bonjour"}
    assert (await client.get(f"{ROOT}.json")).status_code == 200
    for _ in range(2):
        assert error_of(await client.post(f"{ROOT}/Messages.json", data=good)) == (429, 20429)
    assert (await client.post(f"{ROOT}/Messages.json", data=good)).status_code == 201


async def test_only_forms_are_taken(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{ROOT}/Messages.json", json={"To": "+33639981234"})
    assert error_of(response)[0] == 415


async def test_a_call_placed_by_rest_runs_and_reports_its_progress(
    client: httpx.AsyncClient, twilio: TwilioEmulator, server: TwimlServer
) -> None:
    twilio.callees["+33639981234"] = Callee("says_nothing", rings_seconds=0.1)
    server.replies["/outbound"] = "<Response><Pause length='1'/></Response>"
    created = await client.post(
        f"{ROOT}/Calls.json",
        data={
            "To": "+33639981234",
            "From": NUMBER,
            "Url": f"{server.url}/outbound",
            "StatusCallback": f"{server.url}/progress",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        },
    )
    assert created.status_code == 201
    assert created.json()["status"] == "queued"
    assert created.json()["direction"] == "outbound-api"
    async with asyncio.timeout(5):
        while len(server.fields("/progress")) < 4:
            await asyncio.sleep(0.05)
    told = [each["CallStatus"] for each in server.fields("/progress")]
    assert told == ["initiated", "ringing", "in-progress", "completed"]
    [asked] = server.fields("/outbound")
    assert (asked["To"], asked["Direction"]) == ("+33639981234", "outbound-api")
    call = (await client.get(f"{ROOT}/Calls/{created.json()['sid']}.json")).json()
    assert (call["status"], call["duration"]) == ("completed", "1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21201),
        ({"From": "+33600000000"}, 21210),
        ({"Url": "somewhere"}, 21205),
        ({"Twiml": "x" * 4001}, 32018),
    ],
)
async def test_calls_that_twilio_would_not_place(
    client: httpx.AsyncClient, change: dict[str, str], code: int
) -> None:
    good = {"To": "+33639981234", "From": NUMBER, "Url": "http://127.0.0.1:9/x"}
    response = await client.post(f"{ROOT}/Calls.json", data=good | change)
    assert error_of(response) == (400, code)


async def test_a_callee_who_does_not_answer(
    client: httpx.AsyncClient, twilio: TwilioEmulator, server: TwimlServer
) -> None:
    fields = {"To": "+33639981234", "From": NUMBER, "Url": f"{server.url}/x", "Timeout": "1"}
    sid = (await client.post(f"{ROOT}/Calls.json", data=fields)).json()["sid"]
    async with asyncio.timeout(5):
        await twilio.legs[sid].closed.wait()
    call = (await client.get(f"{ROOT}/Calls/{sid}.json")).json()
    assert (call["status"], call["duration"]) == ("no-answer", "0")
    assert server.fields("/x") == []

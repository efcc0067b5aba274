"""Twilio's REST API as we use it: requests by hand, answers as documented (twilio.md §4.1)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import OperatorError, ProviderError
from providers.http import Limits
from providers.twilio.rest import (
    NumberAddresses,
    TwilioAccount,
    TwilioCallControl,
    TwilioNumbers,
)
from tests.fakes.scripted_http import HANG_UP, ScriptedHttp, answer, scripted
from voice.ports import CallControl, CallRecord

SID = "CA9b0000000000000000000000000000aa"
QUICK = Limits(connect=0.5, read=0.5, total=2.0)


def refusal(status: int, code: int) -> bytes:
    return answer(status, {"code": code, "message": "no", "more_info": "…", "status": status})


CALL = {"sid": SID, "status": "completed", "duration": "7", "price": None, "to": "+33939000001"}


@asynccontextmanager
async def account(
    *answers: bytes | None, sid: str = "AC1"
) -> AsyncIterator[tuple[ScriptedHttp, TwilioAccount]]:
    async with (
        scripted(*answers) as server,
        TwilioAccount(server.url, sid, "token", limits=QUICK) as twilio,
    ):
        yield server, twilio


async def test_hanging_up() -> None:
    async with account(answer(200, CALL)) as (server, twilio):
        control: CallControl = TwilioCallControl(twilio)
        await control.hang_up(SID)
        (got,) = server.got
        assert (got.method, got.target) == ("POST", f"/2010-04-01/Accounts/AC1/Calls/{SID}.json")
        assert got.form == {"Status": "completed"}
        assert got.headers["authorization"] == "Basic QUMxOnRva2Vu"
        assert got.headers["accept"] == "application/json"


@pytest.mark.parametrize("reply", [refusal(404, 20404), refusal(400, 21220)])
async def test_a_call_that_has_ended_counts_as_hung_up(reply: bytes) -> None:
    async with account(reply) as (server, twilio):
        await TwilioCallControl(twilio).hang_up(SID)
        assert len(server.got) == 1


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (refusal(401, 20003), "20003", False),
        (refusal(400, 20001), "20001", False),
        (answer(400, b"<html>"), "", False),
        (refusal(503, 20503), "20503", True),
    ],
)
async def test_another_refusal_is_raised(reply: bytes, code: str, retryable: bool) -> None:
    async with account(reply) as (_, twilio):
        with pytest.raises(ProviderError) as caught:
            await TwilioCallControl(twilio).hang_up(SID)
        assert (caught.value.code, caught.value.retryable) == (code, retryable)


@pytest.mark.parametrize("first", [HANG_UP, answer(500), answer(429)])
async def test_a_hang_up_is_repeated(first: bytes) -> None:
    async with account(first, answer(200, CALL)) as (server, twilio):
        await TwilioCallControl(twilio).hang_up(SID)
        assert len(server.got) == 2


async def test_redirecting() -> None:
    async with account(answer(200, CALL)) as (server, twilio):
        await TwilioCallControl(twilio).redirect(SID, "https://h/webhooks/twilio/voice/transfer")
        assert server.got[0].form == {
            "Url": "https://h/webhooks/twilio/voice/transfer",
            "Method": "POST",
        }


@pytest.mark.parametrize("first", [HANG_UP, answer(500)])
async def test_a_redirection_that_may_have_been_done_is_not_repeated(first: bytes) -> None:
    async with account(first, answer(200, CALL)) as (server, twilio):
        with pytest.raises(ProviderError):
            await TwilioCallControl(twilio).redirect(SID, "https://h/x")
        assert len(server.got) == 1


@pytest.mark.parametrize("reply", [refusal(404, 20404), refusal(400, 21220)])
async def test_a_call_that_has_ended_cannot_be_redirected(reply: bytes) -> None:
    async with account(reply) as (_, twilio):
        with pytest.raises(ProviderError) as caught:
            await TwilioCallControl(twilio).redirect(SID, "https://h/x")
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {
                "start_time": "Sun, 22 Nov 2026 09:00:00 +0000",
                "end_time": "Sun, 22 Nov 2026 10:00:07 +0100",
            },
            CallRecord(
                SID,
                "completed",
                7,
                datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC),
                datetime(2026, 11, 22, 9, 0, 7, tzinfo=UTC),
            ),
        ),
        (
            {"status": "in-progress", "duration": None, "start_time": None, "end_time": None},
            CallRecord(SID, "in-progress", None, None, None),
        ),
        (
            {
                "duration": 9,
                "start_time": "yesterday",
                "end_time": "Sun, 22 Nov 2026 9:00:00 -0000",
            },
            CallRecord(SID, "completed", 9, None, datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ),
        ({"duration": "7 s"}, CallRecord(SID, "completed", None, None, None)),
    ],
)
async def test_fetching(changes: dict[str, Any], expected: CallRecord) -> None:
    async with account(answer(200, {**CALL, **changes})) as (server, twilio):
        assert await TwilioCallControl(twilio).fetch(SID) == expected
        assert (server.got[0].method, server.got[0].body) == ("GET", b"")


async def test_fetching_an_unknown_call() -> None:
    async with account(refusal(404, 20404)) as (_, twilio):
        assert await TwilioCallControl(twilio).fetch(SID) is None


async def test_a_record_of_another_shape() -> None:
    async with account(answer(200, {"sid": SID})) as (_, twilio):
        with pytest.raises(ProviderError) as caught:
            await TwilioCallControl(twilio).fetch(SID)
        assert caught.value.code == "unexpected_answer"


async def test_a_sid_from_outside_stays_one_step_of_the_path() -> None:
    async with account(refusal(404, 20404)) as (server, twilio):
        await TwilioCallControl(twilio).fetch("../../Messages?x=")
        assert server.got[0].target == (
            "/2010-04-01/Accounts/AC1/Calls/..%2F..%2FMessages%3Fx%3D.json"
        )


async def test_without_credentials_nothing_is_sent() -> None:
    async with account(answer(200, CALL), sid="") as (server, twilio):
        with pytest.raises(ProviderError) as caught:
            await TwilioCallControl(twilio).hang_up(SID)
        assert (caught.value.code, caught.value.retryable) == ("not_configured", False)
        assert server.got == []


# -------------------------------------------------------------------------------- numbers

ADDRESSES = NumberAddresses(
    "https://h/webhooks/twilio/voice",
    "https://h/webhooks/twilio/status",
    "https://handler.twilio.com/twiml/EH1",
    "https://h/webhooks/twilio/sms",
)
STORED = {
    "sid": "PN1",
    "phone_number": "+33939000001",
    "voice_url": ADDRESSES.voice_url,
    "voice_method": "POST",
    "voice_fallback_url": ADDRESSES.fallback_url,
    "voice_fallback_method": "POST",
    "status_callback": ADDRESSES.status_callback,
    "status_callback_method": "POST",
    "voice_application_sid": "",
    "trunk_sid": None,
    "sms_url": ADDRESSES.sms_url,
    "sms_method": "POST",
    "sms_application_sid": None,
}


def listing(*numbers: dict[str, Any]) -> bytes:
    return answer(200, {"incoming_phone_numbers": list(numbers), "page": 0})


async def test_a_number_is_found_by_its_whole_spelling() -> None:
    longer = {"sid": "PN2", "phone_number": "+339390000012"}
    async with account(listing(longer, STORED)) as (server, twilio):
        found = await TwilioNumbers(twilio).find("+33939000001")
        assert found is not None
        assert found.sid == "PN1"
        assert server.got[0].target.endswith("IncomingPhoneNumbers.json?PhoneNumber=%2B33939000001")
    async with account(listing(longer)) as (_, twilio):
        assert await TwilioNumbers(twilio).find("+33939000001") is None


async def test_a_number_is_pointed_at_us_and_read_back() -> None:
    before = {**STORED, "voice_url": "https://demo.twilio.com/", "voice_application_sid": "AP1"}
    replies = listing(before), answer(200, STORED), answer(200, STORED)
    async with account(*replies) as (server, twilio):
        stored = await TwilioNumbers(twilio).point("+33939000001", ADDRESSES)
        assert stored.voice_url == ADDRESSES.voice_url
        assert [got.method for got in server.got] == ["GET", "POST", "GET"]
        assert server.got[1].target == "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers/PN1.json"
        assert server.got[1].form == {
            "VoiceUrl": ADDRESSES.voice_url,
            "VoiceMethod": "POST",
            "StatusCallback": ADDRESSES.status_callback,
            "StatusCallbackMethod": "POST",
            "VoiceFallbackUrl": ADDRESSES.fallback_url,
            "VoiceFallbackMethod": "POST",
            "VoiceApplicationSid": "",
            "SmsUrl": ADDRESSES.sms_url,
            "SmsMethod": "POST",
        }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("voice_url", "https://demo.twilio.com/"),
        ("voice_method", "GET"),
        ("voice_fallback_url", None),
        ("status_callback", ""),
        ("trunk_sid", "TK1"),
        ("voice_application_sid", "AP1"),
        ("sms_url", ""),
        ("sms_application_sid", "AP2"),
    ],
)
async def test_what_twilio_did_not_keep_is_named(name: str, value: str | None) -> None:
    replies = listing(STORED), answer(200, STORED), answer(200, {**STORED, name: value})
    async with account(*replies) as (_, twilio):
        with pytest.raises(OperatorError, match=name):
            await TwilioNumbers(twilio).point("+33939000001", ADDRESSES)


async def test_without_a_fallback_the_number_keeps_its_own() -> None:
    addresses = NumberAddresses(ADDRESSES.voice_url, ADDRESSES.status_callback)
    replies = listing(STORED), answer(200, STORED), answer(200, STORED)
    async with account(*replies) as (server, twilio):
        await TwilioNumbers(twilio).point("+33939000001", addresses)
        assert not {"VoiceFallbackUrl", "SmsUrl"} & server.got[1].form.keys()


async def test_a_number_that_is_not_ours() -> None:
    async with account(listing()) as (server, twilio):
        with pytest.raises(OperatorError, match="TWILIO_PHONE_NUMBER"):
            await TwilioNumbers(twilio).point("+33939000009", ADDRESSES)
        assert len(server.got) == 1

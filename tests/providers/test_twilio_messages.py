"""SMS over Twilio's wire: what is asked for, what refusals mean, what is found again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from messaging.inbound import read_sms
from messaging.ports import (
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    Sender,
    TryLater,
    UnknownOutcome,
)
from messaging.statuses import TEXT_ID, read_report
from providers.http import Limits
from providers.twilio.messages import SmsDefaults, TwilioTexts, replies_reach
from providers.twilio.rest import TwilioAccount
from sandbox.twilio import TwilioEmulator
from sandbox.twilio_rest import Outage
from sandbox.twilio_texts import Fate
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

SID, TOKEN = "AC" + "1" * 32, "token"
OURS, THEIRS, ANOTHERS = "+33757000001", "+33757000002", "+33757000003"
SERVICE = "MG" + "2" * 32
STATUS_URL = "http://127.0.0.1:9/webhooks/twilio/status"
TEXT = OutgoingText("a" * 32, "salon", "sms", "+33639980001", "Rendez-vous mardi à 14 h 30.")
QUICK = Limits(connect=0.5, read=0.3, total=1.5)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[TwilioEmulator]:
    async with TwilioEmulator(
        account_sid=SID, auth_tokens=[TOKEN], numbers=[OURS, THEIRS, ANOTHERS]
    ) as emulator:
        emulator.texts.services[SERVICE] = (OURS,)
        yield emulator


@pytest.fixture
def twilio(running: TwilioEmulator) -> TwilioEmulator:
    texts = running.texts
    texts.messages.clear()
    texts.fates.clear()
    texts.blocked.clear()
    texts.opted_out.clear()
    texts.countries = ("+",)
    running.outages.clear()
    running.requests.clear()
    return running


async def owns(tenant_id: str, number: str) -> bool:
    return (tenant_id, number) == ("salon", THEIRS)


def texts(account: TwilioAccount, **defaults: str) -> TwilioTexts:
    return TwilioTexts(
        account,
        SmsDefaults(**{"sender": OURS, "status_url": STATUS_URL, **defaults}),
        FakeClock(),
        owns,
    )


def account(twilio: TwilioEmulator, token: str = TOKEN) -> TwilioAccount:
    return TwilioAccount(twilio.url, SID, token, limits=QUICK)


async def test_a_text_is_accepted_and_its_callback_bears_our_id(twilio: TwilioEmulator) -> None:
    async with account(twilio) as open_account:
        sms: Sender = texts(open_account)
        text = replace(TEXT, expires_at=FakeClock().now() + timedelta(hours=2))
        found = await sms.send(text, Credentials())
        (message,) = twilio.messages.values()
        assert found == Accepted(message.sid, "accepted", sender=OURS, segments=1)
        assert message.status_callback == f"{STATUS_URL}?{TEXT_ID}={'a' * 32}"
        assert (message.to_number, message.body) == (TEXT.to, TEXT.body)


async def test_who_sends_is_the_tenants_choice_within_what_is_its_own(
    twilio: TwilioEmulator,
) -> None:
    async with account(twilio) as open_account:
        sms = texts(open_account)
        for config, sender in (
            ({"sender": THEIRS}, THEIRS),
            ({"sender": "Salon Anna"}, "Salon Anna"),
            ({"messagingServiceSid": SERVICE}, SERVICE),
            ({"sender": "Salon Élégance, Lyon"}, OURS),  # no sender at all
        ):
            credentials = Credentials(config)
            assert sms.sender(credentials) == sender
            accepted = await sms.send(TEXT, credentials)
            message = twilio.messages[accepted.vendor_id]
            assert sender in (message.from_number, message.messaging_service_sid)
        with pytest.raises(ChannelPaused):  # another tenant's number of the same account
            await sms.send(TEXT, Credentials({"sender": ANOTHERS}))
        with pytest.raises(ChannelPaused):
            await sms.send(TEXT, Credentials({"messagingServiceSid": "MG" + "9" * 32}))
        assert len(twilio.messages) == 4
    assert replies_reach(OURS)
    assert replies_reach("36180")
    assert not replies_reach("Salon Anna")


@pytest.mark.parametrize(
    ("to", "code"),
    [("0639980001", "21211"), ("+33139980001", "21635"), ("+33639980009", "21610")],
)
async def test_refusals_are_for_good(twilio: TwilioEmulator, to: str, code: str) -> None:
    twilio.opted_out.add("+33639980009")
    async with account(twilio) as open_account:
        with pytest.raises(Refused) as refused:
            await texts(open_account).send(replace(TEXT, to=to), Credentials())
        assert (refused.value.code, refused.value.status) == (code, 400)
        assert to not in str(refused.value)


async def test_countries_names_and_lengths(twilio: TwilioEmulator) -> None:
    twilio.texts.countries = ("+33", "+1")
    async with account(twilio) as open_account:
        sms, name = texts(open_account), Credentials({"sender": "Salon"})
        for text, credentials, code in (
            (replace(TEXT, to="+8613800138000"), Credentials(), "21408"),
            (replace(TEXT, to="+12025550123"), name, "21612"),
            (replace(TEXT, body="x" * 1601), Credentials(), "21617"),
        ):
            with pytest.raises(Refused) as refused:
                await sms.send(text, credentials)
            assert refused.value.code == code


async def test_what_the_operator_must_mend_is_kept(twilio: TwilioEmulator) -> None:
    async with account(twilio, "wrong") as open_account:
        with pytest.raises(TryLater) as later:
            await texts(open_account).send(TEXT, Credentials())
        assert (later.value.code, later.value.after) == ("20003", 300.0)
    async with account(twilio) as open_account:
        with pytest.raises(TryLater):
            await texts(open_account, sender="+33757999999").send(TEXT, Credentials())
    async with TwilioAccount(twilio.url, "", "") as nobody:
        assert not texts(nobody).usable(Credentials())
        with pytest.raises(TryLater):
            await texts(nobody).send(TEXT, Credentials())


async def test_too_many_requests_are_surely_undone(twilio: TwilioEmulator) -> None:
    async with account(twilio) as open_account:
        twilio.outages.append(Outage(429, 20429, times=1))
        assert (await texts(open_account).send(TEXT, Credentials())).vendor_id in twilio.messages
        twilio.outages.append(Outage(429, 20429, times=3))
        with pytest.raises(TryLater):
            await texts(open_account).send(TEXT, Credentials())
    assert len(twilio.messages) == 1
    async with TwilioAccount("http://127.0.0.1:9", SID, TOKEN, limits=QUICK) as nobody:
        with pytest.raises(TryLater):
            await texts(nobody).send(TEXT, Credentials())


@pytest.mark.parametrize("answer", ["cut", "hang", "500"])
async def test_an_answer_that_is_lost_is_unknown_and_found_again(
    twilio: TwilioEmulator, answer: str
) -> None:
    asked_at = datetime.now(UTC)
    async with account(twilio) as open_account:
        sms = texts(open_account)
        twilio.texts.fates.append(Fate(answer=answer))
        with pytest.raises(UnknownOutcome):
            await sms.send(TEXT, Credentials())
        assert len(twilio.messages) == 1  # taken, and asked for once
        found = await sms.find(TEXT, Credentials(), asked_at)
        assert found is not None
        assert found.vendor_id in twilio.messages
        assert await sms.find(replace(TEXT, body="Autre"), Credentials(), asked_at) is None
        assert await sms.find(TEXT, Credentials(), asked_at + timedelta(days=1)) is None
        await sms.send(TEXT, Credentials())
        assert await sms.find(TEXT, Credentials(), asked_at) is None  # two of them tell nothing


async def test_statuses_come_twice_and_out_of_order(twilio: TwilioEmulator) -> None:
    async with account(twilio) as open_account:
        fate = Fate(("delivered", "sent", "undelivered"), error=30003, times=2, delay=0.0)
        twilio.texts.fates.append(fate)
        sid = (await texts(open_account).send(TEXT, Credentials())).vendor_id
        reports: list[Any] = []
        for _ in range(200):
            every = [read_report(request.fields) for request in twilio.requests]
            # Those of earlier tests' texts may still be under way.
            reports = [report for report in every if report and report.message_sid == sid]
            if len(reports) >= 6:
                break
            await asyncio.sleep(0.01)
        assert [report.status for report in reports] == (
            ["delivered"] * 2 + ["sent"] * 2 + ["failed"] * 2
        )
        assert reports[-1].error_code == "30003"


async def test_an_english_stop_blocks_the_sender_and_only_that(twilio: TwilioEmulator) -> None:
    await twilio.texts.write(TEXT.to, OURS, "Stop")
    async with account(twilio) as open_account:
        with pytest.raises(Refused) as refused:
            await texts(open_account).send(TEXT, Credentials())
        assert refused.value.code == "21610"
        await texts(open_account).send(TEXT, Credentials({"sender": THEIRS}))
        await twilio.texts.write(TEXT.to, OURS, "ARRET")  # a word like any other to Twilio
        await twilio.texts.write(TEXT.to, OURS, "start")
        await texts(open_account).send(TEXT, Credentials())


async def test_what_somebody_writes_is_read(twilio: TwilioEmulator) -> None:
    number = twilio.numbers[OURS]
    number.sms_url = "http://127.0.0.1:9/webhooks/twilio/sms"
    media = (("https://api.twilio.com/media/ME1", "image/jpeg"),)
    await twilio.texts.write(TEXT.to, OURS, "Je peux décaler ?\x00", media=media, times=3)
    # Reports on what an earlier test has sent may still be coming.
    arrived = [request for request in twilio.requests if "Body" in request.fields]
    assert len(arrived) == 3
    messages = {read_sms(request.fields) for request in arrived}
    (message,) = messages
    assert message is not None
    assert (message.sender, message.recipient, message.text) == (
        TEXT.to,
        OURS,
        "Je peux décaler ?",
    )
    assert message.vendor_id.startswith("MM")
    assert [(each.kind, each.media_type) for each in message.media] == [("image", "image/jpeg")]
    number.sms_url = ""

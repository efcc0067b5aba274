"""A transfer as Twilio lives it: redirect, dial, announcement, a key or none, and what follows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.messages import text
from domain.phone import spoken_digits
from tests.fakes.scripted_http import answer
from tests.running import NUMBER, PUBLIC_URL, Answer, french_call
from tests.voice.carrier import (
    LINE,
    OWNER_PHONE,
    Served,
    greeted,
    joined,
    serving,
    talking,
    until,
)

CALLER = "+33639981234"
VOICE = f"{PUBLIC_URL}/webhooks/twilio/voice"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status callback gives an ending stream less time to store what it knows."""
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.3)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@dataclass(frozen=True)
class Transfer:
    """A call whose stream has ended because we redirected it to `url`."""

    served: Served
    number: int
    url: str

    def caller(self, **fields: str) -> dict[str, str]:
        """What Twilio says about the caller's leg."""
        return {**french_call(self.number, CallStatus="in-progress"), **fields}

    def owner(self, **fields: str) -> dict[str, str]:
        """… and about the leg that we dialled."""
        legs = {"CallSid": "CA" + "d" * 32, "ParentCallSid": french_call(self.number)["CallSid"]}
        return {**french_call(From=NUMBER, To=OWNER_PHONE), **legs, **fields}

    async def ask(self, url: str, form: dict[str, str]) -> Answer:
        response = await self.served.twilio.post(url, form)
        assert response.status_code == 200, response.text
        return Answer(response.text)

    async def dial(self) -> Answer:
        return await self.ask(self.url, self.caller())

    async def announce(self, **fields: str) -> Answer:
        return await self.ask(f"{self.url}/announce", self.owner(**fields))

    async def key(self, digits: str, **fields: str) -> Answer:
        return await self.ask(f"{self.url}/accept", self.owner(Digits=digits, **fields))

    async def done(self, status: str, **fields: str) -> Answer:
        return await self.ask(f"{self.url}/done", self.caller(DialCallStatus=status, **fields))

    async def state(self) -> str:
        return str((await self.served.call(self.number))["transfer_state"])


async def transferred(served: Served, number: int = 1) -> Transfer:
    """The caller asks for somebody, hears that they are put through, and is redirected."""
    call_sid = french_call(number)["CallSid"]

    def redirected() -> list[str]:
        mine = [got for got in served.posted("Url=") if call_sid in got.target]
        return [got.form["Url"] for got in mine]

    async with talking(served, number, stream=number) as line:
        await line.presses("9#")
        await until(redirected)
        await line.stops()
    await served.everything_is_over()
    return Transfer(served, number, redirected()[-1])


async def outcome_is(served: Served, outcome: str, number: int = 1) -> None:
    assert await served.outcome(number) == outcome
    assert await served.outcomes() == {outcome: 1}


# --------------------------------------------------------------------------- somebody takes it


async def test_a_transfer_that_somebody_takes(served: Served) -> None:
    transfer = await transferred(served)
    await greeted(served, turns=2)
    call = await served.call()
    assert transfer.url == f"{VOICE}/transfer/{call['id']}"
    assert call["outcome"] is None, "a stream that ends because we redirected is no death"
    assert call["turns"][-1]["text"] == text("fr-FR", "transfer_wait")

    dial = await transfer.dial()
    assert dial.verbs == ["Dial"]
    assert dial.first("Dial").attrib == {
        "action": f"{transfer.url}/done",
        "method": "POST",
        "timeout": "20",
        "callerId": NUMBER,
    }
    number = dial.first("Dial/Number")
    assert number.text == OWNER_PHONE
    assert number.attrib == {"url": f"{transfer.url}/announce", "method": "POST"}
    assert await transfer.state() == "dialling"

    announced = await transfer.announce()
    assert announced.verbs == ["Gather", "Hangup"]
    assert announced.first("Gather").attrib == {
        "action": f"{transfer.url}/accept",
        "method": "POST",
        "input": "dtmf",
        "numDigits": "1",
        "timeout": "10",
    }
    assert announced.said == text(
        "fr-FR",
        "transfer_announce",
        caller=spoken_digits(CALLER, "fr-FR"),
        company="Garage du Port",
    )

    bridged = await transfer.key("1")
    assert bridged.verbs == [], "the end of the announcement joins the two"
    assert await transfer.state() == "accepted"

    assert (await transfer.done("completed", DialCallDuration="60")).verbs == ["Hangup"]
    await outcome_is(served, "transferred")
    await served.twilio.reports_the_end()
    await outcome_is(served, "transferred")


async def test_who_hangs_up_on_the_owner_was_transferred_too(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    await transfer.key("1")
    await served.twilio.reports_the_end()
    await outcome_is(served, "transferred")
    assert (await transfer.done("completed", CallStatus="completed")).verbs == ["Hangup"]


async def test_a_caller_without_a_number_is_announced_without_one(served: Served) -> None:
    token = (await served.twilio.ring(From="anonymous", ForwardedFrom=LINE)).token
    async with joined(served, token) as line:
        await greeted(served)
        await line.presses("9#")
        await until(lambda: served.posted("Url="))
        await line.stops()
    transfer = Transfer(served, 1, served.posted("Url=")[0].form["Url"])
    expected = text("fr-FR", "transfer_announce_unknown", company="Garage du Port")
    assert (await transfer.announce()).said == expected


async def test_a_redirect_that_fails_dials_all_the_same(served: Served) -> None:
    served.rest.answers[:] = [answer(500, {"code": 20500})]
    async with talking(served) as line:
        await line.presses("9#")
        assert await line.is_closed(20) == 1000
    said = await served.twilio.goes_on()
    assert said.verbs == ["Dial"]
    assert said.first("Dial/Number").text == OWNER_PHONE


# ------------------------------------------------------------------------------- nobody does


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled", "completed"])
async def test_nobody_there_leads_back_to_the_agent(served: Served, status: str) -> None:
    """`completed` without a key is a mailbox that has listened to the announcement."""
    transfer = await transferred(served)
    await transfer.dial()
    if status == "completed":
        await transfer.announce()
    back = await transfer.done(status)
    assert back.verbs == ["Connect"]
    assert await transfer.state() == "failed"
    async with joined(served, back.token, stream=2) as line:
        await greeted(served, turns=3)
        last = served.sessions[-1]
        assert [said.text for said in last.said] == [text("fr-FR", "transfer_failed")]
        await line.presses("1#")
        await greeted(served, turns=4)
        await line.stops()
    await outcome_is(served, "ticket")
    assert len(await served.tickets()) == 1


async def test_only_key_one_takes_the_call(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    for digits in ("2", "0", "*", "", "11"):
        assert (await transfer.key(digits)).verbs == ["Hangup"], digits
        assert await transfer.state() == "dialling"
    assert (await transfer.done("completed")).verbs == ["Connect"]


async def test_a_key_that_comes_too_late_takes_nothing(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    assert (await transfer.done("no-answer")).verbs == ["Connect"]
    assert (await transfer.announce()).verbs == ["Hangup"]
    assert (await transfer.key("1")).verbs == ["Hangup"]
    assert await transfer.state() == "failed"
    await served.twilio.reports_the_end()
    await outcome_is(served, "informed")


async def test_a_caller_who_hangs_up_while_it_rings_was_not_transferred(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    assert (await transfer.done("canceled", CallStatus="completed")).verbs == []
    await outcome_is(served, "informed")
    assert (await transfer.announce()).verbs == ["Hangup"]
    assert (await transfer.key("1")).verbs == ["Hangup"]


async def test_a_second_attempt_is_a_transfer_of_its_own(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    back = await transfer.done("no-answer")
    async with joined(served, back.token, stream=2) as line:
        await greeted(served, turns=3)
        await line.presses("9#")
        await until(lambda: len(served.posted("Url=")) == 2)
        await line.stops()
    assert await transfer.state() == "dialling"
    await transfer.dial()
    await transfer.key("1")
    await transfer.done("completed")
    await outcome_is(served, "transferred")


async def test_a_stream_lost_after_a_failed_transfer_is_not_told_of_it_again(
    served: Served,
) -> None:
    transfer = await transferred(served)
    back = await transfer.done("no-answer")
    async with joined(served, back.token, stream=2) as line:
        await greeted(served, turns=3)
        line.is_lost()
    async with joined(served, (await served.twilio.goes_on()).token, stream=3):
        await greeted(served, turns=4)
    assert [said.text for said in served.sessions[-1].said] == [text("fr-FR", "resume")]


async def test_a_redirection_that_comes_late_does_not_end_the_call(served: Served) -> None:
    """From a node that was frozen on its way to the carrier; whatever ran, it has ended."""
    transfer = await transferred(served)
    await transfer.dial()
    await transfer.key("1")
    again = await transfer.dial()
    assert again.first("Dial/Number").text == OWNER_PHONE
    assert await transfer.state() == "dialling", "who is rung again may not answer"
    assert (await transfer.done("no-answer")).verbs == ["Connect"]
    assert (await transfer.dial()).verbs == ["Connect"], "back to the agent, and not to nobody"
    assert await transfer.state() == "failed"
    await served.twilio.reports_the_end()
    await served.outcome()
    assert (await transfer.dial()).verbs == ["Hangup"]


# ----------------------------------------------------------------------- our own dial comes back


async def is_rejected(served: Served, number: int, **fields: str) -> bool:
    verbs = (await served.twilio.ring(number, **fields)).verbs
    if verbs == ["Reject"]:
        await served.twilio.reports_the_end(number, "busy")
        return True
    return False


async def test_a_call_that_comes_back_from_our_own_dial_is_rejected_unanswered(
    served: Served,
) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    loops = [
        {"From": NUMBER},
        {"From": NUMBER, "ForwardedFrom": OWNER_PHONE},
        {"From": NUMBER, "ForwardedFrom": LINE},
        {"From": CALLER, "ForwardedFrom": OWNER_PHONE},
        {"From": "+33639985555", "ForwardedFrom": OWNER_PHONE},
        {"From": CALLER, "ForwardedFrom": f"sip:{OWNER_PHONE}@carrier.example;user=phone"},
        {"From": CALLER},
        {"From": CALLER, "ForwardedFrom": CALLER},
        {"From": CALLER, "ForwardedFrom": NUMBER},
        {"From": "0639981234"},
    ]
    for number, fields in enumerate(loops, 10):
        assert await is_rejected(served, number, **fields), fields
    assert len(served.sessions) == 1, "nobody is called for such a call"
    assert len((await served.owner.get("/api/v1/calls"))["calls"]) == 1


async def test_a_call_of_somebody_else_meanwhile_is_answered(served: Served) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    legitimate = [
        {"From": "+33639985555", "ForwardedFrom": LINE},
        {"From": CALLER, "ForwardedFrom": LINE},  # another telephone of the same switchboard
        {"From": "+33639985555"},
        {"From": "anonymous"},
        {"From": "anonymous", "ForwardedFrom": LINE},
    ]
    for number, fields in enumerate(legitimate, 10):
        assert not await is_rejected(served, number, **fields), fields


@pytest.mark.parametrize("status", ["no-answer", "accepted"])
async def test_after_the_dial_the_same_calls_are_legitimate(served: Served, status: str) -> None:
    transfer = await transferred(served)
    await transfer.dial()
    if status == "accepted":
        await transfer.key("1")
    else:
        await transfer.done(status)
    assert not await is_rejected(served, 10, From=CALLER)
    assert not await is_rejected(served, 11, From="+33639985555", ForwardedFrom=OWNER_PHONE)


async def test_before_any_dial_they_are_legitimate_too(served: Served) -> None:
    async with talking(served):
        assert not await is_rejected(served, 10, From=CALLER)
        assert not await is_rejected(served, 11, From=CALLER, ForwardedFrom=OWNER_PHONE)


# -------------------------------------------------------------------------- other calls' ids


async def test_another_calls_transfer_cannot_be_used(served: Served) -> None:
    transfer = await transferred(served)
    await served.twilio.ring(2, ForwardedFrom=LINE)
    other = Transfer(served, 2, transfer.url)
    assert (await other.dial()).verbs == ["Hangup"]
    assert (await other.announce()).verbs == ["Hangup"]
    assert (await other.key("1")).verbs == ["Hangup"]
    assert (await other.done("no-answer")).verbs == ["Hangup"]
    assert await transfer.state() == "dialling"
    assert (await transfer.dial()).verbs == ["Dial"]


async def test_a_call_that_is_not_being_transferred_dials_nobody(served: Served) -> None:
    async with talking(served):
        url = f"{VOICE}/transfer/{(await served.call())['id']}"
        transfer = Transfer(served, 1, url)
        assert (await transfer.dial()).verbs == ["Hangup"]
        assert (await transfer.announce()).verbs == ["Hangup"]
        assert (await transfer.key("1")).verbs == ["Hangup"]
        assert await transfer.state() == "None"
    for unknown in ["x", "0" * 32, "%00", "a" * 500]:
        transfer = Transfer(served, 1, f"{VOICE}/transfer/{unknown}")
        assert (await transfer.dial()).verbs == ["Hangup"]
        assert (await transfer.announce()).verbs == ["Hangup"]
        assert (await transfer.key("1")).verbs == ["Hangup"]
        assert (await transfer.done("no-answer")).verbs == ["Hangup"]

"""The voice webhooks of the whole application: whose call it is, and how it is answered."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from domain.messages import text
from tests.fakes.clock import FakeClock
from tests.running import NUMBER, SECRET, Answer, Owner, Twilio, french_call, running, sign

LINE = "+33199001234"


@pytest.fixture
async def twilio(tmp_path: Path) -> AsyncIterator[Twilio]:
    async with running(tmp_path) as twilio:
        yield twilio


def asks_company(answer: Answer) -> bool:
    return answer.verbs == ["Gather"] and answer.said == text("fr-FR", "ask_company")


# ------------------------------------------------------------------------------ the doors


async def test_unsigned_and_forged_are_refused_and_leave_nothing(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    form = french_call(ForwardedFrom=LINE)
    url = "https://voice.example.fr/webhooks/twilio/voice"
    for signature in ["", "nonsense", sign(url, form, "another-token"), sign(url + "/", form)]:
        response = await twilio.http.post(url, data=form, headers={"X-Twilio-Signature": signature})
        assert response.status_code == 403
    assert (await twilio.http.post(url, data=form)).status_code == 403
    assert (await owner.get("/api/v1/calls"))["calls"] == []


async def test_without_a_token_everything_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, twilio_auth_token=None) as twilio:
        form = french_call()
        url = "https://voice.example.fr/webhooks/twilio/voice"
        for token in ["", "None", "0"]:
            headers = {"X-Twilio-Signature": sign(url, form, token)}
            assert (await twilio.http.post(url, data=form, headers=headers)).status_code == 403


async def test_a_call_without_callsid_is_a_bad_request(twilio: Twilio) -> None:
    form = french_call()
    form["CallSid"] = ""
    assert (await twilio.post("voice", form)).status_code == 400


# ---------------------------------------------------------------------- whose call is it


async def test_the_line_that_forwards_selects_the_tenant(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", "01 99 00 12 34")
    answer = await twilio.ring(ForwardedFrom=LINE)
    connect = answer.first("Connect")
    assert connect.attrib["action"] == "https://voice.example.fr/webhooks/twilio/voice/continue"
    assert answer.first("Connect/Stream").attrib["url"] == "wss://voice.example.fr/media-stream"
    assert SECRET.fullmatch(answer.token)
    (call,) = (await owner.get("/api/v1/calls"))["calls"]
    assert call["from_number"] == "+33639981234"
    assert (await owner.get(f"/api/v1/calls/{call['id']}"))["call"]["found_by"] == "forwarded_from"


@pytest.mark.parametrize(
    "spelling",
    [
        "+33199001234",
        "0033199001234",
        "0199001234",
        "01 99 00 12 34",
        "01.99.00.12.34",
        "tel:+33199001234",
        "sip:+33199001234@sip.example.com;user=phone",
        "<sip:+33199001234@10.0.0.1>;reason=no-answer",
    ],
)
async def test_every_spelling_of_the_line(twilio: Twilio, spelling: str) -> None:
    await twilio.tenant("Garage du Port", LINE)
    assert (await twilio.ring(ForwardedFrom=spelling)).verbs == ["Connect"]


async def test_a_dedicated_number_comes_first(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    owner = await twilio.tenant("Cabinet Moreau", numbers=["+33199007777"])
    answer = await twilio.ring(To="+33199007777", ForwardedFrom=LINE)
    assert answer.verbs == ["Connect"]
    (call,) = (await owner.get("/api/v1/calls"))["calls"]
    assert (await owner.get(f"/api/v1/calls/{call['id']}"))["call"]["found_by"] == "to"


@pytest.mark.parametrize("absent", ["", NUMBER, "+33639981234", "anonymous", "+266696687"])
async def test_our_own_number_the_callers_and_non_numbers_count_as_absent(
    twilio: Twilio, absent: str
) -> None:
    await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(1, ForwardedFrom=LINE)  # the caller has had to do with one tenant
    answer = await twilio.ring(2, ForwardedFrom=absent)
    assert answer.verbs == ["Gather"]
    assert answer.said == text("fr-FR", "confirm_company", company="Garage du Port")


async def test_another_business_s_line_ends_the_search(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(1, ForwardedFrom=LINE)
    assert asks_company(await twilio.ring(2, ForwardedFrom="+33199009999"))


async def test_a_new_caller_without_forwarding_is_asked(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    assert asks_company(await twilio.ring())


async def test_a_withheld_number_has_no_history(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    for number in (1, 2):
        answer = await twilio.ring(number, From="anonymous", ForwardedFrom=LINE)
        assert answer.verbs == ["Connect"]
    assert asks_company(await twilio.ring(3, From="anonymous"))


async def test_history_is_forgotten_after_thirty_days(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        await twilio.ring(1, ForwardedFrom=LINE)
        clock.advance(31 * 86400)
        assert asks_company(await twilio.ring(2))


async def test_two_tenants_in_the_history_are_no_hint(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    await twilio.tenant("Cabinet Moreau", "+33199005555")
    await twilio.ring(1, ForwardedFrom=LINE)
    await twilio.ring(2, ForwardedFrom="+33199005555")
    assert asks_company(await twilio.ring(3))


# ------------------------------------------------------------------------- the question


async def answer_question(twilio: Twilio, answer: Answer, number: int = 1, **fields: str) -> Answer:
    response = await twilio.post(answer.action, french_call(number, **fields))
    assert response.status_code == 200
    return Answer(response.text)


@pytest.mark.parametrize("said", [{"SpeechResult": "Le garage du Port."}, {"Digits": "code"}])
async def test_name_or_code_binds(twilio: Twilio, said: dict[str, str]) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.tenant("Cabinet Moreau", "+33199005555")
    if "Digits" in said:
        said = {"Digits": owner.code}
    asked = await twilio.ring()
    assert (await owner.get("/api/v1/calls"))["calls"] == []
    answer = await answer_question(twilio, asked, **said)
    assert answer.verbs == ["Connect"]
    (call,) = (await owner.get("/api/v1/calls"))["calls"]
    found = (await owner.get(f"/api/v1/calls/{call['id']}"))["call"]["found_by"]
    assert found == ("code" if "Digits" in said else "name")


async def test_two_tries_then_a_polite_end(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    asked = await twilio.ring()
    again = await answer_question(twilio, asked, SpeechResult="la boulangerie")
    assert again.said == text("fr-FR", "ask_company_again")
    end = await answer_question(twilio, again, Digits="0000")
    assert end.verbs == ["Say", "Hangup"]
    assert end.said == text("fr-FR", "tenant_unknown")


async def test_no_answer_is_a_try_too(twilio: Twilio) -> None:
    asked = await twilio.ring()
    again = await answer_question(twilio, asked)
    assert (await answer_question(twilio, again)).verbs == ["Say", "Hangup"]


@pytest.mark.parametrize("said", [{"SpeechResult": "Oui, c'est ça"}, {"Digits": "1"}])
async def test_a_yes_binds_the_likely_tenant(twilio: Twilio, said: dict[str, str]) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(1, ForwardedFrom=LINE)
    answer = await answer_question(twilio, await twilio.ring(2), 2, **said)
    assert answer.verbs == ["Connect"]
    assert len((await owner.get("/api/v1/calls"))["calls"]) == 2


@pytest.mark.parametrize("said", [{"SpeechResult": "non"}, {"Digits": "2"}, {}])
async def test_anything_but_a_yes_asks_for_the_company(
    twilio: Twilio, said: dict[str, str]
) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(1, ForwardedFrom=LINE)
    answer = await answer_question(twilio, await twilio.ring(2), 2, **said)
    assert asks_company(answer)
    assert len((await owner.get("/api/v1/calls"))["calls"]) == 1


async def test_another_call_s_question_cannot_be_answered(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    asked = await twilio.ring(1)
    answer = await answer_question(twilio, asked, 2, SpeechResult="le garage du port")
    assert answer.verbs == ["Hangup"]


# ------------------------------------------------------------------------ once per CallSid


async def test_a_repeated_webhook_gets_the_earlier_answer(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    first = await twilio.ring(ForwardedFrom=LINE)
    again = await twilio.ring(ForwardedFrom=LINE)
    other = await twilio.ring(ForwardedFrom="+33199009999")  # whatever it says now
    assert first.text == again.text == other.text
    assert len((await owner.get("/api/v1/calls"))["calls"]) == 1


async def test_twenty_at_once_are_one_call(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    async with asyncio.TaskGroup() as tasks:
        rings = [tasks.create_task(twilio.ring(ForwardedFrom=LINE)) for _ in range(20)]
    assert len({ring.result().text for ring in rings}) == 1
    assert len((await owner.get("/api/v1/calls"))["calls"]) == 1


async def ended(twilio: Twilio, number: int = 1, status: str = "completed") -> None:
    form = french_call(number, CallStatus=status, CallDuration="12")
    assert (await twilio.post("status", form)).status_code == 204


async def test_an_ended_call_gets_nothing(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(ForwardedFrom=LINE)
    await ended(twilio)
    assert await outcome(owner) == "abandoned"
    assert (await twilio.ring(ForwardedFrom=LINE)).verbs == []


# -------------------------------------------------------------------------------- endings


async def outcome(owner: Owner, *, stored: bool = True) -> str | None:
    """Of the latest call; waits for one to be stored, since calls are closed in the background."""
    for _ in range(100):
        latest = (await owner.get("/api/v1/calls"))["calls"][0]
        call = (await owner.get(f"/api/v1/calls/{latest['id']}"))["call"]
        if call["outcome"] or not stored:
            break
        await asyncio.sleep(0.05)
    return call["outcome"]


async def test_a_caller_who_hangs_up_while_it_rings_abandoned(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(ForwardedFrom=LINE)
    await ended(twilio, status="ringing")
    assert await outcome(owner, stored=False) is None
    await ended(twilio)
    assert await outcome(owner) == "abandoned"


async def test_a_tenant_at_its_limit_promises_a_call_back_and_keeps_it(tmp_path: Path) -> None:
    async with running(tmp_path, max_calls_per_tenant=1) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        assert (await twilio.ring(1, ForwardedFrom=LINE)).verbs == ["Connect"]
        full = await twilio.ring(2, ForwardedFrom=LINE)
        assert full.verbs == ["Say", "Hangup"]
        assert full.said == text("fr-FR", "overflow", company="Garage du Port")
        (ticket,) = (await owner.get("/api/v1/tickets"))["tickets"]
        assert ticket["customer_phone"] == "+33639981234"
        await ended(twilio, 2)
        assert await outcome(owner) == "overflow"


async def test_a_new_call_at_a_full_node_is_put_through_or_leaves_a_message(tmp_path: Path) -> None:
    async with running(tmp_path, max_calls_per_node=1) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        assert (await twilio.ring(1, ForwardedFrom=LINE)).verbs == ["Connect"]
        mailbox = await twilio.ring(2, ForwardedFrom=LINE, From="anonymous")
        assert mailbox.verbs == ["Say", "Record", "Redirect"]
        await owner.put("/api/v1/channels/phone", {"config": {"transferNumber": "+33639980001"}})
        put_through = await twilio.ring(3, ForwardedFrom=LINE)
        assert put_through.verbs == ["Say", "Redirect"]
        assert "Garage du Port" in put_through.said


async def test_a_caller_who_is_asked_for_the_company_at_a_full_node(tmp_path: Path) -> None:
    async with running(tmp_path, max_calls_per_node=1) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        assert (await twilio.ring(1, ForwardedFrom=LINE)).verbs == ["Connect"]
        asked = await twilio.ring(2, From="anonymous")
        form = french_call(2, From="anonymous", SpeechResult="Garage du Port")
        assert "Record" in Answer((await twilio.post(asked.action, form)).text).verbs


@pytest.mark.parametrize(("rungs", "verb"), [(["turns"], "Gather"), ([], "Record")])
async def test_a_call_under_way_goes_on_without_a_stream_at_a_full_node(
    tmp_path: Path, rungs: list[str], verb: str
) -> None:
    async with running(tmp_path, max_calls_per_node=1) as twilio:
        ladder = ["transfer", "realtime", *rungs]
        number = {"transferNumber": "+33639980001"}
        await twilio.tenant("Garage du Port", LINE, ladder=ladder, **number)
        await twilio.tenant("Autre", "+33199005555")
        ringing = await twilio.ring(1, ForwardedFrom=LINE)
        form = french_call(1, CallStatus="in-progress")
        dial = Answer((await twilio.post(ringing.first("Redirect").text or "", form)).text)
        assert (await twilio.ring(2, ForwardedFrom="+33199005555")).verbs == ["Connect"]
        back = await twilio.post(dial.action, {**form, "DialCallStatus": "no-answer"})
        assert verb in Answer(back.text).verbs
        assert text("fr", "overflow", company="Garage du Port") not in back.text


async def test_a_caller_who_left_before_the_stream_came_keeps_no_place(tmp_path: Path) -> None:
    async with running(tmp_path, max_calls_per_node=1) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        assert (await twilio.ring(1, ForwardedFrom=LINE)).verbs == ["Connect"]
        await ended(twilio, 1, status="in-progress")
        assert "Record" in (await twilio.ring(2, ForwardedFrom=LINE)).verbs
        await ended(twilio, 1)
        assert (await twilio.ring(3, ForwardedFrom=LINE)).verbs == ["Connect"]


async def test_streams_that_are_lost_are_opened_anew_and_then_given_up(
    twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.openings.ASKED_TWICE", timedelta(0))
    owner = await twilio.tenant("Garage du Port", LINE)
    first = await twilio.ring(ForwardedFrom=LINE)
    tokens = {first.token}
    form = french_call(CallStatus="in-progress")
    for _ in range(3):
        answer = Answer((await twilio.post("voice/continue", form)).text)
        assert answer.verbs == ["Connect"]
        tokens.add(answer.token)
    assert len(tokens) == 4
    below = Answer((await twilio.post("voice/continue", form)).text)
    assert below.verbs == ["Gather"], "the call goes on without a stream"
    assert "Garage du Port" in below.said
    again = Answer((await twilio.post("voice/continue", form)).text)
    assert again.text == below.text
    await ended(twilio)
    assert await outcome(owner) == "abandoned"


async def test_who_asks_twice_about_one_break_gets_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio's `action` and a node that redirects the call ask at once, or one after the other."""
    form = french_call(CallStatus="in-progress")
    async with running(tmp_path) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        first = await twilio.ring(ForwardedFrom=LINE)
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(twilio.post("voice/continue", form)) for _ in range(5)]
        (answer,) = {each.result().text for each in asking}
        assert Answer(answer).token != first.token
        assert (await twilio.post("voice/continue", form)).text == answer, "a moment later"
        monkeypatch.setattr("voice.openings.ASKED_TWICE", timedelta(0))
        later = Answer((await twilio.post("voice/continue", form)).text)
        assert later.verbs == ["Connect"], "five at once counted as one"
        assert later.token not in (first.token, Answer(answer).token), "no stream has come"


async def test_continue_after_the_end_says_nothing_more(twilio: Twilio) -> None:
    owner = await twilio.tenant("Garage du Port", LINE)
    await twilio.ring(ForwardedFrom=LINE)
    form = french_call(CallStatus="completed")
    assert Answer((await twilio.post("voice/continue", form)).text).verbs == []
    assert await outcome(owner) == "abandoned"
    form = french_call(CallStatus="in-progress")
    assert Answer((await twilio.post("voice/continue", form)).text).verbs == ["Hangup"]
    form = french_call(77, CallStatus="in-progress")
    assert Answer((await twilio.post("voice/continue", form)).text).verbs == ["Hangup"]


async def test_our_own_number_calling_us_is_rejected_unanswered(twilio: Twilio) -> None:
    await twilio.tenant("Garage du Port", LINE)
    assert (await twilio.ring(From=NUMBER, ForwardedFrom=LINE)).verbs == ["Reject"]


async def test_a_message_s_status_is_not_a_call_s(twilio: Twilio) -> None:
    form = {
        "MessageSid": "SM" + "1" * 32,
        "MessageStatus": "delivered",
        "AccountSid": "AC" + "0" * 32,
    }
    assert (await twilio.post("status", form)).status_code == 204


async def test_storage_that_is_away_sends_twilio_to_the_fallback(
    twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from domain.errors import OperatorError
    from storage.call_register import CallRegister

    async def away(*_: object) -> None:
        raise OperatorError("the disk is full")

    await twilio.tenant("Garage du Port", LINE)
    monkeypatch.setattr(CallRegister, "open_call", away)
    response = await twilio.post("voice", french_call(ForwardedFrom=LINE))
    assert response.status_code == 503


async def test_a_call_that_ends_while_it_is_answered_gets_no_agent(tmp_path: Path) -> None:
    async with running(tmp_path) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        asked = await twilio.ring()
        form = french_call(Digits=owner.code)
        with closing(sqlite3.connect(tmp_path / "test.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(twilio.post(asked.action, form))
                await asyncio.sleep(0.3)  # it has read that the call goes on
                other.execute("UPDATE call_logs SET outcome = 'tenant_unknown'")
                other.execute("COMMIT")
        assert Answer(answering.result().text).verbs == []
        assert (await owner.get("/api/v1/calls"))["calls"] == []

"""The doors of calls without a stream: over signed webhooks, into a real database."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ProviderError
from domain.language_model import (
    FunctionRequest,
    FunctionSpec,
    ModelDone,
    ModelMessage,
    ModelPiece,
    TextPiece,
)
from domain.messages import text
from tests.running import ACCOUNT, PUBLIC_URL, Answer, Owner, Twilio, french_call, running
from voice import turn_webhooks

LINE = "+33199001234"
OWNER_PHONE = "+33639980001"
VOICE = f"{PUBLIC_URL}/webhooks/twilio/voice"
RECORDING = f"RE{7:032x}"


@pytest.fixture
async def twilio(tmp_path: Path) -> AsyncIterator[Twilio]:
    async with running(tmp_path) as twilio:
        yield twilio


async def by_turns(twilio: Twilio, *rungs: str, **config: Any) -> Owner:
    """A tenant whose ladder begins with these."""
    return await twilio.tenant("Garage du Port", LINE, ladder=list(rungs or ("turns",)), **config)


async def post(twilio: Twilio, url: str, number: int = 1, **fields: str) -> Answer:
    """What Twilio asks while the caller is on the line."""
    response = await twilio.post(
        url, french_call(number, **{"CallStatus": "in-progress", **fields})
    )
    assert response.status_code == 200, response.text
    return Answer(response.text)


async def say(twilio: Twilio, answer: Answer, speech: str, **fields: str) -> Answer:
    return await post(twilio, answer.action, 1, SpeechResult=speech, Confidence="0.9", **fields)


async def press(twilio: Twilio, answer: Answer, digits: str) -> Answer:
    return await post(twilio, answer.action, Digits=digits)


async def hangs_up(twilio: Twilio, number: int = 1) -> None:
    form = french_call(number, CallStatus="completed", CallDuration="9")
    assert (await twilio.post("status", form)).status_code == 204


async def the_call(owner: Owner, *, over: bool = True) -> dict[str, Any]:
    for _ in range(100):
        (found,) = (await owner.get("/api/v1/calls"))["calls"]
        call: dict[str, Any] = (await owner.get(f"/api/v1/calls/{found['id']}"))["call"]
        if call["outcome"] or not over:
            return call
        await asyncio.sleep(0.05)
    raise AssertionError("no outcome")


async def tickets(owner: Owner) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await owner.get("/api/v1/tickets"))["tickets"]
    return found


async def appointments(owner: Owner) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await owner.get("/api/v1/appointments"))["appointments"]
    return found


# ------------------------------------------------------------------------------- plain rules


async def booked(twilio: Twilio) -> Answer:
    menu = await twilio.ring(ForwardedFrom=LINE)
    offer = await press(twilio, menu, "1")
    name = await press(twilio, offer, "1")
    number = await say(twilio, name, "Marc Durand")
    return await press(twilio, number, "1")


async def test_a_slot_is_booked_by_keys(twilio: Twilio) -> None:
    owner = await by_turns(twilio)
    menu = await twilio.ring(ForwardedFrom=LINE)
    assert menu.verbs == ["Gather"]
    assert menu.root.find("Gather").attrib["language"] == "fr-FR"  # type: ignore[union-attr]
    assert "intelligence artificielle" in menu.said
    assert await appointments(owner) == []
    done = await booked(twilio)
    (appointment,) = await appointments(owner)
    assert appointment["prospect_name"] == "Marc Durand"
    assert appointment["prospect_phone"] == "+33639981234"
    assert "réservé" in done.said
    await hangs_up(twilio)
    call = await the_call(owner)
    assert (call["outcome"], call["agent"]) == ("booked", "turns:rules")
    assert call["turns"][0]["text"] == menu.said
    assert {"who": "caller", "text": "Marc Durand"}.items() <= call["turns"][5].items()


async def test_in_english(twilio: Twilio) -> None:
    await by_turns(twilio, sara={"language": "en-GB"})
    menu = await twilio.ring(ForwardedFrom=LINE)
    assert text("en", "turns_menu_book") in menu.said
    assert menu.root.find("Gather").attrib["language"] == "en-GB"  # type: ignore[union-attr]


async def test_the_same_webhook_twice_gets_the_same_answer_and_books_once(twilio: Twilio) -> None:
    owner = await by_turns(twilio)
    menu = await twilio.ring(ForwardedFrom=LINE)
    assert (await twilio.ring(ForwardedFrom=LINE)).text == menu.text
    offer = await press(twilio, menu, "1")
    assert (await press(twilio, menu, "1")).text == offer.text
    assert (await press(twilio, menu, "2")).text == offer.text, "late: the turn is answered"
    name = await press(twilio, offer, "1")
    number = await say(twilio, name, "Marc Durand")
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(press(twilio, number, "1")) for _ in range(2)]
    first, again = (each.result().text for each in both)
    assert first == again
    assert len(await appointments(owner)) == 1
    said = [turn["text"] for turn in (await the_call(owner, over=False))["turns"]]
    assert len(said) == 9, "nothing is written down twice"


async def test_somebody_else_s_turn_is_nobody_s(twilio: Twilio) -> None:
    owner = await by_turns(twilio)
    menu = await twilio.ring(ForwardedFrom=LINE)
    other = await twilio.tenant("Autre", "+33199005555", ladder=["turns"])
    await twilio.ring(2, ForwardedFrom="+33199005555")
    assert (await post(twilio, menu.action, 2, Digits="1")).verbs == ["Hangup"], "another call's id"
    for url in (f"{VOICE}/turn/{'0' * 32}/1", menu.action[:-1] + "x", f"{menu.action}/wait/x"):
        assert (await post(twilio, url, Digits="1")).verbs == ["Hangup"]
    assert (await post(twilio, menu.action[:-1] + "7", Digits="1")).text == menu.text
    call = menu.action.split("/")[-2]
    assert (await post(twilio, f"{VOICE}/voicemail/{call}/done", 2)).verbs == ["Hangup"]
    forged = french_call(2, RecordingStatus="completed", RecordingUrl=_url(), RecordingDuration="9")
    response = await twilio.post(f"{VOICE}/voicemail/{call}/recorded", forged)
    assert response.status_code == 204
    for each in (owner, other):
        assert await tickets(each) == []
        assert len((await the_call(each, over=False))["turns"]) == 1
    unsigned = await twilio.http.post(menu.action, data=french_call(), headers={})
    assert unsigned.status_code == 403


async def test_a_message_is_a_ticket_and_the_outcome(twilio: Twilio) -> None:
    owner = await by_turns(twilio)
    ask = await say(twilio, await twilio.ring(ForwardedFrom=LINE), "laisser un message")
    noted = await say(twilio, ask, "Les documents sont prêts.")
    assert text("fr", "turns_noted") in noted.said
    (ticket,) = await tickets(owner)
    assert ticket["description"] == "Les documents sont prêts."
    bye = await say(twilio, noted, "non merci au revoir")
    assert bye.verbs == ["Say", "Hangup"]
    assert (await say(twilio, noted, "encore")).text == bye.text
    await hangs_up(twilio)
    assert (await the_call(owner))["outcome"] == "message"
    assert (await say(twilio, noted, "encore")).verbs == ["Hangup"]


async def test_silence_twice_leads_to_the_voicemail(twilio: Twilio) -> None:
    owner = await by_turns(twilio)
    again = await post(twilio, (await twilio.ring(ForwardedFrom=LINE)).action)
    assert again.said.startswith(text("fr", "turns_nothing"))
    mailbox = await post(twilio, again.action)
    assert mailbox.verbs == ["Say", "Record", "Redirect"]
    empty = await post(twilio, mailbox.first("Redirect").text or "")
    assert empty.said == text("fr", "voicemail_nothing")
    assert (await post(twilio, mailbox.first("Redirect").text or "")).text == empty.text
    await hangs_up(twilio)
    assert (await the_call(owner))["outcome"] == "ticket"
    (ticket,) = await tickets(owner)
    assert ticket["category"] == "rappel"


async def test_somebody_who_asks_for_a_person_is_put_through_and_comes_back(twilio: Twilio) -> None:
    owner = await by_turns(twilio, transferNumber=OWNER_PHONE)
    menu = await twilio.ring(ForwardedFrom=LINE)
    wait = await press(twilio, menu, "3")
    assert wait.said == text("fr", "transfer_wait")
    dial = await post(twilio, wait.first("Redirect").text or "")
    assert dial.first("Dial/Number").text == OWNER_PHONE
    back = await post(twilio, dial.action, DialCallStatus="no-answer")
    assert back.said == text("fr", "turns_nobody")
    noted = await say(twilio, back, "Rappelez-moi demain.")
    assert text("fr", "turns_menu_human") not in noted.said, "they have been rung in vain"
    await hangs_up(twilio)
    assert (await the_call(owner))["outcome"] == "message"


# ------------------------------------------------------------------------ the owner's phone


async def test_the_owner_s_phone_then_the_voicemail(twilio: Twilio) -> None:
    owner = await by_turns(twilio, "transfer", transferNumber=OWNER_PHONE)
    first = await twilio.ring(ForwardedFrom=LINE)
    assert first.verbs == ["Say", "Redirect"]
    assert "Garage du Port" in first.said
    dial = await post(twilio, first.first("Redirect").text or "")
    assert dial.first("Dial/Number").text == OWNER_PHONE
    mailbox = await post(twilio, dial.action, DialCallStatus="no-answer")
    assert mailbox.verbs == ["Say", "Record", "Redirect"]
    assert len(await tickets(owner)) == 0
    done = await post(twilio, mailbox.action, RecordingUrl=_url(), RecordingDuration="12")
    assert done.said == text("fr", "voicemail_thanks")
    await hangs_up(twilio)
    assert (await the_call(owner))["outcome"] == "message"


async def test_who_is_not_understood_by_turns_is_put_through_before_the_voicemail(
    twilio: Twilio,
) -> None:
    owner = await by_turns(twilio, "turns", "transfer", transferNumber=OWNER_PHONE)
    again = await post(twilio, (await twilio.ring(ForwardedFrom=LINE)).action)
    wait = await post(twilio, again.action)
    assert (wait.verbs, wait.said) == (["Say", "Redirect"], text("fr", "transfer_wait"))
    assert (await post(twilio, again.action)).text == wait.text, "once"
    dial = await post(twilio, wait.first("Redirect").text or "")
    assert dial.first("Dial/Number").text == OWNER_PHONE
    mailbox = await post(twilio, dial.action, DialCallStatus="no-answer")
    assert mailbox.verbs == ["Say", "Record", "Redirect"], "no more questions"
    said = [turn["text"] for turn in (await the_call(owner, over=False))["turns"]]
    assert said.count(wait.said) == 1


async def test_without_a_number_nobody_is_rung(twilio: Twilio) -> None:
    await by_turns(twilio, "transfer")
    assert (await twilio.ring(ForwardedFrom=LINE)).verbs == ["Say", "Record", "Redirect"]


# ------------------------------------------------------------------------------- the voicemail


def _url(account: str = ACCOUNT, recording: str = RECORDING) -> str:
    return f"https://api.twilio.com/2010-04-01/Accounts/{account}/Recordings/{recording}"


async def test_a_message_is_kept_once_however_often_it_is_told(twilio: Twilio) -> None:
    owner = await by_turns(twilio, "voicemail")
    mailbox = await twilio.ring(ForwardedFrom=LINE)
    assert "répondeur automatique" in mailbox.said
    record = mailbox.first("Record").attrib
    assert record["playBeep"] == "true"
    assert "transcribe" not in record
    told = {"RecordingUrl": _url(), "RecordingDuration": "7"}
    status = french_call(1, RecordingStatus="completed", RecordingSid=RECORDING, **told)
    assert (await twilio.post(record["recordingStatusCallback"], status)).status_code == 204
    for _ in range(2):
        done = await post(twilio, record["action"], 1, **told)
        assert done.said == text("fr", "voicemail_thanks")
    await twilio.post(record["recordingStatusCallback"], status)
    (ticket,) = await tickets(owner)
    assert ticket["category"] == "message"
    assert ticket["customer_phone"] == "+33639981234"
    assert RECORDING in ticket["description"]
    assert "7" in ticket["subject"]
    await hangs_up(twilio)
    call = await the_call(owner)
    assert (call["outcome"], call["agent"]) == ("message", "voicemail")


async def test_a_caller_who_hangs_up_has_left_their_message_all_the_same(twilio: Twilio) -> None:
    owner = await by_turns(twilio, "voicemail")
    record = (await twilio.ring(ForwardedFrom=LINE)).first("Record").attrib
    await hangs_up(twilio)  # overtakes the recording
    told = {"RecordingUrl": _url(), "RecordingDuration": "4"}
    ended = {"CallStatus": "completed", "Digits": "hangup"}
    assert (await post(twilio, record["action"], 1, **told, **ended)).verbs == []
    assert (await the_call(owner))["outcome"] == "message"
    assert len(await tickets(owner)) == 1


@pytest.mark.parametrize("withheld", [False, True])
async def test_a_caller_who_leaves_nothing_is_called_back_if_their_number_is_known(
    twilio: Twilio, withheld: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.2)
    owner = await by_turns(twilio, "voicemail")
    caller = {"From": "anonymous"} if withheld else {}
    await twilio.ring(1, ForwardedFrom=LINE, **caller)
    await hangs_up(twilio)
    call = await the_call(owner)
    assert call["outcome"] == ("abandoned" if withheld else "ticket")
    assert len(await tickets(owner)) == (not withheld)


@pytest.mark.parametrize(
    "url",
    [
        _url(account="AC" + "9" * 32),
        _url(recording="../Calls"),
        "https://evil.example/x",
        "",
    ],
)
async def test_recordings_of_others_are_none(twilio: Twilio, url: str) -> None:
    owner = await by_turns(twilio, "voicemail")
    record = (await twilio.ring(ForwardedFrom=LINE)).first("Record").attrib
    done = await post(twilio, record["action"], RecordingUrl=url, RecordingDuration="7")
    assert done.said == text("fr", "voicemail_nothing")
    assert [ticket["category"] for ticket in await tickets(owner)] == ["rappel"]


# ------------------------------------------------------------------------------ the text model


class Model:
    """A LanguageModel that answers by script: texts, requests for functions, errors."""

    name = "scripted"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[ModelMessage]] = []

    async def answer(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec] = ()
    ) -> AsyncIterator[ModelPiece]:
        self.asked.append(list(messages))
        self.functions = [each.name for each in functions]
        answer = self.answers.pop(0)
        if callable(answer):
            answer = await answer()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            yield TextPiece(answer)
        else:
            for at, (name, arguments) in enumerate(answer):
                yield FunctionRequest(f"call-{len(self.asked)}-{at}", name, arguments)
        yield ModelDone("stop")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    model = Model()

    class Context:
        async def __aenter__(self) -> Model:
            return model

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr("server.accounts.text_model", lambda _: Context())
    return model


TICKET = [("create_ticket", '{"subject": "Devis"}')]


async def test_the_model_talks_and_its_functions_run_once(model: Model, tmp_path: Path) -> None:
    async with running(tmp_path) as twilio:
        owner = await by_turns(twilio)
        hello = await twilio.ring(ForwardedFrom=LINE)
        assert text("fr", "turns_menu_message") not in hello.said
        written = "**C'est** noté, jean_dupont@exemple.fr. [Notre page](https://exemple.fr/x?y=1)."
        model.answers = [TICKET, written, "Vous pouvez venir mardi."]
        said = await say(twilio, hello, "Je voudrais un devis")
        assert said.said == "C'est noté, jean_dupont@exemple.fr. Notre page."
        assert (await say(twilio, hello, "Je voudrais un devis")).text == said.text
        assert len(await tickets(owner)) == 1
        system, greeted, user = model.asked[0]
        assert text("fr", "turns_note") in system.text
        assert (greeted.role, greeted.text) == ("assistant", hello.said)
        assert (user.role, user.text) == ("user", "Je voudrais un devis")
        assert "create_ticket" in model.functions
        await press(twilio, said, "42")
        asked = model.asked[-1]
        assert [each.text for each in asked if each.role == "user"][-1] == (
            "[Touches du clavier : 4 2]"
        )
        (done,) = [each for each in asked if each.role == "function"]
        assert "created" in done.text, "it knows what was done in an earlier turn"
        await hangs_up(twilio)
        call = await the_call(owner)
        assert (call["outcome"], call["agent"]) == ("ticket", "turns:scripted")


async def test_a_model_that_dies_leaves_the_words_to_the_rules(
    model: Model, tmp_path: Path
) -> None:
    async with running(tmp_path) as twilio:
        owner = await by_turns(twilio)
        hello = await twilio.ring(ForwardedFrom=LINE)
        dead = ProviderError("llm", "gone", retryable=True)
        model.answers = [dead]
        offer = await say(twilio, hello, "Je voudrais prendre rendez-vous")
        assert text("fr", "turns_others") in offer.said, "slots, at once"
        await press(twilio, offer, "1")
        assert len(model.asked) == 1, "the rules stay"
        again = await twilio.ring(2, ForwardedFrom=LINE)
        model.answers = [TICKET, dead]
        told = await post(twilio, again.action, 2, SpeechResult="un devis")
        assert text("fr", "turns_noted") in told.said, "what was done isn't done again"
        assert len(await tickets(owner)) == 1
        model.answers = [dead]
        again = await post(
            twilio, (await twilio.ring(3, ForwardedFrom=LINE)).action, 3, SpeechResult="un devis"
        )
        # Two failures in a row have opened the breaker: the next call doesn't ask any more.
        fourth = await twilio.ring(4, ForwardedFrom=LINE)
        assert text("fr", "turns_menu_message") in fourth.said


async def test_a_slow_model_is_waited_for_with_words(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.turn_webhooks.PATIENCE_SECONDS", 0.2)
    go = asyncio.Event()

    async def later() -> str:
        await go.wait()
        return "Nous ouvrons à neuf heures."

    async with running(tmp_path) as twilio:
        await by_turns(twilio)
        hello = await twilio.ring(ForwardedFrom=LINE)
        model.answers = [later]
        waits = await say(twilio, hello, "Vous ouvrez quand ?")
        assert waits.verbs == ["Say", "Redirect"]
        assert waits.said == text("fr", "filler_1")
        again = await post(twilio, waits.first("Redirect").text or "")
        assert again.verbs == ["Say", "Redirect"]
        go.set()
        said = await post(twilio, again.first("Redirect").text or "")
        assert said.said == "Nous ouvrons à neuf heures."
        assert len(model.asked) == 1


def test_lines_of_ours_come_in_time_and_last_until_a_lost_turn_is_taken_over() -> None:
    until_twilio_hears_the_end, shortest_line = 1.0, 1.5
    assert until_twilio_hears_the_end + turn_webhooks.PATIENCE_SECONDS <= 2.5, "the issue's rule"
    lasting = turn_webhooks.WAITS * (shortest_line + turn_webhooks.PATIENCE_SECONDS)
    assert timedelta(seconds=lasting) > turn_webhooks.STALE


async def test_a_turn_that_nobody_answers_is_left_for_an_agent_who_knows_the_call(
    twilio: Twilio, tmp_path: Path
) -> None:
    await by_turns(twilio, "turns", "realtime")
    menu = await twilio.ring(ForwardedFrom=LINE)
    left = await post(twilio, f"{menu.action}/wait/{turn_webhooks.WAITS + 1}")
    assert left.verbs == ["Connect"]
    with closing(sqlite3.connect(tmp_path / "test.sqlite3")) as database:
        (attempts,) = database.execute("SELECT attempts FROM call_logs").fetchone()
    assert attempts == 1, "its stream reads what was said before"


async def test_a_turn_whose_node_died_is_answered_by_rules(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.turn_webhooks.PATIENCE_SECONDS", 0.2)

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    async with running(tmp_path) as twilio:
        await by_turns(twilio)
        hello = await twilio.ring(ForwardedFrom=LINE)
        model.answers = [never]
        waits = await say(twilio, hello, "Je voudrais laisser un message")
        monkeypatch.setattr("voice.turn_webhooks.STALE", timedelta(0))
        said = await post(twilio, waits.first("Redirect").text or "")
        assert said.said == text("fr", "turns_message"), "from the words that were stored"


async def test_the_model_hangs_up_and_puts_through(model: Model, tmp_path: Path) -> None:
    async with running(tmp_path) as twilio:
        await by_turns(twilio, transferNumber=OWNER_PHONE)
        hello = await twilio.ring(ForwardedFrom=LINE)
        model.answers = [[("transfer_call", "{}")]]
        wait = await say(twilio, hello, "Passez-moi quelqu'un")
        assert wait.verbs == ["Say", "Redirect"]
        hello = await twilio.ring(2, ForwardedFrom=LINE)
        model.answers = [[("end_call", "{}")]]
        bye = await post(twilio, hello.action, 2, SpeechResult="Au revoir")
        assert bye.verbs == ["Say", "Hangup"]

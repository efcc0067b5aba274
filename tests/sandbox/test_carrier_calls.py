"""Whole calls: the carrier and a caller against a scripted server, over real sockets."""

import asyncio
import base64
import time
import wave
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from sandbox.callee import Callee
from sandbox.caller import ScriptedCaller
from sandbox.faults import Faults
from sandbox.recording import LineRecording
from sandbox.report import CallLog, CallReport
from sandbox.scenario import Step
from sandbox.speech import clip, read_stamp
from sandbox.twilio import TwilioEmulator, inbound_leg
from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, Stream, TwimlServer

CALLER = "+33639981234"
VOICE = clip("merci_au_revoir_claire")  # any speech will do for an agent


# The line is open before the stream is; what is said or pressed meanwhile reaches nobody.
SETTLE = Step(wait="start", stay_silent_ms=500)

Ring = Callable[..., Coroutine[Any, Any, CallReport]]


@pytest.fixture
def ring(twilio: TwilioEmulator) -> Ring:
    async def call(
        *steps: Step,
        forwarded_from: str | None = None,
        events: list[dict[str, Any]] | None = None,
        recording: Path | None = None,
        patience_ms: int = 6000,
        **options: Any,
    ) -> CallReport:
        report = CallReport(twilio.new_sid("CA"), 77, CALLER, NUMBER, forwarded_from)
        tell = None if events is None else events.append
        log = CallLog(report, asyncio.get_running_loop().time, tell)
        party = ScriptedCaller(steps, tag=77, log=log, voices=None, patience_ms=patience_ms)
        leg = inbound_leg(party, log, forwarded_from=forwarded_from)
        leg.recording = LineRecording() if recording else None
        await twilio.call_in(leg, **{"max_seconds": 20, **options})
        if leg.recording and recording:
            leg.recording.save(recording)
        return report

    return call


@pytest.fixture
async def rest(twilio: TwilioEmulator) -> AsyncIterator[httpx.AsyncClient]:
    root = f"{twilio.url}/2010-04-01/Accounts/{ACCOUNT}/"
    async with httpx.AsyncClient(base_url=root, auth=(ACCOUNT, TOKEN)) as client:
        yield client


async def speak(stream: Stream, audio: bytes = VOICE, mark: str = "") -> None:
    await stream.say("media", {"payload": base64.b64encode(audio).decode()})
    if mark:
        await stream.say("mark", {"name": mark})


VOICE_PATH = "/webhooks/twilio/voice"
STATUS_PATH = "/webhooks/twilio/status"

# ------------------------------------------------------------------- webhooks


async def test_the_first_webhook_is_what_a_french_call_sends(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = "<Response><Hangup/></Response>"
    report = await ring(forwarded_from="0145000000")
    [fields] = server.fields(VOICE_PATH)
    assert fields["CallSid"] == report.call_sid
    assert (fields["From"], fields["To"]) == (CALLER, NUMBER)
    assert fields["ForwardedFrom"] == "0145000000"
    assert (fields["CallStatus"], fields["Direction"]) == ("ringing", "inbound")
    assert (fields["FromCity"], fields["FromCountry"]) == ("", "FR")
    [status] = server.fields(STATUS_PATH)
    assert status["CallStatus"] == "completed"
    assert status["CallDuration"] == "0"
    assert all(signed for _, _, signed in server.requests)
    assert report.hung_up_by == "server"
    assert report.clean


async def test_without_forwarding_the_field_is_absent(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = "<Response/>"
    await ring()
    assert "ForwardedFrom" not in server.fields(VOICE_PATH)[0]


async def test_a_duplicate_webhook_and_a_forged_one(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = "<Response><Reject reason='busy'/></Response>"
    report = await ring(faults=Faults(duplicate_webhook=True))
    first, second = server.fields(VOICE_PATH)
    assert first == second
    assert report.status == "busy"
    assert report.answered_ms is None
    await ring(faults=Faults(forged_webhook=True))
    assert [signed for path, _, signed in server.requests if path == VOICE_PATH][-1] is False


async def test_an_unusable_answer_goes_to_the_fallback_and_without_one_ends_the_call(
    twilio: TwilioEmulator, server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = Response("no", status_code=500)
    report = await ring(Step(wait_end=True))
    assert report.hung_up_by == "carrier"
    assert any(error.startswith("11200") for error in report.errors)
    assert report.heard("carrier") == []  # without an ear for words, a voice is the agent's
    assert report.first_sound_ms is not None  # "an application error has occurred"
    twilio.numbers[NUMBER].voice_fallback_url = f"{server.url}/fallback"
    server.replies["/fallback"] = "<Response><Hangup/></Response>"
    report = await ring()
    [fields] = server.fields("/fallback")
    assert fields["ErrorCode"] == "11200"
    assert fields["ErrorUrl"].endswith(VOICE_PATH)
    assert report.hung_up_by == "server"


async def test_a_server_that_is_not_there(twilio: TwilioEmulator, ring: Ring) -> None:
    twilio.point_at("http://127.0.0.1:9")
    report = await ring(Step(wait_end=True))
    assert report.hung_up_by == "carrier"
    assert report.requests[0].status == 0


async def test_redirects_between_documents_and_an_endless_one(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = "<Response><Redirect>/second</Redirect></Response>"
    server.replies["/second"] = "<Response><Hangup/></Response>"
    report = await ring()
    assert len(report.twiml) == 2
    server.replies["/second"] = "<Response><Redirect>/second</Redirect></Response>"
    report = await ring()
    assert any(error.startswith("11100") for error in report.errors)


# ------------------------------------------------------------------- streams


async def test_a_stream_from_connected_to_stop(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()
    done = asyncio.Event()

    async def listen(stream: Stream) -> None:
        await stream.until("closed")
        done.set()

    server.on_stream = listen
    report = await ring(
        SETTLE, Step(wait="start", say="oui_marc"), Step(wait="start", hang_up=True)
    )
    await asyncio.wait_for(done.wait(), 3)
    [stream] = server.streams
    assert stream.signed
    assert stream.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = stream.messages[1]["start"]
    assert start["callSid"] == report.call_sid
    assert start["accountSid"] == ACCOUNT
    assert start["customParameters"] == {"token": "secret"}
    assert [each["event"] for each in stream.messages[-2:]] == ["stop", "closed"]
    numbers = [int(each["sequenceNumber"]) for each in stream.messages[1:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    media = [each["media"] for each in stream.of("media")]
    assert [int(each["chunk"]) for each in media] == list(range(1, len(media) + 1))
    assert [int(each["timestamp"]) for each in media] == [20 * at for at in range(len(media))]
    frames = [base64.b64decode(each["payload"]) for each in media]
    marks = [read_stamp(frame) for frame in frames]
    assert all(mark is not None and mark.tag == 77 for mark in marks)
    assert [mark.sequence for mark in marks if mark] == list(
        range(marks[0].sequence, marks[0].sequence + len(marks))  # type: ignore[union-attr]
    )
    assert sum(mark.speech for mark in marks if mark) == len(clip("oui_marc")) // 160
    assert report.frames_sent == len(media)
    assert report.hung_up_by == "caller"
    [after] = server.fields("/continue")
    assert after["CallStatus"] == "completed"
    assert report.clean


async def test_frames_come_in_real_time_and_do_not_drift(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()
    times: list[float] = []

    async def listen(stream: Stream) -> None:
        while len(times) < 100:
            await stream.until("media", len(times) + 1)
            times.append(time.monotonic())

    server.on_stream = listen
    await ring(Step(wait_end=True))
    assert 1.9 < times[-1] - times[0] < 2.3


async def test_marks_come_back_when_heard_and_the_action_is_asked_at_the_end(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    server.replies["/continue"] = "<Response><Hangup/></Response>"
    seen: dict[str, float] = {}

    async def talk(stream: Stream) -> None:
        await stream.say("mark", {"name": "nothing before me"})
        await stream.until("mark")
        seen["first"] = time.monotonic()
        await speak(stream, VOICE[:8000], "one second")
        await stream.until("mark", 2)
        seen["second"] = time.monotonic()

    server.on_stream = talk
    report = await ring(Step(wait_end=True))
    names = [each["mark"]["name"] for each in server.streams[0].of("mark")]
    assert names == ["nothing before me", "one second"]
    assert 0.98 < seen["second"] - seen["first"] < 1.3
    assert server.fields("/continue")[0]["CallStatus"] == "in-progress"
    assert (report.marks_received, report.marks_returned) == (2, 2)
    assert report.hung_up_by == "server"
    assert report.first_sound_ms is not None
    assert report.frames_played == 50
    assert server.streams[0].of("stop") == []  # the server was first


async def test_clear_silences_at_once_and_returns_every_mark(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    events: list[dict[str, Any]] = []

    async def talk(stream: Stream) -> None:
        for number in range(4):
            await speak(stream, VOICE[:8000], f"g1:{number}")
        await stream.until("mark")  # a second has been heard
        while not any(each["event"] == "barge_in" for each in events):
            await stream.until("media", len(stream.of("media")) + 1)
        await asyncio.sleep(0.1)
        await stream.say("clear")
        await stream.until("mark", 4)

    server.on_stream = talk
    report = await ring(
        Step(wait="agent_speaking", over_ms=600, say="attendez_marc"),
        Step(wait_end=True),
        events=events,
    )
    names = [each["mark"]["name"] for each in server.streams[0].of("mark")]
    assert names == ["g1:0", "g1:1", "g1:2", "g1:3"]
    [barge_in] = report.barge_ins
    assert barge_in.label == "attendez_marc"
    assert barge_in.latency_ms is not None
    assert barge_in.cleared_ms == pytest.approx(barge_in.at_ms + barge_in.latency_ms)
    assert report.clears == 1
    assert report.frames_played < 110


async def test_keys_reach_the_stream(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()

    async def listen(stream: Stream) -> None:
        await stream.until("dtmf", 2)

    server.on_stream = listen
    report = await ring(SETTLE, Step(wait="start", press="4#"), Step(wait_end=True))
    digits = [each["dtmf"]["digit"] for each in server.streams[0].of("dtmf")]
    assert digits == ["4", "#"]
    assert report.pressed == ["4", "#"]


async def test_what_twilio_ignores_is_counted(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()

    async def talk(stream: Stream) -> None:
        await stream.socket.send_bytes(b"audio")
        await stream.socket.send_text("{}")
        await stream.socket.send_text('{"event":"clear","streamSid":"MZother"}')
        await stream.say("media", {"payload": "AAAA", "track": "outbound"})
        await asyncio.sleep(0.2)

    server.on_stream = talk
    report = await ring(Step(wait_end=True))
    assert [each[:5] for each in report.errors] == ["31950", "31951", "31951", "31951"]
    assert report.clears == 0
    assert report.frames_played == 0
    assert not report.clean


async def test_a_refused_stream_falls_through_to_the_action(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    server.replies["/continue"] = "<Response><Hangup/></Response>"
    server.refuse_streams = True
    report = await ring(Step(wait_end=True))
    assert any(each.startswith("31920") and "403" in each for each in report.errors)
    assert len(server.fields("/continue")) == 1
    assert report.streams == 0


async def test_a_lost_stream_is_resumed_by_the_action(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect(token="first")
    server.replies["/continue"] = [
        server.connect(token="second"),
        "<Response><Hangup/></Response>",
    ]

    async def talk(stream: Stream) -> None:
        if stream.of("start")[0]["start"]["customParameters"]["token"] == "second":
            await stream.until("media", 5)
        else:
            await stream.until("closed")

    server.on_stream = talk
    report = await ring(Step(wait_end=True), faults=Faults(drop_stream_after_ms=300))
    first, second = server.streams
    assert first.of("stop") == []
    assert second.of("start")[0]["streamSid"] != first.sid
    assert report.streams == 2
    assert report.hung_up_by == "server"


async def test_faults_of_the_stream(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()

    async def brief(stream: Stream) -> None:
        await stream.until("media", 2)

    server.on_stream = brief
    report = await ring(Step(wait_end=True), faults=Faults(no_action=True))
    assert server.fields("/continue") == []
    assert report.hung_up_by == "carrier"
    await ring(Step(wait_end=True), faults=Faults(forged_stream=True))
    assert [each.signed for each in server.streams] == [True, False]
    await ring(Step(wait_end=True), faults=Faults(wrong_parameters="guess"))
    start = server.streams[-1].of("start")[0]["start"]
    assert start["customParameters"] == {"token": "guess"}
    asked = len(server.fields(STATUS_PATH))
    await ring(Step(wait_end=True), faults=Faults(no_status_callback=True))
    assert len(server.fields(STATUS_PATH)) == asked


async def test_a_late_start_and_none_at_all(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()
    arrived: list[float] = []

    async def brief(stream: Stream) -> None:
        arrived.append(time.monotonic())

    server.on_stream = brief
    began = time.monotonic()
    await ring(Step(wait_end=True), faults=Faults(late_start_ms=700))
    assert arrived[0] - began > 0.7
    report = await ring(Step(wait_end=True), faults=Faults(no_start=True))  # closed after 5 s
    assert report.streams == 0
    assert server.streams[-1].of("start") == []
    assert report.clean


async def test_a_second_stream_with_the_same_token_is_noted(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = server.connect()

    async def judge(stream: Stream) -> None:
        if len(server.streams) > 1:
            await stream.socket.close(4403)
        else:
            await stream.until("media", 60)

    server.on_stream = judge
    report = await ring(Step(wait_end=True), faults=Faults(second_stream=True))
    assert "second stream: closed with 4403" in report.notes


async def test_congestion_discards_the_callers_audio(
    server: TwimlServer, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.carrier_stream.MAX_WAITING", 0)
    server.replies[VOICE_PATH] = server.connect()

    async def listen(stream: Stream) -> None:
        await asyncio.sleep(0.3)

    server.on_stream = listen
    report = await ring(Step(wait_end=True))
    assert report.frames_discarded > 5
    assert [each[:5] for each in report.errors] == ["31930"]


# ------------------------------------------------------------------- REST on a live call


async def test_hang_up_by_rest(server: TwimlServer, ring: Ring, rest: httpx.AsyncClient) -> None:
    server.replies[VOICE_PATH] = server.connect()

    async def hang_up(stream: Stream) -> None:
        sid = stream.of("start")[0]["start"]["callSid"]
        assert (await rest.get(f"Calls/{sid}.json")).json()["status"] == "in-progress"
        answer = await rest.post(f"Calls/{sid}.json", data={"Status": "completed"})
        assert answer.json()["status"] == "completed"
        again = await rest.post(f"Calls/{sid}.json", data={"Status": "completed"})
        assert (again.status_code, again.json()["code"]) == (400, 21220)
        await stream.until("stop")

    server.on_stream = hang_up
    report = await ring(Step(wait_end=True))
    assert report.hung_up_by == "server"
    assert report.status == "completed"
    assert len(server.fields(STATUS_PATH)) == 1
    assert report.clean


@pytest.mark.parametrize("how", ["Url", "Twiml"])
async def test_a_redirect_by_rest_replaces_the_stream(
    server: TwimlServer, ring: Ring, rest: httpx.AsyncClient, how: str
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    document = f"<Response><Redirect>{server.url}/after</Redirect></Response>"
    server.replies["/elsewhere"] = document
    server.replies["/after"] = "<Response><Hangup/></Response>"

    async def redirect(stream: Stream) -> None:
        sid = stream.of("start")[0]["start"]["callSid"]
        target = {"Url": f"{server.url}/elsewhere"} if how == "Url" else {"Twiml": document}
        assert (await rest.post(f"Calls/{sid}.json", data=target)).status_code == 200
        await stream.until("stop")

    server.on_stream = redirect
    report = await ring(Step(wait_end=True))
    assert len(server.fields("/after")) == 1
    assert server.fields("/continue") == []  # a redirection isn't the stream's end
    assert report.hung_up_by == "server"


async def test_updates_that_twilio_refuses(
    server: TwimlServer, ring: Ring, rest: httpx.AsyncClient
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    answers: list[tuple[int, int]] = []

    async def update(stream: Stream) -> None:
        sid = stream.of("start")[0]["start"]["callSid"]
        for fields in (
            {"Status": "paused"},
            {"Status": "canceled"},
            {"Url": "relative"},
            {"Url": server.url, "Twiml": "<Response/>"},
            {"Twiml": "x" * 4001},
        ):
            answer = await rest.post(f"Calls/{sid}.json", data=fields)
            answers.append((answer.status_code, answer.json()["code"]))

    server.on_stream = update
    await ring(Step(wait_end=True))
    assert answers == [(400, 20001), (400, 21220), (400, 21205), (400, 20001), (400, 32018)]


# ------------------------------------------------------------------- verbs


async def test_a_question_is_answered_by_speech(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = (
        '<Response><Gather input="speech dtmf" action="/answer" speechTimeout="auto">'
        "<Say>Quelle entreprise ?</Say></Gather><Hangup/></Response>"
    )
    server.replies["/answer"] = "<Response><Hangup/></Response>"
    report = await ring(Step(say="garage_du_port_marc"), Step(wait_end=True))
    [fields] = server.fields("/answer")
    assert fields["SpeechResult"] == "Le garage du Port."
    assert 0 <= float(fields["Confidence"]) <= 1
    assert "Digits" not in fields
    assert report.clean


async def test_a_question_is_answered_by_keys_over_the_prompt(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = (
        '<Response><Gather input="dtmf" numDigits="4" timeout="3" action="/answer">'
        "<Say>Composez le code à quatre chiffres de l'entreprise, puis attendez.</Say></Gather>"
        "</Response>"
    )
    report = await ring(Step(wait="agent_speaking", press="4712"), Step(wait_end=True))
    assert server.fields("/answer")[0]["Digits"] == "4712"
    assert report.duration_ms is not None
    assert report.duration_ms < 2500  # the prompt was interrupted


@pytest.mark.parametrize("tell", [False, True])
async def test_a_question_that_nobody_answers(server: TwimlServer, ring: Ring, tell: bool) -> None:
    server.replies[VOICE_PATH] = (
        f'<Response><Gather timeout="1" action="/answer" actionOnEmptyResult="{str(tell).lower()}"'
        "/><Redirect>/silence</Redirect></Response>"
    )
    await ring(Step(wait_end=True))
    assert len(server.fields("/answer")) == tell
    assert len(server.fields("/silence")) == (not tell)


async def test_a_recording_is_taken_until_the_caller_pauses(
    server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = '<Response><Record action="/taken" timeout="1"/></Response>'
    got: list[httpx.Response] = []

    async def fetch(fields: dict[str, str]) -> None:
        async with httpx.AsyncClient(auth=(ACCOUNT, TOKEN)) as client:
            got.append(await client.get(fields["RecordingUrl"] + ".wav"))

    report = await ring(Step(say="rappelez_moi"), Step(wait_end=True))
    assert [said.who for said in report.utterances] == ["agent", "caller"], "after the tone"
    [fields] = server.fields("/taken")
    await fetch(fields)
    assert got[0].content[:4] == b"RIFF"
    assert int(fields["RecordingDuration"]) in (2, 3)
    assert fields["Digits"] == ""


RECORD = (
    '<Response><Record action="/taken" timeout="1" finishOnKey="#" recordingStatusCallback="/told" '
    'recordingStatusCallbackEvent="completed absent"/><Redirect>/empty</Redirect></Response>'
)


async def told_of(server: TwimlServer, recordings: int) -> None:
    """Wait for what is told in the background."""
    async with asyncio.timeout(5):
        while len(server.fields("/told")) < recordings:
            await asyncio.sleep(0.02)


async def test_a_recording_ends_with_a_key_or_with_the_call(
    server: TwimlServer, ring: Ring
) -> None:
    """ "Digits: the key (if any) pressed to end the recording or 'hangup' if the caller hung up":
    twilio.com/docs/voice/twiml/record."""
    server.replies[VOICE_PATH] = RECORD
    await ring(Step(say="rappelez_moi"), Step(wait="start", press="#"), Step(wait_end=True))
    await ring(Step(say="rappelez_moi"), Step(wait="start", hang_up=True))
    pressed, hung_up = server.fields("/taken")
    assert (pressed["Digits"], pressed["CallStatus"]) == ("#", "in-progress")
    assert (hung_up["Digits"], hung_up["CallStatus"]) == ("hangup", "completed")
    assert not server.fields("/empty")
    await told_of(server, 2)
    for fields, told in zip((pressed, hung_up), server.fields("/told"), strict=True):
        assert told["RecordingStatus"] == "completed"
        assert told["RecordingUrl"] == fields["RecordingUrl"]
        assert told["RecordingUrl"].endswith(told["RecordingSid"])
        assert told["RecordingDuration"] == fields["RecordingDuration"]


async def test_an_empty_recording_has_no_action(server: TwimlServer, ring: Ring) -> None:
    """ "If Twilio receives an empty recording, it will not make a request to the action URL"."""
    server.replies[VOICE_PATH] = RECORD
    await ring(Step(wait_end=True))
    assert not server.fields("/taken")
    assert len(server.fields("/empty")) == 1
    await told_of(server, 1)
    [told] = server.fields("/told")
    assert told["RecordingStatus"] == "absent"


async def dialled(server: TwimlServer, ring: Ring, timeout: int = 20) -> dict[str, str]:
    server.replies[VOICE_PATH] = (
        f'<Response><Dial timeout="{timeout}" action="/dialled" callerId="{CALLER}">'
        '<Number url="/whisper">+33145000001</Number></Dial></Response>'
    )
    server.replies["/whisper"] = (
        '<Response><Gather input="dtmf" numDigits="1" timeout="2" action="/pressed">'
        "<Say>Appel pour le garage du Port. Appuyez sur 1.</Say></Gather><Hangup/></Response>"
    )
    server.replies["/pressed"] = "<Response/>"
    report = await ring(Step(wait_end=True))
    assert report.errors == []
    [fields] = server.fields("/dialled")
    return fields


@pytest.mark.parametrize(
    ("callee", "status", "bridged"),
    [
        (Callee("presses_1", 0.2, 0.5), "completed", "true"),
        (Callee("hangs_up", 0.2), "completed", "false"),
        (Callee("says_nothing", 0.2), "completed", "false"),
        (Callee("no_answer"), "no-answer", "false"),
        (Callee("busy", 0.2), "busy", "false"),
        (Callee("presses_1", 5.0), "no-answer", "false"),
    ],
)
async def test_a_transfer(
    twilio: TwilioEmulator,
    server: TwimlServer,
    ring: Ring,
    callee: Callee,
    status: str,
    bridged: str,
) -> None:
    twilio.callees["+33145000001"] = callee
    fields = await dialled(server, ring, timeout=1)
    assert (fields["DialCallStatus"], fields["DialBridged"]) == (status, bridged)
    assert len(server.fields("/pressed")) == (bridged == "true")
    for whisper in server.fields("/whisper"):
        assert whisper["CallSid"] == fields["DialCallSid"] != fields["CallSid"]
        assert whisper["ParentCallSid"] == fields["CallSid"]
        assert whisper["Direction"] == "outbound-dial"


async def test_a_line_that_forwards_to_us_comes_back_as_a_call(
    twilio: TwilioEmulator, server: TwimlServer, ring: Ring
) -> None:
    twilio.callees["+33145000001"] = Callee("forwards", 0.2, forwards_to=NUMBER)
    calls: list[dict[str, str]] = []
    dial = (
        '<Response><Dial timeout="5" action="/dialled"><Number>+33145000001</Number></Dial>'
        "</Response>"
    )

    def answer(fields: dict[str, str]) -> str:
        calls.append(fields)
        return dial if len(calls) == 1 else '<Response><Reject reason="busy"/></Response>'

    server.replies[VOICE_PATH] = answer
    await ring(Step(wait_end=True))
    assert calls[1]["ForwardedFrom"] == "+33145000001"
    assert calls[1]["From"] == CALLER
    assert server.fields("/dialled")[0]["DialCallStatus"] == "busy"


async def test_the_caller_leaves_during_a_transfer(
    twilio: TwilioEmulator, server: TwimlServer, ring: Ring
) -> None:
    twilio.callees["+33145000001"] = Callee("presses_1", 0.2, talks_seconds=10)
    server.replies[VOICE_PATH] = (
        '<Response><Dial action="/dialled"><Number>+33145000001</Number></Dial></Response>'
    )
    report = await ring(Step(wait="silence", over_ms=1000, hang_up=True))
    [fields] = server.fields("/dialled")
    assert (fields["CallStatus"], fields["DialBridged"]) == ("completed", "true")
    assert report.hung_up_by == "caller"
    assert all(leg.record.over for leg in twilio.legs.values())


# ------------------------------------------------------------------- ends


async def test_an_impatient_caller_hangs_up(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()
    report = await ring(Step(say="oui_marc"), patience_ms=500)
    assert report.gave_up == "step 1: agent_done"
    assert report.hung_up_by == "caller"


async def test_no_call_lasts_for_ever(server: TwimlServer, ring: Ring) -> None:
    server.replies[VOICE_PATH] = server.connect()
    report = await ring(Step(wait_end=True), max_seconds=0.7)
    assert report.hung_up_by == "carrier"
    assert any(each.startswith("guard") for each in report.errors)


async def test_the_line_is_recorded_in_stereo(
    server: TwimlServer, ring: Ring, tmp_path: Path
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    path = tmp_path / "line" / "call.wav"

    async def talk(stream: Stream) -> None:
        await speak(stream, VOICE[:4000], "said")
        await stream.until("mark")

    server.on_stream = talk
    report = await ring(Step(wait="start", say="oui_marc"), Step(wait_end=True), recording=path)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        frames = file.readframes(file.getnframes())
        seconds = file.getnframes() / 8000
    samples = memoryview(frames).cast("h")
    assert max(map(abs, samples[0::2])) > 1000
    assert max(map(abs, samples[1::2])) > 1000
    assert report.duration_ms is not None
    assert seconds == pytest.approx(report.duration_ms / 1000, abs=0.1)


async def test_many_calls_at_once_lose_nothing_and_leave_nothing(
    twilio: TwilioEmulator, server: TwimlServer, ring: Ring
) -> None:
    server.replies[VOICE_PATH] = server.connect()
    server.replies["/continue"] = "<Response><Hangup/></Response>"
    before = asyncio.all_tasks()

    async def talk(stream: Stream) -> None:
        await speak(stream, VOICE, "said")
        await stream.until("mark")

    server.on_stream = talk
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(ring(Step(wait_end=True))) for _ in range(20)]
    for call in calls:
        report = call.result()
        assert report.clean
        assert report.frames_played == len(VOICE) // 160
        assert report.hung_up_by == "server"
    assert len({call.result().call_sid for call in calls}) == 20
    await asyncio.sleep(0.2)
    left = {
        task
        for task in asyncio.all_tasks() - before
        if "sandbox" in repr(task.get_coro()) and not task.done()
    }
    assert left == set()
    assert len(server.fields(STATUS_PATH)) == 20


async def test_leaving_hangs_up_on_everybody(server: TwimlServer) -> None:
    server.replies[VOICE_PATH] = server.connect()
    report = CallReport("CA1", 77, CALLER, NUMBER, None)
    log = CallLog(report, asyncio.get_running_loop().time)
    steps = [Step(wait_end=True)]
    leg = inbound_leg(ScriptedCaller(steps, tag=77, log=log, voices=None), log, forwarded_from=None)
    async with asyncio.TaskGroup() as tasks:
        async with TwilioEmulator(
            account_sid=ACCOUNT, auth_tokens=[TOKEN], numbers=[NUMBER]
        ) as emulator:
            emulator.point_at(server.url)
            call = tasks.create_task(emulator.call_in(leg))
            await asyncio.wait_for(leg.answered.wait(), 3)
            began = time.monotonic()
        await asyncio.wait_for(asyncio.wait([call]), 3)
    assert time.monotonic() - began < 3
    assert (report.hung_up_by, report.status) == ("carrier", "failed")

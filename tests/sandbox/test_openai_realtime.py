"""The emulated Realtime service over a real websocket: door, turns, functions, faults."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sandbox.audio import masked
from sandbox.brain import Brain
from sandbox.openai_realtime import AGENT_TAG_BIT, Faults, RealtimeEmulator
from sandbox.speech import FRAME_BYTES, read_stamp, render
from tests.sandbox.realtime_client import KEY, Client, address, dialled

FREINS = "rdv_freins_mardi"
PROPOSAL = "Je peux vous proposer mardi 24 novembre à neuf heures."
RULES: list[dict[str, Any]] = [
    {
        "heard": FREINS,
        "say": "Je regarde.",
        "call": {"name": "check_availability", "arguments": {"date": "2026-11-24"}},
    },
    {"result": "check_availability", "say": "Je peux vous proposer {result.slots.0.spoken}."},
    {"heard": "robot_marc", "say": "Oui, je suis une intelligence artificielle."},
    {"heard": ["attendez_marc", "oui_marc"], "say": "Je vous écoute."},
    {"note": "touche 1", "say": "Un."},
]
LONG = "Bonjour, vous êtes en ligne avec le garage du Port. Comment puis-je vous aider ? " * 3


@pytest.fixture
async def emulator() -> AsyncIterator[RealtimeEmulator]:
    async with RealtimeEmulator(KEY, lambda _: Brain(RULES), latency_ms=20, speed=40.0) as running:
        yield running


@pytest.fixture
async def client(emulator: RealtimeEmulator) -> AsyncIterator[Client]:
    async with dialled(emulator) as connected:
        await connected.configure()
        yield connected


# ---- the door ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("?model=m", {}, 401, "invalid_api_key"),
        ("?model=m", {"Authorization": "Bearer sk-other"}, 401, "invalid_api_key"),
        ("?model=m", {"Authorization": KEY}, 401, "invalid_api_key"),
        ("", {"Authorization": f"Bearer {KEY}"}, 400, "missing_model"),
        ("?model=", {"Authorization": f"Bearer {KEY}"}, 400, "missing_model"),
        (
            "?model=m",
            {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "realtime=v1"},
            400,
            "beta_api_disabled",
        ),
        ("/sessions?model=m", {"Authorization": f"Bearer {KEY}"}, 404, "not_found"),
    ],
)
async def test_who_does_not_get_in(
    emulator: RealtimeEmulator, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address(emulator, query), additional_headers=headers):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.body or b"")["error"]["code"] == code
    assert emulator.sessions == []
    assert emulator.refusals[0][0] == status


async def test_it_says_what_session_it_made(emulator: RealtimeEmulator) -> None:
    async with dialled(emulator) as client:
        created = client.seen[0]["session"]
    assert created["object"] == "realtime.session"
    assert created["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert abs(created["expires_at"] - time.time() - 3_600) < 5
    assert emulator.sessions[0].model == "gpt-realtime-2.1"


async def test_it_is_on_loopback_only(emulator: RealtimeEmulator) -> None:
    assert emulator.url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="not running"):
        _ = RealtimeEmulator(KEY, lambda _: Brain([])).url


# ---- a conversation ------------------------------------------------------------------------


async def test_a_quoted_sentence_is_said_word_for_word(
    emulator: RealtimeEmulator, client: Client
) -> None:
    rendered: list[tuple[int, str, bytes]] = []
    emulator.published = lambda *each: rendered.append(each)
    await client.say("Bonjour, ici Sara !")
    done = await client.until("response.done")
    audio = client.audio()
    tag = emulator.sessions[0].tag
    assert rendered == [(tag, "Bonjour, ici Sara !", render("Bonjour, ici Sara !"))]
    assert masked(audio) == masked(render("Bonjour, ici Sara !"))
    frames = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
    stamps = [read_stamp(frame) for frame in frames]
    assert [each and (each.tag, each.sequence) for each in stamps] == [
        (tag, number) for number in range(len(frames))
    ]
    assert tag & AGENT_TAG_BIT
    assert done["response"]["status"] == "completed"
    content = done["response"]["output"][0]["content"]
    assert content == [{"type": "output_audio", "transcript": "Bonjour, ici Sara !"}]
    deltas = [e["delta"] for e in client.seen if e["type"].endswith("audio_transcript.delta")]
    assert "".join(deltas) == "Bonjour, ici Sara !"


async def test_a_whole_turn_with_a_function(emulator: RealtimeEmulator, client: Client) -> None:
    await client.hear(10, FREINS, 40)
    done = (await client.until("response.done"))["response"]
    message, call = done["output"]
    assert message["content"][0]["transcript"] == "Je regarde."
    assert (call["type"], call["name"]) == ("function_call", "check_availability")
    assert json.loads(call["arguments"]) == {"date": "2026-11-24"}
    transcription = "conversation.item.input_audio_transcription"
    assert [kind for kind in client.kinds()[2:] if not kind.startswith(transcription)] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["audio_tokens"] > 0

    output = json.dumps({"slots": [{"spoken": "mardi 24 novembre à neuf heures"}]})
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    answer = (await client.until("response.done"))["response"]["output"][0]
    assert answer["content"][0]["transcript"] == PROPOSAL

    record = emulator.sessions[0]
    assert record is emulator.session(7)
    assert [turn.clips for turn in record.heard] == [(FREINS,)]
    assert record.heard[0].frames == record.heard[0].whole
    assert [said.text for said in record.said] == ["Je regarde.", PROPOSAL]
    assert record.calls[0].outputs == [output]
    assert not record.errors
    assert not record.defects.any()
    assert record.brain is not None
    assert not record.brain.defects
    assert not record.brain.unmatched


async def test_what_was_said_is_transcribed_when_asked_for(client: Client) -> None:
    await client.hear(FREINS, 40)
    transcribed = await client.until("conversation.item.input_audio_transcription.completed")
    started = next(e for e in client.seen if e["type"] == "input_audio_buffer.speech_started")
    text = "Bonjour, c'est pour des plaquettes de frein, mardi si possible."
    assert transcribed["transcript"] == text
    assert transcribed["item_id"] == started["item_id"]
    assert transcribed["usage"]["type"] == "duration"


async def test_lost_frames_are_noticed(emulator: RealtimeEmulator, client: Client) -> None:
    await client.hear(10)
    await client.send("input_audio_buffer.append", audio="")
    client._sent_frames += 4  # four frames that nobody passed on
    await client.hear("oui_marc", 40)
    await client.until("response.done")
    assert emulator.sessions[0].defects.lost == 4


async def test_another_calls_audio_is_noticed(emulator: RealtimeEmulator, client: Client) -> None:
    await client.hear(10)
    client.caller = 8
    await client.hear(3)
    client.caller = 7
    client._sent_frames -= 3
    await client.hear("oui_marc", 40)
    await client.until("response.done")
    record = emulator.sessions[0]
    assert record.defects.crossed == 3
    assert record.heard[0].clips == ("oui_marc",)


async def test_two_calls_do_not_mix() -> None:
    tags: list[int | None] = []

    def brains(tag: int | None) -> Brain:
        tags.append(tag)
        return Brain(RULES)

    async with (
        RealtimeEmulator(KEY, brains, latency_ms=5, speed=40.0) as emulator,
        dialled(emulator, caller=1) as one,
        dialled(emulator, caller=2) as two,
    ):
        await one.configure()
        await two.configure()
        async with asyncio.TaskGroup() as group:
            group.create_task(one.hear("robot_marc", 40))
            group.create_task(two.hear(FREINS, 40))
        first = await one.until("response.done")
        second = await two.until("response.done")
        assert len(first["response"]["output"]) == 1
        assert len(second["response"]["output"]) == 2
        assert sorted(tags, key=str) == [1, 2]
        assert emulator.session(1) is not emulator.session(2)
        assert emulator.session(3) is None


async def test_a_mind_that_had_to_answer_before_it_heard_anybody_learns_whose_it_is() -> None:
    def brains(tag: int | None) -> Brain:
        return Brain(RULES if tag == 7 else [])

    async with (
        RealtimeEmulator(KEY, brains, latency_ms=5, speed=40.0) as emulator,
        dialled(emulator) as client,
    ):
        await client.configure()
        await client.send("response.create")
        await client.until("response.done")
        await client.hear("robot_marc", 40)
        done = await client.until("response.done")
        said = done["response"]["output"][0]["content"][0]["transcript"]
        assert said == "Oui, je suis une intelligence artificielle."


async def test_text_is_answered_too(client: Client) -> None:
    content = [{"type": "input_text", "text": "[Touche 1]"}]
    item = {"type": "message", "role": "user", "content": content}
    await client.send("conversation.item.create", item=item)
    await client.until("conversation.item.done")
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Un."


async def test_a_history_replayed_is_not_answered(client: Client) -> None:
    for role, kind, text in (
        ("user", "input_text", "touche 1"),
        ("assistant", "output_text", "D'accord, un."),
    ):
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Je vous écoute."


async def test_text_modality_and_out_of_band(client: Client) -> None:
    await client.say(LONG)
    await client.until("response.output_audio.delta")
    options = {
        "conversation": "none",
        "output_modalities": ["text"],
        "instructions": "Dis «Résumé.»",
        "metadata": {"topic": "summary"},
    }
    await client.send("response.create", response=options)
    text = await client.until("response.output_text.done")
    assert text["text"] == "Résumé."
    done = await client.until("response.done", lambda e: bool(e["response"]["metadata"]))
    assert done["response"]["conversation_id"] is None
    both = [e for e in client.seen if e["type"] == "response.created"]
    assert len(both) == 2


async def test_too_many_tokens_end_a_response(client: Client) -> None:
    response = {"instructions": f"Dis «{LONG}»", "max_output_tokens": 40}
    await client.send("response.create", response=response)
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == (
        "incomplete",
        "max_output_tokens",
    )
    assert len(client.audio()) == 2 * 8_000  # 40 tokens are two seconds


# ---- interruptions -------------------------------------------------------------------------


async def test_barge_in_cancels_and_truncates(emulator: RealtimeEmulator, client: Client) -> None:
    await client.say(LONG)
    await client.until("response.output_audio.delta")
    await client.hear("attendez_marc", 1)
    await client.until("input_audio_buffer.speech_started")
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert done["output"][0]["status"] == "incomplete"
    order = client.kinds()
    assert order.index("input_audio_buffer.speech_started") < order.index(
        "response.output_audio.done"
    )
    item_id, sent_ms = done["output"][0]["id"], len(client.audio()) // 8

    async def truncate(end_ms: int) -> None:
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end_ms
        )

    await truncate(sent_ms + 1)
    error = await client.error()
    assert error["message"] == (
        f"Audio content of {sent_ms}ms is already shorter than {sent_ms + 1}ms"
    )
    assert error["code"] == "invalid_value"
    await truncate(180)
    truncated = await client.until("conversation.item.truncated")
    assert truncated["audio_end_ms"] == 180
    await client.send("conversation.item.retrieve", item_id=item_id)
    item = (await client.until("conversation.item.retrieved"))["item"]
    assert item["content"] == [{"type": "output_audio", "transcript": None}]
    await truncate(181)
    assert "180ms is already shorter than 181ms" in (await client.error())["message"]
    record = emulator.sessions[0]
    assert [(cut.audio_end_ms, cut.generated_ms) for cut in record.truncations] == [(180, sent_ms)]
    assert record.said[0].status == "incomplete"
    assert 0 < record.said[0].sent_ms < record.said[0].whole_ms


async def test_without_interrupt_response_the_model_goes_on(client: Client) -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    await client.configure(turn_detection=detection)
    await client.say(LONG)
    await client.hear("oui_marc", 30)
    assert (await client.error())["code"] == "conversation_already_has_active_response"
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_events_only(client: Client) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    await client.configure(turn_detection=detection)
    await client.hear("oui_marc", 40)
    await client.until("conversation.item.input_audio_transcription.completed")
    assert "response.created" not in client.kinds()
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Je vous écoute."


async def test_manual_turns(client: Client) -> None:
    await client.configure(turn_detection=None)
    await client.hear("oui_marc", 40)
    await client.send("input_audio_buffer.commit")
    committed = await client.until("input_audio_buffer.committed")
    assert committed["item_id"]
    await client.send("response.create")
    await client.until("response.done")
    assert "input_audio_buffer.speech_started" not in client.kinds()


async def test_semantic_detection_follows_its_eagerness(client: Client) -> None:
    config = await client.configure(turn_detection={"type": "semantic_vad", "eagerness": "high"})
    assert config["audio"]["input"]["turn_detection"]["create_response"] is True
    await client.hear("oui_marc", 21)
    await client.until("response.created")


async def test_a_cancelled_thought_is_taken_up_again() -> None:
    """Two turns in quick succession: the second answer covers the first, which was never begun."""
    async with (
        RealtimeEmulator(KEY, lambda _: Brain(RULES), latency_ms=300, speed=40.0) as slow,
        dialled(slow) as client,
    ):
        await client.configure()
        await client.hear(FREINS, 40, "oui_marc", 40)
        first = (await client.until("response.done"))["response"]
        assert (first["status"], first["output"]) == ("cancelled", [])
        second = (await client.until("response.done"))["response"]
        kinds = [item["type"] for item in second["output"]]
        assert kinds == ["message", "function_call", "message"]


# ---- faults --------------------------------------------------------------------------------


async def run(faults: Faults, then: Callable[[RealtimeEmulator, Client], Any]) -> None:
    async with (
        RealtimeEmulator(KEY, lambda _: Brain(RULES), latency_ms=5, faults=faults) as emulator,
        dialled(emulator) as client,
    ):
        await client.configure()
        await then(emulator, client)


async def test_a_response_that_fails() -> None:
    async def then(emulator: RealtimeEmulator, client: Client) -> None:
        await client.say("Bonjour.")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"
        await client.say("Bonjour.")
        again = (await client.until("response.done"))["response"]
        assert again["status"] == "completed"
        assert list(emulator.sessions[0].responses.values()) == ["failed", "completed"]

    await run(Faults(fail=frozenset({1})), then)


async def test_a_response_that_hangs_can_be_cancelled() -> None:
    async def then(_: RealtimeEmulator, client: Client) -> None:
        await client.say("Bonjour.")
        created = await client.until("response.created")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.until("response.output_item.added")
        await client.send("response.cancel", response_id=created["response"]["id"])
        done = (await client.until("response.done"))["response"]
        assert done["status_details"]["reason"] == "client_cancelled"

    await run(Faults(hang=frozenset({1})), then)


@pytest.mark.parametrize(("code", "seen"), [(1011, 1011), (None, 1006)])
async def test_a_connection_that_ends(code: int | None, seen: int) -> None:
    async def then(emulator: RealtimeEmulator, client: Client) -> None:
        with pytest.raises(ConnectionClosed):
            await client.until("never")
        assert client.connection.close_code == seen
        while emulator.sessions[0].closed_at is None:
            await asyncio.sleep(0.01)

    await run(Faults(close_after_s=0.3, close_code=code), then)


async def test_a_session_that_falls_silent() -> None:
    async def then(emulator: RealtimeEmulator, client: Client) -> None:
        emulator.faults.mute_after_s = 0.0
        await client.say("Bonjour.")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await client.next()
        assert emulator.sessions[0].said

    await run(Faults(), then)


async def test_a_handshake_refused_for_now(emulator: RealtimeEmulator) -> None:
    emulator.faults.refuse = 503
    with pytest.raises(InvalidStatus) as refused:
        async with dialled(emulator):
            pass
    assert refused.value.response.status_code == 503
    emulator.faults.refuse = None
    async with dialled(emulator):
        pass


async def test_a_slow_handshake(emulator: RealtimeEmulator) -> None:
    emulator.faults.handshake_delay_s = 0.2
    began = time.monotonic()
    async with dialled(emulator):
        assert time.monotonic() - began >= 0.2


async def test_a_session_grows_old() -> None:
    async with (
        RealtimeEmulator(KEY, lambda _: Brain([]), max_age_s=0.3) as emulator,
        dialled(emulator) as client,
    ):
        assert (await client.error())["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            await client.next()
        assert client.connection.close_code == 1001


# ---- spectators ----------------------------------------------------------------------------


async def test_spectators_are_told(emulator: RealtimeEmulator, client: Client) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    emulator.on_event = lambda name, fields: told.append((name, fields))
    await client.hear(FREINS, 40)
    await client.until("response.done")
    await client.send("response.cancel")
    await client.error()
    assert [name for name, _ in told] == ["model_says", "model_calls", "model_refuses"]
    assert told[0][1] == {"call_tag": 7, "text": "Je regarde."}

"""The emulator of OpenAI's HTTP API, asked by our own models and by hand."""

import asyncio
import contextlib
import io
import json
import random
import wave
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from domain.errors import ProviderError
from domain.language_model import (
    FunctionRequest,
    FunctionSpec,
    ModelDone,
    ModelMessage,
    TextPiece,
)
from providers.openai.chat import OpenAIChat
from providers.openai.compatible import Patience
from providers.openai.speech import OpenAISpeech
from providers.openai.transcription import OpenAITranscription
from sandbox.audio import quiet, stamp
from sandbox.bank import bank
from sandbox.brain import Brain
from sandbox.chat_mind import Conversation
from sandbox.http_faults import HttpFault
from sandbox.openai_http import (
    CHAT_MODEL,
    MAX_FILE_BYTES,
    SPEECH_MODEL,
    TRANSCRIPTION_MODEL,
    OpenAIHttpEmulator,
    Pace,
)
from sandbox.recogniser import audioop
from sandbox.render import render
from sandbox.scenario import load

KEY = "sk-sandbox"
QUICK = Patience(connect=0.5, first=0.4, between=0.2, total=2.0, response_bytes=4_000_000)
PATIENT = Patience(connect=2, first=10, between=10, total=10, response_bytes=100_000)
AT_ONCE = Pace(0.0, 0.0, 0.0, 1000.0)
AUTH = {"Authorization": f"Bearer {KEY}"}
SCENARIO = load("appointment")
FUNCTIONS = [
    FunctionSpec(
        "check_availability",
        "",
        {"type": "object", "properties": {"date": {}, "service": {}, "part_of_day": {}}},
    ),
    FunctionSpec(
        "book_appointment",
        "",
        {"type": "object", "properties": {"start": {}, "name": {}, "service": {}}},
    ),
    FunctionSpec("end_call", "", {"type": "object", "properties": {"reason": {}}}),
]


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIHttpEmulator]:
    conversations: list[Conversation] = []

    def brains(conversation: Conversation) -> Brain:
        conversations.append(conversation)
        return Brain(SCENARIO.rules, caller={"number": "+33639981234"})

    async with OpenAIHttpEmulator(KEY, brains, pace=AT_ONCE) as emulator:
        yield emulator


def chat(openai: OpenAIHttpEmulator) -> OpenAIChat:
    return OpenAIChat(openai.url, KEY, CHAT_MODEL, patience=QUICK)


async def said(openai: OpenAIHttpEmulator, messages: Sequence[ModelMessage]) -> list[Any]:
    async with chat(openai) as model:
        return [each async for each in model.answer(messages, FUNCTIONS)]


def text(pieces: Sequence[Any]) -> str:
    return "".join(each.text for each in pieces if isinstance(each, TextPiece))


def spoken(*clip_ids: str, until_ms: int | None = None) -> bytes:
    """As a call hands it on: stamped, quiet around it, a few samples off, 16-bit at 16 kHz."""
    line = quiet(5, 0, 15)
    for clip_id in clip_ids:
        line += stamp(bank()[clip_id].audio[: until_ms * 8 if until_ms else None], 5, 15)
        line += quiet(5, 300, 20)
    pcm, _ = audioop.ratecv(audioop.ulaw2lin(line, 2), 2, 1, 8_000, 16_000, None)
    return audioop.mul(pcm[2 * 77 :], 2, 0.7)


# --------------------------------------------------------------------------------- chat


async def test_a_scenario_is_played_over_the_wire(openai: OpenAIHttpEmulator) -> None:
    slots = [{"start": f"2030-01-08T{hour}:00:00+01:00", "spoken": f"{hour} h"} for hour in (9, 14)]
    messages = [ModelMessage("system", "Tu es Sara."), ModelMessage("assistant", "Bonjour !")]
    messages.append(ModelMessage("user", bank()["rdv_freins_mardi"].text))
    (request, done) = await said(openai, messages)
    assert isinstance(request, FunctionRequest)
    assert (request.name, json.loads(request.arguments)["date"]) == ("check_availability", "mardi")
    assert done.why == "functions"
    assert done.usage["total_tokens"] > 0
    messages.append(ModelMessage("assistant", requests=[request]))
    result = json.dumps({"status": "ok", "slots": slots})
    messages.append(ModelMessage("function", result, answers=request.id))
    offer = await said(openai, messages)
    assert text(offer) == "Je peux vous proposer 9 h ou 14 h. Lequel vous convient ?"
    assert isinstance(offer[-1], ModelDone)
    messages.append(ModelMessage("assistant", text(offer)))
    messages.append(ModelMessage("user", bank()["deuxieme_convient_marc"].text))
    assert text(await said(openai, messages)) == "Très bien. C'est à quel nom ?"
    assert openai.asked.refusals == []
    assert openai.asked.defects == []
    assert [each["said"] != "" for each in openai.asked.chats] == [False, True, True]


async def test_who_speaks_before_a_result_was_spoken_of_is_answered(
    openai: OpenAIHttpEmulator,
) -> None:
    calls = [FunctionRequest("c1", "check_availability", "{}")]
    messages = [
        ModelMessage("user", bank()["rdv_freins_mardi"].text),
        ModelMessage("assistant", requests=calls),
        ModelMessage("assistant", "Un instant."),
        ModelMessage("function", '{"status":"ok","slots":[]}', answers="c1"),
    ]
    assert await said(openai, messages)
    messages.append(ModelMessage("user", bank()["change_avis_jeudi"].text))
    assert await said(openai, messages)
    messages.append(ModelMessage("assistant", "Je cherche"))  # … and broke off
    assert await said(openai, messages)
    assert openai.asked.refusals == []


async def test_what_no_rule_is_for_isnt_understood(openai: OpenAIHttpEmulator) -> None:
    assert "pas bien compris" in text(await said(openai, [ModelMessage("user", "Blabla")]))


async def test_words_that_the_operator_quotes_are_said(openai: OpenAIHttpEmulator) -> None:
    order = [ModelMessage("user", "…"), ModelMessage("system", "Dis « Vous êtes là ? »")]
    assert text(await said(openai, order)).endswith("Vous êtes là ?")


async def test_without_streaming(openai: OpenAIHttpEmulator) -> None:
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Blabla"}]}
    answer = await post(openai, "chat/completions", body)
    assert answer.status_code == 200
    (choice,) = answer.json()["choices"]
    assert "pas bien compris" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"


async def test_a_server_that_refuses_a_field_is_asked_without(openai: OpenAIHttpEmulator) -> None:
    strict = OpenAIHttpEmulator(
        KEY, lambda _: Brain(()), pace=AT_ONCE, unknown_fields=frozenset({"stream_options"})
    )
    async with strict:
        assert text(await said(strict, [ModelMessage("user", "Blabla")]))
        assert len(strict.asked.refusals) == 1


async def post(openai: OpenAIHttpEmulator, path: str, body: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(f"{openai.url}/{path}", json=body, headers={**AUTH, **headers})


CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
HELLO = {"role": "user", "content": "Bonjour"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "{}"}
SAID = {"role": "assistant", "content": "Bonjour !"}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "gpt-2"}, 404, "model_not_found"),
        ({"messages": []}, 400, "empty_array"),
        ({"messages": [{"role": "caller", "content": "x"}]}, 400, "invalid_value"),
        ({"messages": [{"role": "user", "content": None}]}, 400, "invalid_type"),
        ({"messages": [HELLO, CALLED]}, 400, None),
        ({"messages": [HELLO, CALLED, HELLO]}, 400, None),
        ({"messages": [RESULT]}, 400, None),
        ({"messages": [HELLO, CALLED, RESULT, HELLO]}, 400, "3230"),
        ({"messages": [HELLO, SAID]}, 400, "3230"),
        ({"stream_options": {"include_usage": True}}, 400, None),
        ({"tools": []}, 400, None),
        (
            {"tools": [{"type": "function", "function": {"name": "é"}}]},
            400,
            "invalid_value",
        ),
        ({"surprise": 1}, 400, None),
    ],
)
async def test_what_chat_refuses(
    openai: OpenAIHttpEmulator, change: Any, status: int, code: str | None
) -> None:
    body = {"model": CHAT_MODEL, "messages": [HELLO], **change}
    answer = await post(openai, "chat/completions", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(openai.asked.refusals) == 1


async def test_a_wrong_key_and_a_wrong_address(openai: OpenAIHttpEmulator) -> None:
    body = {"model": CHAT_MODEL, "messages": [HELLO]}
    answer = await post(openai, "chat/completions", body, Authorization="Bearer sk-other")
    assert answer.status_code == 401
    assert (await post(openai, "completions", body)).status_code == 404
    async with httpx.AsyncClient(headers=AUTH) as http:
        models = (await http.get(f"{openai.url}/models")).json()
    assert CHAT_MODEL in {each["id"] for each in models["data"]}


# ----------------------------------------------------------------------- transcriptions


def ears(openai: OpenAIHttpEmulator) -> OpenAITranscription:
    return OpenAITranscription(openai.url, KEY, TRANSCRIPTION_MODEL, patience=PATIENT)


async def test_callers_are_understood_through_the_telephone(openai: OpenAIHttpEmulator) -> None:
    dice = random.Random(7)
    callers = [each for each in bank().values() if each.role == "caller"]
    async with ears(openai) as stt:
        for clip in dice.sample(callers, 12):
            assert await stt.transcribe(spoken(clip.id), 16_000, "fr") == clip.text
        pair = spoken("rdv_demain_14h", "nom_marc_durand")
        words = [bank()[each].text for each in ("rdv_demain_14h", "nom_marc_durand")]
        assert await stt.transcribe(pair, 16_000, "fr") == " ".join(words)
        assert await stt.transcribe(bytes(32_000), 16_000, "fr") == ""
    assert len(openai.asked.transcriptions) == 14


async def test_a_sentence_that_was_cut_off_is_half_a_sentence(openai: OpenAIHttpEmulator) -> None:
    whole = bank()["rdv_freins_mardi"].text
    async with ears(openai) as stt:
        half = await stt.transcribe(spoken("rdv_freins_mardi", until_ms=1500), 16_000, "fr")
    assert whole.startswith(half)
    assert 0.3 < len(half) / len(whole) < 0.7


def wav(pcm: bytes, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(pcm)
    return file.getvalue()


GOOD = wav(bytes(32_000))
ULAW_WAV = GOOD[:20] + b"\x07\x00" + GOOD[22:]


@pytest.mark.parametrize(
    ("file", "fields", "status"),
    [
        (("turn.wav", GOOD), {}, 200),
        (("turn.wav", GOOD), {"response_format": "text"}, 200),
        (("turn", GOOD), {}, 400),
        (("turn.ulaw", b"\xff" * 8000), {}, 400),
        (("turn.wav", b"\xff" * 8000), {}, 400),
        (("turn.wav", ULAW_WAV), {}, 400),
        (("turn.wav", wav(bytes(32_000), 2)), {}, 400),
        (("turn.wav", wav(bytes(3_000))), {}, 400),
        (("turn.wav", GOOD + bytes(MAX_FILE_BYTES)), {}, 413),
        (("turn.wav", GOOD), {"model": "whisper-1"}, 404),
        (("turn.wav", GOOD), {"language": "fr-FR"}, 400),
        (("turn.wav", GOOD), {"response_format": "srt"}, 400),
        (None, {}, 400),
    ],
)
async def test_what_the_transcriber_takes(
    openai: OpenAIHttpEmulator, file: Any, fields: dict[str, str], status: int
) -> None:
    data = {"model": TRANSCRIPTION_MODEL, **fields}
    files = {"file": file} if file else {"other": ("x.txt", b"x")}
    async with httpx.AsyncClient(headers=AUTH) as http:
        url = f"{openai.url}/audio/transcriptions"
        assert (await http.post(url, data=data, files=files)).status_code == status


# ------------------------------------------------------------------------------- speech


async def test_the_agents_voice(openai: OpenAIHttpEmulator) -> None:
    told: list[tuple[str, bytes]] = []
    openai.published = lambda text, audio: told.append((text, audio))
    sentence = "Très bien. C'est à quel nom ?"
    async with OpenAISpeech(openai.url, KEY, SPEECH_MODEL, patience=QUICK) as tts:
        pieces = [each async for each in tts.speak(sentence, "marin")]
    assert all(len(each) % 2 == 0 for each in pieces)
    assert told == [(sentence, render(sentence))]
    assert abs(len(b"".join(pieces)) - 6 * len(render(sentence))) <= 6
    assert openai.asked.speeches == [(sentence, "marin")]


async def test_speech_as_a_wav(openai: OpenAIHttpEmulator) -> None:
    body = {"model": SPEECH_MODEL, "input": "Bonjour.", "voice": "cedar"}
    answer = await post(openai, "audio/speech", {**body, "response_format": "wav"})
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "tts-1"}, 404),
        ({"voice": "zoe"}, 400),
        ({"input": ""}, 400),
        ({"input": "a" * 4097}, 400),
        ({"response_format": "mp3"}, 400),
        ({"surprise": 1}, 400),
    ],
)
async def test_what_the_voice_refuses(openai: OpenAIHttpEmulator, change: Any, status: int) -> None:
    body = {"model": SPEECH_MODEL, "input": "Oui.", "voice": "marin", "response_format": "pcm"}
    assert (await post(openai, "audio/speech", {**body, **change})).status_code == status


# ------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (HttpFault("refuse", status=429, code="rate_limit_exceeded"), "rate_limit_exceeded"),
        (HttpFault("refuse", status=500), "server_error"),
        (HttpFault("hang"), "first_byte"),
        (HttpFault("late", seconds=1.0), "first_byte"),
        (HttpFault("brown_out"), "first_byte"),
        (HttpFault("stall", at=3), "stalled"),
        (HttpFault("half_dead", at=3), "stalled"),
        (HttpFault("close", at=3), "transport"),
        (HttpFault("end", at=3), "cut"),
        (HttpFault("garbage"), "unexpected_answer"),
    ],
)
async def test_faults_of_a_chat(openai: OpenAIHttpEmulator, fault: HttpFault, code: str) -> None:
    openai.faults.append(fault)
    # The vendor's connection takes garbage for an unreadable line or for an answer without end.
    accepted = {code, "cut"} if fault.kind == "garbage" else {code}
    with pytest.raises(ProviderError) as caught:
        await said(openai, [ModelMessage("user", "Blabla")])
    assert caught.value.code in accepted
    assert caught.value.retryable


async def test_faults_of_some_requests_of_one_endpoint(openai: OpenAIHttpEmulator) -> None:
    openai.faults.append(HttpFault("refuse", "chat", frozenset({2})))
    hello = [ModelMessage("user", "Blabla")]
    assert text(await said(openai, hello))
    with pytest.raises(ProviderError):
        await said(openai, hello)
    assert text(await said(openai, hello))
    openai.faults.append(HttpFault("hang", "speech"))
    async with ears(openai) as stt:
        assert await stt.transcribe(spoken("oui_marc"), 16_000, "fr") == "Oui."


async def test_pieces_twice_or_in_the_wrong_order(openai: OpenAIHttpEmulator) -> None:
    hello = [ModelMessage("user", "Blabla")]
    once = text(await said(openai, hello))
    openai.faults.append(HttpFault("out_of_order", at=2))
    swapped = text(await said(openai, hello))
    assert swapped != once
    assert sorted("".join(swapped.split())) == sorted("".join(once.split()))
    openai.faults[:] = [HttpFault("duplicate", at=1)]
    twice = await said(openai, hello)
    assert len(text(twice)) == 2 * len(once)
    assert [type(each) for each in twice].count(ModelDone) == 1


async def test_functions_asked_for_in_pieces_that_come_twice_are_asked_for_once(
    openai: OpenAIHttpEmulator,
) -> None:
    openai.faults.append(HttpFault("duplicate"))
    got = await said(openai, [ModelMessage("user", bank()["rdv_freins_mardi"].text)])
    assert [each.name for each in got if isinstance(each, FunctionRequest)] == [
        "check_availability"
    ]


@pytest.mark.parametrize(
    ("fault", "code"), [("stall", "stalled"), ("close", "transport"), ("brown_out", "first_byte")]
)
async def test_faults_of_a_voice(openai: OpenAIHttpEmulator, fault: Any, code: str) -> None:
    openai.faults.append(HttpFault(fault, "speech", at=2))
    async with OpenAISpeech(openai.url, KEY, SPEECH_MODEL, patience=QUICK) as tts:
        with pytest.raises(ProviderError) as caught:
            async for _ in tts.speak("Bonjour, vous êtes bien au garage.", "marin"):
                pass
    assert caught.value.code == code


async def test_who_leaves_ends_the_answer(openai: OpenAIHttpEmulator) -> None:
    openai.faults.append(HttpFault("stall", at=2))
    async with chat(openai) as model:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                async for _ in model.answer([ModelMessage("user", "Blabla")]):
                    pass
        openai.faults.clear()
        assert text([each async for each in model.answer([ModelMessage("user", "Blabla")])])


@pytest.mark.parametrize("values", [{"kind": "explode"}, {"kind": "hang", "endpoint": "fax"}])
def test_a_fault_that_doesnt_exist(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        HttpFault.of(values)

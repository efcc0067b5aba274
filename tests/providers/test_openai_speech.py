"""Text to speech over real sockets: whole samples of one rate, whatever arrives."""

import asyncio
import contextlib
import io
import logging
import struct
import wave

import pytest

from domain.errors import ProviderError
from providers.openai.compatible import Patience
from providers.openai.speech import MAX_CHARACTERS, OpenAISpeech
from providers.openai.speech_stream import SpeechStream
from tests.fakes.dripping_http import (
    CUT,
    END,
    SILENCE,
    DrippingHttp,
    Step,
    chunk,
    dripping,
    head,
)
from tests.fakes.scripted_http import answer as whole

QUICK = Patience(connect=0.5, first=0.3, between=0.2, total=1.0, response_bytes=200_000)
PCM = bytes(range(1, 201)) * 10
HEAD = head(content_type="audio/pcm")


def mouth(server: DrippingHttp) -> OpenAISpeech:
    return OpenAISpeech(server.url, "sk-secret", "kokoro", patience=QUICK)


def wav(pcm: bytes, rate: int = 24_000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


async def spoken(*steps: Step, text: str = "Bonjour.") -> list[bytes]:
    async with dripping([HEAD, *steps]) as server, mouth(server) as tts:
        return [each async for each in tts.speak(text, "ff_siwis")]


async def test_what_is_sent() -> None:
    async with dripping([HEAD, chunk(PCM), END]) as server, mouth(server) as tts:
        assert (tts.name, tts.rate) == ("kokoro", 24_000)
        assert b"".join([each async for each in tts.speak(" Bonjour. ", "ff_siwis")]) == PCM
        (request,) = server.got
        assert (request.method, request.target) == ("POST", "/v1/audio/speech")
        assert request.headers["authorization"] == "Bearer sk-secret"
        assert server.body() == {
            "model": "kokoro",
            "input": "Bonjour.",
            "voice": "ff_siwis",
            "response_format": "pcm",
        }


async def test_pieces_come_as_they_are_made_and_hold_whole_samples() -> None:
    got = await spoken(chunk(PCM[:101]), 0.03, chunk(PCM[101:102]), 0.03, chunk(PCM[102:]), END)
    assert b"".join(got) == PCM
    assert len(got) == 3
    assert all(len(each) % 2 == 0 for each in got)


async def test_closing_the_iterator_closes_the_connection_at_once() -> None:
    async with dripping([HEAD, chunk(PCM), SILENCE]) as server, mouth(server) as tts:
        speech = tts.speak("Bonjour.", "x")
        assert await anext(speech) == PCM
        await speech.aclose()
        await asyncio.wait_for(server.gone.wait(), 0.1)


async def test_a_long_text_takes_several_requests() -> None:
    text = "Bonjour" + " …" * 2046 + " madame." + " …" * 100
    async with dripping([HEAD, chunk(PCM), END]) as server, mouth(server) as tts:
        assert b"".join([each async for each in tts.speak(text, "x")]) == PCM * 2
        inputs = [server.body(at)["input"] for at in range(2)]
        assert all(len(each) <= MAX_CHARACTERS for each in inputs)
        assert " ".join(inputs).split() == text.split()


async def test_a_sentence_that_ends_before_it_can_have_been_said_is_cut() -> None:
    """Of samples without a header nobody has said how many they are."""
    sentence = "Il me reste une place à quatorze heures."  # 32 letters
    no_error = contextlib.nullcontext()
    for milliseconds in (600, 700):
        sound = bytes(24 * milliseconds * 2)
        async with dripping([HEAD, chunk(sound), END]) as server, mouth(server) as tts:
            with pytest.raises(ProviderError) if milliseconds < 640 else no_error as cut:
                assert b"".join([each async for each in tts.speak(sentence, "x")]) == sound
        assert cut is None or cut.value.code == "cut"


async def test_what_cant_be_said_isnt_sent() -> None:
    async with dripping([HEAD, chunk(PCM), END]) as server, mouth(server) as tts:
        assert [each async for each in tts.speak(" … !\n", "x")] == []
        assert server.got == []


async def test_a_wav_is_taken_for_what_it_is() -> None:
    file = wav(PCM)
    assert b"".join(await spoken(chunk(file), END)) == PCM
    drops = [step for at in range(0, len(file), 7) for step in (chunk(file[at : at + 7]),)]
    assert b"".join(await spoken(*drops, END)) == PCM
    counts_itself = file[:40] + struct.pack("<I", len(file)) + file[44:]
    assert b"".join(await spoken(chunk(counts_itself), END)) == PCM


async def test_a_wav_of_another_rate_is_resampled() -> None:
    for rate in (16_000, 22_050, 48_000):
        got = b"".join(await spoken(chunk(wav(PCM, rate)), END))
        assert abs(len(got) / 2 - len(PCM) / 2 * 24_000 / rate) <= 2


@pytest.mark.parametrize(
    ("content_type", "rate"),
    [
        ("audio/pcm", 24_000),
        ("audio/pcm;rate=16000", 16_000),
        ('Audio/L16; codec=pcm; rate="22050"; channels=1', 22_050),
        ("application/octet-stream", 24_000),
    ],
)
async def test_the_rate_that_an_answers_type_names(content_type: str, rate: int) -> None:
    async with (
        dripping([head(content_type=content_type), chunk(PCM), END]) as server,
        mouth(server) as tts,
    ):
        got = b"".join([each async for each in tts.speak("Bonjour.", "x")])
    assert abs(len(got) / 2 - len(PCM) / 2 * 24_000 / rate) <= 2


async def test_a_rate_and_a_form_of_its_own() -> None:
    async with (
        dripping([HEAD, chunk(PCM), END]) as server,
        OpenAISpeech(server.url, "", "piper", form="wav", rate=16_000, patience=QUICK) as tts,
    ):
        assert tts.rate == 16_000
        assert b"".join([each async for each in tts.speak("Bonjour.", "x")]) == PCM
        assert server.body()["response_format"] == "wav"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF - 36])
def test_a_wav_whose_length_nobody_knew(size: int) -> None:
    file = bytearray(wav(PCM))
    struct.pack_into("<I", file, 40, size)
    stream = SpeechStream(24_000)
    assert stream.feed(bytes(file[:1000])) + stream.feed(bytes(file[1000:])) == PCM
    assert not stream.is_cut


def test_what_stands_before_and_behind_a_wavs_samples_isnt_spoken() -> None:
    file = wav(PCM)
    listed = file[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + file[12:] + b"LIST\x04\0\0\0ab"
    stream = SpeechStream(24_000)
    assert b"".join(stream.feed(listed[at : at + 5]) for at in range(0, len(listed), 5)) == PCM


#: Of MPEG-1 at 128 kbit/s and 44.1 kHz, of MPEG-2 at 64 kbit/s and 24 kHz: header, bytes a frame.
MP3 = [(b"\xff\xfb\x90\x64", 417), (b"\xff\xf3\x84\xc4", 192)]


@pytest.mark.parametrize(("header", "size"), MP3)
@pytest.mark.parametrize("step", [3, 5000])
def test_an_mp3_without_a_label_is_told_from_samples_that_look_like_one(
    header: bytes, size: int, step: int
) -> None:
    def fed(data: bytes) -> bytes:
        stream = SpeechStream(24_000)
        return b"".join(stream.feed(data[at : at + step]) for at in range(0, len(data), step))

    with pytest.raises(ValueError, match="MP3"):
        fed((header + bytes(size - 4)) * 3)
    assert fed(header + PCM) == header + PCM


@pytest.mark.parametrize(
    "data",
    [
        wav(PCM, channels=2),
        wav(PCM, rate=4_000),
        wav(PCM)[:12] + wav(PCM)[36:],
        wav(PCM)[:12] + b"LIST\xff\xff\xff\x7f",
        b"ID3\x04" + PCM,
        b"OggS" + PCM,
        b'{"error":"x"}',
        b"<html>",
    ],
)
def test_what_is_no_speech(data: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        SpeechStream(24_000).feed(data)


@pytest.mark.parametrize(
    ("steps", "code", "status"),
    [
        pytest.param([SILENCE], "first_byte", None, id="hangs"),
        pytest.param([HEAD, SILENCE], "first_byte", None, id="headers, then nothing"),
        pytest.param([HEAD, chunk(PCM), SILENCE], "stalled", None, id="stalls"),
        pytest.param([HEAD, *[chunk(PCM), 0.05] * 40, SILENCE], "timeout", None, id="no end"),
        pytest.param([HEAD, chunk(PCM), CUT], "transport", None, id="cut"),
        pytest.param([CUT], "transport", None, id="cut before"),
        pytest.param([HEAD, END], "unexpected_answer", None, id="nothing"),
        pytest.param([HEAD, *[chunk(PCM)] * 200, SILENCE], "too_large", None, id="too much"),
        pytest.param(
            [whole(200, {"error": "x"}, {"Content-Type": "application/json"})],
            "unexpected_answer",
            None,
            id="json",
        ),
        pytest.param(
            [head(content_type="audio/mpeg"), chunk(PCM), END], "unexpected_answer", None, id="mp3"
        ),
        pytest.param(
            [head(content_type="audio/pcm;rate=400"), chunk(PCM), END],
            "unexpected_answer",
            None,
            id="no rate of speech",
        ),
        pytest.param(
            [head(content_type="audio/L16;rate=16000;channels=2"), chunk(PCM), END],
            "unexpected_answer",
            None,
            id="stereo",
        ),
        pytest.param([HEAD, chunk(wav(PCM)[:-1000]), END], "cut", None, id="a WAV without its end"),
        pytest.param([whole(500, b"")], "", 500, id="500"),
        pytest.param(
            [whole(429, {"error": {"code": "rate_limit_exceeded"}})],
            "rate_limit_exceeded",
            429,
            id="429",
        ),
    ],
)
async def test_a_server_that_fails(steps: list[Step], code: str, status: int | None) -> None:
    async with dripping(steps) as server, mouth(server) as tts:
        with pytest.raises(ProviderError) as caught:
            async for _ in tts.speak("Bonjour.", "x"):
                pass
    got = caught.value
    assert (got.vendor, got.code, got.retryable, got.status) == ("tts", code, True, status)


async def test_what_is_said_isnt_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with contextlib.suppress(ProviderError):
        await spoken(CUT, text="Madame Martin")
    written = " ".join(record.getMessage() for record in caplog.records)
    assert not [each for each in ("Martin", "sk-secret", "127.0.0.1") if each in written]

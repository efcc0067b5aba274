"""Speech to text over real sockets."""

import asyncio
import io
import logging
import wave
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import pytest

from domain.errors import ProviderError
from providers.openai.compatible import Patience
from providers.openai.transcription import MAX_FILE_BYTES, OpenAITranscription
from tests.fakes.dripping_http import CUT, SILENCE, DrippingHttp, Step, dripping
from tests.fakes.scripted_http import Got
from tests.fakes.scripted_http import answer as whole

QUICK = Patience(connect=0.5, first=0.3, between=0.3, total=0.3, response_bytes=2_000)
SECOND = b"\x01\x00" * 16_000


def ears(server: DrippingHttp) -> OpenAITranscription:
    return OpenAITranscription(server.url, "sk-secret", "whisper-large-v3", patience=QUICK)


def json_answer(body: Any) -> bytes:
    return whole(200, body, {"Content-Type": "application/json"})


def fields(request: Got) -> dict[str, Any]:
    """A multipart form, read by the standard library and not by the package that wrote it."""
    kind = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(kind + request.body, policy=HTTP)
    return {
        str(part.get_param("name", header="content-disposition")): part
        for part in message.iter_parts()
    }


async def test_a_turn_is_sent_as_a_wav_file() -> None:
    async with dripping([json_answer({"text": " Bonjour. "})]) as server, ears(server) as stt:
        assert stt.name == "whisper-large-v3"
        assert await stt.transcribe(SECOND, 16_000, "fr", "Garage Martin") == "Bonjour."
        (request,) = server.got
        assert (request.method, request.target) == ("POST", "/v1/audio/transcriptions")
        assert request.headers["authorization"] == "Bearer sk-secret"
        form = fields(request)
        file = form.pop("file")
        assert {name: part.get_content().strip() for name, part in form.items()} == {
            "model": "whisper-large-v3",
            "language": "fr",
            "prompt": "Garage Martin",
            "response_format": "json",
        }
        assert (file.get_filename(), file.get_content_type()) == ("turn.wav", "audio/wav")
        with wave.open(io.BytesIO(file.get_content())) as wav:
            assert wav.getparams()[:4] == (1, 2, 16_000, 16_000)
            assert wav.readframes(16_000) == SECOND


async def test_what_isnt_known_isnt_sent() -> None:
    async with dripping([json_answer({"text": "x"})]) as server, ears(server) as stt:
        await stt.transcribe(SECOND, 16_000, "")
        assert set(fields(server.got[0])) == {"file", "model", "response_format"}


async def test_silence_is_no_text() -> None:
    async with dripping([json_answer({"text": " \n"})]) as server, ears(server) as stt:
        assert await stt.transcribe(SECOND, 16_000, "fr") == ""


async def test_what_is_too_short_for_a_word_isnt_sent() -> None:
    async with dripping([json_answer({"text": "x"})]) as server, ears(server) as stt:
        assert await stt.transcribe(SECOND[:3_198], 16_000, "fr") == ""
        assert server.got == []
        assert await stt.transcribe(SECOND[:3_200], 16_000, "fr") == "x"


async def test_what_no_server_takes_isnt_sent() -> None:
    async with dripping([json_answer({"text": "x"})]) as server, ears(server) as stt:
        with pytest.raises(ValueError, match="half a sample"):
            await stt.transcribe(SECOND[:-1], 16_000, "fr")
        with pytest.raises(ValueError, match="may hold"):
            await stt.transcribe(bytes(MAX_FILE_BYTES), 16_000, "fr")
        assert server.got == []


@pytest.mark.parametrize(
    ("step", "code", "retryable", "status"),
    [
        (SILENCE, "first_byte", True, None),
        (CUT, "transport", True, None),
        (json_answer({"error": "x"}), "unexpected_answer", True, None),
        (json_answer({"text": 7}), "unexpected_answer", True, None),
        (json_answer([1]), "unexpected_answer", True, None),
        (json_answer(b"{half"), "unexpected_answer", True, None),
        (whole(200, b"<html>", {"Content-Type": "text/html"}), "unexpected_answer", True, None),
        (json_answer({"text": "x" * 3_000}), "too_large", True, None),
        (whole(413, {"error": {"message": "Martin"}}), "", False, 413),
        (whole(401, {"error": {"code": "invalid_api_key"}}), "invalid_api_key", False, 401),
        (whole(503, b"busy"), "", True, 503),
    ],
)
async def test_a_server_that_fails(
    step: Step, code: str, retryable: bool, status: int | None
) -> None:
    async with dripping([step]) as server, ears(server) as stt:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ProviderError) as caught:
            await stt.transcribe(SECOND, 16_000, "fr")
        assert loop.time() - began < 0.9
    got = caught.value
    assert (got.vendor, got.code, got.retryable, got.status) == ("stt", code, retryable, status)
    assert "Martin" not in str(got)


async def test_a_cancelled_turn_closes_the_connection() -> None:
    async with dripping([SILENCE]) as server, ears(server) as stt:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stt.transcribe(SECOND, 16_000, "fr")
        await asyncio.wait_for(server.gone.wait(), 0.2)


async def test_what_was_said_isnt_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with dripping([json_answer({"text": "Madame Martin"})]) as server, ears(server) as stt:
        await stt.transcribe(SECOND, 16_000, "fr", "Dupont")
    written = " ".join(record.getMessage() for record in caplog.records)
    assert not [each for each in ("Martin", "Dupont", "sk-secret", "127.0.0.1") if each in written]

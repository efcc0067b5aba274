"""The doctor asks the cascade's models for a word each."""

from typing import Any

import pytest

from server.doctor_findings import Finding
from server.doctor_models import SLOW_SECONDS, examine_models
from server.models import text_to_speech
from server.settings import Settings
from tests.fakes.clock import FakeClock
from tests.fakes.dripping_http import DONE, END, DrippingHttp, Step, chunk, dripping, event, head
from tests.fakes.scripted_http import answer as whole

HEARD = [whole(200, {"text": ""}, {"Content-Type": "application/json"})]
SAID = [
    head(),
    event({"choices": [{"delta": {"content": "Bonjour"}}]}),
    event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
    DONE,
]
SPOKEN = [head(content_type="audio/pcm"), chunk(b"\1\0" * 100), END]


async def findings(server: DrippingHttp | None, **values: Any) -> list[Finding]:
    url = server.url if server else "http://127.0.0.1:1/v1"
    given = {f"{kind}_base_url": url for kind in ("stt", "llm", "tts")}
    given |= {"stt_model": "whisper", "llm_model": "mistral", "tts_model": "kokoro"}
    settings = Settings.of(**{**given, "tts_voice_female": "ff_siwis", **values})
    return [each async for each in examine_models(settings, FakeClock())]


async def test_all_answer() -> None:
    async with dripping(HEARD, SAID, SPOKEN) as server:
        more = {"tts_voice_male": "fm_jean", "tts_format": "wav", "tts_sample_rate": 16_000}
        found = await findings(server, llm_api_key="sk-llm", **more)
        assert [each.level for each in found] == ["ok"] * 3
        assert [each.what.split()[1] for each in found] == ["whisper", "mistral", "kokoro"]
        assert server.got[1].headers["authorization"] == "Bearer sk-llm"
        assert [server.body(at)["voice"] for at in (2, 3)] == ["ff_siwis", "fm_jean"]
        assert server.body(2)["response_format"] == "wav"


async def test_what_isnt_set_isnt_asked() -> None:
    settings = Settings.of(openai_api_key="sk-openai")
    assert [each async for each in examine_models(settings, FakeClock())] == []


async def test_nobody_there() -> None:
    found = await findings(None)
    assert [each.level for each in found] == ["fail"] * 3
    assert ["STT_BASE_URL" in found[0].cure, "TTS_BASE_URL" in found[2].cure] == [True, True]


@pytest.mark.parametrize(
    ("status", "cure"), [(401, "LLM_API_KEY"), (404, "LLM_MODEL"), (500, "LLM_BASE_URL")]
)
async def test_a_refusal_and_its_cure(status: int, cure: str) -> None:
    refusal: list[Step] = [whole(status, {"error": {"message": "sk-llm is wrong"}})]
    async with dripping(HEARD, refusal, SPOKEN) as server:
        found = await findings(server, llm_api_key="sk-llm")
    assert [each.level for each in found] == ["ok", "fail", "ok"]
    assert cure in found[1].cure
    assert "sk-llm" not in str(found)


def thought(*texts: str) -> list[Step]:
    words = [event({"choices": [{"delta": {"content": each}}]}) for each in texts]
    return [head(), *words, *SAID[2:]]


async def test_a_model_that_thinks_aloud() -> None:
    fields = '{"chat_template_kwargs":{"enable_thinking":false}}'
    once = (HEARD, thought("Un mot.", "</think>", "Bonjour"), SPOKEN)
    async with dripping(*once, *once) as server:
        (_, found, _) = await findings(server)
        assert found.level == "fail"
        assert "LLM_THINKING" in found.cure
        (_, found, _) = await findings(server, llm_thinking="open", llm_request_fields=fields)
        assert found.level == "ok"
        assert server.body(4)["chat_template_kwargs"] == {"enable_thinking": False}
    async with dripping(HEARD, SAID, SPOKEN) as server:  # it isn't what the setting says
        (_, found, _) = await findings(server, llm_thinking="open")
        assert found.level == "fail"
        assert "LLM_THINKING" in found.cure


async def test_a_voice_in_another_format() -> None:
    mp3: list[Step] = [head(content_type="audio/mpeg"), chunk(b"ID3"), END]
    async with dripping(HEARD, SAID, mp3) as server:
        (_, _, found) = await findings(server)
    assert found.level == "fail"
    assert "audio/mpeg" in found.what
    assert "TTS_FORMAT" in found.cure


async def test_the_rate_of_a_voice() -> None:
    values = {"tts_base_url": "http://127.0.0.1:1/v1", "tts_model": "m", "tts_voice_female": "f"}
    for given, rate in (({}, 24_000), ({"tts_sample_rate": 22_050}, 22_050)):
        mouth = text_to_speech(Settings.of(**values, **given))
        assert mouth is not None
        async with mouth:
            assert mouth.rate == rate


async def test_a_slow_one() -> None:
    clock = FakeClock()

    class Slow(FakeClock):
        def monotonic(self) -> float:
            clock.advance(SLOW_SECONDS + 0.1)
            return clock.monotonic()

    async with dripping(HEARD) as server:
        settings = Settings.of(stt_base_url=server.url, stt_model="whisper")
        (found,) = [each async for each in examine_models(settings, Slow())]
    assert (found.level, "1100 ms" in found.what) == ("warn", True)

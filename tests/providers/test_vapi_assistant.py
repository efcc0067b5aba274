"""A tenant's configuration as Vapi's assistant: within its limits, for any tenant there may be."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agent import SECTORS
from domain.errors import OperatorError
from domain.language_model import FunctionSpec
from domain.messages import text
from domain.tenant import Tenant
from domain.text_defaults import LANGUAGES
from providers.vapi.assistant import (
    DEPLOYMENT,
    TENANT,
    Blueprint,
    Choices,
    assistant,
    belongs_to,
    digest,
    transcriber,
    voice,
)
from sandbox.vapi_schema import check_assistant
from server.vapi_assistants import Plan, blueprint
from voice.functions.runner import FunctionRunner

CHOICES = Choices(
    "openai:gpt-5.4-mini",
    "deepgram:nova-3",
    {"female": "azure:fr-FR-DeniseNeural", "male": "azure:fr-FR-HenriNeural"},
)
PLAN = Plan(CHOICES, "https://voice.example.fr", "s3cret", 900.0, FunctionRunner().specs)
BLUEPRINT = Blueprint(
    tenant_id="t1",
    deployment_id="d1",
    company="Garage du Port",
    first_message="Bonjour.",
    instructions="Appelle end_call. {{ about_call }}",
    functions=(
        FunctionSpec("take_message", "Prend un message.", {"type": "object", "properties": {}}),
        FunctionSpec("end_call", "Termine.", {"type": "object", "properties": {}}),
    ),
    language="fr-FR",
    gender="female",
    public_url="https://voice.example.fr",
    secret="s3cret",
    seconds=900.0,
)


@given(
    name=st.text(min_size=1, max_size=200),
    sector=st.sampled_from(SECTORS),
    locale=st.sampled_from(["fr-FR", "en-GB", "de-DE", ""]),
    sara=st.dictionaries(
        st.sampled_from(["assistantName", "customInstructions", "welcomeMessage", "voice"]),
        st.text(max_size=400) | st.none(),
    ),
    knows=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_vapi_takes_the_assistant_of_any_tenant(
    name: str, sector: str, locale: str, sara: dict[str, Any], knows: bool
) -> None:
    tenant = Tenant("t1", name, "0001", locale=locale, sector=sector)
    config = {"sara": sara, "transferNumber": "+33639980001"}
    made = blueprint(PLAN, "d1", tenant, config, has_knowledge=knows, has_texts=knows)
    body = assistant(made, CHOICES)
    check_assistant(body)
    assert len(body["name"].encode("utf-16-le")) <= 80
    assert body == assistant(made, CHOICES)
    content = body["model"]["messages"][0]["content"]
    # Nothing of a tenant's becomes a variable of Vapi's.
    assert content.count("{{") == content.count("{{ about_call }}") == 1
    assert "{{" not in body["firstMessage"]


@pytest.mark.parametrize(
    "change",
    [
        {"first_message": "Bonsoir."},
        {"instructions": "Autre."},
        {"functions": ()},
        {"secret": "another"},
        {"public_url": "https://other.example.fr"},
        {"seconds": 1200.0},
        {"gender": "male"},
        {"language": "en-GB"},
    ],
)
def test_whatever_changes_is_seen(change: dict[str, Any]) -> None:
    before = digest(BLUEPRINT, CHOICES)
    assert digest(replace(BLUEPRINT), CHOICES) == before
    assert digest(replace(BLUEPRINT, **change), CHOICES) != before
    assert digest(BLUEPRINT, replace(CHOICES, model="openai:another")) != before


def test_vapis_own_tool_ends_the_call() -> None:
    body = assistant(BLUEPRINT, CHOICES)
    assert [each["type"] for each in body["model"]["tools"]] == ["function", "endCall"]
    assert body["model"]["messages"][0]["content"] == "Appelle endCall. {{ about_call }}"


def test_each_function_tells_whose_call_it_is() -> None:
    tool = assistant(BLUEPRINT, CHOICES)["model"]["tools"][0]
    assert {each["key"]: each["value"] for each in tool["parameters"]} == {
        "_tenant": "t1",
        "_call": "{{ call.id }}",
        "_call_id": "{{ call_id }}",
        "_call_sid": "{{ call_sid }}",
    }
    assert tool["server"]["url"] == "https://voice.example.fr/api/vapi/functions"
    assert tool["server"]["headers"] == {"X-Vapi-Secret": "s3cret"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("gender", ["female", "male"])
def test_each_language_has_voices_of_its_own(language: str, gender: str) -> None:
    nobodys = replace(CHOICES, voices={"female": None, "male": "11labs:abc"})
    body = assistant(replace(BLUEPRINT, language=language, gender=gender), nobodys)
    check_assistant(body)
    if gender == "male":  # the operator's choice
        assert body["voice"]["voiceId"] == "abc"
    else:
        assert body["voice"]["voiceId"].startswith(f"{language}-")
    assert body["transcriber"]["language"] == language
    assert body["model"]["tools"][0]["messages"][0]["content"] == text(language, "filler_1")


@pytest.mark.parametrize("language", ["fr-FR", "en-GB"])
@pytest.mark.parametrize(
    ("transcribes", "speaks"),
    [
        ("11labs:scribe_v2_realtime", "11labs:abc:eleven_flash_v2_5"),
        ("assembly-ai", "azure:fr-FR-DeniseNeural"),
        ("azure", "cartesia:abc:sonic-3"),
        ("cartesia:ink-2", "deepgram:luna:aura-2"),
        ("deepgram:nova-3", "hume:abc:octave2"),
        ("gladia:solaria-1", "inworld:abc"),
        ("google:gemini-2.5-flash", "lmnt:abc"),
        ("openai:gpt-4o-transcribe", "minimax:abc"),
        ("soniox:stt-rt-v5", "neuphonic:abc:neu_hq"),
        ("speechmatics", "openai:marin:gpt-4o-mini-tts"),
        ("talkscriber:whisper", "playht:abc:PlayDialog"),
        ("vapi", "rime-ai:abc:arcana"),
        ("xai", "sesame:abc:csm-1b"),
        ("xai:default", "vapi:Clara"),
        ("xai:default", "xai:eve"),
    ],
)
def test_vapi_takes_each_vendors_voice_and_transcriber(
    language: str, transcribes: str, speaks: str
) -> None:
    choices = replace(CHOICES, transcriber=transcribes, voices={"female": speaks})
    check_assistant(assistant(replace(BLUEPRINT, language=language), choices))


def test_voices_and_transcribers() -> None:
    assert voice("11labs:abc:eleven_flash_v2_5", "fr") == {
        "provider": "11labs",
        "voiceId": "abc",
        "model": "eleven_flash_v2_5",
        "language": "fr",
    }
    assert transcriber("azure", "fr") == {"provider": "azure", "language": "fr-FR"}
    assert transcriber("gladia:solaria-1", "fr")["languageBehaviour"] == "manual"
    for wrong in ("", ":x", "a:b:c"):
        with pytest.raises(OperatorError):
            transcriber(wrong, "fr")
    for wrong in ("", "azure", "azure:", "a:b:c:d"):
        with pytest.raises(OperatorError):
            voice(wrong, "fr")
    with pytest.raises(OperatorError):
        assistant(BLUEPRINT, replace(CHOICES, model="gpt"))


def test_whose_an_assistant_is() -> None:
    assert belongs_to({DEPLOYMENT: "d1", TENANT: "t1"}, "d1") == "t1"
    assert belongs_to({DEPLOYMENT: "d1"}, "d1") == ""
    for other in (None, {}, {TENANT: "t1"}, {DEPLOYMENT: "d2", TENANT: "t1"}):
        assert belongs_to(other, "d1") is None

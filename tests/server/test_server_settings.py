import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.key_strength import weakness
from server import settings_page
from server.setting_values import STREAM_PATH, stream_address
from server.settings import ModelServer, Settings, SettingsError, child_environment, described, load

ROOT = Path(__file__).parents[2]

# Every variable that the issue names; the test fails when one loses its field.
ASKED_FOR = """
HOST PORT PUBLIC_URL STREAM_URL DATABASE_URL ENCRYPTION_KEY ENCRYPTION_KEYS ADMIN_API_KEY
DEFAULT_REGION
TRUSTED_PROXIES MAX_CALLS_PER_NODE MAX_CALLS_PER_TENANT TWILIO_ACCOUNT_SID TWILIO_AUTH_TOKEN
TWILIO_PHONE_NUMBER TWILIO_API_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL VAPI_API_KEY VAPI_BASE_URL
VAPI_WEBHOOK_SECRET VAPI_PHONE_NUMBER_ID STT_BASE_URL STT_API_KEY STT_MODEL LLM_BASE_URL
LLM_API_KEY LLM_MODEL TTS_BASE_URL TTS_API_KEY TTS_MODEL TTS_VOICE_FEMALE TTS_VOICE_MALE
PINECONE_API_KEY PINECONE_HOST
WHATSAPP_BASE_URL WHATSAPP_APP_SECRET DIALOG360_BASE_URL DIALOG360_HUB_BASE_URL
WHATSAPP_360DIALOG_CLIENT_ID WHATSAPP_360DIALOG_CLIENT_SECRET TWILIO_SMS_FROM
TWILIO_MESSAGING_SERVICE_SID
""".split()

SECRETS = [
    name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
]


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours is set."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    return monkeypatch


def refused(**values: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.of(**values)
    return caught.value.lines


# ------------------------------------------------------------------------------ where from


def test_everything_has_a_default() -> None:
    settings = Settings.of()
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.stream_url == "ws://127.0.0.1:8080/media-stream"
    assert settings.database_name == "sqlite:///var/coccinelle.sqlite3"
    assert settings.max_calls_per_node == 500
    assert settings.max_calls_per_tenant is None
    assert settings.auth_tokens == ()
    assert settings.own_numbers == frozenset()
    assert settings.openai_base_url == "https://api.openai.com/v1"


def test_every_variable_of_the_issue_exists() -> None:
    assert [name for name in ASKED_FOR if name.lower() not in Settings.model_fields] == []


def test_environment_wins_over_the_file(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=9001\nADMIN_API_KEY=from-the-file\nUNKNOWN=1\n")
    bare_environment.setenv("PORT", "9002")
    settings = load(file)
    assert settings.port == 9002
    assert settings.admin_api_key is not None
    assert settings.admin_api_key.get_secret_value() == "from-the-file"


def test_empty_is_unset(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=\nPORT=''\n")
    bare_environment.setenv("MAX_CALLS_PER_NODE", "")
    bare_environment.setenv("PUBLIC_URL", "  ")
    settings = load(file)
    assert settings.openai_api_key is None
    assert (settings.port, settings.max_calls_per_node) == (8080, 500)
    assert not settings.is_set("public_url")


def test_an_empty_variable_leaves_the_line_of_the_file(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=sk-file\n")
    bare_environment.setenv("OPENAI_API_KEY", "")
    key = load(file).openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-file"


def test_of_looks_at_nothing_else(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("PORT", "9002")
    assert Settings.of().port == 8080


def test_a_wrong_environment_is_a_settings_error(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("PORT", "eighty")
    bare_environment.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as caught:
        load(None)
    assert [line.split()[0] for line in caught.value.lines] == ["PORT", "LOG_LEVEL"]


def test_a_child_inherits_no_key(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("OPENAI_API_KEY", "sk-real")
    environment = child_environment(PORT="9")
    assert "OPENAI_API_KEY" not in environment
    assert environment["PORT"] == "9"
    assert environment["PATH"] == os.environ["PATH"]


# --------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),  # noqa: S104
        ("::1", "http://[::1]:9"),
        ("::", "http://127.0.0.1:9"),
        ("box.lan", "http://box.lan:9"),
    ],
)
def test_public_url_follows_from_host_and_port(host: str, url: str) -> None:
    assert Settings.of(host=host, port=9).public_url == url


def test_the_host_of_public_url_is_in_lower_case_as_twilio_signs_it() -> None:
    assert Settings.of(public_url="https://Voice.Example.FR/Sub/").public_url == (
        "https://voice.example.fr/Sub"
    )


@pytest.mark.parametrize(
    ("public", "stream", "expected"),
    [
        ("https://v.example", "", "wss://v.example/media-stream"),
        ("https://v.example/", "", "wss://v.example/media-stream"),
        ("https://v.example/sub/", "", "wss://v.example/sub/media-stream"),
        ("http://v.example:81", "", "ws://v.example:81/media-stream"),
        ("https://v.example", "wss://node.example", "wss://node.example/media-stream"),
        ("https://v.example", "https://node.example/", "wss://node.example/media-stream"),
        ("https://v.example", "wss://n.example/media-stream", "wss://n.example/media-stream"),
        ("https://v.example", "wss://n.example/media-stream/", "wss://n.example/media-stream"),
    ],
)
def test_stream_url(public: str, stream: str, expected: str) -> None:
    assert Settings.of(public_url=public, stream_url=stream).stream_url == expected


@given(
    st.from_regex(
        r"(ws|wss|http|https)://[a-z]{1,8}(:[1-9][0-9]{0,3})?(/[a-z]{0,5})?", fullmatch=True
    )
)
def test_stream_url_is_settled_at_once(url: str) -> None:
    once = stream_address(url)
    assert stream_address(once) == once
    assert once.count(STREAM_PATH) == 1


@pytest.mark.parametrize(
    "url",
    [
        "voice.example.fr",
        "ftp://voice.example.fr",
        "https://",
        "https://voice.example.fr?x=1",
        "https://voice.example.fr/#a",
        "https://voice.example.fr?",
        "https://user:pass@voice.example.fr",
        "https://voice.example.fr:99999",
        "https://voice example.fr",
        "https://my_host.example.fr",
    ],
)
def test_a_wrong_public_url_is_refused_alone(url: str) -> None:
    (line,) = refused(public_url=url)
    assert line.startswith("PUBLIC_URL ")
    assert "Cure: " in line


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///var/x.sqlite3",
        "sqlite:////tmp/x.sqlite3",
        "sqlite+aiosqlite:///x.sqlite3",
        "postgresql://u:p@h/d",
        "postgresql+asyncpg://u:p@h:5432/d?ssl=require",
    ],
)
def test_database_urls(url: str) -> None:
    assert Settings.of(database_url=url).database_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://u:hunter22@h/d", "sqlite://x.db", "sqlite:///", "sqlite:///:memory:"),
        *("postgresql://", "x.sqlite3"),
    ],
)
def test_wrong_database_urls(url: str) -> None:
    (line,) = refused(database_url=url)
    assert line.startswith("DATABASE_URL ")
    assert "hunter22" not in line


def test_database_name_has_no_password() -> None:
    settings = Settings.of(database_url="postgresql://me:hunter2@db.example/c?password=hunter2")
    assert settings.database_name == "postgresql://db.example/c"


KEY = bytes.fromhex("e19c5d07a2b84f1366d0c97ab3581fe4250e8b6cf7923d41a87f05bcd6e23419")
OTHER = bytes.fromhex("4b02f8e6917d3ca55e10d9c87234ab6ff18395ce0a6d47b2093ce5417f8ad650")
TEXT = "k7#Wq9!zR2@vT5^xY8&bN1*mC4(pL6)s"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (TEXT, TEXT.encode()),
        (KEY.hex(), KEY),
        (KEY.hex().upper(), KEY),
        (base64.b64encode(KEY).decode(), KEY),
        (base64.urlsafe_b64encode(KEY).decode(), KEY),
    ],
)
def test_encryption_key_forms(text: str, key: bytes) -> None:
    assert Settings.of(encryption_key=text).ring_keys == {1: key}
    assert Settings.of(encryption_keys=f"7:{text}").ring_keys == {7: key}
    both = Settings.of(encryption_key=text, encryption_keys=f"2:{OTHER.hex()} , 1:{text}")
    assert list(both.ring_keys.items()) == [(2, OTHER), (1, key)]


def test_without_a_key_there_is_no_ring() -> None:
    assert Settings.of().ring_keys == {}


@pytest.mark.parametrize(
    "text", ["x" * 31, "é" * 32, "g" * 64, "!" * 44, base64.b64encode(b"x" * 31).decode(), "A" * 43]
)
def test_wrong_encryption_keys(text: str) -> None:
    for name, value in (("encryption_key", text), ("encryption_keys", f"1:{text}")):
        (line,) = refused(**{name: value})
        assert line.startswith(f"{name.upper()} ")
        assert text not in line


@pytest.mark.parametrize(
    "text", ["0123456789abcdef" * 4, "0" * 64, "correcthorsebatterystaplecorrect"]
)
def test_weak_encryption_keys(text: str) -> None:
    (line,) = refused(encryption_key=text)
    assert line.startswith("ENCRYPTION_KEY is too weak: it ")
    assert "openssl rand -hex 32" in line
    (line,) = refused(encryption_keys=f"2:{KEY.hex()},1:{text}")
    assert line.startswith("ENCRYPTION_KEYS is wrong: the key of version 1 is too weak: it ")
    assert "openssl rand -hex 32" in line
    assert text not in line
    assert KEY.hex() not in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (KEY.hex(), "isn't <version>:<key>"),
        (f"0:{KEY.hex()}", "isn't <version>:<key>"),
        (f"a:{KEY.hex()}", "isn't <version>:<key>"),
        (f"1:{KEY.hex()},", "isn't <version>:<key>"),
        (f"1:{KEY.hex()},1:{OTHER.hex()}", "names version 1 twice"),
        (f"2:{KEY.hex()},1:{base64.b64encode(KEY).decode()}", "the same key as version 2"),
    ],
)
def test_wrong_rings(text: str, told: str) -> None:
    (line,) = refused(encryption_keys=text)
    assert line.startswith("ENCRYPTION_KEYS ")
    assert told in line
    assert KEY.hex() not in line


@pytest.mark.parametrize("ring", [f"1:{OTHER.hex()}", f"2:{KEY.hex()}"])
def test_both_spellings_must_agree(ring: str) -> None:
    (line,) = refused(encryption_key=KEY.hex(), encryption_keys=ring)
    assert "ENCRYPTION_KEY isn't version 1 of ENCRYPTION_KEYS" in line


@given(st.binary(min_size=32, max_size=32).filter(lambda key: weakness(key) is None))
def test_any_key_survives_both_spellings(key: bytes) -> None:
    spellings = key.hex(), base64.b64encode(key).decode()
    assert [Settings.of(encryption_key=s).ring_keys for s in spellings] == [{1: key}] * 2


def test_auth_tokens_while_rotating() -> None:
    assert Settings.of(twilio_auth_token="new, old").auth_tokens == ("new", "old")
    assert Settings.of(twilio_auth_token="one").auth_tokens == ("one",)


@pytest.mark.parametrize("text", ["a,b,c", "a,", ",", "a,,b"])
def test_wrong_auth_tokens(text: str) -> None:
    (line,) = refused(twilio_auth_token=text)
    assert line.startswith("TWILIO_AUTH_TOKEN ")


def test_own_numbers_are_normalised() -> None:
    settings = Settings.of(twilio_phone_number="09 39 00 00 01", twilio_sms_from="07.57.00.00.01")
    assert settings.own_numbers == {"+33939000001", "+33757000001"}
    assert Settings.of(twilio_sms_from="Coccinelle").own_numbers == frozenset()


def test_national_numbers_are_read_in_the_default_region() -> None:
    settings = Settings.of(default_region="be", twilio_phone_number="02 555 12 12")
    assert settings.own_numbers == {"+3225551212"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", "80a"),
        ("max_calls_per_node", 0),
        ("max_calls_per_tenant", "many"),
        ("default_region", "ZZ"),
        ("trusted_proxies", "10.0.0.0/8, proxy"),
        ("twilio_phone_number", "garage"),
        ("twilio_sms_from", "far too long a name"),
        ("twilio_account_sid", "AC/../x"),
        ("twilio_api_base_url", "api.twilio.com"),
        ("openai_base_url", "ws://127.0.0.1/v1"),
        ("realtime_vad_threshold", 1.5),
        ("silence_prompt_seconds", -1),
        ("max_call_seconds", "nan"),
        ("transfer_ring_seconds", 1000),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("metrics_port", 70000),
    ],
)
def test_a_wrong_value_is_named_with_its_cure(name: str, value: object) -> None:
    (line,) = refused(**{name: value})
    assert line.startswith(f"{name.upper()} ")
    assert "Cure: set it to " in line


def test_every_wrong_one_has_a_line() -> None:
    lines = refused(port="x", log_format="y", public_url="z")
    assert [line.split()[0] for line in lines] == ["PORT", "PUBLIC_URL", "LOG_FORMAT"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"port": 9, "metrics_port": 9}, "METRICS_PORT"),
        ({"silence_goodbye_seconds": 16}, "SILENCE_GOODBYE_SECONDS"),
        (
            {"public_url": "https://v.example", "twilio_fallback_url": "https://V.example/f"},
            "TWILIO_FALLBACK_URL",
        ),
    ],
)
def test_settings_that_disagree(values: dict[str, object], named: str) -> None:
    (line,) = refused(**values)
    assert line.startswith(named)


def test_frozen() -> None:
    settings = Settings.of()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 9  # type: ignore[misc]


def test_secrets_show_nowhere() -> None:
    plain = TEXT
    values = dict.fromkeys(SECRETS, plain) | {
        "database_url": "postgresql://u:hunter2@h/d",
        "encryption_keys": f"1:{plain}",
    }
    settings = Settings.of(**values)
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.database_name):
        assert plain not in text
        assert "hunter2" not in text
    assert len(SECRETS) > 12


def test_secrets_are_known_to_whoever_must_hide_them() -> None:
    settings = Settings.of(
        twilio_auth_token="new, old",
        openai_api_key="sk-1",
        database_url="postgresql://me:hunter2@db.example/c",
        encryption_keys=f"2:{KEY.hex()},1:{base64.b64encode(OTHER).decode()}",
    )
    assert {"new", "old", "sk-1", "hunter2"} <= set(settings.secrets)
    base64s = {base64.b64encode(key).decode().rstrip("=") for key in (KEY, OTHER)}
    assert base64s | {KEY.hex(), KEY.hex().upper(), OTHER.hex()} <= set(settings.secrets)
    assert not any(secret in settings.database_name for secret in settings.secrets)


# ---------------------------------------------------------------------------------- missing


def test_what_is_missing_is_named_with_what_is_refused() -> None:
    missing = {m.variable: str(m) for m in Settings.of().missing()}
    assert {"OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "ADMIN_API_KEY", "PUBLIC_URL"} <= set(missing)
    assert "403" in missing["TWILIO_AUTH_TOKEN"]
    assert all("Cure: " in line for line in missing.values())


def test_what_is_given_is_not_missing() -> None:
    settings = Settings.of(
        public_url="https://v.example",
        admin_api_key="k",
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="t",
        twilio_phone_number="+33939000001",
        openai_api_key="sk",
        vapi_api_key="vapi-k",
        encryption_key=KEY.hex(),
        **CASCADE,
    )
    assert settings.missing() == ()


# ---------------------------------------------------------------------------------- cascade

CASCADE = {
    "stt_base_url": "http://127.0.0.1:9001/v1",
    "stt_model": "whisper",
    "llm_base_url": "http://127.0.0.1:9002/v1",
    "llm_model": "mistral",
    "llm_api_key": "sk-llm",
    "tts_base_url": "http://127.0.0.1:9003/v1",
    "tts_model": "kokoro",
    "tts_voice_female": "ff_siwis",
}


def test_the_servers_of_the_cascade() -> None:
    settings = Settings.of(**CASCADE)
    assert settings.model_server("stt") == ModelServer("http://127.0.0.1:9001/v1", "", "whisper")
    llm = settings.model_server("llm")
    assert llm == ModelServer("http://127.0.0.1:9002/v1", "sk-llm", "mistral")
    assert "sk-llm" not in repr(llm)
    assert settings.tts_voices == {"female": "ff_siwis", "male": "ff_siwis"}
    settings = Settings.of(**CASCADE, tts_voice_male="fm_jean")
    assert settings.tts_voices["male"] == "fm_jean"


def test_a_key_of_openai_makes_no_cascade() -> None:
    settings = Settings.of(openai_api_key="sk-openai")
    assert [settings.model_server(kind) for kind in ("stt", "llm", "tts")] == [None] * 3
    assert settings.tts_voices == {}


@pytest.mark.parametrize("name", [name for name in CASCADE if name != "llm_api_key"])
def test_half_a_server_is_none_and_said_to_be(name: str) -> None:
    settings = Settings.of(**{key: value for key, value in CASCADE.items() if key != name})
    assert settings.model_server(name[:3]) is None  # type: ignore[arg-type]
    (missing,) = [each for each in settings.missing() if each.variable == name.upper()]
    assert "cascade" in missing.meanwhile


# ------------------------------------------------------------------------------------ pages


def test_docs_are_up_to_date() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page.markdown(), "run `make docs`"


def test_example_is_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text() == settings_page.env(), "run `make docs`"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_variable_is_on_both_pages(name: str) -> None:
    assert f"### `{name.upper()}`" in settings_page.markdown()
    assert f"\n#{name.upper()}=" in settings_page.env()


#: A key that stands in the documentation would be used: their examples are refused.
NO_EXAMPLE = {"encryption_key", "encryption_keys", "jwt_secret"}
#: One means nothing without the other.
TOGETHER = ("jwt_algorithm", "jwt_jwks_url")


def test_every_example_is_accepted_but_those_of_keys() -> None:
    examples = {name: about.example for name, about in described()}
    for name, example in examples.items():
        if name in NO_EXAMPLE:
            assert "<openssl rand -hex 32>" in example
            refused(**{name: example})
            continue
        given = TOGETHER if name in TOGETHER else (name,)
        assert Settings.of(**{each: examples[each] for each in given}).is_set(name), name


def test_the_example_file_as_it_is_sets_nothing(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text(settings_page.env())
    assert load(file).model_fields_set == set()


def test_the_example_file_uncommented_is_accepted(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    lines = settings_page.env().splitlines()
    settings = [line[1:] for line in lines if line[:1] == "#" and line[1:2] != " "]
    # The file shows the default algorithm, and that one takes no published keys.
    left_out = {*NO_EXAMPLE, "jwt_jwks_url"}
    accepted = [line for line in settings if line.split("=")[0].lower() not in left_out]
    file.write_text("\n".join(accepted))
    assert load(file).model_fields_set == set(Settings.model_fields) - left_out


def test_pages_hold_no_secret_of_this_machine(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("OPENAI_API_KEY", "sk-really-mine")
    assert "sk-really-mine" not in settings_page.markdown() + settings_page.env()


def test_make_keeps_every_key_from_tests() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in SECRETS if f"-u {name.upper()}" not in makefile] == []


def test_fields_of_the_language_models_requests() -> None:
    text = '{"chat_template_kwargs":{"enable_thinking":false},"temperature":0.2}'
    assert Settings.of(llm_request_fields=text).llm_request_fields["temperature"] == 0.2
    assert Settings.of().llm_request_fields == {}


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"stream":false}', '{"model":"x","top_p":1}'])
def test_wrong_fields_of_the_language_models_requests(text: str) -> None:
    (line,) = refused(llm_request_fields=text)
    assert line.startswith("LLM_REQUEST_FIELDS ")
    assert "Cure:" in line

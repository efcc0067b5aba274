"""Environment and `.env` → one frozen `Settings`; the only place that reads the environment."""

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from domain.errors import OperatorError
from domain.phone import DEFAULT_REGION
from server.setting_values import (
    STREAM_PATH,
    AccountSid,
    AuthTokens,
    CallbackUrl,
    Count,
    Countries,
    DatabaseUrl,
    Days,
    EncryptionKey,
    EncryptionKeys,
    GraphVersion,
    HttpUrl,
    JwtSecret,
    LogLevel,
    Networks,
    Number,
    Origins,
    Port,
    Region,
    RequestFields,
    Seconds,
    SecondsOrNone,
    Sender,
    SmsPrices,
    StreamUrl,
    key_bytes,
    key_texts,
    stream_address,
)

ENV_FILE = Path(".env")


class SettingsError(OperatorError):
    """Settings that nobody can work with: one line per variable in `lines`."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that isn't set, what is refused meanwhile, and the cure."""

    variable: str
    meanwhile: str
    cure: str

    def __str__(self) -> str:
        return f"{self.variable} is not set: {self.meanwhile} Cure: {self.cure}"


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server that speaks OpenAI's protocol at `base_url`; `api_key` "" when it wants none."""

    base_url: str
    api_key: str = field(repr=False)
    model: str


# -------------------------------------------------------------------------- what is said of it


@dataclass(frozen=True, slots=True)
class About:
    """What docs/settings.md and .env.example say of a variable.

    `expects` completes "set it to …"; `shown` is the default in words; `meanwhile` says what
    doesn't work while it isn't set ("" when nothing is amiss); `later`: nothing reads it yet;
    `optional`: many do without it, and nobody need be told.
    """

    group: str
    text: str
    expects: str
    example: str
    meanwhile: str = ""
    shown: str = ""
    later: bool = False
    optional: bool = False


def _about(
    default: Any,
    group: str,
    text: str,
    expects: str,
    example: str,
    **more: Any,
) -> Any:
    """A pydantic field with its `About`."""
    about = About(group, text, expects, example, **more)
    extra: dict[str, Any] = {"about": about}
    if callable(default):
        return Field(default_factory=default, json_schema_extra=extra)
    return Field(default=default, json_schema_extra=extra)


def _public_url_here(data: dict[str, Any]) -> str:
    """Where a server on this machine can be reached by this machine."""
    host = data.get("host", "127.0.0.1")
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - recognised, not bound
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{data.get('port', 8080)}"


def _stream_url_here(data: dict[str, Any]) -> str:
    return stream_address(data.get("public_url", "http://127.0.0.1"))


_SERVER, _OPERATOR, _DATA = "Server", "Operator", "Database"
_TWILIO, _AGENT, _CALL = "Twilio", "Agent (OpenAI Realtime)", "A call"
_RETENTION, _OBSERVE = "Retention", "Logs and metrics"
_CASCADE, _VAPI, _KNOWLEDGE = "Cascade of models", "Vapi", "Knowledge"
_MESSAGING, _ACCESS = "Messaging", "Who may use the API"
_HTTP = "an address that begins with http:// or https://, without query"
_SECONDS = "a number of seconds above 0"
_DAYS = "a whole number of days, 1 to 36500"


class Settings(BaseSettings):
    """Everything that can be set. Frozen; secrets are `SecretStr` and never show in a repr.

    `Settings()` reads the environment and `.env`; `Settings.of(…)` reads neither.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    # -- Server
    host: str = _about(
        "127.0.0.1",
        _SERVER,
        "The address to listen on. Keep loopback behind a TLS proxy on the same machine; "
        "`0.0.0.0` in a container.",
        "an address of this machine",
        "127.0.0.1",
    )
    port: Port = _about(8080, _SERVER, "The port to listen on.", "a port, 1 to 65535", "8080")
    public_url: CallbackUrl = _about(
        _public_url_here,
        _SERVER,
        "Where the world reaches this server. Twilio's signatures are checked against it, so it "
        "must be spelled exactly as Twilio is told it.",
        _HTTP,
        "https://voice.example.fr",
        shown="`http://HOST:PORT`",
        meanwhile="Twilio can't reach this server, and its signatures won't match.",
    )
    stream_url: StreamUrl = _about(
        _stream_url_here,
        _SERVER,
        "Where Twilio opens a call's media stream, when it shall reach this very node rather "
        f"than the load balancer. `{STREAM_PATH}` is added when missing.",
        "an address that begins with wss://, ws://, https:// or http://",
        "wss://node-1.voice.example.fr",
        shown=f"`PUBLIC_URL` as `wss://`, with `{STREAM_PATH}`",
    )
    trusted_proxies: Networks = _about(
        (),
        _SERVER,
        "Proxies whose `X-Forwarded-For` is believed: in logs, and where requests to the API are "
        "counted by address. Without, addresses of private networks, a proxy's for instance, "
        "aren't limited.",
        "addresses or networks with commas between them",
        "127.0.0.1,10.0.0.0/8",
    )
    guard_allowed_networks: Networks = _about(
        (),
        _SERVER,
        "Networks of yours that tenants' addresses (web pages, mail servers) may lead to, on any "
        "port. Without, only the public Internet is dialled: a tenant could look around in your "
        "network.",
        "addresses or networks with commas between them",
        "10.20.0.5,172.18.0.0/16",
        shown="none",
    )
    max_calls_per_node: Count = _about(
        500,
        _SERVER,
        "Calls that this process carries at once over media streams; one more is put through to "
        "the owner, or leaves a message (docs/ladder.md).",
        "a whole number from 1",
        "500",
    )
    max_calls_per_tenant: Count | None = _about(
        None,
        _SERVER,
        "Calls that one tenant may have at once: over all nodes with PostgreSQL, where all nodes "
        "must be told the same. One more hears that all lines are busy, and is called back.",
        "a whole number from 1",
        "20",
        shown="no limit",
    )
    api_requests_per_minute: Count = _about(
        1200,
        _SERVER,
        "Requests to the API that one tenant's keys and people may make in a minute: over all "
        "nodes with PostgreSQL, where all nodes must be told the same. One more is answered with "
        "429.",
        "a whole number from 1",
        "1200",
    )
    api_key_requests_per_minute: Count = _about(
        600,
        _ACCESS,
        "The same for one key, or one session.",
        "a whole number from 1",
        "600",
    )
    api_address_requests_per_minute: Count = _about(
        1200,
        _ACCESS,
        "The same for one address (of IPv6: one /64), whoever asks. Vapi's webhooks aren't "
        "counted.",
        "a whole number from 1",
        "1200",
    )
    api_refused_per_minute: Count = _about(
        20,
        _ACCESS,
        "Keys and tokens that open nothing which one address may try in a minute; then it is "
        "answered with 429 for the rest of it, and what it sends isn't looked at.",
        "a whole number from 1",
        "20",
    )
    cors_origins: Origins = _about(
        (),
        _ACCESS,
        "Where the dashboard's pages come from: only these may ask from a browser. A `*` in the "
        "first label stands for letters, digits and hyphens, for preview deployments.",
        "origins with commas between them",
        "https://app.example.fr,https://coccinelle-*.vercel.app",
        shown="none",
    )
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] = _about(
        "HS256",
        _ACCESS,
        "How the sessions of the dashboard's people are signed; a token that says otherwise opens "
        "nothing.",
        "HS256 (with JWT_SECRET), RS256 or ES256 (with JWT_JWKS_URL)",
        "RS256",
    )
    jwt_secret: JwtSecret | None = _about(
        None,
        _ACCESS,
        "Signs them with HS256: the same secret as the accounts' backend has.",
        "32 bytes or more, drawn at random",
        "<openssl rand -hex 32>",
        meanwhile="people's sessions open nothing unless JWT_JWKS_URL is set; keys do.",
        optional=True,
    )
    jwt_jwks_url: HttpUrl | None = _about(
        None,
        _ACCESS,
        "Where whoever signs them with RS256 or ES256 publishes the public keys.",
        _HTTP,
        "https://login.example.fr/.well-known/jwks.json",
    )
    jwt_issuer: str | None = _about(
        None,
        _ACCESS,
        "What their `iss` must be; not set: anything.",
        "a text",
        "https://login.example.fr/",
    )
    shutdown_seconds: Seconds = _about(
        10.0,
        _SERVER,
        "How long a stopping server waits for requests and jobs that are under way, once no call "
        "is left on it.",
        _SECONDS,
        "10",
    )
    drain_seconds: SecondsOrNone = _about(
        900.0,
        _SERVER,
        "How long calls may go on after SIGTERM while another node takes the new ones; what still "
        "runs then goes on there. A second SIGTERM, or SIGINT, stops at once.",
        "a number of seconds, 0 or more",
        "900",
    )
    drain_alone_seconds: SecondsOrNone = _about(
        30.0,
        _SERVER,
        "The same where no other node is there: new callers are asked to wait meanwhile, and what "
        "still runs goes on when the server has been started again.",
        "a number of seconds, 0 or more",
        "30",
    )
    job_worker: Literal["child", "none"] = _about(
        "child",
        _SERVER,
        "Who does what isn't done during a request (documents, texts, purges): a process that the "
        "server starts beside itself, or none because `coccinelle work` runs elsewhere.",
        "child or none",
        "child",
    )
    job_concurrency: Annotated[int, Field(ge=1, le=100)] = _about(
        8,
        _SERVER,
        "Jobs that one worker runs at once; no tenant gets more than half of these places.",
        "a whole number, 1 to 100",
        "8",
    )

    # -- Database
    database_url: DatabaseUrl = _about(
        SecretStr("sqlite:///var/coccinelle.sqlite3"),
        _DATA,
        "Where everything is remembered. The database is created and migrated at start.",
        "sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/name",
        "postgresql://coccinelle:secret@127.0.0.1/coccinelle",
        shown="`sqlite:///var/coccinelle.sqlite3`",
    )
    encryption_keys: EncryptionKeys | None = _about(
        None,
        _DATA,
        "Seal what tenants entrust to us (passwords and keys of their vendors), each with its "
        "version, the one that seals first; the others open what they sealed. `openssl rand -hex "
        "32` makes one; losing it loses what it sealed. docs/deploy.md says how to rotate them. "
        "The example is none to copy, and refused.",
        "<version>:<key> with commas between, each key 64 hexadecimal digits, 44 characters of "
        "base64 or 32 characters, drawn at random",
        "2:<openssl rand -hex 32>,1:<the one before>",
        meanwhile="passwords and keys that tenants entrust to us are refused (503), kept ones "
        "can't be read.",
    )
    encryption_key: EncryptionKey | None = _about(
        None,
        _DATA,
        "A single key, as version 1: the same as `ENCRYPTION_KEYS=1:<key>`. Beside "
        "`ENCRYPTION_KEYS` it must be that one's version 1.",
        "32 characters, 64 hexadecimal digits or 44 characters of base64, drawn at random",
        "<openssl rand -hex 32>",
    )

    # -- Retention
    retention_transcripts_days: Days = _about(
        365,
        _RETENTION,
        "How long what was said on a call is kept, with its timeline, its summary and what "
        "functions were asked. Never longer than the call itself.",
        _DAYS,
        "90",
    )
    retention_calls_days: Days = _about(
        365,
        _RETENTION,
        "How long it is kept that there was a call: from whom, when, what it came to.",
        _DAYS,
        "365",
    )
    retention_messages_days: Days = _about(
        365, _RETENTION, "How long messages that were sent are kept.", _DAYS, "365"
    )
    retention_prospects_days: Days = _about(
        1095,
        _RETENTION,
        "How long prospects are kept after their last contact.",
        _DAYS,
        "1095",
    )
    retention_tickets_days: Days = _about(
        1095,
        _RETENTION,
        "How long tickets are kept after they were closed or resolved.",
        _DAYS,
        "1095",
    )
    retention_appointments_days: Days = _about(
        1095, _RETENTION, "How long appointments are kept after they were held.", _DAYS, "1095"
    )
    retention_recordings_days: Days = _about(
        180,
        _RETENTION,
        "How long recordings of calls stay at Twilio. (The CNIL's advice: six months at most.)",
        _DAYS,
        "180",
    )
    retention_audit_days: Days = _about(
        365,
        _RETENTION,
        "How long the audit log says who changed what, and who read what callers said.",
        _DAYS,
        "365",
    )
    retention_dead_jobs_days: Days = _about(
        30,
        _RETENTION,
        "How long jobs that failed for good can be seen and put again.",
        _DAYS,
        "30",
    )

    # -- Operator
    admin_api_key: SecretStr | None = _about(
        None,
        _OPERATOR,
        "Opens `/api/tenants`, as `Authorization: Bearer …`. `openssl rand -hex 24` makes one.",
        "any text, the longer the better",
        "2f1d8c5be0a94c4fb07f6a53a9d7c0f18b1e64d2",
        meanwhile="`/api/tenants` refuses everybody; `coccinelle tenants` works all the same.",
    )
    default_region: Region = _about(
        DEFAULT_REGION,
        _OPERATOR,
        "How numbers without a country code are read.",
        "two letters of ISO 3166",
        "FR",
    )

    # -- Twilio
    twilio_account_sid: AccountSid | None = _about(
        None,
        _TWILIO,
        "The account that owns the number.",
        "the account SID from the Twilio console, AC and 32 hexadecimal digits",
        "AC" + "0123456789abcdef" * 2,
        meanwhile="calls can't be hung up, transferred or looked up by us.",
    )
    twilio_auth_token: AuthTokens | None = _about(
        None,
        _TWILIO,
        "Signs what Twilio sends and authorises what we ask. Two, with a comma between them, "
        "while you rotate: both are accepted, the first one is used.",
        "the auth token from the Twilio console",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        meanwhile="everything that comes from Twilio is refused with 403.",
    )
    twilio_phone_number: Number | None = _about(
        None,
        _TWILIO,
        "The shared number that missed calls are forwarded to. Dedicated numbers of tenants are "
        "kept with the tenant.",
        "a telephone number in E.164",
        "+33939000001",
        meanwhile="`doctor` and `provision` can't check the number's addresses, and a line that "
        "claims this number isn't refused.",
    )
    twilio_api_base_url: HttpUrl = _about(
        "https://api.twilio.com",
        _TWILIO,
        "Where Twilio's REST API answers.",
        _HTTP,
        "https://api.dublin.ie1.twilio.com",
    )
    twilio_fallback_url: CallbackUrl | None = _about(
        None,
        _TWILIO,
        "TwiML for the moment when this server doesn't answer: a TwiML Bin, for instance. "
        "`coccinelle provision --twilio` gives it to the number; without one, a number that has no "
        "fallback gets a default that Twilio hosts. It must not be on our own host.",
        _HTTP,
        "https://handler.twilio.com/twiml/EH0123456789abcdef0123456789abcdef",
    )

    # -- Agent
    openai_api_key: SecretStr | None = _about(
        None,
        _AGENT,
        "Pays for the speaking model.",
        "a key from platform.openai.com",
        "sk-proj-…",
        meanwhile="no model speaks: callers are answered by turns (docs/ladder.md).",
    )
    openai_base_url: HttpUrl = _about(
        "https://api.openai.com/v1",
        _AGENT,
        "Where OpenAI, or what speaks like it, answers. The websocket's address follows from it.",
        _HTTP,
        "http://127.0.0.1:9000/v1",
    )
    realtime_model: str = _about(
        "gpt-realtime-2.1", _AGENT, "The speaking model.", "a model's name", "gpt-realtime-2.1"
    )
    realtime_voice_female: str = _about(
        "marin", _AGENT, "The voice of an agent set to `female`.", "a voice's name", "marin"
    )
    realtime_voice_male: str = _about(
        "cedar", _AGENT, "The voice of an agent set to `male`.", "a voice's name", "cedar"
    )
    realtime_transcription_model: str = _about(
        "gpt-transcribe",
        _AGENT,
        "Writes down what the caller says, for the transcript.",
        "a model's name",
        "gpt-transcribe",
    )
    realtime_vad_threshold: Annotated[float, Field(ge=0, le=1)] = _about(
        0.6,
        _AGENT,
        "How loud speech must be to count as such: higher for noisy lines.",
        "a number from 0 to 1",
        "0.6",
    )
    realtime_vad_prefix_ms: Annotated[int, Field(ge=0, le=5000)] = _about(
        300,
        _AGENT,
        "Audio kept from before the caller was heard to begin, in milliseconds.",
        "a whole number of milliseconds, 0 to 5000",
        "300",
    )
    realtime_vad_silence_ms: Annotated[int, Field(ge=100, le=10_000)] = _about(
        500,
        _AGENT,
        "Silence after which the caller's turn is over, in milliseconds.",
        "a whole number of milliseconds, 100 to 10000",
        "500",
    )

    # -- A call
    silence_prompt_seconds: Seconds = _about(
        8.0, _CALL, "Nobody has spoken for so long: the agent asks again.", _SECONDS, "8"
    )
    silence_prompts: Annotated[int, Field(ge=0, le=10)] = _about(
        2, _CALL, "How often it asks before it says goodbye.", "a whole number, 0 to 10", "2"
    )
    silence_goodbye_seconds: Seconds = _about(
        25.0, _CALL, "Silence after which the call is ended.", _SECONDS, "25"
    )
    max_call_seconds: Seconds = _about(
        900.0, _CALL, "No call with an agent lasts longer.", _SECONDS, "900"
    )
    filler_seconds: Seconds = _about(
        1.2,
        _CALL,
        "A function without a result for so long: the caller hears that it is being looked up.",
        _SECONDS,
        "1.2",
    )
    goodbye_cap_seconds: Seconds = _about(
        10.0,
        _CALL,
        "The longest we wait until the goodbye has been heard before hanging up.",
        _SECONDS,
        "10",
    )
    # <Dial timeout> of Twilio: 5 to 600 seconds.
    transfer_ring_seconds: Annotated[int, Field(ge=5, le=600)] = _about(
        20, _CALL, "How long a transfer rings.", "a whole number of seconds, 5 to 600", "20"
    )

    # -- Logs and metrics
    log_level: LogLevel = _about(
        "INFO", _OBSERVE, "What is worth a line.", "DEBUG, INFO, WARNING, ERROR or CRITICAL", "INFO"
    )
    log_format: Literal["json", "console"] = _about(
        "json", _OBSERVE, "One JSON object per line, or coloured text.", "json or console", "json"
    )
    metrics_token: SecretStr | None = _about(
        None,
        _OBSERVE,
        "Opens `/metrics` on the public port, as `Authorization: Bearer …`.",
        "any text, the longer the better",
        "b5c1f0d2a7e94e0c8f3a",
    )
    metrics_port: Port | None = _about(
        None,
        _OBSERVE,
        "Serves `/metrics` without a token on this port of the loopback interface.",
        "a port, 1 to 65535, other than PORT",
        "9464",
    )

    # -- Cascade of models
    stt_base_url: HttpUrl | None = _about(
        None,
        _CASCADE,
        "Speech to text that speaks OpenAI's protocol, `/v1` included: the first link of the "
        "cascade, which answers where neither Vapi nor the speaking model does.",
        _HTTP,
        "http://127.0.0.1:9001/v1",
        meanwhile="there is no cascade: it needs STT, LLM and TTS.",
        optional=True,
    )
    stt_api_key: SecretStr | None = _about(
        None,
        _CASCADE,
        "Its key, if it wants one. `OPENAI_API_KEY` isn't used instead.",
        "a key",
        "sk-stt-…",
    )
    stt_model: str | None = _about(
        None, _CASCADE, "Its model; goes with `STT_BASE_URL`.", "a model's name", "whisper-large-v3"
    )
    llm_base_url: HttpUrl | None = _about(
        None,
        _CASCADE,
        "A language model that speaks OpenAI's protocol, `/v1` included: the second link. "
        "Calls by turns ask it too.",
        _HTTP,
        "http://127.0.0.1:9002/v1",
        meanwhile="there is no cascade, and calls by turns follow plain rules.",
        optional=True,
    )
    llm_api_key: SecretStr | None = _about(
        None,
        _CASCADE,
        "Its key, if it wants one. `OPENAI_API_KEY` isn't used instead.",
        "a key",
        "sk-llm-…",
    )
    llm_model: str | None = _about(
        None, _CASCADE, "Its model; goes with `LLM_BASE_URL`.", "a model's name", "mistral-small"
    )
    llm_thinking: Literal["tagged", "open"] = _about(
        "tagged",
        _CASCADE,
        "How it marks what it thinks and nobody is to hear: `tagged`, between `<think>` and "
        "`</think>`, or not at all; `open`, by `</think>` alone, because its chat template begins "
        "the thought (DeepSeek-R1, Qwen3-Thinking). Better is a model that doesn't think: callers "
        "wait meanwhile.",
        "tagged or open",
        "open",
    )
    llm_request_fields: RequestFields = _about(
        dict,
        _CASCADE,
        "Fields that are added to its requests, for instance those that keep it from thinking.",
        "a JSON object",
        '{"chat_template_kwargs":{"enable_thinking":false}}',
        shown="none",
    )
    tts_base_url: HttpUrl | None = _about(
        None,
        _CASCADE,
        "Text to speech that speaks OpenAI's protocol, `/v1` included: the third link. "
        "It must answer in 16-bit mono, as PCM or WAV.",
        _HTTP,
        "http://127.0.0.1:9003/v1",
        meanwhile="there is no cascade: it needs STT, LLM and TTS.",
        optional=True,
    )
    tts_api_key: SecretStr | None = _about(
        None,
        _CASCADE,
        "Its key, if it wants one. `OPENAI_API_KEY` isn't used instead.",
        "a key",
        "sk-tts-…",
    )
    tts_model: str | None = _about(
        None, _CASCADE, "Its model; goes with `TTS_BASE_URL`.", "a model's name", "kokoro"
    )
    tts_voice_female: str | None = _about(
        None,
        _CASCADE,
        "Its voice for an agent set to `female`; goes with `TTS_BASE_URL`.",
        "a voice's name",
        "ff_siwis",
    )
    tts_voice_male: str | None = _about(
        None,
        _CASCADE,
        "Its voice for an agent set to `male`.",
        "a voice's name",
        "fm_jean",
        shown="`TTS_VOICE_FEMALE`",
    )

    tts_format: Literal["pcm", "wav"] = _about(
        "pcm",
        _CASCADE,
        "What it is asked for; whichever of the two comes is taken. A WAV says its own rate: for "
        "servers that can't say the rate of their PCM.",
        "pcm or wav",
        "wav",
    )
    tts_sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] = _about(
        24_000,
        _CASCADE,
        "Samples a second of its PCM, where the answer doesn't say it "
        "(`Content-Type: audio/pcm;rate=…`). With a wrong one the voice is too high or too low.",
        "a number from 8000 to 48000",
        "22050",
    )

    # -- Vapi
    vapi_api_key: SecretStr | None = _about(
        None,
        _VAPI,
        "The private key of the Vapi account. With it, Vapi answers the calls of tenants whose "
        "assistant is provisioned, if it can.",
        "a key",
        "vapi-…",
        meanwhile="Vapi answers no call.",
        optional=True,
    )
    vapi_base_url: HttpUrl = _about(
        "https://api.vapi.ai",
        _VAPI,
        "Where Vapi answers: `https://api.eu.vapi.ai` for an account in the EU. Its host is "
        "trusted; other addresses that Vapi names must lead to `*.vapi.ai`.",
        _HTTP,
        "https://api.eu.vapi.ai",
    )
    vapi_webhook_secret: SecretStr | None = _about(
        None,
        _VAPI,
        "What Vapi must show at `/api/vapi/functions`, which refuses everybody without it.",
        "any text, the longer the better",
        "9d2c7b61f4e84a35",
    )
    vapi_phone_number_id: str | None = _about(
        None,
        _VAPI,
        "The number imported into Vapi. Only the bypass needs it; see docs/vapi.md.",
        "Vapi's identifier of the number",
        "0b2f6a0e-6d4e-4c6b-9f0a-5b1d2c3e4f50",
    )
    vapi_bridge: Literal["stream", "bypass"] = _about(
        "stream",
        _VAPI,
        "How callers reach Vapi: through our media stream, so that we can take over, or `bypass`, "
        "directly. A tenant may choose for itself; see docs/vapi.md.",
        "`stream` or `bypass`",
        "stream",
    )
    vapi_model: str = _about(
        "openai:gpt-5.4-mini",
        _VAPI,
        "The language model of assistants.",
        "provider:model, as Vapi names them",
        "openai:gpt-5.4-mini",
    )
    vapi_transcriber: str = _about(
        "deepgram:nova-3",
        _VAPI,
        "What understands callers; it is told the tenant's language.",
        "provider:model, as Vapi names them",
        "gladia:solaria-1",
    )
    vapi_voice_female: str | None = _about(
        None,
        _VAPI,
        "The voice of assistants set to `female`, in whatever language: one that speaks all of "
        "yours. Without it each language has its own (`azure:fr-FR-DeniseNeural`, "
        "`azure:en-GB-SoniaNeural`).",
        "provider:voice or provider:voice:model, as Vapi names them",
        "11labs:VOICE_ID:eleven_flash_v2_5",
        shown="one per language",
    )
    vapi_voice_male: str | None = _about(
        None,
        _VAPI,
        "The voice of assistants set to `male`, likewise (`azure:fr-FR-HenriNeural`, "
        "`azure:en-GB-RyanNeural`).",
        "provider:voice or provider:voice:model, as Vapi names them",
        "11labs:VOICE_ID:eleven_flash_v2_5",
        shown="one per language",
    )

    # -- Knowledge
    pinecone_api_key: SecretStr | None = _about(
        None,
        _KNOWLEDGE,
        "The key of the Pinecone project. With PINECONE_HOST, documents are searched by meaning;"
        " the embedded search answers whenever Pinecone can't.",
        "a key",
        "pcsk_…",
    )
    pinecone_host: HttpUrl | None = _about(
        None,
        _KNOWLEDGE,
        "The address of the index, which is made as docs/decisions/0017-pinecone.md says.",
        _HTTP,
        "https://coccinelle-abc123.svc.aped-4627-b74a.pinecone.io",
    )
    pinecone_min_score: Annotated[float, Field(ge=0, le=1)] = _about(
        0.6,
        _KNOWLEDGE,
        "How near a passage must be to answer by its meaning alone. Measure it with `make recall`"
        " before lowering it: below what the index's model bears, answers are made up.",
        "a number from 0 to 1",
        "0.6",
    )

    # -- Messaging
    twilio_sms_from: Sender | None = _about(
        None,
        _MESSAGING,
        "Who our SMS come from, unless a tenant has a sender of its own. Nobody can answer a name.",
        "a telephone number, or up to 11 letters and digits",
        "+33757000001",
    )
    twilio_messaging_service_sid: str | None = _about(
        None,
        _MESSAGING,
        "The messaging service to send through, instead of TWILIO_SMS_FROM.",
        "a service SID, MG and 32 hexadecimal digits",
        "MG" + "0123456789abcdef" * 2,
    )
    allowed_countries: Countries = _about(
        ("FR", "GP", "GF", "MQ", "RE", "YT", "PM", "BL", "MF", "BE", "CH", "LU", "MC"),
        _MESSAGING,
        "Where SMS and WhatsApp messages may go, to which telephone numbers.",
        "ISO 3166 countries, separated by commas",
        "FR,BE",
        shown="`FR,GP,GF,MQ,RE,YT,PM,BL,MF,BE,CH,LU,MC`",
    )
    texts_per_day: Annotated[int, Field(ge=1)] = _about(
        1000,
        _MESSAGING,
        "How many texts of one tenant go out on a day, of whatever kind; the owner's own alerts"
        " aside. What is more is not sent.",
        "a number, 1 or more",
        "1000",
    )
    texts_per_day_api: Annotated[int, Field(ge=0)] = _about(
        100,
        _MESSAGING,
        "How many of them may be asked for through the API; 0: none.",
        "a number, 0 or more",
        "100",
    )
    sms_prices: SmsPrices = _about(
        "",
        _MESSAGING,
        "What one segment of an SMS costs by country, for what is shown before it goes.",
        "a currency, then COUNTRY=price each, * for all others",
        "EUR FR=0.0725 BE=0.09 *=0.12",
    )
    call_prices: SmsPrices = _about(
        "",
        _MESSAGING,
        "What a minute of an outgoing call costs by country, in the currency of SMS_PRICES; for the"
        " cap. What has no price counts 0.10, as does a segment of an SMS.",
        "a currency, then COUNTRY=price each, * for all others",
        "EUR FR=0.03 *=0.20",
    )
    daily_spend_cap: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = _about(
        20.0,
        _MESSAGING,
        "What SMS and forwarding checks of one tenant may cost on a day, estimated, in the currency"
        " of SMS_PRICES; a tenant may have a cap of its own. What is more isn't sent; calls, and"
        " people who wrote, are still answered.",
        "an amount, 0 or more",
        "20",
    )
    whatsapp_base_url: HttpUrl = _about(
        "https://graph.facebook.com",
        _MESSAGING,
        "Where Meta's WhatsApp Cloud API answers.",
        _HTTP,
        "https://graph.facebook.com",
    )
    whatsapp_graph_version: GraphVersion = _about(
        "v25.0",
        _MESSAGING,
        "The version of Meta's API. Meta ends each about two years after it began.",
        "v, a number, .0",
        "v25.0",
    )
    whatsapp_app_secret: SecretStr | None = _about(
        None,
        _MESSAGING,
        "Signs what Meta sends for the operator's own app; tenants with an app of their own give "
        "its secret with their channel.",
        "the app secret",
        "4f3e2d1c…",
        optional=True,
    )
    whatsapp_verify_token: SecretStr | None = _about(
        None,
        _MESSAGING,
        "What Meta must know to make `/webhooks/whatsapp` the webhook of the operator's app.",
        "any text that is hard to guess",
        "9c1f0b7e5d3a4e68",
        optional=True,
    )
    dialog360_base_url: HttpUrl = _about(
        "https://waba-v2.360dialog.io",
        _MESSAGING,
        "Where 360dialog's WhatsApp API answers.",
        _HTTP,
        "https://waba-v2.360dialog.io",
    )
    dialog360_hub_base_url: HttpUrl = _about(
        "https://hub.360dialog.io",
        _MESSAGING,
        "Where 360dialog's partner API answers.",
        _HTTP,
        "https://hub.360dialog.io",
    )
    whatsapp_360dialog_client_id: str | None = _about(
        None,
        _MESSAGING,
        "Our partner at 360dialog: its id, or the e-mail address of a user of it.",
        "the partner's id (it ends in PA), or an e-mail address",
        "abcdEFPA",
        optional=True,
    )
    whatsapp_360dialog_client_secret: SecretStr | None = _about(
        None,
        _MESSAGING,
        "The partner's API key, or that user's password.",
        "a secret",
        "…",
        optional=True,
    )
    whatsapp_360dialog_partner_id: str | None = _about(
        None,
        _MESSAGING,
        "The partner's id, where WHATSAPP_360DIALOG_CLIENT_ID is an e-mail address.",
        "an identifier that ends in PA",
        "abcdEFPA",
        optional=True,
    )
    whatsapp_360dialog_platform_secret: SecretStr | None = _about(
        None,
        _MESSAGING,
        "Signs what 360dialog sends to partners, and what we send tenants there with.",
        "the platform secret from the Partner Hub",
        "…",
        optional=True,
    )
    whatsapp_360dialog_redirect_uri: HttpUrl | None = _about(
        None,
        _MESSAGING,
        "Where 360dialog sends tenants back to, as the Partner Hub has it.",
        _HTTP,
        "https://voice.example.fr/oauth/360dialog/callback",
        shown="`PUBLIC_URL/oauth/360dialog/callback`",
        optional=True,
    )

    # ------------------------------------------------------------------------------ validation

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {
            name: value
            for name, value in values.items()
            if not (isinstance(value, str) and not value.strip())
        }

    @model_validator(mode="after")
    def _sessions_agree(self) -> "Settings":
        """One way of signing, with what it needs."""
        if self.jwt_algorithm == "HS256" and self.jwt_jwks_url:
            raise ValueError("JWT_JWKS_URL goes with JWT_ALGORITHM=RS256 or ES256, not with HS256")
        if self.jwt_algorithm != "HS256" and not self.jwt_jwks_url:
            raise ValueError(f"JWT_ALGORITHM={self.jwt_algorithm} needs JWT_JWKS_URL: set it")
        if self.jwt_algorithm != "HS256" and self.jwt_secret:
            raise ValueError("JWT_SECRET goes with JWT_ALGORITHM=HS256: remove one of them")
        return self

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        """What is right by itself may be wrong beside another."""
        if self.metrics_port == self.port:
            raise ValueError("METRICS_PORT is the same as PORT: choose another one")
        if self.silence_goodbye_seconds <= self.silence_prompt_seconds * self.silence_prompts:
            raise ValueError(
                "SILENCE_GOODBYE_SECONDS ends the call before the last re-prompt: make it more "
                "than SILENCE_PROMPT_SECONDS × SILENCE_PROMPTS "
                f"({self.silence_prompt_seconds * self.silence_prompts:g})"
            )
        if self.twilio_fallback_url and host_of(self.twilio_fallback_url) == host_of(
            self.public_url
        ):
            raise ValueError(
                "TWILIO_FALLBACK_URL is on the host of PUBLIC_URL and would fail together with "
                "it: use a TwiML Bin or another host"
            )
        if self.encryption_key and self.encryption_keys:
            alone = key_bytes(self.encryption_key)
            if self.ring_keys.get(1) != alone:
                raise ValueError(
                    "ENCRYPTION_KEY isn't version 1 of ENCRYPTION_KEYS: remove ENCRYPTION_KEY, or, "
                    "while anything is sealed with it, add it there as 1:<key>"
                )
        return self

    # --------------------------------------------------------------------------------- sources

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `.env`."""
        return init_settings, env_settings, dotenv_settings

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """From these values alone (names in lower case); raises SettingsError."""
        return _build(_Given, values)

    # ------------------------------------------------------------------------------ what follows

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """The Twilio auth tokens that are accepted; the first one is ours to use."""
        if self.twilio_auth_token is None:
            return ()
        return tuple(t.strip() for t in self.twilio_auth_token.get_secret_value().split(","))

    @property
    def own_numbers(self) -> frozenset[str]:
        """Numbers of ours that the settings name, in E.164."""
        ours = (self.twilio_phone_number, self.twilio_sms_from)
        return frozenset(number for number in ours if number and number.startswith("+"))

    @property
    def sends_sms(self) -> bool:
        """Whether there is an account, and somebody to send SMS as."""
        sender = self.twilio_sms_from or self.twilio_messaging_service_sid
        return bool(self.twilio_account_sid and self.auth_tokens and sender)

    def model_server(self, kind: Literal["stt", "llm", "tts"]) -> ModelServer | None:
        """The server of this link of the cascade, if it is there with all that it needs."""
        address, model = getattr(self, f"{kind}_base_url"), getattr(self, f"{kind}_model")
        if address is None or model is None or (kind == "tts" and not self.tts_voices):
            return None
        key: SecretStr | None = getattr(self, f"{kind}_api_key")
        return ModelServer(address, key.get_secret_value() if key else "", model)

    @property
    def tts_voices(self) -> dict[str, str]:
        """The cascade's voice by the agent's gender; {}: none is set."""
        if self.tts_voice_female is None:
            return {}
        return {
            "female": self.tts_voice_female,
            "male": self.tts_voice_male or self.tts_voice_female,
        }

    @property
    def ring_keys(self) -> dict[int, bytes]:
        """The encryption keys, 32 bytes each, by version, the one that seals first; {}: none."""
        if self.encryption_keys is not None:
            written = key_texts(self.encryption_keys)
            return {version: key_bytes(SecretStr(text)) for version, text in written.items()}
        return {} if self.encryption_key is None else {1: key_bytes(self.encryption_key)}

    @property
    def database_name(self) -> str:
        """DATABASE_URL without user and password, for messages."""
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret as it would look in a text, so that logs can leave it out."""
        # Of the database's address only the password is: its name may be told.
        names = type(self).model_fields.keys() - {"database_url"}
        given = (getattr(self, name) for name in names if self.is_set(name))
        values = [value.get_secret_value() for value in given if isinstance(value, SecretStr)]
        password = urlsplit(self.database_url.get_secret_value()).password
        keys = key_texts(self.encryption_keys).values() if self.encryption_keys else ()
        # However a key is written where it shows up.
        written = (form for key in self.ring_keys.values() for form in _spellings(key))
        return (*values, *self.auth_tokens, *keys, *written, *([password] if password else []))

    def is_set(self, name: str) -> bool:
        """Whether this variable (in lower case) was given rather than left to its default."""
        return name in self.model_fields_set

    def missing(self) -> tuple[Missing, ...]:
        """What isn't set and keeps something from working."""
        return tuple(
            Missing(name.upper(), meanwhile, f"set it to {about.expects}.")
            for name, about in described()
            if (meanwhile := self._half_a_server(name) or about.meanwhile)
            and not (about.optional and not self._half_a_cascade(name))
            and not self.is_set(name)
            and not self._has_another(name)
        )

    def _half_a_cascade(self, name: str) -> bool:
        """It is missing in a cascade of which there are other parts. (A language model alone is a
        whole: calls by turns use it.)"""
        if not name.endswith("_base_url"):
            return False
        others = any(self.is_set(f"{kind}_base_url") for kind in ("stt", "tts"))
        return others or self.is_set(f"{name[:3]}_model")

    def _half_a_server(self, name: str) -> str:
        """What doesn't work because an address of the cascade stands alone."""
        kind = name[:3]
        if name not in _GO_WITH_ADDRESS or not self.is_set(f"{kind}_base_url"):
            return ""
        return f"{kind.upper()}_BASE_URL is of no use without it, and there is no cascade."

    def _has_another(self, name: str) -> bool:
        """Whether the older spelling of this variable is given."""
        return name == "encryption_keys" and self.is_set("encryption_key")


class _Given(Settings):
    """Settings from arguments alone: neither environment nor file is looked at."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def load(env_file: Path | None = ENV_FILE) -> Settings:
    """The settings of this process. Raises SettingsError with a line per wrong variable."""
    return _build(Settings, {"_env_file": env_file})


def unknown(env_file: Path | None) -> tuple[str, ...]:
    """What a file of settings names and nobody reads, each with the name that was perhaps meant."""
    known = [name.upper() for name in Settings.model_fields]
    given = dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
    return tuple(
        f"{name} is no setting"
        + "".join(f"; {near} is" for near in get_close_matches(name, known, 1))
        for name in given
        if name.upper() not in known
    )


def described() -> Iterator[tuple[str, About]]:
    """Every variable (in lower case) with what is said of it, in order of appearance."""
    for name, info in Settings.model_fields.items():
        extra = cast(Mapping[str, Any], info.json_schema_extra)
        yield name, extra["about"]


def host_of(url: str) -> str:
    """The host name of an address, in lower case."""
    return (urlsplit(url).hostname or "").lower()


def child_environment(**variables: str) -> dict[str, str]:
    """For a child process: what a program needs to run at all, and `variables`; no key of ours."""
    kept = {name: value for name in _HARMLESS if (value := os.environ.get(name))}  # noqa: TID251
    return {**kept, **variables}


_GO_WITH_ADDRESS = ("stt_model", "llm_model", "tts_model", "tts_voice_female")

#: What a child needs to find programs, its home and the terminal's language.
_HARMLESS = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TMPDIR", "TZ")


def _build(kind: type[Settings], values: dict[str, Any]) -> Settings:
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsError(tuple(_lines(error))) from None


def _lines(error: ValidationError) -> Iterator[str]:
    """One line per wrong variable: its name, what is wrong, the cure. Never its value."""
    about = dict(described())
    seen: set[str] = set()
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "default_factory_not_called":
            continue  # a consequence of another wrong one, which has its own line
        cause = problem.get("ctx", {}).get("error")
        what = str(cause) if isinstance(cause, ValueError) else _lower(problem["msg"])
        if not problem["loc"]:
            yield f"{what}."
            continue
        name = str(problem["loc"][0])
        if name in seen:
            continue
        seen.add(name)
        yield (
            f"{name.upper()} {what}. Cure: set it to {about[name].expects} "
            f"(for example {about[name].example}), or remove it."
        )


def _spellings(key: bytes) -> tuple[str, ...]:
    """The ways to write a key."""
    base64s = (base64.b64encode(key), base64.urlsafe_b64encode(key))
    return (key.hex(), key.hex().upper(), *(each.decode().rstrip("=") for each in base64s))


def _lower(message: str) -> str:
    """Pydantic's "Input should be …" as the rest of our sentence."""
    return message.replace("Input should be", "should be", 1)

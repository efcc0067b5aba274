"""What can be checked before somebody calls: each finding with its cure."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
from sqlalchemy.engine import make_url

from domain.clock import Clock
from domain.errors import CoccinelleError, ProviderError
from providers.http import Answer, HttpDoor, Limits
from providers.twilio.rest import TwilioAccount, TwilioNumbers, differences
from server.doctor_findings import Finding, ok
from server.doctor_state import behind, check_state
from server.key_ring import key_ring
from server.knowledge import passage_index
from server.setting_values import STREAM_PATH
from server.settings import Settings, host_of
from server.twilio_numbers import account, is_ours, our_numbers, wanted
from storage import Storage
from storage.database import Database, schema_state

#: Nobody waits longer for a diagnosis; a caller would have hung up.
LIMITS = Limits(connect=3.0, read=5.0, total=8.0, attempts=1)
#: Above this a machine has no time service, and one-time tokens and signatures begin to suffer.
CLOCK_SKEW_SECONDS = 5.0
#: A secret that is shorter can be guessed.
SHORTEST_KEY = 16
SLOW_DATABASE_SECONDS = 0.2
#: The most credentials named that can't be opened: with a wrong key it is all of them.
MOST_NAMED = 5

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
#: Without these no call is answered.
_VITAL = {"PUBLIC_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "OPENAI_API_KEY"}


class _Health(msgspec.Struct):
    status: str = ""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


async def examine(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """All checks, one after the other; each bounded in time."""
    for finding in check_settings(settings):
        yield finding
    numbers: list[str] = []
    async for finding in _database(settings, clock, numbers):
        yield finding
    for finding in check_public_url(settings):
        yield finding
    async for finding in _reach(settings):
        yield finding
    async for finding in _twilio(settings, numbers):
        yield finding
    async for finding in _openai(settings, clock):
        yield finding
    async for finding in check_pinecone(settings):
        yield finding


# ---------------------------------------------------------------------------------- settings


def check_settings(settings: Settings) -> list[Finding]:
    """What is missing or weak."""
    found = [
        Finding(
            "fail" if each.variable in _VITAL else "warn",
            f"{each.variable} is not set: {each.meanwhile}",
            each.cure,
        )
        for each in settings.missing()
    ]
    sid = settings.twilio_account_sid
    if sid and not re.fullmatch(r"AC[0-9a-f]{32}", sid):
        found.append(
            Finding(
                "warn",
                "TWILIO_ACCOUNT_SID doesn't look like one",
                "copy it from the Twilio console: AC and 32 hexadecimal digits",
            )
        )
    for name in ("admin_api_key", "metrics_token", "vapi_webhook_secret"):
        secret = getattr(settings, name)
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_KEY:
            found.append(
                Finding("warn", f"{name.upper()} is short", "`openssl rand -hex 24` makes one")
            )
    return found or [ok("settings")]


# ---------------------------------------------------------------------------------- database


async def _database(settings: Settings, clock: Clock, numbers: list[str]) -> AsyncIterator[Finding]:
    """Also collects our numbers for the checks that follow."""
    configured = [settings.twilio_phone_number] if settings.twilio_phone_number else []
    if _is_still_to_be_made(settings):
        # Not made here: it would belong to whoever asks the doctor, perhaps to root.
        numbers += configured
        yield ok(f"database {settings.database_name} will be created at the first start")
        return
    url = settings.database_url.get_secret_value()
    try:
        state = await schema_state(url)
        if state.known and state.revision != state.head:
            # Not brought up to date here: a server of another version may be running on it.
            numbers += configured
            yield behind(settings, state)
            return
        database = await Database.open(url)
        try:
            began = clock.monotonic()
            await database.ping()
            seconds = clock.monotonic() - began
            storage = Storage(database, clock, key_ring(settings))
            numbers += await our_numbers(settings, storage)
            stored = await check_secrets(storage)
            async for finding in check_state(state, database, storage, clock):
                stored.append(finding)
        finally:
            await database.close()
    except CoccinelleError as error:
        yield Finding("fail", f"database: {error}", "see DATABASE_URL in docs/settings.md")
        return
    what = f"database {settings.database_name} answers in {seconds * 1000:.0f} ms"
    if seconds > SLOW_DATABASE_SECONDS:
        yield Finding("warn", what, "put it nearer: callers wait for it before they are answered")
    else:
        yield ok(what)
    for finding in stored:
        yield finding


async def check_secrets(storage: Storage) -> list[Finding]:
    """Whether everything that tenants entrusted to us can be opened, and with the newest key."""
    census = await storage.sealed_rows.census()
    # Each reason names its own cure.
    found = [Finding("fail", each.reason) for each in census.unopened[:MOST_NAMED]]
    if len(census.unopened) > MOST_NAMED:
        more = len(census.unopened) - MOST_NAMED
        found.append(Finding("fail", f"{more} more credentials can't be opened"))
    if census.waiting:
        found.append(
            Finding(
                "warn",
                f"{census.waiting} credentials are still sealed with an older key",
                "`coccinelle secrets rotate`; until then keep that key in ENCRYPTION_KEYS",
            )
        )
    total = sum(census.versions.values())
    return found or ([ok(f"all {total} sealed credentials open")] if total else [])


def _is_still_to_be_made(settings: Settings) -> bool:
    url = make_url(settings.database_url.get_secret_value())
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


# ---------------------------------------------------------------------------- our own address


def check_public_url(settings: Settings) -> list[Finding]:
    """What can be said of it without asking it."""
    url = settings.public_url
    if host_of(url) in _LOOPBACK:
        return [
            Finding(
                "warn",
                f"PUBLIC_URL {url} is this machine: Twilio can't reach it",
                "set it to the address of the TLS proxy in front (docs/deploy.md)",
            )
        ]
    found = []
    for name, address in (("PUBLIC_URL", url), ("STREAM_URL", settings.stream_url)):
        if not address.startswith(("https://", "wss://")):
            found.append(
                Finding(
                    "fail",
                    f"{name} {address} isn't encrypted: Twilio opens streams over wss:// only",
                    "put a TLS proxy in front (docs/deploy.md) and use https://",
                )
            )
    return found


async def _reach(settings: Settings) -> AsyncIterator[Finding]:
    """Our own address, asked as the world would."""
    async with HttpDoor("PUBLIC_URL", settings.public_url, limits=LIMITS) as door:
        try:
            answer = await door.request("GET", "healthz")
            live = answer.read(_Health).status == "live"
        except ProviderError as error:
            yield Finding(
                "warn" if host_of(settings.public_url) in _LOOPBACK else "fail",
                f"{settings.public_url}/healthz: {error.reason}",
                "is the server running, and does the proxy lead to it?",
            )
            return
    if not live:
        yield Finding(
            "fail",
            f"{settings.public_url} is answered by something else",
            "let the proxy lead to HOST:PORT of this server",
        )
        return
    yield ok(f"{settings.public_url} is this server")
    yield await _handshake(settings)


#: A websocket's opening request (RFC 6455 §1.3, its own example key), without Twilio's signature.
_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def _handshake(settings: Settings) -> Finding:
    """An unsigned handshake must reach us as one, which shows in our refusing it with 403."""
    base = settings.stream_url.replace("ws", "http", 1).removesuffix(STREAM_PATH)
    status: int | None = None
    async with HttpDoor("STREAM_URL", base, headers=_HANDSHAKE, limits=LIMITS) as door:
        try:
            status = (await door.request("GET", STREAM_PATH)).status
        except ProviderError as error:
            status = error.status
    if status == 403:
        return ok(f"{settings.stream_url} takes websockets, and refuses unsigned ones")
    if status == 101:
        return Finding(
            "fail",
            f"{settings.stream_url} accepts a websocket without Twilio's signature",
            "something else answers there: let the proxy lead to this server",
        )
    return Finding(
        "fail",
        f"{settings.stream_url} takes no websocket (status {status})",
        "let the proxy pass `Upgrade` and `Connection` on (docs/deploy.md)",
    )


# ------------------------------------------------------------------------------------- Twilio


async def _twilio(settings: Settings, numbers: list[str]) -> AsyncIterator[Finding]:
    if not (settings.twilio_account_sid and settings.auth_tokens):
        return  # named among the settings already
    async with account(settings) as twilio:
        try:
            await twilio.get("IncomingPhoneNumbers.json", PageSize="1")
        except ProviderError as error:
            cure = (
                "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN in the Twilio console"
                if error.status in (401, 403, 404)
                else "is this machine allowed to reach TWILIO_API_BASE_URL?"
            )
            yield Finding("fail", f"Twilio: {error.reason}", cure)
            return
        yield ok("Twilio accepts our credentials")
        for number in numbers:
            yield await _number(twilio, number, settings)


async def _number(twilio: TwilioAccount, number: str, settings: Settings) -> Finding:
    provision = "run `coccinelle provision --twilio`"
    try:
        found = await TwilioNumbers(twilio).find(number)
    except ProviderError as error:
        return Finding("fail", f"{number}: {error.reason}", "try again")
    if found is None:
        return Finding(
            "fail", f"{number} isn't in this Twilio account", "correct TWILIO_PHONE_NUMBER"
        )
    wrong = differences(found, wanted(settings))
    if wrong:
        return Finding("fail", f"{number} calls other addresses: {', '.join(wrong)}", provision)
    if not found.voice_fallback_url:
        return Finding("warn", f"{number} has no fallback for when we don't answer", provision)
    if is_ours(found.voice_fallback_url, settings):
        return Finding("warn", f"{number} falls back to our own host", provision)
    return ok(f"{number} calls us, and falls back to {host_of(found.voice_fallback_url)}")


# ------------------------------------------------------------------------------------- OpenAI


async def _openai(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    key = settings.openai_api_key
    if key is None:
        return  # named among the settings already
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
    async with HttpDoor("openai", settings.openai_base_url, headers=headers, limits=LIMITS) as door:
        try:
            answer = await door.request("GET", "models")
            models = {each.id for each in answer.read(_Models).data}
        except ProviderError as error:
            yield _openai_failed(error)
            return
    yield ok("OpenAI accepts our key")
    for name in ("realtime_model", "realtime_transcription_model"):
        model = getattr(settings, name)
        if model not in models:
            yield Finding(
                "warn",
                f"{name.upper()} {model} isn't among the models of this key",
                "give the key's project access to it, or set another one",
            )
    yield check_clock(answer, clock.now())


async def check_pinecone(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the index answers, asked for a tenant that doesn't exist."""
    if (settings.pinecone_api_key is None) != (settings.pinecone_host is None):
        yield Finding(
            "fail",
            "of PINECONE_API_KEY and PINECONE_HOST only one is set",
            "set both, or neither; the server doesn't start like this",
        )
        return
    async with passage_index(settings) as index:
        if index is None:
            return
        try:
            await index.query("doctor", "vidange", 1)
        except ProviderError as error:
            if error.status == 404:
                # The index answered; nobody has written to this namespace. A wrong address
                # answers so as well: then indexing fails, which `coccinelle jobs dead` shows.
                yield ok("Pinecone answers")
                return
            yield Finding(
                "fail",
                f"Pinecone: {error.reason}",
                "check PINECONE_API_KEY and PINECONE_HOST, and that the index has the embedded "
                "field of docs/decisions/0017-pinecone.md; until then the embedded search answers",
            )
            return
    yield ok("Pinecone answers")


def _openai_failed(error: ProviderError) -> Finding:
    if error.status in (401, 403):
        return Finding("fail", f"OpenAI refuses our key ({error.reason})", "check OPENAI_API_KEY")
    if error.status == 404 or error.code == "unexpected_answer":
        return Finding(
            "warn",
            "OPENAI_BASE_URL lists no models, so the key and the model can't be checked",
            "if it isn't OpenAI's, that may be all right",
        )
    return Finding(
        "fail", f"OpenAI: {error.reason}", "is this machine allowed to reach OPENAI_BASE_URL?"
    )


def check_clock(answer: Answer, now: datetime) -> Finding:
    """Ours against that of whoever answered (to the second)."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        skew = abs((now - theirs).total_seconds())
    except (ValueError, TypeError):  # none, or one without a zone
        return Finding("warn", "the clock can't be compared", "check it by hand: `timedatectl`")
    if skew > CLOCK_SKEW_SECONDS:
        return Finding(
            "warn", f"the clock is {skew:.0f} s off", "let the machine keep time: `timedatectl`"
        )
    return ok("the clock is right")

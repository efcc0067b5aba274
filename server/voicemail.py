"""The job that writes a voicemail's words down: the recording from Twilio, its text onto the
ticket.

Nobody else's address is dialled: the recording's is built from its id, below the API that the
operator set, which alone is given the account's token.
"""

import io
import wave
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import structlog

from domain.errors import ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from domain.messages import text
from domain.speech import SpeechToText
from providers.twilio.rest import LIMITS, TwilioAccount
from server.models import speech_to_text
from server.settings import Settings
from storage import Storage
from voice.twiml import VOICEMAIL_SECONDS
from voice.voicemail import TRANSCRIBE

log = structlog.get_logger(__name__)

#: Twilio's WAV: 8 kHz, 16 bit, mono; twice as much, for its header and a rate that it may raise.
_BYTES: Final = 2 * VOICEMAIL_SECONDS * 8000 * 2
_LIMITS: Final = replace(LIMITS, response_bytes=_BYTES, read=15.0, total=40.0)


def voicemail_jobs(settings: Settings, storage: Storage) -> list[JobKind]:
    """None without a transcriber: the recording can be listened to."""
    if settings.model_server("stt") is None:
        return []

    async def run(job: Job) -> Again | None:
        async with AsyncExitStack() as stack:
            account = await stack.enter_async_context(
                TwilioAccount(
                    settings.twilio_api_base_url,
                    settings.twilio_account_sid or "",
                    settings.auth_tokens[0] if settings.auth_tokens else "",
                    limits=_LIMITS,
                )
            )
            transcriber = speech_to_text(settings)
            assert transcriber is not None, "the job is only there with one"
            stack.push_async_callback(transcriber.aclose)
            await transcribe(job, storage, account, transcriber)
        return None

    backoff = Backoff(first=10.0, longest=1800.0, attempts=8)
    return [JobKind(TRANSCRIBE, run, vendor="twilio", time_limit=90.0, backoff=backoff)]


async def transcribe(
    job: Job, storage: Storage, account: TwilioAccount, transcriber: SpeechToText
) -> None:
    """Add the words to the ticket, once. Nothing to do when the ticket is gone, or has them.
    Raises ProviderError."""
    assert job.tenant_id is not None, "a voicemail is a tenant's"
    ticket_id, recording = str(job.payload["ticket_id"]), str(job.payload["recording"])
    handle = storage.tenant(job.tenant_id)
    async with handle.read() as rows:
        ticket = await rows.tickets.get(ticket_id)
        tenant = await rows.tenant()
    if ticket is None or _MARK in (ticket.description or ""):
        return
    pcm, rate = await _recording(account, recording)
    words = (await transcriber.transcribe(pcm, rate, tenant.locale[:2])).strip()
    said = text(tenant.locale, "voicemail_text", words=words) if words else ""
    said = said or text(tenant.locale, "voicemail_no_words")
    async with handle.write() as rows:
        await rows.tickets.describe(ticket_id, f"{ticket.description or ''}{_MARK}{said}")
    log.info("voicemail.transcribed", tenant_id=job.tenant_id, found_words=bool(words))


#: Between the recording's address and its words.
_MARK: Final = "\n\n"


async def _recording(account: TwilioAccount, recording: str) -> tuple[bytes, int]:
    """Its samples and their rate. One that isn't there yet is asked for again."""
    try:
        answer = await account.get(f"Recordings/{recording}.wav")
    except ProviderError as error:
        if error.status == 404:
            raise ProviderError(
                error.vendor, error.reason, retryable=True, status=404, code=error.code
            ) from error
        raise
    try:
        with wave.open(io.BytesIO(answer.body)) as file:
            if file.getnchannels() != 1 or file.getsampwidth() != 2:
                raise wave.Error("neither mono nor 16 bit")
            return file.readframes(file.getnframes()), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ProviderError(
            "twilio", "not a recording as documented", retryable=False, code="unexpected_answer"
        ) from error

"""A voicemail is written down: the recording from an emulated Twilio, its words onto the ticket."""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.errors import ProviderError
from domain.jobs import Job
from providers.twilio.rest import TwilioAccount
from server.clock import SystemClock
from server.voicemail import transcribe, voicemail_jobs
from storage import NewTicket, Storage
from storage.database import Database
from tests.databases import migrated_file
from tests.fakes.scripted_http import ScriptedHttp, answer, scripted
from tests.running import ACCOUNT, TOKEN, settings

RECORDING = "RE" + "7" * 32


class Writer:
    """A SpeechToText that says what it was given."""

    name = "writer"

    def __init__(self, words: str = "Rappelez-moi.") -> None:
        self.words = words
        self.heard: list[tuple[int, int, str]] = []

    async def transcribe(self, pcm: bytes, rate: int, language: str, hint: str = "") -> str:
        self.heard.append((len(pcm), rate, language))
        return self.words


def wav(channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\1" * 8000 * channels)
    return file.getvalue()


class Mailbox:
    """A tenant with one ticket, and the job about it."""

    def __init__(self, storage: Storage, tenant_id: str, ticket_id: str, base: str) -> None:
        self.storage, self.tenant_id, self.ticket_id = storage, tenant_id, ticket_id
        self.base = base

    async def work(self, writer: Writer) -> None:
        payload = {"call_id": "c", "ticket_id": self.ticket_id, "recording": RECORDING}
        job = Job("1", "voicemail.transcribe", payload, 1, self.tenant_id)
        async with TwilioAccount(self.base, ACCOUNT, TOKEN) as account:
            await transcribe(job, self.storage, account, writer)

    async def description(self) -> str:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            ticket = await rows.tickets.get(self.ticket_id)
        assert ticket is not None
        return ticket.description or ""


@asynccontextmanager
async def mailbox(directory: Path, rest: ScriptedHttp) -> AsyncIterator[Mailbox]:
    database = await Database.open(migrated_file(directory / "test.sqlite3"))
    try:
        storage = Storage(database, SystemClock())
        tenant = await storage.operator.create_tenant("Garage du Port")
        async with storage.tenant(tenant.id).write() as rows:
            ticket_id = await rows.tickets.add(NewTicket("Appelant", "Message", description="Où ?"))
        yield Mailbox(storage, tenant.id, ticket_id, rest.url)
    finally:
        await database.close()


async def test_the_words_are_added_once(tmp_path: Path) -> None:
    async with scripted(answer(200, wav())) as rest, mailbox(tmp_path, rest) as box:
        writer = Writer()
        for _ in range(2):
            await box.work(writer)
        assert await box.description() == "Où ?\n\nTranscription automatique : Rappelez-moi."
        assert writer.heard == [(16000, 8000, "fr")]
        (got,) = rest.got
        assert got.target == f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}.wav"
        assert got.headers["authorization"].startswith("Basic ")


async def test_no_words_are_said_to_be_none(tmp_path: Path) -> None:
    async with scripted(answer(200, wav())) as rest, mailbox(tmp_path, rest) as box:
        await box.work(Writer(""))
        assert "aucune parole" in await box.description()


@pytest.mark.parametrize(
    ("reply", "retryable"),
    [
        (answer(404, {"code": 20404}), True),
        (answer(200, b"<html>"), False),
        (answer(200, wav(2)), False),
    ],
)
async def test_recordings_that_are_not_there_yet_and_what_is_none(
    tmp_path: Path, reply: bytes, retryable: bool
) -> None:
    async with scripted(reply) as rest, mailbox(tmp_path, rest) as box:
        with pytest.raises(ProviderError) as error:
            await box.work(Writer())
        assert error.value.retryable is retryable
        assert await box.description() == "Où ?"


def test_without_a_transcriber_there_is_no_such_job(tmp_path: Path) -> None:
    storage: Storage = None  # type: ignore[assignment]  # not looked at
    assert voicemail_jobs(settings(tmp_path), storage) == []
    models = {"stt_base_url": "http://127.0.0.1:1/v1", "stt_model": "m"}
    (kind,) = voicemail_jobs(settings(tmp_path, **models), storage)
    assert kind.name == "voicemail.transcribe"

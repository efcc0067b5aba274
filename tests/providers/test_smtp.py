"""E-mail by a tenant's server, over real SMTP with TLS: what goes out, and what refusals mean."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.mail_servers import MailServer
from messaging.email import compose, email_of, wire
from messaging.ports import (
    Accepted,
    Attachment,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    Sender,
    TryLater,
    UnknownOutcome,
)
from providers import smtp
from providers.guarded import GuardedDoor, GuardLimits
from providers.smtp import Letter, SmtpTexts
from sandbox.smtp import Mishap, SmtpEmulator

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
USER, PASSWORD = "salon@example.fr", "pässwörd-1234"
TEXT = OutgoingText(
    "0" * 32,
    "tenant",
    "email",
    "lea@client.example",
    "Bonjour Léa,\n.\nVotre rendez-vous est confirmé.",
    subject="Rendez-vous confirmé",
    message_id="<text-1@example.fr>",
)


def letter(text: OutgoingText, server: MailServer) -> Letter:
    email = email_of(text, server.sender, server.sender_name, NOW)
    return Letter(email.message_id, server.sender, text.to, wire(compose(email)))


def credentials(where: int, password: str = PASSWORD, **more: Any) -> Credentials:
    server = {"host": "127.0.0.1", "port": where, "secure": True, "user": USER}
    server |= {"fromEmail": USER, "fromName": "Salon Élégance", **more}
    return Credentials({"smtp": server}, {"smtp.password": password})


def sender(emulator: SmtpEmulator, *, tls: bool = False, open_door: bool = True) -> SmtpTexts:
    door = GuardedDoor(
        ["127.0.0.0/8"] if open_door else [], limits=GuardLimits(floor=0.0), trust=emulator.trust
    )
    ports = frozenset({emulator.port}) if tls else frozenset[int]()
    return SmtpTexts(door, letter, trust=emulator.trust, tls_ports=ports)


@contextlib.asynccontextmanager
async def running(*mishaps: Mishap, **more: Any) -> AsyncIterator[tuple[SmtpEmulator, SmtpTexts]]:
    async with SmtpEmulator({USER: PASSWORD}, **more) as emulator:
        emulator.mishaps.extend(mishaps)
        yield emulator, sender(emulator, tls=bool(more.get("tls_first")))


@pytest.mark.parametrize("tls_first", [False, True])
async def test_a_message_arrives_over_tls(tls_first: bool) -> None:
    async with running(tls_first=tls_first) as (emulator, texts):
        port: Sender = texts
        found = await port.send(TEXT, credentials(emulator.port))
        assert found == Accepted("<text-1@example.fr>", "sent", sender=USER)
        (received,) = emulator.inbox
        assert (received.sender, received.recipients) == (USER, ("lea@client.example",))
        message = received.message
        assert message["From"] == "Salon Élégance <salon@example.fr>"
        assert message["Subject"] == "Rendez-vous confirmé"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content().splitlines() == TEXT.body.splitlines()
        # What was said before TLS: no word of who we are.
        plain = [line.text.split(" ")[0] for line in emulator.said if not line.secret]
        assert plain == ([] if tls_first else ["EHLO", "STARTTLS"])
        assert emulator.logins == {USER: 1}


async def test_an_invitation_is_an_alternative_and_a_file() -> None:
    invitation = Attachment(
        "rendez-vous.ics", "text/calendar; method=REQUEST", "BEGIN:VCALENDAR\r\n", alternative=True
    )
    async with running() as (emulator, texts):
        text = OutgoingText(
            "1" * 32, "t", "email", "lea@client.example", "Oui", subject="RDV",
            attachments=(invitation,), html="<p>Oui</p>",
            unsubscribe_url="https://voice.example.fr/u/" + "x" * 100,
        )  # fmt: skip
        await texts.send(text, credentials(emulator.port))
        message = emulator.inbox[0].message
        kinds = [part.get_content_type() for part in message.walk()]
        assert kinds == [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/html",
            "text/calendar",
            "application/ics",
        ]
        calendar = next(p for p in message.walk() if p.get_content_type() == "text/calendar")
        assert calendar.get_param("method") == "REQUEST"
        assert message["Message-ID"] == f"<{'1' * 32}@example.fr>"
        assert message["List-Unsubscribe"] == f"<{text.unsubscribe_url}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_a_server_whose_starttls_was_stripped_never_hears_the_password() -> None:
    async with running(strips_starttls=True) as (emulator, texts):
        with pytest.raises(ChannelPaused) as refused:
            await texts.send(TEXT, credentials(emulator.port))
        assert refused.value.code == "no_tls"
        assert [line.text.split(" ")[0] for line in emulator.said] == ["EHLO"]
        assert not emulator.logins


@pytest.mark.parametrize("more", [{"names": ("mail.elsewhere.fr",)}, {"expired": True}])
async def test_a_wrong_certificate_is_the_end(more: dict[str, Any]) -> None:
    async with running(**more) as (emulator, texts):
        with pytest.raises(ChannelPaused) as refused:
            await texts.send(TEXT, credentials(emulator.port))
        assert refused.value.code == "bad_certificate"
        assert not emulator.logins


async def test_a_wrong_password_is_tried_once() -> None:
    async with running() as (emulator, texts):
        with pytest.raises(ChannelPaused) as refused:
            await texts.send(TEXT, credentials(emulator.port, "wrong"))
        assert refused.value.code == "535 5.7.8"
        assert "wrong" not in str(refused.value)
        assert emulator.logins == {USER: 1}
        with pytest.raises(ChannelPaused):
            await texts.check(credentials(emulator.port, "wrong"))
        await texts.check(credentials(emulator.port))
        assert emulator.inbox == []


@pytest.mark.parametrize(
    ("mishap", "kind", "code", "after"),
    [
        (Mishap("connect", "421 4.3.2 Closing"), TryLater, "421 4.3.2", 300.0),
        (Mishap("auth", "454 4.7.0 Too many logins"), TryLater, "454 4.7.0", 900.0),
        (Mishap("auth", "534 5.7.9 Application-specific password"), ChannelPaused, "534 5.7.9", 0),
        (Mishap("auth", "535 5.7.139 SmtpClientAuthentication"), ChannelPaused, "535 5.7.139", 0),
        (Mishap("mail", "550 5.7.30 Basic authentication"), ChannelPaused, "550 5.7.30", 0),
        (Mishap("mail", "550 5.4.5 Daily limit"), TryLater, "550 5.4.5", 86400.0),
        (Mishap("mail"), TryLater, "connect", 300.0),
        (Mishap("rcpt", "354 What"), TryLater, "354", 300.0),
        (Mishap("rcpt", "450 4.2.1 Rate"), TryLater, "450 4.2.1", 300.0),
        (Mishap("rcpt", "552 5.2.2 Full"), TryLater, "552 5.2.2", 86400.0),
        (Mishap("rcpt", "550 5.1.1 lea@client.example"), Refused, "550 5.1.1", 0),
        (Mishap("data", "452 4.3.1 Disk"), TryLater, "452 4.3.1", 300.0),
        (Mishap("body", "554 5.7.1 Spam"), Refused, "554 5.7.1", 0),
        (Mishap("body", "550 5.7.26 SPF"), Refused, "550 5.7.26", 0),
        (Mishap("body"), UnknownOutcome, "no_reply", 0),
        (Mishap("accepted"), UnknownOutcome, "no_reply", 0),
    ],
    ids=lambda value: f"{value.at} {value.reply[:9]}" if isinstance(value, Mishap) else "",
)
async def test_what_refusals_mean(
    mishap: Mishap, kind: type[Exception], code: str, after: float
) -> None:
    async with running(mishap) as (emulator, texts):
        with pytest.raises(kind) as refused:
            await texts.send(TEXT, credentials(emulator.port))
        assert getattr(refused.value, "code", None) == code
        assert (getattr(refused.value, "after", None) or 0) == after
        assert "lea@" not in str(refused.value)


async def test_421_then_250_is_one_mail_of_the_same_id() -> None:
    async with running(Mishap("data", "421 4.7.0 Later")) as (emulator, texts):
        with pytest.raises(TryLater):
            await texts.send(TEXT, credentials(emulator.port))
        await texts.send(TEXT, credentials(emulator.port))
        assert [each.message["Message-ID"] for each in emulator.inbox] == ["<text-1@example.fr>"]


async def test_silence_after_the_message_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "DATA_SECONDS", 0.1)
    async with running(Mishap("accepted", hang=True)) as (emulator, texts):
        with pytest.raises(UnknownOutcome):
            await texts.send(TEXT, credentials(emulator.port))
        assert len(emulator.inbox) == 1


async def test_a_goodbye_that_is_never_said_undoes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtp, "TOTAL_SECONDS", 0.5)

    async def slow(client: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(smtp, "_leave", slow)
    async with running() as (emulator, texts):
        assert (await texts.send(TEXT, credentials(emulator.port))).status == "sent"


async def test_an_address_in_our_own_network_is_never_dialled() -> None:
    async with SmtpEmulator({USER: PASSWORD}) as emulator:
        texts = sender(emulator, open_door=False)
        with pytest.raises(ChannelPaused):  # a port that mail isn't submitted on
            await texts.send(TEXT, credentials(emulator.port))
        with pytest.raises(TryLater) as refused:
            await texts.send(TEXT, credentials(587))
        assert refused.value.code == "unreachable"
        assert emulator.connections == 0


async def test_nothing_is_sent_without_a_server_or_a_password() -> None:
    async with running() as (emulator, texts):
        for nothing in (Credentials(), credentials(emulator.port, ""), credentials(0, port="x")):
            assert not texts.usable(nothing)
        with pytest.raises(ChannelPaused):
            await texts.send(TEXT, Credentials())
        assert texts.sender(credentials(emulator.port)) == USER


@pytest.mark.parametrize("to", ["lea@a.fr, eve@b.fr", "lea@a.fr\r\nBcc: eve@b.fr", "léa", "@a.fr"])
async def test_what_is_no_single_address_is_refused(to: str) -> None:
    async with running() as (emulator, texts):
        text = OutgoingText("2" * 32, "t", "email", to, "Oui", subject="RDV")
        with pytest.raises(Refused):
            await texts.send(text, credentials(emulator.port))
        assert emulator.connections == 0

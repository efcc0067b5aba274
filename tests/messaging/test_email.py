"""E-mails that leave: one recipient, headers that nobody else writes, and a calendar."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from messaging.email import Email, address, ancestors, compose, message_id, one_line, wire
from messaging.ports import Attachment

EMAIL = Email(
    sender="salon@example.fr",
    recipient="lea@client.example",
    subject="Rendez-vous confirmé",
    text="Bonjour Léa,\nà mardi.",
    message_id="<1@example.fr>",
    sent_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
)
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted", "MIME-Version")


def arrived(email: Email) -> EmailMessage:
    parsed = message_from_bytes(wire(compose(email)), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_thread_is_kept() -> None:
    email = msgspec.structs.replace(
        EMAIL, in_reply_to="<b@x.fr>", references=("<a@x.fr>",), reply_to="boite@example.fr"
    )
    message = arrived(email)
    assert message["In-Reply-To"] == "<b@x.fr>"
    assert message["References"] == "<a@x.fr> <b@x.fr>"
    assert message["Reply-To"] == "boite@example.fr"
    assert message["Auto-Submitted"] == "auto-replied"


def test_ancestors_stay_within_a_line() -> None:
    many = tuple(f"<{n}{'x' * 80}@mail.example.fr>" for n in range(50))
    kept = ancestors("<last@x.fr>", many)
    assert len(" ".join(kept)) <= 900
    assert (kept[0], kept[-1], kept[-2]) == (many[0], "<last@x.fr>", many[-1])
    assert ancestors("<a@b.fr>", ("no id", "<a@b.fr>", "<x y@z>")) == ("<a@b.fr>",)


def test_long_ids_and_addresses_arrive_in_one_piece() -> None:
    url = "https://voice.example.fr/u/" + "a" * 400
    email = msgspec.structs.replace(
        EMAIL, message_id=message_id("x" * 120, "a@b.fr"), unsubscribe_url=url
    )
    message = arrived(msgspec.structs.replace(email, unsubscribe_mail="stop@example.fr"))
    assert message["Message-ID"] == f"<{'x' * 120}@b.fr>"
    assert message["List-Unsubscribe"] == f"<{url}>, <mailto:stop@example.fr?subject=unsubscribe>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_only_mail_unsubscribes_by_no_click() -> None:
    message = arrived(msgspec.structs.replace(EMAIL, unsubscribe_mail="stop@example.fr"))
    assert message["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": "a@b.fr, c@d.fr"},
        {"recipient": "a@b.fr\nBcc: c@d.fr"},
        {"recipient": '"a b"@c.fr'},
        {"recipient": "Léa <a@b.fr>"},
        {"recipient": "é@b.fr"},
        {"recipient": "a@b"},
        {"recipient": "a..b@c.fr"},
        {"recipient": "a" * 65 + "@c.fr"},
        {"sender": "a@-b.fr"},
        {"reply_to": "a@b.fr;c@d.fr"},
        {"message_id": "<a@b>\r\nBcc: c@d.fr"},
        {"message_id": "a@b"},
        {"in_reply_to": "<a b@c>"},
        {"unsubscribe_url": "http://a.fr/u"},
        {"unsubscribe_url": "https://a.fr/u>, <https://b.fr"},
        {"attachments": (Attachment("a", "image/png", ""),)},
        {"attachments": (Attachment("a", "text/x; n=1\r\nX: y", ""),)},
    ],
    ids=str,
)
def test_what_cant_be_a_header(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        compose(msgspec.structs.replace(EMAIL, **wrong))


_nasty = st.text(
    alphabet=st.characters() | st.sampled_from('\r\n\x00\x0b\x85\u2028:,;<>@"\\=?'), max_size=60
)


@given(subject=_nasty, name=_nasty, text=_nasty, html=_nasty, file=_nasty)
def test_nothing_that_is_said_becomes_a_header(
    subject: str, name: str, text: str, html: str, file: str
) -> None:
    email = msgspec.structs.replace(
        EMAIL,
        subject=f"{subject}\r\nBcc: eve@evil.example\r\n\r\n{subject}",
        sender_name=f"{name}\nBcc: eve@evil.example",
        text=text,
        html=html,
        attachments=(Attachment(file, "text/plain", text),),
    )
    content = wire(compose(email))
    assert content.isascii()
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    message = message_from_bytes(content, policy=policy.default)
    assert {each.lower() for each in message} <= {
        *(each.lower() for each in ONCE),
        "content-type",
    }
    assert [a.addr_spec for a in message["To"].addresses] == ["lea@client.example"]
    assert [a.addr_spec for a in message["From"].addresses] == ["salon@example.fr"]


def test_addresses() -> None:
    assert address("Lea.M+rdv@Exämple.FR") == "Lea.M+rdv@xn--exmple-cua.fr"
    assert one_line(" a\r\n\tb\u2028c\x00d ", 6) == "a b c"

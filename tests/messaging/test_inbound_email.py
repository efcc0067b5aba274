"""E-mails that arrive: what is new in them, who is vouched for, and whom not to answer."""

import contextlib
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from messaging.email import Email, compose, wire
from messaging.inbound_email import (
    MAX_TEXT,
    read_bounce,
    read_form,
    read_raw,
    without_history,
)

HEAD = b"From: L\xc3\xa9a <Lea@Client.example>\r\nTo: boite@in.example.fr\r\n"


def raw(body: str = "Oui", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        HEAD + lines.encode() + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + body.encode()
    )


def test_what_we_write_we_read() -> None:
    email = Email(
        sender="lea@client.example",
        sender_name="Léa, Martin",
        recipient="boite@in.example.fr",
        subject="Re: Rendez-vous confirmé",
        text="Plutôt jeudi ?\n\nLe lun. 23 nov. 2026 à 10:02, Salon <a@b.fr>\na écrit :\n> Mardi",
        html="<p>Plutôt jeudi ?</p>",
        message_id="<2@client.example>",
        in_reply_to="<1@example.fr>",
        references=("<0@example.fr>",),
        sent_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
        automatic=False,
    )
    parsed = read_raw(wire(compose(email)))
    message = parsed.message
    assert (message.sender, message.sender_name) == ("lea@client.example", "Léa, Martin")
    assert (message.recipient, message.vendor_id) == ("boite@in.example.fr", "<2@client.example>")
    assert (message.text, message.automatic) == ("Plutôt jeudi ?", False)
    assert (message.reply_to, message.sent_at) == ("<1@example.fr>", email.sent_at)
    assert message.thread is not None
    assert message.thread.references == ("<0@example.fr>", "<1@example.fr>")
    assert message.thread.subject == "Re: Rendez-vous confirmé"
    assert not parsed.authenticated


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("Oui.\n\nOn Mon, 23 Nov 2026 at 10:02, Salon <a@b.fr> wrote:\n> Mardi", "Oui."),
        ("Oui.\n\n-----Message d'origine-----\nDe : Salon", "Oui."),
        ("Oui.\n\nDe : Salon <a@b.fr>\nEnvoyé : lundi\nÀ : Léa", "Oui."),
        ("Oui.\n________________________________\nFrom: x", "Oui."),
        ("Oui.\n-- \nLéa Martin\n06 12 34 56 78", "Oui."),
        ("> Mardi ?\nNon, jeudi.\n> À 14 h ?\nOui.", "Non, jeudi.\nOui."),
        ("> Mardi ?", "> Mardi ?"),
        ("Le mardi me va, je vous écris : à 14 h.", "Le mardi me va, je vous écris : à 14 h."),
        ("x" * 50_000, "x" * MAX_TEXT),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_new(text: str, new: str) -> None:
    assert without_history(text) == new


def test_html_alone() -> None:
    html = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>Plutôt&nbsp;jeudi&nbsp;?<br>"
        "Merci</p><script>x()</script><div class='gmail_quote'>Le lundi<blockquote>Mardi"
        "</blockquote></div></body></html>"
    )
    content = HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()
    assert read_raw(content).message.text == "Plutôt jeudi ?\nMerci"


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied (vacation)"},
        {"Precedence": "bulk"},
        {"List_Id": "<x.example>"},
        {"X_Auto_Response_Suppress": "All"},
        {"Return_Path": "<>"},
    ],
    ids=str,
)
def test_machines_arent_answered(headers: dict[str, str]) -> None:
    assert read_raw(raw(**headers)).message.automatic
    assert not read_raw(raw(Auto_Submitted="no")).message.automatic


@pytest.mark.parametrize("local", ["MAILER-DAEMON", "postmaster", "no-reply", "noreply"])
def test_nor_are_their_addresses(local: str) -> None:
    content = raw().replace(b"Lea@", f"{local}@".encode())
    assert read_raw(content).message.automatic


@pytest.mark.parametrize(
    "sender",
    [b"", b"a@b.fr, c@d.fr", b"nobody", b"Group: a@b.fr, c@d.fr;", b'"a@b.fr" <>'],
)
def test_one_author(sender: bytes) -> None:
    with pytest.raises(Invalid):
        read_raw(b"From: " + sender + b"\r\n\r\nOui")


def test_a_message_without_an_id_has_one_that_stays() -> None:
    first, second = read_raw(raw("Oui")), read_raw(raw("Non"))
    assert first.message.vendor_id == read_raw(raw("Oui")).message.vendor_id
    assert first.message.vendor_id != second.message.vendor_id
    assert len(first.message.vendor_id) < 120


def form(**more: str) -> dict[str, str]:
    envelope = {"to": ["Boite@in.example.fr"], "from": "lea@client.example"}
    return {
        "headers": "Message-ID: <9@client.example>\nIn-Reply-To: <1@example.fr>\n"
        "Date: Mon, 23 Nov 2026 10:00:00 +0100\nFrom: =?utf-8?q?L=C3=A9a?= <lea@client.example>",
        "from": "Léa <lea@client.example>",
        "to": "boite@in.example.fr",
        "subject": "Re: RDV",
        "text": "Oui\n> Mardi ?",
        "envelope": json.dumps(envelope),
        "SPF": "pass",
        "dkim": "none",
        "attachments": "1",
        "attachment-info": json.dumps(
            {"attachment1": {"filename": "a.pdf", "type": "application/pdf"}}
        ),
    } | more


def test_inbound_parse() -> None:
    parsed = read_form(form())
    message = parsed.message
    assert (message.vendor_id, message.reply_to, message.text) == (
        "<9@client.example>",
        "<1@example.fr>",
        "Oui",
    )
    assert (message.sender, message.sender_name, message.recipient) == (
        "lea@client.example",
        "Léa",
        "boite@in.example.fr",
    )
    assert [(each.kind, each.name) for each in message.media] == [("document", "a.pdf")]
    assert parsed.authenticated
    assert read_form({**form(), "email": raw("Jeudi").decode()}).message.text == "Jeudi"


@pytest.mark.parametrize(
    ("more", "vouched"),
    [
        ({"SPF": "fail"}, False),
        ({"SPF": "softfail", "dkim": "{@client.example : pass}"}, True),
        ({"SPF": "none", "dkim": "{@evil.example : pass}"}, False),
        ({"SPF": "none", "dkim": "{@client.example : fail}"}, False),
        ({"envelope": json.dumps({"to": [], "from": "x@evil.example"})}, False),
        ({"envelope": "nonsense"}, False),
        ({"SPF": "none", "dkim": "{@example : pass}"}, False),
    ],
    ids=str,
)
def test_from_alone_proves_nothing(more: dict[str, str], vouched: bool) -> None:
    assert read_form(form(**more)).authenticated is vouched


@pytest.mark.parametrize(
    ("report", "authserv", "vouched"),
    [
        ("mx.fr; dkim=pass header.d=client.example", "mx.fr", True),
        ("mx.fr; spf=pass smtp.mailfrom=x@client.example", "mx.fr", True),
        ("mx.fr; dkim=pass header.d=evil.example", "mx.fr", False),
        ("evil.fr; dkim=pass header.d=client.example", "mx.fr", False),
        ("mx.fr; dkim=pass header.d=client.example", "", False),
        ("mx.fr; dkim=fail header.d=client.example", "mx.fr", False),
    ],
)
def test_only_our_own_servers_report_counts(report: str, authserv: str, vouched: bool) -> None:
    content = b"Authentication-Results: " + report.encode() + b"\r\n" + raw()
    assert read_raw(content, authserv=authserv).authenticated is vouched
    below = b"Authentication-Results: mx.fr; dkim=none\r\n" + content
    assert not read_raw(below, authserv=authserv).authenticated


BOUNCE = b"""From: MAILER-DAEMON@mx.fr\r
To: salon@example.fr\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
Content-Type: text/plain\r
\r
No.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.fr\r
\r
Final-Recipient: rfc822; lea@client.example\r
Action: failed\r
Status: 5.1.1\r
\r
--b\r
Content-Type: text/rfc822-headers\r
\r
Message-ID: <1@example.fr>\r
\r
--b--\r
"""


def test_a_bounce_names_what_came_back() -> None:
    bounce = read_bounce(BOUNCE)
    assert bounce is not None
    assert (bounce.message_id, bounce.status) == ("<1@example.fr>", "5.1.1")
    assert read_bounce(BOUNCE.replace(b"Action: failed", b"Action: delayed")) is None
    assert read_bounce(raw()) is None
    assert read_raw(BOUNCE).message.automatic


@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_invalid(noise: bytes) -> None:
    for content in (noise, HEAD + noise, HEAD + b"Content-Type: " + noise, BOUNCE + noise):
        try:
            message = read_raw(content).message
        except Invalid:
            continue
        assert len(message.text) <= MAX_TEXT
        assert "\x00" not in message.text + message.sender_name
        read_bounce(content)


@pytest.mark.parametrize(
    "hostile",
    [
        HEAD + b"Cc: " + b"a@b.fr, " * 12_500,
        HEAD + b"Cc: c@d.fr\r\n" * 50_000,
        HEAD + b"Cc: " + b"(" * 100_000,
        b"From: " + b"(" * 1000 + b"lea@client.example",
        HEAD + b"Content-Type: text/plain; " + b"a*0*=b; " * 20_000,
        HEAD + b"Content-Type: image/png\r\nContent-Disposition: a; " + b"f*0=b; " * 20_000,
        HEAD + b"References: " + b"<a@b> " * 160_000,
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 99_999,
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 60,
        HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 1000,
        HEAD + b"\r\n" + b"\r\n" * 3_000_000,
        *(
            HEAD + b"Content-Type: text/html\r\n\r\n" + html
            for html in (
                b"<a " * 66_000,
                b"<!--a>" * 33_000,
                b"<![" * 66_000,
                b"</" * 99_000,
                b"<?" * 99_000,
                b"<b> " * 50_000,
            )
        ),
    ],
    ids=range(17),
)
def test_no_mail_takes_long(hostile: bytes) -> None:
    begun = time.process_time()
    for read in (read_raw, read_bounce):
        with contextlib.suppress(Invalid):
            read(hostile + b"\r\n\r\nOui")
    assert time.process_time() - begun < 6  # some of these took minutes


def test_html_without_an_end_is_still_read() -> None:
    html = "<!-- a > b --><p>Oui,<br>3 < 4</p> jeudi <a href='x'"
    assert read_raw(raw(html, Content_Type="text/html")).message.text == (
        "Oui,\n3 < 4\njeudi <a href='x'"
    )


@pytest.mark.parametrize("charset", ["rot13", "zlib", '"ut\0f"', "idna", "punycode", "x" * 500])
def test_a_charset_that_is_none_costs_no_words(charset: str) -> None:
    kind = f"text/plain; charset={charset}"
    assert read_raw(raw("Oui", Content_Type=kind)).message.text == "Oui"

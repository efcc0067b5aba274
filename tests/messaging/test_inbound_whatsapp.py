"""WhatsApp's envelopes: each thing by itself, whoever hides behind it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from messaging.inbound_whatsapp import batches, read_whatsapp
from sandbox.cloud_api import Account, CloudApi, Fate, Person, Sent

NUMBER = "106540352242922"


def envelope(*changes: dict[str, Any], account: str = "102290129340398") -> bytes:
    entry = {"id": account, "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def messages(*items: Any, contacts: Any = (), number: str = NUMBER) -> dict[str, Any]:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": number}}
    return {
        "field": "messages",
        "value": value | {"messages": list(items), "contacts": list(contacts)},
    }


def said(kind: str, part: Any, **more: Any) -> dict[str, Any]:
    message = {"from": "33612345678", "id": "wamid.1", "timestamp": "1764081000", "type": kind}
    return message | {kind: part} | more


def test_a_text_as_meta_sends_it() -> None:
    api = CloudApi(lambda: 1764081000.0)
    account = Account(NUMBER, "1022", "+33155550100")
    person = Person("+33612345678", "FR.1410018717833190", "Léa\nMartin")
    quoted = {"from": "33155550100", "id": "wamid.OUT"}
    value = api.written(
        account, person, type="text", text={"body": "Je peux\x00 décaler ?"}, context=quoted
    )
    (message,) = read_whatsapp(api.envelope(account, "messages", value)).messages
    assert (message.sender, message.sender_id, message.sender_name) == (
        "+33612345678",
        "FR.1410018717833190",
        "Léa Martin",
    )
    assert (message.recipient, message.text, message.reply_to) == (
        NUMBER,
        "Je peux décaler ?",
        "wamid.OUT",
    )
    assert message.sent_at == datetime(2025, 11, 25, 14, 30, tzinfo=UTC)


def test_somebody_whose_number_is_kept_back() -> None:
    item = said("text", {"body": "Bonjour"}, **{"from": "", "from_user_id": "FR.1349"})
    (message,) = read_whatsapp(envelope(messages(item))).messages
    assert (message.sender, message.sender_id) == ("", "FR.1349")
    # The user id stands with the contact alone; a profile may be missing.
    contact = {"wa_id": "33612345678", "user_id": "FR.ENT.1410"}
    (message,) = read_whatsapp(
        envelope(messages(said("text", {"body": "x"}), contacts=[contact]))
    ).messages
    assert (message.sender, message.sender_id, message.sender_name) == (
        "+33612345678",
        "FR.ENT.1410",
        "",
    )


@pytest.mark.parametrize(
    ("item", "text", "button", "kinds"),
    [
        (said("button", {"payload": "yes:1", "text": "Je confirme"}), "Je confirme", "yes:1", []),
        (
            said(
                "interactive",
                {"type": "button_reply", "button_reply": {"id": "no:1", "title": "Annuler"}},
            ),
            "Annuler",
            "no:1",
            [],
        ),
        (
            said("interactive", {"type": "list_reply", "list_reply": {"id": "s:1", "title": "14"}}),
            "14",
            "s:1",
            [],
        ),
        (
            said("image", {"id": "77", "mime_type": "image/jpeg", "caption": "Ça"}),
            "Ça",
            "",
            ["image"],
        ),
        (said("audio", {"id": "78", "mime_type": "audio/ogg", "voice": True}), "", "", ["audio"]),
        (said("document", {"id": "79", "filename": "a/b.pdf"}), "", "", ["document"]),
        (said("sticker", {"id": "80"}), "", "", ["sticker"]),
        (said("location", {"latitude": 48.8, "longitude": 2.3}), "", "", ["location"]),
        (said("contacts", [{"name": {}}]), "", "", ["contacts"]),
        (said("unsupported", None, errors=[{"code": 131051}]), "", "", ["other"]),
        (said("hologram", {"x": 1}), "", "", ["other"]),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_kinds_of_messages(item: Any, text: str, button: str, kinds: list[str]) -> None:
    (message,) = read_whatsapp(envelope(messages(item))).messages
    assert (message.text, message.button) == (text, button)
    assert [media.kind for media in message.media] == kinds


def test_a_reaction_names_what_it_is_about() -> None:
    item = said("reaction", {"message_id": "wamid.OUT", "emoji": "👍"})
    (message,) = read_whatsapp(envelope(messages(item))).messages
    assert (message.text, message.reply_to) == ("👍", "wamid.OUT")


def test_one_bad_item_harms_no_other() -> None:
    body = envelope(
        messages(
            None,
            {"type": "text"},
            said("text", {"body": "un"}),
            said("text", {"body": "deux"}, id=""),
            said("text", {"body": "trois"}, **{"from": None}),
            said("text", {"body": "quatre"}, id="wamid.4"),
        ),
        {"field": "messages", "value": "nothing"},
        messages(said("text", {"body": "cinq"}), number=""),
    )
    read = read_whatsapp(body)
    assert [message.text for message in read.messages] == ["un", "quatre"]
    assert len(read.unreadable) == 6
    assert not any("trois" in place for place in read.unreadable)


def test_half_an_emoji_costs_no_batch() -> None:
    cut = {"profile": {"name": "Léa \ud83d"}, "wa_id": "33612345678"}
    items = said("text", {"body": "un \ude00"}), said("text", {"body": "deux"}, id="wamid.2")
    read = read_whatsapp(envelope(messages(*items, contacts=[cut])))
    assert [(each.text, each.sender_name) for each in read.messages] == [
        ("un ?", "Léa ?"),
        ("deux", "Léa ?"),
    ]


def test_statuses_bring_our_id_back() -> None:
    api, person = CloudApi(lambda: 1764081003.0), Person("+33612345678", "FR.14")
    account = Account(NUMBER, "1022", "+33155550100")
    sent = Sent("wamid.OUT", NUMBER, person, {}, Fate(error=131047))
    sent.body["biz_opaque_callback_data"] = "text:" + "a" * 32
    read = [
        read_whatsapp(api.envelope(account, "messages", api.status(sent, status))).statuses[0]
        for status in ("sent", "read", "failed")
    ]
    assert [status.status for status in read] == ["sent", "read", "failed"]
    assert {status.text_id for status in read} == {"a" * 32}
    assert (read[0].billable, read[0].category) == (True, "utility")
    assert read[2].error_code == "131047"
    foreign = api.status(sent, "sent")
    foreign["statuses"][0] |= {"biz_opaque_callback_data": "crm:1", "status": "played"}
    (status,) = read_whatsapp(api.envelope(account, "messages", foreign)).statuses
    assert (status.text_id, status.status) == ("", "read")


def test_the_owners_own_answer_is_an_echo() -> None:
    echo = {"from": "33155550100", "to": "33612345678", "id": "wamid.E", "type": "text"}
    value = {
        "metadata": {"phone_number_id": NUMBER},
        "message_echoes": [echo | {"text": {"body": "Ok"}}],
    }
    (message,) = read_whatsapp(envelope({"field": "smb_message_echoes", "value": value})).messages
    assert (message.echo, message.sender, message.text) == (True, "+33612345678", "Ok")


def test_preferences_templates_and_the_rest() -> None:
    preference = {"wa_id": "33612345678", "category": "marketing_messages", "value": "stop"}
    read = read_whatsapp(
        envelope(
            {
                "field": "user_preferences",
                "value": {
                    "metadata": {"phone_number_id": NUMBER},
                    "user_preferences": [preference | {"timestamp": 1764081000}],
                },
            },
            {
                "field": "message_template_status_update",
                "value": {
                    "event": "PAUSED",
                    "message_template_name": "rappel",
                    "message_template_language": "fr",
                },
            },
            {"field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}},
        )
    )
    assert [(each.sender, each.marketing) for each in read.preferences] == [("+33612345678", False)]
    assert [(each.name, each.state) for each in read.templates] == [("rappel", "PAUSED")]
    assert [each.field for each in read.notices] == ["account_update"]


def test_several_numbers_in_one_envelope() -> None:
    first, second = said("text", {"body": "un"}), said("text", {"body": "deux"}, id="wamid.2")
    read = read_whatsapp(envelope(messages(first), messages(second, number="200000000000001")))
    parts = dict(batches(read))
    assert {number: part.messages[0].text for number, part in parts.items()} == {
        NUMBER: "un",
        "200000000000001": "deux",
    }


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"object":"page"}', b"\xff", b"[" * 100_000])
def test_what_is_no_envelope(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_whatsapp(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "id type from text body timestamp status errors code context field value messages "
                "statuses metadata contacts profile name wa_id user_id interactive reaction".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(_json, max_size=4), _json)
def test_whatever_comes_never_raises(items: list[Any], value: Any) -> None:
    read = read_whatsapp(envelope(messages(*items), {"field": "messages", "value": value}))
    assert all(message.recipient for message in read.messages)

"""WhatsApp over the Cloud API's wire, at Meta's and at 360dialog's."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from domain.errors import ProviderError
from messaging.ports import (
    Button,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    Sender,
    TryLater,
    UnknownOutcome,
    VendorTemplate,
)
from providers.http import Limits
from providers.whatsapp import WhatsAppApi, WhatsAppTexts, line_of, message_body
from sandbox.cloud_api import Account, CloudApi, Fate, Person, Template
from sandbox.dialog360 import Channel, Dialog360Emulator
from sandbox.meta import MetaEmulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER_ID, WABA, TOKEN, KEY = "106540352242922", "102290129340398", "EAAGtoken", "d360-key"
LEA, HIDDEN = "+33612345678", "FR.1349001122334455"
META = Credentials(
    {"whatsappNumber": "+33 1 55 55 01 00", "wabaId": WABA},
    {"accessToken": TOKEN, "phoneNumberId": NUMBER_ID},
)
DIALOG360 = Credentials({}, {"d360ApiKey": KEY})
TEXT = OutgoingText("b" * 32, "salon", "whatsapp", LEA, "Bonjour, c'est confirmé.")
REMINDER = VendorTemplate(
    "rappel_rdv_24h", "fr", (("prenom", "Léa\n\tMartin"), ("heure", "14:30")), ("yes", "no")
)
QUICK = Limits(connect=0.5, read=0.3, total=1.5)


class Vendors:
    """Both emulators, and our client for both."""

    def __init__(self, meta: MetaEmulator, other: Dialog360Emulator, api: WhatsAppApi) -> None:
        self.meta, self.other, self.api = meta, other, api
        self.texts = WhatsAppTexts(api)

    def side(self, credentials: Credentials) -> tuple[CloudApi, Account]:
        if credentials is META:
            return self.meta.api, self.meta.api.accounts[NUMBER_ID]
        return self.other.api, self.other.channels["CHsandbox"].account


def account(number_id: str) -> Account:
    templates = [
        Template("rappel_rdv_24h", "fr", ("prenom", "heure"), buttons=2),
        Template("positions", "fr", 1),
        Template("pub", "fr", 0, category="MARKETING"),
        Template("refuse", "fr", 0, status="REJECTED"),
    ]
    return Account(number_id, WABA, "+33155550100", templates=templates)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Vendors]:
    meta = MetaEmulator({TOKEN: frozenset({NUMBER_ID})})
    other = Dialog360Emulator()
    meta.add(account(NUMBER_ID))
    other.add(Channel("CHsandbox", "CLsandbox", account("200000000000001"), api_key=KEY))
    async with (
        meta.running() as graph,
        other.running() as hub,
        WhatsAppApi(graph, "v25.0", hub, limits=QUICK) as api,
    ):
        yield Vendors(meta, other, api)


@pytest.fixture
def vendors(running: Vendors) -> Vendors:
    for credentials in (META, DIALOG360):
        api, account = running.side(credentials)
        api.people[:] = [
            Person(LEA, "FR.1410018717833190", wrote_at=api.now() - 3600),
            Person("", HIDDEN, "Inconnue", wrote_at=api.now() - 3600),
        ]
        api.fates.clear()
        account.sent.clear()
        account.read.clear()
        account.typing.clear()
    return running


both = pytest.mark.parametrize("credentials", [META, DIALOG360], ids=["meta", "360dialog"])


@both
async def test_a_text_bears_our_id(vendors: Vendors, credentials: Credentials) -> None:
    sender: Sender = vendors.texts
    accepted = await sender.send(replace(TEXT, in_reply_to="wamid.X"), credentials)
    (sent,) = vendors.side(credentials)[1].sent
    assert (accepted.vendor_id, accepted.status) == (sent.id, "accepted")
    assert sent.body["biz_opaque_callback_data"] == f"text:{'b' * 32}"
    assert sent.body["context"] == {"message_id": "wamid.X"}
    assert sent.body["to"] == LEA.lstrip("+")


@both
async def test_somebody_without_a_number(vendors: Vendors, credentials: Credentials) -> None:
    await vendors.texts.send(replace(TEXT, to=HIDDEN), credentials)
    (sent,) = vendors.side(credentials)[1].sent
    assert sent.body["recipient"] == HIDDEN
    assert "to" not in sent.body


@both
async def test_templates_go_outside_the_window_and_texts_dont(
    vendors: Vendors, credentials: Credentials
) -> None:
    api, account = vendors.side(credentials)
    api.people[0].wrote_at = api.now() - 25 * 3600
    with pytest.raises(Refused) as refused:
        await vendors.texts.send(TEXT, credentials)
    assert refused.value.code == "131047"
    await vendors.texts.send(replace(TEXT, template=REMINDER), credentials)
    (sent,) = account.sent
    body, yes, no = sent.body["template"]["components"]
    assert [each["text"] for each in body["parameters"]] == ["Léa Martin", "14:30"]
    assert [each["parameters"][0]["payload"] for each in (yes, no)] == ["yes", "no"]
    positional = VendorTemplate("positions", "fr", (("", "14:30"),))
    await vendors.texts.send(replace(TEXT, template=positional), credentials)


async def test_buttons(vendors: Vendors) -> None:
    buttons = (Button("appt:confirm:9f2c", "Je confirme"), Button("appt:move:9f2c", "Déplacer"))
    await vendors.texts.send(replace(TEXT, buttons=buttons), META)
    (sent,) = vendors.side(META)[1].sent
    assert sent.body["type"] == "interactive"
    for wrong in (buttons * 2, (Button("x", "un titre bien trop long pour un bouton"),)):
        with pytest.raises(Refused):
            await vendors.texts.send(replace(TEXT, buttons=wrong), META)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (replace(TEXT, to="+33699999999"), "131026"),
        (replace(TEXT, to="+33155550100"), "131021"),
        (replace(TEXT, to="lea@example.fr"), "131009"),
        (replace(TEXT, body=""), "100"),
        (replace(TEXT, body="x" * 4097), "100"),
        (replace(TEXT, template=VendorTemplate("absent", "fr")), "132001"),
        (replace(TEXT, template=VendorTemplate("refuse", "fr")), "132001"),
        (replace(TEXT, template=replace(REMINDER, language="fr_FR")), "132001"),
        (replace(TEXT, template=replace(REMINDER, parameters=(("prenom", "L"),))), "132000"),
        (replace(TEXT, template=VendorTemplate("positions", "fr", (("x", "y"),))), "132012"),
        (replace(TEXT, template=VendorTemplate("positions", "fr", (("", " "),))), "131008"),
    ],
)
@both
async def test_refusals_are_for_good(
    vendors: Vendors, credentials: Credentials, text: OutgoingText, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await vendors.texts.send(text, credentials)
    assert refused.value.code == code
    assert not vendors.side(credentials)[1].sent


@pytest.mark.parametrize(
    ("fate", "kind", "after"),
    [
        (Fate(refuse=190), ChannelPaused, 0),
        (Fate(refuse=131042), ChannelPaused, 0),
        (Fate(refuse=131031), ChannelPaused, 0),
        (Fate(refuse=200), ChannelPaused, 0),
        (Fate(refuse=130429), TryLater, 10.0),
        (Fate(refuse=131056), TryLater, 6.0),
        (Fate(refuse=131048), TryLater, 14400.0),
        (Fate(refuse=131000), TryLater, 30.0),
        (Fate(refuse=131049), Refused, 0),
        (Fate(refuse=131050), Refused, 0),
        (Fate(accept_then="hang"), UnknownOutcome, 0),
        (Fate(accept_then="cut"), UnknownOutcome, 0),
    ],
    ids=lambda value: str(value.refuse or value.accept_then) if isinstance(value, Fate) else "",
)
async def test_what_refusals_mean(
    vendors: Vendors, fate: Fate, kind: type[Exception], after: float
) -> None:
    api, account = vendors.side(META)
    api.fates.append(fate)
    with pytest.raises(kind) as refused:
        await vendors.texts.send(TEXT, META)
    assert (getattr(refused.value, "after", None) or 0) == after
    assert len(account.sent) == (1 if fate.accept_then else 0)


@both
async def test_a_wrong_key_pauses_the_channel(vendors: Vendors, credentials: Credentials) -> None:
    secrets = {**credentials.secrets}
    secrets["accessToken" if credentials is META else "d360ApiKey"] = "wrong"
    wrong = Credentials(credentials.config, secrets)
    with pytest.raises(ChannelPaused):
        await vendors.texts.send(TEXT, wrong)
    line = line_of(wrong)
    assert line is not None
    with pytest.raises(ProviderError):
        await vendors.api.check(line)


async def test_a_gateways_own_trouble_is_unknown(vendors: Vendors) -> None:
    vendors.side(DIALOG360)[0].fates.append(Fate(status=502))
    with pytest.raises(UnknownOutcome):
        await vendors.texts.send(TEXT, DIALOG360)


@both
async def test_what_was_read_is_marked_and_typing_shown(
    vendors: Vendors, credentials: Credentials
) -> None:
    _, account = vendors.side(credentials)
    account.received.add("wamid.IN")
    line = line_of(credentials)
    assert line is not None
    await vendors.api.mark_read(line, "wamid.IN", typing=True)
    assert (account.read, account.typing) == (["wamid.IN"], ["wamid.IN"])
    with pytest.raises(ProviderError):
        await vendors.api.mark_read(line, "wamid.NEVER")


@both
async def test_numbers_templates_and_media(vendors: Vendors, credentials: Credentials) -> None:
    api, _ = vendors.side(credentials)
    line = line_of(credentials)
    assert line is not None
    facts = await vendors.api.check(line)
    assert (facts.verified_name if facts else "Salon Élégance") == "Salon Élégance"
    templates = await vendors.api.templates(line)
    assert ("refuse", "REJECTED") in [(each.name, each.status) for each in templates]
    api.media["1234567"] = ("audio/ogg", b"OggS")
    media = await vendors.api.media(line, "1234567")
    own = vendors.meta.url if credentials is META else vendors.other.url
    assert media.url.startswith(f"{own}/")
    assert (media.media_type, media.size) == ("audio/ogg", 4)


async def test_360dialogs_webhook_is_set_and_read_back(vendors: Vendors) -> None:
    line = line_of(DIALOG360)
    assert line is not None
    await vendors.api.set_webhook(line, "https://voice.example.fr/w/x", {"X-Webhook-Secret": "s"})
    assert await vendors.api.webhook(line) == "https://voice.example.fr/w/x"
    with pytest.raises(ProviderError):
        await vendors.api.set_webhook(line, "http://voice.example.fr/w/x", {})


async def test_a_key_goes_to_360dialogs_hosts_alone(vendors: Vendors) -> None:
    for address in (
        "https://evil.example",
        "https://360dialog.io.evil.fr",
        "http://a.360dialog.io",
    ):
        there = Credentials({"d360Address": address}, DIALOG360.secrets)
        with pytest.raises(ChannelPaused):
            await vendors.texts.send(TEXT, there)


@pytest.mark.parametrize(
    ("config", "secrets", "via"),
    [
        ({}, {}, None),
        ({}, {"accessToken": "EAAG"}, None),
        ({"phoneNumberId": 106540352242922}, {"accessToken": "EAAG"}, "meta"),
        ({}, {"accessToken": "EAAG", "phoneNumberId": "../../me"}, None),
        ({}, {"d360ApiKey": "k"}, "360dialog"),
    ],
)
async def test_which_credentials_open_what(
    config: dict[str, Any], secrets: dict[str, Any], via: str | None
) -> None:
    line = line_of(Credentials(config, secrets))
    assert (line.via if line else None) == via


async def test_the_request_by_hand() -> None:
    assert message_body(TEXT) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "33612345678",
        "biz_opaque_callback_data": f"text:{'b' * 32}",
        "type": "text",
        "text": {"preview_url": False, "body": "Bonjour, c'est confirmé."},
    }

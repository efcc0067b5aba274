"""What a caller is sent during a call: to their own mobile, once, and only what they asked for."""

from typing import Any

import pytest

from storage import Text
from storage.consents import Consent
from storage.text_rows import TextFilter
from tests.voice.functions.shop import CALLER, Shop, both_databases

TUESDAY = "2026-11-24T14:00:00+01:00"
PUBLIC = "https://sara.example"
ADDRESS = {"what": "information", "message": "12 rue du Port, 13002 Marseille"}
LINK = {"what": "appointment"}


async def _sent(shop: Shop) -> list[Text]:
    async with shop.storage.tenant(shop.tenant.id).read() as rows:
        found = await rows.outbox.page(TextFilter(channel="sms"), limit=100)
    return [each for each in found.items if each.status == "queued"]


async def _ready(shop: Shop) -> None:
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        await rows.channels.save("sms", enabled=True, config={})


@both_databases
async def test_an_address_once_and_with_the_name_of_the_business(shop: Shop) -> None:
    await _ready(shop)
    call = await shop.call()
    for _ in range(2):  # a model that repeats itself
        assert await shop.answer("send_text", ADDRESS, call) == {"status": "queued"}
    (text,) = await _sent(shop)
    assert (text.to, text.purpose) == (CALLER, "answer")
    assert text.body == f"{shop.tenant.name} : 12 rue du Port, 13002 Marseille"


async def test_the_link_of_what_was_booked_in_this_call(shop: Shop) -> None:
    await _ready(shop)
    call = await shop.call(public_url=PUBLIC)
    assert (await shop.answer("send_text", LINK, call))["status"] == "no_appointment"
    booked = {"start": TUESDAY, "name": "Élise Durand"}
    await shop.answer("book_appointment", booked, call)
    assert (await shop.answer("send_text", LINK, call))["status"] == "queued"
    (text,) = await _sent(shop)
    (appointment,) = (await shop.rows())["appointments"]
    assert f"{PUBLIC}/r/{appointment.link_token}" in text.body
    assert text.appointment_id == appointment.id
    # In another call, nobody has proved yet that it is theirs.
    other = await shop.call(public_url=PUBLIC)
    assert (await shop.answer("send_text", LINK, other))["status"] == "no_appointment"
    assert len(await _sent(shop)) == 1


@pytest.mark.parametrize("caller", [None, "+33199000001", "+33800000000"])
async def test_only_to_mobiles(shop: Shop, caller: str | None) -> None:
    await _ready(shop)
    answer = await shop.answer("send_text", ADDRESS, await shop.call(caller))
    assert answer["status"] == "no_mobile"
    assert await _sent(shop) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"what": "information"},
        {"what": "information", "message": "Payez ici : https://evil.example/pay"},
        {"what": "information", "message": "Payez sur evil.com"},
        {"what": "information", "message": "x" * 300},
        {"what": "everything"},
    ],
)
async def test_what_it_may_not_say(shop: Shop, arguments: dict[str, Any]) -> None:
    await _ready(shop)
    assert (await shop.answer("send_text", arguments))["status"] == "invalid"
    assert await _sent(shop) == []


async def test_a_few_per_call_and_none_to_who_wants_none(shop: Shop) -> None:
    await _ready(shop)
    call = await shop.call()
    statuses = [
        (await shop.answer("send_text", {**ADDRESS, "message": f"Numéro {n}"}, call))["status"]
        for n in range(5)
    ]
    assert statuses == ["queued"] * 3 + ["enough"] * 2
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        for purpose in ("service", "marketing"):
            await rows.consents.record(
                Consent(
                    channel="sms",
                    purpose=purpose,
                    decision="withdrawn",
                    source="sms",
                    at=shop.clock.now(),
                    address=CALLER,
                )
            )
        await rows.channels.save("sms", enabled=False, config={})
    answer = await shop.answer("send_text", ADDRESS)
    assert (answer["status"], len(await _sent(shop))) == ("not_sent", 3)

"""SMS by a sender that nobody can answer say where to put a stop to them."""

from typing import Any

import pytest

from domain.tenant import Tenant
from storage import NewText, Storage

BASE = "https://sara.example"


@pytest.mark.parametrize(
    ("config", "replies", "purpose", "link"),
    [
        ({"sender": "SALON LEA"}, True, "service", True),
        ({}, False, "service", True),
        ({}, True, "service", False),
        ({"sender": "+33757000001"}, False, "service", False),
        ({"sender": "36123"}, False, "service", False),
        ({"messagingServiceSid": "MG" + "0" * 32}, False, "service", False),
        ({"sender": "SALON LEA"}, True, "answer", False),
        ({"sender": "SALON LEA"}, True, "owner", False),
    ],
)
async def test_who_gets_a_link(
    storage: Storage,
    garage: Tenant,
    config: dict[str, Any],
    replies: bool,
    purpose: str,
    link: bool,
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save("sms", enabled=True, config=config)
        text = await rows.outbox.put(
            NewText(
                "sms",
                "+33639980001",
                body="Votre commande est prête.",
                purpose=purpose,
                link_base=BASE,
                replies=replies,
            )
        )
    assert (f"\nSTOP : {BASE}/u/{text.id}" in text.body) is link


async def test_one_link_is_enough(storage: Storage, garage: Tenant) -> None:
    """The words of promotions have it already; and none says "répondez" where nobody can."""
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save("sms", enabled=True, config={"sender": "GARAGE"})
        text = await rows.outbox.put(
            NewText(
                "sms",
                "+33639980001",
                template="promotions",
                variables={"offre": "-20 %"},
                link_base=BASE,
            )
        )
    assert text.body.count(f"{BASE}/u/{text.id}") == 1
    assert "répondez" not in text.body.casefold()

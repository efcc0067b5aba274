"""The page by which somebody stops texts: scanners change nothing, one click does."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from starlette.applications import Starlette

from messaging.guesses import Guesses
from messaging.unsubscribe import UnsubscribeLinks
from storage import NewText, Storage
from storage.consents import Consent
from tests.fakes.clock import FakeClock
from tests.messaging.page import Page

LEA = "lea@example.fr"


@pytest_asyncio.fixture(loop_scope="session")
async def web(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    pages = UnsubscribeLinks(storage, Guesses(storage.rates, FakeClock(), b"key"))
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()), client=("203.0.114.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://pages.test") as client:
        yield client


async def offer(storage: Storage) -> tuple[str, str]:
    """A tenant's id, and the address in an offer of its."""
    tenant = await storage.operator.create_tenant("Salon <b>Lumière</b>")
    async with storage.tenant(tenant.id).write() as rows:
        now = rows.outbox.now()
        await rows.channels.save("email", enabled=True, config={})
        await rows.consents.record(Consent("email", "marketing", "granted", "page", now, LEA))
        text = await rows.outbox.put(
            NewText(
                "email",
                LEA,
                template="promotions",
                variables={"offre": "-20 %"},
                link_base="https://call.example/",
            )
        )
    assert f"https://call.example/u/{text.id}" in text.body
    return tenant.id, f"/u/{text.id}"


async def refusals(storage: Storage, tenant_id: str) -> list[str | None]:
    async with storage.tenant(tenant_id).read() as rows:
        return [
            await rows.consents.refusal("email", LEA, each) for each in ("marketing", "service")
        ]


async def test_one_click_stops_offers_and_a_look_stops_nothing(
    web: httpx.AsyncClient, storage: Storage
) -> None:
    tenant_id, path = await offer(storage)
    page = await web.get(path, headers={"accept-language": "fr-FR"})
    assert (page.status_code, "Salon &lt;b&gt;" in page.text) == (200, True)
    assert Page(page.text).faults == []
    assert (await web.head(path)).status_code == 200
    assert await refusals(storage, tenant_id) == [None, None]
    for _ in range(2):
        click = await web.post(path, data={"List-Unsubscribe": "One-Click"})
        assert (click.status_code, "C’est noté" in click.text) == (200, True)
    assert await refusals(storage, tenant_id) == ["opted_out", None]
    async with storage.tenant(tenant_id).read() as rows:
        lines = await rows.consents.history(channel="email", address=LEA)
    assert [(line.decision, line.source) for line in lines] == [
        ("withdrawn", "link"),
        ("granted", "page"),
    ]


async def test_what_is_no_text_of_ours_is_no_page(web: httpx.AsyncClient) -> None:
    answers = [await web.post(f"/u/{number:032x}") for number in range(30)]
    assert [answers[0].status_code, answers[-1].status_code] == [404, 429]

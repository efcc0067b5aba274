"""An appointment's page over HTTP: what scanners can't do, what customers can, and how it reads."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from starlette.applications import Starlette

from domain.tenant import Tenant
from messaging.guesses import MISSES_PER_MINUTE, Guesses
from messaging.links import AppointmentLinks
from messaging.pages.rendering import STYLE
from messaging.pages.views import language_for
from storage import Appointment, Database, NewAppointment, Storage
from storage.bookings import Wish
from storage.schema import metadata
from tests.fakes.clock import START, FakeClock
from tests.messaging.page import Page

#: Tuesday, 14:30 in Paris.
AT = START.replace(day=24, hour=13, minute=30)


@pytest_asyncio.fixture(loop_scope="session")
async def web(storage: Storage, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    pages = AppointmentLinks(
        storage, clock, Guesses(storage.rates, clock, b"key"), "https://voice.test/sara"
    )
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()), client=("203.0.114.7", 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pages.test", headers={"accept-language": "fr"}
    ) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def it(storage: Storage, garage: Tenant) -> Appointment:
    return await book(storage, garage, AT)


async def book(storage: Storage, tenant: Tenant, start: datetime, **given: str) -> Appointment:
    async with storage.tenant(tenant.id).write() as rows:
        return await rows.bookings.book(
            Wish(start=start, name=given.get("name", "Mme Petit"), service="Vidange", minutes=30)
        )


def ours(page: Page, path: str) -> str:
    """An address of the page, as it reaches us behind the proxy's path."""
    address = page.links.get(path, path)
    assert address.startswith("/sara/r/")
    return address.removeprefix("/sara")


async def seen(web: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    answer = await web.get(path)
    assert answer.status_code == status, answer.text
    page = Page(answer.text)
    assert page.faults == []
    return page


async def send(web: httpx.AsyncClient, page: Page, end: str, **fields: str) -> httpx.Response:
    form = page.form(end)
    assert form.method == "post"
    return await web.post(ours(page, form.action), data={**form.fields, **fields})


async def now(storage: Storage, it: Appointment) -> Appointment:
    async with storage.tenant(it.tenant_id).read() as rows:
        found = await rows.appointments.get(it.id)
    assert found is not None
    return found


async def everything(database: Database) -> dict[str, object]:
    async with database.read() as connection:
        return {
            name: (await connection.execute(sa.select(table))).all()
            for name, table in metadata.tables.items()
        }


# ------------------------------------------------------------------------------- scanners


async def test_nothing_happens_on_get_and_head(
    web: httpx.AsyncClient, storage: Storage, database: Database, it: Appointment
) -> None:
    """What a mail scanner does: it follows every link, and every address that a form has."""
    before = await everything(database)
    tails = ("", "/move", "/cancel", "/confirm", "/appointment.ics", "?done=cancelled&state=x")
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        for tail in tails:
            answer = await web.request(method, f"/r/{it.link_token}{tail}")
            assert answer.status_code in (200, 405), (method, tail)
            assert method != "HEAD" or answer.status_code == 405 or answer.content == b""
    assert await everything(database) == before


async def test_a_post_without_what_the_page_gave_changes_nothing(
    web: httpx.AsyncClient, storage: Storage, it: Appointment
) -> None:
    for tail in ("/confirm", "/cancel", "/move"):
        for data in ({}, {"state": "x"}, {"start": AT.isoformat()[:-6]}):
            answer = await web.post(f"/r/{it.link_token}{tail}", data=data)
            assert answer.status_code in (400, 409, 422)
        wrong = await web.post(f"/r/{it.link_token}{tail}", json={"state": "x"})
        assert wrong.status_code == 400
        large = await web.post(f"/r/{it.link_token}{tail}", data={"reason": "a" * 9000})
        assert large.status_code == 400
    assert await now(storage, it) == it


# ------------------------------------------------------------------------------ customers


async def test_a_customer_says_that_they_will_come(
    web: httpx.AsyncClient, storage: Storage, it: Appointment
) -> None:
    page = await seen(web, f"/r/{it.link_token}")
    assert "mardi 24 novembre 2026 à 14 h 30" in page.text
    assert "Garage Martin" in page.text
    assert "Vidange" in page.text
    assert "Petit" not in page.text, "whoever has the link needn't learn whose it is"
    answer = await send(web, page, "/confirm")
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == f"/sara/r/{it.link_token}"
    done = await seen(web, answer.headers["location"].removeprefix("/sara"))
    assert "nous vous attendons" in done.text
    assert (await now(storage, it)).acknowledged_at is not None
    assert (await send(web, page, "/confirm")).status_code == 303, "sent twice"


async def test_where_they_come_to_stands_on_the_page_and_in_the_file(
    web: httpx.AsyncClient, storage: Storage, it: Appointment
) -> None:
    assert "Adresse" not in (await seen(web, f"/r/{it.link_token}")).text
    async with storage.tenant(it.tenant_id).write() as rows:
        await rows.bookings.set_settings({"address": "12 rue <des>\n Lilas, Lyon", "x": 1})
    page = await seen(web, f"/r/{it.link_token}")
    assert "12 rue <des> Lilas, Lyon" in page.text
    file = (await web.get(f"/r/{it.link_token}/appointment.ics")).text
    assert "LOCATION:12 rue <des> Lilas\\, Lyon\r\n" in file
    async with storage.tenant(it.tenant_id).write() as rows:
        await rows.bookings.set_settings({"address": ["nowhere"]})
    assert "nowhere" not in (await seen(web, f"/r/{it.link_token}")).text


async def test_a_customer_cancels_once(
    web: httpx.AsyncClient, storage: Storage, it: Appointment
) -> None:
    page = await seen(web, f"/r/{it.link_token}")
    sure = await seen(web, ours(page, "Annuler le rendez-vous"))
    for _ in range(2):
        answer = await send(web, sure, "/cancel", reason="  Malade,\r\n désolée ")
        assert answer.status_code == 303
    cancelled = await now(storage, it)
    assert (cancelled.status, cancelled.cancel_reason) == ("cancelled", "Malade, désolée")
    assert cancelled.sequence == it.sequence + 1
    async with storage.tenant(it.tenant_id).read() as rows:
        history = await rows.appointments.history(it.id)
    assert [(each.action, each.actor) for each in history] == [
        ("booked", "voice"),
        ("cancelled", "link"),
    ]
    after = await seen(web, f"/r/{it.link_token}?done=cancelled")
    assert "est annulé" in after.text
    assert after.forms == []


async def test_a_customer_moves_it_to_a_free_time_once(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, it: Appointment
) -> None:
    await book(storage, garage, AT + timedelta(days=1))
    page = await seen(web, f"/r/{it.link_token}")
    choose = await seen(web, ours(page, "Déplacer le rendez-vous"))
    choices = choose.form("/move").choices
    starts = [datetime.fromisoformat(each).astimezone(UTC) for each in choices]
    assert AT + timedelta(days=1) not in starts, "somebody else's"
    assert all(start.weekday() < 5 for start in starts)
    wanted = AT + timedelta(days=2)
    where = ""
    for _ in range(2):
        answer = await send(web, choose, "/move", start=choices[starts.index(wanted)])
        assert answer.status_code == 303
        where = answer.headers["location"].removeprefix("/sara")
    moved = await now(storage, it)
    assert (moved.start_utc, moved.sequence) == (wanted, it.sequence + 1)
    after = await seen(web, where)
    assert "jeudi 26 novembre 2026 à 14 h 30" in after.text
    assert "est déplacé" in after.text
    later = await seen(web, ours(choose, "Plus tard"))
    assert min(later.form("/move").choices) > max(choices)


async def test_a_time_that_was_just_taken_is_no_success_and_has_alternatives(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, it: Appointment
) -> None:
    choose = await seen(web, f"/r/{it.link_token}/move")
    wanted = AT + timedelta(days=2)
    await book(storage, garage, wanted, name="Quelqu'un")
    answer = await send(web, choose, "/move", start=wanted.isoformat())
    assert answer.status_code == 409
    page = Page(answer.text)
    assert page.faults == []
    assert "vient d’être pris" in page.text
    assert await now(storage, it) == it
    alternatives = page.form("/move").choices
    assert 0 < len(alternatives) <= 3
    assert (await send(web, page, "/move", start=alternatives[0])).status_code == 303


@pytest.mark.parametrize(
    "start",
    [
        "2026-11-29T10:00:00+01:00",
        "2026-11-20T10:00:00+01:00",
        "2031-01-01T10:00:00+01:00",
        "2026-11-25T10:00:30+01:00",
        "9999-12-31T23:59:59+00:00",
        "0001-01-01T00:00:00+00:00",
    ],
)
async def test_a_time_that_no_page_offers_is_refused(
    web: httpx.AsyncClient, storage: Storage, it: Appointment, start: str
) -> None:
    choose = await seen(web, f"/r/{it.link_token}/move")
    answer = await send(web, choose, "/move", start=start)
    assert answer.status_code in (400, 409, 422)
    assert Page(answer.text).faults == []
    assert await now(storage, it) == it


async def test_a_stale_page_undoes_nothing(
    web: httpx.AsyncClient, storage: Storage, it: Appointment
) -> None:
    old = await seen(web, f"/r/{it.link_token}/cancel")
    confirm = await seen(web, f"/r/{it.link_token}")
    choose = await seen(web, f"/r/{it.link_token}/move")
    async with storage.tenant(it.tenant_id).write() as rows:
        moved = await rows.bookings.move(it.id, AT + timedelta(days=3))
    for page, end in ((old, "/cancel"), (confirm, "/confirm"), (choose, "/move")):
        answer = await send(web, page, end, start=(AT + timedelta(days=1)).isoformat())
        assert answer.status_code == 409
        shown = Page(answer.text)
        assert shown.faults == []
        assert "changé entre-temps" in shown.text
        assert "vendredi 27 novembre" in shown.text
    assert await now(storage, it) == moved


async def test_what_is_past_is_said_and_cant_be_changed(
    web: httpx.AsyncClient, storage: Storage, clock: FakeClock, it: Appointment
) -> None:
    sure = await seen(web, f"/r/{it.link_token}/cancel")
    clock.advance(timedelta(days=2))
    page = await seen(web, f"/r/{it.link_token}?done=confirmed")
    assert "est passé" in page.text
    assert "nous vous attendons" not in page.text
    assert page.forms == []
    assert (await send(web, sure, "/cancel")).status_code == 409
    assert await now(storage, it) == it


async def test_the_file_for_calendars(web: httpx.AsyncClient, it: Appointment) -> None:
    answer = await web.get(f"/r/{it.link_token}/appointment.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "attachment" in answer.headers["content-disposition"]
    assert f"UID:{it.uid}" in answer.text.replace("\r\n ", "")
    assert "DTSTART:20261124T133000Z" in answer.text


# -------------------------------------------------------------------------------- strangers


async def test_what_opens_nothing_is_one_answer(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, it: Appointment
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        held = await rows.appointments.hold(
            NewAppointment(
                start=AT + timedelta(days=1),
                minutes=30,
                customer_name="",
                hold_until=START + timedelta(minutes=5),
            )
        )
    answers = set()
    codes = ("2" * 14, "x", "a" * 300, "%00" * 14, "é" * 14, it.code or "", it.id, held.link_token)
    for code in codes:
        for method, tail in (("GET", ""), ("POST", "/cancel")):
            answer = await web.request(method, f"/r/{code}{tail}")
            answers.add((answer.status_code, answer.text))
    ((status, html),) = answers
    assert status == 404
    assert Page(html).faults == []


async def test_who_tries_addresses_is_refused_for_a_while(
    web: httpx.AsyncClient, clock: FakeClock, it: Appointment
) -> None:
    for number in range(MISSES_PER_MINUTE + 1):
        assert (await web.get(f"/r/{number:014d}")).status_code == 404
    answer = await web.get(f"/r/{it.link_token}")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= 61
    assert Page(answer.text).faults == []
    clock.advance(61)
    assert (await web.get(f"/r/{it.link_token}")).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "", "unix"])
async def test_a_proxy_that_nobody_named_is_never_refused(
    storage: Storage, clock: FakeClock, address: str
) -> None:
    """All customers may stand behind it."""
    guesses = Guesses(storage.rates, clock, b"key")
    for _ in range(MISSES_PER_MINUTE + 5):
        await guesses.missed(address)
    assert guesses.wait(address) == 0.0


async def test_a_suspended_business_has_no_pages(
    web: httpx.AsyncClient, storage: Storage, database: Database, it: Appointment
) -> None:
    async with database.write() as connection:
        await connection.execute(sa.update(metadata.tables["tenants"]).values(status="suspended"))
    assert (await web.get(f"/r/{it.link_token}")).status_code == 404


# ----------------------------------------------------------------------------- how it reads


async def test_each_page_in_both_languages(web: httpx.AsyncClient, it: Appointment) -> None:
    for tail in ("", "/move", "/cancel"):
        french = await seen(web, f"/r/{it.link_token}{tail}")
        english = await seen(web, ours(french, "In English"))
        assert english.links["En français"].endswith("lang=fr")
        for page, lang in ((french, ""), (english, "lang=en")):
            for address in (*page.links.values(), *(form.action for form in page.forms)):
                assert address.startswith(("/sara/r/", "#")), "nothing from elsewhere"
                if "lang=" in address and not address.endswith(("lang=fr", "lang=en")):
                    assert lang in address
    assert "24 November 2026 at 2:30 p.m." in (await seen(web, f"/r/{it.link_token}?lang=en")).text


@pytest.mark.parametrize(
    ("asked", "accepted", "locale", "expected"),
    [
        ("", "", "fr-FR", "fr"),
        ("", "", "en-GB", "en"),
        ("", "en-US,en;q=0.9,fr;q=0.8", "fr-FR", "en"),
        ("", "de,fr;q=0.5,en;q=0.4", "en-GB", "fr"),
        ("", "fr;q=0,en;q=x,*", "fr-FR", "fr"),
        ("en", "fr", "fr-FR", "en"),
        ("de", "de", None, "fr"),
    ],
)
def test_the_language(asked: str, accepted: str, locale: str | None, expected: str) -> None:
    assert language_for(asked, accepted, locale) == expected


async def test_what_people_wrote_is_never_html(web: httpx.AsyncClient, storage: Storage) -> None:
    evil = "<script>alert(1)</script>\"'&"
    tenant = await storage.operator.create_tenant(evil)
    async with storage.tenant(tenant.id).write() as rows:
        it = await rows.bookings.book(Wish(start=AT, name=evil, service=evil, minutes=30))
    for tail in ("", "/move", "/cancel"):
        page = await seen(web, f"/r/{it.link_token}{tail}")
        assert tail or evil in page.text
    ics = (await web.get(f"/r/{it.link_token}/appointment.ics")).text
    assert "\r\nATTENDEE" not in ics


async def test_the_headers_allow_nothing_else(web: httpx.AsyncClient, it: Appointment) -> None:
    for path in (f"/r/{it.link_token}", "/r/unknown", f"/r/{it.link_token}/appointment.ics"):
        headers = (await web.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "set-cookie" not in headers
    html = (await web.get(f"/r/{it.link_token}")).text
    assert f"<style>{STYLE}</style>" in html, "what the hash is of"
    assert "width=device-width" in html


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ("#1a1a1a", "#ffffff"),
        ("#ffffff", "#0b3d91"),
        ("#ffffff", "#8c1010"),
        ("#0b3d91", "#ffffff"),
        ("#f2f2f2", "#121212"),
        ("#101010", "#a8c7fa"),
        ("#101010", "#f6b3b3"),
        ("#a8c7fa", "#121212"),
        ("#1a1a1a", "#eef3fb"),
        ("#1a1a1a", "#fbeeee"),
        ("#f2f2f2", "#1c2a40"),
        ("#f2f2f2", "#401c1c"),
    ],
)
def test_colours_can_be_told_apart(ink: str, paper: str) -> None:
    """WCAG 2.2 §1.4.6: 7:1."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (
        ink in STYLE.replace("#fff}", "#ffffff}").replace("#fff;", "#ffffff;") or ink == "#ffffff"
    )
    brighter, darker = sorted((light(ink), light(paper)), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 7


async def test_a_form_that_never_comes_whole_ends(
    web: httpx.AsyncClient, it: Appointment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.links._READ_SECONDS", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"state="
        await asyncio.sleep(30)

    kind = {"content-type": "application/x-www-form-urlencoded"}
    path = f"/r/{it.link_token}/confirm"
    answer = await web.post(path, content=slowly(), headers=kind)
    assert answer.status_code == 400

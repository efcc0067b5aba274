"""A tenant's calendar feed over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from domain.errors import OperatorError
from domain.tenant import Tenant
from messaging import feeds
from messaging.feeds import DAYS_BACK, CalendarFeeds
from messaging.guesses import MISSES_PER_MINUTE, Guesses
from storage import NewAppointment, Storage
from tests.fakes.clock import START, FakeClock
from tests.messaging.test_links import AT


@pytest_asyncio.fixture(loop_scope="session")
async def web(storage: Storage, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    door = CalendarFeeds(storage, clock, Guesses(storage.rates, clock, b"key"))
    transport = httpx.ASGITransport(Starlette(routes=door.routes()), client=("203.0.114.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://feeds.test") as client:
        yield client


async def add(storage: Storage, tenant: Tenant, **given: object) -> str:
    async with storage.tenant(tenant.id).write() as rows:
        _, token = await rows.calendars.add_feed("", **given)  # type: ignore[arg-type]
    return f"/calendar/{token}.ics"


def appointment(start: object = AT, **given: object) -> NewAppointment:
    return NewAppointment(
        **{  # type: ignore[arg-type]
            "start": start,
            "minutes": 30,
            "customer_name": "Mme Petit",
            "customer_phone": "+33612345678",
            "service": "Vidange",
            "notes": "Digicode 1234",
            **given,
        }
    )


def unfolded(answer: httpx.Response) -> str:
    assert answer.status_code == 200
    return answer.text.replace("\r\n ", "")


async def test_names_are_hidden_unless_switched_on_and_numbers_always(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    hidden, named = await add(storage, garage), await add(storage, garage, show_names=True)
    async with storage.tenant(garage.id).write() as rows:
        it = await rows.appointments.book(appointment())
    for path, expected in ((hidden, "Vidange"), (named, "Vidange – Mme Petit")):
        text = unfolded(await web.get(path))
        assert f"SUMMARY:{expected}\r\n" in text
        assert f"UID:{it.uid}\r\n" in text
        for secret in ("33612345678", "Digicode", it.code or "?", it.link_token or "?"):
            assert secret not in text
    assert "Petit" not in unfolded(await web.get(hidden))


async def test_what_is_in_it(
    web: httpx.AsyncClient, storage: Storage, clock: FakeClock, garage: Tenant, dentist: Tenant
) -> None:
    path = await add(storage, garage)
    async with storage.tenant(garage.id).write() as rows:
        kept = await rows.appointments.book(appointment())
        cancelled = await rows.appointments.book(appointment(AT + timedelta(hours=1)))
        await rows.appointments.cancel(cancelled.id)
        held = await rows.appointments.hold(
            appointment(AT + timedelta(hours=2), hold_until=START + timedelta(minutes=5))
        )
    async with storage.tenant(dentist.id).write() as rows:
        other = await rows.appointments.book(appointment())
    text = unfolded(await web.get(path))
    assert kept.uid in text
    assert not any(each.uid in text for each in (cancelled, held, other))
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.reschedule(kept.id, AT + timedelta(days=1))
    text = unfolded(await web.get(path))
    assert "SEQUENCE:1\r\n" in text
    assert "DTSTART:20261125T133000Z" in text
    clock.advance(timedelta(days=DAYS_BACK + 10))
    assert kept.uid not in unfolded(await web.get(path))


async def test_a_resources_feed(web: httpx.AsyncClient, storage: Storage, garage: Tenant) -> None:
    anna, everybody = await add(storage, garage, resource="anna"), await add(storage, garage)
    async with storage.tenant(garage.id).write() as rows:
        hers = await rows.appointments.book(appointment(resource="anna"))
        his = await rows.appointments.book(appointment(resource="bruno"))
    text = unfolded(await web.get(anna))
    assert hers.uid in text
    assert his.uid not in text
    assert his.uid in unfolded(await web.get(everybody))


async def test_nothing_is_sent_or_written_twice(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await add(storage, garage)
    first = await web.get(path)
    tag = first.headers["etag"]
    written: list[str] = []

    def pieces(title: str, _: object) -> list[bytes]:
        written.append(title)
        return [b"BEGIN:VCALENDAR"]

    monkeypatch.setattr(feeds, "feed_pieces", pieces)
    for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = await web.get(path, headers={"if-none-match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert written == []
    head = await web.head(path)
    assert (head.status_code, head.headers["etag"]) == (200, tag)
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.book(appointment())
    assert (await web.get(path, headers={"if-none-match": tag})).status_code == 200
    async with storage.tenant(garage.id).read() as rows:
        (feed,) = await rows.calendars.feeds()
    assert feed.read_at == START


async def test_a_revoked_address_opens_nothing(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    path = await add(storage, garage)
    async with storage.tenant(garage.id).write() as rows:
        (feed,) = await rows.calendars.feeds()
    async with storage.tenant(dentist.id).write() as rows:
        assert not await rows.calendars.remove_feed(feed.id)
    assert (await web.get(path)).status_code == 200
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.calendars.remove_feed(feed.id)
    gone = await web.get(path)
    assert gone.status_code == 404
    assert (await web.get("/calendar/unknown.ics")).text == gone.text
    assert (await web.get(f"/calendar/{feed.id}.ics")).status_code == 404


async def test_who_tries_addresses_is_refused(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    path = await add(storage, garage)
    for number in range(MISSES_PER_MINUTE + 1):
        assert (await web.get(f"/calendar/{number}.ics")).status_code == 404
    assert (await web.get(path)).status_code == 429


async def test_a_database_that_is_away_is_503(
    web: httpx.AsyncClient, storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await add(storage, garage)

    async def away(*_: object) -> None:
        raise OperatorError("the database can't be reached")

    monkeypatch.setattr(type(storage.feeds), "find", away)
    answer = await web.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")

"""The pages and feeds of a whole server, behind a proxy's path: neither Twilio's guard nor the
API's stands before them."""

from urllib.parse import urlsplit

import pytest

from server.job_kinds import job_kinds, vendor_limits
from server.key_ring import key_ring
from storage import Database, NewAppointment, Storage
from tests.fakes.clock import START, FakeClock
from tests.messaging.page import Page
from tests.running import running, settings

PUBLIC = "https://voice.example.fr/agent"
LINE = "+33199001234"
AT = START.replace(day=24, hour=13, minute=30)


async def test_from_a_feed_to_a_page_and_back(
    tmp_path_factory: pytest.TempPathFactory, clock: FakeClock
) -> None:
    directory = tmp_path_factory.mktemp("pages")
    async with running(directory, clock, public_url=PUBLIC) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        made = await twilio.http.post("/api/v1/calendars/feeds", headers=owner.headers)
        feed = made.json()["url"]
        assert feed.startswith(f"{PUBLIC}/calendar/")
        database = await Database.open(settings(directory).database_url.get_secret_value())
        try:
            rows_of = Storage(database, clock).tenant(owner.id)
            async with rows_of.write() as rows:
                it = await rows.appointments.book(
                    NewAppointment(start=AT, minutes=30, customer_name="Mme Petit")
                )
        finally:
            await database.close()
        for prefix in ("/agent", ""):  # a proxy that leaves the path, and one that takes it away
            path = urlsplit(feed).path.removeprefix("/agent")
            assert f"UID:{it.uid}" in (await twilio.http.get(prefix + path)).text
            shown = await twilio.http.get(f"{prefix}/r/{it.link_token}")
            assert shown.status_code == 200
        form = Page(shown.text).form("/confirm")
        confirmed = await twilio.http.post(form.action, data=form.fields)
        assert confirmed.status_code == 303
        assert confirmed.headers["location"].startswith(f"/agent/r/{it.link_token}")
        assert (await twilio.http.get("/r/unknown")).status_code == 404
        assert (await twilio.http.get("/calendar/unknown.ics")).status_code == 404


async def test_a_worker_reads_calendars(
    tmp_path_factory: pytest.TempPathFactory, clock: FakeClock
) -> None:
    config = settings(tmp_path_factory.mktemp("worker"))
    database = await Database.open(config.database_url.get_secret_value())
    try:
        storage = Storage(database, clock, key_ring(config))
        kinds = {each.name: each for each in job_kinds(config, database, storage, clock)}
    finally:
        await database.close()
    assert kinds["calendars.reconcile"].every is not None
    assert kinds["calendars.fetch"].vendor in vendor_limits(config)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

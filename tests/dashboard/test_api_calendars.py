"""Calendars over the API: addresses that are shown once, or never."""

import httpx
import pytest
from starlette.applications import Starlette

from domain.tenant import Tenant
from messaging.feeds import CalendarFeeds
from messaging.guesses import Guesses
from storage import KeyRing, Storage
from storage.calendars import Success
from tests.dashboard.api_client import Client, assert_problem
from tests.fakes.clock import START, FakeClock

FEEDS, EXTERNAL = "/api/v1/calendars/feeds", "/api/v1/calendars/external"
SECRET = "https://calendar.google.com/calendar/ical/me/private-5ecret/basic.ics"


async def test_a_feeds_address_is_shown_once_and_can_be_taken_back(
    owner: Client, storage: Storage, clock: FakeClock
) -> None:
    body = {"label": "Mon téléphone", "showNames": True}
    made = (await owner.send("POST", FEEDS, json=body)).json()
    url, feed = made["url"], made["feed"]
    assert (feed["label"], feed["showNames"], feed["resource"]) == ("Mon téléphone", True, None)
    listed = await owner.send("GET", FEEDS)
    assert listed.json()["feeds"] == [feed]
    assert url.rpartition("/")[2].removesuffix(".ics") not in listed.text

    pages = CalendarFeeds(storage, clock, Guesses(storage.rates, clock, b"key"))
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://feeds.test") as web:
        path = url[url.index("/calendar/") :]
        assert (await web.get(path)).text.startswith("BEGIN:VCALENDAR")
        gone = await owner.send("DELETE", f"{FEEDS}/{feed['id']}")
        assert gone.json()["success"] is True
        assert (await web.get(path)).status_code == 404
    assert_problem(await owner.send("DELETE", f"{FEEDS}/{feed['id']}"), 404)


async def test_a_calendar_elsewhere(owner: Client, storage: Storage, garage: Tenant) -> None:
    body = {"url": f" {SECRET} ", "label": "Google"}
    answer = await owner.send("POST", EXTERNAL, json=body)
    assert answer.status_code == 201
    added = answer.json()["calendar"]
    assert (added["state"], added["host"]) == ("new", "calendar.google.com")
    shown = await owner.send("GET", EXTERNAL)
    assert "5ecret" not in answer.text + shown.text
    path = f"{EXTERNAL}/{added['id']}"
    async with storage.tenant(garage.id).write() as rows:
        source = await rows.calendars.source(added["id"])
        assert source is not None
        assert source.url == SECRET
        assert await rows.jobs.cancel(f"calendars.fetch:{added['id']}"), "it is read at once"
        await rows.calendars.failed(added["id"], 1, "calendar_status", "404", patience=1)
    broken = (await owner.get(path))["calendar"]
    assert (broken["state"], broken["since"]) == ("broken", START.isoformat())
    assert broken["error"]["code"] == "calendar_status"
    assert "refuse" in broken["error"]["message"]

    changed = await owner.send("PATCH", path, json={"url": "webcal://example.org/b.ics"})
    assert changed.json()["calendar"]["host"] == "example.org"
    assert changed.json()["calendar"]["state"] == "new"
    async with storage.tenant(garage.id).read() as rows:
        source = await rows.calendars.source(added["id"])
    assert source is not None
    assert source.url == "https://example.org/b.ics"
    off = await owner.send("PATCH", path, json={"enabled": False, "label": "Perso"})
    assert (off.json()["calendar"]["enabled"], off.json()["calendar"]["label"]) == (False, "Perso")
    assert (await owner.send("POST", f"{path}/refresh")).status_code == 200
    assert (await owner.send("DELETE", path)).status_code == 200
    for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/refresh")):
        assert_problem(await owner.send(method, path + tail), 404)
    assert_problem(await owner.send("PATCH", path, json={"label": "x"}), 404)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "calendar.google.com/x.ics",
        "ftp://example.org/x.ics",
        "file:///etc/passwd",
        "https://user:password@example.org/x.ics",
        "https://",
        "https://exa mple.org/",
        "http://[::1",
        "javascript:alert(1)",
    ],
)
async def test_what_is_no_address(owner: Client, address: str) -> None:
    assert_problem(await owner.send("POST", EXTERNAL, json={"url": address}), 422, "url")


async def test_a_resource_must_be_there(owner: Client) -> None:
    body = {"url": SECRET, "resource": "nobody"}
    assert_problem(await owner.send("POST", EXTERNAL, json=body), 422, "resource")
    assert_problem(await owner.send("POST", FEEDS, json={"resource": "nobody"}), 422, "resource")


class TestWithoutKeys:
    @pytest.fixture
    def keyring(self) -> KeyRing | None:
        return None

    async def test_an_address_is_not_kept_in_plain(self, owner: Client) -> None:
        answer = await owner.send("POST", EXTERNAL, json={"url": SECRET})
        assert answer.status_code == 503
        assert (await owner.get(EXTERNAL))["calendars"] == []


async def test_notes_are_in_words(owner: Client, storage: Storage, garage: Tenant) -> None:

    async with storage.tenant(garage.id).write() as rows:
        added = await rows.calendars.add(SECRET, "x", "", "")
        notes = ("zone:Mars/Base", "recurrence", "event")
        await rows.calendars.succeeded(added.id, 1, Success([], notes=notes))
    shown = (await owner.get(f"{EXTERNAL}/{added.id}"))["calendar"]
    assert len(shown["notes"]) == 3
    assert "Mars/Base" in shown["notes"][0]
    assert shown["trustedUntil"] == "2026-11-30T09:00:00+00:00"

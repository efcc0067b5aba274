"""`/r/{code}`: an appointment's page, where its customer confirms, moves or cancels it.

No account: who has the address may. GET and HEAD change nothing, because mail scanners follow every
link (SergeyMosin/Appointments #646: appointments cancelled by them). A form carries the state that
its page showed; once that is no longer so, nothing is done and the page shows what is. Sending a
form twice is sending it once. After a POST the browser is sent back to the page (303).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from domain.availability import Slot
from domain.clock import Clock
from domain.customer_pages import page_text
from domain.errors import CallerError, Conflict, OperatorError
from domain.messages import Language
from messaging.guesses import Guesses
from messaging.invitations import Entry, invitation
from messaging.pages.rendering import HEADERS, notice, render
from messaging.pages.views import DONE, View, days_of, language_for, state_of, token_of, view_of
from storage import Appointment, Storage, TenantRows
from storage.appointments import Change
from storage.appointments.codes import LINK_LENGTH
from storage.bookings import Unavailable

log = structlog.get_logger(__name__)

#: A reason of 300 characters, percent-encoded, and then some.
_MOST_BYTES: Final = 8 * 1024
_LONGEST_REASON: Final = 300
#: How long they may take to arrive, seconds: anybody can open a connection and say nothing.
_READ_SECONDS: Final = 10.0
#: How many days one page of free times has, and how far the first one looks for any.
_DAYS: Final = 7
_WEEKS_AHEAD: Final = 8
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class _Found:
    """Whose page it is, as it stands."""

    tenant_id: str
    zone: ZoneInfo
    it: Appointment
    view: View
    language: Language


class _Stale(Exception):
    """The page that the form was on no longer tells how things are."""


_Action = Callable[[TenantRows, Appointment, dict[str, str]], Awaitable[None]]


class AppointmentLinks:
    """The handlers. `public_url`: how we are reached; its path stands before ours."""

    def __init__(
        self, storage: Storage, clock: Clock, guesses: Guesses, public_url: str = ""
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._guesses = guesses
        self._public_url = public_url.rstrip("/")
        self._base = urlsplit(public_url).path.rstrip("/") + "/r"

    def routes(self) -> list[Route]:
        """All below /r/."""
        page = "/r/{code}"
        return [
            Route(page, self._guarded(self.show), methods=["GET"]),
            Route(f"{page}/confirm", self._guarded(self.confirm), methods=["POST"]),
            Route(f"{page}/move", self._guarded(self.choose), methods=["GET"]),
            Route(f"{page}/move", self._guarded(self.move), methods=["POST"]),
            Route(f"{page}/cancel", self._guarded(self.ask), methods=["GET"]),
            Route(f"{page}/cancel", self._guarded(self.cancel), methods=["POST"]),
            Route(f"{page}/appointment.ics", self._guarded(self.download), methods=["GET"]),
        ]

    def _guarded(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            language = _language(request, None)
            address = request.client.host if request.client else ""
            if wait := self._guesses.wait(address):
                return notice("too_many", language, 429, {"retry-after": str(int(wait) + 1)})
            try:
                answer = await handler(request)
                if answer.status_code == 404:
                    await self._guesses.missed(address)
                return answer
            except OperatorError as error:
                log.error("links.unavailable", reason=str(error))
                return notice("down", language, 503, {"retry-after": "5"})

        return endpoint

    # ------------------------------------------------------------------------------- looking

    async def show(self, request: Request) -> Response:
        """GET: the page."""
        found = await self._find(request)
        if found is None:
            return _missing(request)
        done = request.query_params.get("done", "")
        believed = found.view.state in DONE.get(done, ()) or (done == "moved" and found.view.open)
        said = page_text(found.language, f"done_{done}") if believed else None
        return self._page(request, found, done=said)

    async def choose(self, request: Request) -> Response:
        """GET: the free times to which it could be moved."""
        found = await self._find(request)
        if found is None:
            return _missing(request)
        if not found.view.open:
            return self._page(request, found)
        return await self._choices(request, found)

    async def ask(self, request: Request) -> Response:
        """GET: whether it is really to be cancelled, and why."""
        found = await self._find(request)
        if found is None:
            return _missing(request)
        if not found.view.open:
            return self._page(request, found)
        title = page_text(found.language, "cancel_heading")
        return self._render("cancel.html", request, found, title=title)

    async def download(self, request: Request) -> Response:
        """GET: the appointment as a file for calendars."""
        found = await self._find(request)
        if found is None:
            return _missing(request)
        it, view = found.it, found.view
        _, body = invitation(
            Entry(
                uid=it.uid,
                sequence=it.sequence,
                start=it.start_utc,
                end=it.end_utc,
                summary=f"{view.what} – {view.company}",
                changed=it.updated_at,
                created=it.created_at,
                cancelled=view.state == "cancelled",
                location=view.place,
                url=f"{self._public_url}/r/{it.link_token}" if self._public_url else "",
            )
        )
        headers = {**HEADERS, "content-disposition": 'attachment; filename="appointment.ics"'}
        return Response(
            body, media_type="text/calendar; charset=utf-8; method=PUBLISH", headers=headers
        )

    # ------------------------------------------------------------------------------ changing

    async def confirm(self, request: Request) -> Response:
        """POST: they will come."""

        async def act(rows: TenantRows, it: Appointment, form: dict[str, str]) -> None:
            if state_of(it, self._clock.now()) != "acknowledged":
                self._require_fresh(it, form)
                await rows.appointments.acknowledge(it.id, change=Change(by="link"))

        return await self._act(request, act, "confirmed")

    async def cancel(self, request: Request) -> Response:
        """POST: they won't."""

        async def act(rows: TenantRows, it: Appointment, form: dict[str, str]) -> None:
            if it.status == "cancelled":
                return  # sent twice
            self._require_fresh(it, form)
            reason = " ".join(form.get("reason", "").split())[:_LONGEST_REASON] or None
            await rows.appointments.cancel(it.id, reason, change=Change(by="link"))

        return await self._act(request, act, "cancelled")

    async def move(self, request: Request) -> Response:
        """POST: to another time."""

        async def act(rows: TenantRows, it: Appointment, form: dict[str, str]) -> None:
            start = _instant(form.get("start", ""))
            if it.status == "confirmed" and it.start_utc == start:
                return  # sent twice
            self._require_fresh(it, form)
            if start is None:
                raise _NoTime
            await rows.bookings.move(it.id, start, change=Change(by="link"))

        return await self._act(request, act, "moved")

    async def _act(self, request: Request, action: _Action, done: str) -> Response:
        form = await _form(request)
        found = await self._find(request)
        if found is None:
            return _missing(request)
        if form is None:
            return notice("unreadable", found.language, 400, {})
        try:
            async with self._storage.tenant(found.tenant_id).write() as rows:
                await rows.appointments.lock()
                it = await rows.appointments.by_link(found.it.link_token or "")
                if it is None:
                    return _missing(request)
                await action(rows, it, form)
        except _NoTime:
            return await self._choices(request, found, problem="move_missing", status=422)
        except Unavailable as refused:
            problem = "move_taken" if refused.why in ("taken", "full") else "move_other"
            return await self._choices(
                request, found, problem=problem, status=409, alternatives=refused.alternatives
            )
        except (_Stale, Conflict):
            return await self._stale(request)
        except CallerError:
            # What no page of ours offers, and nobody means.
            return notice("unreadable", found.language, 400, {})
        return RedirectResponse(
            self._href(request, found, "", done=done), status_code=303, headers=HEADERS
        )

    def _require_fresh(self, it: Appointment, form: dict[str, str]) -> None:
        open_ = state_of(it, self._clock.now()) in ("booked", "acknowledged")
        if not open_ or form.get("state") != token_of(it):
            raise _Stale

    async def _stale(self, request: Request) -> Response:
        now = await self._find(request)
        if now is None:
            return _missing(request)
        problem = page_text(now.language, "stale")
        return self._page(request, now, problem=problem, status=409)

    # --------------------------------------------------------------------------- for ourselves

    async def _find(self, request: Request) -> _Found | None:
        code = request.path_params["code"]
        if len(code) != LINK_LENGTH or not code.isascii():
            return None
        tenant_id = await self._storage.links.tenant_of(code)
        if tenant_id is None:
            return None
        async with self._storage.tenant(tenant_id).read() as rows:
            it = await rows.appointments.by_link(code)
            if it is None:
                return None
            tenant, agenda = await rows.tenant(), await rows.agenda.load()
            place = await rows.bookings.place()
            phone = (await rows.channels.get("phone")).config.get("clientPhoneNumber")
        language = _language(request, tenant.locale)
        shown = phone if isinstance(phone, str) else ""
        now = self._clock.now()
        view = view_of(it, tenant, agenda, language, now, phone=shown, place=place)
        return _Found(tenant_id, ZoneInfo(tenant.timezone), it, view, language)

    def _page(
        self,
        request: Request,
        found: _Found,
        *,
        status: int = 200,
        problem: str | None = None,
        done: str | None = None,
    ) -> Response:
        title = page_text(found.language, "title", company=found.view.company)
        return self._render(
            "appointment.html", request, found, status, title=title, problem=problem, done=done
        )

    async def _choices(
        self,
        request: Request,
        found: _Found,
        *,
        status: int = 200,
        problem: str | None = None,
        alternatives: tuple[Slot, ...] = (),
    ) -> Response:
        today = self._clock.now().astimezone(found.zone).date()
        asked = _day(request.query_params.get("from", ""))
        first = max(today, asked or today)
        slots: list[Slot] = sorted(alternatives, key=lambda slot: slot.start)
        if not slots:
            first, slots = await self._free(found, first, _WEEKS_AHEAD if asked is None else 1)
        step = timedelta(days=_DAYS)
        earlier = max(today, first - step) if first > today else None
        language = found.language
        return self._render(
            "move.html",
            request,
            found,
            status,
            title=page_text(language, "move_heading"),
            problem=page_text(language, problem) if problem else None,
            days=days_of(slots, language),
            alternatives=bool(alternatives),
            earlier=earlier and self._href(request, found, "/move", **{"from": str(earlier)}),
            later=self._href(request, found, "/move", **{"from": str(first + step)}),
        )

    async def _free(self, found: _Found, first: date, weeks: int) -> tuple[date, list[Slot]]:
        """From `first` on, the first week with any free time, and its times."""
        async with self._storage.tenant(found.tenant_id).read() as rows:
            for week in range(weeks):
                begin = first + timedelta(days=week * _DAYS)
                last = begin + timedelta(days=_DAYS - 1)
                slots = list(await rows.bookings.open_to(found.it.id, begin, last))
                if slots:
                    return begin, slots
        return first, []

    def _render(
        self, template: str, request: Request, found: _Found, status: int = 200, /, **values: Any
    ) -> Response:
        other = "en" if found.language == "fr" else "fr"
        # A refused form's address takes no GET: its page does.
        where = {"cancel.html": "/cancel", "move.html": "/move"}.get(template, "")
        return render(
            template,
            found.language,
            status,
            it=found.view,
            href=lambda tail: self._href(request, found, tail),
            other={
                "language": other,
                "href": f"{self._base}/{found.it.link_token}{where}?lang={other}",
            },
            **values,
        )

    def _href(self, request: Request, found: _Found, tail: str, /, **query: str) -> str:
        """An address of this appointment's; the language goes along if it was chosen."""
        if request.query_params.get("lang") in ("fr", "en"):
            query["lang"] = request.query_params["lang"]
        return f"{self._base}/{found.it.link_token}{tail}" + (
            f"?{urlencode(query)}" if query else ""
        )


class _NoTime(Exception):
    """A form without the time that it is about."""


def _missing(request: Request) -> Response:
    """One answer for every address that opens nothing."""
    return notice("missing", _language(request, None), 404, {})


def _language(request: Request, locale: str | None) -> Language:
    asked = request.query_params.get("lang", "")
    return language_for(asked, request.headers.get("accept-language", ""), locale)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields; None when it isn't a form that a page of ours sends."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST_BYTES:
                    return None
        fields = parse_qs(body.decode(), max_num_fields=10, keep_blank_values=True)
    except (ValueError, TimeoutError, ClientDisconnect):
        return None
    return {name: values[0] for name, values in fields.items()}


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Beyond these years, zones' arithmetic overflows.
    return found if found.tzinfo is not None and 2000 <= found.year <= 2200 else None


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year <= 2200 else None

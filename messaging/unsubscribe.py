"""`/u/{text}`: where whoever got a text says that they want no more.

The address bears the text's own id, which nobody can guess. GET and HEAD change nothing, because
mail scanners follow every link; POST does at once, from the page or from a mail program by one
click (RFC 8058, which sends no cookie and waits for no page).
"""

from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.customer_pages import page_text
from domain.errors import NotFound, OperatorError
from domain.messages import Language, language_of
from messaging.guesses import Guesses
from messaging.pages.rendering import notice, render
from storage import Storage, Text

log = structlog.get_logger(__name__)

#: What is written down beside the address (storage/consents.py).
SOURCE: Final = "link"


class UnsubscribeLinks:
    """The handlers."""

    def __init__(self, storage: Storage, guesses: Guesses) -> None:
        self._storage = storage
        self._guesses = guesses

    def routes(self) -> list[Route]:
        """Both methods of the one address."""
        return [
            Route("/u/{text_id}", self.show, methods=["GET"]),
            Route("/u/{text_id}", self.stop, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET: a page with one button."""
        return await self._answer(request, stop=False)

    async def stop(self, request: Request) -> Response:
        """POST: no more offers, if it was one; otherwise no more texts on this channel. Doing it
        twice is doing it once."""
        return await self._answer(request, stop=True)

    async def _answer(self, request: Request, *, stop: bool) -> Response:
        language = language_of(request.headers.get("accept-language", "fr")[:5])
        address = request.client.host if request.client else ""
        if wait := self._guesses.wait(address):
            return notice("too_many", language, 429, {"retry-after": str(int(wait) + 1)})
        try:
            found = await self._find(request.path_params["text_id"])
            if found is None:
                await self._guesses.missed(address)
                return notice("unsubscribe_missing", language, 404, {})
            tenant_id, text, company = found
            if stop:
                await self._withdraw(tenant_id, text)
        except OperatorError as error:
            log.error("links.unavailable", reason=str(error))
            return notice("down", language, 503, {"retry-after": "5"})
        return _page(language, text, company, done=stop)

    async def _find(self, text_id: str) -> tuple[str, Text, str] | None:
        tenant_id = await self._storage.text_reports.tenant_of(text_id)
        if tenant_id is None:
            return None
        try:
            async with self._storage.tenant(tenant_id).read() as rows:
                text = await rows.outbox.get(text_id)
                return tenant_id, text, (await rows.tenant()).name
        except NotFound:  # gone since
            return None

    async def _withdraw(self, tenant_id: str, text: Text) -> None:
        order = "stop_marketing" if text.purpose == "marketing" else "stop"
        async with self._storage.tenant(tenant_id).write() as rows:
            if await rows.consents.refusal(text.channel, text.to, text.purpose) == "opted_out":
                return
            await rows.consents.ordered(
                channel=text.channel,
                address=text.to,
                contact_id=text.contact_id,
                order=order,
                wording=page_text("fr", "unsubscribe_submit"),
                source=SOURCE,
                proof={"text_id": text.id},
            )


def _page(language: Language, text: Text, company: str, *, done: bool) -> Response:
    which = "offers" if text.purpose == "marketing" else "all"
    message = page_text(language, f"unsubscribe_{which}", company=company)
    return render(
        "unsubscribe.html",
        language,
        title=page_text(language, "unsubscribe_title"),
        message=page_text(language, "unsubscribe_done", company=company) if done else message,
        finished=done,
        text_id=text.id,
    )

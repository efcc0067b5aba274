"""Text conversations: read them, answer in person, hand them back to the agent."""

from typing import Annotated, Any, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import read_query
from domain.errors import Conflict, Invalid
from domain.permissions import May
from storage import Storage, TenantRows
from storage.conversations import AGENT, HUMAN, Conversation, Line
from storage.cursors import Part
from storage.text_rows import NewText

#: Messages of a conversation that are shown at once.
SHOWN = 200


class ConversationsQuery(msgspec.Struct, frozen=True):
    """Filters of the list. `cursor`: an answer's `next_cursor`, which then counts instead of
    `page`."""

    channel: Literal["sms", "email", "whatsapp"] | None = None
    handled_by: Literal["agent", "human"] | None = None
    status: Literal["open", "closed"] | None = None
    contact_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class ConversationJson(TypedDict):
    """`waiting`: something was written that nobody has answered."""

    id: str
    channel: str
    address: str
    contact_id: str | None
    name: str
    handled_by: str
    handled_since: str | None
    status: str
    subject: str
    waiting: bool
    messages: int
    window_expires_at: str | None
    last_inbound_at: str | None
    created_at: str
    updated_at: str


class ConversationMessageJson(TypedDict):
    """`author`: customer, agent or owner; `status`: how far one of ours got."""

    id: str
    at: str
    author: str
    content: str
    media: list[dict[str, Any]]
    status: str | None


class ConversationsPage(TypedDict):
    """A part of the list."""

    page: int
    limit: int
    total: int
    total_pages: int


class ConversationsAnswer(TypedDict):
    """The list, the latest first; `next_cursor` null: that was the last page."""

    success: bool
    conversations: list[ConversationJson]
    pagination: ConversationsPage
    next_cursor: str | None


class ConversationAnswer(TypedDict):
    """One conversation with its last messages, oldest first."""

    success: bool
    conversation: ConversationJson
    messages: list[ConversationMessageJson]


class ConversationChanged(TypedDict):
    """The conversation as it is now."""

    success: bool
    conversation: ConversationJson


class ReplyBody(msgspec.Struct, frozen=True):
    """What a person answers, in the words that are to be sent."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    subject: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class ReplyAnswer(TypedDict):
    """The answer is in the outbox: `status` queued, or why it won't go."""

    success: bool
    messageId: str
    status: str
    reason: str | None
    conversation: ConversationJson


class Conversations:
    """The handlers."""

    def __init__(self, storage: Storage, own_numbers: frozenset[str] = frozenset()) -> None:
        self._storage = storage
        self._own_numbers = own_numbers

    @operation(
        "List text conversations",
        may=May.CALLS,
        query=ConversationsQuery,
        answer=ConversationsAnswer,
    )
    async def index(self, request: Request) -> Response:
        """The latest first, with filters."""
        tenant = tenant_access(request).tenant
        query = read_query(request, ConversationsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.conversations.list(
                channel=query.channel,
                handled_by=query.handled_by,
                status=query.status,
                contact_id=query.contact_id,
                part=Part(query.limit, (query.page - 1) * query.limit, query.cursor),
            )
        answer: ConversationsAnswer = {
            "success": True,
            "conversations": [describe(each) for each in found.items],
            "pagination": {
                "page": query.page,
                "limit": query.limit,
                "total": found.total,
                "total_pages": -(-found.total // query.limit),
            },
            "next_cursor": found.cursor,
        }
        return json_response(answer)

    @operation(
        "Read a text conversation",
        may=May.CALLS,
        answer=ConversationAnswer,
        audit_read="conversation",
    )
    async def show(self, request: Request) -> Response:
        """With its last messages, both sides, oldest first."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            conversation = await rows.conversations.get(request.path_params["id"])
            lines = await rows.conversations.lines(conversation.id, SHOWN)
        answer: ConversationAnswer = {
            "success": True,
            "conversation": describe(conversation),
            "messages": [_message(line) for line in lines],
        }
        return json_response(answer)

    @operation(
        "Answer in person",
        may=May.SEND,
        body=ReplyBody,
        answer=ReplyAnswer,
        status=201,
        problems=(409,),
    )
    async def reply(self, request: Request) -> Response:
        """Takes the conversation over: the agent is silent in it until it is handed back."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ReplyBody)
        words = body.text.strip()
        if not words:
            raise Invalid("must not be empty", field="text", message_key="text_empty")
        numbers = self._own_numbers | set(await self._storage.operator.numbers(tenant.id))
        async with self._storage.tenant(tenant.id).write() as rows:
            conversation = await rows.conversations.get(request.path_params["id"])
            _check_window(rows, conversation)
            conversation = await rows.conversations.hand_to(conversation.id, HUMAN)
            text = await rows.outbox.put(
                NewText(
                    channel=conversation.channel,
                    to=conversation.address,
                    purpose="answer",
                    body=words,
                    subject=body.subject or _subject(conversation),
                    contact_id=conversation.contact_id,
                    conversation_id=conversation.id,
                    in_reply_to=str(conversation.thread.get("message_id") or "") or None,
                    references=tuple(conversation.thread.get("references", ())),
                    created_by=HUMAN,
                    even_if_off=True,
                    sender=conversation.answers_by(numbers),
                )
            )
        answer: ReplyAnswer = {
            "success": True,
            "messageId": text.id,
            "status": text.status,
            "reason": text.reason,
            "conversation": describe(conversation),
        }
        return json_response(answer, status=201)

    @operation("Take a conversation over", may=May.SEND, answer=ConversationChanged)
    async def take_over(self, request: Request) -> Response:
        """The agent is silent in it from now on."""
        return await self._hand(request, HUMAN)

    @operation("Hand a conversation back", may=May.SEND, answer=ConversationChanged)
    async def hand_back(self, request: Request) -> Response:
        """The agent answers what is written from now on."""
        return await self._hand(request, AGENT)

    @operation("Close a conversation", may=May.SEND, answer=ConversationChanged)
    async def close(self, request: Request) -> Response:
        """Done with, until somebody writes again."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            conversation = await rows.conversations.close(request.path_params["id"])
        return _changed(conversation)

    async def _hand(self, request: Request, handler: str) -> Response:
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            conversation = await rows.conversations.hand_to(request.path_params["id"], handler)
        return _changed(conversation)


def _check_window(rows: TenantRows, conversation: Conversation) -> None:
    """Meta refuses free words after 24 h: said before anything is written down."""
    if conversation.channel == "whatsapp" and not rows.conversations.window_open(conversation):
        raise Conflict(
            "WhatsApp's window of 24 hours is closed: send a template instead.",
            message_key="window_closed",
        )


def describe(it: Conversation) -> ConversationJson:
    """A conversation as pages read it."""
    return {
        "id": it.id,
        "channel": it.channel,
        "address": it.address,
        "contact_id": it.contact_id,
        "name": it.name,
        "handled_by": it.handled_by,
        "handled_since": it.handled_since.isoformat() if it.handled_since else None,
        "status": it.status,
        "subject": str(it.thread.get("subject") or ""),
        "waiting": it.waits,
        "messages": it.last_seq,
        "window_expires_at": (
            it.window_expires_at.isoformat()
            if it.channel == "whatsapp" and it.window_expires_at
            else None
        ),
        "last_inbound_at": it.last_inbound_at.isoformat() if it.last_inbound_at else None,
        "created_at": it.created_at.isoformat(),
        "updated_at": it.updated_at.isoformat(),
    }


def _message(line: Line) -> ConversationMessageJson:
    return {
        "id": line.id,
        "at": line.at.isoformat(),
        "author": line.author,
        "content": line.content,
        "media": [{"kind": each.get("kind"), "name": each.get("name")} for each in line.media],
        "status": line.status or None,
    }


def _changed(conversation: Conversation) -> Response:
    answer: ConversationChanged = {"success": True, "conversation": describe(conversation)}
    return json_response(answer)


def _subject(conversation: Conversation) -> str | None:
    if conversation.channel != "email":
        return None
    subject = str(conversation.thread.get("subject") or "").strip()
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()

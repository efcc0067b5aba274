"""A language model behind any server that speaks OpenAI's chat completions, streamed.

https://platform.openai.com/docs/api-reference/chat/create. Of the request's many fields only those
are sent that all servers take, and those that the operator adds; one that some refuse,
`stream_options`, is left out for a server that has refused it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import httpx
import openai
from openai import AsyncStream

from domain.language_model import (
    FunctionSpec,
    ModelDone,
    ModelMessage,
    ModelPiece,
    TextPiece,
)
from providers.openai.chat_messages import wire_messages, wire_tools
from providers.openai.chat_pieces import MAX_TEXT, ChunkReader, UnmarkedThoughts
from providers.openai.compatible import CompatibleServer, Patience, Waiting

VENDOR: Final = "llm"

#: A caller waits for the first word; after a second and a half a line of ours covers the silence.
PATIENCE: Final = Patience(
    connect=1.5, first=5.0, between=3.0, total=30.0, response_bytes=4 * 1024 * 1024
)

#: How long the usage may take after the end has been told.
USAGE_SECONDS: Final = 0.3


class OpenAIChat:
    """A LanguageModel. `base_url` is `http(s)://host/v1`, `api_key` "" for a server that wants
    none; `thinking`: its answers begin inside a thought; `fields` of its requests beside ours. An
    async context manager, or to be closed with `aclose()`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        thinking: bool = False,
        fields: Mapping[str, Any] | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._server = CompatibleServer(VENDOR, base_url, api_key, patience)
        self._model = model
        self._thinking = thinking
        self._fields = dict(fields or {})
        self._asks_usage = True

    @property
    def name(self) -> str:
        return self._model

    async def aclose(self) -> None:
        """Close all connections."""
        await self._server.aclose()

    async def __aenter__(self) -> "OpenAIChat":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def answer(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec] = ()
    ) -> AsyncGenerator[ModelPiece, None]:
        """See `LanguageModel.answer`. The first piece comes, or ProviderError is raised, within the
        server's patience; at most MAX_TEXT characters are answered."""
        taken = frozenset(each.id for message in messages for each in message.requests)
        reader = ChunkReader(taken, self._thinking)
        waiting = Waiting(self._server)
        stream = await waiting.of(self._ask(messages, functions))
        try:
            while not reader.finished and reader.characters <= MAX_TEXT:
                text = await self._next(stream, reader, waiting)
                if text:
                    yield TextPiece(text)
                    waiting.progressed()  # how long it took to use isn't the vendor's concern
            for request in reader.requests():
                yield request
            if reader.finished:
                await _read_usage(stream, reader)
        finally:
            await stream.close()
        yield ModelDone(reader.why, reader.usage)

    # ---------------------------------------------------------------------------- request

    async def _ask(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec]
    ) -> AsyncStream[object]:
        body: dict[str, Any] = {
            **self._fields,
            "model": self._model,
            "messages": wire_messages(messages),
            "stream": True,
        }
        if functions:
            body["tools"] = wire_tools(functions)
        if not self._asks_usage:
            return await self._post(body)
        try:
            return await self._post({**body, "stream_options": {"include_usage": True}})
        except openai.APIStatusError as refusal:
            # Mistral's servers, for one, refuse fields that they don't know.
            if refusal.status_code not in (400, 422) or "stream_options" not in str(refusal.body):
                raise
        self._asks_usage = False
        return await self._post(body)

    async def _post(self, body: dict[str, Any]) -> AsyncStream[object]:
        # Not `chat.completions.create`: chunks as they came, which is cheaper, and what isn't as
        # documented isn't lost in a model of what should be.
        return await self._server.client.post(
            "/chat/completions",
            cast_to=object,
            body=body,
            stream=True,
            stream_cls=AsyncStream[object],
        )

    # ----------------------------------------------------------------------------- answer

    async def _next(
        self, stream: AsyncStream[object], reader: ChunkReader, waiting: Waiting
    ) -> str:
        """The text of the next chunk."""
        try:
            text, useful = reader.feed(await waiting.of(anext(stream)))
        except StopAsyncIteration:
            raise self._server.unusable("ended in the middle of an answer", "cut") from None
        except UnmarkedThoughts as error:
            raise self._server.unusable(str(error), "thoughts") from error
        except ValueError as error:
            raise self._server.unusable(f"an unreadable answer: {error}") from error
        if useful:
            waiting.progressed()
        return text


async def _read_usage(stream: AsyncStream[object], reader: ChunkReader) -> None:
    """What comes after the end: counts, if at all. Nothing that goes wrong now matters, and a
    stream that was read to its end leaves its connection for the next answer."""
    with contextlib.suppress(TimeoutError, openai.OpenAIError, httpx.HTTPError, ValueError):
        async with asyncio.timeout(USAGE_SECONDS):
            async for chunk in stream:
                reader.feed(chunk)

"""The text model of conversations by turns: asked within a time limit, behind the breaker that the
cascade's calls have told of it, too."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from domain.breaker import Breakers
from domain.errors import ProviderError
from domain.language_model import (
    FunctionRequest,
    FunctionSpec,
    LanguageModel,
    ModelMessage,
    TextPiece,
)
from voice.agents import is_everybodys

#: The language model's breaker, of cascades too (`voice.cascade_links`).
LLM = "llm:"


@dataclass(frozen=True, slots=True)
class Said:
    """What the model answered: words, and functions that it wants run."""

    text: str
    requests: Sequence[FunctionRequest]


@dataclass(frozen=True, slots=True)
class TurnModel:
    """Asks the model, if there is one."""

    model: LanguageModel | None
    breakers: Breakers

    @property
    def allowed(self) -> bool:
        """It is configured, and was well when it was asked last."""
        return self.model is not None and self.breakers.allows(LLM)

    @property
    def name(self) -> str:
        return self.model.name if self.model is not None else ""

    async def ask(
        self,
        messages: Sequence[ModelMessage],
        functions: Sequence[FunctionSpec],
        seconds: float,
    ) -> Said:
        """One answer, whole. Raises ProviderError, also when the breaker is open, when it takes
        longer than `seconds` and when it says nothing at all."""
        if self.model is None or not self.breakers.attempt(LLM):
            raise ProviderError("llm", "no text model answers", retryable=True, code="open")
        told = False
        try:
            async with asyncio.timeout(seconds):
                said = await _whole(self.model, messages, functions)
            self.breakers.succeeded(LLM)
            told = True
        except TimeoutError as error:
            self.breakers.failed(LLM)
            told = True
            raise ProviderError("llm", "it takes too long", retryable=True) from error
        except ProviderError as error:
            if is_everybodys(error):
                self.breakers.failed(LLM)
                told = True
            raise
        finally:
            if not told:
                self.breakers.released(LLM)
        if not said.text and not said.requests:
            raise ProviderError("llm", "an empty answer", retryable=True, code="empty")
        return said


async def _whole(
    model: LanguageModel, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec]
) -> Said:
    texts: list[str] = []
    requests: list[FunctionRequest] = []
    async with aclosing(model.answer(messages, functions)) as pieces:
        async for piece in pieces:
            if isinstance(piece, TextPiece):
                texts.append(piece.text)
            elif isinstance(piece, FunctionRequest):
                requests.append(piece)
    return Said("".join(texts).strip(), requests)

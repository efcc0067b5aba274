"""A language model, as voice and text see it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function as the model sees it. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """The model wants a function run. `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """One message of a conversation with a model.

    `requests`: of the assistant, the functions it asked for with this message. `answers`: of role
    "function", the id of the request that `text` (a JSON object) answers.
    """

    role: Literal["system", "user", "assistant", "function"]
    text: str = ""
    requests: Sequence[FunctionRequest] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """The next characters of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelDone:
    """The end of an answer. `why`: stop | functions | length | filtered; `usage` flat counts."""

    why: str
    usage: Mapping[str, int] = field(default_factory=dict)


ModelPiece = TextPiece | FunctionRequest | ModelDone


class LanguageModel(Protocol):
    """Answers conversations."""

    @property
    def name(self) -> str:
        """Which model this is, for timelines: "mistral-small"."""
        ...

    def answer(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec] = ()
    ) -> AsyncGenerator[ModelPiece, None]:
        """The answer as it is made; `ModelDone` is the last piece. Closing the iterator stops the
        model. Raises ProviderError: before the first piece within the time to first byte, and
        later when the vendor dies or falls silent."""
        ...

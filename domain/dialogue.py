"""What was said and done so far, as a language model reads it. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from domain.language_model import FunctionRequest, ModelMessage


class Ran(Protocol):
    """A function that has run (`storage.StoredResult`)."""

    @property
    def function_call_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def result(self) -> Mapping[str, Any]: ...
    @property
    def finished_at(self) -> datetime | None: ...


def dialogue(
    said: Sequence[tuple[datetime, ModelMessage]], ran: Sequence[Ran]
) -> list[ModelMessage]:
    """Both in the order in which they happened; of the same instant, words before functions."""
    told: list[tuple[datetime, list[ModelMessage]]] = [(at, [message]) for at, message in said]
    told += [(run.finished_at, exchange(run)) for run in ran if run.finished_at is not None]
    return [message for _, each in sorted(told, key=lambda pair: pair[0]) for message in each]


def exchange(run: Ran) -> list[ModelMessage]:
    """A function that has run, as it was asked for and answered."""
    arguments = json.dumps(run.arguments, ensure_ascii=False)
    request = FunctionRequest(run.function_call_id, run.name, arguments)
    answer = json.dumps(run.result, ensure_ascii=False)
    return [
        ModelMessage("assistant", requests=[request]),
        ModelMessage("function", answer, answers=run.function_call_id),
    ]

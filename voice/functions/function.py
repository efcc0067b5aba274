"""What every function of the agent is made of, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import msgspec

from domain.outcome import Outcome
from storage import TenantRows
from voice.functions.context import CallContext
from voice.functions.sentences import say
from voice.ports import FunctionSpec


@dataclass(frozen=True, slots=True)
class Answer:
    """A function's result.

    `result` is what the model reads (JSON-able); `effect` what was achieved by writing rows;
    `then` what the call must do next ("" | "end" | "transfer"), `detail` its reason.
    """

    result: Mapping[str, Any]
    effect: Outcome | None = None
    then: str = ""
    detail: str = ""


@dataclass(eq=False)
class Refused(Exception):
    """Arguments that can't be used.

    `error` is one English line for the model; `sentence` a key of `voice.functions.sentences`:
    what the caller can be asked.
    """

    error: str
    sentence: str = "not_understood"


def unavailable(name: str, context: CallContext, empty: Mapping[str, Any]) -> Answer:
    """The usual `Function.failed`: {status: "error", spoken, retry, …}."""
    spoken = say(context.locale, f"failed_{name}")
    return Answer({"status": "error", "spoken": spoken, "retry": True, **empty})


@runtime_checkable
class Asking(Protocol):
    """A function that asks a port of the context instead of the rows: it runs outside of any
    transaction, whose connection another caller may need meanwhile."""

    async def ask(self, arguments: Any, context: CallContext) -> Answer:
        """Do it. `arguments` were prepared."""
        ...


class Function(Protocol):
    """One verb; each module of this package whose name is a verb is one.

    `WRITES`: it may write rows, so it runs inside one write transaction together with the record
    of its result, and the same arguments never have their effect twice in a call. `EMPTY`: the
    fields of the result's shape that a refusal must carry too.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def WRITES(self) -> bool: ...

    @property
    def EMPTY(self) -> Mapping[str, Any]: ...

    @property
    def Arguments(self) -> type[msgspec.Struct]: ...

    def spec(self, locale: str) -> FunctionSpec:
        """The function as the model sees it, in the language of the call."""
        ...

    def prepare(self, arguments: Any, context: CallContext) -> Any:
        """The same `Arguments`, in the form in which two equal requests are equal.

        Raises Refused. Does no I/O.
        """
        ...

    def failed(self, arguments: Any, context: CallContext) -> Answer:
        """What to answer when storage is silent: honest, never an effect. Does no I/O."""
        ...

    async def run(self, arguments: Any, context: CallContext, rows: TenantRows) -> Answer:
        """Do it. `arguments` were prepared. An answer without an `effect` has achieved nothing new:
        at most it has corrected what an earlier one wrote, or noted who called."""
        ...

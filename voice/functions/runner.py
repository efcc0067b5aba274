"""Runs functions for the agent: find → validate → time limit → run exactly once → an answer."""

import asyncio
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog

from domain.errors import Conflict
from domain.outcome import Outcome
from storage import FunctionRun, StoredResult, TenantRows
from voice.events import FunctionFinished
from voice.functions import FUNCTIONS
from voice.functions.arguments import canonical, clean_text, decode, digest
from voice.functions.context import CallContext
from voice.functions.function import Answer, Asking, Function, Refused
from voice.functions.sentences import say
from voice.ports import FunctionSpec

#: How long a function may take, seconds. Callers hear a filler after 1.2 s and give up on a
#: silent line after about ten.
TIME_LIMIT = 8.0
#: How long we look for a result whose commit we didn't see, seconds.
RECALL_LIMIT = 2.0
#: How much of what a model wrote is kept when it isn't readable, characters.
_KEPT = 500

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """One function call, understood as far as it can be without I/O.

    Either `refusal` is the answer, or `function` can run with the prepared `arguments`; `said`
    and `fingerprint` are the same for requests that ask for the same thing.
    """

    function_call_id: str
    name: str
    said: Mapping[str, Any]
    fingerprint: str
    started_at: datetime
    function: Function | None = None
    arguments: Any = None
    refusal: Answer | None = None

    @property
    def asking(self) -> Asking | None:
        function: object = self.function
        return function if isinstance(function, Asking) else None

    @property
    def writes(self) -> bool:
        return self.function is not None and self.refusal is None and self.function.WRITES


class FunctionRunner:
    """Runs each function call of a call exactly once.

    Once by its id, against repeats of the transport; once by its arguments, when it had an
    effect, against a model that repeats itself. Unique indexes decide, so it holds across tasks
    and processes. An effect is committed together with its result, before anybody hears of it.
    """

    def __init__(
        self, functions: Sequence[Function] = FUNCTIONS, *, time_limit: float = TIME_LIMIT
    ) -> None:
        self._functions = {function.NAME: function for function in functions}
        self._time_limit = time_limit

    def specs(self, names: Sequence[str], locale: str) -> list[FunctionSpec]:
        """The functions of these names as the model sees them. KeyError for one we don't have."""
        return [self._functions[name].spec(locale) for name in names]

    async def run(
        self, function_call_id: str, name: str, arguments_json: str, context: CallContext
    ) -> FunctionFinished:
        """Run it, or give the answer that it had before.

        Never raises, except CancelledError: a caller who hangs up doesn't undo what was asked, so
        a running function is finished first (within the time limit).
        """
        request = self._understand(function_call_id, name, arguments_json, context)
        answer = await _finish(self._answer(request, context))
        return FunctionFinished(
            function_call_id, name, answer.result, answer.effect, answer.then, answer.detail
        )

    # ------------------------------------------------------------------- understanding

    def _understand(
        self, function_call_id: str, name: str, arguments_json: str, context: CallContext
    ) -> _Request:
        now = context.clock.now()
        function = self._functions.get(name)
        try:
            if function is None:
                raise Refused(f"there is no such function; there are: {', '.join(self._functions)}")
            arguments = function.prepare(decode(arguments_json, function.Arguments), context)
        except Refused as refused:
            refusal = _refusal(refused, function, context)
            said = {"unreadable": clean_text(arguments_json[:_KEPT])}
            return _Request(
                function_call_id, name, said, digest(said), now, function, refusal=refusal
            )
        said = canonical(arguments)
        return _Request(function_call_id, name, said, digest(said), now, function, arguments)

    # ------------------------------------------------------------------------- running

    async def _answer(self, request: _Request, context: CallContext) -> Answer:
        """The one answer to the request. Only its own cancellation passes."""
        try:
            async with asyncio.timeout(self._time_limit):
                if request.writes or request.refusal is not None:
                    return await self._write(request, context)
                return await self._read(request, context)
        except Exception as error:  # noqa: BLE001 - the caller must hear something, whatever fails
            stored = await self._recall(request, context)
            # A Conflict with a stored answer: the same request ran elsewhere, and was first.
            if stored is None or not isinstance(error, Conflict):
                _report(error, request, context)
        return stored or _failure(request, context)

    async def _write(self, request: _Request, context: CallContext) -> Answer:
        """Effect and result in one transaction."""
        async with context.storage.write() as rows:
            stored = await _stored(request, context, rows)
            if stored is not None:
                return stored
            if await _superseded(context, rows):
                _log.info("function.superseded", call_id=context.call_id, function=request.name)
                return _failure(request, context)
            answer = request.refusal or await _run(request, context, rows)
            if request.writes and answer.effect is None:
                # On PostgreSQL the same request may have been committed while ours ran into it.
                stored = await _stored(request, context, rows)
                if stored is not None:
                    return stored
            await _record(request, answer, context, rows)
            return answer

    async def _read(self, request: _Request, context: CallContext) -> Answer:
        """Reading holds up no writer: only the record of the result is a write."""
        async with context.storage.read() as rows:
            stored = await _stored(request, context, rows)
            if stored is not None:
                return stored
            answer = None if request.asking else await _run(request, context, rows)
        if request.asking:
            answer = await request.asking.ask(request.arguments, context)
        assert answer is not None
        async with context.storage.write() as rows:
            await _record(request, answer, context, rows)
        return answer

    async def _recall(self, request: _Request, context: CallContext) -> Answer | None:
        """What was committed after all: a time limit may strike while the commit is under way."""
        try:
            async with asyncio.timeout(RECALL_LIMIT), context.storage.read() as rows:
                return await _stored(request, context, rows)
        except Exception as error:  # noqa: BLE001 - the failure itself is being answered already
            _report(error, request, context)
            return None


async def _run(request: _Request, context: CallContext, rows: TenantRows) -> Answer:
    assert request.function is not None
    return await request.function.run(request.arguments, context, rows)


async def _superseded(context: CallContext, rows: TenantRows) -> bool:
    """The call has been answered anew and gone to another node: this one was frozen, reads only now
    what its agent had asked for, and the next agent asks the same in other words. What had begun
    before is finished."""
    stream = context.stream
    if stream is None or context.call_id is None:
        return False
    call = await rows.calls.get(context.call_id)
    return call is not None and call.opening != stream.opening and call.node_id != stream.node_id


async def _stored(request: _Request, context: CallContext, rows: TenantRows) -> Answer | None:
    """The answer that this function call had, or that the same effect had in this call."""
    found = await rows.functions.find(context.occasion, request.function_call_id)
    if found is None and request.writes:
        found = await rows.functions.find_effect(
            context.occasion, request.name, request.fingerprint
        )
    return None if found is None else _answer_of(found)


def _answer_of(stored: StoredResult) -> Answer:
    effect = Outcome(stored.effect) if stored.effect else None
    return Answer(stored.result, effect, stored.then, stored.detail)


async def _record(
    request: _Request, answer: Answer, context: CallContext, rows: TenantRows
) -> None:
    """Raises Conflict when somebody else has recorded the same request."""
    await rows.functions.record(
        FunctionRun(
            occasion=context.occasion,
            function_call_id=request.function_call_id,
            name=request.name,
            arguments=request.said,
            arguments_hash=request.fingerprint,
            result=answer.result,
            effect=answer.effect,
            then=answer.then,
            detail=answer.detail,
            started_at=request.started_at,
            finished_at=context.clock.now(),
        )
    )


def _refusal(refused: Refused, function: Function | None, context: CallContext) -> Answer:
    empty = function.EMPTY if function else {}
    spoken = say(context.locale, refused.sentence)
    return Answer({"status": "invalid", "error": refused.error, "spoken": spoken, **empty})


def _failure(request: _Request, context: CallContext) -> Answer:
    """Nothing is known to have been stored, and the answer says so."""
    if request.refusal is not None or request.function is None:
        return request.refusal or _refusal(Refused("not available"), None, context)
    return request.function.failed(request.arguments, context)


def _report(error: BaseException, request: _Request, context: CallContext) -> None:
    """For the operator: what failed and where. Messages of errors may quote arguments, which are
    personal data, so they stay out."""
    frames = traceback.extract_tb(error.__traceback__)
    _log.error(
        "function.failed",
        function=request.name if request.function else "unknown",
        call_id=context.call_id,
        tenant_id=context.tenant.id,
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno}" for frame in frames[-3:]],
    )


async def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even when cancelled meanwhile; then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()

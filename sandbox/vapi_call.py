"""One emulated Vapi call: its assistant, its connection, and what it posts to the server."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx
from websockets.asyncio.server import ServerConnection

from sandbox.brain import Brain
from sandbox.vapi_assistant import Assistant, read_results
from sandbox.vapi_faults import VapiFaults
from sandbox.vapi_line import Line
from sandbox.vapi_messages import (
    DEFAULT_SERVER_MESSAGES,
    SHAPES,
    is_retried,
    report,
    resolved,
    retry_delays,
    server_of,
    subscribed,
    tool_call_fields,
)
from sandbox.vapi_record import CallRecord, Posted, ToolCall

_TIMEOUT_S = 20.0  # of a server that names none (docs.vapi.ai/server-url)
_REPORT_AFTER_S = 0.2  # "sent after post-processing"
_COST_PER_MINUTE = {"transport": 0.0, "stt": 0.01, "llm": 0.02, "tts": 0.03, "vapi": 0.05}

Tell = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all calls of an emulator share. `client`: posts server messages; `shapes`: of tool
    calls, in turn."""

    brains: Callable[[int | None], Brain]
    faults: VapiFaults
    tasks: asyncio.TaskGroup
    client: httpx.AsyncClient
    spectator: Tell
    latency_s: float
    shapes: Sequence[str]
    org_id: str


class EmulatedCall:
    """From POST /call to the last server message. An `Assistant`'s stage."""

    def __init__(
        self,
        record: CallRecord,
        around: Surroundings,
        created_at: str,
        published: Callable[[int, str, bytes], None] | None,
    ) -> None:
        self.record = record
        self._around = around
        self.faults = around.faults
        self._created_at = created_at
        self._published = published
        turns = cycle(around.shapes or SHAPES)
        self.now = asyncio.get_running_loop().time
        self._resolve()
        self.assistant = Assistant(
            record,
            around.brains,
            self,
            latency_s=around.latency_s + around.faults.late_s,
            tool_shape=lambda: next(turns),
        )
        self._line: Line | None = None
        self._over = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()

    def _resolve(self) -> None:
        config = self.record.assistant
        known = {**config.get("variableValues", {}), "call": self.describe()}
        known["customer"] = self.record.request.get("customer", {})
        for name in ("firstMessage", "endCallMessage"):
            if name in config:
                config[name] = resolved(config[name], known)

    @property
    def joined(self) -> bool:
        return self._line is not None

    def describe(self) -> dict[str, Any]:
        """The Call object, without what only its creation tells."""
        request, record = self.record.request, self.record
        ended = bool(record.ended) and not self._lags()
        status = "ended" if ended else "in-progress" if record.joined_at else "queued"
        bypass = bool(request.get("phoneCallProviderBypassEnabled"))
        described: dict[str, Any] = {
            "id": record.id,
            "orgId": self._around.org_id,
            # Bypass calls come in, and are reported as going out (§1.6).
            "type": "outboundPhoneCall" if bypass else "vapi.websocketCall",
            "status": status,
            "createdAt": self._created_at,
            "updatedAt": self._created_at,
            "cost": 0,
        }
        if ended:
            described["endedReason"] = record.ended
        for name in ("assistantId", "assistantOverrides", "customer", "phoneNumberId", "name"):
            if name in request:
                described[name] = request[name]
        return described

    def befall(self, faults: VapiFaults) -> None:
        """From now on these."""
        self.faults = faults
        self.assistant.latency_s = self._around.latency_s + faults.late_s

    def _lags(self) -> bool:
        ended_at = self.record.ended_at
        return ended_at is not None and self.now() - ended_at < self.faults.ended_lag_s

    # ------------------------------------------------------------------------ its life

    def give_up_after(self, seconds: float) -> None:
        """Unless somebody joins."""

        async def wait() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await self._over.wait()
            except TimeoutError:
                if not self.joined:
                    self.assistant.end("phone-call-provider-bypass-enabled-but-no-call-received")

        self._start(wait())

    async def carry(self, connection: ServerConnection) -> None:
        """The one connection of the call."""
        bypass = bool(self.record.request.get("phoneCallProviderBypassEnabled"))
        self._line = Line(connection, self.assistant, lambda: self.faults, bypass=bypass)
        await self._line.run()

    def refused(self, reason: str) -> None:
        """It never begins."""
        self.record.ended = reason
        self._over.set()

    def abandon(self) -> None:
        """The emulator is shut down: what is still to be posted isn't."""
        self._over.set()
        for task in self._work:
            task.cancel()

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = self._around.tasks.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # ----------------------------------------------------------------------- the stage

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        """To the client and to the server, each as it has subscribed."""
        if self._line is not None:
            self._line.tell(kind, fields)
        kinds = self.record.assistant.get("serverMessages", DEFAULT_SERVER_MESSAGES)
        if subscribed(kinds, kind, fields):
            self._start(self._post(kind, dict(fields)))
        if kind == "transcript":
            who = "model_says" if fields["role"] == "assistant" else "model_hears"
            self._tell_spectator(who, {"text": fields["transcript"]})

    def call_tools(self, calls: list[ToolCall]) -> None:
        """Ask the server, and hand its answer to the assistant."""
        for call in calls:
            self._tell_spectator("model_calls", {"name": call.name, "arguments": call.arguments})
        if self.faults.hung:
            return
        self._start(self._ask(calls))
        if self.faults.duplicates:
            self._start(self._ask(calls))

    def interrupted(self) -> None:
        if self._line is not None:
            self._line.forget()

    def rendered(self, text: str, audio: bytes) -> None:
        if self._published is not None:
            self._published(self.record.tag, text, audio)

    def end(self, reason: str) -> None:
        self.tell("status-update", {"status": "ended", "endedReason": reason})
        self._over.set()
        if self._line is not None:
            self._line.close()
        self._start(self._report(reason))

    # ------------------------------------------------------------------ to the server

    async def _report(self, reason: str) -> None:
        kinds = self.record.assistant.get("serverMessages", DEFAULT_SERVER_MESSAGES)
        await asyncio.sleep(_REPORT_AFTER_S)
        if "hang" in kinds and self.faults.garbage:
            await self._post("hang", {})
            await self._post("moon-phase", {"phase": "full"})
        if "end-of-call-report" in kinds:
            record = self.record
            minutes = ((record.ended_at or 0) - (record.joined_at or record.created_at)) / 60
            costs = {name: round(each * minutes, 5) for name, each in _COST_PER_MINUTE.items()}
            await self._post("end-of-call-report", report(record, reason, costs))

    async def _ask(self, calls: list[ToolCall]) -> None:
        fields = tool_call_fields(calls, self.record, self.describe())
        answer = await self._post("tool-calls", fields, [call.name for call in calls])
        body = answer.content if answer is not None and answer.status_code == 200 else b""
        complaints = self.record.faults_seen
        results = read_results(body, calls, complaints.append)
        self._tell_spectator("model_reads_result", {"tools": [call.name for call in calls]})
        self.assistant.results(results, self.now())

    async def _post(
        self, kind: str, fields: Mapping[str, Any], tools: Sequence[str] = ()
    ) -> httpx.Response | None:
        server = server_of(self.record, tools)
        if not server.get("url") or self.faults.hung:
            return None
        assistant = {
            name: value for name, value in self.record.assistant.items() if name != "variableValues"
        }
        message = {
            "timestamp": round(time.time() * 1000),
            "type": kind,
            **fields,
            "call": self.describe(),
            "assistant": assistant,
        }
        if "customer" in self.record.request:
            message["customer"] = self.record.request["customer"]
        answer = await self._posted(kind, server, message)
        for delay in retry_delays(server):
            if not is_retried(server, answer.status_code if answer is not None else 0):
                break
            await asyncio.sleep(delay)
            answer = await self._posted(kind, server, message)
        return answer

    async def _posted(
        self, kind: str, server: Mapping[str, Any], message: Mapping[str, Any]
    ) -> httpx.Response | None:
        answer: httpx.Response | None = None
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._around.client.post(
                server["url"],
                json={"message": message},
                headers=server.get("headers", {}),
                timeout=server.get("timeoutSeconds", _TIMEOUT_S),
            )
        status = answer.status_code if answer is not None else 0
        self.record.posted.append(Posted(self.now(), kind, server["url"], status))
        return answer

    def _tell_spectator(self, name: str, fields: dict[str, Any]) -> None:
        self._around.spectator(name, {"call_tag": self.record.call_tag, **fields})

"""The shell of a call: joins the caller's stream and the agent's leg.

Hands audio straight across, feeds `voice.call.Call` with everything else and carries out its
commands. No task and no queue per frame; whatever takes time runs in the call's task group.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from storage.journal import JournalEntry
from voice import events as ev
from voice.audio import base64_size
from voice.call import Call
from voice.history import CONNECTED
from voice.journal import Journal
from voice.media_stream.ears import EVERY, Ears
from voice.media_stream.playout import Playout
from voice.media_stream.protocol import (
    Dtmf,
    Encoder,
    Mark,
    Media,
    Message,
    ProtocolError,
    Stop,
    parse,
)
from voice.ports import AgentLeg, CallMetrics, MediaSocket

log = structlog.get_logger(__name__)

#: Twilio sends 50 frames a second; after a stall, theirs or ours, half a minute of them may come at
#: once. More than that, ten times faster than life, isn't a call.
RATE_WINDOW = 1536
RATE_WINDOW_SECONDS = 3.0
#: Malformed messages that one stream may send before it is closed.
MALFORMED_ALLOWED = 10
#: What a peer may leave unread before it counts as gone: minutes of audio.
MAX_BUFFERED = 4 * 1024 * 1024
#: After our hang-up Twilio ends the stream; if not, we do.
STREAM_END_SECONDS = 5.0
#: Twilio sends a frame every 20 ms, silence included. A stream that brings nothing for so many
#: looks, so many seconds apart, is dead, long before a ping is found to be unanswered. Who talks on
#: to a dead line would in the end hang up on the caller, whom another stream carries by now.
LOOK_SECONDS = 5.0
LOOKS_IN_VAIN = 3
#: Who hangs up right after "merci, au revoir" is gone before that is transcribed: so long we wait.
LAST_WORDS_SECONDS = 1.5
#: By our own clock all was played this long ago, and no mark came back: take it as heard.
MARK_GRACE_SECONDS = 1.5
#: By our own clock all was played this long ago, and an answer that isn't over brought no more.
DRY_SECONDS = 0.3

#: A vendor's socket that doesn't answer a ping for so long is dead. Our ears know half a second
#: after a word that it is over, and 2.5 s after it the caller must hear something.
ALIVE_SECONDS = 1.2

#: The caller's last frames are kept for an agent that takes over: 15 s of them.
KEPT_FRAMES = 750
#: … and given to it from a little before our ears heard them begin: 600 ms.
EARLIER_FRAMES = 30
#: Turns that are kept for it.
KEPT_TURNS = 100
#: A function that runs elsewhere for an agent that is gone takes 10 s at most, its commit included
#: (voice/functions/runner.py): so often, so many seconds apart, we look whether it has answered.
LATE_LOOKS = 21
LATE_SECONDS = 0.5

#: After these the agent adds nothing to what it has said.
_NO_MORE_TO_COME = frozenset({ev.ResponseDone, ev.AgentGone})


@dataclass(frozen=True, slots=True)
class Identity:
    """Which call this is."""

    call_id: str
    call_sid: str
    tenant_id: str


class Announcements(Protocol):
    """Our own sentences, spoken beforehand."""

    def audio(self, text: str) -> Sequence[str]:
        """Pieces of base64 µ-law, 100 ms each; none when this sentence was never spoken."""
        ...

    def of(self, gender: str) -> "Announcements":
        """In the voice of an agent of this gender ("female", "male"), where there is one."""
        ...


class Speechless:
    """No announcements."""

    def audio(self, text: str) -> Sequence[str]:
        return ()

    def of(self, gender: str) -> "Speechless":
        return self


class CallActions(Protocol):
    """What a call may ask of the outside while it runs. Each is bounded in time."""

    async def run_function(self, command: ev.RunFunction) -> ev.FunctionFinished:
        """Run it exactly once; never raises for a failed function."""
        ...

    async def hang_up(self, reason: str) -> None:
        """End the telephone call. Raises ProviderError."""
        ...

    async def transfer(self, reason: str) -> None:
        """Redirect the telephone call to the tenant's own phone. Raises ProviderError."""
        ...

    async def record(self) -> None:
        """Have the telephone call recorded; the caller has been told. Never raises."""
        ...

    async def leave(self, reason: str) -> None:
        """The stream is about to be closed, for no agent is left. Never raises."""
        ...

    def runs_elsewhere(self, agent: str) -> bool:
        """Whether the functions that this agent asks for run outside of this stream."""
        ...

    async def ran_elsewhere(
        self, since: datetime | None, until: datetime
    ) -> Sequence[ev.FunctionFinished]:
        """What functions that nobody on this stream has asked for answered after `since`, if they
        began before `until`; each once. Never raises."""
        ...

    async def next_agent(
        self, lost: str | None, why: ev.ChangeAgent, turns: Sequence[tuple[str, str]]
    ) -> AgentLeg:
        """The ladder's next agent, told what was said and done; `lost` is the name of the last
        one. Raises ProviderError when there is none."""
        ...

    def sounded(self, name: str) -> None:
        """The first sound of the agent of this name has come. Returns at once."""
        ...


class _Nobody:
    """Listens to a leg that has been given up."""

    def on_agent_audio(self, item_id: str, payload: str) -> None: ...

    def on_agent_event(self, event: ev.Event) -> None: ...


_NOBODY = _Nobody()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every bridge of this node shares."""

    clock: Clock
    journal: Journal
    metrics: CallMetrics
    announcements: Announcements = field(default_factory=Speechless)


class Bridge:
    """One stream of one call. An `AgentListener`; `ended` is set when the stream is over."""

    def __init__(
        self,
        call: Call,
        identity: Identity,
        socket: MediaSocket,
        encoder: Encoder,
        actions: CallActions,
        surroundings: Surroundings,
    ) -> None:
        self._call = call
        self._identity = identity
        # Not by context: what the sockets call runs in nobody's.
        self._log = log.bind(call_id=identity.call_id, tenant_id=identity.tenant_id)
        self._socket = socket
        self._encoder = encoder
        self._actions = actions
        self._clock = surroundings.clock
        self._journal = surroundings.journal
        self._metrics = surroundings.metrics
        self._playout = Playout()
        self._ears = Ears()
        self._announcements = surroundings.announcements
        self._announced = 0
        self._announcing = False  # what sounds is a line of our own
        self._turns: deque[tuple[str, str]] = deque(maxlen=KEPT_TURNS)
        self._frames: deque[str] = deque(maxlen=KEPT_FRAMES)
        self._loud_from = 0  # of the frames received
        self._unheard = False  # the caller has been loud, and no agent has answered to it yet
        self._leg: AgentLeg | None = None
        self._sounded = False  # … and it has been on the line
        self._tasks: asyncio.TaskGroup | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._events: deque[ev.Event] = deque()
        self._feeding = False
        self._audible = False
        self._responding = False
        self._drained = False
        self._received = 0
        self._seen = 0  # of these, at the last look
        self._in_vain = 0
        self._malformed = 0
        self._window_began = self._clock.monotonic()
        self._marks_out = 0  # not yet returned
        self._returned = 0  # in this window
        self._leaving = False
        self._gone = False  # the caller; the stream is over once their last words are written down
        self._began_utc = self._clock.now()
        self._began = self._clock.monotonic()
        self._answered_at = self._began_utc  # when the last answer that was heard out began
        self.ended = asyncio.Event()
        self.was_replaced = False
        self.unheard_frames = 0
        self._execute: dict[type, Callable[..., None]] = {
            ev.Say: lambda c: self._agent().say(c.text),
            ev.Respond: lambda _: self._agent().respond(),
            ev.Interrupt: self._interrupt,
            ev.TellAgent: lambda c: self._agent().tell(c.text, c.role),
            ev.RunFunction: self._run_function,
            ev.GiveResult: lambda c: self._agent().give_result(
                c.function_call_id, c.output, respond=c.respond
            ),
            ev.StartTimer: self._start_timer,
            ev.StopTimer: self._stop_timer,
            ev.Record: self._record,
            ev.StartRecording: lambda _: self._later(self._actions.record()),
            ev.HangUp: lambda c: self._later(self._hang_up(c.reason)),
            ev.TransferCall: lambda c: self._later(self._transfer(c.reason)),
            ev.Announce: lambda c: self._announce(c.text),
            ev.ChangeAgent: self._change_agent,
            ev.CheckAgent: lambda _: self._later(self._check_agent()),
            ev.LeaveStream: lambda command: self._later(self._leave(command.reason)),
        }

    # ------------------------------------------------------------------------ the shell's life

    @property
    def call(self) -> Call:
        return self._call

    @property
    def call_id(self) -> str:
        return self._identity.call_id

    @property
    def tenant_id(self) -> str:
        return self._identity.tenant_id

    @property
    def agent_name(self) -> str | None:
        return self._leg.name if self._leg is not None else None

    def start(
        self,
        tasks: asyncio.TaskGroup,
        *,
        resumed: bool,
        turns: Sequence[tuple[str, str]] = (),
        was_cut: bool = False,
    ) -> None:
        """The caller is there. `tasks` ends with the stream; `turns`: (who, text) of earlier
        ones; `was_cut`: the last of them broke, and the line has been silent since."""
        self._tasks = tasks
        self._turns.extend(turns)
        self._call_later("look", LOOK_SECONDS, self._look)
        self._feed(ev.CallerJoined(resumed, was_cut))
        if was_cut:
            self._later(self._late_results())

    async def attach(self, pending: Awaitable[AgentLeg]) -> None:
        """Join the agent when its leg is ready."""
        began = self._clock.monotonic()
        try:
            leg = await pending
        except ProviderError as error:
            self._log.warning("agent.unreachable", vendor=error.vendor, reason=error.reason)
            self._feed(ev.AgentGone(error.code or "unreachable"))
            return
        if self.ended.is_set():
            await leg.close()
            return
        self._join(leg, began)

    def _join(self, leg: AgentLeg, began: float) -> None:
        waited = self._clock.monotonic() - began
        self._leg = leg
        self._sounded = False
        if self._call.words_lost:
            self._replay(leg)
        leg.listen(self)
        self._record(
            ev.Record(
                "event",
                {"name": CONNECTED, "agent": leg.name, "waited_ms": round(waited * 1000)},
                began,
            )
        )
        self._latency("agent_connect", waited, began)

    def _replay(self, leg: AgentLeg) -> None:
        """What the caller said to nobody, faster than life."""
        wanted = self._received - self._loud_from + EARLIER_FRAMES
        for payload in list(self._frames)[-wanted:]:
            leg.hear(payload)

    def _change_agent(self, command: ev.ChangeAgent) -> None:
        leg, self._leg = self._leg, None
        self._responding = False
        if leg is not None:
            leg.listen(_NOBODY)
        self._log.warning("agent.lost", reason=command.reason)
        self._metrics.count("agents_lost", command.reason)
        self._later(self._next_agent(leg, command))

    async def _check_agent(self) -> None:
        leg = self._leg
        if leg is not None:
            alive = await leg.answers(ALIVE_SECONDS)
            if leg is self._leg:
                self._feed(ev.AgentChecked(alive))

    async def _leave(self, reason: str) -> None:
        await self._actions.leave(reason)
        self._socket.close()

    async def _next_agent(self, lost: AgentLeg | None, why: ev.ChangeAgent) -> None:
        began = self._clock.monotonic()
        try:
            name = lost.name if lost is not None else None
            leg = await self._actions.next_agent(name, why, tuple(self._turns))
        except ProviderError as error:
            self._log.warning("agent.none_left", vendor=error.vendor, reason=error.reason)
            self._feed(ev.NoAgentLeft(error.code or "unreachable"))
        else:
            if self.ended.is_set():
                await leg.close()
            else:
                self._join(leg, began)
                self._latency("rescue", self._clock.monotonic() - began, began)
                if name is not None and self._actions.runs_elsewhere(name):
                    self._later(self._late_results(self._answered_at))
        if lost is not None:
            await lost.close()

    async def _late_results(self, since: datetime | None = None) -> None:
        """What was asked for by an agent that is gone, and answered since, is told to this one."""
        until = self._clock.now()
        for _ in range(LATE_LOOKS):
            for finished in await self._actions.ran_elsewhere(since, until):
                self._feed(finished)
            with suppress(TimeoutError):
                async with asyncio.timeout(LATE_SECONDS):
                    await self.ended.wait()
                    return

    async def close(self) -> None:
        """Let go of everything: timers, the leg, the socket."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._socket.close()
        if self._leg is not None:
            await self._leg.close()

    def replaced(self) -> None:
        """A newer stream of the same call has come."""
        self.was_replaced = True
        self._socket.close()
        self._stream_over(hung_up=False)

    def hand_over(self) -> None:
        """This node stops. Twilio asks `continue` as soon as the stream is closed, sooner than by
        a redirection; 1012 is "service restart" (RFC 6455's registry)."""
        self._socket.close(1012)

    # --------------------------------------------------------------------------- the caller

    def on_text(self, data: bytes) -> None:
        """One frame of the caller's stream. The hot path."""
        self._received += 1
        if not self._received % RATE_WINDOW and self._too_fast():
            return
        try:
            message = parse(data)
        except ProtocolError:
            self._malformed += 1
            if self._malformed > MALFORMED_ALLOWED:
                self._log.warning("stream.malformed", count=self._malformed)
                self._socket.close(1007)
            return
        if type(message) is Media:
            payload = message.media.payload
            self._keep(payload)
            if self._leg is None:
                self.unheard_frames += 1
            else:
                self._leg.hear(payload)
            if not self._received % EVERY and self._ears.hear(payload):
                self._loudness(self._ears.loud)
        elif message is not None:
            self._on_message(message)

    def _keep(self, payload: str) -> None:
        """Of a caller who says something the words so far, otherwise the last moment."""
        frames = self._frames
        frames.append(payload)
        if not self._unheard and len(frames) > EARLIER_FRAMES:
            frames.popleft()

    def _loudness(self, loud: bool) -> None:
        self._unheard |= loud
        if loud and not self._call.words_lost:
            self._loud_from = self._received
        self._feed(ev.CallerAudible(loud))

    def _on_message(self, message: Message) -> None:
        match message:
            case Mark():
                if self._marks_out:
                    self._marks_out -= 1
                    self._returned += 1
                if self._playout.echoed(message.mark.name, self._clock.monotonic()):
                    self._all_played()
            case Dtmf() if message.dtmf.digit in "0123456789*#" and message.dtmf.digit:
                self._feed(ev.DigitPressed(message.dtmf.digit[0]))
            case Stop():
                self._stream_over(hung_up=True)
            case _:  # connected again, or a second start: nothing to do
                pass

    def on_closed(self) -> None:
        """The caller's socket is gone. Idempotent."""
        self._stream_over(hung_up=self._leaving)

    def _stream_over(self, *, hung_up: bool) -> None:
        if self._gone:
            return
        self._gone = True
        items = self._playout.cleared(self._clock.monotonic())
        if self._audible and items:
            self._feed(ev.AgentCut(items))
        self._audible = False
        self._feed(ev.CallerLeft(hung_up))
        if hung_up and self._call.last_words_due:
            self._call_later("last_words", LAST_WORDS_SECONDS, self.ended.set)
        else:
            self.ended.set()

    def _look(self) -> None:
        """Does anything still come? One look in vain may be our own fault: after a stall of the
        event loop timers run before what has arrived meanwhile is read."""
        self._in_vain = self._in_vain + 1 if self._received == self._seen else 0
        self._seen = self._received
        if self._in_vain < LOOKS_IN_VAIN:
            self._call_later("look", LOOK_SECONDS, self._look)
        else:
            self._log.warning("stream.dead")
            self._metrics.count("streams_dead")
            self._socket.close(1011)

    def _too_fast(self) -> bool:
        """Marks that we asked back don't count: a clear returns all of them at once (§3.3)."""
        now = self._clock.monotonic()
        unasked = 1 - self._returned / RATE_WINDOW
        fast = now - self._window_began < RATE_WINDOW_SECONDS * unasked
        self._window_began = now
        self._returned = 0
        if fast:
            self._log.warning("stream.flooded")
            self._socket.close(1008)
        return fast

    # ---------------------------------------------------------------------------- the agent

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        """Audio for the caller. The hot path."""
        self._play(item_id, payload, announcement=False)

    def _announce(self, text: str) -> None:
        """Play a line of our own behind what is on the line."""
        pieces = self._announcements.audio(text)
        if not pieces:
            self._metrics.count("announcements_missing")
            self._feed(ev.AnnouncementMissing())
            return
        self._announced += 1
        item_id = f"{ev.ANNOUNCEMENT}{self._announced}"
        self._events.append(ev.AgentText(item_id, text, final=True))
        for piece in pieces:
            self._play(item_id, piece, announcement=True)
        self._finish_utterance()

    def _play(self, item_id: str, payload: str, *, announcement: bool) -> None:
        if self._gone:
            return
        if self._socket.buffered > MAX_BUFFERED:
            self._log.warning("stream.unread")
            self._socket.close(1011)
            return
        self._socket.send(self._encoder.media(payload))
        now = self._clock.monotonic()
        mark = self._playout.sent(item_id, base64_size(payload), now)
        if mark is not None:
            self._send_mark(mark)
        if self._drained:
            self._drained = False
            self._feed(ev.AgentDry(False))
            self._watch_for_more()
        if not self._audible or self._announcing is not announcement:
            if not announcement:
                self._answers()
                self._watch_for_more()
            self._audible = True
            self._announcing = announcement
            self._feed(ev.AgentAudioStarted(item_id))

    def _answers(self) -> None:
        """The agent has begun to answer: what the caller said until now needs no other agent."""
        if not self._sounded and self._leg is not None:
            self._sounded = True
            self._actions.sounded(self._leg.name)
        self._unheard = self._ears.loud
        while not self._unheard and len(self._frames) > EARLIER_FRAMES:
            self._frames.popleft()

    def _send_mark(self, name: str) -> None:
        self._marks_out += 1
        self._socket.send(self._encoder.mark(name))

    def on_agent_event(self, event: ev.Event) -> None:
        """Anything else from the agent."""
        kind = type(event)
        if kind is ev.CallerSpeechStarted:
            began = self._clock.monotonic()
            audible = self._audible
            self._feed(event)
            if audible and not self._audible:
                self._latency("barge_in", self._clock.monotonic() - began, began)
            return
        if kind is ev.ResponseStarted:
            self._responding = True
        elif kind in _NO_MORE_TO_COME:
            self._responding = False
            self._finish_utterance()
        self._feed(event)
        if kind in _NO_MORE_TO_COME and self._drained:
            self._all_played()
        if self._gone and not self._call.last_words_due:
            self.ended.set()

    def _finish_utterance(self) -> None:
        mark = self._playout.tail()
        if mark is not None:
            self._send_mark(mark)
        if self._audible:
            left = self._playout.remaining_ms(self._clock.monotonic()) / 1000
            self._call_later("playout", left + MARK_GRACE_SECONDS, self._played_by_the_clock)

    def _played_by_the_clock(self) -> None:
        """Marks are the authority; a carrier that loses one must not freeze the call."""
        if self._audible and self._playout.remaining_ms(self._clock.monotonic()) <= 0:
            self._metrics.count("marks_missing")
            self._all_played()

    def _watch_for_more(self) -> None:
        """A vendor that dies in the middle of a sentence leaves no mark behind its last sound."""
        left = self._playout.remaining_ms(self._clock.monotonic()) / 1000
        self._call_later("dry", left + DRY_SECONDS, self._look_for_more)

    def _look_for_more(self) -> None:
        if not (self._audible and self._responding) or self._announcing or self._drained:
            return
        if self._playout.remaining_ms(self._clock.monotonic()) > 0:
            self._watch_for_more()
        else:
            self._all_played()

    def _all_played(self) -> None:
        if self._responding and not self._announcing:
            if not self._drained:  # the model is slower than speech; there is more to come
                self._drained = True
                self._feed(ev.AgentDry(True))
        elif self._audible:
            self._audible = self._announcing = False
            self._drained = False
            self._feed(ev.AgentHeard(self._playout.drained()))

    # ------------------------------------------------------------------------- the commands

    def _feed(self, event: ev.Event) -> None:
        """Tell the heart, and do what it says. Events that this causes come after, in order."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                now = self._clock.monotonic()
                for command in self._call.on(self._events.popleft(), now):
                    self._execute[type(command)](command)
        finally:
            self._feeding = False

    def _agent(self) -> AgentLeg:
        assert self._leg is not None, "the heart speaks only once the agent is ready"
        return self._leg

    def _interrupt(self, command: ev.Interrupt) -> None:
        items: tuple[tuple[str, float, float], ...] = ()
        if self._audible:
            self._socket.send(self._encoder.clear())
            items = self._playout.cleared(self._clock.monotonic())
            self._audible = self._announcing = False
            self._drained = False
        if self._leg is not None:
            its = [item for item in items if not item[0].startswith(ev.ANNOUNCEMENT)]
            self._leg.interrupt(its, cancel=command.cancel)
        if items:
            self._events.append(ev.AgentCut(items))

    def _run_function(self, command: ev.RunFunction) -> None:
        self._later(self._function(command))

    async def _function(self, command: ev.RunFunction) -> None:
        began = self._clock.monotonic()
        finished = await self._actions.run_function(command)
        seconds = self._clock.monotonic() - began
        self._latency("function", seconds, began)
        self._metrics.count("functions", str(finished.result.get("status", "ok")))
        self._log.info("function.finished", function=finished.name, ms=round(seconds * 1000))
        self._record(
            ev.Record(
                "function",
                {
                    "name": finished.name,
                    "arguments": command.arguments,
                    "result": dict(finished.result),
                    "duration_ms": round(seconds * 1000, 1),
                },
                began,
            )
        )
        self._feed(finished)

    async def _hang_up(self, reason: str) -> None:
        self._leaving = True
        try:
            await self._actions.hang_up(reason)
        except ProviderError as error:
            # Twilio will ask `continue`, which hangs up by TwiML.
            self._log.warning("hang_up.failed", reason=error.reason)
            self._socket.close()
            return
        await self._until_ended()

    async def _transfer(self, reason: str) -> None:
        self._leaving = True
        try:
            await self._actions.transfer(reason)
        except ProviderError as error:
            # Twilio will ask `continue`, which answers with the same <Dial>.
            self._log.warning("transfer.failed", reason=error.reason)
            self._socket.close()
            return
        await self._until_ended()

    async def _until_ended(self) -> None:
        try:
            async with asyncio.timeout(STREAM_END_SECONDS):
                await self.ended.wait()
        except TimeoutError:
            self._socket.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "start() comes first"
        self._tasks.create_task(work)

    def _start_timer(self, command: ev.StartTimer) -> None:
        self._call_later(
            command.name, command.seconds, lambda: self._feed(ev.TimerFired(command.name))
        )

    def _call_later(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._cancel(name)

        def fire() -> None:
            self._timers.pop(name, None)
            action()

        self._timers[name] = self._loop.call_later(seconds, fire)

    def _stop_timer(self, command: ev.StopTimer) -> None:
        self._cancel(command.name)

    def _cancel(self, name: str) -> None:
        handle = self._timers.pop(name, None)
        if handle is not None:
            handle.cancel()

    def _latency(self, stage: str, seconds: float, began: float) -> None:
        self._record(ev.Record("latency", {"stage": stage, "ms": round(seconds * 1000, 1)}, began))

    def _record(self, command: ev.Record) -> None:
        if command.kind == "turn" and not command.data.get("announced"):
            self._turns.append((str(command.data["who"]), str(command.data["text"])))
            if command.data["who"] == "agent" and not command.data["cut"]:
                self._answered_at = self._instant(command.at)
        elif command.kind == "latency":
            self._metrics.observe(str(command.data["stage"]), float(command.data["ms"]) / 1000)
        self._journal.write(
            JournalEntry(
                call_id=self._identity.call_id,
                at=self._instant(command.at),
                kind=command.kind,
                data=dict(command.data),
            )
        )

    def _instant(self, at: float) -> datetime:
        return self._began_utc + timedelta(seconds=at - self._began)

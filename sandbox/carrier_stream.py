"""Twilio's side of one media stream: caller's frames out, server's audio in, in real time."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from sandbox import stream_messages
from sandbox.faults import Faults
from sandbox.leg import Leg
from sandbox.playout import Playout
from sandbox.stream_messages import CONNECTED, Clear, Mark, Media, Sender, StreamIdentity
from sandbox.twilio_signature import sign_url

OPEN_SECONDS = 5.0
#: For a goodbye to a server that may be frozen; the call goes on meanwhile, or is over.
CLOSE_SECONDS = 0.5
#: A server that reads more slowly than the caller speaks loses audio (31930) after one second.
MAX_WAITING = 50
#: Marks and keys on top; a server that provokes more without reading is told so.
MAX_OUTBOX = 10_000

Notify = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream is over: refused | closed (by the server) | broken | lost (a fault)."""

    reason: str
    code: int = 0
    detail: str = ""


class CarrierStream:
    """One bidirectional stream of one leg. `run` opens it, keeps it, and returns when it is over;
    cancelled (the call ended or was redirected), it says `stop` and closes."""

    def __init__(
        self,
        url: str,
        identity: StreamIdentity,
        leg: Leg,
        *,
        auth_token: str,
        faults: Faults,
        notify: Notify = lambda event, error: None,
    ) -> None:
        self._url = url
        self._identity = identity
        self._leg = leg
        self._log = leg.log
        self._auth_token = auth_token
        self._faults = faults
        self._notify = notify
        self._sender = Sender(identity)
        self._outbox: deque[str] = deque()
        self._wake = asyncio.Event()
        self._playout = Playout()
        self._frames = 0
        self._started = False
        self._running = asyncio.Event()
        self._warned: set[int] = set()

    async def run(self) -> StreamEnd:
        """Until the server closes it, it breaks, or the task is cancelled."""
        try:
            connection = await self._open()
        except InvalidStatus as error:
            return self._refused(31920, f"handshake answered {error.response.status_code}")
        except (InvalidHandshake, InvalidMessage) as error:
            return self._refused(31920, f"handshake failed: {error}")
        except TimeoutError:
            return self._refused(31901, f"no answer to the handshake in {OPEN_SECONDS:.0f} s")
        except OSError as error:
            return self._refused(31902, f"cannot connect: {error}")
        try:
            return await self._converse(connection)
        finally:
            self._detach()
            await self._close(connection)

    # ------------------------------------------------------------------ the line's side

    def pull(self, at: float) -> bytes | None:
        """The leg's source: returns marks that have been heard, then plays on."""
        for name in self._playout.reached(at):
            self._return_mark(name)
        frame = self._playout.pull(at)
        if frame is not None:
            self._log.report.frames_played += 1
        return frame

    def offer(self, frame: bytes) -> None:
        """The leg's sink: 20 ms of the caller."""
        timestamp = self._frames * 20
        self._frames += 1
        if len(self._outbox) >= MAX_WAITING:
            self._log.report.frames_discarded += 1
            self._warn(31930, "the server reads too slowly: the caller's audio is discarded")
            return
        self._log.report.frames_sent += 1
        self._post(self._sender.media(frame, timestamp))

    def key(self, digit: str) -> None:
        """The caller pressed a key."""
        self._post(self._sender.dtmf(digit))

    # ------------------------------------------------------------------ the server's side

    async def _open(self) -> ClientConnection:
        token = "forged" if self._faults.forged_stream else self._auth_token
        return await connect(
            self._url,
            additional_headers={"x-twilio-signature": sign_url(self._url, token)},
            user_agent_header="TwilioMediaStreams/1.0",
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,
            proxy=None,
        )

    async def _converse(self, connection: ClientConnection) -> StreamEnd:
        ended: list[StreamEnd] = []
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(self._send(connection)),
                tasks.create_task(self._receive(connection)),
            ]
            if self._faults.drop_stream_after_ms:
                work.append(tasks.create_task(self._drop(connection)))
            if self._faults.second_stream:
                work.append(tasks.create_task(self._second()))

            def over(task: "asyncio.Task[StreamEnd | None]") -> None:
                if task.cancelled() or task.exception() is not None:
                    return
                end = task.result()
                if end is not None:
                    ended.append(end)
                    for each in work:
                        each.cancel()

            for each in work:
                each.add_done_callback(over)
        return ended[0]

    async def _send(self, connection: ClientConnection) -> StreamEnd | None:
        try:
            await connection.send(CONNECTED)
            if self._faults.no_start:
                return None  # the server must close; `_receive` sees it
            await asyncio.sleep(self._faults.late_start_ms / 1000)
            await connection.send(self._sender.start())
            self._attach()
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outbox:
                    await connection.send(self._outbox.popleft())
        except ConnectionClosed:
            return None  # `_receive` says how it was closed

    async def _receive(self, connection: ClientConnection) -> StreamEnd:
        try:
            while True:
                self._obey(await connection.recv())
        except ConnectionClosed as closed:
            return self._closed(closed)

    def _closed(self, closed: ConnectionClosed) -> StreamEnd:
        if closed.rcvd is None:
            self._log.error(31921, "the server's end of the connection vanished")
            self._notify("stream-error", "31921")
            return StreamEnd("broken")
        self._log.note(f"stream closed by the server: {closed.rcvd.code} {closed.rcvd.reason}")
        self._log.emit("stream_closed", code=closed.rcvd.code, reason=closed.rcvd.reason)
        self._notify("stream-stopped", "")
        return StreamEnd("closed", closed.rcvd.code, closed.rcvd.reason)

    def _obey(self, message: str | bytes) -> None:
        report = self._log.report
        try:
            order = stream_messages.parse(message, self._identity.stream_sid)
        except stream_messages.Refused as refused:
            self._log.error(refused.code, str(refused).partition(": ")[2])
            return
        if not self._started:
            self._log.error(31951, "a message before `start`")
        match order:
            case Media(audio):
                if not self._playout.add(audio):
                    self._warn(31931, "more than 10 minutes buffered: discarded")
            case Mark(name):
                report.marks_received += 1
                for each in self._playout.mark(name, self._now()):
                    self._return_mark(each)
            case Clear():
                self._log.cleared()
                self._leg.party.cleared()
                for each in self._playout.clear():
                    self._return_mark(each)

    async def _drop(self, connection: ClientConnection) -> StreamEnd:
        await asyncio.sleep(self._faults.drop_stream_after_ms / 1000)
        connection.transport.abort()
        self._log.note("fault: the stream's connection was lost")
        return StreamEnd("lost")

    async def _second(self) -> None:
        """Another connection presents the same parameters: what becomes of it is noted."""
        await self._running.wait()
        await asyncio.sleep(0.5)  # the first one's `start` has been read by now
        try:
            async with await self._open() as other:
                await other.send(CONNECTED)
                await other.send(Sender(self._identity).start())
                async with asyncio.timeout(3):
                    while True:
                        await other.recv()
        except TimeoutError:
            self._log.note("second stream: stayed open")
        except InvalidStatus as error:
            self._log.note(f"second stream: refused with {error.response.status_code}")
        except ConnectionClosed as closed:
            self._log.note(f"second stream: closed with {closed.rcvd and closed.rcvd.code}")
        except OSError as error:
            self._log.note(f"second stream: cannot connect: {error}")

    # ------------------------------------------------------------------ both

    def _attach(self) -> None:
        self._started = True
        self._running.set()
        self._leg.source, self._leg.sink, self._leg.on_key = self, self.offer, self.key
        self._leg.party.connected()
        report = self._log.report
        report.streams += 1
        if report.stream_ms is None:
            report.stream_ms = self._log.ms()
        self._log.emit("stream_started", url=self._url, path=urlsplit(self._url).path)
        self._notify("stream-started", "")

    def _detach(self) -> None:
        if self._leg.source is self:
            self._leg.source = self._leg.sink = self._leg.on_key = None

    async def _close(self, connection: ClientConnection) -> None:
        """Twilio's goodbye; nothing of it when the server was first."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._started:
                    while self._outbox:
                        await connection.send(self._outbox.popleft())
                    await connection.send(self._sender.stop())
                await connection.close()
        except (ConnectionClosed, TimeoutError):
            connection.transport.abort()

    def _return_mark(self, name: str) -> None:
        self._log.report.marks_returned += 1
        self._post(self._sender.mark(name))

    def _post(self, message: str) -> None:
        if len(self._outbox) >= MAX_OUTBOX:
            self._warn(31930, "the server does not read: marks are lost")
            return
        self._outbox.append(message)
        self._wake.set()

    def _refused(self, code: int, reason: str) -> StreamEnd:
        self._log.error(code, f"{self._url}: {reason}")
        self._notify("stream-error", str(code))
        return StreamEnd("refused", code, reason)

    def _warn(self, code: int, text: str) -> None:
        """Told once per stream, as Twilio does."""
        if code not in self._warned:
            self._warned.add(code)
            self._log.error(code, text)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

"""A thin world: many callers at Twilio and as many speaking models, in one process on one core.

Shares no code with the server nor with the sandbox, whose emulators listen too carefully for
hundreds of calls. Each direction's frames carry the call's index and a running number, so that the
other end knows what was lost, reordered or crossed, and how long it took.
"""

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import re
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import picows
import uvloop

FRAME = 160
TAIL = base64.b64encode(b"\x7e" * (FRAME - 12)).decode()  # 148 bytes → 198 characters + "=="…
LEAD_SECONDS = 1.0  # how far ahead of real time the model's audio is delivered
BARGE_IN_EVERY = 6.0  # seconds, per call: busier than people are
FUNCTION_EVERY = 20.0

TEXT = picows.WSMsgType.TEXT
CLOSE = picows.WSMsgType.CLOSE
clock = time.perf_counter


def payload(index: int, sequence: int) -> str:
    """20 ms of audio that says whose it is: 16 characters of head, then a constant tail."""
    return base64.b64encode(struct.pack(">III", index, sequence, 0xC0CC1)).decode() + TAIL


def read(head: bytes) -> tuple[int, int]:
    """(index, sequence) of a payload's first 16 characters."""
    index, sequence, magic = struct.unpack(">III", base64.b64decode(head))
    if magic != 0xC0CC1:
        raise ValueError("not a frame of ours")
    return index, sequence


@dataclass
class Figures:
    """What was measured; times in seconds."""

    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    webhook: list[float] = field(default_factory=list)
    first_sound: list[float] = field(default_factory=list)
    barge_in: list[float] = field(default_factory=list)
    heard_error_ms: list[float] = field(default_factory=list)
    frames_up: int = 0
    frames_down: int = 0
    lost: int = 0
    crossed: int = 0
    refused: int = 0
    announced: int = 0  # frames of the server's own
    functions: int = 0
    function_seconds: list[float] = field(default_factory=list)
    measuring: bool = False


class Model(picows.WSListener):
    """One OpenAI Realtime session, as seen from the vendor's side."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.call: Call | None = None
        self.index: int | None = None
        self.expected = 0
        self.item = 0
        self.items: dict[str, int] = {}  # the number of each item's first frame
        self.sent = 0
        self.sequence = 0
        self.speaking = False
        self.speech_at = 0.0
        self.function_at = 0.0
        self.transport: picows.WSTransport | None = None

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        self.send({"type": "session.created", "session": {"type": "realtime"}})

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            if frame.msg_type == CLOSE:
                transport.send_close(picows.WSCloseCode.OK)
                transport.disconnect()
            elif frame.msg_type == picows.WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(b'{"type":"input_audio_buffer.append"'):
            self.hear(data)
        else:
            self.command(json.loads(data))

    def hear(self, data: bytes) -> None:
        at = data.index(b'"audio":"') + 9
        index, sequence = read(data[at : at + 16])
        figures = self.world.figures
        if self.index is None:
            self.index, self.expected = index, sequence
            self.world.models[index] = self
            self.call = self.world.calls[index]
        if index != self.index:
            figures.crossed += 1
            return
        if sequence != self.expected:
            figures.lost += abs(sequence - self.expected)
        self.expected = sequence + 1
        if figures.measuring:
            figures.frames_up += 1
            figures.up.append(clock() - self.call.sent_at[sequence % 512])

    def command(self, message: dict) -> None:
        kind = message["type"]
        if kind == "session.update":
            self.send({"type": "session.updated", "session": message["session"]})
        elif kind == "response.create" and self.speaking:
            self.send(
                {
                    "type": "error",
                    "error": {
                        "type": "invalid_request_error",
                        "code": "conversation_already_has_active_response",
                        "message": "a response is running",
                        "event_id": message.get("event_id"),
                    },
                }
            )
        elif kind == "response.create":
            self.begin()
        elif kind == "conversation.item.truncate" and self.call is not None:
            self.call.truncated(message["audio_end_ms"], self.items[message["item_id"]])
        elif kind == "conversation.item.create" and message["item"]["type"].endswith("_output"):
            self.world.figures.functions += 1
            if self.world.figures.measuring:
                self.world.figures.function_seconds.append(clock() - self.function_at)

    def begin(self) -> None:
        self.item += 1
        self.items[f"i{self.item}"] = self.sequence
        self.sent = 0
        self.speaking = True
        self.send({"type": "response.created", "response": {"id": f"r{self.item}"}})
        self.send(
            {
                "type": "response.output_audio_transcript.delta",
                "response_id": f"r{self.item}",
                "item_id": f"i{self.item}",
                "delta": "Je vous écoute et je parle assez longtemps pour être interrompu. ",
            }
        )
        for _ in range(int(LEAD_SECONDS * 50)):
            self.speak()

    def speak(self) -> None:
        if self.call is not None and self.index is not None:
            self.call.audio_at[self.sequence % 512] = clock()
        index = self.index if self.index is not None else 0xFFFFFFFF
        text = (
            '{"type":"response.output_audio.delta","event_id":"event_000000","response_id":"r'
            f'{self.item}","item_id":"i{self.item}","output_index":0,"content_index":0,"delta":"'
            f'{payload(index, self.sequence)}"}}'
        )
        self.transport.send(TEXT, text.encode())
        self.sequence += 1
        self.sent += 1

    def caller_interrupts(self) -> None:
        self.speaking = False
        self.speech_at = clock()
        self.call.interrupted(self.speech_at)
        self.send(
            {"type": "input_audio_buffer.speech_started", "item_id": "c", "audio_start_ms": 0}
        )
        self.done("cancelled")

    def done(self, status: str) -> None:
        self.speaking = False
        if status == "completed":
            self.send(
                {
                    "type": "response.output_audio.done",
                    "response_id": f"r{self.item}",
                    "item_id": f"i{self.item}",
                }
            )
        self.send(
            {
                "type": "response.done",
                "response": {
                    "id": f"r{self.item}",
                    "status": status,
                    "output": [],
                    "usage": {"total_tokens": 100, "input_tokens": 60, "output_tokens": 40},
                },
            }
        )

    def caller_stops(self) -> None:
        self.send({"type": "input_audio_buffer.speech_stopped", "item_id": "c", "audio_end_ms": 0})
        self.send(
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "c",
                "content_index": 0,
                "transcript": "Oui, très bien, continuez s'il vous plaît.",
            }
        )
        if not self.speaking:
            self.begin()

    def call_function(self) -> None:
        self.function_at = clock()
        self.send(
            {
                "type": "response.function_call_arguments.done",
                "response_id": f"r{self.item}",
                "item_id": f"f{self.item}-{self.function_at}",
                "call_id": f"call-{self.function_at}",
                "name": "check_availability",
                "arguments": "{}",
            }
        )
        self.done("completed")

    def send(self, message: dict) -> None:
        self.transport.send(TEXT, json.dumps(message).encode())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.speaking = False


class Call(picows.WSListener):
    """One call, as seen from Twilio's side."""

    def __init__(self, world: "World", index: int, sid: str) -> None:
        self.world = world
        self.index = index
        self.sid = sid
        self.stream = f"MZ{index:032x}"
        self.sequence = 0
        self.sent_at = [0.0] * 512
        self.audio_at = [0.0] * 512
        self.expected: int | None = None
        self.transport: picows.WSTransport | None = None
        self.joined = 0.0
        self.first_sound: float | None = None
        # playback
        self.received = 0  # bytes since the last clear
        self.own = 0  # … of these, the server's own at the beginning
        self.played = 0.0
        self.anchor = 0.0
        self.marks: deque[tuple[int, str]] = deque()
        self.position_at_clear: float | None = None
        self.truncation: tuple[float, int] | None = None
        self.first = 0  # the number of the first frame since the last clear
        self.speech_at: float | None = None
        self.head = (
            '{"event":"media","sequenceNumber":"%d","streamSid":"'
            + self.stream
            + '","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
        )

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def start(self, token: str) -> None:
        self.joined = clock()
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.send(
            {
                "event": "start",
                "sequenceNumber": "1",
                "streamSid": self.stream,
                "start": {
                    "streamSid": self.stream,
                    "accountSid": self.world.account,
                    "callSid": self.sid,
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    "customParameters": {"token": token},
                },
            }
        )

    def frame(self) -> None:
        number = self.sequence
        text = self.head % (number + 2, number + 1, number * 20) + payload(self.index, number)
        self.sent_at[number % 512] = clock()
        self.transport.send(TEXT, (text + '"}}').encode())
        self.sequence += 1

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            if frame.msg_type == CLOSE:
                transport.disconnect()
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(b'{"event":"media"'):
            self.hear(data)
        elif data.startswith(b'{"event":"mark"'):
            self.marks.append((self.received, json.loads(data)["mark"]["name"]))
            self.world.schedule(self)
        elif data.startswith(b'{"event":"clear"'):
            self.clear()

    def hear(self, data: bytes) -> None:
        now = clock()
        figures = self.world.figures
        if self.first_sound is None:
            self.first_sound = now - self.joined
            figures.first_sound.append(self.first_sound)
        self.advance(now)
        if self.played >= self.received:
            self.anchor = now
        at = data.index(b'"payload":"') + 11
        try:
            index, sequence = read(data[at : at + 16])
        except ValueError:  # the server itself speaks, because the agent is late
            self.announced(data[at : data.index(b'"', at)])
            return
        if self.received == self.own:
            self.first = sequence - self.own // FRAME
        self.received += FRAME
        if index not in (self.index, 0xFFFFFFFF):
            figures.crossed += 1
            return
        if self.expected is not None and sequence < self.expected:
            figures.crossed += 1
        self.expected = sequence + 1
        if figures.measuring:
            figures.frames_down += 1
            if index == self.index:
                figures.down.append(now - self.audio_at[sequence % 512])

    def announced(self, audio: bytes) -> None:
        """A frame of the server's own, of any length."""
        size = len(audio) // 4 * 3 - audio[-2:].count(b"=")
        self.received += size
        self.own += size
        self.world.figures.announced += 1

    def advance(self, now: float) -> None:
        """Twilio plays 8 bytes a millisecond and echoes a mark when its audio has been played."""
        if self.played < self.received:
            self.played = min(self.received, self.played + (now - self.anchor) * 8000)
        self.anchor = now
        while self.marks and self.marks[0][0] <= self.played + 0.5:
            self.echo(self.marks.popleft()[1])

    def echo(self, name: str) -> None:
        self.send(
            {
                "event": "mark",
                "sequenceNumber": "0",
                "streamSid": self.stream,
                "mark": {"name": name},
            }
        )

    def clear(self) -> None:
        now = clock()
        self.advance(now)
        if self.speech_at is not None and self.world.figures.measuring:
            self.world.figures.barge_in.append(now - self.speech_at)
        self.position_at_clear = self.played / 8
        self.compare()
        self.received, self.own, self.played = 0, 0, 0.0
        while self.marks:
            self.echo(self.marks.popleft()[1])

    def interrupted(self, at: float) -> None:
        self.speech_at = at
        self.position_at_clear = self.truncation = None

    def truncated(self, audio_end_ms: float, first: int) -> None:
        """What the model was told was heard of an item; over another socket than the clear."""
        self.truncation = (audio_end_ms, first)
        self.compare()

    def compare(self) -> None:
        """The ear's position in the item against what the model was told."""
        if self.truncation is None or self.position_at_clear is None:
            return
        audio_end_ms, first = self.truncation
        position = self.position_at_clear - (first - self.first) * 20
        if self.world.figures.measuring:
            self.world.figures.heard_error_ms.append(audio_end_ms - position)
        self.position_at_clear = self.truncation = None

    def send(self, message: dict) -> None:
        self.transport.send(TEXT, json.dumps(message).encode())


class World:
    """All calls of one run."""

    def __init__(
        self, public_url: str, account: str, token: str, number: str, nodes: Sequence[str] = ()
    ) -> None:
        """`nodes`: where each of them is, as a balancer would know; all are `public_url`."""
        self.public_url, self.account, self.number = public_url, account, number
        self.nodes = nodes or [public_url]
        self.token = token
        self.figures = Figures()
        self.calls: dict[int, Call] = {}
        self.models: dict[int, Model] = {}
        self.live: list[Call] = []
        self.loop = asyncio.get_running_loop()
        self.hung_up: set[str] = set()
        self.late_ticks: list[float] = []

    # ------------------------------------------------------------------ the vendors' servers

    async def serve(self, openai_port: int, twilio_port: int) -> None:
        await picows.ws_create_server(lambda _: Model(self), "127.0.0.1", openai_port)
        await asyncio.start_server(self.rest, "127.0.0.1", twilio_port)

    async def rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Twilio's REST: only hang-ups come here."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                found = re.search(rb"content-length: (\d+)", head, re.I)
                await reader.readexactly(int(found[1]) if found else 0)
                body = b'{"status":"completed"}'
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    # --------------------------------------------------------------------------------- calls

    def sign(self, url: str, form: dict[str, str]) -> str:
        text = url + "".join(key + form[key] for key in sorted(form))
        digest = hmac.digest(self.token.encode(), text.encode(), hashlib.sha1)
        return base64.b64encode(digest).decode()

    async def ring(self, client: httpx.AsyncClient, index: int, line: str) -> None:
        sid = f"CA{index:032x}"
        call = self.calls[index] = Call(self, index, sid)
        url = f"{self.public_url}/webhooks/twilio/voice"
        form = {
            "CallSid": sid,
            "AccountSid": self.account,
            "From": f"+3363998{index % 10000:04d}",
            "To": self.number,
            "ForwardedFrom": line,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCity": "",
            "FromZip": "",
            "FromCountry": "FR",
        }
        began = clock()
        # In turn; a call's stream goes to another node than its webhook, when there is one.
        node, other = (self.nodes[(index + turn) % len(self.nodes)] for turn in (0, 1))
        reply = await client.post(
            node + url.removeprefix(self.public_url),
            data=form,
            headers={"X-Twilio-Signature": self.sign(url, form)},
        )
        self.figures.webhook.append(clock() - began)
        stream = re.search(r'<Stream url="([^"]+)"', reply.text)
        token = re.search(r'name="token" value="([^"]+)"', reply.text)
        if stream is None or token is None:
            self.figures.refused += 1
            return
        await picows.ws_connect(
            lambda *_: call,
            other.replace("http", "ws", 1) + urlsplit(stream[1]).path,
            extra_headers={"X-Twilio-Signature": self.sign(stream[1], {})},
        )
        call.start(token[1])
        self.live.append(call)

    def schedule(self, call: Call) -> None:
        position, _ = call.marks[-1]
        delay = max(0.0, (position - call.played) / 8000 - (clock() - call.anchor))
        self.loop.call_later(delay, lambda: call.advance(clock()))

    async def talk(self, seconds: float) -> None:
        """Everybody speaks: one tick a millisecond, each call on its own of twenty."""
        began = clock()
        tick = 0
        while (now := clock()) - began < seconds:
            due = began + tick / 1000
            if now < due:
                await asyncio.sleep(due - now)
            else:
                self.late_ticks.append(now - due)
                if tick % 5 == 0:
                    await asyncio.sleep(0)
            self.tick(tick)
            tick += 1

    def tick(self, tick: int) -> None:
        slot = tick % 20
        turn = tick // 20
        for call in self.live[slot::20]:
            call.frame()
            model = self.models.get(call.index)
            if model is not None:
                self.model_turn(model, turn + call.index * 7)

    def model_turn(self, model: Model, turn: int) -> None:
        if model.speaking:
            model.speak()
        every = int(BARGE_IN_EVERY * 50)
        if turn % every == 0 and model.speaking and model.sent > LEAD_SECONDS * 50 + 20:
            model.caller_interrupts()
        elif turn % every == 25 and not model.speaking:
            model.caller_stops()
        elif turn % int(FUNCTION_EVERY * 50) == 75 and model.speaking:
            model.call_function()


def percentile(values: list[float], share: float) -> float:
    """NaN-free: 0 when nothing was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def run(job: dict) -> dict:
    """Ring, warm up, measure. `job` as benchmarks/bench.py writes it."""
    world = World(
        job["public_url"], job["account"], job["token"], job["number"], job.get("nodes", ())
    )
    await world.serve(job["openai_port"], job["twilio_port"])
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, input)  # "go"
    levels = []
    async with httpx.AsyncClient(timeout=10) as client:
        for calls in job["levels"]:
            world.figures = Figures()
            talking = asyncio.ensure_future(world.talk(10_000))
            for index in range(len(world.calls), calls):
                await world.ring(client, index, job["line"])
                await asyncio.sleep(1 / job["per_second"])
            await asyncio.sleep(job["warm_up"])
            gc.collect()
            gc.freeze()
            world.figures.measuring = True
            world.late_ticks.clear()
            print(json.dumps({"measuring": calls}), flush=True)
            await asyncio.sleep(job["seconds"])
            world.figures.measuring = False
            talking.cancel()
            levels.append(report(world, calls))
            print(json.dumps(levels[-1]), flush=True)
    return {"levels": levels}


def report(world: World, calls: int) -> dict:
    """One level's figures, in ms."""
    figures = world.figures

    def ms(values: list[float]) -> dict[str, float]:
        return {
            "p50": round(percentile(values, 0.5) * 1000, 2),
            "p99": round(percentile(values, 0.99) * 1000, 2),
            "max": round(max(values, default=0.0) * 1000, 2),
            "n": len(values),
        }

    errors = [abs(error) / 1000 for error in figures.heard_error_ms]
    return {
        "calls": calls,
        "up": ms(figures.up),
        "down": ms(figures.down),
        "webhook": ms(figures.webhook),
        "first_sound": ms(figures.first_sound),
        "barge_in": ms(figures.barge_in),
        "heard_error": ms(errors),
        "function": ms(figures.function_seconds),
        "generator_late": ms(world.late_ticks),
        "frames_up": figures.frames_up,
        "frames_down": figures.frames_down,
        "lost": figures.lost,
        "crossed": figures.crossed,
        "refused": figures.refused,
        "announced": figures.announced,
        "functions": figures.functions,
    }


if __name__ == "__main__":
    import sys

    uvloop.run(run(json.loads(sys.argv[1])))

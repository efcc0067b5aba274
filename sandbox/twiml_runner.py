"""Carries out TwiML on one leg: asks for documents, runs their verbs, follows what they lead to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import urljoin

from sandbox.announcements import Announcer
from sandbox.carrier_stream import CarrierStream
from sandbox.faults import Faults
from sandbox.gather import Taping, gather
from sandbox.leg import Fetch, Inline, Leg, Order
from sandbox.report import Request
from sandbox.stream_messages import StreamIdentity
from sandbox.twilio_signature import sign_form
from sandbox.twiml import Document, TwimlError, Verb, parse
from sandbox.webhooks import Answer, RequestFailed, Webhook

#: A document may redirect to itself; a call that does nothing else is stopped.
MAX_DOCUMENTS = 100


@dataclass(slots=True)
class DialResult:
    """What became of a `<Dial>`, as far as it got."""

    number: str = ""
    status: str = "canceled"  # completed | busy | no-answer | failed | canceled
    call_sid: str = ""
    seconds: int = 0
    bridged: bool = False

    def fields(self) -> dict[str, str]:
        """What the action is told."""
        told = {"DialCallStatus": self.status, "DialBridged": str(self.bridged).lower()}
        if self.call_sid:
            told["DialCallSid"] = self.call_sid
        if self.status == "completed":
            told["DialCallDuration"] = str(self.seconds)
        return told


class Carrier(Protocol):
    """What the runner needs of the carrier."""

    account_sid: str

    @property
    def auth_token(self) -> str:
        """Signs the stream's handshake."""
        ...

    async def send(self, webhook: Webhook) -> Answer:
        """Make a request. Raises RequestFailed."""
        ...

    def fields(self, leg: Leg) -> dict[str, str]:
        """The parameters every request of this leg carries."""
        ...

    def fallback_for(self, leg: Leg) -> str:
        """The number's fallback address, or ""."""
        ...

    async def dial(self, leg: Leg, verb: Verb, base: str, result: DialResult) -> None:
        """Call the number of a `<Dial>` and keep the parties connected; `result` is kept right
        all along, since the caller may hang up meanwhile."""
        ...

    def new_sid(self, prefix: str) -> str:
        """A fresh identifier."""
        ...

    def keep_recording(self, leg: Leg, audio: bytes) -> str:
        """Store a WAV; its address."""
        ...

    def tell_recording_status(
        self, leg: Leg, verb: Verb, base: str, fields: Mapping[str, str]
    ) -> None:
        """Post a recording's recordingStatusCallback, in the background, if it asked for this."""
        ...

    def tell_stream_status(self, leg: Leg, stream: Verb, fields: Mapping[str, str]) -> None:
        """Post a stream's statusCallback, in the background."""
        ...


class TwimlRunner:
    """Runs documents one after the other until one of them ends, or the leg does."""

    def __init__(self, leg: Leg, carrier: Carrier, announcer: Announcer, faults: Faults) -> None:
        self._leg = leg
        self._carrier = carrier
        self._announcer = announcer
        self._faults = faults
        self._base = ""  # address of the document that runs: relative addresses start from it
        self._owed: Fetch | None = None  # the action that is told even when the leg is over
        self._asked = False
        self._streams = 0
        self._verbs: dict[str, Callable[[Verb], Awaitable[Order | None]]] = {
            "Connect": self._connect,
            "Dial": self._dial,
            "Gather": self._gather,
            "Hangup": self._hang_up,
            "Pause": self._pause,
            "Play": self._play,
            "Record": self._record,
            "Say": self._say,
        }

    async def run(self, order: Order) -> None:
        """Obey, and obey what follows. When it returns with the leg still open, the last
        document has ended without telling what next."""
        following: Order | None = order
        for _ in range(MAX_DOCUMENTS):
            if following is None or self._leg.record.over:
                break
            following = await self._obey(following)
        else:
            self._leg.log.error(11100, f"more than {MAX_DOCUMENTS} documents in one call")
        if self._leg.record.over and self._owed is not None and not self._faults.no_action:
            await self._tell(self._owed)

    async def _obey(self, order: Order) -> Order | None:
        """Run one document unless something interrupts it: the end, or a redirection by REST."""
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._document(order))
            watch = tasks.create_task(self._interrupt(work))
            work.add_done_callback(lambda _: watch.cancel())
        redirected = self._leg.take_orders()
        if redirected is not None:
            self._owed = None  # it is replaced, not ended
            return redirected
        return None if work.cancelled() else work.result()

    async def _interrupt(self, work: "asyncio.Task[Order | None]") -> None:
        await self._leg.interrupted.wait()
        work.cancel()

    # ------------------------------------------------------------------ documents

    async def _document(self, order: Order) -> Order | None:
        try:
            document = await self._get(order)
            self._leg.log.report.errors.extend(document.warnings)
            for verb in document.verbs:
                following = await self._perform(verb)
                if following is not None or self._leg.record.over:
                    return following
        except (TwimlError, RequestFailed) as error:
            return await self._fail(order, error)
        return None

    async def _get(self, order: Order) -> Document:
        if isinstance(order, Inline):
            self._base = ""  # "action URLs inside inline TwiML must be absolute"
            return self._parse(order.twiml.encode(), "text/xml")
        self._base = urljoin(self._base, order.url)
        answer = await self._ask(order)
        if answer.status // 100 != 2:
            raise RequestFailed(11200, f"{answer.url} answered {answer.status}")
        return self._parse(answer.body, answer.content_type)

    def _parse(self, body: bytes, content_type: str) -> Document:
        self._leg.log.report.twiml.append(body.decode("utf-8", "replace"))
        return parse(body, content_type)

    async def _ask(self, order: Fetch) -> Answer:
        fields = self._carrier.fields(self._leg) | dict(order.fields)
        webhook = Webhook(urljoin(self._base, order.url), order.method, tuple(fields.items()))
        first, self._asked = not self._asked, True
        if not first:
            return await self._send(webhook)
        if self._faults.forged_webhook:
            forged = sign_form(webhook.url, webhook.fields, "forged")
            webhook = replace(webhook, signature=forged)
        if self._faults.duplicate_webhook:
            async with asyncio.TaskGroup() as tasks:
                again = tasks.create_task(self._send(webhook))
                answer = await self._send(webhook)
            self._leg.log.note(f"fault: webhook delivered twice, answered {again.result().status}")
        else:
            answer = await self._send(webhook)
        self._leg.log.report.twiml_ms = answer.elapsed_ms
        self._leg.log.emit("twiml", status=answer.status, elapsed_ms=answer.elapsed_ms)
        return answer

    async def _send(self, webhook: Webhook) -> Answer:
        log = self._leg.log
        record = Request(webhook.url, log.ms(), 0.0, 0, dict(webhook.fields), "")
        log.report.requests.append(record)
        try:
            answer = await self._carrier.send(webhook)
        finally:
            record.elapsed_ms = round(log.ms() - record.at_ms, 1)
        record.status = answer.status
        record.body = answer.body.decode("utf-8", "replace")
        return answer

    async def _tell(self, order: Fetch) -> None:
        """Request an address whose answer no longer matters."""
        self._owed = None
        try:
            await self._ask(order)
        except RequestFailed as error:
            self._leg.log.error(error.code, error.reason)

    async def _fail(self, order: Order, error: TwimlError | RequestFailed) -> Order | None:
        """Ask the fallback, once; without one the caller hears of "an application error"."""
        leg = self._leg
        leg.log.error(error.code, error.reason)
        fallback = self._carrier.fallback_for(leg)
        if fallback and isinstance(order, Fetch) and self._base != fallback:
            details = (("ErrorCode", str(error.code)), ("ErrorUrl", self._base))
            return Fetch(fallback, "POST", details)
        leg.answer()
        await self._announcer.say(leg, "We are sorry, an application error has occurred. Goodbye.")
        leg.end("carrier", "completed" if leg.answered.is_set() else "failed")
        return None

    # ------------------------------------------------------------------ verbs

    async def _perform(self, verb: Verb) -> Order | None:
        if verb.name == "Redirect":
            return Fetch(verb.text, verb.get("method", "POST"))
        if verb.name == "Reject":
            self._reject(verb)
            return None
        # Every other verb answers the call: "if used as the first verb, <Hangup> does not prevent
        # Twilio from answering the call".
        self._leg.answer()
        return await self._verbs[verb.name](verb)

    def _reject(self, verb: Verb) -> None:
        if self._leg.answered.is_set():
            self._leg.log.error(12200, "<Reject> after the call was answered has no effect")
            return
        self._leg.end("server", "busy" if verb.get("reason") == "busy" else "failed")

    async def _hang_up(self, verb: Verb) -> None:
        self._leg.end("server")

    async def _pause(self, verb: Verb) -> None:
        await asyncio.sleep(verb.seconds("length", 1))

    async def _say(self, verb: Verb) -> None:
        await self._announcer.say(self._leg, verb.text, times=int(verb.seconds("loop", 1)))

    async def _play(self, verb: Verb) -> None:
        await self._announcer.play(self._leg, await self._media(verb))

    async def _gather(self, verb: Verb) -> Order | None:
        heard = await gather(self._leg, verb, self._announcer, self._media)
        if heard is None:
            if not verb.flag("actionOnEmptyResult", False):
                return None
            heard = {}
        return self._action(verb, heard)

    async def _record(self, verb: Verb) -> Order | None:
        if verb.flag("playBeep", True):
            await self._announcer.beep(self._leg)
        taping = Taping(self._leg, verb)
        started = datetime.now(UTC)
        try:
            await taping.run()
        finally:
            # Told also when the caller has hung up, with "hangup" as the Digits.
            self._owed = self._taped(verb, taping, started)
        following, self._owed = self._owed, None
        return following

    def _taped(self, verb: Verb, taping: Taping, started: datetime) -> Fetch | None:
        """Keep the recording and tell its status; the action, which an empty one has none of:
        Twilio goes on with the next verb."""
        fields = {
            "RecordingSource": "RecordVerb",
            "RecordingChannels": "1",
            "RecordingStartTime": format_datetime(started),
        }
        if taping.is_empty:
            sid = self._carrier.new_sid("RE")
            absent = {"RecordingSid": sid, "RecordingStatus": "absent", "RecordingDuration": "-1"}
            self._carrier.tell_recording_status(self._leg, verb, self._base, {**fields, **absent})
            return None
        url = self._carrier.keep_recording(self._leg, taping.audio)
        known = {"RecordingUrl": url, "RecordingDuration": str(taping.seconds)}
        status = {"RecordingSid": url.rpartition("/")[2], "RecordingStatus": "completed"}
        completed = {**fields, **known, **status}
        self._carrier.tell_recording_status(self._leg, verb, self._base, completed)
        return self._action(verb, {**known, "Digits": taping.ended_by})

    async def _dial(self, verb: Verb) -> Order | None:
        result = DialResult()
        try:
            await self._carrier.dial(self._leg, verb, self._base, result)
        finally:
            self._leg.log.report.dials.append(asdict(result))
            if verb.get("action"):
                # Told even when the caller is gone; a redirection by REST replaces it.
                self._owed = self._action(verb, result.fields())
        following, self._owed = self._owed, None
        return following

    async def _connect(self, verb: Verb) -> Order | None:
        action = self._action(verb, {}) if verb.get("action") else None
        self._owed = action
        await self._stream(verb.children[0])
        self._owed = None
        if self._faults.no_action and self._streams == 1:
            self._leg.log.note("fault: the action is not requested")
            self._leg.end("carrier")
            return None
        return action

    async def _stream(self, stream: Verb) -> None:
        leg = self._leg
        faults = self._faults if self._streams == 0 else Faults()
        self._streams += 1
        identity = StreamIdentity(
            self._carrier.new_sid("MZ"),
            self._carrier.account_sid,
            leg.record.sid,
            tuple(
                (each.get("name"), faults.wrong_parameters or each.get("value"))
                for each in stream.children
            ),
        )

        def notify(event: str, error: str) -> None:
            fields = {"StreamSid": identity.stream_sid, "StreamEvent": event}
            fields |= {"StreamName": stream.get("name", identity.stream_sid)}
            fields |= {"StreamError": error} if error else {}
            self._carrier.tell_stream_status(leg, stream, fields)

        await CarrierStream(
            stream.get("url"),
            identity,
            leg,
            auth_token=self._carrier.auth_token,
            faults=faults,
            notify=notify,
        ).run()

    # ------------------------------------------------------------------ parts

    def _action(self, verb: Verb, fields: Mapping[str, str]) -> Fetch:
        """What a verb's `action` (by default the running document) is asked."""
        address = urljoin(self._base, verb.get("action")) if verb.get("action") else self._base
        return Fetch(address, verb.get("method", "POST"), tuple(fields.items()))

    async def _media(self, verb: Verb) -> bytes:
        """A `<Play>`'s file."""
        answer = await self._send(Webhook(urljoin(self._base, verb.text), "GET", ()))
        if answer.status != 200:
            raise RequestFailed(11200, f"{answer.url} answered {answer.status}")
        return self._announcer.decode(answer.body, answer.content_type)

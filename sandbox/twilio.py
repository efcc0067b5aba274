"""Twilio on loopback: an account with numbers, its REST interface, and the carrier's side of calls.

Nobody here knows the server under test: it is whatever the numbers' addresses point to.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

from sandbox.announcements import Announcer, Render
from sandbox.callee import Callee, CalleeParty
from sandbox.dialling import dial
from sandbox.faults import Faults
from sandbox.leg import Fetch, Inline, Leg, Order, Party, Record
from sandbox.loopback_http import serving
from sandbox.messages import Message
from sandbox.numbers import Number
from sandbox.report import CallLog, CallReport, Request
from sandbox.speech import render
from sandbox.ticker import Ticker
from sandbox.twilio_rest import Outage, Refusal, RestApi, is_address
from sandbox.twilio_texts import Texts
from sandbox.twiml import Verb
from sandbox.twiml_runner import DialResult, TwimlRunner
from sandbox.webhooks import Answer, RequestFailed, Webhook, WebhookClient, call_fields

#: However a conversation goes, nobody telephones longer than this in the sandbox.
MAX_CALL_SECONDS = 150.0
STOP_SECONDS = 5.0


class TwilioEmulator:
    """An async context manager; `url` is TWILIO_API_BASE_URL.

    `auth_tokens`: the primary signs and authenticates, a secondary only authenticates.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_tokens: Sequence[str],
        numbers: Sequence[str],
        port: int = 0,
        say: Render = render,
        hurry: float = 1.0,
    ) -> None:
        """`hurry`: by so much sooner nobody answers a call that we place."""
        self.account_sid = account_sid
        self._auth_tokens = tuple(auth_tokens)
        self._numbers = {each: Number(self.new_sid("PN"), each) for each in numbers}
        self._port = port
        self._hurry = hurry
        self._announcer = Announcer(say)
        self._ticker = Ticker()
        self._faults: dict[str, Faults] = {}
        self.legs: dict[str, Leg] = {}
        self.recordings: dict[str, bytes] = {}
        self.outages: list[Outage] = []
        #: Who is behind which number, for `<Dial>` and for calls placed by REST.
        self.callees: dict[str, Callee] = {}
        #: Calls that came in because one that was placed by REST was forwarded.
        self.forwarded: list[CallReport] = []
        #: Webhooks that belong to no call: statuses of messages.
        self.requests: list[Request] = []
        self.url = ""
        self._stop = asyncio.Event()
        self.texts = Texts(account_sid, self._numbers, self._webhook_of_texts, self._stop)

    # ------------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # One task owns everything, so that entering and leaving may happen in different ones.
        self._host = asyncio.create_task(self._serve(ready))
        done, _ = await asyncio.wait({self._host, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._host in done:
            await self._host
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        await self._host

    async def _serve(self, ready: "asyncio.Future[None]") -> None:
        try:
            async with (
                WebhookClient(self.auth_token) as self._http,
                serving(RestApi(self).app, self._port) as port,
                asyncio.TaskGroup() as ticking,
            ):
                ticker = ticking.create_task(self._ticker.run())
                self.url = f"http://127.0.0.1:{port}"
                await self._work(ready)
                ticker.cancel()
        finally:
            self._hang_up_all()  # whatever failed here, nobody waits for a dead line

    async def _work(self, ready: "asyncio.Future[None]") -> None:
        """Until told to stop; what then still runs in the background gets a little time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as self._background:
                ready.set_result(None)
                await self._stop.wait()
                self._hang_up_all()
                limit.reschedule(asyncio.get_running_loop().time() + STOP_SECONDS)

    def _hang_up_all(self) -> None:
        for leg in tuple(self.legs.values()):
            leg.end("carrier", "failed")

    # ------------------------------------------------------------------ the account

    @property
    def auth_token(self) -> str:
        """The primary token: it signs."""
        return self._auth_tokens[0]

    @property
    def numbers(self) -> Mapping[str, Number]:
        """The account's numbers, by number."""
        return self._numbers

    def accepts(self, auth_token: str) -> bool:
        """For Basic authentication."""
        return auth_token in self._auth_tokens

    @staticmethod
    def new_sid(prefix: str) -> str:
        """A fresh identifier: two letters and 32 hex digits."""
        return prefix + secrets.token_hex(16)

    def point_at(self, public_url: str) -> None:
        """Where a fresh installation's numbers send their webhooks; `provision` does the same."""
        for number in self._numbers.values():
            number.voice_url = f"{public_url}/webhooks/twilio/voice"
            number.status_callback = f"{public_url}/webhooks/twilio/status"
            number.sms_url = f"{public_url}/webhooks/twilio/sms"

    # ------------------------------------------------------------------ calls

    async def call_in(
        self,
        leg: Leg,
        *,
        faults: Faults | None = None,
        max_seconds: float = MAX_CALL_SECONDS,
    ) -> CallReport:
        """Somebody rings one of the account's numbers; until the call is over and all is told."""
        number = self._numbers.get(leg.record.to_number)
        if number is None:
            raise ValueError(f"{leg.record.to_number} is not a number of this account")
        log = leg.log
        log.emit(
            "ringing",
            **{"from": leg.record.from_number, "to": leg.record.to_number},
            forwarded_from=leg.record.forwarded_from,
            tag=log.report.tag,
            scenario=log.report.scenario,
        )
        self._faults[leg.record.sid] = faults or Faults()
        self.open(leg)
        try:
            if not number.voice_url:
                log.error(11100, f"{number.phone_number} has no VoiceUrl")
                leg.end("carrier", "failed")
            async with asyncio.TaskGroup() as tasks:
                guard = tasks.create_task(self._guard(leg, max_seconds))
                await self.run(leg, Fetch(number.voice_url, number.voice_method))
                guard.cancel()
            leg.end("server")  # the last document has come to its end
            await self.close(leg)
        finally:
            # Only when whoever lets them telephone has been cancelled is there anything left to do.
            leg.end("carrier", "failed")
            self._ticker.remove(leg.tick)
        return log.report

    async def _guard(self, leg: Leg, seconds: float) -> None:
        await asyncio.sleep(seconds)
        leg.log.error("guard", f"still talking after {seconds:.0f} s")
        leg.end("carrier")

    def open(self, leg: Leg) -> None:
        """The leg exists: REST knows it, and its line runs once it is answered."""
        self.legs[leg.record.sid] = leg
        self._ticker.add(leg.tick)

    async def close(self, leg: Leg) -> None:
        """The leg is over: its line stops, and whoever wanted to know is told."""
        self._ticker.remove(leg.tick)
        faults = self._faults.pop(leg.record.sid, Faults())
        number = self._numbers.get(leg.record.to_number)
        address = leg.record.status_callback
        if leg.record.direction == "inbound" and number is not None:
            address = address or number.status_callback
        if address and not faults.no_status_callback and not self._stop.is_set():
            await self._tell_status(leg, address, sequence=0)

    async def run(self, leg: Leg, order: Order) -> None:
        """Run TwiML on a leg until the leg is over or nothing more is to be done."""
        faults = self._faults.get(leg.record.sid, Faults())
        await TwimlRunner(leg, self, self._announcer, faults).run(order)

    async def dial(self, leg: Leg, verb: Verb, base: str, result: DialResult) -> None:
        """`<Dial>` on a leg."""
        await dial(self, leg, verb, base, result)

    async def ring_in(self, from_number: str, to_number: str, forwarded_from: str | None) -> str:
        """A forwarded call of the carrier's own making: what `<Dial>` is told of it."""
        leg = self._forwarded(from_number, to_number, forwarded_from)
        await self.call_in(leg, max_seconds=10)
        # A call that rejects is busy to whoever dialled it; one that answered has been "taken".
        return "completed" if leg.log.report.answered_ms is not None else "busy"

    def _forwarded(self, from_number: str, to_number: str, forwarded_from: str | None) -> Leg:
        report = CallReport(self.new_sid("CA"), 0, from_number, to_number, forwarded_from)
        record = Record(report.call_sid, from_number, to_number, "inbound", forwarded_from)
        log = CallLog(report, asyncio.get_running_loop().time)
        return Leg(record, CalleeParty(Callee("says_nothing")), log)

    def place_call(self, fields: Mapping[str, str], events: frozenset[str]) -> Leg:
        """Calls.json: the call is made in the background, whoever is behind `To` answers."""
        to, sender = fields.get("To", ""), fields.get("From", "")
        if not to:
            raise Refusal(400, 21201, "No 'To' number is specified")
        if sender not in self._numbers:
            raise Refusal(400, 21210, f"'From' {sender!r} is not a number of this account")
        if "Twiml" in fields and len(fields["Twiml"]) > 4000:
            raise Refusal(400, 32018, "Twiml: at most 4000 characters")
        if not ("Twiml" in fields or is_address(fields.get("Url", ""))):
            raise Refusal(400, 21205, "Url is not a valid URL")
        record = Record(self.new_sid("CA"), sender, to, "outbound-api", status="queued")
        record.status_callback = fields.get("StatusCallback", "")
        record.status_events = events or record.status_events
        # "If both Url and Twiml: Twiml ignored."
        order: Order = (
            Fetch(fields["Url"], fields.get("Method", "POST"))
            if "Url" in fields
            else Inline(fields["Twiml"])
        )
        report = CallReport(record.sid, 0, sender, to, None)
        callee = self.callees.get(to, Callee())
        leg = Leg(record, CalleeParty(callee), CallLog(report, asyncio.get_running_loop().time))
        self.open(leg)
        self._background.create_task(
            self._call_out(leg, callee, order, float(fields.get("Timeout", "60")))
        )
        return leg

    async def _call_out(self, leg: Leg, callee: Callee, order: Order, limit: float) -> None:
        record = leg.record
        for sequence, status in enumerate(("initiated", "ringing")):
            record.status = status
            if status in record.status_events and record.status_callback:
                await self._tell_status(leg, record.status_callback, sequence)
        limit /= self._hurry
        if callee.behaviour == "forwards":
            await self._call_on(leg, callee, order)
            return
        unanswered = callee.behaviour in ("no_answer", "busy", "failed")
        try:
            async with asyncio.timeout(limit if unanswered else None):
                if callee.behaviour == "no_answer":
                    await leg.closed.wait()
                await asyncio.sleep(min(callee.rings_seconds, limit))
        except TimeoutError:
            leg.end("carrier", "no-answer")
        if unanswered:
            leg.end("carrier", "busy" if callee.behaviour == "busy" else "failed")
        leg.answer()
        if "answered" in record.status_events and record.status_callback and not record.over:
            await self._tell_status(leg, record.status_callback, 2)
        await self.run(leg, order)
        leg.end("server")
        await self.close(leg)

    async def _call_on(self, leg: Leg, callee: Callee, order: Order) -> None:
        """The line is forwarded: our call rings where it goes, and is answered when that is."""
        await asyncio.sleep(callee.rings_seconds)
        record = leg.record
        shown = callee.forwarded_from(record.to_number)
        caller = record.to_number if callee.poses_as_caller else record.from_number
        onward = self._forwarded(caller, callee.forwards_to, shown)
        self.forwarded.append(onward.log.report)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.call_in(onward, max_seconds=60))
            ends = [tasks.create_task(onward.answered.wait())]
            ends.append(tasks.create_task(onward.closed.wait()))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if onward.answered.is_set():
                leg.answer()
                work = tasks.create_task(self.run(leg, order))
                await asyncio.wait([work, ends[1]], return_when=asyncio.FIRST_COMPLETED)
                leg.end("carrier", "completed")
            else:
                leg.end("carrier", "busy")
            onward.hang_up()
            for each in ends:
                each.cancel()
        await self.close(leg)

    # ------------------------------------------------------------------ requests

    async def send(self, webhook: Webhook) -> Answer:
        """Make a request. Raises RequestFailed, also when everything is about to end."""
        if self._stop.is_set():
            raise RequestFailed(11200, f"{webhook.url}: the sandbox is closing")
        return await self._http.send(webhook)

    def fields(self, leg: Leg) -> dict[str, str]:
        """The parameters that every request of this leg carries."""
        return call_fields(leg.record, self.account_sid)

    def fallback_for(self, leg: Leg) -> str:
        """The number's VoiceFallbackUrl."""
        number = self._numbers.get(leg.record.to_number)
        return number.voice_fallback_url if number is not None else ""

    def keep_recording(self, leg: Leg, audio: bytes) -> str:
        """Stores a WAV file; its address, without the suffix, as in `RecordingUrl`."""
        sid = self.new_sid("RE")
        self.recordings[sid] = audio
        return f"{self.url}/2010-04-01/Accounts/{self.account_sid}/Recordings/{sid}"

    def tell_recording_status(
        self, leg: Leg, verb: Verb, base: str, fields: Mapping[str, str]
    ) -> None:
        """A `<Record recordingStatusCallback>`, told in the background: of "completed" unless
        recordingStatusCallbackEvent says otherwise."""
        address = verb.get("recordingStatusCallback")
        wanted = verb.get("recordingStatusCallbackEvent", "completed").split()
        if not address or fields["RecordingStatus"] not in wanted or self._stop.is_set():
            return
        told = {"AccountSid": self.account_sid, "CallSid": leg.record.sid} | dict(fields)
        method = verb.get("recordingStatusCallbackMethod", "POST")
        self._background.create_task(
            self._tell(Webhook(urljoin(base, address), method, tuple(told.items())), leg.log)
        )

    def tell_stream_status(self, leg: Leg, stream: Verb, fields: Mapping[str, str]) -> None:
        """A `<Stream statusCallback>`, told in the background."""
        address = stream.get("statusCallback")
        if not address or self._stop.is_set():
            return
        told = {"AccountSid": self.account_sid, "CallSid": leg.record.sid} | dict(fields)
        # The one callback with ISO 8601 times.
        told["Timestamp"] = datetime.now(UTC).isoformat()
        webhook = Webhook(address, stream.get("statusCallbackMethod", "POST"), tuple(told.items()))
        self._background.create_task(self._tell(webhook, leg.log))

    async def _tell_status(self, leg: Leg, address: str, sequence: int) -> None:
        told = self.fields(leg) | {
            "Timestamp": format_datetime(datetime.now(UTC)),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(sequence),
        }
        if leg.record.over:
            seconds = leg.record.duration
            told |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
        await self._tell(Webhook(address, "POST", tuple(told.items())), leg.log)

    async def _tell(self, webhook: Webhook, log: CallLog | None) -> None:
        """Request an address whose answer doesn't matter."""
        began = log.ms() if log else 0.0
        kept = Request(webhook.url, began, 0.0, 0, dict(webhook.fields), "")
        (log.report.requests if log else self.requests).append(kept)
        try:
            answer = await self.send(webhook)
        except RequestFailed as error:
            if log:
                log.error(error.code, error.reason)
            return
        kept.elapsed_ms, kept.status = answer.elapsed_ms, answer.status
        kept.body = answer.body.decode("utf-8", "replace")
        if answer.status // 100 != 2 and log:
            log.error(11200, f"{webhook.url} answered {answer.status}")

    # ------------------------------------------------------------------ messages

    @property
    def messages(self) -> Mapping[str, Message]:
        """Those that were sent by REST, by sid."""
        return self.texts.messages

    @property
    def opted_out(self) -> set[str]:
        """Who has opted out of everything that the account sends."""
        return self.texts.opted_out

    def send_message(self, fields: Mapping[str, str]) -> Message:
        """Messages.json: accepted, then sent and delivered in the background."""
        message = self.texts.accept(fields)
        self._background.create_task(self.texts.deliver(message))
        return message

    async def _webhook_of_texts(self, webhook: Webhook) -> Answer | None:
        """A webhook that belongs to no call; None when nobody answered it."""
        kept = Request(webhook.url, 0.0, 0.0, 0, dict(webhook.fields), "")
        self.requests.append(kept)
        try:
            answer = await self.send(webhook)
        except RequestFailed:
            return None
        kept.elapsed_ms, kept.status = answer.elapsed_ms, answer.status
        kept.body = answer.body.decode("utf-8", "replace")
        return answer


def inbound_leg(
    party: Party, log: CallLog, *, forwarded_from: str | None, sid: str | None = None
) -> Leg:
    """The leg of somebody who rings; who and whom the log's report says."""
    report = log.report
    record = Record(
        sid or report.call_sid,
        report.from_number,
        report.to_number,
        "inbound",
        forwarded_from=forwarded_from,
    )
    return Leg(record, party, log)

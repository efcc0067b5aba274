"""Twilio's requests about calls without a stream: each turn, and what becomes of a recording.

A turn's address bears its number, so that a request which comes twice gets the same answer and has
its effect once. What the caller said is stored before anybody thinks about it; who answers it is a
task that outlives the request, for a caller mustn't wait for a vendor in silence: after
`PATIENCE_SECONDS` they hear a line of ours, and Twilio asks again, whichever node.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from starlette.requests import Request
from starlette.responses import Response

from domain.messages import text
from storage import Storage
from storage.call_turns import TURNS as BY_TURNS
from storage.calls import CallRow
from voice import turns, twiml
from voice.background import Background
from voice.endings import FINAL, TURNS, VOICEMAIL, Endings
from voice.ladder import Rung
from voice.lower_rungs import KINDS, SAID, last_words, passed_of
from voice.openings import Openings
from voice.turn_answers import TurnAnswers, heard_line
from voice.voicemail import Voicemail

log = structlog.get_logger(__name__)

#: How long one request waits for the answer, seconds: nobody shall hear nothing for 2.5 s (the
#: issue's rule), of which Twilio takes about one to notice that the caller has stopped.
PATIENCE_SECONDS = 1.5
#: How often we look whether another node has answered, seconds.
LOOK_SECONDS = 0.25
#: Lines of ours while an answer is made, about 4 s each; then whatever answers is stuck. Together
#: they last longer than `STALE`, for what is taken over then must be waited for as well.
WAITS = 10
#: A turn that nobody has answered after so long was lost with its node: the model had 14 s, and a
#: function that it began with its last breath may take 10.
STALE = timedelta(seconds=25)
_FILLERS = ("filler_1", "hold_2", "filler_2", "hold_3")
#: Characters of what Twilio recognised, and keys, that are read.
_SPEECH, _DIGITS = 4000, 40

_NUMBER = re.compile(r"[0-9]{1,6}")
_SECONDS = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class TurnWebhooks:
    """The doors below /webhooks/twilio/voice of calls without a stream."""

    storage: Storage
    openings: Openings
    answers: TurnAnswers
    voicemail: Voicemail
    addresses: twiml.Addresses
    background: Background
    endings: Endings
    _answered: dict[tuple[str, int], asyncio.Event] = field(default_factory=dict)

    # ----------------------------------------------------------------------------- a turn

    async def turn(self, request: Request) -> Response:
        """The caller has answered, or hasn't."""
        row, form = await self._call(request), _form(request)
        number = _number(request.path_params["turn"])
        if row is None or number is None or row.outcome is not None:
            return _twiml(twiml.hang_up())
        if form.get("CallStatus") in FINAL:
            self._over(form)
            return _twiml(twiml.nothing())
        if not _stands_at(row, number):
            return _twiml(await self._current(row))
        event = turns.Heard(
            form.get("SpeechResult", "")[:_SPEECH],
            "".join(key for key in form.get("Digits", "")[:_DIGITS] if key in "0123456789*#"),
        )
        await self._claim(row, number, event)
        return await self._answer(row, number, 0)

    async def wait(self, request: Request) -> Response:
        """The line of ours is over: is there an answer now?"""
        row, form = await self._call(request), _form(request)
        number = _number(request.path_params["turn"])
        waited = _number(request.path_params["times"])
        if row is None or number is None or waited is None or row.outcome is not None:
            return _twiml(twiml.hang_up())
        if form.get("CallStatus") in FINAL:
            self._over(form)
            return _twiml(twiml.nothing())
        if not _stands_at(row, number):
            return _twiml(await self._current(row))
        if waited > WAITS:
            passed = passed_of(row.opening) | {Rung.TURNS}
            return _twiml(await self.openings.go_on(row, passed, attempts=row.attempts))
        await self._claim(row, number, turns.Heard())
        return await self._answer(row, number, waited)

    async def _claim(self, row: CallRow, number: int, event: turns.Heard) -> None:
        """Have the turn answered, unless somebody does already."""
        now = self.answers.now()
        claim = await self.storage.turns.claim(
            row.id,
            number,
            {"speech": event.speech, "digits": event.digits},
            heard_line(row, event, now),
            now - STALE,
        )
        if claim is None or not claim.taken:
            return
        # Who takes over what another left doesn't risk the same again.
        by_rules = row.opening.get("heard") is not None
        key = (row.id, number)
        self._answered[key] = asyncio.Event()
        self.background.start("turn", lambda: self._work(claim.call, number, by_rules=by_rules))

    async def _work(self, row: CallRow, number: int, *, by_rules: bool) -> None:
        key = (row.id, number)
        try:
            reply = await self.answers.reply(row, by_rules=by_rules)
            await self.openings.answer_turn(row, number, reply.opening, reply.stage, reply.lines)
        finally:
            event = self._answered.pop(key, None)
            if event is not None:
                event.set()

    async def _answer(self, row: CallRow, number: int, waited: int) -> Response:
        """The answer, or after a while a line of ours."""
        current = await self._settled(row.id, number)
        if current is not None:
            return _twiml(await self._current(current))
        locale = row.opening["locale"]
        words = text(locale, _FILLERS[waited % len(_FILLERS)])
        step = ("turn", row.id, str(number), "wait", str(waited + 1))
        return _twiml(twiml.say_and_ask(self.addresses, locale, words, *step))

    async def _settled(self, call_id: str, number: int) -> CallRow | None:
        """The call once this turn is answered; None when that takes too long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_SECONDS
        while True:
            event = self._answered.get((call_id, number))
            row = await self.storage.operator.get_call(call_id)
            if row is None or row.outcome is not None or not _stands_at(row, number):
                return row
            left = until - loop.time()
            if left <= 0:
                return None
            await _either(event, min(LOOK_SECONDS, left))

    async def _current(self, row: CallRow) -> str:
        """What the call is answered with as it stands, to whoever asks late or again."""
        if row.outcome is not None:
            return twiml.hang_up()
        return await self.openings.again(row)

    # -------------------------------------------------------------------------- the voicemail

    async def recorded(self, request: Request) -> Response:
        """Twilio's status of a recording: also when the caller has hung up."""
        row, form = await self._call(request), _form(request)
        if row is not None and form.get("RecordingStatus") == "completed":
            await self._keep(row, form)
        return Response(status_code=204)

    async def done(self, request: Request) -> Response:
        """The message is recorded: thanks, and goodbye."""
        row, form = await self._call(request), _form(request)
        if row is None:
            return _twiml(twiml.hang_up())
        kept = await self._keep(row, form)
        if form.get("CallStatus") in FINAL or row.outcome is not None:
            self._over(form)
            return _twiml(twiml.nothing())
        return await self._last_words(row, "voicemail_thanks" if kept else None)

    async def empty(self, request: Request) -> Response:
        """Nothing was recorded."""
        row, form = await self._call(request), _form(request)
        if row is None or row.outcome is not None:
            return _twiml(twiml.hang_up())
        if form.get("CallStatus") in FINAL:
            self._over(form)
            return _twiml(twiml.nothing())
        return await self._last_words(row, None)

    async def _keep(self, row: CallRow, form: Mapping[str, str]) -> bool:
        """Store the message; False when there is none. A repeated webhook finds it stored."""
        recording = self.voicemail.recording_of(form.get("RecordingUrl", ""))
        duration = form.get("RecordingDuration", "")
        seconds = int(duration) if _SECONDS.fullmatch(duration) else 0
        if recording is None or seconds == 0:
            return False
        if await self.voicemail.keep(row, recording, seconds):
            log.info("voicemail.kept", call_id=row.id, seconds=seconds)
            if row.stage == VOICEMAIL:  # whoever closes the call needn't wait for it any more
                await self.storage.operator.set_stage(row.id, TURNS, only_from=[VOICEMAIL])
        return True

    async def _last_words(self, row: CallRow, key: str | None) -> Response:
        if row.opening.get("kind") == SAID:
            return _twiml(await self.openings.again(row))
        locale = row.opening.get("locale")
        if key is None:
            called = await self.voicemail.missed(row)
            key = "voicemail_nothing" if called else "voicemail_nothing_no_number"
        opening = last_words(str(locale), text(locale, key))
        return _twiml(await self.openings.reopen(row, opening, TURNS))

    # --------------------------------------------------------------------------------- shared

    def _over(self, form: Mapping[str, str]) -> None:
        """The caller has hung up: the call is concluded behind the answer."""
        call_sid, status = form.get("CallSid", ""), form.get("CallStatus", "")
        self.background.start(
            "call.close", lambda: self.endings.close_from_status(call_sid, status, None)
        )

    async def _call(self, request: Request) -> CallRow | None:
        """The call of the path, if the request is about it and it goes without a stream."""
        row = await self.storage.operator.get_call(request.path_params["call_id"])
        if row is None or row.tenant_id is None or row.call_sid != _form(request).get("CallSid"):
            return None
        return row if row.opening.get("kind") in KINDS else None


async def _either(event: asyncio.Event | None, seconds: float) -> None:
    """Until it is set, or so long."""
    if event is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _stands_at(row: CallRow, number: int) -> bool:
    return row.opening.get("kind") == BY_TURNS and row.opening.get("turn") == number


def _number(digits: str) -> int | None:
    return int(digits) if _NUMBER.fullmatch(digits) else None


def _form(request: Request) -> Mapping[str, str]:
    form: Mapping[str, str] = request.state.twilio_form
    return form


def _twiml(document: str) -> Response:
    return Response(document, media_type="application/xml")


Handler = Callable[[Request], Awaitable[Response]]


def turn_doors(webhooks: TurnWebhooks) -> dict[str, Handler]:
    """By path below /webhooks/twilio."""
    turn = "voice/turn/{call_id}/{turn}"
    voicemail = "voice/voicemail/{call_id}"
    return {
        turn: webhooks.turn,
        f"{turn}/wait/{{times}}": webhooks.wait,
        f"{voicemail}/done": webhooks.done,
        f"{voicemail}/recorded": webhooks.recorded,
        f"{voicemail}/empty": webhooks.empty,
    }

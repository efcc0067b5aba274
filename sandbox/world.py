"""The outside world of one server: Twilio, OpenAI, Vapi and as many callers as wanted."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.brain import Brain
from sandbox.breakdown import Breakdown, Watch
from sandbox.caller import DONE_MS, PATIENCE_MS, Listener, ScriptedCaller
from sandbox.chat_mind import Conversation
from sandbox.faults import Faults
from sandbox.http_faults import broken_down as broken_model
from sandbox.openai_http import OpenAIHttpEmulator
from sandbox.openai_realtime import AGENT_TAG_BIT, RealtimeEmulator
from sandbox.realtime_record import SessionRecord
from sandbox.recogniser import Recording, recording
from sandbox.recording import LineRecording
from sandbox.report import CallLog, CallReport, OnEvent
from sandbox.scenario import Scenario, load
from sandbox.silences import at_the_breakdown
from sandbox.twilio import MAX_CALL_SECONDS, TwilioEmulator, inbound_leg
from sandbox.vapi import VapiEmulator
from sandbox.vapi_assistant import END_CALL
from sandbox.vapi_faults import broken_down

#: A real model thinks between two sentences, and takes its time: the caller is more patient.
REAL_DONE_MS = 1500
REAL_PATIENCE_MS = 40_000
#: A cascade's.
_MODELS = frozenset({"stt", "llm", "tts"})
#: How far apart the ear's position and the truncation may have been noted.
_JOIN_SECONDS = 2.0
#: Sentences of the cascade's voice that a caller may still be hearing.
_REMEMBERED = 200


class World:
    """An async context manager. Start the server between entering and `target`, with
    TWILIO_API_BASE_URL = `twilio_url` and OPENAI_BASE_URL = `openai_url`; for the cascade,
    STT_BASE_URL, LLM_BASE_URL and TTS_BASE_URL = `models_url`, whose faults are `models.faults`.
    Vapi is there from `serve_vapi` on; its faults are `vapi.faults`.

    `real_model`: no model is emulated; callers go by the sound of the agent's voice, and the
    report says what was observed. `on_event` gets every moment of every call as a dict. `lines`:
    the server's own sentences (text → µ-law, 8 kHz), which callers then tell from answers.
    `patience_ms`: for how long they wait for what they wait for.
    """

    def __init__(
        self,
        *,
        auth_token: str,
        account_sid: str,
        number: str,
        openai_key: str = "",
        wav_dir: Path | None = None,
        on_event: OnEvent | None = None,
        real_model: bool = False,
    ) -> None:
        self.number = number
        self.twilio = TwilioEmulator(
            account_sid=account_sid,
            auth_tokens=[each.strip() for each in auth_token.split(",")],
            numbers=[number],
        )
        self.openai = None if real_model else RealtimeEmulator(openai_key, self._brain)
        self.models = OpenAIHttpEmulator(openai_key, self._mind)
        self.vapi: VapiEmulator | None = None
        self._voices = _Voices(self._speaks_to)
        self.lines: Mapping[str, bytes] = {}
        self.patience_ms = REAL_PATIENCE_MS if real_model else PATIENCE_MS
        self._wav_dir = wav_dir
        self._on_event = on_event
        self._scenarios: dict[int, tuple[Scenario, str]] = {}
        self._logs: dict[int, CallLog] = {}
        self._chats: dict[int, list[list[str]]] = {}
        self._last_tag = 0
        self._stack = AsyncExitStack()
        self.models.published = self._voices.spoken
        self.models.on_event = self._models_event
        if self.openai is not None:
            self.openai.published = self._voices.published
            self.openai.on_event = self._model_event

    async def __aenter__(self) -> Self:
        if self.openai is not None:
            await self._stack.enter_async_context(self.openai)
        await self._stack.enter_async_context(self.models)
        await self._stack.enter_async_context(self.twilio)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def twilio_url(self) -> str:
        """TWILIO_API_BASE_URL."""
        return self.twilio.url

    @property
    def openai_url(self) -> str:
        """OPENAI_BASE_URL; "" when the model is real."""
        return self.openai.url if self.openai is not None else ""

    @property
    def models_url(self) -> str:
        """STT_BASE_URL, LLM_BASE_URL and TTS_BASE_URL."""
        return self.models.url

    async def serve_vapi(self, key: str) -> str:
        """Emulate Vapi too, for who knows the key; VAPI_BASE_URL. Once the world has begun."""
        vapi = VapiEmulator(key, self._brain_at_vapi)
        vapi.published = self._voices.published
        vapi.on_event = self._model_event
        self.vapi = await self._stack.enter_async_context(vapi)
        return vapi.url

    def target(self, public_url: str) -> None:
        """The server is there: the number's webhooks go to it."""
        self.twilio.point_at(public_url.rstrip("/"))

    async def call(
        self,
        scenario: Scenario | str,
        *,
        line: str = "",
        number: str = "",
        caller: str = "",
        forwarded_from: str | None = None,
        faults: Faults | Breakdown | None = None,
        max_seconds: float = MAX_CALL_SECONDS,
    ) -> CallReport:
        """One call, from ringing to the last webhook.

        `line`: the tenant's own number, sent as ForwardedFrom when the scenario says so;
        `forwarded_from` overrides it with any text ("" for none). `number`: the number rung, by
        default ours. `caller`: overrides the scenario's number with any text.
        """
        script = load(scenario) if isinstance(scenario, str) else scenario
        self._last_tag = tag = self._last_tag % (AGENT_TAG_BIT - 1) + 1
        caller_number = caller or script.caller.number
        forwarded = forwarded_from
        if forwarded is None and script.caller.forwarded:
            forwarded = line
        report = CallReport(
            self.twilio.new_sid("CA"),
            tag,
            caller_number,
            number or self.number,
            forwarded or None,
            scenario=script.name,
        )
        log = CallLog(report, asyncio.get_running_loop().time, self._on_event)
        if isinstance(faults, Breakdown):
            self._prepare(faults, log)
            faults = None
        self._scenarios[tag], self._logs[tag] = (script, caller_number), log
        try:
            await self._ring(script, log, faults, max_seconds)
        finally:
            del self._scenarios[tag], self._logs[tag]
        silence = at_the_breakdown(report)
        report.rescue_silence_ms = silence.ms if silence is not None else None
        log.emit("report", report=report.to_json())
        return report

    def _prepare(self, breakdown: Breakdown, log: CallLog) -> None:
        """See to it that a vendor breaks down when the moment comes."""
        if breakdown.leg in _MODELS:
            broken_model(breakdown)  # raises ValueError
        elif breakdown.leg == "vapi":
            broken_down(breakdown)  # the same
        if self.openai is None or (breakdown.leg == "vapi" and self.vapi is None):
            raise ValueError(f"no {breakdown.leg} is emulated that could break down")
        if breakdown.moment == "before_answer":
            self._break_at_once(breakdown)
            log.report.broke_down_ms = 0.0
            return
        watch, loop = Watch(breakdown.moment), asyncio.get_running_loop()

        def sees(event: Mapping[str, Any]) -> None:
            if self._on_event is not None:
                self._on_event(dict(event))
            after = watch.sees(str(event["event"]), event)
            if after == 0:
                self._break(breakdown, log)  # before what has just happened leaves
            elif after is not None:
                loop.call_later(after / 1000, self._break, breakdown, log)

        log.on_event = sees

    def _break_at_once(self, breakdown: Breakdown) -> None:
        assert self.openai is not None, "prepared"
        if breakdown.leg == "vapi":  # of all calls
            assert self.vapi is not None, "prepared"
            self.vapi.faults = broken_down(breakdown)
        elif breakdown.leg in _MODELS:
            self.models.faults = [broken_model(breakdown)]
        else:
            self.openai.arm(breakdown)

    def _break(self, breakdown: Breakdown, log: CallLog) -> None:
        assert self.openai is not None, "prepared"
        if breakdown.leg == "vapi":
            assert self.vapi is not None, "prepared"
            broken = self.vapi.befall(log.report.tag, broken_down(breakdown))
        elif breakdown.leg in _MODELS:  # of all calls: whose sound it is, nobody can tell
            self.models.faults, broken = [broken_model(breakdown)], True
        else:
            broken = self.openai.befall(log.report.tag, breakdown)
        if broken:
            log.report.broke_down_ms = log.ms()
            kind, moment = breakdown.kind, breakdown.moment
            log.emit("breaks_down", leg=breakdown.leg, kind=kind, moment=moment)

    def _speaks_to(self, tag: int, call_tag: int) -> bool:
        """Whether the session whose voice has this tag hears the call of that one."""
        sessions = self.openai.sessions if self.openai is not None else []
        calls = self.vapi.calls.values() if self.vapi is not None else ()
        return any(each.tag == tag and each.call_tag == call_tag for each in (*sessions, *calls))

    async def _ring(
        self, script: Scenario, log: CallLog, faults: Faults | None, max_seconds: float
    ) -> None:
        report = log.report
        emulated = self.openai is not None
        party = ScriptedCaller(
            script.caller.steps,
            tag=report.tag,
            log=log,
            voices=self._voices if emulated else None,
            done_ms=DONE_MS if emulated else REAL_DONE_MS,
            patience_ms=self.patience_ms,
        )
        party.get_to_know(self.lines, script.caller.repeats_after)
        leg = inbound_leg(party, log, forwarded_from=report.forwarded_from)
        if script.callee is not None:
            self.twilio.callees.setdefault(script.tenant.transfer_number, script.callee)
        if self._wav_dir is not None:
            leg.recording = LineRecording()
        await self.twilio.call_in(leg, faults=faults, max_seconds=max_seconds)
        if leg.recording is not None and self._wav_dir is not None:
            path = self._wav_dir / f"{report.call_sid}.wav"
            await asyncio.to_thread(leg.recording.save, path)
            report.wav = str(path)
            leg.recording = None  # a megabyte a minute, and the leg stays on record
        if self.openai is not None:
            self._join(log, self.openai)

    # ------------------------------------------------------------------ the model's side

    def _brain(self, tag: int | None) -> Brain:
        """The mind for the call of this tag. One that has heard nobody knows no rules: it only
        ever speaks what it is told to, word for word."""
        known = self._scenarios.get(tag) if tag is not None else None
        if known is None:
            return Brain(())
        script, caller_number = known
        return Brain(script.rules, caller={"number": caller_number})

    def _brain_at_vapi(self, tag: int | None) -> Brain:
        """The same mind, where a tool of Vapi's own ends the call."""
        return replace(self._brain(tag), names={"end_call": END_CALL})

    def _model_event(self, name: str, fields: Mapping[str, Any]) -> None:
        log = self._logs.get(fields.get("call_tag") or 0)
        if log is not None:
            log.emit(name, **{key: value for key, value in fields.items() if key != "call_tag"})

    # ------------------------------------------------------------------ the cascade's side

    def _mind(self, conversation: Conversation) -> Brain:
        """The mind for a conversation in writing."""
        tag = self._whose(conversation)
        return self._brain(tag)

    def _whose(self, conversation: Conversation) -> int | None:
        """The call that this is: whose number the instructions name; else one in which the caller
        could have said that; of several, the latest."""
        digits = re.sub(r"\D", "", conversation.instructions)
        numbers = {tag: re.sub(r"\D", "", number) for tag, (_, number) in self._scenarios.items()}
        named = [tag for tag, number in numbers.items() if number and number[-9:] in digits]
        said = frozenset(conversation.clips)
        fitting = [
            tag for tag in named or self._scenarios if said & _clips(self._scenarios[tag][0])
        ]
        return max(fitting or named or self._scenarios, default=None)

    def _models_event(
        self, name: str, fields: Mapping[str, Any], conversation: Conversation | None
    ) -> None:
        if name == "chat_reads":
            assert conversation is not None, "it tells which"
            read = self._chats.setdefault(self._whose(conversation) or 0, [])
            read.append(list(fields["texts"]))
            return
        if conversation is not None:
            log = self._logs.get(self._whose(conversation) or 0)
        else:  # sound alone; it is somebody's when only one calls
            log = next(iter(self._logs.values())) if len(self._logs) == 1 else None
        if log is not None:
            log.emit(name, **fields)

    def _join(self, log: CallLog, openai: RealtimeEmulator) -> None:
        """What the model recorded of this call, beside what the ear did."""
        sessions = [each for each in openai.sessions if each.call_tag == log.report.tag]
        for session in sessions:
            self._voices.forget(session.tag)
            for barge_in in log.report.barge_ins:
                if barge_in.cleared_ms is not None and barge_in.ear_label is not None:
                    at = log.at(barge_in.cleared_ms)
                    found = _truncation(session, barge_in.ear_label, at)
                    if found is not None:
                        barge_in.truncated_ms = found
        log.report.model = {"sessions": [_summary(each) for each in sessions]}
        log.report.model["chats"] = self._chats.pop(log.report.tag, [])
        if self.vapi is not None:
            calls = [each for each in self.vapi.calls.values() if each.call_tag == log.report.tag]
            for call in calls:
                self._voices.forget(call.tag)
            log.report.model["vapi"] = [call.summary() for call in calls]


class _Voices:
    """Who says what: the renderings of every session, by the tag in its audio."""

    def __init__(self, speaks_to: Callable[[int, int], bool]) -> None:
        self.speaks_to = speaks_to
        self._said: dict[int, list[tuple[str, bytes]]] = {}
        self._listeners: dict[int, list[Listener]] = {}
        self._sentences: dict[str, Recording] = {}

    def published(self, tag: int, text: str, audio: bytes) -> None:
        """A session is about to say this."""
        self._said.setdefault(tag, []).append((text, audio))
        for listener in self._listeners.get(tag, ()):
            listener(text, audio)

    def spoken(self, text: str, audio: bytes) -> None:
        """The cascade's voice is about to say this: in which call, nobody knows."""
        self._sentences[text] = recording(text, audio)
        while len(self._sentences) > _REMEMBERED:
            self._sentences.pop(next(iter(self._sentences)))

    def sentences(self) -> Collection[Recording]:
        """What the cascade's voice has said lately."""
        return self._sentences.values()

    def follow(self, tag: int, listener: Listener) -> None:
        """Tell what was said and will be."""
        for text, audio in self._said.get(tag, ()):
            listener(text, audio)
        self._listeners.setdefault(tag, []).append(listener)

    def forget(self, tag: int) -> None:
        """That session is over."""
        self._said.pop(tag, None)
        self._listeners.pop(tag, None)


def _clips(script: Scenario) -> frozenset[str]:
    """What its caller may say."""
    return frozenset(step.say for step in script.caller.steps if step.say)


def _truncation(session: SessionRecord, text: str, at: float) -> float | None:
    """How much of the sentence the model was told the caller heard, at about this time."""
    items = {each.item_id for each in session.said if each.text == text}
    near = [
        each
        for each in session.truncations
        if each.item_id in items and abs(each.at - at) < _JOIN_SECONDS
    ]
    closest = min(near, key=lambda each: abs(each.at - at), default=None)
    return None if closest is None else float(closest.audio_end_ms)


def _summary(session: SessionRecord) -> dict[str, Any]:
    """A session, as plain values."""
    brain = session.brain
    return {
        "heard": [asdict(each) for each in session.heard],
        "read": list(session.read),
        "said_before": list(session.said_before),
        "said": [asdict(each) for each in session.said],
        "functions": [asdict(each) for each in session.calls],
        "tools": [each["name"] for each in session.config.get("tools", ())],
        "truncations": [asdict(each) for each in session.truncations],
        "errors": session.errors,
        "defects": asdict(session.defects),
        "script_defects": list(brain.defects) if brain is not None else [],
        "unmatched": [repr(each) for each in brain.unmatched] if brain is not None else [],
        "frames_heard": session.appended_ms // 20,
        "close_code": session.close_code,
    }

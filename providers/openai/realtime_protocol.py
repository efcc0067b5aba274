"""OpenAI Realtime (GA) on the wire and the rules of its session. Pure: frames in, frames out.

Shapes and rules: shared/reference/vapi-openai-pinecone.md §2. The beta spellings of server events
are accepted too, for compatible servers. Who owns the socket is `providers.openai.realtime`.

The rules, in short:
- one response at a time: what we want said waits in a queue until `response.done`;
- the vendor's voice detection creates responses by itself, so ours may come too late: it is then
  refused ("already has an active response") and waits again, unless that response covers it;
- an interruption makes everything pending stale, and nothing of a cut item is passed on;
- a function call is reported once, and only when the vendor says that it is complete.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from providers.openai import realtime_events as wire
from providers.openai.realtime_events import Audio, HeardUntil
from voice.events import (
    AgentFault,
    AgentReady,
    AgentText,
    CallerSaid,
    CallerSpeechStarted,
    CallerSpeechStopped,
    Event,
    FunctionCalled,
    ResponseDone,
    ResponseStarted,
)
from voice.ports import AgentSpec, FunctionSpec

#: What may wait for the running response to end; the oldest is forgotten beyond it. A call wants
#: one or two sentences at a time.
MAX_PENDING: Final = 8

#: How many ids of each kind are remembered; far more than one response has.
MAX_REMEMBERED: Final = 64

#: Of a vendor's error message, for the timeline.
MAX_MESSAGE: Final = 300

#: Errors after which the session is of no use (§2.6; names of the vendor's API errors).
FATAL_CODES: Final = frozenset({"session_expired", "invalid_api_key", "insufficient_quota"})

ALREADY_ACTIVE: Final = "conversation_already_has_active_response"

#: "Say this very sentence", by language; the sentence stands between « and ».
_SAY: Final = {
    "fr": "Dis exactement, mot pour mot: «%s»",
    "en": "Say exactly, word for word: «%s»",
}
_QUOTES: Final = str.maketrans({"«": '"', "»": '"'})

_encode: Final = msgspec.json.Encoder().encode

# ---------------------------------------------------------------------- what we remember


@dataclass(frozen=True, slots=True)
class _Sentence:
    """We want this said."""

    text: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """We want an answer. `after`: responses whose function calls must all be answered first."""

    after: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Create:
    """The last `response.create` that we sent."""

    event_id: str
    what: _Sentence | _Answer
    begun: bool = False  # a response.created followed, probably its own
    outdated: bool = False  # something was added to the conversation after it
    covered: bool = False  # … which then knew all that we had added
    doomed: bool = False  # interrupted before it began


@dataclass(slots=True)
class _Call:
    """A function call, as far as the vendor has told."""

    response_id: str
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class _Recent:
    """A bounded memory of ids: the oldest is forgotten."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, key: str) -> None:
        if len(self._ids) >= MAX_REMEMBERED:
            del self._ids[next(iter(self._ids))]
        self._ids[key] = None

    def __contains__(self, key: str) -> bool:
        return key in self._ids


#: What `receive` yields: a frame to send, audio to forward, how far the caller was heard, or an
#: event to report.
Output = bytes | Audio | HeardUntil | Event

_EVENT_ID: Final = b'"event_id"'
_APPEND: Final = b'{"type":"input_audio_buffer.append","audio":"%b"}'


def append(payload: str) -> bytes:
    """The frame that lets the model hear `payload` (base64); empty when it isn't base64.

    Built by hand since it is sent fifty times a second per call; a quote or a backslash in a
    payload from outside would write JSON of its own.
    """
    if not is_plain(payload):
        return b""
    return _APPEND % payload.encode()


def is_plain(payload: str) -> bool:
    """Whether a payload can stand between JSON quotes as it is."""
    return payload.isascii() and '"' not in payload and "\\" not in payload


class RealtimeProtocol:
    """One session. Every method returns what to send now; `receive` events and audio as well.

    Nothing raises for what the vendor sends.
    """

    __slots__ = (
        "_active",
        "_caller_turn",
        "_calls",
        "_cancelled",
        "_create",
        "_cut",
        "_dead",
        "_finished",
        "_last",
        "_queue",
        "_ready",
        "_reported",
        "_serial",
        "_spec",
        "_unanswered",
        "_unseen",
    )

    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec
        self._serial = 0
        self._ready = False
        self._caller_turn = False  # the caller speaks, or the vendor is about to answer them
        self._active: str | None = None  # the running response; "" when its id is unknown
        self._create: _Create | None = None
        self._queue: deque[_Sentence | _Answer] = deque()
        self._unseen: dict[str, str] = {}  # event id → key of an item not yet acknowledged
        self._unanswered: dict[str, str] = {}  # function call → response it came from
        self._calls: dict[str, _Call] = {}  # item id → function call in the making
        self._reported = _Recent()
        self._cut = _Recent()  # items
        self._dead = _Recent()  # responses
        self._last = b""  # event, as it came
        self._cancelled = _Recent()
        self._finished = _Recent()  # items whose audio is complete

    # ------------------------------------------------------------------------ what we say

    def opening(self) -> list[bytes]:
        """The session and, after it, what was said on an earlier leg."""
        frames = [
            _encode(
                {
                    "type": "session.update",
                    "event_id": self._next("session"),
                    "session": _session(self._spec),
                }
            )
        ]
        frames += [self._message(text, role) for role, text in self._spec.history]
        return frames

    def say(self, text: str) -> list[bytes]:
        """Speak this very sentence, after whatever response is running."""
        self._enqueue(_Sentence(text))
        return self._flush()

    def respond(self) -> list[bytes]:
        """Answer, after whatever response is running; several wishes become one answer."""
        return self._want_answer(frozenset())

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> list[bytes]:
        """Playback was cut: per item (item_id, heard_ms, sent_ms).

        Whatever was pending is stale: the vendor's voice detection, or whoever interrupts, asks
        for the next answer. `cancel`: the vendor doesn't stop the response by itself.
        """
        self._queue.clear()
        frames = []
        if self._create is not None and not self._create.begun:
            self._create.doomed = True
        if self._active is not None:
            self._dead.add(self._active)
            if cancel and self._active not in self._cancelled:
                frames.append(self._cancel(self._active))
        for item_id, heard_ms, sent_ms in heard:
            frames += self._cut_item(item_id, heard_ms, sent_ms)
        return frames

    def tell(self, text: str, role: str) -> list[bytes]:
        """Add a text item ("user" or "system") without asking for an answer."""
        return [self._message(text, role)]

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> list[bytes]:
        """Answer a function call now; the model speaks once all calls of that response are
        answered and the running response is over (§2.5)."""
        response_id = self._unanswered.pop(function_call_id, "")
        item = {"type": "function_call_output", "call_id": function_call_id, "output": output}
        frames = [self._item("output", item, function_call_id)]
        if respond:
            return frames + self._want_answer(frozenset({response_id} if response_id else ()))
        return frames + self._flush()

    def wanted(self, audio: Audio) -> bool:
        """Whether no interruption has cut this audio."""
        return audio.item_id not in self._cut and audio.response_id not in self._dead

    # ----------------------------------------------------------------------- what we hear

    def receive(self, text: bytes | memoryview | str) -> Sequence[Output]:
        """One text frame of the server: frames to send first, then audio or events, in order.

        Every event has an id of its own: one that is equal to the last, byte for byte, is that one
        again, and nobody shall hear it twice.
        """
        if isinstance(text, bytes):
            if text == self._last and _EVENT_ID in text:
                return ()
            self._last = text
        try:
            event = wire.parse(text)
        except wire.NotAnEvent as error:
            return (AgentFault("not_an_event", str(error), fatal=True),)
        except wire.Malformed as error:
            return (AgentFault("invalid_event", str(error)[:MAX_MESSAGE]),)
        if event is None:
            return ()
        return _HANDLERS[type(event)](self, event)

    def _on_audio(self, event: Audio) -> Sequence[Output]:
        if event.item_id in self._cut or not event.payload:
            return ()
        if event.response_id in self._dead:  # unheard from its first sound: not said at all
            return self._cut_item(event.item_id, 0, 0)
        if not is_plain(event.payload):
            return (AgentFault("invalid_audio", "the server's audio is not base64"),)
        return (event,)

    def _on_audio_done(self, event: wire.AudioDone) -> Sequence[Output]:
        self._finished.add(event.item_id)
        return ()

    def _on_text(self, event: wire.Text) -> Sequence[Output]:
        if event.item_id in self._cut or event.response_id in self._dead or not event.delta:
            return ()
        return (AgentText(event.item_id, event.delta),)

    def _on_text_done(self, event: wire.TextDone) -> Sequence[Output]:
        if event.item_id in self._cut or event.response_id in self._dead:
            return ()
        return (AgentText(event.item_id, event.transcript, final=True),)

    def _on_session_updated(self, _: wire.SessionUpdated) -> Sequence[Output]:
        if self._ready:
            return ()
        self._ready = True
        return (AgentReady(),)

    def _on_speech_started(self, event: wire.SpeechStarted) -> Sequence[Output]:
        self._caller_turn = True
        # The start is moved forward by the padding, which is heard before anybody speaks.
        padding = self._spec.turn_detection.prefix_padding_ms
        return (*_heard(event.audio_start_ms, padding), CallerSpeechStarted())

    def _on_speech_stopped(self, event: wire.SpeechStopped) -> Sequence[Output]:
        # The vendor now answers by itself. Should it not, the transcription, which comes later,
        # frees what waits; without a transcriber nothing would, so it isn't held then.
        self._caller_turn = bool(self._spec.transcription_model)
        heard = _heard(event.audio_end_ms)
        return (*self._stop_talking_on(), *self._flush(), *heard, CallerSpeechStopped())

    def _stop_talking_on(self) -> list[bytes]:
        """The caller spoke into a response, and it still runs: a compatible server that stops
        nothing by itself, and that answers nobody meanwhile."""
        active = self._active
        if active is None or active not in self._dead or active in self._cancelled:
            return []
        return [self._cancel(active), *self.respond()]

    def _on_transcribed(self, event: wire.Transcribed) -> Sequence[Output]:
        self._caller_turn = False
        return (*self._flush(), CallerSaid(event.item_id, (event.transcript or "").strip()))

    def _on_not_transcribed(self, event: wire.NotTranscribed) -> Sequence[Output]:
        self._caller_turn = False
        fault = _fault(event.error or {}, "transcription_failed")
        return (
            *self._flush(),
            AgentFault(fault.code, fault.message),
            CallerSaid(event.item_id, ""),
        )

    def _on_item_added(self, event: wire.ItemAdded) -> Sequence[Output]:
        key = event.item.call_id or event.item.id
        for event_id, waiting in self._unseen.items():
            if waiting == key:
                del self._unseen[event_id]
                break
        return ()

    # -------------------------------------------------------------------------- responses

    def _on_response_created(self, event: wire.ResponseCreated) -> Sequence[Output]:
        response_id = _string(event.response, "id")
        frames = []
        covers = not self._unseen
        create = self._create
        if create is not None and not create.begun:
            create.begun, create.covered = True, covers
            if create.doomed:
                self._dead.add(response_id)
                frames.append(self._cancel(response_id))
        else:
            self._caller_turn = False
            if covers:  # the vendor's own, which has seen all that we wanted answered
                self._queue = deque(p for p in self._queue if isinstance(p, _Sentence))
        self._active = response_id
        return (*frames, ResponseStarted(response_id))

    def _on_response_done(self, event: wire.ResponseDone) -> Sequence[Output]:
        response = event.response
        response_id = _string(response, "id")
        status = _status(response)
        calls = self._last_calls(response_id, status, response.get("output"))
        self._active = None
        if self._create is not None and self._create.begun:
            self._create = None
        done = ResponseDone(response_id, status, usage(response.get("usage")), _failure(response))
        return (*self._flush(), *calls, done)

    def _on_error(self, event: wire.Error) -> Sequence[Output]:
        fault = _fault(event.error, "error")
        event_id = _string(event.error, "event_id")
        self._unseen.pop(event_id, None)
        return (*self._create_refused(event_id, fault.code), fault)

    def _create_refused(self, event_id: str, code: str) -> list[bytes]:
        """If the error is about our `response.create`, ask again when the other one is over."""
        create = self._create
        if create is None:
            return []
        unattributed = not event_id and (code == ALREADY_ACTIVE or not create.begun)
        if event_id != create.event_id and not unattributed:
            return []
        self._create = None
        if code == ALREADY_ACTIVE:
            answered = isinstance(create.what, _Answer) and create.covered
            if not create.doomed and not answered:
                self._queue.appendleft(create.what)
            if self._active is None and not create.begun:
                self._active = ""
        return self._flush()

    # -------------------------------------------------------------------------- functions

    def _on_output_added(self, event: wire.OutputAdded) -> Sequence[Output]:
        if event.item.type == "function_call":
            self._collect(event.item, event.response_id)
        return ()

    def _on_arguments_done(self, event: wire.ArgumentsDone) -> Sequence[Output]:
        # Sent for interrupted responses too: not yet a reason to run anything.
        self._collect(
            wire.Item(
                id=event.item_id,
                call_id=event.call_id,
                name=event.name,
                arguments=event.arguments,
            ),
            event.response_id,
        )
        return ()

    def _on_output_done(self, event: wire.OutputDone) -> Sequence[Output]:
        item = event.item
        if item.type == "message" and item.id:
            self._finished.add(item.id)
        if item.type != "function_call":
            return ()
        call = self._collect(item, event.response_id)
        if item.status == "completed":
            return self._report(call)
        if item.status is not None:
            self._calls.pop(item.id or item.call_id or "", None)
        return ()

    def _last_calls(self, response_id: str, status: str, output: object) -> list[Output]:
        """Function calls that only `response.done` completes; forgets those in the making."""
        reported: list[Output] = []
        for raw in output if isinstance(output, list) else ():
            item = wire.item(raw)
            if item is None or item.type != "function_call":
                continue
            call = self._collect(item, response_id)
            self._calls.pop(item.id or item.call_id or "", None)
            if item.status == "completed" or (item.status is None and status == "completed"):
                reported += self._report(call)
        for call in tuple(self._calls.values()):
            ours = call.response_id in (response_id, "")
            if status == "completed" and ours and call.arguments:
                reported += self._report(call)
        self._calls.clear()
        return reported

    def _collect(self, item: wire.Item, response_id: str) -> _Call:
        key = item.id or item.call_id or ""
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= MAX_REMEMBERED:
                del self._calls[next(iter(self._calls))]
            call = self._calls[key] = _Call(response_id)
        call.call_id = item.call_id or call.call_id
        call.name = item.name or call.name
        call.arguments = item.arguments or call.arguments
        return call

    def _report(self, call: _Call) -> Sequence[Output]:
        if call.call_id in self._reported:
            return ()
        if not call.call_id or not call.name:
            return (AgentFault("invalid_event", "a function call without id or name"),)
        self._reported.add(call.call_id)
        if len(self._unanswered) >= MAX_REMEMBERED:
            del self._unanswered[next(iter(self._unanswered))]
        self._unanswered[call.call_id] = call.response_id
        return (FunctionCalled(call.call_id, call.name, call.arguments or "{}"),)

    # ------------------------------------------------------------------------- the queue

    def _want_answer(self, after: frozenset[str]) -> list[bytes]:
        create = self._create
        if (
            create is not None
            and isinstance(create.what, _Answer)
            and not (create.begun or create.outdated or create.doomed)
        ):
            return []  # the answer that is about to begin will be this one
        for place, pending in enumerate(self._queue):
            if isinstance(pending, _Answer):
                both = pending.after | after if pending.after and after else frozenset[str]()
                self._queue[place] = _Answer(both)
                return self._flush()
        self._enqueue(_Answer(after))
        return self._flush()

    def _enqueue(self, wish: _Sentence | _Answer) -> None:
        if len(self._queue) >= MAX_PENDING:
            self._queue.popleft()
        self._queue.append(wish)

    def _flush(self) -> list[bytes]:
        """Send the next wish, if no response is running or about to."""
        if self._active is not None or (self._create is not None and not self._create.begun):
            return []
        for place, wish in enumerate(self._queue):
            if not self._held(wish):
                del self._queue[place]
                return [self._response(wish)]
        return []

    def _held(self, wish: _Sentence | _Answer) -> bool:
        if isinstance(wish, _Sentence):
            return False
        return self._caller_turn or any(r in wish.after for r in self._unanswered.values())

    def _response(self, wish: _Sentence | _Answer) -> bytes:
        frame: dict[str, object] = {"type": "response.create"}
        if isinstance(wish, _Sentence):
            frame["event_id"] = self._next("say")
            frame["response"] = {
                "output_modalities": ["audio"],
                "instructions": _instruction(wish.text, self._spec.language),
                "tool_choice": "none",
            }
        else:
            frame["event_id"] = self._next("respond")
        self._create = _Create(str(frame["event_id"]), wish)
        return _encode(frame)

    # --------------------------------------------------------------------------- cutting

    def _cut_item(self, item_id: str, heard_ms: float, sent_ms: float) -> list[bytes]:
        if heard_ms >= sent_ms > 0 and item_id in self._finished:
            return []  # heard to its end
        self._cut.add(item_id)
        # Beyond what the item has, the vendor refuses to cut and the model believes that it was
        # heard; at 0 it refuses as well (§2.4).
        heard = int(max(min(heard_ms, sent_ms), 0))
        if heard == 0:
            frame: dict[str, object] = {
                "type": "conversation.item.delete",
                "event_id": self._next("delete"),
                "item_id": item_id,
            }
        else:
            frame = {
                "type": "conversation.item.truncate",
                "event_id": self._next("truncate"),
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": heard,
            }
        return [_encode(frame)]

    def _cancel(self, response_id: str) -> bytes:
        self._cancelled.add(response_id)
        frame = {"type": "response.cancel", "event_id": self._next("cancel")}
        if response_id:
            frame["response_id"] = response_id
        return _encode(frame)

    # ----------------------------------------------------------------------------- frames

    def _message(self, text: str, role: str) -> bytes:
        kind = "output_text" if role == "assistant" else "input_text"
        item_id = self._next("item")
        item = {
            "id": item_id,
            "type": "message",
            "role": role,
            "content": [{"type": kind, "text": _clean(text)}],
        }
        return self._item("tell", item, item_id)

    def _item(self, kind: str, item: Mapping[str, object], key: str) -> bytes:
        event_id = self._next(kind)
        if len(self._unseen) >= MAX_REMEMBERED:
            del self._unseen[next(iter(self._unseen))]
        self._unseen[event_id] = key
        if self._create is not None:
            self._create.outdated = True
        return _encode({"type": "conversation.item.create", "event_id": event_id, "item": item})

    def _next(self, kind: str) -> str:
        """An id for a frame of ours: errors name it."""
        self._serial += 1
        return f"{kind}_{self._serial}"


_HANDLERS: Final[
    Mapping[type[msgspec.Struct], Callable[[RealtimeProtocol, Any], Sequence[Output]]]
] = {
    Audio: RealtimeProtocol._on_audio,
    wire.AudioBeta: RealtimeProtocol._on_audio,
    wire.SessionUpdated: RealtimeProtocol._on_session_updated,
    wire.SpeechStarted: RealtimeProtocol._on_speech_started,
    wire.SpeechStopped: RealtimeProtocol._on_speech_stopped,
    wire.Transcribed: RealtimeProtocol._on_transcribed,
    wire.NotTranscribed: RealtimeProtocol._on_not_transcribed,
    wire.ItemAdded: RealtimeProtocol._on_item_added,
    wire.ItemCreated: RealtimeProtocol._on_item_added,
    wire.ResponseCreated: RealtimeProtocol._on_response_created,
    wire.Text: RealtimeProtocol._on_text,
    wire.TextBeta: RealtimeProtocol._on_text,
    wire.TextDone: RealtimeProtocol._on_text_done,
    wire.TextDoneBeta: RealtimeProtocol._on_text_done,
    wire.AudioDone: RealtimeProtocol._on_audio_done,
    wire.AudioDoneBeta: RealtimeProtocol._on_audio_done,
    wire.OutputAdded: RealtimeProtocol._on_output_added,
    wire.OutputDone: RealtimeProtocol._on_output_done,
    wire.ArgumentsDone: RealtimeProtocol._on_arguments_done,
    wire.ResponseDone: RealtimeProtocol._on_response_done,
    wire.Error: RealtimeProtocol._on_error,
}

# -------------------------------------------------------------------- shapes, both ways


def _session(spec: AgentSpec) -> dict[str, object]:
    """The GA session for G.711 telephony (§2.2): every field is one that the vendor documents."""
    detection = spec.turn_detection
    hearing: dict[str, object] = {
        "format": {"type": "audio/pcmu"},
        "noise_reduction": {"type": "far_field"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": detection.threshold,
            "prefix_padding_ms": detection.prefix_padding_ms,
            "silence_duration_ms": detection.silence_duration_ms,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    if spec.transcription_model:
        hearing["transcription"] = {"model": spec.transcription_model, "language": spec.language}
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": _clean(spec.instructions),
        "audio": {
            "input": hearing,
            "output": {"format": {"type": "audio/pcmu"}, "voice": spec.voice},
        },
        "tools": [_tool(function) for function in spec.functions],
        "tool_choice": "auto",
    }


def _tool(function: FunctionSpec) -> dict[str, object]:
    return {
        "type": "function",
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters,
    }


def _instruction(text: str, language: str) -> str:
    """The order to say `text`, which is data: it can't end its own quotation."""
    order = _SAY["fr" if language.lower().startswith("fr") else "en"]
    return order % " ".join(_clean(text).translate(_QUOTES).split())


def _clean(text: str) -> str:
    """Without half surrogate pairs, which JSON may carry but UTF-8 can't."""
    return text.encode("utf-8", "replace").decode()


def _heard(position_ms: float, padding_ms: float = 0) -> tuple[HeardUntil, ...]:
    """Compatible servers leave the position out, or send 0."""
    return (HeardUntil(position_ms + padding_ms),) if position_ms > 0 else ()


def _string(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _status(response: Mapping[str, Any]) -> str:
    status = _string(response, "status") or "completed"
    return status if status in ("completed", "cancelled", "failed") else "incomplete"


def _failure(response: Mapping[str, Any]) -> str:
    """Why a response failed or stayed incomplete: the vendor's code; "" otherwise."""
    status = _status(response)
    if status not in ("failed", "incomplete"):
        return ""
    details = _mapping(response, "status_details")
    error = _mapping(details, "error")
    return _string(error, "code") or _string(error, "type") or _string(details, "reason") or status


def _fault(error: Mapping[str, Any], default: str) -> AgentFault:
    code = _string(error, "code") or _string(error, "type") or default
    return AgentFault(code, _string(error, "message")[:MAX_MESSAGE], code in FATAL_CODES)


def usage(raw: object) -> Mapping[str, int]:
    """Token counts, flat (§2.7): `input_token_details.cached_tokens_details.audio_tokens` becomes
    `input_cached_audio_tokens`, and so on. Cached is a part of input."""
    counts: dict[str, int] = {}

    def visit(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict) and key in _DETAILS and len(prefix) < MAX_REMEMBERED:
                visit(value, prefix + _DETAILS[key])
            elif _is_count(key, value) and len(counts) < MAX_REMEMBERED:
                counts[prefix + key] = value

    if isinstance(raw, dict):
        visit(raw, "")
    return counts


def _is_count(key: str, value: object) -> bool:
    return (
        key.endswith("_tokens")
        and isinstance(value, int)
        and not isinstance(value, bool)
        and value >= 0
    )


_DETAILS: Final = {
    "input_token_details": "input_",
    "output_token_details": "output_",
    "cached_tokens_details": "cached_",
}

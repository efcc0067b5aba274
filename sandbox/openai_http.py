"""An emulator of OpenAI's HTTP API on 127.0.0.1: chat completions, transcriptions, speech, models.

Strict where the vendor is (shared/reference/vapi-openai-pinecone.md §3). The chat model's mind is a
scenario's rules; the transcriber knows the callers' clips by heart, and the voice is the agent's.
"""

import asyncio
import contextlib
import io
import json
import re
import warnings
import wave
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Any, Self

from sandbox.brain import Brain, Call, Speak
from sandbox.chat_mind import Conversation, answer, arguments_text
from sandbox.chat_schema import Refused, check
from sandbox.http_faults import HttpFault, before, json_reply, refusal, spoiled
from sandbox.http_wire import HttpRequest, HttpServer, Reply
from sandbox.recogniser import callers, recognise, words
from sandbox.render import render

with warnings.catch_warnings():
    # Gone from Python 3.13 on, where audioop-lts takes its place under the same name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CHAT_MODEL = "sandbox-chat"
TRANSCRIPTION_MODEL = "sandbox-transcribe"
SPEECH_MODEL = "sandbox-speech"
VOICES = ("marin", "cedar")
SPEECH_RATE = 24_000

#: https://platform.openai.com/docs/guides/speech-to-text
MAX_FILE_BYTES = 25 * 1024 * 1024
MIN_AUDIO_SECONDS = 0.1
MAX_INPUT = 4_096
_EXTENSIONS = frozenset("flac mp3 mp4 mpeg mpga m4a ogg wav webm".split())
_LANGUAGE = re.compile(r"[a-z]{2}")
_EPOCH = 1_700_000_000

Published = Callable[[str, bytes], None]
OnEvent = Callable[[str, dict[str, Any], Conversation | None], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `first`: until a chat's first token, and a speech's first sound; `token` between
    tokens; `transcribing` a turn; speech is made `speed` times as fast as it is spoken."""

    first: float = 0.12
    token: float = 0.004
    transcribing: float = 0.12
    speed: float = 8.0


@dataclass(slots=True)
class Asked:
    """What was asked, in order: chats as (body, said, calls), transcriptions as texts, speeches as
    (text, voice); requests that were refused as (status, message)."""

    chats: list[dict[str, Any]] = field(default_factory=list)
    transcriptions: list[str] = field(default_factory=list)
    speeches: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)


class OpenAIHttpEmulator:
    """`brains` makes the mind for a conversation. `faults` may be changed at any time, `counts`
    says how many requests each endpoint has had. `unknown_fields`: of chat requests, that this
    server refuses as some compatible ones do. `published(text, µ-law)` is told of speech before it
    is sent, `on_event(name, fields, conversation)` of what is heard, said and called; whose speech
    it is, only a chat knows."""

    def __init__(
        self,
        api_key: str,
        brains: Callable[[Conversation], Brain],
        *,
        pace: Pace | None = None,
        unknown_fields: frozenset[str] = frozenset(),
    ) -> None:
        self.asked = Asked()
        self.faults: list[HttpFault] = []
        self.counts: dict[str, int] = {}
        self.published: Published | None = None
        self.on_event: OnEvent | None = None
        self._api_key = api_key
        self._brains = brains
        self._pace = pace or Pace()
        self._unknown_fields = unknown_fields
        self._server = HttpServer(self._answer, largest=MAX_FILE_BYTES + 1024 * 1024)
        self._routes = {
            ("POST", "/v1/chat/completions"): ("chat", self._chat),
            ("POST", "/v1/audio/transcriptions"): ("transcriptions", self._transcribe),
            ("POST", "/v1/audio/speech"): ("speech", self._speak),
            ("GET", "/v1/models"): ("models", self._models),
        }

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(callers)  # learnt once, not during the first call
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """What STT_BASE_URL, LLM_BASE_URL and TTS_BASE_URL are to be."""
        return f"http://127.0.0.1:{self._server.port}/v1"

    async def _answer(self, request: HttpRequest) -> Reply:
        known = self._routes.get((request.method, request.path))
        if known is None:
            return self._refuse(404, "", f"Invalid URL ({request.method} {request.path})")
        endpoint, handle = known
        self.counts[endpoint] = number = self.counts.get(endpoint, 0) + 1
        fault = self._fault(endpoint, number)
        instead = await before(fault)
        if instead is not None:
            return instead
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            return self._refuse(401, "invalid_api_key", "Incorrect API key provided.")
        try:
            reply = await handle(request)
        except Refused as no:
            return self._refuse(no.status, no.code, no.message, no.param)
        if fault is None:  # what was asked for may have been what broke it
            fault = self._fault(endpoint, number)
            instead = await before(fault)
        return instead if instead is not None else spoiled(reply, fault)

    def _fault(self, endpoint: str, number: int) -> HttpFault | None:
        return next((each for each in self.faults if each.concerns(endpoint, number)), None)

    def _refuse(self, status: int, code: str, message: str, param: str | None = None) -> Reply:
        self.asked.refusals.append((status, message))
        return refusal(status, code, message, param)

    def _tell(self, event: str, conversation: Conversation | None = None, /, **fields: Any) -> None:
        if self.on_event is not None:
            self.on_event(event, fields, conversation)

    async def _models(self, _request: HttpRequest) -> Reply:
        ids = (CHAT_MODEL, TRANSCRIPTION_MODEL, SPEECH_MODEL)
        data = [
            {"id": each, "object": "model", "created": _EPOCH, "owned_by": "sandbox"}
            for each in ids
        ]
        return json_reply({"object": "list", "data": data})

    # ------------------------------------------------------------------------------- chat

    async def _chat(self, request: HttpRequest) -> Reply:
        body = _json(request)
        check(body, (CHAT_MODEL,), strict=self._unknown_fields)
        await asyncio.sleep(self._pace.first)
        thought = answer(body["messages"], body.get("tools") or (), self._brains)
        self._tell("chat_reads", thought.conversation, texts=_texts(body["messages"]))
        if body["messages"][-1]["role"] == "tool":
            self._tell("model_reads_result", thought.conversation)
        text = " ".join(each.text for each in thought.actions if isinstance(each, Speak))
        calls = [each for each in thought.actions if isinstance(each, Call)]
        number = self.counts["chat"]
        self.asked.chats.append({"body": body, "said": text, "calls": calls})
        self.asked.defects = [*self.asked.defects, *thought.brain.defects]
        for call in calls:
            written = arguments_text(call.arguments)
            self._tell("model_calls", thought.conversation, name=call.name, arguments=written)
        if text:
            self._tell("model_says", thought.conversation, text=text)
        wire = [
            {
                "id": f"call_{number:06d}{at:02d}",
                "type": "function",
                "function": {"name": each.name, "arguments": arguments_text(each.arguments)},
            }
            for at, each in enumerate(calls)
        ]
        usage = _usage(body, text)
        head = {"id": f"chatcmpl-{number:06d}", "created": _EPOCH, "model": body["model"]}
        if body.get("stream"):
            counted = (body.get("stream_options") or {}).get("include_usage")
            chunks = self._chunks(head, text, wire, usage if counted else None)
            return Reply(200, "text/event-stream; charset=utf-8", chunks)
        message = {"role": "assistant", "content": text or None, "refusal": None}
        if wire:
            message["tool_calls"] = wire  # type: ignore[assignment]
        choice = {"index": 0, "message": message, "finish_reason": _reason(wire)}
        return json_reply(
            {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        )

    async def _chunks(
        self,
        head: dict[str, Any],
        text: str,
        calls: list[dict[str, Any]],
        usage: dict[str, Any] | None,
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events, a token or a fragment each."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if text else None}]
        deltas += [{"content": token} for token in re.findall(r"\s*\S+|\s+$", text)]
        for at, call in enumerate(calls):
            deltas += _fragments(at, call)
        for delta in deltas:
            yield _event(head, [{"index": 0, "delta": delta, "finish_reason": None}])
            await asyncio.sleep(self._pace.token)
        yield _event(head, [{"index": 0, "delta": {}, "finish_reason": _reason(calls)}])
        if usage is not None:
            yield _event(head, [], usage)
        yield b"data: [DONE]\n\n"

    # --------------------------------------------------------------------- transcriptions

    async def _transcribe(self, request: HttpRequest) -> Reply:
        form = _form(request)
        file = form.get("file")
        if file is None:
            raise Refused("'file' is a required property", "file")
        pcm, rate = _audio(file)
        fields = {name: _content(part).decode() for name, part in form.items() if name != "file"}
        _check_transcription(fields)
        await asyncio.sleep(self._pace.transcribing)
        text = words(await asyncio.to_thread(recognise, pcm, rate))
        self.asked.transcriptions.append(text)
        self._tell("transcriber_hears", text=text)
        seconds = len(pcm) / 2 / rate
        if fields.get("response_format") == "text":
            return Reply(200, "text/plain; charset=utf-8", _once(f"{text}\n".encode()))
        usage = {"type": "duration", "seconds": max(round(seconds), 1)}
        return json_reply({"text": text, "usage": usage})

    # ----------------------------------------------------------------------------- speech

    async def _speak(self, request: HttpRequest) -> Reply:
        body = _json(request)
        _check_speech(body)
        text = body["input"]
        audio = render(text)
        self.asked.speeches.append((text, body["voice"]))
        if self.published is not None:
            self.published(text, audio)
        self._tell("voice_says", text=text)
        await asyncio.sleep(self._pace.first)
        kind = body.get("response_format", "mp3")
        return Reply(200, f"audio/{kind}", self._sound(audio, wav=kind == "wav"))

    async def _sound(self, ulaw: bytes, *, wav: bool) -> AsyncGenerator[bytes, None]:
        pcm, _ = audioop.ratecv(audioop.ulaw2lin(ulaw, 2), 2, 1, 8_000, SPEECH_RATE, None)
        if wav:
            yield _wav(pcm)[:44]
        # Odd on purpose: the vendor's pieces don't respect samples either.
        size = SPEECH_RATE // 5 * 2 + 1
        for at in range(0, len(pcm), size):
            yield pcm[at : at + size]
            await asyncio.sleep(0.2 / self._pace.speed)


# ----------------------------------------------------------------------------------- the wire


def _texts(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a conversation holds in words, whoever said it."""
    contents = [each.get("content") for each in messages]
    return [each if isinstance(each, str) else json.dumps(each) for each in contents if each]


def _json(request: HttpRequest) -> Any:
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise Refused("you must provide a JSON body with Content-Type application/json")
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused("We could not parse the JSON body of your request.") from None


def _form(request: HttpRequest) -> dict[str, Message]:
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused("Content-Type must be multipart/form-data")
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
    parts = message.get_payload()
    if not isinstance(parts, list):
        raise Refused("Could not parse multipart form")
    return {
        str(part.get_param("name", header="content-disposition")): part
        for part in parts
        if isinstance(part, Message)
    }


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _audio(file: Message) -> tuple[bytes, int]:
    """16-bit mono samples and their rate."""
    name = file.get_filename() or ""
    if name.rpartition(".")[2].lower() not in _EXTENSIONS:
        known = sorted(_EXTENSIONS)
        raise Refused(f"Invalid file format. Supported formats: {known}", "file")
    content = _content(file)
    if len(content) > MAX_FILE_BYTES:
        raise Refused("Maximum content size limit (26214400) exceeded", "file", status=413)
    try:
        with wave.open(io.BytesIO(content)) as reader:
            shape = reader.getnchannels(), reader.getsampwidth()
            rate = reader.getframerate()
            pcm = reader.readframes(reader.getnframes())
    except (wave.Error, EOFError):
        # Raw µ-law, and WAV in another coding than PCM, too.
        message = "The audio file could not be decoded or its format is not supported."
        raise Refused(message, "file", "invalid_value") from None
    if shape != (1, 2):
        raise Refused("The sandbox hears 16-bit mono only.", "file", "sandbox_unsupported")
    if len(pcm) < MIN_AUDIO_SECONDS * rate * 2:
        message = "Audio file is too short. Minimum audio length is 0.1 seconds."
        raise Refused(message, "file", "audio_too_short")
    return pcm, rate


def _check_transcription(fields: dict[str, str]) -> None:
    if "model" not in fields:
        raise Refused("you must provide a model parameter", "model")
    if fields["model"] != TRANSCRIPTION_MODEL:
        message = f"The model `{fields['model']}` does not exist."
        raise Refused(message, "model", "model_not_found", 404)
    if "language" in fields and not _LANGUAGE.fullmatch(fields["language"]):
        raise Refused(
            f"Invalid language '{fields['language']}'. Language parameter must be specified in "
            "ISO-639-1 format.",
            "language",
            "invalid_language_format",
        )
    if fields.get("response_format", "json") not in ("json", "text"):
        raise Refused("response_format is not compatible with this model.", "response_format")


def _check_speech(body: Any) -> None:
    if not isinstance(body, dict):
        raise Refused("We could not parse the JSON body of your request.")
    known = {"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"}
    for name in body.keys() - known:
        raise Refused(f"Unrecognized request argument supplied: {name}", name)
    if body.get("model") != SPEECH_MODEL:
        message = f"The model `{body.get('model')}` does not exist."
        raise Refused(message, "model", "model_not_found", 404)
    text = body.get("input")
    if not isinstance(text, str) or not text:
        raise Refused("Invalid 'input': string too short.", "input", "string_below_min_length")
    if len(text) > MAX_INPUT:
        message = f"Invalid 'input': string too long. Expected at most {MAX_INPUT} characters."
        raise Refused(message, "input", "string_above_max_length")
    if body.get("voice") not in VOICES:
        message = f"Invalid value: {body.get('voice')!r}. Supported values are: {VOICES}"
        raise Refused(message, "voice", "invalid_value")
    if body.get("response_format", "mp3") not in ("pcm", "wav"):
        raise Refused("The sandbox speaks pcm and wav only.", "response_format")


def _event(
    head: dict[str, Any], choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
) -> bytes:
    chunk = {**head, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


def _fragments(at: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    """Id and name come once, arguments in pieces."""
    function = call["function"]
    first = {**call, "index": at, "function": {"name": function["name"], "arguments": ""}}
    pieces = re.findall(r"(?s).{1,16}", function["arguments"])
    rest = [{"index": at, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [each]} for each in (first, *rest)]


def _reason(calls: list[dict[str, Any]]) -> str:
    return "tool_calls" if calls else "stop"


def _usage(body: dict[str, Any], text: str) -> dict[str, Any]:
    """Four characters make a token."""
    prompt, completion = len(json.dumps(body["messages"])) // 4, len(text) // 4 + 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with contextlib.closing(wave.open(file, "wb")) as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SPEECH_RATE)
        writer.writeframes(pcm)
    return file.getvalue()


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content

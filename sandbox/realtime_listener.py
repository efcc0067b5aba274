"""The input audio buffer of one emulated Realtime session: voice detection, turns, idle timeout."""

from base64 import b64decode

from sandbox.audio import FRAME_BYTES, FRAME_MS
from sandbox.brain import Heard, Note
from sandbox.hearing import Hearing, Voice, VoiceDetector
from sandbox.realtime_config import Config, silence_ms
from sandbox.realtime_items import Conversation
from sandbox.realtime_outbox import Outbox
from sandbox.realtime_record import HeardTurn
from sandbox.realtime_replies import Mind, Replies
from sandbox.realtime_schema import MAX_AUDIO_BASE64
from sandbox.realtime_shapes import Refused

_TRANSCRIPTION_S = 0.06  # a transcript follows its turn on its own time
_MIN_COMMIT_MS = 100
_SILENCE = "silence"  # what a rule's `note` says for the idle timeout


class Listener:
    """Fed with `input_audio_buffer.append`; begins responses when the session says so."""

    def __init__(
        self,
        outbox: Outbox,
        conversation: Conversation,
        replies: Replies,
        hearing: Hearing,
        mind: Mind,
    ) -> None:
        self._outbox = outbox
        self._record = outbox.record
        self._conversation = conversation
        self._replies = replies
        self._hearing = hearing
        self._mind = mind
        self._rest = b""
        self._committed_ms = 0
        self._turn_item: str | None = None
        self._detector: VoiceDetector | None = None
        self._detection: Config | None = None
        self.configure()

    def configure(self) -> None:
        """The session's configuration has changed."""
        detection = self._record.config["audio"]["input"]["turn_detection"]
        if detection == self._detection:
            return
        self._detection = dict(detection) if detection else None
        if not detection:
            self._detector = None
            return
        speaking = self._detector.speaking if self._detector else False
        threshold = detection.get("threshold", 0.5)
        self._detector = VoiceDetector(threshold, silence_ms(detection), speaking)

    def append(self, encoded: str) -> None:
        """Audio in base64. Raises Refused for what isn't."""
        if len(encoded) > MAX_AUDIO_BASE64:
            message = "Invalid 'audio': the audio of one event must not exceed 15 MiB."
            raise Refused("string_above_max_length", message, "audio")
        if self._record.config["audio"]["input"]["format"]["type"] != "audio/pcmu":
            message = "This emulator hears audio/pcmu only: set session.audio.input.format."
            raise Refused("sandbox_unsupported", message, "session.audio.input.format")
        try:
            audio = b64decode(encoded, validate=True)
        except ValueError:
            message = (
                "Invalid 'audio'. Expected base64-encoded audio bytes (audio/pcmu) but got an "
                "invalid value."
            )
            raise Refused("invalid_value", message, "audio") from None
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for at in range(0, whole, FRAME_BYTES):
            self._frame(audio[at : at + FRAME_BYTES])

    def commit(self) -> None:
        """The client ends the turn."""
        buffered = self._record.appended_ms - self._committed_ms
        if buffered < _MIN_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_MIN_COMMIT_MS}ms of audio, but buffer only has {buffered:.2f}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        self._commit(self._turn_item or self._outbox.new_id("item"))

    def clear(self) -> None:
        """Throw away what wasn't committed."""
        self._rest = b""
        self._hearing.take()
        self._committed_ms = self._record.appended_ms
        self._outbox.emit("input_audio_buffer.cleared")

    def due(self) -> float:
        """When the caller has been silent for too long."""
        detection = self._detection
        since = self._replies.idle_since
        speaking = self._detector is not None and self._detector.speaking
        if not detection or since is None or speaking:
            return float("inf")
        timeout = detection.get("idle_timeout_ms")
        return float("inf") if timeout is None else since + timeout / 1000

    def advance(self, now: float) -> None:
        """Let time pass."""
        if now < self.due():
            return
        self._record.timeouts.append(now)
        end = self._record.appended_ms
        silent_ms = round((now - (self._replies.idle_since or now)) * 1000)
        item_id = self._outbox.new_id("item")
        self._outbox.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(0, end - silent_ms),
            audio_end_ms=end,
            item_id=item_id,
        )
        self._commit_item(item_id)
        self._mind.notice(Note(_SILENCE))
        self._replies.begin(self._record.config, {})

    def _frame(self, frame: bytes) -> None:
        self._record.appended_ms += FRAME_MS
        self._hearing.feed(frame)
        if self._record.call_tag is None:
            self._record.call_tag = self._hearing.tag
        if self._detector is None:
            return
        voice = self._detector.feed(frame, self._record.appended_ms)
        if voice is None:
            return
        if voice.kind == "started":
            self._started(voice)
        else:
            self._stopped(voice)

    def _started(self, voice: Voice) -> None:
        assert self._detection is not None
        self._turn_item = self._outbox.new_id("item")
        self._record.speech_started.append(self._outbox.now)
        self._replies.idle_since = None
        padding = self._detection.get("prefix_padding_ms", 300)
        start_ms = max(0, voice.ms - padding)
        self._outbox.emit(
            "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._turn_item
        )
        if self._detection["interrupt_response"]:
            self._replies.cancel("turn_detected")

    def _stopped(self, voice: Voice) -> None:
        assert self._detection is not None
        item_id = self._turn_item or self._outbox.new_id("item")
        self._outbox.emit(
            "input_audio_buffer.speech_stopped", audio_end_ms=voice.ms, item_id=item_id
        )
        self._commit(item_id)
        if not self._detection["create_response"]:
            return
        try:
            self._replies.begin(self._record.config, {})
        except Refused as refusal:  # interrupt_response is off and a response goes on
            self._outbox.refuse(refusal)

    def _commit(self, item_id: str) -> None:
        turn = self._hearing.take()
        heard = HeardTurn(self._outbox.now, item_id, turn.clips, turn.text, turn.frames, turn.whole)
        self._record.heard.append(heard)
        self._mind.notice(Heard(turn.clips, turn.text))
        seconds = (self._record.appended_ms - self._committed_ms) / 1000
        self._commit_item(item_id)
        if self._record.config["audio"]["input"]["transcription"] is not None:
            self._transcribe(item_id, turn.text, seconds)

    def _commit_item(self, item_id: str) -> None:
        self._turn_item = None
        self._committed_ms = self._record.appended_ms
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        previous = self._conversation.add(item)
        self._outbox.emit(
            "input_audio_buffer.committed", previous_item_id=previous, item_id=item_id
        )
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.emit(kind, previous_item_id=previous, item=dict(item))

    def _transcribe(self, item_id: str, text: str, seconds: float) -> None:
        place = {"item_id": item_id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        events = [{"type": f"{kind}.delta", **place, "delta": text}] if text else []
        usage = {"type": "duration", "seconds": seconds}
        completed = {"type": f"{kind}.completed", **place, "transcript": text, "usage": usage}
        self._outbox.later(_TRANSCRIPTION_S, [*events, completed])

"""The rules of an emulated Realtime session on a clock of the test's own."""

import json
import time
from base64 import b64decode, b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.audio import MAX_TAG, masked
from sandbox.brain import Brain
from sandbox.realtime_config import default_config
from sandbox.realtime_record import SessionRecord
from sandbox.realtime_replies import Habits
from sandbox.realtime_response import Pace
from sandbox.realtime_session import Session
from sandbox.speech import FRAME_BYTES, clip, quiet, render, stamp

PCMU = {"type": "audio/pcmu"}
SENTENCE = "Bonjour, vous êtes en ligne avec le garage du Port. Comment puis-je vous aider ?"
RULES = [{"heard": "oui_marc", "say": "Très bien."}, {"note": "silence", "say": "Vous êtes là ?"}]


class Driver:
    """A session, and the events that it has sent, with their times."""

    def __init__(self, *, pace: Pace | None = None, detection: Any = "default") -> None:
        record = SessionRecord(1, MAX_TAG, "m", 0.0, default_config("sess_1", "m", 0))
        habits = Habits(pace or Pace())
        self.session = Session(record, lambda _: Brain(RULES), habits, lambda *_: None, 3_600.0)
        self.record = record
        self.now = 0.0
        self.sent: list[tuple[float, dict[str, Any]]] = []
        sound = {"input": {"format": PCMU}, "output": {"format": PCMU}}
        if detection != "default":
            sound["input"]["turn_detection"] = detection
        self.do("session.update", session={"type": "realtime", "audio": sound})

    def do(self, kind: str, **fields: Any) -> None:
        self.session.receive({"type": kind, **fields}, self.now)
        self._collect()

    def say(self, text: str) -> None:
        self.do("response.create", response={"instructions": f"«{text}»"})

    def hear(self, audio: bytes) -> None:
        self.do("input_audio_buffer.append", audio=b64encode(audio).decode("ascii"))

    def until(self, end: float) -> None:
        """Let time pass as the shell does: from one due time to the next."""
        while self.session.due() <= end:
            self.now = max(self.now, self.session.due())
            self.session.advance(self.now)
            self._collect()
        self.now = end

    def times(self, kind: str) -> list[float]:
        return [at for at, event in self.sent if event["type"] == kind]

    def _collect(self) -> None:
        self.sent.extend((self.now, event) for event in self.session.drain())


def test_speech_is_delivered_at_its_pace() -> None:
    driver = Driver(pace=Pace(thinking_s=0.3, chunk_ms=100, speed=4.0))
    driver.say(SENTENCE)
    driver.until(30.0)
    times = driver.times("response.output_audio.delta")
    whole_ms = len(render(SENTENCE)) // 8
    assert times[0] == 0.3
    assert len(times) == -(-whole_ms // 100)
    assert abs(times[-1] - times[0] - (len(times) - 1) * 0.025) < 1e-9
    assert abs(driver.times("response.done")[0] - 0.3 - whole_ms / 4_000) < 1e-9


def test_a_late_tick_is_made_up_for() -> None:
    driver = Driver(pace=Pace(thinking_s=0.0, chunk_ms=100, speed=1.0))
    driver.say(SENTENCE)
    driver.now = 1.05
    driver.session.advance(driver.now)
    driver._collect()
    assert len(driver.times("response.output_audio.delta")) == 11
    assert abs(driver.session.due() - 1.1) < 1e-9


@given(st.floats(0.0, 1.9))
def test_a_cancelled_response_has_sent_what_it_has_counted(at: float) -> None:
    driver = Driver(pace=Pace(thinking_s=0.1, chunk_ms=200, speed=2.0))
    driver.say(SENTENCE)
    driver.until(at)
    driver.do("response.cancel")
    deltas = [e["delta"] for _, e in driver.sent if e["type"] == "response.output_audio.delta"]
    audio = b"".join(map(b64decode, deltas))
    assert masked(render(SENTENCE)).startswith(masked(audio))
    said = driver.record.said
    assert sum(each.sent_ms for each in said) == len(audio) // 8
    if audio:
        item_id = said[0].item_id
        cut: dict[str, Any] = {"item_id": item_id, "content_index": 0}
        driver.do("conversation.item.truncate", **cut, audio_end_ms=len(audio) // 8)
        assert not driver.record.errors
        driver.do("conversation.item.truncate", **cut, audio_end_ms=len(audio) // 8 + 1)
        assert len(driver.record.errors) == 1
    # Every item that was opened is closed, and the next response may begin.
    kinds = [event["type"] for _, event in driver.sent]
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done")
    assert driver.session.due() == 3_600.0
    driver.say("Oui.")
    assert driver.times("response.created")[-1] == driver.now


def test_silence_after_the_models_words_times_out_once_they_were_heard() -> None:
    driver = Driver(detection={"type": "server_vad", "idle_timeout_ms": 6_000})
    driver.until(20.0)
    assert not driver.times("input_audio_buffer.timeout_triggered")  # nothing was said yet
    driver.say("Oui.")
    first = driver.now + 0.12
    driver.until(40.0)
    spoken = len(render("Oui.")) / 8_000
    times = driver.times("input_audio_buffer.timeout_triggered")
    assert abs(times[0] - (first + spoken + 6.0)) < 1e-6
    assert len(times) >= 2  # the model asked, and again nobody answered
    assert driver.record.said[1].text == "Vous êtes là ?"
    assert driver.record.timeouts == times


def test_a_caller_who_speaks_is_not_timed_out() -> None:
    driver = Driver(detection={"type": "server_vad", "idle_timeout_ms": 6_000})
    driver.say("Oui.")
    driver.until(4.0)
    driver.hear(stamp(clip("rdv_freins_mardi")[: 50 * FRAME_BYTES], 7, 0))
    driver.until(30.0)
    assert driver.times("input_audio_buffer.speech_started") == [4.0]
    assert not driver.times("input_audio_buffer.timeout_triggered")


def test_audio_may_come_in_any_pieces() -> None:
    audio = stamp(clip("oui_marc"), 7, 0) + quiet(7, 200, 40)
    for size in (1, 100, 160, 777, len(audio)):
        driver = Driver()
        for at in range(0, len(audio), size):
            driver.hear(audio[at : at + size])
        assert driver.record.heard[0].clips == ("oui_marc",)
        assert driver.record.appended_ms == len(audio) // 8


def test_a_cleared_buffer_is_forgotten() -> None:
    driver = Driver(detection=None)
    driver.hear(clip("oui_marc"))
    driver.do("input_audio_buffer.clear")
    driver.hear(clip("non_marc"))
    driver.do("input_audio_buffer.commit")
    assert [turn.clips for turn in driver.record.heard] == [("non_marc",)]
    driver.do("input_audio_buffer.commit")
    assert driver.record.errors[0]["code"] == "input_audio_buffer_commit_empty"


def test_the_session_ends_at_its_age() -> None:
    driver = Driver()
    expired = []
    for end in (3_599.9, 3_601.0):
        driver.until(end)
        expired.append(driver.session.expired)
    assert expired == [False, True]
    assert "maximum duration of 60 minutes" in driver.record.errors[-1]["message"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "session", "item", "audio", "response", "event_id", "x"]),
                inner
                | st.sampled_from(["session.update", "response.create", "realtime", "message"]),
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_it_is_sent_it_answers(event: Any) -> None:
    driver = Driver()
    before = len(driver.sent)
    driver.session.receive(event, 1.0)
    driver._collect()
    assert len(driver.sent) > before
    json.dumps([event for _, event in driver.sent])


def test_forty_sessions_are_light() -> None:
    """40 callers in real time must stay well under half a core; the socket is not counted here."""
    audio = quiet(1, 0, 25) + stamp(clip("rdv_freins_mardi")[: 75 * FRAME_BYTES], 1, 25)
    appends = [
        json.dumps(
            {
                "type": "input_audio_buffer.append",
                "audio": b64encode(audio[at : at + FRAME_BYTES]).decode("ascii"),
            }
        )
        for at in range(0, len(audio), FRAME_BYTES)
    ]
    drivers = [Driver() for _ in range(40)]
    began = time.process_time()
    for number, append in enumerate(appends):
        for driver in drivers:
            driver.session.receive(json.loads(append), number * 0.02)
    share = (time.process_time() - began) / (len(appends) * 0.02)
    assert all(driver.record.call_tag == 1 for driver in drivers)
    assert share < 0.25  # of a core

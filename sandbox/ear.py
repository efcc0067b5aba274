"""An ear on one direction of one call: says what was heard, and notices every frame amiss.

It compares the audio that arrives with the bank of callers' clips and with the renderings it was
told to expect. A frame is the same sound when all but the lowest bits (the stamp) are equal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sandbox.audio import (
    FRAME_BYTES,
    FRAME_MS,
    SEQUENCE_MODULUS,
    Stamp,
    is_speech,
    masked,
    read_stamp,
)
from sandbox.bank import clips

Kind = Literal[
    "started", "finished", "cut", "lost", "late", "repeated", "reordered", "crossed", "unknown"
]
# Frames of silence after which an utterance that stopped in the middle counts as cut short.
_PATIENCE = 25
# A jump back further than this is another stream, not a frame that comes late.
_REORDER_WINDOW = 250


@dataclass(frozen=True, slots=True)
class EarEvent:
    """`label`: the clip or rendering. `frames_heard`: those of its frames that arrived.
    `position_ms`: how far into it the ear is. `count`: frames amiss, for a defect."""

    kind: Kind
    label: str = ""
    frames_heard: int = 0
    position_ms: int = 0
    count: int = 0


@dataclass(slots=True)
class Defects:
    """Frames amiss since the ear was made. `late`: silence inside an utterance that went on."""

    lost: int = 0
    late: int = 0
    repeated: int = 0
    reordered: int = 0
    crossed: int = 0
    unknown: int = 0

    def any(self) -> bool:
        """Whether anything at all was amiss."""
        return any((*self.broken(), self.unknown))

    def broken(self) -> tuple[int, ...]:
        """The counts that only a broken path explains."""
        return self.lost, self.late, self.repeated, self.reordered, self.crossed


@dataclass(frozen=True, slots=True)
class _Utterance:
    label: str
    frames: tuple[bytes, ...]


_Index = dict[bytes, list[tuple[_Utterance, int]]]


@dataclass(slots=True)
class _Track:
    """An utterance that what arrives may be, and the position of the last frame heard."""

    utterance: _Utterance
    position: int
    heard: int = 1

    @property
    def done(self) -> bool:
        return self.position + 1 == len(self.utterance.frames)


@lru_cache(maxsize=512)
def _frames(audio: bytes) -> tuple[bytes, ...]:
    clear = masked(audio)
    return tuple(clear[at : at + FRAME_BYTES] for at in range(0, len(clear), FRAME_BYTES))


def _file(index: _Index, utterance: _Utterance) -> None:
    for position, frame in enumerate(utterance.frames):
        if len(set(frame)) > 1:  # digital silence is a sign of nothing
            index.setdefault(frame, []).append((utterance, position))


@lru_cache(maxsize=1)
def _callers() -> _Index:
    index: _Index = {}
    for each in clips(role="caller"):
        _file(index, _Utterance(each.id, _frames(each.audio)))
    return index


class Ear:
    """Fed with each 20 ms frame of one direction, in the order of arrival.

    `expected_tag`: whose audio this should be; None takes the first stamp's word for it.
    """

    def __init__(self, expected_tag: int | None = None) -> None:
        self.tag = expected_tag
        self.defects = Defects()
        self._expected: _Index = {}
        self._labels: set[tuple[str, bytes]] = set()
        self._tracks: list[_Track] = []
        self._gap = 0
        self._next: int | None = None
        self._missing: set[int] = set()
        self._forgive = False
        self._puzzled = False

    def expect(self, label: str, audio: bytes) -> None:
        """Register a rendering that may be heard from now on."""
        if (label, audio) in self._labels:
            return
        self._labels.add((label, audio))
        _file(self._expected, _Utterance(label, _frames(audio)))

    def knows(self, frame: bytes) -> bool:
        """Whether this is a frame of something that may be heard."""
        return bool(self._found(masked(frame)))

    @property
    def hearing(self) -> tuple[str, int, int] | None:
        """What is being said just now: label, its frames heard, frames until here."""
        if not self._tracks:
            return None
        track = self._best()
        return track.utterance.label, track.heard, track.position + 1

    def cleared(self) -> list[EarEvent]:
        """What was queued has been thrown away on purpose: the gap that follows is no loss."""
        self._forgive = True
        return self.flush()

    def flush(self) -> list[EarEvent]:
        """The line is closed or cleared: an unfinished utterance is cut short."""
        events = [self._cut()] if self._tracks else []
        self._tracks, self._gap = [], 0
        return events

    def feed(self, frame: bytes) -> list[EarEvent]:
        """One frame of 160 bytes, as it arrived."""
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"a frame is {FRAME_BYTES} bytes, not {len(frame)}")
        events: list[EarEvent] = []
        mark = read_stamp(frame)
        if mark is not None:
            if not self._ours(mark):
                return [self._defect("crossed")]
            amiss = self._sequence(mark.sequence)
            events.extend(amiss)
            if amiss and amiss[0].kind in ("repeated", "reordered"):
                return events
        events.extend(self._hear(frame, mark))
        return events

    def _ours(self, mark: Stamp) -> bool:
        if self.tag is None:
            self.tag = mark.tag
        return mark.tag == self.tag

    def _sequence(self, number: int) -> list[EarEvent]:
        expected, forgive = self._next, self._forgive
        if expected is None or number == expected:
            self._next = (number + 1) % SEQUENCE_MODULUS
            return []
        ahead = (number - expected) % SEQUENCE_MODULUS
        if ahead >= SEQUENCE_MODULUS - _REORDER_WINDOW:
            if number not in self._missing:
                return [self._defect("repeated")]
            self._missing.discard(number)
            self.defects.lost -= 1
            return [self._defect("reordered")]
        self._next = (number + 1) % SEQUENCE_MODULUS
        self._forgive = False
        if forgive:
            return []
        self._missing.update((expected + at) % SEQUENCE_MODULUS for at in range(min(ahead, 250)))
        return [self._defect("lost", ahead)]

    def _hear(self, frame: bytes, mark: Stamp | None) -> Iterator[EarEvent]:
        key = masked(frame)
        going_on = [
            track
            for track in self._tracks
            if not track.done and track.utterance.frames[track.position + 1] == key
        ]
        if going_on:
            yield from self._continue(going_on)
            return
        found = list(self._found(key))
        if not found:
            yield from self._silence_or_noise(frame, mark)
            return
        self._puzzled = False
        yield from self._jump(found, mark)

    def _continue(self, tracks: list[_Track]) -> Iterator[EarEvent]:
        if self._gap:
            yield self._defect("late", self._gap)
            self._gap = 0
        for track in tracks:
            track.position += 1
            track.heard += 1
        self._tracks = tracks
        if all(track.done for track in tracks):
            yield self._event("finished", self._best())
            self._tracks = []

    def _jump(self, found: list[tuple[_Utterance, int]], mark: Stamp | None) -> Iterator[EarEvent]:
        """A frame that isn't the next one: of the same utterance further on, or of another."""
        onward = self._onward(found)
        if onward:
            if mark is None:  # with a stamp the sequence has told already
                yield self._defect("lost", onward[-1].position - self._best().position)
            yield from self._continue(onward)
            return
        if self._tracks:
            yield self._cut()
        # The earliest place wins: what is spoken begins at its beginning.
        first = min(position for _, position in found)
        self._tracks = [_Track(each, first) for each, position in found if position == first]
        self._gap = 0
        if first and mark is None:
            yield self._defect("lost", first)
        yield self._event("started", self._best())
        if all(track.done for track in self._tracks):
            yield self._event("finished", self._best())
            self._tracks = []

    def _onward(self, found: list[tuple[_Utterance, int]]) -> list[_Track]:
        """Where in what is being said this frame may be the next one; the least skipped last."""
        steps = [
            _Track(track.utterance, position - 1, track.heard)
            for track in self._tracks
            for each, position in found
            if each is track.utterance and position > track.position
        ]
        return sorted(steps, key=lambda step: -step.position)

    def _silence_or_noise(self, frame: bytes, mark: Stamp | None) -> Iterator[EarEvent]:
        if is_speech(frame) and (mark is None or mark.speech):
            event = self._defect("unknown")
            if not self._puzzled:
                yield event
            self._puzzled = True
        else:
            self._puzzled = False
        if not self._tracks:
            return
        self._gap += 1
        complete = [track for track in self._tracks if track.done]
        if complete:
            yield self._event("finished", complete[-1])
        elif self._gap >= _PATIENCE:
            yield self._cut()
        else:
            return
        self._tracks, self._gap = [], 0

    def _found(self, key: bytes) -> Iterable[tuple[_Utterance, int]]:
        return self._expected.get(key) or _callers().get(key) or ()

    def _best(self) -> _Track:
        """Of what it may be, what was announced last; the ear has no better guess."""
        return self._tracks[-1]

    def _cut(self) -> EarEvent:
        complete = [track for track in self._tracks if track.done]
        return (
            self._event("finished", complete[-1]) if complete else self._event("cut", self._best())
        )

    def _event(self, kind: Kind, track: _Track) -> EarEvent:
        position_ms = (track.position + 1) * FRAME_MS
        return EarEvent(kind, track.utterance.label, track.heard, position_ms)

    def _defect(self, kind: Kind, count: int = 1) -> EarEvent:
        setattr(self.defects, kind, getattr(self.defects, kind) + count)
        if not self._tracks:
            return EarEvent(kind, count=count)
        track = self._best()
        position_ms = (track.position + 1) * FRAME_MS
        return EarEvent(kind, track.utterance.label, track.heard, position_ms, count)

"""Recognises known recordings in audio that was filtered, resampled, shifted and changed in volume:
what a speech recogniser that knows a few hundred sentences by heart would do.

Coarse by loudness over time, then by the waveform itself. Deterministic, and good for nothing that
isn't one of the recordings.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from sandbox.bank import bank, clips

with warnings.catch_warnings():
    # Gone from Python 3.13 on, where audioop-lts takes its place under the same name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

RATE = 8_000
_MS = RATE // 1000
_HOP = 5 * _MS  # samples between two values of loudness
_WINDOW = 20 * _MS
_FRAME = 20 * _MS
_ANCHOR = 44  # values of loudness in an anchor: 220 ms, as long as the shortest clip
_AROUND = 20  # values on either side that make up a mean
_ANCHORS = 4  # for each recording, spread over it
_CANDIDATES = 40
_SLACK = 12 * _MS
#: Least likeness of the waveforms of an anchor; another voice's same word reaches 0.4.
_ALIKE = 0.75
_FRAME_ALIKE = 0.5
_QUIET = 150  # mean amplitude below which a frame is silence


@dataclass(frozen=True, slots=True)
class Found:
    """A recording, or a part of it, in the audio. In ms: `at` where the part begins in the audio;
    `first` to `last` of the recording's `whole`; `heard` of its sound was alike."""

    label: str
    at: int
    first: int
    last: int
    whole: int
    heard: int

    @property
    def complete(self) -> bool:
        """Whether it was heard to its end."""
        return self.last >= 0.9 * self.whole

    def words(self, text: str | None = None) -> str:
        """As many of the words as were heard; the label is the text unless one is given."""
        spoken = (self.label if text is None else text).split()
        last = self.whole if self.complete else self.last
        first, end = (round(len(spoken) * at / self.whole) for at in (self.first, last))
        return " ".join(spoken[first:end])


@dataclass(frozen=True, slots=True)
class Recording:
    """Something that may be heard; `pcm` 16-bit at RATE."""

    label: str
    pcm: bytes
    loudness: bytes
    anchors: tuple[int, ...]


def recording(label: str, ulaw: bytes) -> Recording:
    """From µ-law."""
    return _recording(label, audioop.ulaw2lin(ulaw, 2))


@lru_cache(maxsize=1)
def callers() -> tuple[Recording, ...]:
    """What callers can say."""
    return tuple(recording(each.id, each.audio) for each in clips(role="caller"))


def recognise(pcm: bytes, rate: int, known: Iterable[Recording] | None = None) -> list[Found]:
    """What is heard in 16-bit mono audio, in order. `known`: by default the callers' clips."""
    if rate != RATE:
        pcm, _ = audioop.ratecv(pcm, 2, 1, rate, RATE, None)
    recordings = tuple(callers() if known is None else known)
    return sorted(_search(pcm, recordings, 0), key=lambda found: found.at)


def recognise_ulaw(audio: bytes, known: Iterable[Recording]) -> list[Found]:
    """The same from telephone audio."""
    return recognise(audioop.ulaw2lin(audio, 2), RATE, known)


def words(found: Iterable[Found]) -> str:
    """The callers' words, as far as they were heard."""
    return " ".join(each.words(bank()[each.label].text) for each in found)


# ------------------------------------------------------------------------------------- search


def _search(pcm: bytes, known: tuple[Recording, ...], offset: int) -> Iterator[Found]:
    """The recording that is surest, then what is left before and behind it."""
    if len(pcm) < 2 * _WINDOW * 4 or audioop.max(pcm, 2) < _QUIET:
        return
    best = max(_found(pcm, known), key=_explains, default=None)
    if best is None:
        return
    found, start, end = best
    yield from _search(pcm[: 2 * start], known, offset)
    yield replace(found, at=offset + start // _MS)
    yield from _search(pcm[2 * end :], known, offset + end // _MS)


def _explains(candidate: tuple[Found, int, int]) -> tuple[int, int]:
    """The most sound; of two that explain the same, the one of which less is missing."""
    found = candidate[0]
    return found.heard, found.last - found.first - found.whole


def _found(pcm: bytes, known: tuple[Recording, ...]) -> Iterator[tuple[Found, int, int]]:
    """Recordings of which a part is surely there, from where to where (samples). Different ones may
    share a word, said by the same voice: whatever explains most is right."""
    heard = _loudness(pcm)
    coarse: list[tuple[float, Recording, int, int]] = []
    for each in known:
        for anchor in each.anchors:
            reference = each.loudness[2 * anchor : 2 * (anchor + _ANCHOR)]
            if reference and len(reference) < len(heard):
                place, _ = audioop.findfit(heard, reference)
                score = _likeness(heard[2 * place : 2 * place + len(reference)], reference)
                coarse.append((score, each, anchor, place))
    coarse.sort(key=lambda each: -each[0])
    places: set[tuple[str, int]] = set()
    for candidate in coarse[:_CANDIDATES]:
        score, each, start = _fit(pcm, *candidate[1:])
        if score >= _ALIKE and (each.label, start) not in places:
            places.add((each.label, start))
            found = _extent(pcm, each, start)
            if found is not None:
                yield found


def _fit(pcm: bytes, each: Recording, anchor: int, place: int) -> tuple[float, Recording, int]:
    """How alike the waveforms are, and where the recording would begin to the sample."""
    reference = each.pcm[2 * anchor * _HOP : 2 * (anchor + _ANCHOR) * _HOP]
    left = max(place * _HOP - _SLACK, 0)
    fragment = pcm[2 * left : 2 * (place * _HOP + _SLACK) + len(reference)]
    if len(fragment) < len(reference):
        return 0.0, each, 0
    shift, _ = audioop.findfit(fragment, reference)
    score = _likeness(fragment[2 * shift : 2 * shift + len(reference)], reference)
    return score, each, left + shift - anchor * _HOP


def _extent(pcm: bytes, each: Recording, start: int) -> tuple[Found, int, int] | None:
    """Which frames of the recording are there; and from where to where in the audio (samples)."""
    whole = len(each.pcm) // 2 // _FRAME
    alike = [
        at
        for at in range(whole)
        if _same(pcm, start + at * _FRAME, each.pcm[2 * at * _FRAME : 2 * (at + 1) * _FRAME])
    ]
    sure = [at for at in alike if _is_loud(each.pcm[2 * at * _FRAME : 2 * (at + 1) * _FRAME])]
    if not sure:
        return None
    # The silence that a recording begins or ends with belongs to it.
    first = 0 if set(range(sure[0])) <= set(alike) else sure[0]
    last = whole - 1 if set(range(sure[-1] + 1, whole)) <= set(alike) else sure[-1]
    found = Found(each.label, 0, first * 20, (last + 1) * 20, whole * 20, len(sure) * 20)
    begin, end = max(start + first * _FRAME, 0), start + (last + 1) * _FRAME
    return found, begin, end


def _same(pcm: bytes, at: int, frame: bytes) -> bool:
    there = pcm[2 * at : 2 * at + len(frame)] if at >= 0 else b""
    if len(there) < len(frame):
        return False
    if not _is_loud(frame):
        return not _is_loud(there) or _likeness(there, frame) > _FRAME_ALIKE
    return _likeness(there, frame) > _FRAME_ALIKE


def _is_loud(pcm: bytes) -> bool:
    return audioop.rms(pcm, 2) > _QUIET


def _likeness(heard: bytes, reference: bytes) -> float:
    """Correlation, 0 to 1, of two pieces of equal length."""
    power = audioop.rms(heard, 2)
    if not power:
        return 0.0
    factor = audioop.findfactor(heard, reference)
    if factor <= 0:
        return 0.0
    rest = audioop.rms(audioop.add(heard, audioop.mul(reference, 2, -factor), 2), 2)
    return float(max(1 - (rest / power) ** 2, 0.0) ** 0.5)


# --------------------------------------------------------------------------------- loudness


def _recording(label: str, pcm: bytes) -> Recording:
    loudness = _loudness(pcm)
    values = len(loudness) // 2
    step = max((values - _ANCHOR) // _ANCHORS, 1)
    anchors = {
        max(
            range(at, min(at + step, max(values - _ANCHOR, 0) + 1)),
            key=lambda here: audioop.rms(_cut(pcm, here * _HOP, _ANCHOR * _HOP), 2),
            default=0,
        )
        for at in range(0, max(values - _ANCHOR, 1), step)
    }
    return Recording(label, pcm, loudness, tuple(sorted(anchors)))


def _cut(pcm: bytes, at: int, samples: int) -> bytes:
    """So many samples from this one on, silence where there are none."""
    before = max(min(-at, samples), 0)
    piece = bytes(2 * before) + pcm[2 * max(at, 0) : 2 * max(at + samples, 0)]
    return piece + bytes(2 * samples - len(piece))


def _loudness(pcm: bytes) -> bytes:
    """How the loudness changes, every 5 ms, as if it were audio: against its mean of 200 ms."""
    values = [
        audioop.rms(_cut(pcm, at - _WINDOW // 2, _WINDOW), 2)
        for at in range(0, len(pcm) // 2, _HOP)
    ]
    sums = list(accumulate([0] * _AROUND + values + [0] * (_AROUND + 1), initial=0))
    width = 2 * _AROUND + 1
    return b"".join(
        max(-32768, min(value - (sums[at + width] - sums[at]) // width, 32767)).to_bytes(
            2, "little", signed=True
        )
        for at, value in enumerate(values)
    )

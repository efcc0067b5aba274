"""The bank of recorded speech in `sandbox/clips`: every clip by its id."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sandbox.audio import BYTES_PER_MS, FRAME_BYTES

_FOLDER = Path(__file__).parent / "clips"
Role = Literal["caller", "agent"]


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance, or one piece of the agent's speech. `audio`: µ-law 8 kHz, whole frames."""

    id: str
    text: str
    voice: str
    role: Role
    ms: int
    audio: bytes


def clip(clip_id: str) -> bytes:
    """The µ-law of a clip. Raises KeyError naming the clip when there is none."""
    try:
        return bank()[clip_id].audio
    except KeyError:
        raise KeyError(f"no clip {clip_id!r} in sandbox/clips/index.json") from None


def clips(role: Role | None = None, voice: str | None = None) -> list[Clip]:
    """All clips, or those of a role or a voice, in the order of the index."""
    return [
        each
        for each in bank().values()
        if role in (None, each.role) and voice in (None, each.voice)
    ]


@lru_cache(maxsize=1)
def bank() -> dict[str, Clip]:
    """Every clip by id, read once."""
    index = json.loads((_FOLDER / "index.json").read_text("utf-8"))
    pack = (_FOLDER / "agent.ulaw").read_bytes()
    found: dict[str, Clip] = {}
    for clip_id, entry in index.items():
        size = entry["ms"] * BYTES_PER_MS
        if entry["role"] == "agent":
            audio = pack[entry["at"] : entry["at"] + size]
        else:
            audio = (_FOLDER / "caller" / f"{clip_id}.ulaw").read_bytes()
        if len(audio) != size or size % FRAME_BYTES:
            raise ValueError(f"clip {clip_id!r} is {len(audio)} bytes, the index says {size}")
        found[clip_id] = Clip(
            clip_id, entry["text"], entry["voice"], entry["role"], entry["ms"], audio
        )
    return found

"""Everything about speech on an emulated line, in one place for the carrier and the model."""

from sandbox.audio import (
    BYTES_PER_MS,
    FRAME_BYTES,
    FRAME_MS,
    MAX_TAG,
    Stamp,
    hush,
    is_speech,
    quiet,
    read_stamp,
    stamp,
)
from sandbox.bank import Clip, clip, clips
from sandbox.ear import Defects, Ear, EarEvent
from sandbox.render import render

__all__ = [
    "BYTES_PER_MS",
    "FRAME_BYTES",
    "FRAME_MS",
    "MAX_TAG",
    "Clip",
    "Defects",
    "Ear",
    "EarEvent",
    "Stamp",
    "clip",
    "clips",
    "hush",
    "is_speech",
    "quiet",
    "read_stamp",
    "render",
    "stamp",
]

"""Speak turns.toml: `python -m sandbox.clips.hesitations.make`.

Needs `apt-get install espeak-ng sox`, and only when the turns change: the files are committed. One
headerless G.711 file per turn, from its first sound to its last; `index.json` says what was said
when, how loud and over which line noise. Pauses are of that noise. The same turns give the same
bytes.
"""

import json
import math
import random
import re
import sys
import tempfile
import tomllib
from array import array
from pathlib import Path
from typing import Any

from sandbox.clips.make import FRAME, mulaw
from sandbox.clips.make import _run as run

HERE = Path(__file__).parent
#: Peaks in dB, and amplitudes of the line's noise: good lines, far ones, noisy ones.
PEAKS = ("-5", "-5", "-12", "-18")
NOISES = (16, 24, 24, 90)
QUIET = 0.012  # of the loudest frame: below, the synthesiser pauses
SHORTEST, LONGEST = 150, 1100
BACK_CHANNEL_MS = 380


def spoken(text: str, voice: dict[str, Any], peak: str, folder: Path) -> list[int]:
    """8 kHz, 16-bit, in a telephone's band, without the silence around it."""
    wav, raw = folder / "a.wav", folder / "a.raw"
    manner = ("-v", voice["voice"], "-p", str(voice["pitch"]), "-s", str(voice["speed"]))
    run("espeak-ng", *manner, "-w", str(wav), text)
    shape = ("-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-t", "raw")
    effects = ("gain", "-6", "highpass", "250", "lowpass", "3400", "norm", peak)
    run("sox", "-R", "-D", str(wav), *shape, str(raw), *effects)
    samples = array("h")
    samples.frombytes(raw.read_bytes())
    sound = samples.tolist()
    sound.extend([0] * (-len(sound) % FRAME))
    frames = [sound[at : at + FRAME] for at in range(0, len(sound), FRAME)]
    levels = [sum(map(abs, frame)) for frame in frames]
    loud = [at for at, level in enumerate(levels) if level > QUIET * max(levels)]
    return [each for frame in frames[loud[0] : loud[-1] + 1] for each in frame]


def pause(kind: str, kinds: dict[str, list[float]], dice: random.Random) -> int:
    """Milliseconds, in whole frames."""
    median, spread = kinds[kind]
    drawn = math.exp(math.log(median) + spread * dice.gauss(0, 1))
    return round(min(LONGEST, max(SHORTEST, drawn)) / 20) * 20


def turn(text: str, voice: dict[str, Any], kinds: dict[str, list[float]], seed: str,
         folder: Path) -> tuple[bytes, dict[str, Any]]:  # fmt: skip
    """The turn's audio, and what is said of it in the index."""
    dice = random.Random(seed)
    which = dice.randrange(len(PEAKS))
    noise = dice.choice(NOISES)
    samples: list[int] = []
    segments = []
    for part in re.split(r"(<\w>)", text):
        if mark := re.fullmatch(r"<(\w)>", part):
            samples.extend([0] * (pause(mark[1], kinds, dice) * 8))
        else:
            said = re.sub(r"\{.*?\}", "", part).strip()
            begin = len(samples) // 8
            samples.extend(spoken(said, voice, PEAKS[which], folder))
            segments.append({"text": part.strip(), "from": begin, "to": len(samples) // 8})
    sound = bytes(mulaw(sample + dice.randint(-noise, noise)) for sample in samples)
    return sound, {"segments": segments, "noise": noise, "peak_db": int(PEAKS[which])}


def main() -> int:
    """Write every file anew; returns the exit status."""
    spec = tomllib.loads((HERE / "turns.toml").read_text("utf-8"))
    index: dict[str, dict[str, Any]] = {}
    for old in HERE.glob("*.ulaw"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)

        def keep(name: str, group: str, text: str, voice: str, voices: dict[str, Any]) -> None:
            sound, entry = turn(text, voices[voice], spec["pauses"], name, room)
            (HERE / f"{name}.ulaw").write_bytes(sound)
            index[name] = {"set": group, "voice": voice, "ms": len(sound) // 8, **entry}

        for group, texts in spec["turns"].items():
            voices = spec["voices"][group]
            names = list(voices)
            for number, text in enumerate(texts):
                for voice in (names[number % 4], names[(number + 1 + number // 4 % 3) % 4]):
                    keep(f"{group}_{number:02}_{voice}", group, text, voice, voices)
        voices = {**spec["voices"]["tuning"], **spec["voices"]["held_out"]}
        names = list(voices)
        for group, texts in spec["over"].items():
            for number, text in enumerate(texts):
                for voice in (names[number % 8], names[(number + 3) % 8]):
                    keep(f"{group}_{number:02}_{voice}", group, text, voice, voices)
    lines = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in index.items())
    (HERE / "index.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

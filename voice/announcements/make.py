"""Speak our own lines: `python voice/announcements/make.py`.

Needs `apt-get install espeak-ng sox`, and only when a line of the catalogue changes: the µ-law
files are committed. It is the voice of last resort.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from domain.messages import text  # noqa: E402
from voice.announcements import KEYS, LANGUAGES  # noqa: E402

#: Silence at the end goes; reversed twice, so does that at the beginning.
TRIM = ("reverse", "silence", "1", "0.02", "1%")
VOICES = {"fr": ("fr", "150", "45"), "en": ("en-gb", "155", "45")}  # voice, words/min, pitch


def speak(words: str, language: str, target: Path) -> None:
    """Headerless µ-law, 8 kHz, in the band of a telephone."""
    voice, speed, pitch = VOICES[language]
    with tempfile.TemporaryDirectory() as folder:
        wav = str(Path(folder) / "a.wav")
        subprocess.run(  # noqa: S603
            ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", wav, words],  # noqa: S607
            check=True,
        )
        shape = ["-r", "8000", "-c", "1", "-e", "mu-law", "-t", "raw", str(target)]
        effects = ["highpass", "250", "lowpass", "3400", "norm", "-6", *TRIM, *TRIM]
        subprocess.run(["sox", "-R", "-D", wav, *shape, *effects], check=True)  # noqa: S603, S607


if __name__ == "__main__":
    for language in LANGUAGES:
        for key in KEYS:
            speak(text(language, key), language, HERE / f"{language}_{key}.ulaw")
    spoken = {f"{language}_{key}": text(language, key) for language in LANGUAGES for key in KEYS}
    index = json.dumps(spoken, ensure_ascii=False, indent=2, sort_keys=True)
    (HERE / "index.json").write_text(index + "\n")

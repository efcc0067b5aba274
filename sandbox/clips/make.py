"""Make the sandbox's French speech from phrases.toml: `python sandbox/clips/make.py`.

Needs the synthesiser and the resampler of Debian (`apt-get install espeak-ng sox`), and only when
the phrases change: the µ-law files are committed. Callers get one headerless G.711 file for each
utterance (`caller/<clip id>.ulaw`), the agent's pieces lie one after the other in `agent.ulaw`.
`index.json` names them all. The same phrases give the same bytes.
"""

import json
import random
import subprocess
import sys
import tempfile
import tomllib
from array import array
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FRAME = 160  # samples in 20 ms at 8 kHz
TELEPHONE_BAND = ("highpass", "250", "lowpass", "3400")
PEAK_DB = "-5"
# Line noise under everything: it makes each 20 ms frame of the bank unlike any other, so that the
# ear can tell from one frame which clip it hears, and where in it.
NOISE = 24
QUIET = 260  # mean absolute sample below which a frame is a pause
LONGEST_PAUSE = 15  # frames: a longer pause would end the turn for the model's voice detection


def mulaw(sample: int) -> int:
    """One 16-bit linear sample as a G.711 µ-law byte (ITU-T G.711 §3.2)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 0x84
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 – the words are ours, from phrases.toml


def synthesise(text: str, voice: dict[str, Any], folder: Path) -> list[int]:
    """Speak the text; telephone band, 8 kHz, 16-bit."""
    wav, raw = folder / "a.wav", folder / "a.raw"
    manner = ("-v", voice["voice"], "-p", str(voice["pitch"]), "-s", str(voice["speed"]))
    _run("espeak-ng", *manner, "-w", str(wav), text)
    shape = ("-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-t", "raw")
    effects = ("gain", "-6", *TELEPHONE_BAND, "norm", PEAK_DB)
    _run("sox", "-R", "-D", str(wav), *shape, str(raw), *effects)
    samples = array("h")
    samples.frombytes(raw.read_bytes())
    return samples.tolist()


def trim(samples: list[int]) -> list[int]:
    """Whole frames without silence around them and without long pauses inside."""
    samples.extend([0] * (-len(samples) % FRAME))
    frames = [samples[at : at + FRAME] for at in range(0, len(samples), FRAME)]
    loud = [index for index, frame in enumerate(frames) if sum(map(abs, frame)) > QUIET * FRAME]
    kept: list[int] = []
    pause = 0
    for frame in frames[loud[0] : loud[-1] + 1]:
        pause = 0 if sum(map(abs, frame)) > QUIET * FRAME else pause + 1
        if pause <= LONGEST_PAUSE:
            kept.extend(frame)
    return kept


def encode(samples: list[int], seed: str) -> bytes:
    """µ-law over line noise; the noise is that of the clip's name."""
    dice = random.Random(seed)
    return bytes(mulaw(sample + dice.randint(-NOISE, NOISE)) for sample in samples)


# Said alone, an elided word is spelt as a letter; the full word is what one hears in a sentence.
FULL_WORD = dict(
    zip(
        ("l", "d", "j", "c", "s", "n", "m", "t", "qu", "y", "à", "h"),
        ("le", "de", "je", "ce", "se", "ne", "me", "te", "que", "i", "a", "heure"),
        strict=True,
    )
)


def syllables(agent: dict[str, Any]) -> dict[str, str]:
    """Spelling as the renderer looks it up → spelling as French orthography wants it."""
    table: dict[str, str] = {}
    for onset in agent["onsets"]:
        for vowel in agent["vowels"]:
            soft = onset == "g" and vowel in ("é", "i", "in", "eu")
            table[onset + vowel] = ("gu" if soft else onset) + vowel
    return table


def agent_pieces(agent: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Clip id → (text as looked up, text as spoken). A comma keeps the voice up after a word."""
    pieces: dict[str, tuple[str, str]] = {}
    for text in agent["phrases"]:
        pieces[f"phrase:{text.lower()}"] = (text, text + ",")
    for text in dict.fromkeys(agent["words"].split()):
        pieces[f"word:{text}"] = (text, FULL_WORD.get(text, text) + ",")
    for text, spoken in syllables(agent).items():
        pieces[f"syllable:{text}"] = (text, spoken + ",")
    return pieces


def caller_pieces(spec: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Clip id → (voice, text)."""
    voices = [name for name, voice in spec["voices"].items() if voice["role"] == "caller"]
    pieces = {
        f"{clip}_{voice}": (voice, text)
        for clip, text in spec["caller"]["all"].items()
        for voice in voices
    }
    for voice in voices:
        pieces.update({clip: (voice, text) for clip, text in spec["caller"][voice].items()})
    return pieces


def main() -> int:
    """Write every file anew; returns the exit status."""
    spec = tomllib.loads((HERE / "phrases.toml").read_text("utf-8"))
    index: dict[str, dict[str, Any]] = {}
    for old in (HERE / "caller").glob("*.ulaw"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        for clip, (voice, text) in caller_pieces(spec).items():
            audio = encode(trim(synthesise(text, spec["voices"][voice], room)), clip)
            (HERE / "caller" / f"{clip}.ulaw").write_bytes(audio)
            entry = {"text": text, "voice": voice, "role": "caller", "ms": len(audio) // 8}
            index[clip] = entry
        pack = bytearray()
        for clip, (text, spoken) in agent_pieces(spec["agent"]).items():
            audio = encode(trim(synthesise(spoken, spec["voices"]["sara"], room)), clip)
            entry = {"text": text, "voice": "sara", "role": "agent", "ms": len(audio) // 8}
            index[clip] = entry | {"at": len(pack)}
            pack += audio
        (HERE / "agent.ulaw").write_bytes(pack)
    lines = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in index.items())
    (HERE / "index.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

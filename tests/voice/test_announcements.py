"""The lines that come with the program."""

import base64
import json
from importlib.resources import files

from domain.messages import text
from voice.announcements import KEYS, LANGUAGES, SpokenLines, bundled


def test_the_files_say_what_the_catalogue_says() -> None:
    """Or else: python voice/announcements/make.py"""
    spoken = json.loads(files("voice.announcements").joinpath("index.json").read_text())
    wanted = {f"{each}_{key}": text(each, key) for each in LANGUAGES for key in KEYS}
    assert spoken == wanted


def test_each_is_a_sentence_and_not_a_silence() -> None:
    for words, mulaw in bundled().items():
        assert 1000 < len(mulaw) / 8 < 9000, words
        assert len(set(mulaw[:1600])) > 20, words


def test_pieces_are_whole_and_in_order() -> None:
    lines = SpokenLines({"Bonjour": bytes(range(250)) * 5})
    pieces = lines.audio("Bonjour")
    assert b"".join(base64.b64decode(piece) for piece in pieces) == bytes(range(250)) * 5
    assert lines.audio("Jamais dit") == ()

"""What a parser hands back, and the characters that it keeps."""

import unicodedata
from typing import Literal, NamedTuple

#: A file has this many bytes at most: what an upload and a fetch take.
MAX_BYTES = 10 * 1024 * 1024
#: A book of 300 pages has 600,000 characters; what has over twice that is no price list.
MAX_CHARACTERS = 1_500_000
MAX_BLOCKS = 20_000
MAX_PAGES = 300
MAX_CELLS = 30

#: Bidirectional controls, zero-width characters, soft hyphens, byte order marks: invisible, and
#: able to make a price read otherwise than it is found.
_INVISIBLE = dict.fromkeys(
    [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st"}
_CONTROLS = {code: " " for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (9, 10)}
_CLEAN = {**_CONTROLS, **_INVISIBLE, **_LIGATURES}


class Unreadable(Exception):
    """`reason` is a key of `storage.knowledge.extract.REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


Kind = Literal["heading", "paragraph", "item", "header", "row", "rule"]


class RawBlock(NamedTuple):
    """A piece of a document, as `storage.knowledge.split.Block` has it: heading (`level` 1..6),
    paragraph (lines apart by \\n), item of a list, header and row of a table (`cells`), rule."""

    kind: Kind
    text: str = ""
    cells: tuple[str, ...] = ()
    level: int = 1


def clean(text: str) -> str:
    """Without what can't be stored, seen or said; line breaks and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CLEAN)
    # The round trip joins proper surrogate pairs and replaces the lone ones.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Cleaned, and every run of spaces and breaks one space."""
    return " ".join(clean(text).split())


def has_digit(text: str) -> bool:
    """Whether a figure stands in it."""
    return any(map(str.isdigit, text))

"""Text, lists of values with separators, Markdown."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from storage.knowledge.parsing.blocks import (
    MAX_CELLS,
    RawBlock,
    Unreadable,
    clean,
    one_line,
)
from storage.knowledge.parsing.tables import table_blocks

#: WHATWG's names for what French pages are written in; Latin-1 is read as windows-1252 there too.
_CHARSETS = {
    "utf8": "utf-8",
    "utf-8": "utf-8",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "iso-8859-15": "iso-8859-15",
    "macintosh": "mac_roman",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{1,20})", re.IGNORECASE)
#: HTML Standard §13.2.3.2: a page says its encoding within its first 1024 bytes.
_META_WITHIN = 1024
#: How much of a text is looked at to tell whether it is one.
_HEAD = 20_000
_STRANGE = [chr(code) for code in range(0x20) if code not in (9, 10, 12, 13, 27)] + ["\ufffd"]


def decode(data: bytes, charset: str = "", *, html: bool = False) -> str:
    """By byte order mark, else as it is said to be, else UTF-8, else windows-1252.

    Raises Unreadable("not_text")."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _must_be_text(data.decode(name, "replace"))
    said = [_CHARSETS.get(charset.strip().lower(), "")]
    if html and (found := _META_CHARSET.search(data[:_META_WITHIN])):
        said.append(_CHARSETS.get(found[1].decode("ascii", "replace").lower(), ""))
    if b"\x00" in data[:_HEAD] and not any(name.startswith("utf-16") for name in said):
        said = [_utf16_without_mark(data[:_HEAD])]
    for name in (*filter(None, said), "utf-8"):
        try:
            return _must_be_text(data.decode(name))
        except UnicodeDecodeError:
            continue
    return _must_be_text(data.decode("cp1252", "replace"))


def _utf16_without_mark(head: bytes) -> str:
    """Latin letters in UTF-16 have a NUL in every other byte; anything else with NULs may be text
    with a broken byte in it, which `_must_be_text` judges."""
    half = len(head) / 2
    if head[1::2].count(0) > 0.4 * half:
        return "utf-16-le"
    if head[0::2].count(0) > 0.4 * half:
        return "utf-16-be"
    return ""


def _must_be_text(text: str) -> str:
    """Binary decodes as something too: with control characters that no text has."""
    head = text[:_HEAD]
    if sum(map(head.count, _STRANGE)) > 2 + 0.02 * len(head):
        raise Unreadable("not_text")
    return text


def text_blocks(text: str) -> Iterator[RawBlock]:
    """Paragraphs between empty lines; a text that is one list of values becomes rows."""
    lines = clean(text).split("\n")
    delimiter = _delimiter(lines)
    if delimiter:
        # The lines were bounded with the file; a field may be all of it. The limit is the whole
        # process's: it isn't made lower for others.
        csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
        yield from table_blocks(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
        return
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line.strip())
        elif paragraph:
            yield RawBlock("paragraph", "\n".join(paragraph))
            paragraph = []


def _delimiter(lines: Sequence[str]) -> str:
    """What separates the values, when the whole text is a table: ";" (French spreadsheets), tab,
    "|" or ",", equally often on nearly every line; "" when it is none."""
    filled = [line[:5000] for line in lines if line.strip()][:200]
    if len(filled) < 2:
        return ""
    for delimiter in ";\t|,":
        counts = [len(row) for row in csv.reader(filled, delimiter=delimiter)]
        usual = max(set(counts), key=counts.count)
        # Prose and prices ("45,00") have commas too: two columns are not believed of them.
        least = 3 if delimiter == "," else 2
        if usual >= least and counts.count(usual) >= 0.9 * len(counts):
            return delimiter
    return ""


def markdown_blocks(text: str) -> Iterator[RawBlock]:
    """CommonMark with tables. Raw HTML in it is dropped, links and images keep their words."""
    parser = MarkdownIt("commonmark", {"maxNesting": 30}).enable("table")
    stack: list[str] = []
    cells: list[str] = []
    for token in parser.parse(clean(text)):
        if token.type == "inline":
            words = _words(token.children or [])
            if stack[-1] in ("th", "td"):
                cells.append(one_line(words))
            elif words.strip():
                yield _placed(words.strip(), stack)
        elif token.type in ("fence", "code_block"):
            yield from text_blocks(token.content)
        elif token.nesting == 1:
            stack.append(token.tag)
        elif token.nesting == -1:
            stack.pop()
            if token.tag == "tr":
                yield RawBlock(
                    "header" if "thead" in stack else "row", cells=tuple(cells[:MAX_CELLS])
                )
                cells = []
            elif token.tag == "table":
                yield RawBlock("rule")


def _placed(words: str, stack: Sequence[str]) -> RawBlock:
    if re.fullmatch(r"h[1-6]", stack[-1]):
        return RawBlock("heading", one_line(words), level=int(stack[-1][1]))
    return RawBlock("item" if "li" in stack else "paragraph", words)


def _words(tokens: Sequence[Token]) -> str:
    parts: list[str] = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type in ("text", "code_inline", "image"):  # an image's content is its words
            parts.append(token.content)
    return "".join(parts)

"""The process in which one document is read and split: bytes in by stdin, JSON out by stdout.

It confines itself before it looks at a byte of it, holds nothing of ours (no settings, no
environment, no connection), opens nothing, and leaves by `os._exit`, so that no destructor runs.
Splitting is done here too: its patterns meet a stranger's text, and would hold up everybody else in
the worker.

In: a line of JSON, `Wanted`, then the document. Out: `{"title": str, "content": str, "chunks":
[[kind, heading, content, terms], …]}`, or `{"error": reason, "detail": str}`.
"""

import codecs
import json
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from domain.errors import Invalid
from storage.confinement import answer_and_leave, confine
from storage.knowledge.parsing.blocks import (
    MAX_BLOCKS,
    MAX_BYTES,
    MAX_CHARACTERS,
    RawBlock,
    Unreadable,
    clean,
    one_line,
)
from storage.knowledge.split import Block, split

#: Address space. Measured: 300 pages take 100 MiB, the interpreter's own included; what pypdf
#: unpacks is at most 75 MB a stream.
MEMORY_BYTES = 512 * 1024 * 1024
#: Processor time. Measured: 300 pages of prices take 1 s, 300 dense ones 4 s, 900 kB of text 9 s.
CPU_SECONDS = 20
#: A longer line is broken: what is searched for in a line takes time that grows with its square.
LONGEST_LINE = 500
#: The line before the document.
_LONGEST_HEADER = 4096
#: What texts and the fonts of PDFs may be written in.
_CODECS = (
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "iso-8859-15"),
    *("mac_roman", "latin-1", "charmap", "cp1250", "gbk", "gb18030", "big5", "shift_jis", "euc_kr"),
)


def prepare(source_type: str) -> None:
    """Confine this process, with all in place that reading such a document needs."""
    _reader(source_type)
    for each in _CODECS:
        codecs.lookup(each)
    confine(MEMORY_BYTES, CPU_SECONDS)


class Wanted(NamedTuple):
    """What is to be read. `source_type`: text, markdown, html, pdf; `charset` "" when none was
    said; `title` "" to take the document's own; `locale` of the tenant."""

    source_type: str
    charset: str = ""
    title: str = ""
    locale: str = "fr-FR"


def read(data: bytes, wanted: Wanted) -> dict[str, object]:
    """What goes out for a document. Raises Unreadable, and whatever the libraries do."""
    if len(data) > MAX_BYTES:
        raise Unreadable("too_large")
    title, blocks = parse(data, wanted.source_type, wanted.charset)
    if not any(block.text or block.cells for block in blocks):
        raise Unreadable("empty")
    about = wanted.title or title
    try:
        chunks = split((_block(each) for each in blocks), title=about, locale=wanted.locale)
    except Invalid:
        raise Unreadable("too_much_text", "passages") from None
    if not chunks:
        raise Unreadable("empty")
    return {
        "title": title,
        "content": readable(blocks),
        "chunks": [(each.kind, each.heading, each.content, each.terms) for each in chunks],
    }


def parse(data: bytes, source_type: str, charset: str = "") -> tuple[str, list[RawBlock]]:
    """A document's own title ("" without one) and its pieces, bounded and cleaned."""
    title, found = _reader(source_type)(data, charset)
    return title, _bounded(found)


def _reader(source_type: str) -> Callable[[bytes, str], tuple[str, Iterable[RawBlock]]]:
    """What reads this kind. Only its library is loaded: all of them would double what a child
    costs, which reads one document."""
    if source_type == "pdf":
        from storage.knowledge.parsing.pdf import pdf_blocks

        return lambda data, _: ("", pdf_blocks(data))
    from storage.knowledge.parsing.text import decode, markdown_blocks, text_blocks

    if source_type == "html":
        from storage.knowledge.parsing.html import html_blocks

        return lambda data, charset: html_blocks(decode(data, charset, html=True))
    blocks = markdown_blocks if source_type == "markdown" else text_blocks
    return lambda data, charset: ("", blocks(decode(data, charset)))


def _bounded(blocks: Iterable[RawBlock]) -> list[RawBlock]:
    """All of them, cleaned. Raises Unreadable("too_much_text")."""
    kept: list[RawBlock] = []
    characters = 0
    for block in blocks:
        block = block._replace(text="\n".join(_lines(block.text)))
        characters += len(block.text) + sum(map(len, block.cells))
        if characters > MAX_CHARACTERS or len(kept) >= MAX_BLOCKS:
            raise Unreadable("too_much_text")
        kept.append(block)
    return kept


def _lines(text: str) -> Iterable[str]:
    for line in map(one_line, clean(text).split("\n")):
        while len(line) > LONGEST_LINE:
            at = line.rfind(" ", 1, LONGEST_LINE)
            at = at if at > 0 else LONGEST_LINE
            yield line[:at]
            line = line[at:].lstrip()
        if line:
            yield line


def _block(raw: RawBlock) -> Block:
    cells = tuple(cell[:LONGEST_LINE] for cell in raw.cells)
    return Block(raw.kind, raw.text, raw.level, cells)


def readable(blocks: Iterable[RawBlock]) -> str:
    """The document as a person reads it: headings and paragraphs apart, a row on one line."""
    out: list[str] = []
    before = ""
    for block in blocks:
        text = " | ".join(block.cells) if block.cells else block.text
        if block.kind == "item":
            text = f"- {text}"
        if text and block.kind != "rule":
            together = block.kind == before or {block.kind, before} == {"header", "row"}
            out.append(("\n" if together and block.kind != "paragraph" else "\n\n") + text)
        before = block.kind
    return "".join(out).strip()


def answer(data: bytes, wanted: Wanted) -> dict[str, object]:
    """`read`, its failures included."""
    try:
        return read(data, wanted)
    except Unreadable as error:
        return {"error": error.reason, "detail": error.detail}
    except MemoryError:
        return {"error": "too_complex", "detail": "memory"}
    except Exception as error:  # noqa: BLE001 - a library about a broken or hostile file
        return {"error": "broken", "detail": type(error).__name__}


def main() -> None:
    """Read, answer, leave."""
    source = sys.stdin.buffer
    wanted = Wanted(**json.loads(source.readline(_LONGEST_HEADER)))
    prepare(wanted.source_type)
    told = json.dumps(answer(source.read(MAX_BYTES + 1), wanted), ensure_ascii=True)
    answer_and_leave(told.encode())


if __name__ == "__main__":
    main()

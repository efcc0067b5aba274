"""The process in which one document is read: bytes in by stdin, JSON out by stdout.

It confines itself before it reads a byte, holds nothing of ours (no settings, no environment, no
connection), opens nothing, and leaves by `os._exit`, so that no destructor runs.

Out: `{"title": str, "blocks": [[kind, text, cells, level], …]}`, or `{"error": reason, "detail":
str}`.
"""

import json
import os
import resource
import sys
from collections.abc import Iterable

from storage.knowledge.parsing.blocks import (
    MAX_BLOCKS,
    MAX_BYTES,
    MAX_CHARACTERS,
    RawBlock,
    Unreadable,
    clean,
    one_line,
)
from storage.knowledge.parsing.html import html_blocks
from storage.knowledge.parsing.pdf import pdf_blocks
from storage.knowledge.parsing.text import decode, markdown_blocks, text_blocks

#: Address space. 300 dense pages take 120 MiB, the interpreter's own included; what pypdf unpacks
#: is at most 75 MB a stream.
MEMORY_BYTES = 512 * 1024 * 1024
#: Processor time: 300 pages of dense tables take 3 s, and several times that on a small machine.
CPU_SECONDS = 20
#: Descriptors: the three streams, and what an import opens.
OPEN_FILES = 16


def confine() -> None:
    """Take away from this process what reading a document doesn't need."""
    os.nice(10)
    try:
        # When the machine runs out of memory, it is this process that the kernel takes (Linux).
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjust:
            adjust.write("1000")
    except OSError:
        pass
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, CPU_SECONDS)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)  # no child, no thread; root is not held to it


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (ValueError, OSError):
        # macOS knows no limit on address space; processor time and the wall clock remain.
        if sys.platform == "linux":
            raise


def parse(data: bytes, source_type: str, charset: str) -> dict[str, object]:
    """What goes out for a document. Raises Unreadable, and whatever the libraries do."""
    if len(data) > MAX_BYTES:
        raise Unreadable("too_large")
    title, blocks = "", []
    if source_type == "pdf":
        blocks = _bounded(pdf_blocks(data))
    elif source_type == "html":
        title, found = html_blocks(decode(data, charset, html=True))
        blocks = _bounded(found)
    elif source_type == "markdown":
        blocks = _bounded(markdown_blocks(decode(data, charset)))
    else:
        blocks = _bounded(text_blocks(decode(data, charset)))
    if not any(block.text or block.cells for block in blocks):
        raise Unreadable("empty")
    return {"title": title, "blocks": blocks}


def _bounded(blocks: Iterable[RawBlock]) -> list[RawBlock]:
    """All of them, cleaned. Raises Unreadable("too_much_text")."""
    kept: list[RawBlock] = []
    characters = 0
    for block in blocks:
        block = block._replace(
            text="\n".join(filter(None, map(one_line, clean(block.text).split("\n"))))
        )
        characters += len(block.text) + sum(map(len, block.cells))
        if characters > MAX_CHARACTERS or len(kept) >= MAX_BLOCKS:
            raise Unreadable("too_much_text")
        kept.append(block)
    return kept


def answer(data: bytes, source_type: str, charset: str) -> dict[str, object]:
    """`parse`, its failures included."""
    try:
        return parse(data, source_type, charset)
    except Unreadable as error:
        return {"error": error.reason, "detail": error.detail}
    except MemoryError:
        return {"error": "too_complex", "detail": "memory"}
    except Exception as error:  # noqa: BLE001 - a library about a broken or hostile file
        return {"error": "broken", "detail": type(error).__name__}


def main() -> None:
    """Read, parse, answer, leave."""
    confine()
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    told = json.dumps(answer(data, *sys.argv[1:3]), ensure_ascii=True).encode()
    view = memoryview(told)
    while view:
        view = view[os.write(1, view) :]
    os._exit(0)


if __name__ == "__main__":
    main()

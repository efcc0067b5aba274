"""PDF: the text of its pages, with what stands on one line kept on one line.

A PDF knows no rows, only words at places, often drawn column by column. pypdf's layout mode puts
them back where they are seen (measured on price lists drawn by row and by column: all rows whole;
0.6 s for 100 pages of 60 rows, no slower than its plain mode). Prose in two columns is what it
makes worse; such pages are read in plain mode.
"""

import io
import logging
import re
from collections.abc import Iterator, Sequence

# Two that pypdf itself imports when the first page is read: nothing can be opened by then.
import pypdf._codecs
import pypdf.filters  # noqa: F401
from pypdf import PageObject, PdfReader
from pypdf.generic import DictionaryObject, PdfObject

from storage.knowledge.parsing.blocks import (
    MAX_CELLS,
    MAX_PAGES,
    RawBlock,
    Unreadable,
    clean,
    has_digit,
    one_line,
)
from storage.knowledge.parsing.tables import table_blocks

#: Fewer characters a page, on average: a scan, of which only stamps and page numbers are text.
_SCAN_CHARACTERS = 10
#: Between two columns: three spaces of the layout, or a leader ("Vidange ........ 89 €").
_GAP = re.compile(r" {3,}|\t+| *(?:\.{4,}|…{2,}|_{4,}|(?: \.){4,}) *")
#: A cell that ends in a figure within so many characters: a price, a duration, a size.
_FIGURE_CELL = 32
_PRICE = re.compile(
    r"(?:dès |à partir de )?\d[\d ]*(?:[.,]\d{1,2})? ?(?:(?:€|eur\b|euros?\b).{0,12})?",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(r"(?:page )?\d{1,3}(?: ?(?:/|sur|of) ?\d{1,3})?", re.IGNORECASE)
_LONGEST_HEADING = 90

# It tells of every oddity that it repairs; nobody reads that.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def pdf_blocks(data: bytes) -> Iterator[RawBlock]:
    """Page by page. Raises Unreadable (encrypted, scanned, empty, broken, too_many_pages) and
    whatever pypdf does about what it can't make sense of."""
    if b"%PDF-" not in data[:1024]:
        raise Unreadable("broken", "no PDF header")
    reader = PdfReader(io.BytesIO(data), strict=False)
    # A document that is only locked against changes opens with the empty password.
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("encrypted")
    pages = len(reader.pages)
    if pages > MAX_PAGES:
        raise Unreadable("too_many_pages", str(pages))
    characters, images = 0, False
    edges: set[str] = set()
    for page in reader.pages:
        drawn = _drawn(page)
        images = images or "/Image" in drawn
        lines = _lines_of(page, drawn)
        characters += sum(map(_size, lines))
        yield from line_blocks(_without_frame(lines, edges))
    if characters < _SCAN_CHARACTERS * max(pages, 1):
        raise Unreadable("scanned" if images else "empty")


def _drawn(page: PageObject) -> set[str]:
    """What the page draws besides its own text: "/Image", "/Form"."""
    resources = _resolved(page.get("/Resources"))
    objects = _resolved(resources.get("/XObject"))
    return {str(_resolved(each).get("/Subtype")) for each in objects.values()}


def _resolved(value: PdfObject | None) -> DictionaryObject:
    found = value.get_object() if value is not None else None
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _lines_of(page: PageObject, drawn: set[str]) -> list[str]:
    """As they are seen; prose in columns as it is read, and what stands in forms too, which the
    layout leaves out."""
    layout = clean(page.extract_text(extraction_mode="layout"))
    if "/Form" in drawn:
        plain = clean(page.extract_text())
        return (plain if _size(plain) > 1.2 * _size(layout) else layout).split("\n")
    lines = layout.split("\n")
    parted = [cells for line in lines if len(cells := cells_of(line)) > 1]
    figures = sum(any(_is_figure(cell) for cell in cells[1:]) for cells in parted)
    if len(parted) > 3 and figures < 0.3 * len(parted):
        return clean(page.extract_text()).split("\n")
    return lines


def _size(text: str) -> int:
    return sum(map(len, text.split()))


def _without_frame(lines: Sequence[str], edges: set[str]) -> list[str]:
    """Without page numbers, and without the first and last lines that a page before had too."""
    filled = [index for index, line in enumerate(lines) if line.strip()]
    dropped = set()
    for index in {*filled[:2], *filled[-2:]}:
        text = one_line(lines[index])
        if _PAGE_NUMBER.fullmatch(text) or text in edges:
            dropped.add(index)
        edges.add(text)
    return [line for index, line in enumerate(lines) if index not in dropped]


def line_blocks(lines: Sequence[str]) -> Iterator[RawBlock]:
    """Lines with columns are rows; a short line alone above them is their heading; the others are
    paragraphs, parted by empty lines."""
    paragraph: list[str] = []
    table: list[tuple[str, ...]] = []
    for line in lines:
        cells = cells_of(line)
        if len(cells) > 1:
            if not table:
                yield from _above_rows(paragraph)
                paragraph = []
            table.extend(_pairs(cells))
        elif cells:
            if table:
                yield from table_blocks(table)
                table = []
            paragraph.append(cells[0])
        elif len(paragraph) > 1:
            yield RawBlock("paragraph", "\n".join(paragraph))
            paragraph = []
    if table:
        yield from table_blocks(table)
    if paragraph:
        yield RawBlock("paragraph", "\n".join(paragraph))


def _above_rows(paragraph: Sequence[str]) -> Iterator[RawBlock]:
    """What stood above a table: its last line is the heading, when it looks like one."""
    if not paragraph:
        return
    *before, last = paragraph
    if len(last) > _LONGEST_HEADING or last.endswith((".", ",", ";")) or "€" in last:
        yield RawBlock("paragraph", "\n".join(paragraph))
        return
    if before:
        yield RawBlock("paragraph", "\n".join(before))
    yield RawBlock("heading", last.rstrip(" :"), level=6)


def cells_of(line: str) -> tuple[str, ...]:
    """What stands apart on a line."""
    return tuple(cell for part in _GAP.split(line.strip()) if (cell := one_line(part)))[:MAX_CELLS]


def _is_figure(cell: str) -> bool:
    return len(cell) <= _FIGURE_CELL and has_digit(cell)


def _pairs(cells: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Two price lists side by side are two rows: a price must not be read to its neighbour."""
    labels, prices = cells[0::2], cells[1::2]
    if (
        len(cells) >= 4
        and len(labels) == len(prices)
        and all(_PRICE.fullmatch(price) for price in prices)
        and not any(_PRICE.fullmatch(label) for label in labels)
    ):
        return list(zip(labels, prices, strict=True))
    return [cells]

"""HTML: what a visitor reads, without what frames it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PreformattedString, Tag

from storage.knowledge.parsing.blocks import MAX_CELLS, RawBlock, one_line
from storage.knowledge.parsing.tables import table_blocks

#: Never read: code, drawings, frames, forms' parts, and what a page offers to click.
_DROPPED = (
    "script style noscript template svg math iframe object embed canvas video audio head nav "
    "select option button input textarea dialog map"
).split()
#: Frames around the page, where only what isn't a list of links is kept: the address and the
#: opening hours of a small business often stand in its footer and nowhere else.
_FRAMES = ("header", "footer", "aside")
_FRAME_ROLES = frozenset({"banner", "contentinfo", "complementary"})
_BOILERPLATE = re.compile(
    r"©|\bcopyright\b|tous droits réservés|mentions légales|politique de confidentialité"
    r"|all rights reserved|\bcookies?\b",
    re.IGNORECASE,
)
_CONSENT = re.compile(r"cookie|consent|gdpr|rgpd|tarteaucitron|didomi|axeptio", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
#: Stands for a <br>; no text has one, since `clean` takes it out.
_BREAK = "\x00"
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BREAKS = frozenset(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset "
    "figcaption figure footer form header hr html legend li main ol p pre section summary table "
    "tbody td tfoot th thead tr ul".split()
)
#: Words of a frame that are links to pages: from this share on they are a menu.
_MENU_SHARE = 0.6


def html_blocks(markup: str) -> tuple[str, list[RawBlock]]:
    """The page's title ("" without one) and its blocks. Nothing is fetched, no entity but HTML's
    own is expanded."""
    soup = BeautifulSoup(markup, "html.parser")
    title = one_line(soup.title.get_text()) if soup.title else ""
    for tag in soup.find_all(_unread):
        if not tag.decomposed:
            tag.decompose()
    _thin_frames(soup)
    return title[:300], list(_Walk(soup).blocks())


def _unread(tag: Tag) -> bool:
    if tag.name in _DROPPED:
        return True
    if tag.has_attr("hidden") or tag.get("aria-hidden") == "true":
        return True
    if tag.get("role") in ("navigation", "dialog", "search", "menu", "menubar"):
        return True
    if _HIDDEN.search(str(tag.get("style", ""))):
        return True
    if tag.name in ("html", "body", "main"):
        return False
    marks = [*tag.get_attribute_list("id"), *tag.get_attribute_list("class")]
    return any(_CONSENT.search(mark) for mark in marks if mark)


def _thin_frames(soup: BeautifulSoup) -> None:
    """Take menus and legal lines out of headers, footers and asides."""
    for frame in soup.find_all(_is_frame):
        if frame.decomposed or frame.find_parent("main") or frame.find_parent("article"):
            continue
        for part in frame.find_all(["ul", "ol", "p", "div", "span", "li", "a", "small"]):
            if not part.decomposed and _is_menu(part):
                part.decompose()


def _is_frame(tag: Tag) -> bool:
    return tag.name in _FRAMES or tag.get("role") in _FRAME_ROLES


def _is_menu(part: Tag) -> bool:
    """Whether most of its words are links (to pages: a telephone number is no menu), or legal."""
    words = one_line(part.get_text(" "))
    if not words:
        return False
    if len(words) < 200 and _BOILERPLATE.search(words):
        return part.find(["p", "div", "li"]) is None
    links = [part] if part.name == "a" else part.find_all("a")
    linked = sum(
        len(one_line(link.get_text(" ")))
        for link in links
        if not str(link.get("href", "")).lower().startswith(("tel:", "mailto:"))
    )
    return linked >= _MENU_SHARE * len(words)


class _Walk:
    """One pass over the tree, without recursion: a page may be nested as deep as it likes."""

    def __init__(self, root: Tag) -> None:
        # What is to be entered, or (True) left, the next one last.
        self._pending: list[tuple[Tag | NavigableString, bool]] = [(root, False)]
        self._open: list[str] = []
        self._words: list[str] = []

    def blocks(self) -> Iterator[RawBlock]:
        while self._pending:
            node, leaving = self._pending.pop()
            if leaving:
                yield from self._flush()
                self._open.pop()
            elif isinstance(node, Tag):
                yield from self._enter(node)
            # Comments, declarations and CDATA are PreformattedStrings.
            elif not isinstance(node, PreformattedString):
                self._words.append(str(node))
        yield from self._flush()

    def _enter(self, node: Tag) -> Iterator[RawBlock]:
        if whole := self._whole(node):
            yield from self._flush()
            yield from whole
            return
        if node.name == "br":
            self._words.append(_BREAK)
        elif node.name in _BREAKS:
            yield from self._flush()
            self._open.append(node.name)
            self._pending.append((node, True))
        self._pending.extend((child, False) for child in _children(node))

    def _whole(self, node: Tag) -> Iterator[RawBlock] | None:
        """The blocks of what isn't walked through but read at once."""
        if node.name in _HEADINGS:
            return _heading(node)
        # A table around tables lays the page out.
        if node.name == "table" and node.find("table") is None:
            return _table(node)
        if node.name == "dl":
            return _definitions(node)
        return None

    def _flush(self) -> Iterator[RawBlock]:
        lines = [one_line(line) for line in "".join(self._words).split(_BREAK)]
        self._words.clear()
        if text := "\n".join(filter(None, lines)):
            yield RawBlock("item" if "li" in self._open else "paragraph", text)


def _heading(node: Tag) -> Iterator[RawBlock]:
    if text := one_line(node.get_text(" ")):
        yield RawBlock("heading", text, level=int(node.name[1]))


def _children(node: Tag) -> Iterator[Tag | NavigableString]:
    for child in reversed(node.contents):
        if isinstance(child, Tag | NavigableString):
            yield child


def _table(table: Tag) -> Iterator[RawBlock]:
    """Its rows; a row of `th` alone is a header.

    One pass over all that it holds, since html.parser doesn't close the cells and rows that a
    page leaves open: what is within them in the tree stands beside them on the screen.
    """
    rows: list[list[_Cell]] = [[]]
    caption: list[str] = []
    cell: _Cell | None = None
    for node in table.descendants:
        if isinstance(node, Tag):
            if node.name == "tr":
                rows.append([])
            elif node.name in ("td", "th"):
                cell = _Cell(node.name, [])
                rows[-1].append(cell)
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            words = cell.words if cell else caption
            words.append(str(node))
    if text := one_line(" ".join(caption)):
        yield RawBlock("heading", text, level=6)
    if not any(cell.name == "th" for row in rows for cell in row):
        yield from table_blocks([" ".join(cell.words) for cell in row] for row in rows)
        return
    for row in rows:
        cells = tuple(one_line(" ".join(cell.words)) for cell in row[:MAX_CELLS])
        if any(cells):
            yield RawBlock(
                "header" if all(cell.name == "th" for cell in row) else "row", cells=cells
            )
    yield RawBlock("rule")


class _Cell(NamedTuple):
    name: str
    words: list[str]


def _definitions(names: Tag) -> Iterator[RawBlock]:
    """A term and what stands beside it are one row; in one pass, as for a table."""
    parts: list[_Cell] = []
    for node in names.descendants:
        if isinstance(node, Tag) and node.name in ("dt", "dd"):
            parts.append(_Cell(node.name, []))
        elif parts and isinstance(node, NavigableString):
            parts[-1].words.append(str(node))
    term = ""
    for part in parts:
        text = one_line(" ".join(part.words))
        if part.name == "dt":
            term = text
        elif text:
            yield RawBlock("row", cells=(term, text) if term else (text,))
    yield RawBlock("rule")

"""The words of an e-mail that came as HTML, without the messages that it quotes. Pure."""

import re
from html.parser import HTMLParser
from typing import Final

#: Characters that are looked through: what is new stands at the beginning.
MAX_SCANNED: Final = 200_000


def html_text(html: str) -> str:
    """Its words, in lines; of the first `MAX_SCANNED` characters."""
    page = _Page()
    page.feed(_closed(html[:MAX_SCANNED]))
    page.close()
    lines = (line.strip() for line in "".join(page.pieces).split("\n"))
    return "\n".join(filter(None, lines))


def _closed(html: str) -> str:
    """Without comments and declarations, and no tag that doesn't end: Python's parser looks through
    all that follows for each of these, and stumbles over some."""
    pieces, at = [], 0
    while (begin := html.find("<!", at)) >= 0:
        pieces.append(html[at:begin])
        closing = "-->" if html.startswith("<!--", begin) else ">"
        end = html.find(closing, begin)
        at = end + len(closing) if end >= 0 else len(html)
    text = "".join((*pieces, html[at:]))
    unclosed = text.rfind(">") + 1
    return text[:unclosed] + text[unclosed:].replace("<", "&lt;")


class _Page(HTMLParser):
    """A page's own text. Not BeautifulSoup: it takes a second for what is nested deeply enough, and
    this text needs no structure."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.pieces.append("\n" if tag in {"br", "hr"} else "")
        elif self._hidden:
            if tag == self._hidden[0]:
                self._hidden.append(tag)
        elif tag in _NOT_TEXT or any(name in _HISTORY_MARKS for _, name in attrs):
            self._hidden.append(tag)
        elif tag in _LINES:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[0]:
            self._hidden.pop()
        elif tag in _LINES:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))


_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_NOT_TEXT = frozenset({"script", "style", "head", "title", "blockquote"})
_LINES = frozenset({"p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol"})
#: Classes and ids of what Gmail, Yahoo and Outlook put the earlier messages in.
_HISTORY_MARKS = frozenset(
    {"gmail_quote", "gmail_quote gmail_quote_container", "yahoo_quoted"}
    | {"appendonsend", "divRplyFwdMsg"}
)

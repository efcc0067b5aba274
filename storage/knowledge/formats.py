"""Which parser reads a file: by what it begins with, then by what it is said to be, then by its
name. What it begins with can't be wrong, the others often are."""

from typing import Final

_PDF_WITHIN: Final = 1024  # ISO 32000-1 Annex H.3.4.1: where readers look for its header

_BY_TYPE: Final = {
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/plain": "text",
    "text/csv": "text",
    "text/tab-separated-values": "text",
    "application/csv": "text",
}
_BY_SUFFIX: Final = {
    "pdf": "pdf",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "md": "markdown",
    "markdown": "markdown",
    "txt": "text",
    "text": "text",
    "csv": "text",
    "tsv": "text",
}
#: Nothing is known from these: browsers send them for whatever they don't know.
_ANYTHING: Final = ("", "application/octet-stream", "binary/octet-stream", "text/plain")

#: What browsers of file systems call the formats.
ACCEPTED: Final = "PDF, HTML, Markdown, .txt, .csv"


def source_type_of(media_type: str, name: str, head: bytes) -> str | None:
    """`text`, `markdown`, `html` or `pdf`; None for what we can't read. `media_type` in lower case
    without parameters, `name` a file's name or an address's path, `head` its first bytes."""
    if b"%PDF-" in head[:_PDF_WITHIN]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        return None  # office files, archives, images
    start = head[:_PDF_WITHIN].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks_html = start.startswith((b"<!doctype html", b"<html"))
    by_name = _BY_SUFFIX.get(name.rpartition(".")[2].lower()) if "." in name else None
    if media_type in _ANYTHING:
        # The name says more than "some text".
        return by_name or ("html" if looks_html else _BY_TYPE.get(media_type, _guess(head)))
    said = _BY_TYPE.get(media_type, by_name)
    # No PDF begins like this: a browser was wrong, or the file is broken, as its parser will say.
    return by_name or said if said == "pdf" else said


def _guess(head: bytes) -> str | None:
    """Nameless bytes are a text when they are one."""
    return "text" if head and b"\x00" not in head else None

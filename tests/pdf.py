"""PDF files, byte by byte: what the tests of documents hand in (PDF 32000-1:2008 §7.5)."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: A4 in points.
WIDTH, HEIGHT = 595, 842


@dataclass(frozen=True, slots=True)
class Word:
    """`text` at (x, y) points from the lower left corner."""

    x: float
    y: float
    text: str
    size: float = 11


def lines(*texts: str, x: float = 50, top: float = 780, size: float = 11) -> list[Word]:
    """One under the other."""
    return [Word(x, top - 1.4 * size * row, text, size) for row, text in enumerate(texts)]


def price_rows(
    rows: Sequence[Sequence[str]], columns: Sequence[float] = (50, 420), top: float = 740
) -> list[Word]:
    """A table without lines, as a word processor sets it: each cell where its column begins."""
    return [
        Word(x, top - 18 * number, cell)
        for number, row in enumerate(rows)
        for x, cell in zip(columns, row, strict=False)
    ]


def escaped(text: str) -> bytes:
    return text.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")


def content(words: Iterable[Word]) -> bytes:
    return b"\n".join(
        b"BT /F1 %g Tf 1 0 0 1 %g %g Tm (%s) Tj ET" % (w.size, w.x, w.y, escaped(w.text))
        for w in words
    )


def pdf_of(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1, the first being the catalogue."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )
    return bytes(out)


def stream(data: bytes, *, compressed: bool = True, extra: bytes = b"") -> bytes:
    if compressed:
        data, extra = zlib.compress(data), b"/Filter /FlateDecode " + extra
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(data), extra, data)


FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf(*pages: Iterable[Word], trailer: bytes = b"") -> bytes:
    """A document with one page for each list of words."""
    return pdf_of_streams([stream(content(page)) for page in pages], trailer=trailer)


def pdf_of_streams(
    streams: Sequence[bytes],
    *,
    trailer: bytes = b"",
    resources: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(streams)),
        FONT,
    ]
    for index, body in enumerate(streams):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> %s >> >>"
            % (WIDTH, HEIGHT, 5 + 2 * index, resources),
            body,
        ]
    return pdf_of([*objects, *more], trailer)

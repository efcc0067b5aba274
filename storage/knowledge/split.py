"""A document's blocks → passages that can be found and said one by one. Pure.

A price list's row is one passage and carries its label, its columns' names and its headings: a
price that is cut from its label is told for another service (real-users.md §4.7). A question stays
with its answer; running text is packed by whole sentences.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from domain.errors import Invalid
from storage.knowledge import analysis

#: Characters of a passage of running text: some 40 s of speech, more than anybody listens to.
TARGET: Final = 600
#: Shorter ones of the same heading are joined, characters: items of a list belong together
#: (opening hours), paragraphs speak of several things, and would be found by words of two of them.
_ENOUGH: Final = {"item": 300, "paragraph": 60}
#: No passage is longer, whatever it is made of, characters.
LONGEST: Final = 1200
LONGEST_HEADING: Final = 300
#: Passages of one document, and of all documents of a tenant: what a search of 20 ms still covers.
MAX_CHUNKS: Final = 2000
MAX_TENANT_CHUNKS: Final = 5000

BlockKind = Literal["heading", "paragraph", "item", "header", "row", "rule"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document, in reading order.

    `heading`: `text`, `level` 1 (the highest) to 6. `paragraph`: `text`, its lines apart by \\n.
    `item`: one list item's `text`. `header`: the names of the columns of the rows that follow, in
    `cells`. `row`: its `cells`. `rule`: what came before is over.
    """

    kind: BlockKind
    text: str = ""
    level: int = 1
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage. `heading` is its place ("Tarifs › Entretien"), `content` what is said, `terms`
    what it is found by: those of the content, "|", those of the heading and the title."""

    kind: Literal["row", "prose"]
    heading: str
    content: str
    terms: str


def split(blocks: Iterable[Block], *, title: str, locale: str) -> list[Chunk]:
    """The passages of a document, in reading order; none when it holds no words.

    Takes some 0.2 ms a passage: not for the event loop. Invalid when there are more than
    MAX_CHUNKS.
    """
    analyser = analysis.analyser(locale)
    chunks: list[Chunk] = []
    for kind, heading, content in _Splitter().passages(blocks):
        about = f"{title}\n{heading}"
        terms = " ".join((*analyser.terms(content), "|", *analyser.terms(about)))
        if terms.startswith("|"):
            continue  # punctuation only
        chunks.append(Chunk(kind, heading, content, terms))
        if len(chunks) > MAX_CHUNKS:
            raise Invalid(
                f"the document is split into more than {MAX_CHUNKS} passages; split it into "
                "several documents, or leave out what callers don't ask for",
                message_key="knowledge_too_long",
            )
    return chunks


# ------------------------------------------------------------------------------- reading

_AMOUNT = r"\d[\d\s.,]*\s?(?:€|euros?\b|eur\b)(?:\s?\d\d\b)?"
_PRICE: Final = (
    rf"(?:(?:à partir de|a partir de|dès|des|from|environ|entre|de)\s+)?{_AMOUNT}"
    rf"(?:\s*(?:à|-|–|/|et)\s*{_AMOUNT})?"
    r"(?:\s*(?:ttc|ht|t\.t\.c\.?|h\.t\.?))?(?:\s*(?:/|par|per|la|le|l['’])\s?[^\W\d]+)?"
    r"(?:\s*\([^()]{1,60}\))?"
)
_VALUE: Final = rf"(?:{_PRICE}|sur devis|gratuite?s?|offerte?s?|inclus(?:es?)?|on request|free)"
#: What stands behind dots may also be the end of a sentence; a price with its conditions isn't.
_LONGEST_VALUE: Final = 80
#: "Vidange diesel ........ 89 €"
_LEADERS: Final = re.compile(r"[.…·_‧]{3,}")
#: "Vidange diesel : 89 €", "Vidange diesel 89 € TTC"
_PRICED: Final = re.compile(
    rf"^(?P<label>[^.!?;]{{2,110}}?)"
    rf"(?P<between>\s*[:–—=→\t]\s*|\s+-\s+|\s{{2,}}|\s+)(?P<value>{_VALUE})\s*(?P<end>\.?)$",
    re.IGNORECASE,
)
_SEPARATED: Final = re.compile(r"[;\t|]")
_DIGIT: Final = re.compile(r"\d")
_QUESTION: Final = re.compile(
    r"^\s*(?:q(?:uestion)?\s*(?:n?°?\s*\d+)?\s*[:.)-]\s*)?(?P<q>.{3,300}\?)\s*$", re.IGNORECASE
)
_QUESTION_AND_ANSWER: Final = re.compile(
    r"^\s*(?:q(?:uestion)?\s*[:.)-]\s*)?(?P<q>[^?]{8,200}\?)\s+(?P<a>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER: Final = re.compile(r"^\s*(?:r(?:éponse|eponse)?|a(?:nswer)?)\s*[:.)-]\s*", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+(?=[\W\d]*[^\W\d_])")
#: Not the end of a sentence, though a full stop is followed by a space.
_ABBREVIATION: Final = re.compile(
    r"\b(?:m|mm|mme|mlle|dr|me|st|ste|av|bd|bld|tél|tel|env|ex|art|no|n°|p|approx|e\.g|i\.e|mr|mrs)\.$",
    re.IGNORECASE,
)

_Passage = tuple[Literal["row", "prose"], str, str]


class _Splitter:
    """Walks the blocks once; keeps where it is: headings, the table's columns, what is packed."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._header: tuple[str, ...] = ()
        self._section = ""  # a row with one cell: the title of the rows below it
        self._question = ""
        self._packed: list[str] = []

    def passages(self, blocks: Iterable[Block]) -> Iterator[_Passage]:
        """All, in reading order."""
        for block in blocks:
            yield from self._block(block)
        yield from self._flush()

    def _block(self, block: Block) -> Iterator[_Passage]:
        if block.kind == "row":
            yield from self._row(block.cells)
            return
        if block.kind == "header":
            yield from self._flush()
            self._header, self._section = tuple(map(_line, block.cells)), ""
            return
        self._header, self._section = (), ""
        if block.kind == "heading":
            yield from self._flush()
            self._enter(block.level, _line(block.text))
        elif block.kind == "rule":
            yield from self._flush()
        else:
            yield from self._text(block)

    def _enter(self, level: int, text: str) -> None:
        self._path = [(at, above) for at, above in self._path if at < level]
        if text:
            self._path.append((level, text))

    def _heading(self) -> str:
        parts = [text for _, text in self._path]
        if self._section:
            parts.append(self._section)
        return " › ".join(parts)[-LONGEST_HEADING:]

    # ------------------------------------------------------------------------------ rows

    def _row(self, cells: Sequence[str]) -> Iterator[_Passage]:
        yield from self._flush()
        cells = [_line(cell) for cell in cells]
        filled = [cell for cell in cells if cell]
        if not filled:
            return
        if len(filled) == 1 and len(cells) > 1 and not _DIGIT.search(filled[0]):
            self._section = filled[0]
            return
        text = _said(cells, self._header)
        kind: Literal["row", "prose"] = "row" if len(filled) > 1 else "prose"
        for piece in _pieces(text, LONGEST):
            yield kind, self._heading(), piece

    # ------------------------------------------------------------------------------ text

    def _text(self, block: Block) -> Iterator[_Passage]:
        lines = [line.strip() for line in block.text.splitlines() if line.strip()]
        running: list[str] = []
        for group in _grouped(lines):
            if isinstance(group, str):
                running.append(group)
                continue
            yield from self._prose(running, block.kind)
            running = []
            yield from self._flush()
            header, rows = group
            self._header = header
            for cells in rows:
                yield from self._row(cells)
            self._header, self._section = (), ""
        yield from self._prose(running, block.kind)

    def _prose(self, lines: list[str], kind: BlockKind) -> Iterator[_Passage]:
        """Running text: a question opens a passage that takes its answer in."""
        for text in _paragraphs(lines):
            asked = _QUESTION.match(text)
            both = None if asked else _QUESTION_AND_ANSWER.match(text)
            if asked or both:
                yield from self._flush()
            if asked:
                self._question = _line(asked["q"])
            elif both:
                self._question = _line(both["q"])
                self._packed.append(_ANSWER.sub("", _line(both["a"])))
            else:
                said = _ANSWER.sub("", text) if self._question else text
                yield from self._pack(_line(said), _ENOUGH.get(kind, 0))

    def _pack(self, text: str, enough: int) -> Iterator[_Passage]:
        size = sum(map(len, self._packed))
        full = size + len(text) > TARGET or (size >= enough and not self._question)
        if self._packed and full and not self._packed[-1].endswith(":"):
            question = self._question
            yield from self._flush()
            self._question = question  # a long answer goes on under its question
        self._packed.append(text)

    def _flush(self) -> Iterator[_Passage]:
        text, question = "\n".join(self._packed), self._question
        self._packed, self._question = [], ""
        section, self._section = self._section, ""
        heading = self._heading()
        self._section = section
        if question and not text:
            text, question = question, ""
        room = LONGEST - len(question) - 1 if question else LONGEST
        pieces = [text] if len(text) <= TARGET else list(_pieces(text, min(TARGET, room)))
        for piece in pieces:
            if piece:
                yield "prose", heading, f"{question}\n{piece}" if question else piece


def _line(text: str) -> str:
    return " ".join(text.split())


def _said(cells: Sequence[str], header: Sequence[str]) -> str:
    """A row in one line: "Vidange diesel — Prix TTC : 89 € ; Durée : 45 min"."""
    label, *rest = cells
    parts = []
    for at, cell in enumerate(rest, 1):
        name = header[at] if at < len(header) else ""
        if cell:
            parts.append(
                f"{name} : {cell}" if name and name.casefold() != cell.casefold() else cell
            )
    values = " ; ".join(parts)
    if not label:
        return values
    between = " — " if any(" : " in part for part in parts) else " : "
    return f"{label}{between}{values}" if values else label


_Table = tuple[tuple[str, ...], list[list[str]]]


def _grouped(lines: Sequence[str]) -> Iterator[str | _Table]:
    """Lines as they are, and those that are rows as tables."""
    at = 0
    while at < len(lines):
        table, used = _separated_rows(lines[at:])
        if table is not None:
            yield table
            at += used
            continue
        cells = _cells_of(lines[at])
        yield ((), [cells]) if cells else lines[at]
        at += 1


def _cells_of(line: str) -> list[str] | None:
    """Label and value of a line of a price list, or None."""
    dots = _LEADERS.search(line)
    if dots:
        label, value = line[: dots.start()], line[dots.end() :]
    elif (match := _PRICED.match(line)) and (match["between"] != " " or not match["end"]):
        # "Une caution de 500 euros." is a sentence that happens to end with a price.
        label, value = match["label"], match["value"]
    else:
        return None
    label, value = label.strip(" :–—-•*\t"), value.strip()
    if not label or not value or len(label.split()) > 16 or len(value) > _LONGEST_VALUE:
        return None
    return [label, value]


def _separated_rows(lines: Sequence[str]) -> tuple[_Table | None, int]:
    """The rows that the lines begin with, if two or more have as many separators; their number."""
    marks = _SEPARATED.findall(lines[0].strip("|"))
    if not marks or len(set(marks)) > 1:
        return None, 0
    mark, count = marks[0], len(marks)
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split(mark)]
        if len(cells) != count + 1:
            break
        rows.append(cells)
    used = len(rows)
    if used < 2 or not any(_DIGIT.search(cell) for row in rows for cell in row):
        return None, 0
    rows = [row for row in rows if set("".join(row)) - set("-:= ")]  # Markdown's ruler
    header: tuple[str, ...] = ()
    if not any(_DIGIT.search(cell) for cell in rows[0]):
        header, rows = tuple(rows[0]), rows[1:]
    return (header, rows), used


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Lines that belong together; a question stands alone."""
    together: list[str] = []
    for line in lines:
        if _QUESTION.match(line) or _ANSWER.match(line) or _QUESTION_AND_ANSWER.match(line):
            if together:
                yield "\n".join(together)
            together = []
            yield line
        else:
            together.append(line)
    if together:
        yield "\n".join(together)


def _pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of at most `size`, cut between sentences where there are any."""
    if len(text) <= size:
        yield text
        return
    piece = ""
    for sentence in _sentences(text, size):
        if piece and len(piece) + 1 + len(sentence) > size:
            yield piece
            piece = ""
        piece = f"{piece} {sentence}" if piece else sentence
    if piece:
        yield piece


def _sentences(text: str, size: int) -> Iterator[str]:
    """Whole sentences; of one that is longer than `size`, parts between words."""
    sentence = ""
    for part in (p for line in text.splitlines() for p in _SENTENCE_END.split(line)):
        sentence = f"{sentence} {part}" if sentence else part
        if _ABBREVIATION.search(sentence):
            continue
        yield from _cut(sentence, size)
        sentence = ""
    if sentence:
        yield from _cut(sentence, size)


def _cut(sentence: str, size: int) -> Iterator[str]:
    while len(sentence) > size:
        at = sentence.rfind(" ", 0, size)
        at = at if at > 0 else size
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence

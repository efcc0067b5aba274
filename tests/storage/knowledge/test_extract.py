"""Documents read by the child process: what is kept, and what becomes of hostile ones."""

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from domain.errors import OperatorError
from storage.knowledge.extract import REASONS, ExtractionFailed, Extractor
from storage.knowledge.parsing.blocks import MAX_BYTES, RawBlock
from storage.knowledge.parsing.child import Wanted, answer, parse
from tests.pdf import Word, content, lines, pdf, pdf_of, pdf_of_streams, price_rows, stream

PRICES = [
    ("Vidange huile 5W30 (filtre compris)", "89,00 €"),
    ("Recharge climatisation R134a", "79 €"),
    ("Recharge climatisation R1234yf", "159 €"),
    ("Révision complète, contrôle des points de sécurité inclus", "à partir de 249,90 €"),
]


class Parsed(NamedTuple):
    title: str
    blocks: list[RawBlock]


async def read(data: bytes | str, source_type: str, charset: str = "") -> Parsed:
    """As the child reads it, here: what a format means needs no process."""
    return Parsed(*parse(data.encode() if isinstance(data, str) else data, source_type, charset))


def refusal(data: bytes, source_type: str) -> object:
    """Why it can't be read, as the child says it."""
    error = answer(data, Wanted(source_type)).get("error")
    assert error in REASONS
    return error


async def child_refusal(data: bytes, source_type: str, extractor: Extractor | None = None) -> str:
    """The same from a real child."""
    with pytest.raises(ExtractionFailed) as failed:
        await (extractor or Extractor()).extract(data, source_type)
    assert failed.value.reason in REASONS
    return failed.value.reason


def rows_of(found: Parsed) -> list[tuple[str, ...]]:
    return [block.cells for block in found.blocks if block.kind == "row"]


def words_of(found: Parsed, *kinds: str) -> list[str]:
    return [
        block.text for block in found.blocks if block.text and (block.kind in kinds or not kinds)
    ]


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "-I" in child.cmdline()]


# -------------------------------------------------------------------------------------- PDF


async def test_a_price_list_keeps_each_price_with_its_label() -> None:
    found = await read(pdf([*lines("Tarifs au 1er janvier", size=18), *price_rows(PRICES)]), "pdf")
    assert words_of(found, "heading") == ["Tarifs au 1er janvier"]
    assert rows_of(found) == PRICES


async def test_a_price_list_drawn_column_by_column_is_read_row_by_row() -> None:
    cells = price_rows(PRICES)
    drawn = [word for x in (50, 420) for word in cells if word.x == x]
    assert rows_of(await read(pdf(drawn), "pdf")) == PRICES


async def test_two_price_lists_side_by_side_are_two_rows() -> None:
    page = price_rows(
        [("Œuf mayonnaise", "6,50 €", "Steak frites", "15,90 €"), ("Soupe", "5 €", "Sole", "22 €")],
        columns=(50, 200, 320, 480),
    )
    assert rows_of(await read(pdf(page), "pdf")) == [
        ("Œuf mayonnaise", "6,50 €"),
        ("Steak frites", "15,90 €"),
        ("Soupe", "5 €"),
        ("Sole", "22 €"),
    ]


async def test_a_table_of_several_figures_keeps_its_columns_names() -> None:
    page = price_rows(
        [
            ("Prestation", "Durée", "Prix TTC"),
            ("Vidange", "45 min", "89 €"),
            ("Freins", "2 h", "249 €"),
        ],
        columns=(50, 250, 420),
    )
    found = await read(pdf(page), "pdf")
    assert [block.kind for block in found.blocks] == ["header", "row", "row", "rule"]


async def test_leaders_part_a_label_from_its_price() -> None:
    found = await read(pdf(lines("Vidange ............ 89 €", "Freins . . . . . . . 249 €")), "pdf")
    assert rows_of(found) == [("Vidange", "89 €"), ("Freins", "249 €")]


async def test_prose_in_two_columns_is_read_one_column_after_the_other() -> None:
    left = [
        "Le garage du Port vous accueille du",
        "lundi au vendredi de huit heures à",
        "midi et de quatorze heures à dix-huit",
        "heures. Le samedi sur rendez-vous.",
    ]
    right = [
        "Nous entretenons toutes les marques,",
        "et nous prêtons une voiture pendant",
        "la durée des travaux, sur demande,",
        "dans la limite des disponibilités.",
    ]
    found = await read(pdf([*lines(*left), *lines(*right, x=320)]), "pdf")
    assert rows_of(found) == []
    (text,) = words_of(found)
    assert text.split("\n") == left + right


async def test_what_stands_on_every_page_is_read_once() -> None:
    pages = [
        [
            *lines("Garage du Port - SIRET 12345678900011", top=810),
            *price_rows([(f"Prestation {number}", f"{number}0 €")]),
            *lines(f"Page {number}/3", top=30),
        ]
        for number in (1, 2, 3)
    ]
    found = await read(pdf(*pages), "pdf")
    assert " ".join(words_of(found)).count("SIRET") == 1
    assert not any("Page" in text for text in words_of(found))
    assert len(rows_of(found)) == 3


async def test_a_scan_and_an_empty_page_are_told_apart() -> None:
    image = stream(bytes(100), extra=b"/Type /XObject /Subtype /Image /Width 10 /Height 10 "
                   b"/ColorSpace /DeviceGray /BitsPerComponent 8 ")  # fmt: skip
    scan = pdf_of_streams(
        [stream(b"q 595 0 0 842 0 0 cm /I Do Q")],
        resources=b"/XObject << /I 6 0 R >>",
        more=[image],
    )
    assert refusal(scan, "pdf") == "scanned"
    assert refusal(pdf([]), "pdf") == "empty"


async def test_an_encrypted_file_says_so() -> None:
    from io import BytesIO

    from pypdf import PdfReader, PdfWriter

    def encrypted(user: str) -> bytes:
        writer = PdfWriter(PdfReader(BytesIO(pdf(price_rows(PRICES)))))
        writer.encrypt(user_password=user, owner_password="owner", algorithm="AES-256")
        out = BytesIO()
        writer.write(out)
        return out.getvalue()

    assert refusal(encrypted("secret"), "pdf") == "encrypted"
    assert rows_of(await read(encrypted(""), "pdf")) == PRICES  # only locked against changes
    assert len((await Extractor().extract(encrypted(""), "pdf")).chunks) == len(PRICES)


async def test_too_many_pages() -> None:
    assert refusal(pdf(*([lines("Une page")] * 301)), "pdf") == "too_many_pages"


# ----------------------------------------------------------------------- HTML, Markdown, text

PAGE = """<!doctype html><html><head><title>Garage &amp; Port</title><style>p{color:red}</style>
<script>document.write("pirate")</script></head><body>
<header><nav><a href="/">Accueil</a> <a href="/b">Blog</a></nav><p>Ouvert le samedi</p></header>
<main><h1>Nos <em>tarifs</em></h1>
<table><thead><tr><th>Prestation</th><th>Prix</th></tr></thead>
<tr><td>Vidange</td><td>89&nbsp;€</td></tr><tr><td>Freins<td>249 €</table>
<p>Un <b>texte</b> avec<br>un saut</p><ul><li>un<li>deux</ul>
<dl><dt>Lundi<dd>9h-12h<dt>Mardi<dd>fermé</dl><p hidden>caché</p></main>
<footer><p>12 quai du Port, 44000 Nantes, <a href="tel:+33240000000">02 40 00 00 00</a></p>
<ul><li><a href="/m">Mentions légales</a></li><li><a href="/c">Contact</a></li></ul>
<p>© 2026 Garage du Port</p></footer><div class="cookie-banner">Nous suivons vos pas</div>
</body></html>"""


async def test_a_page_is_read_without_its_frame() -> None:
    found = await read(PAGE, "html")
    assert found.title == "Garage & Port"
    assert words_of(found) == [
        "Ouvert le samedi",
        "Nos tarifs",
        "Un texte avec\nun saut",
        "un",
        "deux",
        "12 quai du Port, 44000 Nantes, 02 40 00 00 00",
    ]
    assert rows_of(found) == [
        ("Vidange", "89 €"), ("Freins", "249 €"), ("Lundi", "9h-12h"), ("Mardi", "fermé"),
    ]  # fmt: skip


async def test_tables_that_lay_a_page_out_are_walked_through() -> None:
    page = "<table><tr><td><p>À gauche</p></td><td><table><tr><td>Vidange<td>89 €</table></table>"
    found = await read(page, "html")
    assert words_of(found) == ["À gauche"]
    assert rows_of(found) == [("Vidange", "89 €")]


@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        ("Prestation;Prix\nVidange;89 €\nFreins;249 €", ["header", "row", "row"]),
        ("Lundi;fermé\nMardi;9 h\nMercredi;9 h", ["row", "row", "row"]),
        ('Nom,Durée,Prix\n"Vidange, filtre",45 min,"89,00 €"', ["header", "row"]),
    ],
)
async def test_lists_of_values_become_rows(table: str, kinds: Sequence[str]) -> None:
    found = await read(table, "text")
    assert [block.kind for block in found.blocks] == [*kinds, "rule"]


async def test_markdown_keeps_tables_lists_and_headings_and_drops_its_html() -> None:
    found = await read(
        "# Tarifs\n\nVoir [nos *conditions*](http://x).\n\n| Prestation | Prix |\n|---|---|\n"
        "| Vidange | 89 € |\n\n- un\n- deux\n\n<script>alert(1)</script>\n",
        "markdown",
    )
    assert found.blocks == [
        RawBlock("heading", "Tarifs", level=1),
        RawBlock("paragraph", "Voir nos conditions."),
        RawBlock("header", cells=("Prestation", "Prix")),
        RawBlock("row", cells=("Vidange", "89 €")),
        RawBlock("rule"),
        RawBlock("item", "un"),
        RawBlock("item", "deux"),
    ]


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("Été à Noël, 5 €".encode(), ""),
        ("Été à Noël, 5 €".encode("cp1252"), ""),
        ("Été à Noël, 5 €".encode("cp1252"), "iso-8859-1"),
        ("Été à Noël, 5 €".encode("iso-8859-15"), "iso-8859-15"),
        ("Été à Noël, 5 €".encode("utf-8-sig"), "windows-1252"),
        ("Été à Noël, 5 €".encode("utf-16"), ""),
        ("Été à Noël, 5 €".encode("utf-16-le"), ""),
        ("Été à Noël, 5 €".encode("utf-16-be"), ""),
        ("Été à Noël, 5 €".encode("utf-32"), ""),
        ("E\u0301te\u0301 a\u0300 Noe\u0308l, 5 €".encode(), "zlib"),
    ],
)
async def test_encodings(data: bytes, charset: str) -> None:
    assert words_of(await read(data, "text", charset)) == ["Été à Noël, 5 €"]


async def test_a_page_says_its_own_encoding() -> None:
    page = '<meta http-equiv="content-type" content="text/html; charset=windows-1252"><p>Été 5 €'
    assert words_of(await read(page.encode("cp1252"), "html")) == ["Été 5 €"]


# --------------------------------------------------------------------------------- hostile


async def test_what_can_not_be_stored_or_seen_is_taken_out() -> None:
    page = "<p>Vidange &#xD800;&#0; \u202e€ 98\u202c\u200b\u00ad fi\ufb01n\x01</p>"
    (text,) = words_of(await read(page, "html"))
    assert text == "Vidange \ufffd\ufffd € 98 fifin"
    text.encode()


async def test_entities_of_its_own_are_not_expanded() -> None:
    bomb = '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY b "' + "&a;" * 10 + '">]><p>&b;&b;</p>'
    found = await read(bomb, "html")
    assert "haha" not in "".join(words_of(found))
    external = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>Texte &x;</p>'
    assert "root:" not in "".join(words_of(await read(external, "html")))


async def test_binary_is_no_text() -> None:
    assert refusal(bytes(range(256)) * 40, "text") == "not_text"
    assert refusal(os.urandom(5000), "markdown") == "not_text"
    assert refusal(b"", "text") == "empty"
    assert refusal(b"   \n\n", "markdown") == "empty"


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", b"%PDF-1.7\n" + os.urandom(3000), b"<html>"])
async def test_a_broken_pdf(data: bytes) -> None:
    assert refusal(data, "pdf") in ("broken", "empty")


async def test_too_large_before_and_after_it_is_read() -> None:
    assert await child_refusal(b"a" * (MAX_BYTES + 1), "text") == "too_large"
    assert await child_refusal(b"a" * 2_000_000, "text") == "too_much_text"


async def test_nesting_as_deep_as_it_likes() -> None:
    found = await read("<div>" * 10_000 + "Vidange 89 €", "html")
    assert words_of(found) == ["Vidange 89 €"]
    # Whatever lies deeper than anybody means is left out.
    assert refusal(b"> " * 5_000 + b"Vidange 89 EUR", "markdown") == "empty"


def bomb(megabytes: int) -> bytes:
    """A page whose content is unpacked to so many MB."""
    packer, megabyte = zlib.compressobj(), b"q Q " * 250_000
    # After a full flush a block knows nothing of those before: the second is all the others too.
    first, other = (packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    checksum = 1
    for _ in range(megabytes):
        checksum = zlib.adler32(megabyte, checksum)
    packed = first + other * (megabytes - 1) + b"\x03\x00" + checksum.to_bytes(4, "big")
    return pdf_of_streams([stream(packed, compressed=False, extra=b"/Filter /FlateDecode ")])


def looping() -> bytes:
    """A page tree that is its own child, twice over."""
    return pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>",
        ]
    )


def far_away() -> bytes:
    """Words a thousand million points apart: the layout has room for each."""
    return pdf([Word(0, 0, "Vidange"), Word(2_000_000_000, 0, "89"), Word(0, 2_000_000_000, "x")])


def forms_in_forms() -> bytes:
    """Each of twelve forms draws the next one ten times."""
    forms = []
    for number in range(12):
        drawn = b"/F Do " * 10 if number < 11 else content(lines("Vidange 89 €"))
        forms.append(
            stream(
                drawn,
                extra=b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] "
                b"/Resources << /Font << /F1 3 0 R >> /XObject << /F %d 0 R >> >> " % (7 + number),
            )
        )
    return pdf_of_streams([stream(b"/F Do")], resources=b"/XObject << /F 6 0 R >>", more=forms)


# Made when they are needed, and not by every worker.
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(partial(bomb, 70), {"too_slow", "too_complex"}, id="bomb of 70 MB"),
        pytest.param(
            partial(bomb, 400), {"too_slow", "too_complex", "broken"}, id="bomb of 400 MB"
        ),
        pytest.param(looping, {"empty", "broken"}, id="loop"),
        pytest.param(far_away, {"too_slow", "too_complex", "read"}, id="far away"),
        pytest.param(
            forms_in_forms, {"too_slow", "too_complex", "too_much_text"}, id="forms in forms"
        ),
    ],
)
async def test_a_pdf_made_to_harm_is_refused_in_time(
    make: Callable[[], bytes], expected: set[str]
) -> None:
    data = make()
    assert len(data) < MAX_BYTES
    begun = time.monotonic()
    outcome = "read"
    try:
        found = await Extractor(wall_seconds=2).extract(data, "pdf")
        assert len(found.content) < 1_000_000
    except ExtractionFailed as failed:
        outcome = failed.reason
    assert outcome in expected
    assert time.monotonic() - begun < 4
    assert children() == []


async def test_a_child_that_never_ends_is_killed() -> None:
    begun = time.monotonic()
    assert await child_refusal(SLOW, "html", Extractor(wall_seconds=1)) == "too_slow"
    assert time.monotonic() - begun < 3
    assert children() == []


#: Minutes of work: a footer's text is read anew for each of its parts.
SLOW = (b"<footer>" + b"<div><a>x y " * 20_000 + b"</footer>")[:MAX_BYTES]


async def test_one_who_gives_up_leaves_no_child_behind() -> None:
    waiting = asyncio.create_task(Extractor().extract(SLOW, "html"))
    for _ in range(200):
        if children():
            break
        await asyncio.sleep(0.02)
    assert children()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert children() == []


async def test_a_child_that_is_killed_is_a_failure_of_its_document() -> None:
    reading = asyncio.create_task(Extractor().extract(SLOW, "html"))
    while not (found := children()):
        await asyncio.sleep(0.02)
    found[0].kill()
    with pytest.raises(ExtractionFailed, match="too_complex"):
        await reading


async def test_six_at_once_are_two_at_a_time() -> None:
    extractor, most = Extractor(), 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(children()))
            await asyncio.sleep(0.01)

    document = "".join(f"{label} : {price}\n" for label, price in PRICES).encode()
    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(extractor.extract(document, "text")) for _ in range(6)]
    watching.cancel()
    assert {task.result().chunks for task in tasks} == {tasks[0].result().chunks}
    assert [chunk.content for chunk in tasks[0].result().chunks] == [
        f"{label} : {price}" for label, price in PRICES
    ]
    assert 1 <= most <= 2


async def test_the_child_has_no_environment_and_can_open_no_more_than_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret@host/database")
    reading = asyncio.create_task(Extractor().extract(SLOW, "html"))
    while not (found := children()):
        await asyncio.sleep(0.01)
    child = found[0]
    # It confines itself before it reads; this is the last of its limits.
    while child.rlimit(psutil.RLIMIT_NPROC) != (0, 0):
        await asyncio.sleep(0.01)
    assert child.environ() == {}
    assert child.nice() == min(os.nice(0) + 10, 19)
    assert child.rlimit(psutil.RLIMIT_AS) == (512 << 20, 512 << 20)
    assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_CPU) == (20, 20)
    assert child.rlimit(psutil.RLIMIT_NOFILE) == (3, 3)
    assert child.num_fds() == 3
    assert child.net_connections() == []
    assert os.getpgid(child.pid) == child.pid
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_the_child_can_open_nothing_and_dial_nobody() -> None:
    script = (
        "import socket, sys; from storage.knowledge.parsing.child import prepare; prepare('pdf')\n"
        "for opened in (lambda: open('/etc/hostname'), socket.socket, lambda: open('x', 'w')):\n"
        "    try: opened()\n"
        "    except OSError as error: print(error.errno)\n"
    )
    root = Path(__file__).parents[3]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), stdout=subprocess.PIPE, cwd=root
    )
    told, _ = await process.communicate()
    assert told.split() == [str(errno.EMFILE).encode()] * 3


async def test_every_format_is_read_with_nothing_left_to_open() -> None:
    """What a library imports late must be there before."""
    extractor = Extractor()
    documents = (
        (pdf(price_rows(PRICES)), "pdf", ""),
        (
            b"# Tarifs\n\n| a | b |\n|---|---|\n| Vidange | 89 |\n\n```\nx;1\ny;2\n```\n",
            "markdown",
            "",
        ),
        (PAGE.encode(), "html", ""),
        ("Vidange : 89 €".encode("iso-8859-15"), "text", "iso-8859-15"),
        ("Vidange : 89 €".encode("utf-32"), "text", ""),
        ("Vidange : 89 euros é".encode("mac_roman"), "text", "macintosh"),
    )
    # Whatever it was in, what was read is split by the same code: each language meets some.
    for (data, source_type, charset), locale in zip(
        documents, cycle(("fr-FR", "en-GB")), strict=False
    ):
        found = await extractor.extract(data, source_type, charset=charset, locale=locale)
        assert found.chunks


async def test_no_process_to_be_had_is_the_operators_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(OperatorError, match="no process"):
        await Extractor().extract(b"Vidange 89", "text")


async def test_it_works_where_a_wheel_was_installed(tmp_path: Path) -> None:
    """From a directory of its own, without this tree and without a working directory."""
    root = Path(__file__).parents[3]
    for package in ("domain", "storage"):
        shutil.copytree(root / package, tmp_path / package)
    script = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1])\n"
        "from storage.knowledge.extract import Extractor, __file__ as here\n"
        "assert here.startswith(sys.argv[1])\n"
        "found = asyncio.run(Extractor().extract('Vidange : 89 €'.encode(), 'text'))\n"
        "print(found.chunks[0].kind)"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", script, str(tmp_path)), stdout=subprocess.PIPE, cwd=tmp_path
    )
    told, _ = await process.communicate()
    assert told == b"row\n"


def test_a_bomb_is_what_it_says() -> None:
    """That the tests above test what they say."""
    packed = bomb(3).split(b"stream\n")[1].removesuffix(b"\nend")
    assert len(packed) < 20_000
    assert zlib.decompress(packed) == b"q Q " * 750_000

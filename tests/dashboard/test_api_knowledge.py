"""Documents over HTTP: from the upload to the answer with its source, and to no answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.catalogue import CATALOGUES
from domain.fetching import ADDRESS_FAULTS, AddressRefused, Fetched
from domain.tenant import Tenant
from server.clock import SystemClock
from storage import Database, Storage
from storage.jobs.worker import JobWorker, Pace
from storage.knowledge.changes import MAX_TENANT_BYTES
from storage.knowledge.documents import MAX_DOCUMENTS
from storage.knowledge.extract import REASONS, Extractor
from storage.knowledge.indexing import Indexing
from storage.knowledge.parsing.blocks import MAX_BYTES
from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem
from tests.pdf import lines, pdf, price_rows

PATH = "/api/v1/knowledge/documents"
PRICE_LIST = pdf(
    [
        *lines("Tarifs entretien"),
        *price_rows(
            [
                ("Vidange diesel", "89 €"),
                ("Recharge climatisation R134a", "79 €"),
                ("Recharge climatisation R1234yf", "159 €"),
            ]
        ),
    ]
)
TEXT = {"title": "Horaires", "content": "Ouvert le samedi matin.", "sourceType": "text"}
Work = Callable[[], Awaitable[None]]


@pytest.fixture
def storage(database: Database) -> Storage:
    """By the machine's clock, as the worker's."""
    return Storage(database, SystemClock())


class Web:
    """One page."""

    async def fetch(self, url: str, *, max_bytes: int | None = None) -> Fetched:
        if url != "https://garage.example/tarifs":
            raise AddressRefused("status", status=404)
        body = b"<title>Nos pneus</title><p>Montage d'un pneu : 15 EUR</p>"
        return Fetched(200, "text/html", "", body, url)


@pytest.fixture
def work(database: Database, storage: Storage) -> Work:
    """Does all that waits, as a worker of its own would."""
    indexing = Indexing(database, storage, SystemClock(), extractor=Extractor(), fetcher=Web())
    kinds = [kind for kind in indexing.kinds() if kind.every is None]

    async def run() -> None:
        worker = JobWorker(database, SystemClock(), kinds, pace=Pace(poll=0.02, beat=0.2))
        await worker.run(until_idle=True)

    return run


async def upload(client: Client, data: bytes, name: str = "tarifs.pdf", **fields: str) -> Any:
    kind = fields.pop("type", "application/pdf")
    files = {"file": (name, data, kind)}
    return await client.send("POST", f"{PATH}/upload", files=files, data=fields)


async def add(client: Client, **body: Any) -> str:
    answer = await client.send("POST", PATH, json=body)
    assert answer.status_code == 201, answer.text
    document_id: str = answer.json()["document"]["id"]
    return document_id


async def ask(client: Client, question: str, path: str = "ask") -> Any:
    answer = await client.send("POST", f"/api/v1/knowledge/{path}", json={"question": question})
    assert answer.status_code == 200, answer.text
    return answer.json()


@BOTH_DATABASES
async def test_a_price_list_from_its_upload_to_its_deletion(
    owner: Client, stranger: Client, work: Work
) -> None:
    answer = await upload(owner, PRICE_LIST, "../../Tarifs_2026.pdf", category="prix")
    assert answer.status_code == 201, answer.text
    document = answer.json()["document"]
    assert (document["status"], document["title"]) == ("pending", "Tarifs 2026")
    assert (document["sourceType"], document["category"]) == ("pdf", "prix")
    assert (await ask(owner, "combien coûte une vidange diesel ?"))["status"] == "nothing"

    await work()
    (document,) = (await owner.get(PATH))["documents"]
    assert (document["status"], document["chunkCount"], document["error"]) == ("ready", 3, None)
    found = await ask(owner, "combien coûte une vidange diesel ?")
    assert found["status"] == "found"
    passage = found["passages"][0]
    assert passage["text"] == "Vidange diesel : 89 €"
    assert passage["source"] == {
        "documentId": document["id"],
        "title": "Tarifs 2026",
        "url": None,
        "heading": "Tarifs entretien",
    }
    both = await ask(owner, "la recharge de climatisation", "search")
    assert both["status"] == "ambiguous"
    assert len(both["passages"]) == 2
    precise = await ask(owner, "la recharge de clim en R1234yf")
    assert [each["text"] for each in precise["passages"]] == [
        "Recharge climatisation R1234yf : 159 €"
    ]
    assert (await ask(stranger, "combien coûte une vidange diesel ?"))["status"] == "nothing"

    shown = (await owner.get(f"{PATH}/{document['id']}"))["document"]
    assert "Vidange diesel | 89 €" in shown["content"]
    answer = await owner.send("DELETE", f"{PATH}/{document['id']}")
    assert answer.status_code == 200
    assert (await ask(owner, "combien coûte une vidange diesel ?"))["status"] == "nothing"
    assert_problem(await owner.send("GET", f"{PATH}/{document['id']}"), 404)
    assert (await owner.get(PATH))["total"] == 0


@BOTH_DATABASES
async def test_the_bin(owner: Client, stranger: Client, work: Work) -> None:
    document_id = (await upload(owner, PRICE_LIST)).json()["document"]["id"]
    await work()
    await owner.send("DELETE", f"{PATH}/{document_id}")
    (deleted,) = (await owner.get(f"{PATH}/deleted"))["documents"]
    assert (deleted["id"], deleted["status"]) == (document_id, "deleted")
    assert deleted["deleted_at"]
    assert (await stranger.get(f"{PATH}/deleted"))["documents"] == []
    assert_problem(await stranger.send("POST", f"{PATH}/{document_id}/restore"), 404)
    assert (await owner.send("POST", f"{PATH}/{document_id}/restore")).status_code == 200
    await work()
    assert (await ask(owner, "une vidange diesel"))["status"] == "found"
    assert_problem(await owner.send("POST", f"{PATH}/{document_id}/restore"), 404)


@BOTH_DATABASES
async def test_a_text_is_changed_and_read_again(owner: Client, work: Work) -> None:
    document_id = await add(owner, **TEXT)
    await work()
    assert (await ask(owner, "ouvert le samedi"))["passages"][0]["text"] == TEXT["content"]
    changed = await owner.send(
        "PATCH", f"{PATH}/{document_id}", json={"content": "Fermé le samedi.", "category": "h"}
    )
    assert changed.json()["document"]["status"] == "pending"
    # What was read answers until the new text has been read.
    assert (await ask(owner, "le samedi"))["passages"][0]["text"] == TEXT["content"]
    await work()
    assert (await ask(owner, "le samedi"))["passages"][0]["text"] == "Fermé le samedi."
    shown = (await owner.get(f"{PATH}/{document_id}"))["document"]
    assert (shown["content"], shown["category"], shown["title"]) == (
        "Fermé le samedi.", "h", "Horaires",
    )  # fmt: skip
    only = await owner.send("PATCH", f"{PATH}/{document_id}", json={"category": None})
    assert only.json()["document"]["status"] == "ready"  # found by neither: nothing to read
    assert only.json()["document"]["category"] is None


async def test_a_page_and_a_page_that_is_not_there(owner: Client, work: Work) -> None:
    page = await add(owner, url="https://garage.example/tarifs")
    lost = await add(owner, url="https://garage.example/perdu", title="Perdu")
    await work()
    listed = {each["id"]: each for each in (await owner.get(PATH))["documents"]}
    assert (listed[page]["status"], listed[page]["title"]) == ("ready", "Nos pneus")
    assert listed[lost]["status"] == "failed"
    assert listed[lost]["errorCode"] == "address_status"
    assert listed[lost]["error"] == CATALOGUES["fr"]["address_status"]
    found = await ask(owner, "le montage d'un pneu")
    assert found["passages"][0]["source"]["url"] == "https://garage.example/tarifs"
    again = await owner.send("POST", f"{PATH}/{lost}/reindex")
    assert (again.json()["document"]["status"], again.json()["document"]["error"]) == (
        "pending", None,
    )  # fmt: skip


async def test_why_a_file_can_not_be_read_is_said_in_the_owners_words(
    owner: Client, stranger: Client, work: Work
) -> None:
    for client in (owner, stranger):
        assert (await upload(client, pdf([]), "vide.pdf")).status_code == 201
        assert (await upload(client, b"%PDF-1.4 rien", "cassé.pdf")).status_code == 201
    await work()
    for client, language in ((owner, "fr"), (stranger, "en")):
        listed = (await client.get(PATH))["documents"]
        assert {each["error"] for each in listed} == {
            CATALOGUES[language]["document_empty"],
            CATALOGUES[language]["document_broken"],
        }


def test_every_reason_has_its_sentence() -> None:
    keys = {f"document_{reason}" for reason in REASONS} | {f"address_{c}" for c in ADDRESS_FAULTS}
    assert not keys - CATALOGUES["fr"].keys()
    assert all(CATALOGUES[language][key] for language in ("fr", "en") for key in keys)


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": "T"}, "content"),
        ({"title": "T", "content": "  \n"}, "content"),
        ({"title": " ", "content": "x"}, "title"),
        ({"title": "a\nb", "content": "x"}, "title"),
        ({"title": "T" * 201, "content": "x"}, "title"),
        ({"title": "T", "content": "x", "category": "c" * 81}, "category"),
        ({"title": "T", "content": "x", "sourceType": "pdf"}, "sourceType"),
        ({"title": "T", "content": "x", "url": "https://a.fr"}, "url"),
        ({"url": "ftp://a.fr/x"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://me:hunter2@a.fr/prices"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://a.fr/" + "a" * 2000}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
    ],
)
async def test_a_document_that_can_not_be_one(
    owner: Client, body: dict[str, Any], field: str
) -> None:
    assert_problem(await owner.send("POST", PATH, json=body), 422, field)
    assert (await owner.get(PATH))["total"] == 0


async def test_questions_that_are_none(owner: Client) -> None:
    path = "/api/v1/knowledge/ask"
    for body in ({}, {"question": ""}, {"question": "x" * 501}, {"question": "a\x07b"}):
        assert_problem(await owner.send("POST", path, json=body), 422, "question")
    body = {"query": "la vidange", "limit": 11}
    assert_problem(await owner.send("POST", path, json=body), 422, "limit")
    for question in ("?", "'; DROP TABLE knowledge_chunks; --", '" OR *', "NEAR(a b)", "a & ! |"):
        assert (await ask(owner, question))["status"] == "nothing"


async def test_the_text_of_a_file_is_not_changed_here(owner: Client) -> None:
    document_id = (await upload(owner, PRICE_LIST)).json()["document"]["id"]
    answer = await owner.send("PATCH", f"{PATH}/{document_id}", json={"content": "x"})
    assert assert_problem(answer, 422, "content")["code"] == "document_not_editable"


async def test_what_is_another_s_is_not_there(owner: Client, stranger: Client) -> None:
    document_id = await add(owner, **TEXT)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "Volé"}),
        ("DELETE", "", None),
        ("POST", "/reindex", None),
        ("POST", "/restore", None),
    ):
        answer = await stranger.send(method, f"{PATH}/{document_id}{path}", json=body)
        assert_problem(answer, 404)
    assert (await stranger.get(PATH))["documents"] == []
    assert (await owner.get(PATH))["documents"][0]["title"] == "Horaires"
    for odd in ("..%2F..", "%00", "a" * 200, "é"):
        assert_problem(await owner.send("GET", f"{PATH}/{odd}"), 404)


# ---------------------------------------------------------------------------------- uploads


@pytest.mark.parametrize(
    ("name", "kind", "data", "source_type"),
    [
        ("tarifs.csv", "text/csv", b"Vidange;89", "text"),
        ("tarifs.csv", "application/vnd.ms-excel", b"Vidange;89", "text"),
        ("FAQ.MD", "application/octet-stream", b"# FAQ", "markdown"),
        ("page.htm", "text/html", b"<p>x", "html"),
        ("sans-nom", "", b"<!doctype html><p>x", "html"),
        ("tarifs.txt", "text/plain", PRICE_LIST, "pdf"),
        ("tarifs.txt", "application/pdf", b"Vidange 89", "text"),
        ("tarifs.pdf", "application/pdf", b"Vidange 89", "pdf"),  # broken, as its parser says
        ("notes", "application/octet-stream", b"Vidange 89", "text"),
    ],
)
async def test_formats_by_content_type_and_name(
    owner: Client, name: str, kind: str, data: bytes, source_type: str
) -> None:
    answer = await upload(owner, data, name, type=kind)
    assert answer.status_code == 201, answer.text
    assert answer.json()["document"]["sourceType"] == source_type


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("tarifs.docx", "application/vnd.openxmlformats", b"PK\x03\x04 word"),
        ("tarifs.pdf", "application/pdf", b"PK\x03\x04 a zip that says it is a PDF"),
        ("photo.png", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("programme.exe", "application/octet-stream", b"MZ\x00\x00"),
    ],
)
async def test_formats_that_we_do_not_read(
    owner: Client, name: str, kind: str, data: bytes
) -> None:
    answer = await upload(owner, data, name, type=kind)
    assert assert_problem(answer, 422, "file")["code"] == "document_unsupported"
    assert (await owner.get(PATH))["total"] == 0


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x.txt", "C:\\temp\\x.txt", "x\x00\n\u202e.txt", "a" * 4000 + ".txt"]
)
async def test_a_file_s_name_is_data(owner: Client, name: str, tmp_path: Path) -> None:
    answer = await upload(owner, b"Vidange 89", name, type="text/plain")
    assert answer.status_code == 201, answer.text
    title = answer.json()["document"]["title"]
    assert "/" not in title
    assert "\\" not in title
    assert title.isprintable()
    assert len(title) <= 200


async def form(
    client: Client, content: Any, kind: str | bytes = "multipart/form-data; boundary=b"
) -> Any:
    headers = {"content-type": kind}
    return await client.send("POST", f"{PATH}/upload", content=content, headers=headers)


def part(name: str, data: bytes, extra: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + data + b"\r\n"


FILE = part("file", b"Vidange 89", '; filename="a.txt"')


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"no form at all", 400),
        (FILE, 422),  # never ends
        (part("title", b"x") + b"--b--\r\n", 422),
        (part("file", b"x") + b"--b--\r\n", 422),  # a field of that name is no file
        (part("file", b"", '; filename="a.txt"') + b"--b--\r\n", 422),
        (FILE + FILE + b"--b--\r\n", 400),
        (FILE + part("x", b"y") * 9 + b"--b--\r\n", 400),
        (FILE + part("title", b"y" * 9000) + b"--b--\r\n", 400),
        (FILE + part("title", b"\xff\xfe\x00") + b"--b--\r\n", 422),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\n" + b"X-A: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n", 413),
    ],
)
async def test_forms_that_are_none(owner: Client, content: bytes, status: int) -> None:
    answer = await form(owner, content)
    assert answer.status_code in (status, 400), answer.text
    assert_problem(answer, answer.status_code, answer.json().get("field"))
    assert (await owner.get(PATH))["total"] == 0


async def test_an_upload_must_be_declared_as_one(owner: Client) -> None:
    for kind, status in (
        ("application/json", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "b" * 71, 400),
        (b'multipart/form-data; boundary="\xe9"', 400),
        ("multipart/form-data; charset=zip; boundary=b", 201),
    ):
        answer = await form(owner, FILE + b"--b--\r\n", kind)
        assert answer.status_code == status, (kind, answer.text)


async def test_an_upload_beyond_its_size(owner: Client) -> None:
    answer = await upload(owner, b"a" * (MAX_BYTES + 1), "a.txt", type="text/plain")
    assert assert_problem(answer, 413, "file")["code"] == "document_too_large"
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        while sent < 4 * MAX_BYTES:
            sent += 65536
            yield b"a" * 65536

    assert_problem(await form(owner, endless()), 413, "file")
    assert sent <= MAX_BYTES + 2 * 65536  # it isn't listened to for longer
    assert (await owner.get(PATH))["total"] == 0


async def test_a_slow_upload_is_let_go(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.api.upload.UPLOAD_SECONDS", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        await asyncio.sleep(30)
        yield b"a"

    assert_problem(await form(owner, slow()), 408)


async def test_how_much_a_tenant_may_keep(
    owner: Client, stranger: Client, garage: Tenant, storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert MAX_TENANT_BYTES == 100 * 1024 * 1024
    assert MAX_DOCUMENTS == 500
    monkeypatch.setattr("storage.knowledge.changes.MAX_TENANT_BYTES", 2000)
    assert (await upload(owner, b"Vidange 89 " * 150, "a.txt")).status_code == 201
    answer = await upload(owner, b"Vidange 89 " * 150, "b.txt")
    assert assert_problem(answer, 409)["code"] == "knowledge_full"
    assert_problem(await owner.send("POST", PATH, json={**TEXT, "content": "x" * 1500}), 409)
    assert (await upload(stranger, b"Vidange 89 " * 150, "b.txt")).status_code == 201
    monkeypatch.setattr("storage.knowledge.documents.MAX_DOCUMENTS", 2)
    await add(owner, **TEXT)
    assert_problem(await owner.send("POST", PATH, json=TEXT), 409)


async def test_many_uploads_at_once(owner: Client, work: Work) -> None:
    async with asyncio.TaskGroup() as tasks:
        sent = [
            tasks.create_task(
                upload(owner, f"Forfait x{n}y : {n} €".encode(), f"f{n}.txt", type="text/plain")
            )
            for n in range(5)
        ]
    answers: list[httpx.Response] = [task.result() for task in sent]
    assert {answer.status_code for answer in answers} == {201}
    await work()
    assert (await ask(owner, "le forfait x3y"))["passages"][0]["text"] == "Forfait x3y : 3 €"

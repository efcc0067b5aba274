"""Documents by the command line and by a real server with its worker."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.pdf import lines, pdf, price_rows
from tests.running import ADMIN
from tests.server.test_commands import Command, coccinelle
from tests.server.test_serve import free_port, lines_until, serving

__all__ = ["coccinelle"]  # the fixture


def test_a_document_is_added_listed_and_deleted(coccinelle: Command, tmp_path: Path) -> None:
    code, out, _ = coccinelle("tenants", "create", "--name", "Garage du Port")
    assert code == 0
    tenant = out.split()[1]
    path = tmp_path / "Tarifs_2026.md"
    path.write_text("# Tarifs\n\n| Vidange | 89 € |\n")
    code, out, err = coccinelle("knowledge", "add", str(path), "--tenant", tenant)
    assert code == 0, err
    document = out.strip()
    code, out, _ = coccinelle("knowledge", "list", "--tenant", tenant)
    assert out.split("\t")[:5] == [document, "pending", "0", "markdown", "Tarifs 2026"]
    code, out, _ = coccinelle("knowledge", "ask", "la vidange", "--tenant", tenant)
    assert (code, out) == (0, "nothing\n")
    assert coccinelle("knowledge", "delete", document, "--tenant", tenant)[0] == 0
    assert coccinelle("knowledge", "list", "--tenant", tenant)[1] == ""
    code, _, err = coccinelle("knowledge", "delete", document, "--tenant", tenant)
    assert code == 1
    code, _, err = coccinelle("knowledge", "add", str(tmp_path / "x.pdf"), "--tenant", tenant)
    assert code == 2
    code, _, err = coccinelle("knowledge", "add", str(path), "--tenant", "nobody")
    assert code == 1
    assert "coccinelle tenants list" in err


class Site(BaseHTTPRequestHandler):
    """A garage's own page."""

    def do_GET(self) -> None:
        body = "<title>Le garage</title><p>Montage d’un pneu : 15 €</p>".encode("cp1252")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=windows-1252")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


@contextmanager
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/pneus"
        server.shutdown()
        thread.join()


def test_a_server_s_own_worker_reads_files_and_pages(tmp_path: Path) -> None:
    port = free_port()
    with (
        site() as address,
        serving(
            tmp_path,
            PORT=str(port),
            ADMIN_API_KEY=ADMIN,
            GUARD_ALLOWED_NETWORKS="127.0.0.0/8",
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False) as http,
    ):
        lines_until(process, "listening")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # type: ignore[union-attr]
        admin = {"Authorization": f"Bearer {ADMIN}"}
        tenant = http.post("/tenants", json={"name": "Garage"}, headers=admin).json()["id"]
        key = http.post(f"/tenants/{tenant}/keys", json={}, headers=admin).json()["key"]
        http.headers["Authorization"] = f"Bearer {key}"
        data = pdf([*lines("Tarifs"), *price_rows([("Vidange diesel", "89 €")])])
        http.post("/v1/knowledge/documents/upload", files={"file": ("tarifs.pdf", data)})
        http.post("/v1/knowledge/documents", json={"url": address})
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            documents = http.get("/v1/knowledge/documents").json()["documents"]
            if all(each["status"] in ("ready", "failed") for each in documents):
                break
            time.sleep(0.1)
        assert sorted((each["title"], each["status"], each["error"]) for each in documents) == [
            ("Le garage", "ready", None),
            ("tarifs", "ready", None),
        ]
        for question, text in (
            ("combien coûte la vidange", "Vidange diesel : 89 €"),
            ("le montage d'un pneu", "Montage d’un pneu : 15 €"),
        ):
            answer = http.post("/v1/knowledge/ask", json={"question": question}).json()
            assert (answer["status"], answer["passages"][0]["text"]) == ("found", text)

"""Search on both databases: what is found, what isn't, whose it is, how fast."""

import time
from statistics import quantiles

import pytest
import pytest_asyncio

from domain.errors import Conflict, Invalid
from domain.tenant import Tenant
from storage import Database, Storage
from storage.knowledge.documents import NewDocument, mark
from storage.knowledge.parsing.child import Wanted, read
from storage.knowledge.search import EmbeddedKnowledge
from storage.knowledge.split import Block, Chunk, split
from tests.knowledge_set import BUSINESSES, documents, measure


async def add(storage: Storage, tenant: Tenant, markdown: str, title: str = "Tarifs") -> str:
    told = read(markdown.encode(), Wanted("markdown", title=title, locale=tenant.locale))
    chunks = told["chunks"]
    assert isinstance(chunks, list)
    async with storage.tenant(tenant.id).write() as rows:
        document_id = await rows.knowledge.add(NewDocument(title, "markdown", markdown))
        assert await rows.knowledge.begin(document_id, 1)
        gone = await rows.knowledge.replace_chunks(document_id, 1, [Chunk(*c) for c in chunks])
        assert gone == []
    return document_id


async def texts(storage: Storage, tenant: Tenant, question: str) -> list[str]:
    found = await EmbeddedKnowledge(storage).search(tenant.id, question)
    return [passage.text for passage in found.passages]


# ------------------------------------------------------------------------- the French set


@pytest_asyncio.fixture(loop_scope="session")
async def businesses(storage: Storage) -> dict[str, str]:
    tenants = {}
    for business, title, content, chunks in documents():
        tenant = await storage.operator.create_tenant(business)
        tenants[business] = tenant.id
        async with storage.tenant(tenant.id).write() as rows:
            document_id = await rows.knowledge.add(NewDocument(title, "markdown"))
            await rows.knowledge.replace_chunks(document_id, 1, chunks, content=content)
    assert set(tenants) == set(BUSINESSES)
    return tenants


async def test_recall_on_what_was_tuned_with(storage: Storage, businesses: dict[str, str]) -> None:
    """Measured: see docs/decisions/0014-knowledge-search.md."""
    measured = await measure(EmbeddedKnowledge(storage), businesses, "tuning")
    assert measured.answered >= 120, measured
    assert measured.third >= 0.95 * measured.answered, (str(measured), measured.wrong)
    assert measured.first >= 0.92 * measured.answered, (str(measured), measured.wrong)
    assert measured.invented <= 0.05 * measured.unanswerable, (str(measured), measured.wrong)
    assert measured.noticed == measured.ambiguous, (str(measured), measured.wrong)
    assert measured.asked_back <= 0.05 * measured.answered, (str(measured), measured.wrong)


async def test_recall_on_what_was_held_out(storage: Storage, businesses: dict[str, str]) -> None:
    measured = await measure(EmbeddedKnowledge(storage), businesses, "held_out")
    assert measured.third >= 0.88 * measured.answered, str(measured)
    assert measured.invented <= 0.05 * measured.unanswerable, str(measured)
    assert measured.noticed >= 0.9 * measured.ambiguous, str(measured)


# ------------------------------------------------------------------------------ behaviour

LIST = """
| Prestation | Prix |
|---|---|
| Vidange diesel | 99 € |
| Recharge clim R1234yf | 129 € |
| Cœur de palmier à l'œuf | 12 € |
"""


@pytest.mark.parametrize(
    "question",
    [
        "R1234yf",
        "recharge r 1234 yf",
        "R-1234-YF",
        "la clim en r douze cent trente quatre yf",
        "cœurs de palmiers",
        "COEUR DE PALMIER",
        "l'œuf",
        "l'oeuf",
        "les oeufs",
    ],
)
async def test_found_as_it_is_said(storage: Storage, garage: Tenant, question: str) -> None:
    await add(storage, garage, LIST)
    assert len(await texts(storage, garage, question)) == 1


@pytest.mark.parametrize(
    "question",
    [
        "' OR 1=1 --",
        '"vidange" NEAR("diesel")',
        "terms:vidange*",
        "vidange) & !(diesel | :*",
        "'vidange':* <-> diesel\\",
        "-- ; DROP TABLE knowledge_chunks",
        "\x00\ud800vidange",
        "AND OR NOT NEAR",
        "%" * 5000,
        "vidange " * 5000,
    ],
)
async def test_no_question_is_a_query(storage: Storage, garage: Tenant, question: str) -> None:
    await add(storage, garage, LIST)
    for text in await texts(storage, garage, question):
        assert text.startswith("Vidange diesel")


async def test_only_letters_and_digits_reach_the_index(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.knowledge.postings([]) == []
        for term in ('a"b', "a'b", "a b", "a*", ""):
            with pytest.raises(ValueError, match="letters and digits"):
                await rows.knowledge.postings([term])


async def test_another_tenants_documents_answer_nothing(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    await add(storage, garage, LIST)
    await add(storage, dentist, "| Acte | Prix |\n|---|---|\n| Vidange de kyste | 60 € |")
    assert await texts(storage, garage, "vidange") == ["Vidange diesel — Prix : 99 €"]
    assert await texts(storage, dentist, "vidange") == ["Vidange de kyste — Prix : 60 €"]
    assert await texts(storage, dentist, "vidange diesel") == []


async def test_even_where_their_marks_were_the_same(
    storage: Storage, garage: Tenant, dentist: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark makes search fast; whose a passage is, its row says."""
    monkeypatch.setattr("storage.knowledge.documents.mark", lambda tenant_id: "abcdefgh")
    await add(storage, garage, LIST)
    assert await texts(storage, dentist, "vidange diesel") == []
    assert await texts(storage, garage, "vidange diesel") != []


def test_a_mark_is_eight_letters() -> None:
    assert mark("a") != mark("b")
    assert mark("a").isalpha()
    assert len(mark("a")) == 8


async def test_the_rarer_word_decides(storage: Storage, garage: Tenant) -> None:
    rows = "\n".join(f"| Montage pneu {size} pouces | {size} € |" for size in range(13, 21))
    await add(storage, garage, f"| Prestation | Prix |\n|---|---|\n{rows}\n| Rustine pneu | 9 € |")
    assert await texts(storage, garage, "rustine pneu") == ["Rustine pneu — Prix : 9 €"]
    assert await texts(storage, garage, "un pneu de 17 pouces") == [
        "Montage pneu 17 pouces — Prix : 17 €"
    ]


async def test_the_same_list_twice_is_not_ambiguous(storage: Storage, garage: Tenant) -> None:
    await add(storage, garage, LIST)
    await add(storage, garage, LIST)
    found = await EmbeddedKnowledge(storage).search(garage.id, "vidange diesel")
    assert (len(found.passages), found.ambiguous) == (1, False)


async def test_english(storage: Storage) -> None:
    tenant = await storage.operator.create_tenant("The Garage", locale="en-GB")
    await add(
        storage,
        tenant,
        "# Prices\n\n| Service | Price |\n|---|---|\n| Diesel oil change | £99 |\n"
        "| Puncture repair | £25 |\n\n# FAQ\n\nDo you lend a courtesy car?\n\nYes, if you book it.",
    )
    assert await texts(storage, tenant, "how much is an oil change for a diesel") == [
        "Diesel oil change — Price : £99"
    ]
    assert await texts(storage, tenant, "I've got punctures, can you repair them") != []
    assert "Yes" in (await texts(storage, tenant, "have you got a loan car"))[0]
    assert await texts(storage, tenant, "price of a clutch") == []


async def test_a_passage_has_its_place(storage: Storage, garage: Tenant) -> None:
    document_id = await add(storage, garage, "# Tarifs\n\n## Freins\n\nPurge ..... 59 €")
    found = await EmbeddedKnowledge(storage).search(garage.id, "purge")
    (passage,) = found.passages
    assert (passage.document_id, passage.title, passage.heading) == (
        document_id,
        "Tarifs",
        "Tarifs › Freins",
    )
    assert passage.kind == "row"


# ------------------------------------------------------------------------------- a life


async def test_a_deleted_document_no_longer_answers(storage: Storage, garage: Tenant) -> None:
    document_id = await add(storage, garage, LIST)
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.knowledge.delete(document_id)
        assert not await rows.knowledge.delete(document_id)
    assert await texts(storage, garage, "vidange") == []
    async with storage.tenant(garage.id).read() as reading:
        assert await reading.knowledge.get(document_id) is None
        assert not await reading.knowledge.has_any()
        assert (await reading.knowledge.postings(["vidang"]))[0] == set()


async def test_a_deleted_tenant_leaves_nothing_in_the_index(
    storage: Storage, garage: Tenant, database: Database
) -> None:
    """The cascade fires the triggers: numbers are dealt out anew."""
    await add(storage, garage, LIST)
    async with database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM tenants")
    async with storage.tenant(garage.id).read() as rows:
        assert list(await rows.knowledge.postings(["vidang", "r1234yf"])) == [set(), set()]
    if database.dialect == "sqlite":
        async with database.write() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO knowledge_index (knowledge_index) VALUES ('integrity-check')"
            )


async def test_indexing_anew_replaces(storage: Storage, garage: Tenant) -> None:
    document_id = await add(storage, garage, LIST)
    async with storage.tenant(garage.id).write() as rows:
        revision = await rows.knowledge.reindex(document_id)
        assert revision == 2
    assert await texts(storage, garage, "vidange") != []  # until it is replaced
    chunks = split([Block("paragraph", "Révision : 200 €")], title="Tarifs", locale="fr-FR")
    async with storage.tenant(garage.id).write() as rows:
        gone = await rows.knowledge.replace_chunks(document_id, 2, chunks)
        assert gone is not None
        assert len(gone) == 3
    assert await texts(storage, garage, "vidange") == []
    assert await texts(storage, garage, "révision") == ["Révision : 200 €"]


async def test_who_comes_too_late_changes_nothing(storage: Storage, garage: Tenant) -> None:
    document_id = await add(storage, garage, LIST)
    chunks = split([Block("paragraph", "Vieux prix : 1 €")], title="", locale="fr-FR")
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.knowledge.reindex(document_id) == 2
        assert await rows.knowledge.replace_chunks(document_id, 1, chunks) is None
        assert not await rows.knowledge.begin(document_id, 1)
        assert not await rows.knowledge.fail(document_id, 1, "too_large")
        document = await rows.knowledge.get(document_id)
        assert document is not None
        assert (document.status, document.revision, document.error) == ("pending", 2, None)
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.knowledge.delete(document_id)
        assert await rows.knowledge.replace_chunks(document_id, 2, chunks) is None
    assert await texts(storage, garage, "prix") == []


async def test_too_many_passages_change_nothing(
    storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await add(storage, garage, LIST)
    monkeypatch.setattr("storage.knowledge.documents.MAX_TENANT_CHUNKS", 3)
    chunks = split([Block("paragraph", f"Prix {n} : 1 €") for n in range(4)], title="", locale="fr")

    async def replace() -> None:
        async with storage.tenant(garage.id).write() as rows:
            await rows.knowledge.reindex(document_id)
            await rows.knowledge.replace_chunks(document_id, 2, chunks)

    with pytest.raises(Invalid, match="more than 3"):
        await replace()
    assert await texts(storage, garage, "vidange") != []


async def test_too_many_documents(
    storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.knowledge.documents.MAX_DOCUMENTS", 1)
    await add(storage, garage, LIST)
    with pytest.raises(Conflict):
        await add(storage, garage, LIST)


async def test_passages_by_id_are_the_tenants(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    document_id = await add(storage, garage, LIST)
    async with storage.tenant(garage.id).read() as rows:
        entries = await rows.knowledge.entries(document_id)
        ids = [entry.chunk_id for entry in entries]
        assert [entry.chunk_id for entry in entries] == [f"{document_id}-1-{at}" for at in range(3)]
        assert set(await rows.knowledge.passages(ids)) == set(ids)
    async with storage.tenant(dentist.id).read() as theirs:
        assert await theirs.knowledge.passages(ids) == {}
        assert list(await theirs.knowledge.entries(document_id)) == []


# --------------------------------------------------------------------------------- time


async def test_fast_enough_for_a_call(storage: Storage, garage: Tenant) -> None:
    """A tenant of 2,000 passages. A loose guard: 20 ms is what is measured on an idle machine
    among 200 such tenants (docs/decisions/0014-knowledge-search.md)."""
    kinds = ("Vidange", "Plaquettes", "Disques", "Courroie", "Batterie", "Pneu", "Filtre", "Clim")
    rows_of = [
        Block("row", cells=(f"{kinds[n % 8]} modèle {n} référence RX{n}", f"{n} €"))
        for n in range(2000)
    ]
    header = Block("header", cells=("Prestation", "Prix TTC"))
    chunks = split([header, *rows_of], title="Tarifs", locale="fr-FR")
    async with storage.tenant(garage.id).write() as rows:
        document_id = await rows.knowledge.add(NewDocument("Tarifs", "text"))
        await rows.knowledge.replace_chunks(document_id, 1, chunks)
    knowledge = EmbeddedKnowledge(storage)
    taken = []
    for n in range(40):
        question = f"combien coûte la vidange du modèle {n * 7} référence RX {n * 7}"
        started = time.perf_counter()
        found = await knowledge.search(garage.id, question)
        taken.append(time.perf_counter() - started)
        if n % 8 == 0:
            assert f"RX{n * 7} " in found.passages[0].text
    assert quantiles(taken, n=20)[-1] < 0.2


FIGURES = """
| Article | Prix |
|---|---|
| Pneu Michelin 205/65 R16 | 119 € |
| Forfait vidange Clio 3 | 89 € |
| Écran iPhone 12 | 149 € |
| Bouteille propane 35 kg | 95 € |
| Révision 30 000 km | 199 € |
| Montage | 15 € |
"""


@pytest.mark.parametrize(
    "question",
    [
        "prix pneu Michelin 205/55 R16",
        "forfait vidange Clio 5",
        "écran iPhone treize prix",
        "le prix de la bouteille propane 13 kg",
        "révision 60 000 km prix",
    ],
)
async def test_another_size_or_model_has_another_price(
    storage: Storage, garage: Tenant, question: str
) -> None:
    await add(storage, garage, FIGURES)
    assert await texts(storage, garage, question) == []


@pytest.mark.parametrize(
    ("question", "price"),
    [
        ("prix de 2 pneus Michelin 205/65 R16", "119 €"),
        ("écran iPhone douze prix", "149 €"),
        ("révision 30000 km prix", "199 €"),
        ("prix du montage", "15 €"),
    ],
)
async def test_the_same_size_or_none_is_found(
    storage: Storage, garage: Tenant, question: str, price: str
) -> None:
    await add(storage, garage, FIGURES)
    found = await texts(storage, garage, question)
    assert [text.rpartition(" : ")[2] for text in found[:1]] == [price]

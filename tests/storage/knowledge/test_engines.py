"""What holds whoever searches: our own tables, or Pinecone (its wire, emulated)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio

from domain.knowledge import Found, Knowledge
from domain.tenant import Tenant
from providers.pinecone import PineconeIndex, namespace_of, pinecone_index
from sandbox.pinecone import Fault, PineconeEmulator
from storage import Storage
from storage.knowledge.documents import NewDocument
from storage.knowledge.parsing.child import Wanted, read
from storage.knowledge.remote import FRESH, RemoteKnowledge, chosen
from storage.knowledge.search import EmbeddedKnowledge
from storage.knowledge.split import Chunk
from tests.fakes.clock import FakeClock

GARAGE = """
| Prestation | Prix |
|---|---|
| Montage et équilibrage d'un pneu | 15 € |
| Réparation d'une crevaison | 25 € |
| Vidange moteur diesel | 99 € |
| Vidange moteur essence | 89 € |
| Recharge de climatisation R134a | 79 € |
| Recharge de climatisation R1234yf | 129 € |

## Horaires

Le garage est fermé le dimanche. Le contrôle technique n'est pas fait sur place.
"""
DENTIST = """
| Acte | Prix |
|---|---|
| Détartrage complet | 43 € |
"""


@dataclass
class Engine:
    """Somebody who searches, and how documents reach him."""

    storage: Storage
    clock: FakeClock
    knowledge: Knowledge
    index: PineconeIndex | None = None
    emulator: PineconeEmulator | None = None
    answered: list[str] = field(default_factory=list)

    async def add(self, tenant: Tenant, markdown: str, title: str = "Tarifs") -> str:
        async with self.storage.tenant(tenant.id).write() as rows:
            document_id = await rows.knowledge.add(NewDocument(title, "markdown", markdown))
        await self.store(tenant, document_id, 1, markdown)
        return document_id

    async def store(self, tenant: Tenant, document_id: str, revision: int, markdown: str) -> None:
        """What the jobs do: passages into our tables, then to the index elsewhere."""
        told = read(markdown.encode(), Wanted("markdown", title="Tarifs", locale=tenant.locale))
        chunks = told["chunks"]
        assert isinstance(chunks, list)
        async with self.storage.tenant(tenant.id).write() as rows:
            gone = await rows.knowledge.replace_chunks(
                document_id, revision, [Chunk(*each) for each in chunks]
            )
        assert gone is not None
        if self.index is not None:
            async with self.storage.tenant(tenant.id).read() as rows:
                entries = await rows.knowledge.entries(document_id)
            await self.index.upsert(tenant.id, entries)
            if gone:
                await self.index.delete(tenant.id, list(gone))
        self.clock.advance(FRESH + timedelta(seconds=1))

    async def ask(self, tenant: Tenant, question: str) -> Found:
        return await self.knowledge.search(tenant.id, question)

    async def said(self, tenant: Tenant, question: str) -> list[str]:
        return [each.text for each in (await self.ask(tenant, question)).passages]


@pytest_asyncio.fixture(loop_scope="session")
async def pinecone(storage: Storage, clock: FakeClock) -> AsyncIterator[Engine]:
    emulator = PineconeEmulator(now=clock.monotonic)
    async with (
        emulator.running() as host,
        pinecone_index(emulator.api_key, host) as index,
    ):
        engine = Engine(storage, clock, EmbeddedKnowledge(storage), index, emulator)
        engine.knowledge = RemoteKnowledge(
            storage, index, EmbeddedKnowledge(storage), clock, count=engine.answered.append
        )
        yield engine
        assert emulator.refusals == []


@pytest_asyncio.fixture(loop_scope="session", params=["embedded", "pinecone"])
async def engine(
    request: pytest.FixtureRequest, storage: Storage, clock: FakeClock, pinecone: Engine
) -> Engine:
    if request.param == "embedded":
        return Engine(storage, clock, EmbeddedKnowledge(storage))
    return pinecone


# ------------------------------------------------------------------------- the same for both


@pytest.mark.parametrize(
    "question", ["une bouteille de gaz de 13 kg", "bouteille de gaz 6 kg, c'est combien"]
)
async def test_another_size_is_not_said(engine: Engine, garage: Tenant, question: str) -> None:
    await engine.add(garage, "| Article | Prix |\n|---|---|\n| Bouteille de gaz 35 kg | 95 € |\n")
    assert await engine.said(garage, "la bouteille de gaz de 35 kg") != []
    assert await engine.said(garage, question) == []


@pytest.mark.parametrize(
    ("question", "price"),
    [
        ("Combien coûte le montage et l'équilibrage d'un pneu ?", "15 €"),
        ("une crevaison, c'est combien pour la réparation ?", "25 €"),
        ("prix d'une vidange diesel", "99 €"),
        ("recharge clim R1234yf", "129 €"),
        ("la recharge de climatisation en R134a", "79 €"),
    ],
)
async def test_a_rows_price_is_its_own(
    engine: Engine, garage: Tenant, question: str, price: str
) -> None:
    await engine.add(garage, GARAGE)
    found = await engine.ask(garage, question)
    assert price in found.passages[0].text
    assert not found.ambiguous
    assert found.passages[0].title == "Tarifs"


async def test_two_rows_that_match_are_for_the_caller_to_choose_from(
    engine: Engine, garage: Tenant
) -> None:
    await engine.add(garage, GARAGE)
    found = await engine.ask(garage, "quel est le prix d'une vidange moteur ?")
    assert found.ambiguous
    assert {each.text.split(" — ")[0] for each in found.passages} == {
        "Vidange moteur diesel",
        "Vidange moteur essence",
    }


@pytest.mark.parametrize(
    "question",
    ["faites-vous des mariages ?", "le numéro de la mairie", "recharge R999x", "", "   "],
)
async def test_what_nobody_wrote_is_not_found(
    engine: Engine, garage: Tenant, question: str
) -> None:
    await engine.add(garage, GARAGE)
    assert await engine.said(garage, question) == []


async def test_another_tenants_documents_never_answer(
    engine: Engine, garage: Tenant, dentist: Tenant
) -> None:
    await engine.add(garage, GARAGE)
    await engine.add(dentist, DENTIST)
    assert await engine.said(dentist, "prix de la vidange diesel") == []
    assert await engine.said(garage, "prix du détartrage complet") == []
    assert len(await engine.said(dentist, "prix du détartrage complet")) == 1


async def test_what_is_deleted_no_longer_answers(engine: Engine, garage: Tenant) -> None:
    document_id = await engine.add(garage, GARAGE)
    assert await engine.said(garage, "vidange diesel")
    async with engine.storage.tenant(garage.id).write() as rows:
        assert await rows.knowledge.delete(document_id)
    # At once: long before an index elsewhere has heard of it.
    assert await engine.said(garage, "vidange diesel") == []


async def test_what_is_changed_answers_anew(engine: Engine, garage: Tenant) -> None:
    document_id = await engine.add(garage, GARAGE)
    async with engine.storage.tenant(garage.id).write() as rows:
        await rows.knowledge.reindex(document_id)
    await engine.store(garage, document_id, 2, GARAGE.replace("99 €", "109 €"))
    (text,) = await engine.said(garage, "vidange moteur diesel")
    assert "109 €" in text


# -------------------------------------------------------------------------- Pinecone alone


async def test_pinecone_answers_and_not_our_own_search(pinecone: Engine, garage: Tenant) -> None:
    await pinecone.add(garage, GARAGE)
    assert await pinecone.said(garage, "vidange diesel")
    assert pinecone.answered == ["remote"]
    assert pinecone.emulator is not None
    assert pinecone.emulator.namespaces == {namespace_of(garage.id)}


async def test_what_is_not_visible_yet_is_found_by_our_own_search(
    pinecone: Engine, garage: Tenant
) -> None:
    assert pinecone.emulator is not None
    pinecone.emulator.visible_after = 2 * FRESH.total_seconds()
    await pinecone.add(garage, GARAGE)
    assert "99 €" in (await pinecone.said(garage, "vidange diesel"))[0]
    pinecone.clock.advance(3 * FRESH)
    assert "99 €" in (await pinecone.said(garage, "vidange diesel"))[0]
    assert pinecone.answered == ["nothing_near", "remote"]


async def test_just_indexed_documents_are_searched_here(pinecone: Engine, garage: Tenant) -> None:
    """While the old passages may still show elsewhere, and the new ones don't yet."""
    document_id = await pinecone.add(garage, GARAGE)
    async with pinecone.storage.tenant(garage.id).write() as rows:
        await rows.knowledge.reindex(document_id)
        await rows.knowledge.replace_chunks(document_id, 2, [])
    assert await pinecone.said(garage, "vidange diesel") == []
    assert pinecone.answered == ["fresh"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401),
        Fault(status=403),
        Fault(status=404),
        Fault(status=429),
        Fault(status=500),
        Fault(status=503),
        Fault(garbage=True),
        Fault(hang_seconds=1.0),
    ],
    ids=repr,
)
async def test_whatever_fails_there_is_answered_here(
    pinecone: Engine, garage: Tenant, fault: Fault
) -> None:
    await pinecone.add(garage, GARAGE)
    assert pinecone.emulator is not None
    asked = pinecone.emulator.arrived
    pinecone.emulator.faults.append(fault)
    assert "99 €" in (await pinecone.said(garage, "vidange diesel"))[0]
    assert pinecone.answered == ["failed"]
    assert pinecone.emulator.arrived == asked + 1, "a caller has no time for a second try"


async def test_ids_of_others_and_of_nobody_vanish(
    pinecone: Engine, garage: Tenant, dentist: Tenant
) -> None:
    """Even if another tenant's passages stood in this namespace."""
    document_id = await pinecone.add(dentist, DENTIST)
    assert pinecone.index is not None
    async with pinecone.storage.tenant(dentist.id).read() as rows:
        entries = await rows.knowledge.entries(document_id)
    await pinecone.index.upsert(garage.id, entries)
    assert await pinecone.said(garage, "prix du détartrage complet") == []
    assert pinecone.answered == ["nothing_near"]


async def test_a_forgotten_tenant_leaves_no_namespace(pinecone: Engine, garage: Tenant) -> None:
    await pinecone.add(garage, GARAGE)
    assert pinecone.index is not None
    assert pinecone.emulator is not None
    await pinecone.index.delete_tenant(garage.id)
    assert pinecone.emulator.namespaces == set()
    await pinecone.index.delete_tenant(garage.id)  # nothing there: no error
    await pinecone.index.delete(garage.id, ["absent"])
    assert len(pinecone.emulator.refusals) == 2
    pinecone.emulator.refusals.clear()


def test_nothing_is_chosen_of_nothing() -> None:
    assert chosen([], 5) == Found()

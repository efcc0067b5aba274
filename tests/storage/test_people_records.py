"""Prospects and tickets after their creation, on both databases."""

import asyncio

import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.qualification import Answers
from domain.tenant import Tenant
from domain.tickets import is_urgent
from storage import NewProspect, NewTicket, Storage
from storage.prospects import Interview, ProspectFilter
from storage.tickets import TicketFilter
from tests.fakes.clock import START, FakeClock

MOBILE = "+33639981234"


# ----------------------------------------------------------------------------- tickets


async def test_a_ticket_from_open_to_closed(
    storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        new = NewTicket("Léa Martin", "Rappeler", MOBILE, category="rappel", callback_when="demain")
        ticket_id = await rows.tickets.add(new)
    clock.advance(60)
    async with handle.write() as rows:
        (told,), unread = await rows.notifications.list()
        ticket = await rows.tickets.update(ticket_id, {"assigned_to": "Paul"}, actor="owner")
        assert (told.kind, told.subject_id, unread) == ("callback_promised", ticket_id, 1)
        assert "demain" in told.message
        assert ticket.assigned_at == clock.now()
        changes = {"status": "resolved", "resolution_notes": "rappelée"}
        ticket = await rows.tickets.update(ticket_id, changes, actor="Paul", version=ticket.version)
        assert ticket.resolved_at == clock.now()
        ticket = await rows.tickets.update(ticket_id, {"status": "closed"}, actor="Paul")
        assert ticket.closed_at == clock.now()
        ticket = await rows.tickets.update(ticket_id, {"status": "open"}, actor="owner")
        assert (ticket.resolved_at, ticket.closed_at, ticket.version) == (None, None, 5)
        history = await rows.tickets.history(ticket_id)
        person = await rows.contacts.get(ticket.contact_id or "")
    assert [it.action for it in history] == ["created"] + ["updated"] * 4
    assert [it.changes.get("status") for it in history[2:]] == [
        ["open", "resolved"],
        ["resolved", "closed"],
        ["closed", "open"],
    ]
    assert person is not None
    assert (person.name, person.address("phone")) == ("Léa Martin", MOBILE)


async def test_wrong_values_change_nothing(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        ticket_id = await rows.tickets.add(NewTicket("Léa", "Devis"))
        for wrong in (
            {"status": "done"},
            {"priority": "now"},
            {"id": "x"},
            {"customer_phone": "?"},
        ):
            with pytest.raises(Invalid):
                await rows.tickets.update(ticket_id, wrong, actor="x")
        with pytest.raises(Conflict):
            await rows.tickets.update(ticket_id, {"status": "closed"}, actor="x", version=7)
    async with storage.tenant(dentist.id).write() as rows:
        with pytest.raises(NotFound):
            await rows.tickets.update(ticket_id, {"status": "closed"}, actor="x")
        assert await rows.tickets.history(ticket_id) == []


async def test_of_two_who_change_the_same_version_one_is_told(
    storage: Storage, garage: Tenant
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        ticket_id = await rows.tickets.add(NewTicket("Léa", "Devis"))

    async def close(actor: str) -> bool:
        try:
            async with handle.write() as rows:
                await rows.tickets.update(ticket_id, {"assigned_to": actor}, actor=actor, version=1)
        except Conflict:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(close(name)) for name in ("Anne", "Paul", "Zoé")]
    assert sorted(task.result() for task in tasks) == [False, False, True]


async def test_tickets_by_filter(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.tickets.add(NewTicket("Léa", "Fuite d'eau au 3e", MOBILE))
        await rows.tickets.add(NewTicket("Marc", "Facture", category="facturation"))
        urgent = await rows.tickets.list(TicketFilter(priority="urgent"))
        assert [it.subject for it in urgent.items] == ["Fuite d'eau au 3e"]
        for wanted in (
            TicketFilter(category="facturation"),
            TicketFilter(search="FACT"),
            TicketFilter(unfinished=True, search="Marc"),
        ):
            assert [it.customer_name for it in (await rows.tickets.list(wanted)).items] == ["Marc"]
        by_number = await rows.tickets.list(TicketFilter(search="06 39 98 12 34"))
        assert by_number.total == 1
        kinds = {it.kind for it in (await rows.notifications.list())[0]}
        assert kinds == {"ticket_urgent", "ticket_new"}


@pytest.mark.parametrize(
    ("words", "urgent"),
    [
        ("fuite importante colonne montante bât. A", True),
        ("panne d'ascenseur avec une personne, elle est coincée dans l’ascenseur", True),
        ("ça sent le gaz, une odeur de gaz", True),
        ("douleur thoracique", True),
        ("c'est urgent", True),
        ("ce n'est pas urgent", False),
        ("rien d'urgent, une question de facture", False),
        ("pas d'urgence", False),
        ("changer les plaquettes avant", False),
        ("", False),
    ],
)
def test_what_cant_wait(words: str, urgent: bool) -> None:
    assert is_urgent(words) is urgent


# --------------------------------------------------------------------------- prospects


def interview(**answers: object) -> Interview:
    return Interview(
        "call:1",
        Answers(project="buy", **answers),  # type: ignore[arg-type]
        real_estate=True,
        interest="achat",
        call_id="1",
    )


async def test_one_conversation_has_one_row(storage: Storage, garage: Tenant) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        first, judged = await rows.prospects.interview(interview(place="Toulouse"))
        assert judged.missing[0] == "property_type"
    async with handle.write() as rows:
        second, judged = await rows.prospects.interview(
            interview(
                property_type="T3",
                budget_max=300_000,
                rooms=3,
                surface=60,
                deadline="dans deux mois",
                financing="accord",
                name="Léa",
                phone=MOBILE,
            )
        )
        assert (second.id, second.place, second.budget_max) == (first.id, "Toulouse", 300_000)
        assert (judged.missing, second.missing, second.status) == ((), [], "qualified")
        assert second.score == judged.score > first.score
        assert (await rows.prospects.list()).total == 1
        told = {it.kind for it in (await rows.notifications.list())[0]}
        assert told == {"prospect_new", "prospect_hot"}
        assert len(await rows.prospects.history(first.id)) == 2


async def test_ten_interviews_at_once_are_one_row(storage: Storage, garage: Tenant) -> None:
    handle = storage.tenant(garage.id)

    async def tell(surface: int) -> str:
        async with handle.write() as rows:
            prospect, _ = await rows.prospects.interview(interview(surface=surface, place="Rennes"))
            return prospect.id

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tell(50 + n)) for n in range(10)]
    assert len({task.result() for task in tasks}) == 1


async def test_a_prospect_is_converted(storage: Storage, garage: Tenant, clock: FakeClock) -> None:
    async with storage.tenant(garage.id).write() as rows:
        prospect_id = await rows.prospects.add(NewProspect("Léa", MOBILE, "lea@example.fr"))
        changes = {"first_name": "Léa", "last_name": "Martin", "status": "converted"}
        done = await rows.prospects.update(prospect_id, changes, actor="owner", version=1)
        assert (done.name, done.status, done.converted_at) == ("Léa Martin", "converted", START)
        clock.advance(60)
        again = await rows.prospects.update(prospect_id, {"status": "converted"}, actor="owner")
        assert again.converted_at == START
        found = await rows.prospects.list(ProspectFilter(status="converted", search="martin"))
        assert found.total == 1
        for phone, email in (("06.39.98.12.34", None), (None, "LEA@example.fr")):
            same = await rows.prospects.same_person(phone, email)
            assert same is not None
            assert same.id == prospect_id
        assert await rows.prospects.same_person("0299000001", None) is None
        await rows.prospects.delete(prospect_id)
        with pytest.raises(NotFound):
            await rows.prospects.delete(prospect_id)

"""One person across channels, on both databases, whoever writes at once."""

import asyncio

import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.tenant import Tenant
from storage import NewTicket, Storage
from storage.calls import NewCall
from storage.contacts import Contact
from tests.fakes.clock import FakeClock

MOBILE = "+33639981234"
OTHER = "+33639980002"
BSUID = "FR.1410018717833190"


async def person(storage: Storage, tenant: Tenant, **who: str) -> Contact:
    async with storage.tenant(tenant.id).write() as rows:
        found = await rows.contacts.person(**who)
    assert found is not None
    return found


def new_call(call_sid: str, tenant: Tenant | None) -> NewCall:
    tenant_id = tenant.id if tenant else None
    return NewCall(call_sid, MOBILE, MOBILE, "+33900000001", "live", tenant_id=tenant_id)


async def ids(storage: Storage, tenant: Tenant) -> set[str]:
    async with storage.tenant(tenant.id).read() as rows:
        people, _ = await rows.contacts.list(limit=100)
    return {each.id for each in people}


async def test_a_number_is_one_person_in_any_spelling(storage: Storage, garage: Tenant) -> None:
    first = await person(storage, garage, phone=MOBILE, name="Léa Martin", source="call")
    for spelling in ("06 39 98 12 34", "06.39.98.12.34", "0033 6 39 98 12 34", "+33 6-39981234"):
        again = await person(storage, garage, phone=spelling, source="said")
        assert again.id == first.id
    by_whatsapp = await person(storage, garage, whatsapp="33639981234", source="message")
    assert by_whatsapp.id == first.id
    assert {(it.kind, it.value, it.proof) for it in by_whatsapp.addresses} == {
        ("phone", MOBILE, "message"),
        ("whatsapp", MOBILE, "message"),
    }


async def test_an_address_in_any_case(storage: Storage, garage: Tenant) -> None:
    first = await person(storage, garage, email="Lea.Martin@Example.FR ", source="web")
    again = await person(storage, garage, email="lea.martin@example.fr", source="message")
    assert (again.id, again.address("email")) == (first.id, "lea.martin@example.fr")
    assert again.addresses[0].proof == "message"


async def test_nothing_that_identifies_is_nobody(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for who in ({}, {"phone": "anonymous"}, {"email": "pas d'adresse"}, {"whatsapp": "Léa"}):
            assert await rows.contacts.person(name="Léa", source="call", **who) is None
        with pytest.raises(Invalid):
            await rows.contacts.person(phone=MOBILE, source="guess")
    assert await ids(storage, garage) == set()


async def test_two_tenants_know_two_people(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    one = await person(storage, garage, phone=MOBILE, whatsapp=BSUID, source="message")
    other = await person(storage, dentist, phone=MOBILE, whatsapp=BSUID, source="message")
    assert one.id != other.id
    async with storage.tenant(dentist.id).read() as rows:
        assert await rows.contacts.get(one.id) is None


async def test_a_message_with_both_makes_them_one(
    storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    """A username came first, then a message that bears the number too."""
    caller = await person(storage, garage, phone=MOBILE, name="Léa", source="call")
    clock.advance(60)
    hidden = await person(storage, garage, whatsapp=BSUID, name="Léa Martin", source="message")
    assert hidden.id != caller.id
    async with storage.tenant(garage.id).write() as rows:
        await rows.tickets.add(NewTicket("Léa", "Bruit"))
    both = await person(storage, garage, whatsapp=f"33639981234 {BSUID}", source="message")
    assert both.id == caller.id
    assert {it.kind for it in both.addresses} == {"phone", "whatsapp", "whatsapp_id"}
    assert (both.name, both.names) == ("Léa", ("Léa", "Léa Martin"))
    async with storage.tenant(garage.id).read() as rows:
        followed = await rows.contacts.get(hidden.id)
        history = await rows.contacts.history(caller.id)
    assert followed is not None
    assert followed.id == caller.id
    assert [(it.action, it.changes["merged"]) for it in history] == [
        ("merged", [hidden.id, caller.id])
    ]
    assert await ids(storage, garage) == {caller.id}


async def test_a_dictated_number_only_proposes(storage: Storage, garage: Tenant) -> None:
    one = await person(storage, garage, phone=MOBILE, source="call")
    other = await person(storage, garage, email="paul@example.fr", source="message")
    said = await person(storage, garage, phone=MOBILE, email="paul@example.fr", source="said")
    assert said.id == one.id
    assert await ids(storage, garage) == {one.id, other.id}
    async with storage.tenant(garage.id).write() as rows:
        (proposal,) = await rows.contacts.proposals()
        assert {proposal.contact_id, proposal.other_id} == {one.id, other.id}
        await rows.contacts.decline(proposal.id)
        assert await rows.contacts.proposals(one.id) == []
    await person(storage, garage, phone=MOBILE, email="paul@example.fr", source="said")
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.contacts.proposals() == []  # who has declined isn't asked again


async def test_a_family_on_one_telephone(storage: Storage, garage: Tenant) -> None:
    found = await person(storage, garage, phone=MOBILE, name="Marc", source="call")
    for name in ("Léa Martin", "marc", "LEA MARTIN"):
        found = await person(storage, garage, phone=MOBILE, name=name, source="call")
    assert (found.name, found.names) == ("Marc", ("Marc", "Léa Martin"))
    fuller = await person(storage, garage, phone=MOBILE, name="Marc  Durand", source="call")
    assert fuller.name == "Marc Durand"


async def test_the_business_merges(storage: Storage, garage: Tenant, dentist: Tenant) -> None:
    one = await person(storage, garage, phone=MOBILE, source="call")
    other = await person(storage, garage, phone=OTHER, name="Zoé", source="call")
    foreign = await person(storage, dentist, phone=OTHER, source="call")
    async with storage.tenant(garage.id).write() as rows:
        with pytest.raises(NotFound):
            await rows.contacts.merge(one.id, foreign.id, actor="owner")
        with pytest.raises(Invalid):
            await rows.contacts.merge(one.id, one.id, actor="owner")
        merged = await rows.contacts.merge(one.id, other.id, actor="owner")
        with pytest.raises(NotFound):  # it is there no more
            await rows.contacts.merge(one.id, other.id, actor="owner")
    assert (merged.name, {it.value for it in merged.addresses}) == ("Zoé", {MOBILE, OTHER})
    assert (await person(storage, garage, phone=OTHER, source="call")).id == one.id


async def test_calls_find_their_person(storage: Storage, garage: Tenant, dentist: Tenant) -> None:
    """Who was unknown when they first called, and who is known when they call again."""
    await person(storage, dentist, phone=MOBILE, source="call")
    earlier, _ = await storage.operator.open_call(new_call("CA1", garage), {})
    unbound, _ = await storage.operator.open_call(new_call("CA2", None), {})
    assert (earlier.contact_id, unbound.contact_id) == (None, None)
    known = await person(storage, garage, phone=MOBILE, source="call")
    later, _ = await storage.operator.open_call(new_call("CA3", garage), {})
    await storage.operator.bind_call(unbound.id, garage.id, "code")
    async with storage.tenant(garage.id).read() as rows:
        found = [await rows.calls.get(it.id) for it in (earlier, unbound, later)]
    assert [it.contact_id for it in found if it is not None] == [known.id] * 3


async def test_twenty_at_once_are_one_person(storage: Storage, garage: Tenant) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                person(storage, garage, phone=MOBILE, email=f"x{n % 2}@example.fr", source="call")
            )
            for n in range(20)
        ]
    assert len({task.result().id for task in tasks}) == 1
    assert len(await ids(storage, garage)) == 1


async def test_ten_messages_at_once_merge_once(storage: Storage, garage: Tenant) -> None:
    await person(storage, garage, phone=MOBILE, source="call")
    await person(storage, garage, whatsapp=BSUID, source="message")
    both = f"33639981234 {BSUID}"
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(person(storage, garage, whatsapp=both, source="message"))
            for _ in range(10)
        ]
    assert len({task.result().id for task in tasks}) == 1
    assert len(await ids(storage, garage)) == 1


async def test_pages_and_search(storage: Storage, garage: Tenant, clock: FakeClock) -> None:
    people = []
    for number in range(5):
        clock.advance(1)
        people.append(
            await person(
                storage, garage, phone=f"+3363998000{number}", name=f"Élise {number}", source="call"
            )
        )
    seen: list[str] = []
    cursor = None
    async with storage.tenant(garage.id).read() as rows:
        while True:
            page, cursor = await rows.contacts.list(limit=2, cursor=cursor)
            seen += [each.id for each in page]
            if cursor is None:
                break
        assert seen == [each.id for each in reversed(people)]
        for search in ("Élise 3", "elise 3", "06 39 98 00 03", "980003"):
            (found,), _ = await rows.contacts.list(search=search)
            assert found.id == people[3].id, search
        assert await rows.contacts.list(search="100%") == ([], None)
        with pytest.raises(Invalid):
            await rows.contacts.list(cursor="nonsense")


async def test_who_changes_second_is_told(storage: Storage, garage: Tenant) -> None:
    who = await person(storage, garage, phone=MOBILE, source="call")
    async with storage.tenant(garage.id).write() as rows:
        changes = {"name": "Léa", "preferred_channel": "sms", "language": "fr"}
        changed = await rows.contacts.update(who.id, changes, actor="owner", version=who.version)
        assert (changed.name, changed.preferred_channel, changed.version) == ("Léa", "sms", 2)
        with pytest.raises(Conflict):
            await rows.contacts.update(who.id, {"name": "Lea"}, actor="x", version=who.version)
        with pytest.raises(Invalid):
            await rows.contacts.update(who.id, {"preferred_channel": "pigeon"}, actor="x")
        (line,) = await rows.contacts.history(who.id)
    assert line.changes["name"] == ["", "Léa"]

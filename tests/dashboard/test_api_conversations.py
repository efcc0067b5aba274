"""Text conversations over the API: read, answered in person, handed back."""

from datetime import timedelta

from domain.tenant import Tenant
from storage import Storage
from storage.conversations import Conversation, Received
from tests.dashboard.api_client import Client, assert_problem
from tests.fakes.clock import FakeClock

CUSTOMER = "+33639981234"


async def written(storage: Storage, tenant: Tenant, channel: str = "sms") -> Conversation:
    async with storage.tenant(tenant.id).write() as rows:
        it = await rows.conversations.open(
            channel, CUSTOMER, contact_id=None, our_address="+33199000001", name="Léa"
        )
        return await rows.conversations.receive(it.id, Received("Bonjour, une place ?", "v1"))


async def test_a_person_answers_and_hands_back(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    it = await written(storage, garage)
    (listed,) = (await owner.get("/api/v1/conversations"))["conversations"]
    assert (listed["id"], listed["waiting"], listed["handled_by"]) == (it.id, True, "agent")
    answer = await owner.send(
        "POST", f"/api/v1/conversations/{it.id}/reply", json={"text": "Oui, à 14 h."}
    )
    assert answer.status_code == 201
    assert answer.json()["status"] == "queued"
    shown = await owner.get(f"/api/v1/conversations/{it.id}")
    assert [(m["author"], m["content"]) for m in shown["messages"]] == [
        ("customer", "Bonjour, une place ?"),
        ("owner", "Oui, à 14 h."),
    ]
    assert (shown["conversation"]["handled_by"], shown["conversation"]["waiting"]) == (
        "human",
        False,
    )
    back = await owner.send("POST", f"/api/v1/conversations/{it.id}/hand-back")
    assert back.json()["conversation"]["handled_by"] == "agent"


async def test_filters(owner: Client, storage: Storage, garage: Tenant) -> None:
    it = await written(storage, garage)
    for query, count in (("channel=sms", 1), ("channel=email", 0), ("handled_by=human", 0)):
        found = await owner.get(f"/api/v1/conversations?{query}")
        assert found["pagination"]["total"] == count, query
    closed = await owner.send("POST", f"/api/v1/conversations/{it.id}/close")
    assert closed.json()["conversation"]["status"] == "closed"


async def test_a_closed_window_is_said_before_anything_is_written(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    it = await written(storage, garage, "whatsapp")
    clock.advance(timedelta(hours=25))
    answer = await owner.send("POST", f"/api/v1/conversations/{it.id}/reply", json={"text": "Oui."})
    assert_problem(answer, 409)
    async with storage.tenant(garage.id).read() as rows:
        assert (await rows.conversations.get(it.id)).handled_by == "agent"


async def test_nothing_is_no_answer(owner: Client, storage: Storage, garage: Tenant) -> None:
    it = await written(storage, garage)
    for body in ({"text": "   "}, {"text": ""}, {}):
        answer = await owner.send("POST", f"/api/v1/conversations/{it.id}/reply", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]


async def test_another_tenants_is_nobodys(
    stranger: Client, storage: Storage, garage: Tenant
) -> None:
    it = await written(storage, garage)
    assert_problem(await stranger.send("GET", f"/api/v1/conversations/{it.id}"), 404)
    for verb in ("reply", "take-over", "hand-back", "close"):
        path = f"/api/v1/conversations/{it.id}/{verb}"
        assert_problem(await stranger.send("POST", path, json={"text": "x"}), 404)
    async with storage.tenant(garage.id).read() as rows:
        assert (await rows.conversations.get(it.id)).handled_by == "agent"

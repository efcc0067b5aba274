"""The phone channel: the page's own object, and two numbers that must not be mixed up."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from domain.tenant import Tenant
from storage import Storage
from tests.dashboard.api_client import (
    BOTH_DATABASES,
    SETTINGS,
    SHARED_NUMBER,
    Client,
    assert_problem,
)

LINE, OTHER_LINE = "02 61 91 00 01", "02 61 91 00 02"
MOBILE = "06 39 98 00 01"

PAGE: dict[str, Any] = {
    "clientPhoneNumber": LINE,
    "twilioSharedNumber": "+33 9 39 03 57 60",
    "sara": {
        "voice": "male",
        "assistantName": "Léo",
        "agentType": "appointment",
        "customInstructions": "Toujours proposer un café.\nPuis raccrocher.",
        "language": "fr-FR",
        "scripts": {"reception": "Bonjour", "support": ""},
    },
    "transferConfigured": True,
    "somethingNew": {"nested": [1, 2.5, None, "é"]},
}


async def test_the_hub_lists_four_channels(owner: Client) -> None:
    channels = (await owner.get("/api/v1/channels"))["channels"]
    assert [each["type"] for each in channels] == ["phone", "sms", "email", "whatsapp"]
    for each in channels:
        page = {"type", "enabled", "configured", "assistantId", "updatedAt"}
        assert each.keys() == {*page, "state"}
        # Calls are answered until somebody says otherwise.
        assert (each["enabled"], each["updatedAt"]) == (each["type"] == "phone", None)
    # The operator has a shared number: nothing is missing but what the page itself asks for.
    assert [each["configured"] for each in channels] == [True, False, False, False]


async def test_a_tenant_that_never_configured_gets_defaults(owner: Client) -> None:
    channel = await owner.phone()
    assert channel.keys() == {
        "type",
        "enabled",
        "configured",
        "config",
        "templates",
        "assistantId",
        "createdAt",
        "updatedAt",
        "secrets",
        "state",
    }
    assert channel["secrets"] == {}
    assert (channel["type"], channel["enabled"], channel["configured"]) == ("phone", True, True)
    assert channel["config"]["sara"]["assistantName"] == "Sara"
    assert channel["config"]["twilioSharedNumber"] == "+33 9 39 03 57 60"
    assert channel["createdAt"] is None


@BOTH_DATABASES
async def test_what_the_page_sends_is_given_back(owner: Client) -> None:
    answer = await owner.put_phone(config=PAGE, templates={"a": {"b": 1}}, enabled=True)
    assert answer.status_code == 200
    body = answer.json()
    message = body.pop("message")
    assert message
    assert body == {"success": True, "channelType": "phone", "enabled": True, "configured": True}
    channel = await owner.phone()
    assert channel["config"] == PAGE
    assert channel["templates"] == {"a": {"b": 1}}
    assert (channel["enabled"], channel["configured"]) == (True, True)
    assert channel["createdAt"] == channel["updatedAt"] == "2026-11-23T09:00:00+00:00"
    listed = (await owner.get("/api/v1/channels"))["channels"][0]
    assert (listed["enabled"], listed["configured"]) == (True, True)


async def test_absent_parts_are_left_alone(owner: Client) -> None:
    await owner.put_phone(config=PAGE, templates={"a": 1}, enabled=True)
    nothing: list[dict[str, Any]] = [{}, {"templates": None}, {"config": {}}]
    for body in nothing:
        assert (await owner.put_phone(**body)).status_code == 200
    channel = await owner.phone()
    assert (channel["config"], channel["templates"], channel["enabled"]) == (PAGE, {"a": 1}, True)
    await owner.put_phone(enabled=False, templates={})
    channel = await owner.phone()
    assert (channel["config"], channel["templates"], channel["enabled"]) == (PAGE, {}, False)


async def test_an_older_page_erases_nothing_that_it_doesnt_know(owner: Client) -> None:
    await owner.put_phone(config={**PAGE, "transferNumber": MOBILE}, enabled=True)
    older = {"clientPhoneNumber": OTHER_LINE, "sara": {"voice": "female"}}
    await owner.put_phone(config=older, enabled=True)
    config = (await owner.phone())["config"]
    assert config["clientPhoneNumber"] == OTHER_LINE
    assert config["transferNumber"] == MOBILE
    assert config["sara"] == {**PAGE["sara"], "voice": "female"}


async def test_the_line_is_found_however_it_was_written(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    for written in (LINE, "0261910001", "+33 2 61 91 00 01", "0033261910001", "33261910001"):
        assert (await owner.put_phone(config={"clientPhoneNumber": written})).status_code == 200
        assert (await owner.phone())["config"]["clientPhoneNumber"] == written
        assert await storage.operator.tenant_by_line("+33261910001") == garage


@pytest.mark.parametrize("empty", ["", "  ", None])
async def test_a_line_can_be_given_up(
    owner: Client, stranger: Client, storage: Storage, empty: str | None
) -> None:
    await owner.put_phone(config={"clientPhoneNumber": LINE})
    answer = await owner.put_phone(config={"clientPhoneNumber": empty})
    assert answer.json()["configured"] is True
    assert not await storage.operator.is_line("+33261910001")
    assert (await stranger.put_phone(config={"clientPhoneNumber": LINE})).status_code == 200


@pytest.mark.parametrize(
    "written", ["garage", "12", "06 39 98", "anonymous", "+1 800 FLOWERS", 5, True, ["0261910001"]]
)
@pytest.mark.parametrize("key", ["clientPhoneNumber", "transferNumber"])
async def test_an_unreadable_number_is_refused(owner: Client, key: str, written: object) -> None:
    answer = await owner.put_phone(config={key: written}, enabled=True)
    assert_problem(answer, 422, f"config.{key}")
    channel = await owner.phone()
    assert (channel["enabled"], channel["createdAt"]) == (True, None)


async def test_a_line_belongs_to_one_tenant(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant
) -> None:
    await owner.put_phone(config={"clientPhoneNumber": LINE}, enabled=True)
    answer = await stranger.put_phone(
        config={"clientPhoneNumber": "+33261910001", "transferConfigured": True}, enabled=True
    )
    problem = assert_problem(answer, 409, "config.clientPhoneNumber")
    assert problem["code"] == "line_taken"
    assert garage.name not in answer.text
    assert garage.id not in answer.text
    channel = await stranger.phone()
    assert (channel["enabled"], channel["createdAt"]) == (True, None)
    assert await storage.operator.tenant_by_line("+33261910001") == garage


async def test_a_suspended_tenants_line_stays_its_own(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant
) -> None:
    await owner.put_phone(config={"clientPhoneNumber": LINE})
    await storage.operator.set_tenant_status(garage.id, "suspended")
    answer = await stranger.put_phone(config={"clientPhoneNumber": LINE})
    assert_problem(answer, 409, "config.clientPhoneNumber")


@BOTH_DATABASES
async def test_of_two_who_claim_a_line_at_once_one_gets_it(owner: Client, stranger: Client) -> None:
    answers = await asyncio.gather(
        *(client.put_phone(config={"clientPhoneNumber": LINE}) for client in (owner, stranger))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


@pytest.mark.parametrize("number", [SHARED_NUMBER, "+33939035761", "+33199001234"])
async def test_our_own_numbers_are_neither_line_nor_transfer(
    owner: Client, storage: Storage, dentist: Tenant, number: str
) -> None:
    await storage.operator.add_number(dentist.id, "+33199001234")
    for key, code in (
        ("clientPhoneNumber", "line_is_ours"),
        ("transferNumber", "transfer_is_ours"),
    ):
        problem = assert_problem(await owner.put_phone(config={key: number}), 422, f"config.{key}")
        assert problem["code"] == code


@BOTH_DATABASES
async def test_calls_cant_go_in_circles(owner: Client, stranger: Client) -> None:
    def config(line: str | None = None, transfer: str | None = None) -> dict[str, Any]:
        given = {"clientPhoneNumber": line, "transferNumber": transfer}
        return {key: value for key, value in given.items() if value}

    await owner.put_phone(config=config(LINE, MOBILE))
    refused = [
        # to one's own line, in one step or two
        (owner, config(transfer=LINE), "config.transferNumber"),
        (owner, config(OTHER_LINE, OTHER_LINE), "config.transferNumber"),
        (owner, config(line=MOBILE), "config.clientPhoneNumber"),
        # to another's line, and a line that another transfers to
        (stranger, config(transfer=LINE), "config.transferNumber"),
        (stranger, config(line=MOBILE), "config.clientPhoneNumber"),
    ]
    for client, sent, field in refused:
        assert_problem(await client.put_phone(config=sent, enabled=True), 422, field)
    shown = (await owner.phone())["config"]
    assert (shown["clientPhoneNumber"], shown["transferNumber"]) == (LINE, MOBILE)
    # Two tenants may have their calls transferred to the same person.
    assert (await stranger.put_phone(config=config(OTHER_LINE, MOBILE))).status_code == 200


WITHOUT_SHARED_NUMBER = pytest.mark.parametrize("settings", [replace(SETTINGS, shared_number=None)])


async def configured(client: Client) -> bool:
    """As the channel, the list and a PUT that changes nothing all say."""
    listed = (await client.get("/api/v1/channels"))["channels"][0]["configured"]
    shown = (await client.phone())["configured"]
    saved = (await client.put_phone()).json()["configured"]
    assert listed is shown is saved
    return bool(saved)


async def test_a_shared_number_makes_a_channel_configured(owner: Client) -> None:
    assert await configured(owner)


@WITHOUT_SHARED_NUMBER
async def test_a_dedicated_number_makes_a_channel_configured(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    assert not await configured(owner)
    await storage.operator.add_number(garage.id, "+33199001234")
    assert await configured(owner)


@WITHOUT_SHARED_NUMBER
async def test_a_line_makes_a_channel_configured(owner: Client) -> None:
    await owner.put_phone(config={"clientPhoneNumber": LINE})
    assert await configured(owner)
    await owner.put_phone(config={"clientPhoneNumber": ""})
    assert not await configured(owner)


async def test_the_shared_number_isnt_frozen_by_a_page_that_sends_it_back(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    shown = (await owner.phone())["config"]
    await owner.put_phone(config=shown, enabled=True)
    async with storage.tenant(garage.id).read() as rows:
        assert "twilioSharedNumber" not in (await rows.channels.get("phone")).config
    await owner.put_phone(config={"twilioSharedNumber": "+33 1 99 00 00 00"})
    assert (await owner.phone())["config"]["twilioSharedNumber"] == "+33 1 99 00 00 00"


@pytest.mark.parametrize("channel", ["nonsense", "PHONE", "phone%00", "fax"])
async def test_there_are_no_other_channels(owner: Client, channel: str) -> None:
    for method in ("GET", "PUT"):
        answer = await owner.send(method, f"/api/v1/channels/{channel}", json={"enabled": True})
        assert_problem(answer, 404)


async def test_a_tenant_is_chosen_by_its_key_alone(
    owner: Client, stranger: Client, garage: Tenant, dentist: Tenant
) -> None:
    answer = await stranger.send(
        "PUT",
        f"/api/v1/channels/phone?tenantId={garage.id}&tenant_id={garage.id}",
        json={"config": {"note": "mine"}, "tenantId": garage.id, "tenant_id": garage.id},
        headers={"x-tenant-id": garage.id, "x-voixia-tenant": garage.id},
    )
    assert answer.status_code == 200
    assert "note" not in (await owner.phone())["config"]
    assert (await stranger.phone())["config"]["note"] == "mine"

"""Vapi at our doors, over real HTTP and both databases: functions once, whosever call it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.clock import SystemClock
from storage import Database, Storage
from storage.calls import CallRow
from tests.databases import migrated_file
from tests.running import french_call
from tests.voice.carrier import LINE, OWNER_PHONE, Served, eventually, serving

SECRET = "a-vapi-secret-of-some-length"
VAPI_CALL = "0b2f6a0e-6d4e-4c6b-9f0a-5b1d2c3e4f50"


@dataclass
class Vapi:
    """Vapi's side of our doors, and a look into the database."""

    served: Served
    storage: Storage

    async def send(self, message: Any, door: str = "functions", **headers: str) -> httpx.Response:
        return await self.served.twilio.http.post(
            f"/api/vapi/{door}",
            json={"message": message},
            headers={"x-vapi-secret": SECRET, **headers},
        )

    async def tell(self, kind: str, call: str = VAPI_CALL, **fields: Any) -> None:
        answer = await self.send({"type": kind, "call": {"id": call}, **fields}, "events")
        assert (answer.status_code, answer.json()) == (200, {})

    async def ask(self, *calls: Any, call: str = VAPI_CALL, **lists: Any) -> list[dict[str, Any]]:
        listed = lists or {"toolCallList": list(calls)}
        answer = await self.send({"type": "tool-calls", "call": {"id": call}, **listed})
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    async def row(self, number: int = 1) -> CallRow:
        row = await self.storage.operator.call_by_sid(french_call(number)["CallSid"])
        assert row is not None
        return row

    async def ring(self, number: int = 1, vapi_call: str = VAPI_CALL) -> CallRow:
        """A call of ours that is served by this one of Vapi's."""
        await self.served.twilio.ring(number, ForwardedFrom=LINE)
        row = await self.row(number)
        assert await self.storage.vapi_calls.link(row.id, vapi_call)
        return row

    async def shown(self) -> dict[str, Any]:
        return await self.served.call()


def tool(name: str, tool_id: str = "call_1", **arguments: Any) -> dict[str, Any]:
    """As of the schema: arguments are JSON text."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": tool_id, "type": "function", "function": function}


TICKET = {"subject": "Devis", "description": "Deux\nlignes"}


both_databases = pytest.mark.parametrize("vapi", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def vapi(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Vapi]:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.2)
    monkeypatch.setattr("voice.vapi_webhooks.FIRST_SOUND_SECONDS", -10.0)
    monkeypatch.setattr("voice.vapi_webhooks.GOODBYE_SECONDS", 0.0)
    monkeypatch.setattr("voice.vapi_webhooks.CHARACTERS_PER_SECOND", 1000)
    url = migrated_file(tmp_path / "test.sqlite3")
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("migrated_postgres_url")
    async with serving(tmp_path, database_url=url, vapi_webhook_secret=SECRET) as served:
        database = await Database.open(url)
        try:
            yield Vapi(served, Storage(database, SystemClock()))
        finally:
            await database.close()


async def test_who_has_no_secret_is_nobody(vapi: Vapi) -> None:
    await vapi.ring()
    for door in ("functions", "events"):
        for secret in ("", "wrong", SECRET[:-1], SECRET + "x", f"Bearer {SECRET}"):
            message = {"type": "tool-calls", "call": {"id": VAPI_CALL}}
            answer = await vapi.send(
                {**message, "toolCallList": [tool("create_ticket", **TICKET)]},
                door,
                **{"x-vapi-secret": secret},
            )
            assert answer.status_code == 401
    assert await vapi.served.tickets() == []


async def test_every_shape_runs_the_function_once(vapi: Vapi) -> None:
    await vapi.ring()
    definition = {
        "type": "function",
        "function": {"name": "create_ticket", "parameters": {"type": "object", "properties": {}}},
        "server": {"headers": {"X-Vapi-Secret": SECRET}},
    }

    def arguments(n: int) -> dict[str, Any]:
        return {**TICKET, "subject": f"Devis {n}"}

    def inner(n: int, **given: Any) -> dict[str, Any]:
        return {"id": f"c{n}", "function": {"name": "create_ticket", **given}}

    bare = {"name": "create_ticket"}
    shapes: list[dict[str, Any]] = [
        {"toolCallList": [inner(0, arguments=json.dumps(arguments(0)))]},
        {"toolCallList": [inner(1, arguments=arguments(1))]},
        {"toolCallList": [inner(2, parameters=arguments(2))]},
        {"toolCallList": [{"id": "c3", **bare, "arguments": arguments(3)}]},
        {"toolCallList": [{"id": "c4", **bare, "parameters": arguments(4)}]},
        {"toolCalls": [inner(5, arguments=arguments(5))], "toolCallList": []},
        {"toolWithToolCallList": [{**definition, "toolCall": inner(6, arguments=arguments(6))}]},
        {
            "toolWithToolCallList": [
                {**definition, "toolCall": {"id": "c7", "function": {"parameters": arguments(7)}}}
            ]
        },
        {"toolCallList": [{"id": "c8", **bare, "arguments": json.dumps(arguments(8))}]},
        {
            name: [inner(9, arguments=arguments(9))]
            if name != "toolWithToolCallList"
            else [{**definition, "toolCall": inner(9, arguments=arguments(9))}]
            for name in ("toolCallList", "toolCalls", "toolWithToolCallList")
        },
    ]
    for n, shape in enumerate(shapes):
        (result,) = await vapi.ask(**shape)
        assert (result["toolCallId"], result["name"]) == (f"c{n}", "create_ticket"), n
        assert json.loads(result["result"])["status"] == "created", result
        assert len(result["result"].splitlines()) == 1
    subjects = sorted(each["subject"] for each in await vapi.served.tickets())
    assert subjects == [f"Devis {n}" for n in range(10)]


async def test_several_at_once_are_answered_in_order(vapi: Vapi) -> None:
    await vapi.ring()
    calls = [tool("create_ticket", f"c{n}", **{**TICKET, "subject": f"S{n}"}) for n in range(6)]
    calls.insert(3, tool("no_such_function", "odd"))
    results = await vapi.ask(*calls)
    assert [each["toolCallId"] for each in results] == [each["id"] for each in calls]
    assert json.loads(results[3]["result"])["status"] == "invalid"
    assert len(await vapi.served.tickets()) == 6


@both_databases
async def test_duplicates_in_parallel_have_one_effect(vapi: Vapi) -> None:
    await vapi.ring()
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(vapi.ask(tool("create_ticket", "same", **TICKET))) for _ in range(6)
        ]
    answers = {each.result()[0]["result"] for each in asked}
    assert len(answers) == 1
    assert len(await vapi.served.tickets()) == 1
    # The same question under another id, as a model that repeats itself: still one.
    (again,) = await vapi.ask(tool("create_ticket", "another", **TICKET))
    assert {again["result"]} == answers
    assert len(await vapi.served.tickets()) == 1


@both_databases
async def test_static_parameters_must_agree_with_the_stored_call(vapi: Vapi) -> None:
    row = await vapi.ring()
    other = await vapi.ring(2, "another-call-at-vapi")
    right = {
        "_tenant": row.tenant_id,
        "_call": VAPI_CALL,
        "_call_id": row.id,
        "_call_sid": row.call_sid,
    }
    (result,) = await vapi.ask(tool("create_ticket", "c0", **TICKET, **right))
    assert json.loads(result["result"])["status"] == "created"
    wrong = {
        "_tenant": "another-tenant",
        "_call": "another-call-at-vapi",
        "_call_id": other.id,
        "_call_sid": other.call_sid,
    }
    for name, value in [*wrong.items(), ("_tenant", ["x"]), ("_tenant", "{{ tenant_id }}")]:
        forged = {**TICKET, "subject": "Faux", **right, name: value}
        (result,) = await vapi.ask(tool("create_ticket", f"c-{name}", **forged))
        assert "result" not in result
        assert result["error"]
        assert "\n" not in result["error"]
    assert [each["subject"] for each in await vapi.served.tickets()] == ["Devis"]
    refused = 'events_total{event="vapi_tool_calls_refused",label="another_call"}'
    assert await vapi.served.metric(refused) == 6


async def test_an_unknown_call_runs_nothing(vapi: Vapi) -> None:
    await vapi.ring()
    for call in ("another", "", VAPI_CALL + "\x00", 'x" OR 1=1'):
        (result,) = await vapi.ask(tool("create_ticket", **TICKET), call=call)
        assert "result" not in result
        assert result["error"]
    answer = await vapi.send({"type": "tool-calls", "toolCallList": [tool("create_ticket")]})
    assert "error" in answer.json()["results"][0]
    await vapi.served.twilio.reports_the_end()
    await vapi.served.outcome()
    (result,) = await vapi.ask(tool("create_ticket", **TICKET))
    assert "error" in result
    assert await vapi.served.tickets() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"message": 1}',
        b"\xff\xfe",
        b'{"message":{"type":' + b"[" * 50_000,
        b'{"message":{"type":"status-update","status":NaN}}',
    ],
)
async def test_what_is_no_message_is_refused_and_harms_nobody(vapi: Vapi, body: bytes) -> None:
    headers = {"x-vapi-secret": SECRET, "content-type": "application/json"}
    http = vapi.served.twilio.http
    answer = await http.post("/api/vapi/functions", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@both_databases
async def test_hostile_messages_are_taken_and_do_nothing(vapi: Vapi) -> None:
    await vapi.ring()
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    odd: list[Any] = [None, 7, "x", [], {}, deep, "\x00\ud800", 1e308]
    for value in odd:
        for kind in ("tool-calls", "status-update", "end-of-call-report", "transcript"):
            fields = dict.fromkeys(
                ("toolCallList", "artifact", "analysis", "cost", "summary", "status", "role",
                 "transcript", "endedReason"),
                value,
            )  # fmt: skip
            content = json.dumps({"message": {"type": kind, "call": {"id": VAPI_CALL}, **fields}})
            answer = await vapi.served.twilio.http.post(
                "/api/vapi/events", content=content, headers={"x-vapi-secret": SECRET}
            )
            assert answer.status_code in (200, 400), (kind, value, answer.text)
    for arguments in ("{", "[]", "7", '{"subject": 7}', "x" * 100_000):
        call = {"id": "odd", "function": {"name": "create_ticket", "arguments": arguments}}
        (result,) = await vapi.ask(call)
        assert json.loads(result["result"])["status"] == "invalid"
    assert await vapi.served.tickets() == []
    assert (await vapi.row()).outcome is None


async def test_a_body_that_is_too_large(vapi: Vapi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.vapi_webhooks.MAX_BODY_BYTES", 500)
    assert (await vapi.send({"type": "hang"})).status_code == 200
    assert (await vapi.send({"type": "hang", "x": "x" * 500})).status_code == 413


async def test_unknown_types_are_taken_and_counted(vapi: Vapi) -> None:
    await vapi.ring()
    for kind in ("moon-phase", "hang", 'transcript[transcriptType="final"]', "chat.created"):
        await vapi.tell(kind)
    for label, times in (("unknown", 2), ("hang", 1), ("transcript", 1)):
        name = f'events_total{{event="vapi_messages",label="{label}"}}'
        assert await vapi.served.metric(name) == times


REPORT: dict[str, Any] = {
    "endedReason": "customer-ended-call",
    "cost": 0.1349,
    "analysis": {"summary": "L'appelant voulait un devis."},
    "artifact": {
        "transcript": "AI: Bonjour.\nUser: Un devis ?\nAI: C'est noté.\n",
        "messages": [
            {"role": "system", "message": "secret instructions", "secondsFromStart": 0},
            {"role": "bot", "message": "Bonjour.", "secondsFromStart": 1},
            {"role": "user", "message": "Un devis ?", "secondsFromStart": 3.5},
            {"role": "bot", "message": "C'est noté.", "secondsFromStart": 6},
        ],
    },
}


@both_databases
async def test_a_report_fills_the_call_and_comes_twice(vapi: Vapi) -> None:
    row = await vapi.ring()
    await vapi.ask(tool("create_ticket", **TICKET))
    for _ in range(2):
        await vapi.tell("end-of-call-report", **REPORT)
    await vapi.served.twilio.reports_the_end()
    assert await vapi.served.outcome() == "ticket"
    await vapi.tell("end-of-call-report", **REPORT)  # and once more, behind the end
    current = await vapi.row()
    assert current.id == row.id
    assert current.summary == "L'appelant voulait un devis."
    assert current.transcript == "agent: Bonjour.\ncaller: Un devis ?\nagent: C'est noté."
    async with vapi.storage.tenant(str(row.tenant_id)).read() as rows:
        (function,) = [e for e in await rows.calls.timeline(row.id) if e.kind == "function"]
        assert function.data["name"] == "create_ticket"


@both_databases
async def test_a_transfer_is_made_once_when_its_words_are_spoken(vapi: Vapi) -> None:
    await vapi.served.owner.put(
        "/api/v1/channels/phone",
        {"config": {"clientPhoneNumber": LINE, "transferNumber": OWNER_PHONE}},
    )
    row = await vapi.ring()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(vapi.ask(tool("transfer_call", "t1"))) for _ in range(3)]
    messages = [each.result()[0].get("message") for each in asked]
    assert sum(each is not None for each in messages) == 1

    async def redirected() -> bool:
        return bool(vapi.served.posted("Url="))

    await eventually(redirected)
    assert len(vapi.served.posted("Url=")) == 1
    current = await vapi.row()
    assert (current.stage, current.transfer_number) == ("transferring", OWNER_PHONE)
    document = await vapi.served.twilio.post(f"voice/transfer/{row.id}", french_call(1))
    assert OWNER_PHONE in document.text


async def test_without_a_number_there_is_no_transfer(vapi: Vapi) -> None:
    await vapi.served.owner.put(
        "/api/v1/channels/phone", {"config": {"clientPhoneNumber": LINE, "transferNumber": ""}}
    )
    await vapi.ring()
    (result,) = await vapi.ask(tool("transfer_call", "t1"))
    assert "message" not in result
    assert (await vapi.row()).stage == "opening"

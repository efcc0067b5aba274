"""Vapi at our doors, over real HTTP and both databases: functions once, whosever call it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.errors import OperatorError
from server.clock import SystemClock
from storage import Database, Storage
from storage.calls import CallRow
from storage.text_rows import TextFilter
from tests.databases import migrated_file
from tests.fakes.scripted_http import answer
from tests.running import french_call
from tests.voice.carrier import LINE, OWNER_PHONE, Served, eventually, serving, talking

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
        """As Vapi does, with the static parameters of our assistant laid over the arguments."""
        listed = lists or {"toolCallList": list(calls)}
        if (row := await self.storage.vapi_calls.find(call)) is not None:
            laid = static(row, call)
            listed = {name: [_laid_over(each, laid) for each in listed[name]] for name in listed}
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


def static(row: CallRow, vapi_call: str = VAPI_CALL) -> dict[str, Any]:
    """What Vapi lays over the arguments of our assistants' tools."""
    return {
        "_tenant": row.tenant_id,
        "_call": vapi_call,
        "_call_id": row.id,
        "_call_sid": row.call_sid,
    }


def _laid_over(call: dict[str, Any], static: dict[str, Any]) -> dict[str, Any]:
    """Whatever shape `call` has; what it says itself of them stays."""
    if "toolCall" in call:
        return {**call, "toolCall": _laid_over(call["toolCall"], static)}
    if "function" in call:
        return {**call, "function": _laid_over(call["function"], static)}
    made = dict(call)
    for name in ("arguments", "parameters"):
        if isinstance(given := call.get(name), dict):
            made[name] = {**static, **given}
        elif isinstance(given, str) and given.startswith("{") and given.endswith("}"):
            made[name] = json.dumps({**static, **json.loads(given)})
    return made


TICKET = {"subject": "Devis", "description": "Deux\nlignes"}


both_databases = pytest.mark.parametrize("vapi", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def vapi(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Vapi]:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.2)
    monkeypatch.setattr("voice.vapi_departures.FIRST_SOUND_SECONDS", -10.0)
    monkeypatch.setattr("voice.vapi_departures.GOODBYE_SECONDS", 0.0)
    monkeypatch.setattr("voice.vapi_departures.CHARACTERS_PER_SECOND", 1000)
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
    right = static(row)
    (result,) = await vapi.ask(tool("create_ticket", "c0", **TICKET, **right))
    assert json.loads(result["result"])["status"] == "created"
    wrong = static(other, "another-call-at-vapi") | {"_tenant": "another-tenant"}
    for name, value in [*wrong.items(), ("_tenant", ["x"]), ("_tenant", "{{ tenant_id }}")]:
        await _is_refused(vapi, {**right, name: value}, "does not belong")
    for name in right:
        await _is_refused(vapi, {**right, name: ""}, "does not say")
        await _is_refused(vapi, {**right, name: None}, "does not say")
        absent = {key: value for key, value in right.items() if key != name}
        await _is_refused(vapi, absent, "does not say")
    await _is_refused(vapi, {}, "does not say")
    assert [each["subject"] for each in await vapi.served.tickets()] == ["Devis"]
    for label, times in (("another_call", 6), ("unproven", 13)):
        name = f'events_total{{event="vapi_tool_calls_refused",label="{label}"}}'
        assert await vapi.served.metric(name) == times


async def _asked(vapi: Vapi, call: dict[str, Any]) -> list[dict[str, Any]]:
    """With no static parameters but its own."""
    message = {"type": "tool-calls", "call": {"id": VAPI_CALL}, "toolCallList": [call]}
    results: list[dict[str, Any]] = (await vapi.send(message)).json()["results"]
    return results


async def _is_refused(vapi: Vapi, given: dict[str, Any], why: str) -> None:
    """A request with these static parameters, and none that Vapi adds."""
    (result,) = await _asked(
        vapi, tool("create_ticket", f"c-{given}", **{**TICKET, "subject": "Faux"}, **given)
    )
    assert "result" not in result
    assert why in result["error"]
    assert "\n" not in result["error"]


async def test_functions_of_older_assistants(vapi: Vapi) -> None:
    """`function-call`: one, without an id, answered with its result alone."""
    row = await vapi.ring()
    asked = {"name": "create_ticket", "parameters": {**TICKET, **static(row)}}
    message = {"type": "function-call", "call": {"id": VAPI_CALL}, "timestamp": 1}
    for _ in range(2):
        answer = await vapi.send({**message, "functionCall": asked})
        assert answer.status_code == 200
        assert answer.json().keys() == {"result"}
        assert json.loads(answer.json()["result"])["status"] == "created"
    assert len(await vapi.served.tickets()) == 1
    unproven: list[Any] = [{**asked, "parameters": TICKET}, {"name": 7}, None]
    for wrong in unproven:
        answer = await vapi.send({**message, "functionCall": wrong})
        assert answer.json().keys() == {"error"}
    assert len(await vapi.served.tickets()) == 1


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
    for arguments in ("{", "[]", "7", "x" * 100_000):
        call = {"id": "odd", "function": {"name": "create_ticket", "arguments": arguments}}
        (result,) = await vapi.ask(call)
        assert "no JSON object" in result["error"]
    (result,) = await vapi.ask(tool("create_ticket", "odd", subject=["x"]))
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


async def test_an_sms_goes_to_who_calls_where_sms_are_on(vapi: Vapi) -> None:
    row = await vapi.ring()
    arguments = {"what": "information", "message": "12 rue du Port"}
    (off,) = await vapi.ask(tool("send_text", "t0", **{**arguments, "message": "Non"}))
    assert json.loads(off["result"])["status"] == "not_sent"  # the channel is switched off
    handle = vapi.storage.tenant(str(row.tenant_id))
    async with handle.write() as rows:
        await rows.channels.switch("sms", enabled=True, configured=True)
    for _ in range(2):
        (sent,) = await vapi.ask(tool("send_text", "t1", **arguments))
        assert json.loads(sent["result"]) == {"status": "queued"}
    async with handle.read() as rows:
        (sms,) = (await rows.outbox.page(TextFilter(status="queued"))).items
    assert (sms.to, sms.body) == (row.from_number, "Garage du Port : 12 rue du Port")


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
    assert (current.vapi_cost_cents, current.cost_cents) == (13, None)
    assert current.transcript == "agent: Bonjour.\ncaller: Un devis ?\nagent: C'est noté."
    async with vapi.storage.tenant(str(row.tenant_id)).read() as rows:
        (function,) = [e for e in await rows.calls.timeline(row.id) if e.kind == "function"]
        assert function.data["name"] == "create_ticket"


async def test_what_cant_be_stored_is_told_again(
    vapi: Vapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, which Vapi's backoffPlan takes for a reason to come again."""
    row = await vapi.ring()
    message = {"type": "end-of-call-report", "call": {"id": VAPI_CALL}, **REPORT}

    async def away(*_: object, **__: object) -> None:
        raise OperatorError("the database is away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("storage.vapi_calls.VapiCalls.report", away)
        assert (await vapi.send(message, "events")).status_code == 503
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("storage.vapi_calls.VapiCalls.find", away)
        assert (await vapi.send(message, "events")).status_code == 503
        (result,) = await _asked(vapi, tool("create_ticket", **TICKET, **static(row)))
        assert "not available" in result["error"]
    assert (await vapi.send(message, "events")).status_code == 200
    assert (await vapi.row()).summary == "L'appelant voulait un devis."


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


async def test_a_transfer_that_the_carrier_fails_is_made_by_the_streams_end(vapi: Vapi) -> None:
    """The caller is on a stream of ours, on this very node."""
    async with talking(vapi.served) as line:
        row = await vapi.row()
        assert await vapi.storage.vapi_calls.link(row.id, VAPI_CALL)
        vapi.served.rest.answers[:] = [answer(500, {})]
        (result,) = await vapi.ask(tool("transfer_call", "t1"))
        assert result["message"]["type"] == "request-complete"
        await line.closed.wait()
    await vapi.served.everything_is_over()
    assert (await vapi.served.twilio.goes_on()).first("Dial/Number").text == OWNER_PHONE
    assert (await vapi.row()).outcome is None


async def test_a_transfer_that_cant_be_stored_is_no_transfer(
    vapi: Vapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OperatorError("the database is away")

    await vapi.ring()
    monkeypatch.setattr("storage.call_register.CallRegister.hand_over", away)
    (result,) = await vapi.ask(tool("transfer_call", "t1"))
    assert "result" not in result
    assert result["error"]
    assert (await vapi.row()).stage == "opening"


async def test_an_assistant_may_ask_for_the_end(vapi: Vapi) -> None:
    await vapi.ring()
    (result,) = await vapi.ask(tool("end_call", "e1"))
    assert json.loads(result["result"])["status"] == "ending"

    async def ended() -> bool:
        return bool(vapi.served.posted("Status=completed"))

    await eventually(ended)
    assert (await vapi.row()).stage == "closing"
    assert (await vapi.served.twilio.goes_on()).verbs == ["Hangup"]


async def test_a_call_at_vapi_that_was_given_up_commands_nothing_and_still_reports(
    vapi: Vapi,
) -> None:
    row = await vapi.ring()
    await vapi.storage.vapi_calls.give_up(row.id)
    for name, arguments in (("transfer_call", {}), ("create_ticket", TICKET)):
        (result,) = await vapi.ask(tool(name, f"c-{name}", **arguments))
        assert "result" not in result
        assert "taken this call over" in result["error"]
    assert (await vapi.row()).stage == "opening"
    assert await vapi.served.tickets() == []
    refused = 'events_total{event="vapi_tool_calls_refused",label="passed_call"}'
    assert await vapi.served.metric(refused) == 2
    await vapi.tell("end-of-call-report", **REPORT)
    assert (await vapi.row()).vapi_cost_cents == 13
    # Another call at Vapi may take it up again.
    assert await vapi.storage.vapi_calls.link(row.id, "another-call-at-vapi")
    (result,) = await vapi.ask(tool("create_ticket", "c2", **TICKET), call="another-call-at-vapi")
    assert json.loads(result["result"])["status"] == "created"


async def test_without_a_number_there_is_no_transfer(vapi: Vapi) -> None:
    await vapi.served.owner.put(
        "/api/v1/channels/phone", {"config": {"clientPhoneNumber": LINE, "transferNumber": ""}}
    )
    await vapi.ring()
    (result,) = await vapi.ask(tool("transfer_call", "t1"))
    assert "message" not in result
    assert (await vapi.row()).stage == "opening"

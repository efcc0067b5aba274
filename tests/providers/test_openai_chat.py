"""The chat model over real sockets: what servers say, how they fail, and what they are told."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from domain.errors import ProviderError
from domain.language_model import (
    FunctionRequest,
    FunctionSpec,
    ModelDone,
    ModelMessage,
    ModelPiece,
    TextPiece,
)
from providers.openai.chat import OpenAIChat
from providers.openai.chat_messages import wire_messages
from providers.openai.chat_pieces import MAX_TEXT
from providers.openai.compatible import Patience
from tests.fakes.dripping_http import (
    CUT,
    DONE,
    END,
    SILENCE,
    DrippingHttp,
    Step,
    chunk,
    dripping,
    event,
    head,
)
from tests.fakes.scripted_http import answer as whole

QUICK = Patience(connect=0.5, first=0.3, between=0.2, total=1.0, response_bytes=50_000)
HELLO = [ModelMessage("user", "Bonjour")]
BOOK = FunctionSpec("book", "Books.", {"type": "object", "properties": {"day": {"type": "string"}}})


def said(text: str | None, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, **more}]})


def called(*fragments: Any, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"tool_calls": list(fragments)}, **more}]})


def fragment(arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if arguments is not None else {}
    name = more.pop("name", None)
    return {**more, "function": {**function, **({"name": name} if name else {})}}


def finished(reason: str = "stop") -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


USAGE = event(
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
)


def chat(server: DrippingHttp, patience: Patience = QUICK, key: str = "sk-secret") -> OpenAIChat:
    return OpenAIChat(server.url, key, "mistral-small", patience=patience)


async def pieces(
    *steps: Step,
    messages: Sequence[ModelMessage] = (),
    functions: Sequence[FunctionSpec] = (),
) -> list[ModelPiece]:
    async with dripping([head(), *steps]) as server, chat(server) as model:
        return [each async for each in model.answer(messages or HELLO, functions)]


async def failure(*steps: Step) -> ProviderError:
    async with dripping(steps) as server, chat(server) as model:
        with pytest.raises(ProviderError) as caught:
            async for _ in model.answer(HELLO):
                pass
    assert caught.value.vendor == "llm"
    return caught.value


# ------------------------------------------------------------------------------ answers


async def test_text_as_it_comes_and_the_usage_at_the_end() -> None:
    got = await pieces(
        event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
        said("Bon"),
        said("jour."),
        finished(),
        USAGE,
        DONE,
    )
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    assert got == [TextPiece("Bon"), TextPiece("jour."), ModelDone("stop", usage)]


async def test_the_first_piece_is_there_before_the_second_is_made() -> None:
    async with (
        dripping([head(), said("Bon"), SILENCE]) as server,
        chat(server) as model,
        contextlib.aclosing(model.answer(HELLO)) as answer,
    ):
        assert await anext(answer) == TextPiece("Bon")


async def test_closing_the_iterator_closes_the_connection_at_once() -> None:
    async with dripping([head(), said("Bon"), SILENCE]) as server, chat(server) as model:
        answer = model.answer(HELLO)
        await anext(answer)
        await answer.aclose()
        async with asyncio.timeout(0.1):
            await server.gone.wait()


async def test_a_cancelled_reader_closes_the_connection_at_once() -> None:
    patient = Patience(connect=1, first=5, between=5, total=5, response_bytes=1000)
    async with dripping([head(), said("Bon"), SILENCE]) as server, chat(server, patient) as model:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                async for _ in model.answer(HELLO):
                    pass
        async with asyncio.timeout(0.1):
            await server.gone.wait()


async def test_a_connection_that_was_read_to_its_end_is_used_again() -> None:
    async with dripping([head(), said("a"), finished(), DONE]) as server, chat(server) as model:
        for _ in range(3):
            first, *_ = [each async for each in model.answer(HELLO)]
            assert first == TextPiece("a")
        assert server.connections == 1


async def test_function_calls_are_put_together_by_index() -> None:
    got = await pieces(
        called(fragment("", index=0, id="call_1", name="book")),
        called(fragment('{"day":', index=0)),
        called(fragment("{}", index=1, id="call_2", name="end_call")),
        called(fragment('"lundi"}', index=0)),
        finished("tool_calls"),
        DONE,
    )
    assert got == [
        FunctionRequest("call_1", "book", '{"day":"lundi"}'),
        FunctionRequest("call_2", "end_call", "{}"),
        ModelDone("functions"),
    ]


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        pytest.param(
            [fragment({"day": "lundi"}, index=0, id="a", name="book")],
            [("book", '{"day": "lundi"}')],
            id="arguments as an object",
        ),
        pytest.param([fragment(None, index=0, id="a", name="end")], [("end", "{}")], id="none"),
        pytest.param(
            [fragment('{"a"', name="book"), fragment(":1}")],
            [("book", '{"a":1}')],
            id="neither id nor index",
        ),
        pytest.param(
            [fragment("{}", index=0, id="a", name="x"), fragment("{}", index=0, id="b", name="y")],
            [("x", "{}"), ("y", "{}")],
            id="all at index 0",
        ),
        pytest.param(
            [fragment('{"a"', index=0, id="a", name="x"), fragment(":1}", index=0, id="other")],
            [("x", '{"a":1}')],
            id="an id of its own for each fragment",
        ),
        pytest.param(
            [
                ("Je", fragment('{"a":1}', index=0, id="a", name="x")),
                (" note.", fragment("", index=0)),
            ],
            [("x", '{"a":1}')],
            id="text in the same chunk",
        ),
    ],
)
async def test_servers_that_shape_function_calls_differently(
    fragments: list[Any], expected: list[tuple[str, str]]
) -> None:
    chunks = [each if isinstance(each, tuple) else ("", each) for each in fragments]
    sent = [
        event({"choices": [{"delta": {"content": text, "tool_calls": [part]}}]})
        for text, part in chunks
    ]
    got = await pieces(*sent, finished("stop"), DONE)
    said_too = [each.text for each in got if isinstance(each, TextPiece)]
    assert said_too == [text for text, _ in chunks if text]
    *requests, done = got[len(said_too) :]
    assert [(each.name, each.arguments) for each in requests] == expected  # type: ignore[union-attr]
    ids = [each.id for each in requests]  # type: ignore[union-attr]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert done == ModelDone("functions")


async def test_an_id_that_the_conversation_holds_already_is_replaced() -> None:
    """Some servers number calls from 0 in each answer; ours would take it for a repetition."""
    before = [
        ModelMessage("assistant", requests=[FunctionRequest("call_0", "book", "{}")]),
        ModelMessage("function", '{"ok":true}', answers="call_0"),
    ]
    got = await pieces(
        called(fragment("{}", index=0, id="call_0", name="book")),
        finished("tool_calls"),
        DONE,
        messages=[*HELLO, *before],
    )
    assert isinstance(got[0], FunctionRequest)
    assert got[0].id not in ("", "call_0")


@pytest.mark.parametrize(
    ("reason", "why"),
    [("stop", "stop"), ("eos", "stop"), ("length", "length"), ("content_filter", "filtered")],
)
async def test_why_it_ended(reason: str, why: str) -> None:
    assert (await pieces(said("a"), finished(reason), DONE))[-1] == ModelDone(why)


async def test_half_an_order_is_no_order() -> None:
    got = await pieces(
        called(fragment('{"day":', index=0, id="a", name="book")), finished("length"), DONE
    )
    assert got == [ModelDone("length")]


async def test_an_end_that_comes_twice_is_one_end() -> None:
    call = called(fragment("{}", index=0, id="a", name="book"))
    got = await pieces(call, finished("tool_calls"), finished("tool_calls"), call, USAGE, DONE)
    assert [type(each) for each in got] == [FunctionRequest, ModelDone]


async def test_null_and_strange_parts_are_passed_over() -> None:
    got = await pieces(
        said(None),
        event({"choices": None}),
        event({"choices": [None]}),
        event({"choices": [{"delta": None}]}),
        event({"choices": [{"delta": {"content": [{"type": "text", "text": "Oui"}, "x"]}}]}),
        event({"choices": [{"delta": {"tool_calls": ["x", {"index": 0, "function": "x"}]}}]}),
        chunk(b": ping\n\n"),
        finished(),
        event({"usage": "many"}),
        DONE,
    )
    assert got == [TextPiece("Oui"), ModelDone("stop")]


async def test_what_a_model_thinks_isnt_said() -> None:
    got = await pieces(
        *(said(each) for each in ("<th", "ink>Il", " veut </thi", "nk>", "\n\nBonjour", " <b>.")),
        finished(),
        DONE,
    )
    assert "".join(each.text for each in got if isinstance(each, TextPiece)) == "Bonjour <b>."
    got = await pieces(said("<"), said("3"), finished(), DONE)
    assert "".join(each.text for each in got if isinstance(each, TextPiece)) == "<3"


@pytest.mark.parametrize("begin", ["", "<think>\n"])
async def test_thoughts_that_began_in_the_prompt_arent_said(begin: str) -> None:
    texts = (begin, "Il veut", " venir. </thi", "nk>\n\n", "Bonjour.")
    steps = [head(), *map(said, texts), finished(), DONE]
    async with dripping(steps) as server, OpenAIChat(server.url, "", "r1", thinking=True) as model:
        got = [each async for each in model.answer(HELLO)]
    assert got == [TextPiece("Bonjour."), ModelDone("stop")]


@pytest.mark.parametrize(
    "texts",
    [("Il veut venir.</think>Bonjour.",), ("Il veut.", " </thi", "nk>", "Bonjour"), ("</think>",)],
)
async def test_thoughts_of_which_only_the_end_is_marked_are_an_error(texts: Sequence[str]) -> None:
    got = await failure(head(), *map(said, texts), finished(), DONE)
    assert (got.code, got.retryable) == ("thoughts", True)


async def test_an_answer_without_end_is_cut() -> None:
    lines = [said("bla " * 500)] * 8
    async with dripping([head(), *lines, SILENCE]) as server, chat(server) as model:
        got = [each async for each in model.answer(HELLO)]
        await asyncio.wait_for(server.gone.wait(), 1)
    assert got[-1] == ModelDone("length")
    assert len("".join(each.text for each in got if isinstance(each, TextPiece))) < 2 * MAX_TEXT


async def test_usage_that_never_comes_is_not_waited_for_long() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await pieces(said("a"), finished(), SILENCE))[-1] == ModelDone("stop")
    assert loop.time() - began < 0.8


# ----------------------------------------------------------------------------- requests


async def test_what_is_sent() -> None:
    async with dripping([head(), said("a"), finished(), DONE]) as server, chat(server) as model:
        assert [each async for each in model.answer(HELLO, [BOOK])]
        (request,) = server.got
        assert (request.method, request.target) == ("POST", "/v1/chat/completions")
        assert request.headers["authorization"] == "Bearer sk-secret"
        assert request.headers["accept-encoding"] == "identity"
        assert not [name for name in request.headers if "stainless" in name]
        assert server.body() == {
            "model": "mistral-small",
            "messages": [{"role": "user", "content": "Bonjour"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "book",
                        "description": "Books.",
                        "parameters": dict(BOOK.parameters),
                    },
                }
            ],
        }


async def test_fields_that_the_operator_adds() -> None:
    fields = {"chat_template_kwargs": {"enable_thinking": False}, "model": "another"}
    steps = [head(), said("a"), finished(), DONE]
    async with dripping(steps) as server, OpenAIChat(server.url, "", "m", fields=fields) as model:
        assert [each async for each in model.answer(HELLO)]
        assert server.body()["chat_template_kwargs"] == {"enable_thinking": False}
        assert server.body()["model"] == "m"


async def test_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with (
        dripping([head(), said("a"), finished(), DONE]) as server,
        chat(server, key="") as model,
    ):
        assert [each async for each in model.answer(HELLO)]
        assert "of-somebody-else" not in str(server.got[0].headers)
        assert "tools" not in server.body()


async def test_a_server_that_refuses_to_count_isnt_asked_again() -> None:
    refusal = whole(
        422, {"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}
    )
    good = [head(), said("a"), finished(), DONE]
    async with dripping([refusal], good) as server, chat(server) as model:
        for _ in range(2):
            first, *_ = [each async for each in model.answer(HELLO)]
            assert first == TextPiece("a")
        assert ["stream_options" in server.body(at) for at in range(3)] == [True, False, False]


async def test_the_conversation_as_strict_servers_want_it() -> None:
    call = FunctionRequest("c1", "book", '{"day":"lundi"}')
    lost = FunctionRequest("c2", "book", "{half")
    async with dripping([head(), said("a"), finished(), DONE]) as server, chat(server) as model:
        messages = [
            ModelMessage("system", "Tu es Sara."),
            ModelMessage("system", "Réponds en français."),
            ModelMessage("assistant", "Bonjour, garage Martin."),
            ModelMessage("user", "Bonjour,"),
            ModelMessage("user", "un rendez-vous."),
            ModelMessage("assistant", "Je regarde."),
            ModelMessage("assistant", requests=[call, lost]),
            ModelMessage("user", "Allô ?"),
            ModelMessage("function", '{"ok":true}', answers="c1"),
            ModelMessage("function", '{"late":1}', answers="c9"),
            ModelMessage("system", "Il reste une minute."),
            ModelMessage("user", "  "),
        ]
        assert [each async for each in model.answer(messages)]
        calls = [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "book", "arguments": '{"day":"lundi"}'},
            },
            {"id": "c2", "type": "function", "function": {"name": "book", "arguments": "{}"}},
        ]
        assert server.body()["messages"] == [
            {"role": "system", "content": "Tu es Sara.\n\nRéponds en français."},
            {"role": "user", "content": "[call]"},
            {"role": "assistant", "content": "Bonjour, garage Martin."},
            {"role": "user", "content": "Bonjour,\nun rendez-vous."},
            {"role": "assistant", "content": "Je regarde.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": '{"ok":true}'},
            {"role": "tool", "tool_call_id": "c2", "content": '{"status":"unknown"}'},
            {"role": "assistant", "content": "…"},
            {
                "role": "user",
                "content": 'Allô ?\n[result] {"late":1}\n[system] Il reste une minute.',
            },
        ]


async def test_what_was_said_while_a_function_ran_stands_with_its_request() -> None:
    """A filler behind the result would be the end of the conversation, and its answer."""
    call = FunctionRequest("c1", "book", "{}")
    messages = [
        *HELLO,
        ModelMessage("assistant", "Je regarde.", requests=[call]),
        ModelMessage("assistant", "Un instant."),
        ModelMessage("function", '{"ok":true}', answers="c1"),
    ]
    asked, result, *rest = wire_messages(messages)[1:]
    assert (asked["content"], result["content"], rest) == (
        "Je regarde.\nUn instant.",
        '{"ok":true}',
        [],
    )
    # What is said behind the result is its answer; and Mistral's servers want no such end.
    messages.append(ModelMessage("assistant", "C'est"))
    assert wire_messages(messages)[3:] == [
        {"role": "assistant", "content": "C'est"},
        {"role": "user", "content": "[silence]"},
    ]


async def test_an_agent_that_speaks_first() -> None:
    async with dripping([head(), said("a"), finished(), DONE]) as server, chat(server) as model:
        assert [each async for each in model.answer([ModelMessage("system", "Accueille.")])]
        assert [each["role"] for each in server.body()["messages"]] == ["system", "user"]


# ----------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "error", "retryable", "code"),
    [
        (401, {"code": "invalid_api_key"}, False, "invalid_api_key"),
        (400, {"code": None, "type": "invalid_request_error"}, False, "invalid_request_error"),
        (404, {"code": "model_not_found"}, False, "model_not_found"),
        (408, {}, True, ""),
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, True, "rate_limit_exceeded"),
        (429, {"code": None, "type": "insufficient_quota"}, False, "insufficient_quota"),
        (500, {"type": "server_error", "code": None}, True, "server_error"),
        (503, {"code": "Bonjour, je suis Madame Martin"}, True, ""),
        (302, {}, False, ""),
    ],
)
async def test_refusals(status: int, error: Any, retryable: bool, code: str) -> None:
    body = {"error": {"message": "Madame Martin dit : bonjour", **error}}
    got = await failure(whole(status, body, {"Location": "http://127.0.0.1:1/"}))
    assert (got.status, got.retryable, got.code) == (status, retryable, code)
    assert "Martin" not in str(got)


@pytest.mark.parametrize("status", [200, 429, 500])
async def test_garbage_instead_of_a_stream(status: int) -> None:
    got = await failure(whole(status, b"<html>\xff\xfe", {"Content-Type": "text/html"}))
    assert got.retryable


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        pytest.param([SILENCE], "first_byte", id="hangs"),
        pytest.param([head(), SILENCE], "first_byte", id="headers, then nothing"),
        pytest.param(
            [head(), *[chunk(b": ping\n\n"), 0.05] * 40, SILENCE], "first_byte", id="only pings"
        ),
        pytest.param([head(), said("a"), SILENCE], "stalled", id="stalls"),
        pytest.param(
            [head(), said("a"), *[said(""), 0.05] * 40, SILENCE], "stalled", id="empty pieces"
        ),
        pytest.param([head(), *[said("a"), 0.05] * 60, SILENCE], "timeout", id="without end"),
        pytest.param([CUT], "transport", id="cut before"),
        pytest.param([head(), said("a"), CUT], "transport", id="cut in the middle"),
        pytest.param([head(), said("a"), DONE], "cut", id="no finish_reason"),
        pytest.param([head(), said("a"), END], "cut", id="no end"),
        pytest.param([head(), event("{half"), END], "unexpected_answer", id="half an event"),
        pytest.param([head(), event("7"), END], "unexpected_answer", id="no object"),
        pytest.param([head(), chunk(b"data: \xff\n\n"), END], "unexpected_answer", id="no text"),
        pytest.param([head(), chunk(b"x" * 60_000), SILENCE], "too_large", id="a line too long"),
        pytest.param([head(Content_Encoding="gzip"), END], "transport", id="packed"),
        pytest.param([b"SSH-2.0-OpenSSH\r\n\r\n", SILENCE], "transport", id="no HTTP"),
        pytest.param(
            [head(), *[called(*[fragment("{}", index=at, name="x") for at in range(40)])]],
            "unexpected_answer",
            id="too many calls",
        ),
    ],
)
async def test_a_server_that_fails(steps: list[Step], code: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    got = await failure(*steps)
    assert (got.code, got.retryable, got.status) == (code, True, None)
    assert loop.time() - began < QUICK.total + 0.5


async def test_a_connection_that_was_closed_while_nobody_used_it_is_no_failure() -> None:
    good = [head(), said("a"), finished(), DONE]
    async with dripping(good, [CUT], good) as server, chat(server) as model:
        for _ in range(2):
            assert [each async for each in model.answer(HELLO)]
        assert len(server.got) == 3
        assert server.got[1].body == server.got[2].body


async def test_a_long_page_that_says_no() -> None:
    got = await failure(whole(401, b"<p>" * 100_000, {"Content-Type": "text/html"}))
    assert (got.status, got.retryable) == (401, False)


async def test_nobody_there() -> None:
    model = OpenAIChat("http://127.0.0.1:1/v1", "", "m", patience=QUICK)
    async with model:
        with pytest.raises(ProviderError) as caught:
            await anext(model.answer(HELLO))
    assert (caught.value.code, caught.value.retryable) == ("connect", True)


@pytest.mark.parametrize(
    ("error", "retryable", "code"),
    [
        ({"type": "server_error", "message": "x"}, True, "server_error"),
        ({"code": "insufficient_quota"}, False, "insufficient_quota"),
        ("overloaded", True, "server_error"),
    ],
)
async def test_an_error_in_the_stream(error: Any, retryable: bool, code: str) -> None:
    got = await failure(head(), said("a"), event({"error": error}), END)
    assert (got.code, got.retryable) == (code, retryable)


async def test_a_slow_user_of_the_answer_is_no_slow_server() -> None:
    steps = [head(), said("a"), said("b"), finished(), DONE]
    async with dripping(steps) as server, chat(server) as model:
        got = []
        async for each in model.answer(HELLO):
            got.append(each)
            await asyncio.sleep(QUICK.between * 1.5)
    assert got[-1] == ModelDone("stop")


async def test_neither_keys_nor_words_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await pieces(said("Madame Martin"), finished(), DONE)
    await failure(whole(400, {"error": {"message": "Madame Martin"}}))
    written = json.dumps([record.getMessage() for record in caplog.records])
    for secret in ("sk-secret", "Bonjour", "Martin", "127.0.0.1"):
        assert secret not in written

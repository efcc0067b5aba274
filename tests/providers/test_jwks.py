"""Public keys over HTTP: remembered, rotated, and good for a while without their vendor."""

from typing import Any

import pytest

from domain.errors import ProviderError
from providers.jwks import ASK_AGAIN_SECONDS, FRESH_SECONDS, STALE_SECONDS, Jwks
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_http import ScriptedHttp, answer, scripted


def keys(*names: str, **more: Any) -> bytes:
    return answer(200, {"keys": [{"kid": name, "kty": "EC", **more} for name in names]})


def at(server: ScriptedHttp, clock: FakeClock) -> Jwks:
    return Jwks(f"{server.url}/.well-known/jwks.json", clock)


async def test_a_set_is_asked_for_once_and_remembered() -> None:
    clock = FakeClock()
    async with scripted(keys("one")) as server, at(server, clock) as jwks:
        for _ in range(3):
            found = await jwks.key("one")
            assert found is not None
            assert found["kid"] == "one"
        assert [each.target for each in server.got] == ["/.well-known/jwks.json"]
        clock.advance(FRESH_SECONDS)
        await jwks.key("one")
        assert len(server.got) == 2


async def test_an_unknown_key_is_asked_for_but_not_at_everybodys_word() -> None:
    clock = FakeClock()
    async with scripted(keys("one"), keys("one", "two")) as server, at(server, clock) as jwks:
        await jwks.key("one")
        for invented in range(20):
            assert await jwks.key(f"invented-{invented}") is None
        assert len(server.got) == 1
        clock.advance(ASK_AGAIN_SECONDS)
        assert await jwks.key("two") is not None  # rotated
        assert len(server.got) == 2


async def test_without_its_vendor_it_is_good_for_a_day() -> None:
    clock = FakeClock()
    async with scripted(keys("one"), answer(500)) as server, at(server, clock) as jwks:
        await jwks.key("one")
        clock.advance(FRESH_SECONDS)
        assert await jwks.key("one") is not None
        asked = len(server.got)
        assert await jwks.key("one") is not None
        assert len(server.got) == asked  # not again at each request
        clock.advance(STALE_SECONDS)
        with pytest.raises(ProviderError):
            await jwks.key("one")


@pytest.mark.parametrize(
    "wrong", [answer(404), answer(200, b"<html>"), answer(200, {"keys": "x"}), answer(302)]
)
async def test_what_isnt_a_set_opens_nothing(wrong: bytes) -> None:
    async with scripted(wrong) as server, at(server, FakeClock()) as jwks:
        with pytest.raises(ProviderError):
            await jwks.key("one")


async def test_a_token_that_names_no_key_gets_the_only_one() -> None:
    async with scripted(keys("one")) as server, at(server, FakeClock()) as jwks:
        assert await jwks.key(None) is not None
    async with scripted(keys("one", "two")) as server, at(server, FakeClock()) as jwks:
        assert await jwks.key(None) is None
    async with scripted(keys("one", use="enc")) as server, at(server, FakeClock()) as jwks:
        assert await jwks.key("one") is None

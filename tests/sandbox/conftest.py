from collections.abc import AsyncIterator

import pytest

from sandbox.speech import render
from sandbox.twilio import TwilioEmulator
from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, TwimlServer


@pytest.fixture
async def server() -> AsyncIterator[TwimlServer]:
    async with TwimlServer().running() as server:
        yield server


@pytest.fixture
async def twilio(server: TwimlServer) -> AsyncIterator[TwilioEmulator]:
    emulator = TwilioEmulator(
        account_sid=ACCOUNT,
        auth_tokens=[TOKEN, "the-other-token"],
        numbers=[NUMBER],
        say=lambda text: render(text)[:6400],  # whatever it says takes less than a second
    )
    async with emulator:
        emulator.point_at(server.url)
        yield emulator

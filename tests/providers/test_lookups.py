"""The system's resolver, where the system has nothing left to give."""

import asyncio
import threading

import pytest

from providers import lookups
from providers.lookups import SystemLookups


async def test_a_thread_that_could_not_start_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    look_up = SystemLookups()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2 * lookups._AT_ONCE):
            with pytest.raises(OSError, match="thread"):
                await asyncio.wait_for(look_up("192.0.2.1", 80), 5)
    assert await asyncio.wait_for(look_up("127.0.0.1", 80), 5) == ["127.0.0.1"]

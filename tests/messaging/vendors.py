"""Vendors of texts for tests: small, and as unreliable as they are told to be."""

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from messaging.ports import Accepted, Credentials, OutgoingText, TryLater, UnknownOutcome

#: What a scripted vendor does next: raise, or accept.
Step = Exception | Accepted | None


@dataclass
class ScriptedVendor:
    """Does what it is told, one step per text, and then accepts; keeps what it was given."""

    steps: list[Step] = field(default_factory=list)
    vendor: str = "twilio"
    number: str = "+33139980001"
    known: Accepted | None = None
    is_usable: bool = True
    taken: list[OutgoingText] = field(default_factory=list)
    credentials: list[Credentials] = field(default_factory=list)
    asked: int = 0

    def usable(self, credentials: Credentials) -> bool:
        return self.is_usable

    def sender(self, credentials: Credentials) -> str:
        return self.number

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        self.taken.append(text)
        self.credentials.append(credentials)
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        return step or Accepted(f"SM{text.id}")

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        self.asked += 1
        return self.known


class FileVendor:
    """A vendor whose memory is a file: one line for each text that it has, written at once, so that
    it outlives whoever asked. `flaky`: it refuses for a while, or takes a text and says nothing."""

    vendor = "twilio"

    def __init__(self, path: Path, *, seconds: float = 0.0, flaky: float = 0.0) -> None:
        self._path = path
        self._seconds = seconds
        self._flaky = flaky
        self._dice = random.Random(str(path))

    def usable(self, credentials: Credentials) -> bool:
        return True

    def sender(self, credentials: Credentials) -> str:
        return "+33139980001"

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        chance = self._dice.random() if self._flaky else 1.0
        if chance < self._flaky / 2:
            raise TryLater(self.vendor, "busy", code="20429", after=0.05)
        await asyncio.sleep(self._seconds / 2)
        self._remember(f"{text.to} {text.id} {text.body}")
        if chance < self._flaky:
            raise UnknownOutcome(self.vendor, "no answer")
        await asyncio.sleep(self._seconds)
        return Accepted(f"SM{text.id}")

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        return None

    def _remember(self, line: str) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)


def remembered(path: Path) -> Sequence[tuple[str, str, str]]:
    """Address, our id and words of each text that a `FileVendor` has, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split(" ", 2)[0], line.split(" ", 2)[1], line.split(" ", 2)[2]) for line in lines]

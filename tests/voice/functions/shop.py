"""A tenant of the tests, and calls to it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from domain.tenant import Tenant
from storage import NewCall, Storage
from storage.knowledge.documents import NewDocument
from storage.knowledge.parsing.child import Wanted, read
from storage.knowledge.search import EmbeddedKnowledge
from storage.knowledge.split import Chunk
from tests.fakes.clock import FakeClock
from voice.events import FunctionFinished
from voice.functions.context import CallContext
from voice.functions.runner import FunctionRunner

#: Monday 23 November 2026, 9:10 in Paris.
MONDAY = datetime(2026, 11, 23, 8, 10, tzinfo=UTC)
CALLER = "+33639981234"
OWNER = "+33639980001"


#: For tests of what the two databases do differently.
both_databases = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])


@dataclass
class Shop:
    """A tenant, and what its callers can make the agent do."""

    storage: Storage
    tenant: Tenant
    clock: FakeClock
    runner: FunctionRunner = field(default_factory=FunctionRunner)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def call(self, caller: str | None = CALLER, **changes: Any) -> CallContext:
        """A new call; its context."""
        opened = await self.storage.operator.open_call(
            NewCall(
                call_sid=f"CA{self.tenant.id}{next(self._numbers)}",
                from_number=caller or "",
                from_raw=caller or "anonymous",
                to_number="+33939990000",
                stage="agent",
                tenant_id=self.tenant.id,
                found_by="to",
            ),
            {},
        )
        values: dict[str, Any] = {
            "tenant": self.tenant,
            "storage": self.storage.tenant(self.tenant.id),
            "call_id": opened.call.id,
            "clock": self.clock,
            "caller_number": caller,
            "transfer_number": OWNER,
            "locale": "fr-FR",
            "knowledge": EmbeddedKnowledge(self.storage),
        }
        return CallContext(**{**values, **changes})

    async def add_document(self, title: str, markdown: str) -> str:
        """A document that can be searched; its id."""
        told: Any = read(markdown.encode(), Wanted("markdown", title=title))
        chunks = [Chunk(*chunk) for chunk in told["chunks"]]
        async with self.storage.tenant(self.tenant.id).write() as rows:
            document_id = await rows.knowledge.add(NewDocument(title, "markdown", markdown))
            assert await rows.knowledge.replace_chunks(document_id, 1, chunks) == []
        return document_id

    async def run(
        self,
        name: str,
        arguments: dict[str, Any] | str | None = None,
        context: CallContext | None = None,
        function_call_id: str | None = None,
    ) -> FunctionFinished:
        """What the agent hears when it calls this function, by default in a call of its own."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        return await self.runner.run(
            function_call_id or f"call_{next(self._numbers)}",
            name,
            text,
            context or await self.call(),
        )

    async def answer(
        self,
        name: str,
        arguments: dict[str, Any] | str | None = None,
        context: CallContext | None = None,
    ) -> dict[str, Any]:
        """Only the result."""
        return dict((await self.run(name, arguments, context)).result)

    async def rows(self) -> dict[str, list[Any]]:
        """All that functions can have written for this tenant."""
        async with self.storage.tenant(self.tenant.id).read() as rows:
            return {
                "appointments": (await rows.appointments.list(limit=500)).items,
                "prospects": (await rows.prospects.list(limit=500)).items,
                "tickets": (await rows.tickets.list(limit=500)).items,
            }

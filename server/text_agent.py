"""Who answers texts: the deployment's language model, with the functions that the telephone has."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.clock import Clock
from domain.knowledge import Knowledge
from domain.language_model import FunctionRequest, FunctionSpec, ModelMessage
from messaging.answering import Done, Said, Writer
from storage import Storage, TextTurn
from voice.functions import FUNCTIONS
from voice.functions.context import CallContext
from voice.functions.runner import FunctionRunner
from voice.turn_model import TurnModel

_NAMES = frozenset(function.NAME for function in FUNCTIONS)


@dataclass(frozen=True, slots=True)
class TextAgent:
    """`messaging.answering.Agent`, made of what calls by turns are made of."""

    model: TurnModel
    functions: FunctionRunner
    storage: Storage
    clock: Clock
    region: str
    knowledge: Knowledge | None = None

    async def ask(
        self,
        messages: Sequence[ModelMessage],
        functions: Sequence[FunctionSpec],
        seconds: float,
    ) -> Said:
        """One answer, whole, not empty. ProviderError."""
        said = await self.model.ask(messages, functions, seconds)
        return Said(said.text, said.requests)

    def specs(self, names: Sequence[str], locale: str) -> Sequence[FunctionSpec]:
        """The functions of these names as the model sees them; unknown ones are left out."""
        return self.functions.specs([name for name in names if name in _NAMES], locale)

    async def run(self, request: FunctionRequest, writer: Writer) -> Done:
        """Run it exactly once by its id. Never raises."""
        context = CallContext(
            tenant=writer.tenant,
            storage=self.storage.tenant(writer.tenant.id),
            call_id=None,
            clock=self.clock,
            caller_number=writer.number,
            email=writer.email,
            locale=writer.locale,
            region=self.region,
            knowledge=self.knowledge,
            channel=writer.channel,
            text_turn=TextTurn(writer.conversation_id, writer.turn),
            contact_id=writer.contact_id,
            known_appointments=writer.appointments,
        )
        finished = await self.functions.run(request.id, request.name, request.arguments, context)
        return Done(dict(finished.result), finished.effect is not None)

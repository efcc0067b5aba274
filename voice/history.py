"""What is stored of a call so far: read when another stream, or its end, must know it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.outcome import Outcome
from storage.rows import TenantHandle
from voice.conclusion import FAREWELLS

#: The event that names the agent who took the call.
CONNECTED = "agent_connected"
#: The event that says that the business had the call ended.
END_ASKED = "end_asked"


@dataclass(frozen=True, slots=True)
class History:
    """`turns`: (who, text), who "caller" or "agent", oldest first, as heard."""

    turns: Sequence[tuple[str, str]] = ()
    achieved: Sequence[Outcome] = ()
    agent: str | None = None
    #: The last thing on the line was an answer of the agent, heard to its end.
    answered: bool = False
    #: The business hung up on the caller, from its dashboard.
    end_asked: bool = False

    @property
    def caller_turns(self) -> int:
        return sum(who == "caller" for who, _ in self.turns)

    def greeted(self, disclosure: str) -> bool:
        """The caller has heard the agent's first words, and in them that an AI speaks."""
        first = next((text for who, text in self.turns if who == "agent"), "")
        return len(first) >= len(disclosure)

    @property
    def farewell(self) -> bool:
        """The caller's last words were a goodbye, after at least one answer."""
        said = [text.casefold() for who, text in self.turns if who == "caller"]
        return len(said) > 1 and any(word in said[-1] for word in FAREWELLS)


async def read_history(handle: TenantHandle, call_id: str) -> History:
    """All that was said and achieved on this call of this tenant."""
    async with handle.read() as rows:
        timeline = await rows.calls.timeline(call_id)
        functions = await rows.functions.of_call(call_id)
    spoken = [entry for entry in timeline if entry.kind == "turn"]
    # Lines of our own, while an agent was late, are nothing that the next one must know.
    conversation = [turn for turn in spoken if not turn.data.get("announced")]
    turns = sorted(conversation, key=lambda turn: turn.at)
    last = turns[-1].data if turns else {}
    # Of events only: a function's name, which a model makes up, may be any.
    events = [entry.data for entry in timeline if entry.kind == "event"]
    agents = [event["agent"] for event in events if event.get("name") == CONNECTED]
    return History(
        turns=[(turn.data["who"], turn.data["text"]) for turn in turns],
        agent=agents[-1] if agents else None,
        achieved=[Outcome(function.effect) for function in functions if function.effect],
        answered=last.get("who") == "agent" and not last.get("cut"),
        end_asked=any(event.get("name") == END_ASKED for event in events),
    )


async def read_achieved(handle: TenantHandle, call_id: str) -> list[Outcome]:
    """What functions have achieved on this call of this tenant, on whichever stream."""
    async with handle.read() as rows:
        functions = await rows.functions.of_call(call_id)
    return [Outcome(function.effect) for function in functions if function.effect]

"""Mid-call rescue: an agent fails, and the ladder's next one goes on with the same caller. Pure.

How many failures in a row end an agent, and how many agents end a stream; and what the next one is
told as notes: what functions have answered that nobody has spoken of to the end, and what of the
lost agent's words the caller heard after it was gone. (What it must hear anew: `voice.hearing`.)
"""

from dataclasses import dataclass
from typing import Final

from voice.call_rules import Rules, Script

#: An agent that fails this often in a row, without an answer in between, is given up.
FAILURES_BEFORE_LEAVING: Final = 2


@dataclass(frozen=True, slots=True)
class _Given:
    """What an agent was told of and has to speak of, as a note."""

    note: str
    response: int  # the last one begun by then: it can't speak of this


class Failover:
    """The faults of one stream's agents, and what is carried from each to the next.

    Responses are numbered in the order in which they begin on this stream.
    """

    def __init__(self, rules: Rules, script: Script) -> None:
        self._rules = rules
        self._script = script
        self._failures = 0  # of this agent in a row
        self._changes = 0  # agents lost on this stream
        self._in_vain = 0  # … since one of them last sounded
        self._said: list[str] = []  # notes of a lost agent's last words
        self._results: list[str] = []  # notes of what functions answered, for who comes next
        self._given: list[_Given] = []  # what an agent has, and hasn't spoken of to the end

    # ------------------------------------------------------------------------------ faults

    @property
    def patience(self) -> float:
        """How long an agent that owes us words may give no sign, seconds. Who failed already gets
        half the time, and so does who takes over from such a one."""
        again = self._failures or self._in_vain
        return self._rules.agent_within / (2 if again else 1)

    def fail(self) -> bool:
        """The agent was stuck, or an answer of it failed. Whether it is to be given up."""
        self._failures += 1
        return self._failures >= FAILURES_BEFORE_LEAVING

    def answer(self) -> None:
        """The agent has completed an answer."""
        self._failures = 0

    def sound(self) -> None:
        """The agent was on the line."""
        self._in_vain = 0

    def lose_agent(self) -> bool:
        """The agent is gone. Whether another one is to be asked for on this stream."""
        self._in_vain += 1
        if self._changes >= self._rules.agents or self._in_vain > self._rules.in_vain:
            return False
        self._changes += 1
        self._failures = 0
        self._results[:0] = [each.note for each in self._given]
        self._given.clear()
        return True

    # ------------------------------------------------------------------------------- notes

    @property
    def has_results(self) -> bool:
        """Among the notes is something to speak of."""
        return bool(self._results)

    def result_given(self, name: str, output: str, response: int) -> None:
        """The agent that asked for this function has its result."""
        self._given.append(_Given(self._result(name, output), response))

    def result_due(self, name: str, output: str) -> None:
        """Who asked for this function is gone: whoever is there must be told."""
        self._results.append(self._result(name, output))

    def said(self, text: str) -> None:
        """Words of a lost agent that the caller heard after the next one was briefed."""
        self._said.append(self._script.said_note.replace("{text}", text))

    def notes(self, response: int) -> list[str]:
        """All that the agent who is there now has to be told, once."""
        notes = [*self._said, *self._results]
        self._given += [_Given(note, response) for note in self._results]
        self._said.clear()
        self._results.clear()
        return notes

    def spoken_of(self, response: int) -> None:
        """This response was heard to its end: what was given before it is told."""
        self._given[:] = [each for each in self._given if each.response >= response]

    def _result(self, name: str, output: str) -> str:
        note = self._script.function_note
        return note.replace("{name}", name).replace("{result}", output)

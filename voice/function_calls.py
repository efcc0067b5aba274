"""Functions that an agent has asked for on this stream, from the call to what follows. Pure.

Running them, exactly once, is `voice.functions.runner`'s.
"""

from dataclasses import dataclass

from voice.call_rules import Rules
from voice.events import FunctionFinished


@dataclass(slots=True)
class FunctionCall:
    """One that runs. `worded`: the agent spoke when it asked; `overtaken`: the caller has spoken
    into it; `orphaned`: who asked for it is gone, or was never on this stream."""

    worded: bool = False
    overtaken: bool = False
    orphaned: bool = False


class FunctionCalls:
    """Those of one stream. `ending`: why the call ends once their results are told, or ""."""

    def __init__(self, rules: Rules, fillers: tuple[str, ...]) -> None:
        self._rules = rules
        self._fillers = fillers
        self._filled = 0  # fillers since nothing ran
        self._running: dict[str, FunctionCall] = {}
        self._untold = False  # a result of which the agent hasn't spoken yet
        self.ending = ""

    @property
    def running(self) -> bool:
        return bool(self._running)

    def begin(self, function_call_id: str, *, worded: bool) -> bool:
        """False if it runs already."""
        if function_call_id in self._running:
            return False
        self._running[function_call_id] = FunctionCall(worded)
        return True

    def finish(self, function_call_id: str) -> FunctionCall:
        """It has answered; what nobody here has asked for ran elsewhere."""
        call = self._running.pop(function_call_id, None)
        if not self._running:
            self._filled = 0
        return call if call is not None else FunctionCall(orphaned=True)

    def what_follows(self, event: FunctionFinished, call: FunctionCall) -> str:
        """ "end" or "transfer" at once, or "": the conversation, not ending yet, goes on."""
        if event.then == "end":
            if call.overtaken:
                return ""
            if self._running or self._untold:  # what they have found is said first
                self.ending = event.detail or "agent"
                return ""
        self._untold |= event.then == ""
        return event.then

    def told(self) -> None:
        """The agent speaks: of what was found, if anything was."""
        self._untold = False

    def overtake(self) -> None:
        """The caller has more to say: none that runs now ends the call."""
        self.ending = ""
        for call in self._running.values():
            call.overtaken = True

    def orphan(self) -> None:
        """Who asked for those that run is gone."""
        for call in self._running.values():
            call.orphaned = True

    # ----------------------------------------------------------------------------- fillers

    @property
    def filler_after(self) -> float:
        """How long the line may be silent while they run, seconds."""
        return self._rules.next_filler_after if self._filled else self._rules.filler_after

    def filler(self) -> str | None:
        """What the agent says now so that the line isn't silent; None if all has been said."""
        if self._filled >= len(self._fillers):
            return None
        self._filled += 1
        return self._fillers[self._filled - 1]

    def bridged(self) -> None:
        """A line of our own was a filler, too."""
        self._filled += 1

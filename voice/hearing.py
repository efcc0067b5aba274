"""Does the caller speak, and who has heard it? The agent tells us, and so do our own ears. Pure.

The agent's word counts while it listens. Our ears (`voice.media_stream.ears`) know loud from quiet
and no more: they are all there is while no agent listens, and a check on one that does.
"""

from enum import Enum


class Doubt(Enum):
    """What is to be thought of an agent that didn't notice the caller."""

    NONE = "none"
    GONE = "gone"  # is it there at all?
    ASLEEP = "asleep"  # once may be noise, or too soft for it: the caller is asked again
    DEAF = "deaf"


class Hearing:
    """One caller, one agent after another. Times are monotonic seconds.

    `speaking`: the caller speaks, for all we know; `loud`: they do by our own ears; `deaf`: how
    often in a row the agent didn't notice; `checking`: one that showed nothing of a short word is
    asked whether it is there; `to_replay`: the next one is to be played the caller's last words.
    """

    def __init__(self, deaf_after: float) -> None:
        self._deaf_after = deaf_after
        self.speaking = self.loud = False
        self.deaf = 0
        self.checking = False
        self.to_replay = False
        self._began: list[float] = []  # the turns that the agent hasn't transcribed yet
        self._loud_since: float | None = None
        self._noticed = False  # … and the agent heard it too
        self._hushed: float | None = None  # since when, if nothing has sounded since
        self._presumed = False  # that the caller has finished: the agent didn't say so
        self._unheard = False  # the agent has missed their last words
        self._replayed = False  # the agent was played their words, and shows no sign of it yet

    @property
    def transcript_due(self) -> bool:
        """The caller has said something that hasn't been transcribed yet."""
        return bool(self._began) and not self.speaking

    def hushed_for(self, now: float) -> float:
        """How long the line has been silent since the caller fell silent, if our ears know."""
        return now - self._hushed if self._hushed is not None else 0.0

    # ------------------------------------------------------------------ by the agent's word

    def begin(self, now: float) -> None:
        """The agent hears the caller begin."""
        self.speaking = self._noticed = True
        self._presumed = self._unheard = self._replayed = False
        self.deaf = 0
        self._began.append(now)
        del self._began[:-8]  # a bound: transcripts that never came

    def end(self, *, presumed: bool = False) -> None:
        """… and end; or (`presumed`) it should have by now."""
        self.speaking = False
        self._presumed = presumed

    def transcribed(self) -> float | None:
        """The agent tells what the caller said: when that turn began, if we know."""
        self._replayed = False
        return self._began.pop(0) if self._began else None

    def sound(self, *, announcing: bool) -> None:
        """Something sounds, the agent or (`announcing`) a line of our own."""
        self._hushed = None
        if not announcing:
            self._unheard = self._replayed = False

    # ------------------------------------------------------------------------ by our own ears

    def rise(self, now: float, *, listening: bool) -> bool:
        """The caller is loud; `listening`: an agent is there. True if they go on after an end that
        was only presumed."""
        goes_on = self._presumed
        self._presumed = False
        self._hushed = None
        self.speaking |= goes_on
        self.loud = True
        self._loud_since, self._noticed = now, self.speaking
        self.speaking |= not listening
        return goes_on

    def hush(self, now: float, *, listening: bool) -> float | None:
        """The caller is quiet. For how long they were loud to an agent that didn't notice; None if
        it did, or nobody listens."""
        self.loud = False
        since, self._loud_since = self._loud_since, None
        self._hushed = now
        if not listening:
            self.speaking = False
            self.to_replay = True
            return None
        if since is None or self.speaking or self._noticed:
            return None
        return now - since

    def doubt(self, unnoticed: float, *, owes: bool) -> Doubt:
        """The caller was loud for so long, and the agent, who owes words or not, didn't notice."""
        if unnoticed < self._deaf_after:  # a cough, or "oui" to a dead line
            if owes or self.checking:
                return Doubt.NONE
            self.checking = True
            return Doubt.GONE
        if owes:
            self.miss()
            return Doubt.NONE
        self.deaf += 1
        return Doubt.DEAF if self.deaf > 1 else Doubt.ASLEEP

    def miss(self) -> None:
        """The agent hasn't heard, or far too late, what the caller said last."""
        self._unheard = True

    # ---------------------------------------------------------------------- another agent

    def checked(self) -> None:
        """Whether it is there is known."""
        self.checking = False

    def lose_agent(self) -> None:
        """The agent is gone. From here on our own ears alone tell whether the caller speaks."""
        in_doubt = self._unheard or self.checking or self._replayed or self.deaf > 0 or self.loud
        self.to_replay = self.speaking or bool(self._began) or in_doubt
        self._presumed = self._unheard = self.checking = self._replayed = False
        self.deaf = 0
        self._began.clear()
        self.speaking = self.loud

    def take_over(self) -> bool:
        """The next agent is there. Whether it has been played the caller's last words."""
        self._replayed = self.to_replay or self.speaking
        self.to_replay = self.speaking = False
        return self._replayed

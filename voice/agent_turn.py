"""The agent's turn: what it was asked for, what it makes, what of that is on the line. Pure."""

from typing import Final

#: An agent that is stuck is stopped by silencing the line: so often we look whether a line of our
#: own has been heard, seconds.
AFTER_OUR_LINE: Final = 0.3


class AgentTurn:
    """What is known of the agent that speaks now. Read what you like; only its methods write."""

    def __init__(self) -> None:
        self.asked = False  # to speak; the response hasn't begun
        self.owed = False  # the caller has finished; no response has begun
        self.responding = False
        self.spoke = False  # in the running response, or in the last one
        self.sounded = False  # an agent has been on this line at least once
        self.audible = False  # something is on the line
        self.announcing = False  # … and it is a line of our own
        self.dry = False  # … but what came has been played, and more is due
        self._last_sign = 0.0  # of life, monotonic seconds

    @property
    def owes(self) -> bool:
        """Words are due, or more of them."""
        return self.asked or self.responding or self.owed

    @property
    def sounds(self) -> bool:
        """There is something to be heard, as far as we know."""
        return self.audible and not self.dry

    def ask(self) -> None:
        """It shall speak."""
        self.asked = True

    def owe(self) -> None:
        """The caller has finished: it will speak by itself."""
        self.owed = True

    def excuse(self) -> None:
        """The caller goes on: it owes no answer yet."""
        self.owed = False

    def withdraw(self) -> None:
        """What it was asked for and hasn't begun is no longer wanted."""
        self.asked = self.owed = False

    def begin(self) -> None:
        """A response begins."""
        self.responding = True
        self.asked = self.owed = self.spoke = False

    def end(self) -> None:
        """The response is complete, or nothing more of it will come."""
        self.responding = False

    def sound(self, *, announcing: bool) -> None:
        """An item begins to sound, the agent's or (`announcing`) ours."""
        self.audible = True
        self.dry = False
        self.announcing = announcing
        if not announcing:  # otherwise it owes its answer all the same
            self.owed = False
            self.spoke = self.sounded = True

    def run_dry(self, dry: bool) -> None:
        """All that came has been played, and more is due; or more has come."""
        self.dry = dry

    def silent(self) -> None:
        """All was played, or cleared."""
        self.audible = self.dry = False

    def sign(self, now: float) -> None:
        """It lives."""
        self._last_sign = now

    def patience_left(self, now: float, patience: float, caller_speaks: bool) -> float:
        """An agent that owes us words gave no sign of late: how long to wait on, seconds; 0.0 if it
        is stuck. `patience`: how long it may give none."""
        left = self._last_sign + patience - now
        if self.sounds and not self.announcing:  # that is a sign
            self.sign(now)
            return patience
        if left > 0.05:
            return left
        if caller_speaks:  # the leg holds its answer back
            self.sign(now)
            return patience
        return AFTER_OUR_LINE if self.responding and self.announcing and self.sounds else 0.0

    def lose(self) -> None:
        """The agent is gone; what it has sent is still on the line."""
        self.asked = self.owed = self.responding = False

"""The caller's silence: nobody speaks, and it is their turn. Pure."""

from voice.call_rules import Rules


class Silence:
    """Counts it over our prompts, which the caller leaves unanswered, up to the goodbye. Times are
    monotonic seconds. `counting`: it has begun."""

    def __init__(self, rules: Rules, prompts: tuple[str, ...]) -> None:
        self._rules = rules
        self._words = prompts
        self._began: float | None = None
        self._prompts = 0
        self._prompting = False  # what the agent says, or is asked to, is a prompt

    @property
    def counting(self) -> bool:
        return self._began is not None

    def forget(self) -> None:
        """The caller has given a sign."""
        self._began = None
        self._prompts = 0
        self._prompting = False

    def rest(self) -> None:
        """The agent has come to rest: the count begins anew, unless it was a prompt."""
        if not self._prompting:
            self._began = None
        self._prompting = False

    def lasts(self, now: float) -> float:
        """Nobody speaks: how long until something is to be done about it, seconds."""
        if self._began is None:
            self._began = now
            self._prompts = 0
        left = self._began + self._rules.goodbye_after - now
        if self._prompts < self._rules.prompts:
            left = min(left, self._rules.prompt_after)
        return max(left, 0.0)

    def too_long(self, now: float) -> bool:
        """It is time for the goodbye."""
        return self._began is not None and now >= self._began + self._rules.goodbye_after - 0.05

    def prompt(self) -> str | None:
        """What the caller is asked now; None if they have been asked often enough."""
        if self._prompts >= self._rules.prompts:
            return None
        words = self._words[min(self._prompts, len(self._words) - 1)]
        self._prompting = True
        self._prompts += 1
        return words

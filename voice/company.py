"""Lines of our own, while it is the agent's turn and nothing sounds. Pure."""

from voice.call_rules import Rules


class Company:
    """Keeps a caller company who is alone on the line: when, and with which line.

    `waiting`: a line of ours is due unless something sounds before.
    """

    def __init__(self, rules: Rules, lines: tuple[str, ...]) -> None:
        self._rules = rules
        self._lines = lines
        self._held = 0  # lines of ours since the agent last sounded
        self._was_cut = False  # the line was dead before this stream, and nothing sounded since
        self.waiting = False

    def join(self, *, was_cut: bool) -> None:
        """The caller is there; `was_cut`: after a stream that broke."""
        self._was_cut = was_cut

    def sound(self, *, announcing: bool) -> None:
        """Something sounds, the agent or (`announcing`) a line of our own."""
        self._was_cut = False
        if not announcing:
            self._held = 0

    def wait(self, silent: float) -> float:
        """The caller is alone, after so many seconds of silence: how long a line waits, seconds."""
        self.waiting = True
        if self._was_cut:
            return self._rules.hold_after_cut
        return max(self._rules.hold_after - silent, 0.0)

    def stop(self) -> None:
        """They aren't alone any more, or have waited long enough."""
        self.waiting = False

    def line(self) -> str | None:
        """What is to be said now, another line each time; None if there is nothing to say."""
        if not self._lines:
            return None
        line = self._lines[min(self._held, len(self._lines) - 1)]
        self._held += 1
        return line

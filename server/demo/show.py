"""The demo on the screen: coloured on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.demo.story import Line

_STYLES = {
    "ring": "dim",
    "found": "cyan",
    "caller": "green",
    "agent": "bold",
    "barge_in": "yellow",
    "function": "magenta",
    "outcome": "bold cyan",
    "error": "bold red",
}
_WHO = 10


class Screen:
    """Where the story is told."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A sentence about the demo itself."""
        self._console.print(Text(text))

    def line(self, line: Line) -> None:
        """A line of the story."""
        row = Text(f"{line.at:6.1f} s  ", style="dim")
        row.append(f"{line.who:<{_WHO}} ", style=_STYLES.get(line.kind, ""))
        row.append(line.text, style=_STYLES.get(line.kind, ""))
        self._console.print(row)

    def figures(self, rows: Sequence[tuple[str, str]]) -> None:
        """The table at the end."""
        self._console.print()
        if not self._console.is_terminal:
            for name, value in rows:
                self.say(f"{name}: {value}")
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, value in rows:
            table.add_row(Text(name, style="dim"), Text(value))
        self._console.print(table)

    def places(self, rows: Iterable[tuple[str, str]]) -> None:
        """Where things lie: never shortened, so that they can be copied."""
        self._console.print()
        for name, value in rows:
            self.say(f"{name:<12} {value}")

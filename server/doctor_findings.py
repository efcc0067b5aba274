"""What the doctor says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `cure` is "" when nothing is wrong."""

    level: Literal["ok", "warn", "fail"]
    what: str
    cure: str = ""


def ok(what: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", what)

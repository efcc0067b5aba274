"""Which business a text on a shared number is for. Pure.

Whoever wrote to that person last is meant, if that is unambiguous; otherwise the person is asked.
Nobody is meant by default.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.folding import unaccented
from domain.tenant import Tenant

#: How long a business that wrote may be the one that is answered (issue 6: "in the last 30 days").
REMEMBERED: Final = timedelta(days=30)
#: Two that wrote within this time are both likely to be meant.
CLOSE: Final = timedelta(days=3)
#: How many businesses a question names; who is further back answers with a name or a code.
NAMED: Final = 5
#: How long a question may be answered.
PATIENCE: Final = timedelta(hours=24)

_CODE: Final = re.compile(r"[0-9]{4}")
_NUMBER: Final = re.compile(r"(?:n[o°]?\s*)?([1-9])\s*[.)!]?")


class Candidate(Protocol):
    """A business that wrote (`storage.inbound.Wrote`)."""

    @property
    def tenant(self) -> Tenant: ...
    @property
    def wrote_at(self) -> datetime | None: ...
    @property
    def heard_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Meant:
    """It is for this business."""

    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Ask:
    """The person must say; `among` these, most likely first. Empty: by name or code."""

    among: tuple[Tenant, ...]


def whose(wrote: Sequence[Candidate], now: datetime) -> Meant | Ask:
    """Who is meant, of those that wrote within `REMEMBERED`, the latest first."""
    if not wrote:
        return Ask(())
    likely = max(wrote, key=_active_at)
    answered = likely.heard_at
    others = [
        each
        for each in wrote
        if each is not likely
        and each.wrote_at is not None
        and each.wrote_at > now - CLOSE
        # The person went on with this business after the other had written: that is settled.
        and (answered is None or each.wrote_at > answered)
    ]
    if not others:
        return Meant(likely.tenant)
    ranked = sorted(wrote, key=_active_at, reverse=True)
    return Ask(tuple(each.tenant for each in ranked[:NAMED]))


def named_by(answer: str, among: Sequence[Tenant]) -> Tenant | None:
    """Whom an answer to our question names: by its number in the list, its name, or its code."""
    words = _folded(answer)
    number = _NUMBER.fullmatch(words)
    if number is not None:
        index = int(number[1]) - 1
        return among[index] if index < len(among) else None
    named = [each for each in among if each.code == words]
    named = named or [each for each in among if words and words == _folded(each.name)]
    named = named or [
        each for each in among if len(words) >= 4 and f" {words} " in f" {_folded(each.name)} "
    ]
    return named[0] if len(named) == 1 else None


def code_in(answer: str) -> str | None:
    """The four digits of a business, if that is all that was answered."""
    words = answer.strip()
    return words if _CODE.fullmatch(words) else None


def _active_at(each: Candidate) -> tuple[datetime, bool]:
    """Its last word, and of two at the same moment the one that the person wrote to."""
    instants = [at for at in (each.wrote_at, each.heard_at) if at is not None]
    return max(instants), each.heard_at is not None


def _folded(text: str) -> str:
    return " ".join(re.sub(r"[^\w°.)]+", " ", unaccented(text)).split()).strip(" .!")

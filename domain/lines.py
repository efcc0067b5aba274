"""A business's own telephone lines: whose they are, and whether they forward to us. Pure.

What selects a tenant for a call is a claim; a claim yields to a stronger proof.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from domain.phone import is_withheld, normalise

#: The issue's rules: unproven claims lapse, and their owner is told a week before.
CLAIM_LAPSES: Final = timedelta(days=30)
CLAIM_WARNS: Final = timedelta(days=23)
CHECKS_PER_DAY: Final = 3

#: How long the line is rung, seconds: forwarding on no answer takes 15 to 30 of them (30 is the
#: most that GSM 02.82 lets a subscriber choose), and the issue asks for 40.
RING_SECONDS: Final = 45
#: A call that is answered by somebody else than us ends itself after so long, seconds.
TALK_SECONDS: Final = 30
#: What is said of a check whose call was neither heard of again nor found at the carrier.
CHECK_LASTS: Final = timedelta(seconds=RING_SECONDS + TALK_SECONDS + 15)
#: A check that waits so long for others isn't waited for any more.
CHECK_WAITS: Final = timedelta(minutes=15)
#: A code that was spoken on the line is good for as long, and for so many wrong ones.
CODE_PERIOD: Final = timedelta(minutes=30)
CODE_TRIES: Final = 5

#: By strength. A forwarding that ends at a number which several tenants share shows that the line
#: forwards to us, and not to whom; a code that was spoken on the line shows who answers it.
_STRENGTH: Final = {None: 0, "forwarding": 1, "code": 2, "operator": 2}

#: What a check can find; the sentences are `dashboard.line_catalogue`'s.
WORKS: Final = "works"
NOT_FORWARDED: Final = "not_forwarded"
HIDDEN: Final = "hidden"
CODE_SPOKEN: Final = "code_spoken"
CODE_NOT_HEARD: Final = "code_not_heard"
UNKNOWN: Final = "unknown"
VERDICTS: Final = (WORKS, NOT_FORWARDED, HIDDEN, CODE_SPOKEN, CODE_NOT_HEARD, UNKNOWN)

#: Twilio's final states of the call that we made (twilio.md §4.3): why nothing came back.
_NOBODY_CAME_BACK: Final = {
    "completed": (NOT_FORWARDED, "answered"),
    "busy": (NOT_FORWARDED, "busy"),
    "no-answer": (NOT_FORWARDED, "no_answer"),
    "failed": (UNKNOWN, "not_reached"),
    "canceled": (UNKNOWN, "not_reached"),
}


def stronger(proof: str | None, than: str | None) -> bool:
    """Whether a claim with this proof takes the line from one with that."""
    return _STRENGTH[proof] > _STRENGTH.get(than, 0)


def shown_as(raw: str | None, region: str) -> str | None:
    """What a carrier's `ForwardedFrom` is compared by: E.164, or, when it is no number, the text
    itself (Twilio passes on what it can't normalise: twilio.md §1.4); None when it says nothing."""
    number = normalise(raw, region)
    if number is not None:
        return number
    text = " ".join((raw or "").split())[:64].lower()
    return None if not text or is_withheld(text) else text


@dataclass(frozen=True, slots=True)
class Returned:
    """A call that has just come in, as far as a check wants to know it: E.164; `shown` as
    `shown_as`; `to_own`: at a number that rings for the checking tenant alone, `to_other`: for
    another one."""

    caller: str
    shown: str | None
    to_own: bool = False
    to_other: bool = False


def is_returned(number: str, caller_id: str, call: Returned) -> bool:
    """Whether it is the test call to `number`, forwarded to us. Carriers show whoever called (us),
    or the line itself in their place."""
    if call.caller == caller_id:
        return True
    return call.caller == number and call.shown in (None, number)


def verdict_of(number: str, call: Returned, ours: Collection[str]) -> tuple[str, str | None]:
    """What the call that came back says: the verdict, and what stands behind it."""
    if call.to_other:
        return NOT_FORWARDED, "elsewhere"
    if call.to_own:
        return WORKS, None  # that number tells whose the call is
    if call.caller == number or call.shown is None or call.shown in ours:
        return HIDDEN, None
    return WORKS, None


def verdict_without(kind: str, status: str) -> tuple[str, str | None] | None:
    """What it says that our call ended so, and nothing came back; None: it hasn't ended."""
    found = _NOBODY_CAME_BACK.get(status)
    if found is None or kind != "code":
        return found
    if status == "completed":
        return CODE_SPOKEN, None
    return (CODE_NOT_HEARD, found[1]) if found[0] == NOT_FORWARDED else found

"""What an owner dials to forward a line to us, to ask whether it is, and to end it. Pure.

Sources: real-users.md §1.4 (the corrected help page: Orange's and Free's codes were verified there,
SFR's and Bouygues's not); mobile codes are those of every GSM network (3GPP TS 22.030 annex B),
where 21 is all calls, 67 busy, 61 no answer, 62 out of reach.
"""

from dataclasses import dataclass
from typing import Final

import phonenumbers

_MOBILE: Final = (
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
)
_FRANCE: Final = 33


@dataclass(frozen=True, slots=True)
class ForwardingCode:
    """`when`: all | voice | busy | no_answer | unreachable. `line`: mobile | landline | box; a box
    has no codes, its owner goes to the operator's customer area. `operators` where it is known
    to work, "" for all; `verified`: by the customer's own support, not only by a standard."""

    line: str
    when: str
    activate: str | None
    check: str | None
    cancel: str | None
    operators: str = ""
    verified: bool = False


def dialled(number: str, line: str) -> str:
    """How a number of ours is written in a code for `line`: nationally inside the country."""
    parsed, home = phonenumbers.parse(number, None), phonenumbers.parse(line, None)
    if parsed.country_code != home.country_code:
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return "".join(c for c in written if c.isdigit())


def forwarding_codes(line: str, to: str) -> tuple[ForwardingCode, ...]:
    """The codes for forwarding `line` to `to`, both E.164; for a line that is no mobile one, those
    of a telephone socket and of a box."""
    number = dialled(to, line)
    if _is_mobile(line):
        return (
            ForwardingCode(
                "mobile", "all", f"**21*{number}#", "*#21#", "##21#", "Orange, Free", verified=True
            ),
            ForwardingCode(
                "mobile", "voice", f"**21*{number}*11#", "*#21#", "##21#", "Orange", verified=True
            ),
            ForwardingCode("mobile", "busy", f"**67*{number}#", "*#67#", "##67#"),
            ForwardingCode("mobile", "no_answer", f"**61*{number}#", "*#61#", "##61#"),
            ForwardingCode("mobile", "unreachable", f"**62*{number}#", "*#62#", "##62#"),
        )
    return (
        ForwardingCode(
            "landline", "all", f"*21*{number}#", "*#21#", "#21#", "Orange", verified=True
        ),
        ForwardingCode("box", "all", None, None, None),
    )


def _is_mobile(line: str) -> bool:
    """In France by the first digit: the library lags behind the ranges that are opened."""
    number = phonenumbers.parse(line, None)
    if number.country_code == _FRANCE:
        return phonenumbers.national_significant_number(number)[0] in "67"
    return phonenumbers.number_type(number) in _MOBILE

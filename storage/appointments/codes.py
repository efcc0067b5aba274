"""The two names that an appointment has for its customer: a code for the ear, a token for links.

A code is read out over the telephone, so it is short, and short means guessable: 19^6 are 47
million. It opens nothing by itself but over the telephone, where a call has few tries. A link is
tried by machines, as often as they like: its token has 70 bits (32^14), more than the 64 that
nobody tries out over a network, in letters that survive being typed, and being folded to lower
case by whoever shortens links.
"""

import secrets
import unicodedata

#: Neither 0, 1, I, L, O (for the eye) nor letters that sound alike in French or English, as B, D, P
#: and T do, E and 2, S and F, N and M, X and 6, I and Y.
CODE_LETTERS = "23456789AFHJKMRTUYZ"
CODE_LENGTH = 6
_LINK_LETTERS = "23456789abcdefghijkmnpqrstuvwxyz"
LINK_LENGTH = 14


def new_code() -> str:
    """Six letters and digits, random: "K7R 4TA"."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def new_token() -> str:
    """14 letters and digits of 32: 70 bits."""
    return "".join(secrets.choice(_LINK_LETTERS) for _ in range(LINK_LENGTH))


def plain_code(said: str | None) -> str | None:
    """The code as it is stored, from how it is said or typed ("k7r-4ta", "K 7 R 4 T A"); None when
    it can't be one."""
    folded = unicodedata.normalize("NFKD", (said or "")[:60])
    code = "".join(c for c in folded if c.isascii() and c.isalnum()).upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(CODE_LETTERS) else None


def shown_code(code: str) -> str:
    """In two groups, as one reads it out: "K7R 4TA"."""
    return f"{code[:3]} {code[3:]}"

"""Variables that tenants leave in their texts: {company}, {{name}}, [[…]], <…>, ${…}, %…%.

A variable that nobody resolved must never be spoken (real-users.md §4.7: "{COMPANY_NAME}" was read
aloud to callers).
"""

import re
from collections.abc import Mapping
from typing import Final

from domain.folding import bare_name

_VARIABLE: Final = re.compile(
    r"[$#@]?\{\{?\s*(?P<braces>[^{}]{0,80}?)\s*\}\}?"
    r"|\[\[\s*(?P<brackets>[^\[\]]{0,80}?)\s*\]\]"
    # One bracket and angle brackets also stand in ordinary prose: only what looks like a name.
    r"|\[\s*(?P<bracket>[A-ZÀ-Ý][A-ZÀ-Ý_ ']{2,60})\s*\]"
    r"|<(?P<angle>[^\W\d][\w .'’-]{0,60})>|<\s*(?P<spaced_angle>[A-Z_]{3,60})\s*>"
    r"|%\s?(?P<percent>[^\W\d][\w.-]{0,60})\s?%|%\((?P<python>\w{1,60})\)s"
    r"|(?<!\w)\$(?P<dollar>[A-Za-z_]\w{2,60})"
    r"|(?<!\w)@(?P<at>\w{3,60})@(?!\w)"
    # NOM_ENTREPRISE: in capitals and joined by underscores, nobody writes words that way.
    r"|(?<![\w@.])(?P<capitals>[A-Z]{2,}(?:_[A-Z0-9]+)+)(?![\w@])"
    r"|(?<!\w)__(?P<underscores>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__(?!\w)"
)
_LEFT_OVER: Final = re.compile(r"[{}<>\[\]]|__")


def resolve(text: str, values: Mapping[str, str]) -> str | None:
    """`text` with its variables replaced, or None when one is unknown or has no value.

    Names are compared without case, accents and punctuation: "{COMPANY_NAME}" is `companyname`.
    Values are inserted once and not read as templates.
    """
    unresolved = False

    def value(found: re.Match[str]) -> str:
        nonlocal unresolved
        known = values.get(_name(found), "")
        unresolved = unresolved or not known
        return known

    without = _VARIABLE.sub("", text)
    resolved = _VARIABLE.sub(value, text)
    return None if unresolved or _LEFT_OVER.search(without) else resolved


def resolve_lines(text: str, values: Mapping[str, str]) -> str:
    """Line by line: a line whose variable can't be resolved is left out. Braces that stand alone
    become round brackets, all else stays."""
    kept = []
    for line in text.splitlines():
        names = [_name(found) for found in _VARIABLE.finditer(line)]
        if all(values.get(name) for name in names):
            pieces = _VARIABLE.split(line)[:: _VARIABLE.groups + 1]
            plain = [piece.translate(_BRACES) for piece in pieces]
            filled = [*(values[name] for name in names), ""]
            kept.append("".join(a + b for a, b in zip(plain, filled, strict=True)))
    return "\n".join(kept)


def remove(text: str) -> str:
    """`text` without variables and without the characters that could make one."""
    return re.sub(r"[{}<>\[\]]", "", _VARIABLE.sub("", text))


_BRACES: Final = str.maketrans("{}", "()")


def _name(found: re.Match[str]) -> str:
    written = next((group for group in found.groups() if group), "")
    return bare_name(written)

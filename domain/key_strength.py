"""Keys that somebody typed, copied or counted up, rather than drew.

The rules look for a pattern, never for a lack of one: what `openssl rand` gives passes. For 32
random bytes, the chance to be refused all the same is below 10⁻¹³ (tests/domain/
test_key_strength.py works it out); each constant says what it contributes. A key that is text has
less in it, so text is also asked whether it reads like words or a keyboard.
"""

from collections import Counter
from itertools import pairwise

KEY_BYTES = 32

#: 32 random bytes have 30 different ones on average; fewer than 16: 3·10⁻¹⁷.
FEWEST_BYTES = 16
#: The same byte so often: below 2·10⁻¹⁴ (256 · C(32,10) · 256⁻¹⁰).
MOST_OF_ONE = 10
#: As many bytes a second time: 2·10⁻¹⁷ (C(25,2) · 256⁻⁸). Finds every period up to 24.
LONGEST_ECHO = 8
#: So many of the 31 steps from one byte to the next alike: 3·10⁻²⁸ (256 · C(31,16) · 256⁻¹⁶).
MOST_EQUAL_STEPS = 16

#: Text: `openssl rand -hex 16` has 14 different characters on average; fewer than 8: 4·10⁻⁸.
FEWEST_CHARACTERS = 8
#: Neighbours of 31 that are typical of words or of a keyboard's rows: fewer than two on average in
#: random letters and digits. So many: about 10⁻⁵ and 10⁻⁷; words and rows have 10 to 20.
MOST_WORD_PAIRS = 10
MOST_KEYBOARD_PAIRS = 12

# The pairs of letters that French and English use most.
_WORD_PAIRS = frozenset(
    "es en re le de nt on te er ou se an th he in at or ti st la ne ma co me is it al ra qu tr ss "
    "pa mo ur ar ec so ro to ai ed nd ha ve li om ch io hi nc ey".split()
)
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn")
_KEYBOARD_PAIRS = frozenset(
    pair for row in _ROWS for a, b in pairwise(row) for pair in (a + b, b + a)
)


def weakness(key: bytes) -> str | None:
    """What is wrong with a key of 32 bytes, as the end of a sentence; None: nothing found.

    Says nothing of the key itself.
    """
    found = _pattern(key)
    if found is None and all(32 <= byte < 127 for byte in key):
        return _words(key.decode("ascii").lower())
    return found


def _pattern(key: bytes) -> str | None:
    counts = Counter(key)
    if len(counts) == 1:
        return "is one character repeated"
    if _echoes(key):
        return "repeats itself"
    steps = Counter((after - before) % 256 for before, after in pairwise(key))
    if max(steps.values()) >= MOST_EQUAL_STEPS:
        return "is a sequence"
    is_text = all(32 <= byte < 127 for byte in key)
    if len(counts) < (FEWEST_CHARACTERS if is_text else FEWEST_BYTES):
        return "has too few different characters"
    if not is_text and max(counts.values()) >= MOST_OF_ONE:
        return "has too few different characters"
    return None


def _echoes(key: bytes) -> bool:
    seen: set[bytes] = set()
    for start in range(len(key) - LONGEST_ECHO + 1):
        part = key[start : start + LONGEST_ECHO]
        if part in seen:
            return True
        seen.add(part)
    return False


def _words(text: str) -> str | None:
    pairs = [a + b for a, b in pairwise(text)]
    if sum(pair in _KEYBOARD_PAIRS for pair in pairs) >= MOST_KEYBOARD_PAIRS:
        return "is typed along a keyboard"
    if sum(pair in _WORD_PAIRS for pair in pairs) >= MOST_WORD_PAIRS:
        return "reads like words"
    return None

"""Whether somebody was promised a call back: read from what the agent said.

The agent is told to promise nothing that isn't recorded. Where it did all the same, the promise
counts: the business must know of it.
"""

import re
from typing import Final

from domain.folding import unaccented

#: Affirmations, after folding: "on vous rappelle", "vous serez rappelé", "je vous fais rappeler",
#: "quelqu'un va vous rappeler", "nous vous recontactons". Not "que l'on vous rappelle" (a wish, an
#: offer) nor "n'hésitez pas à nous rappeler".
_PROMISE: Final = re.compile(
    r"(?<!que l')(?<!qu')\b(?:on|nous|il|elle|quelqu'un|l'equipe|un conseiller|je)\b"
    r"(?:\s[a-z']+){0,3}?\s(?:va|vont|allons|vais)?\s?vous\s(?:fera\s|fais\s|ferons\s)?"
    r"(?:rappel|recontact)\w+\b(?!\s(?:que|qu'))"  # "je vous rappelle que …" reminds
    r"|\bvous (?:serez|allez etre) (?:rappele|recontacte)"
    r"|\b(?:we|i|they|somebody|someone|the team) ?(?:'ll| will|'re going to| are going to)"
    r" (?:call|ring|phone) you back\b"
    r"|\byou(?:'ll| will) be called back\b"
)


def promises_call_back(words: str) -> bool:
    """Whether a sentence of these affirms it; a question asks, and an offer waits for an answer."""
    plain = unaccented(words).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    sentences = re.findall(r"[^.!?…]+[.!?…]?", plain)
    return any(_PROMISE.search(sentence) and not sentence.endswith("?") for sentence in sentences)

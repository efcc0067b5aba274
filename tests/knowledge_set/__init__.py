"""Documents of five small businesses, and what their callers ask: with known answers, with none,
and with more than one. Measures any `domain.knowledge.Knowledge`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from domain.knowledge import Found, Knowledge
from storage.knowledge.parsing.child import Wanted, read
from storage.knowledge.split import Chunk

_HERE = Path(__file__).parent
BUSINESSES = ("garage", "cabinet", "agence", "restaurant", "salon")


@dataclass(frozen=True)
class Question:
    """`needles`: one, what the passage that answers contains; none: the documents don't answer;
    several: what must be asked back."""

    business: str
    text: str
    needles: tuple[str, ...]


@dataclass
class Measured:
    """Counts, and what went wrong, for people."""

    answered: int = 0
    first: int = 0
    third: int = 0
    asked_back: int = 0  # though one passage answers
    unanswerable: int = 0
    invented: int = 0
    ambiguous: int = 0
    noticed: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"recall@1 {self.first}/{self.answered}, recall@3 {self.third}/{self.answered}, "
            f"asked back needlessly {self.asked_back}/{self.answered}, "
            f"answers that don't exist {self.invented}/{self.unanswerable}, "
            f"ambiguity noticed {self.noticed}/{self.ambiguous}"
        )


def documents() -> Iterator[tuple[str, str, str, list[Chunk]]]:
    """Business, title, content and passages of each document."""
    for business in BUSINESSES:
        data = (_HERE / f"{business}.md").read_bytes()
        told = read(data, Wanted("markdown", title=business))
        chunks = told["chunks"]
        assert isinstance(chunks, list)
        yield business, business, str(told["content"]), [Chunk(*chunk) for chunk in chunks]


def questions(name: str) -> list[Question]:
    """Those of `tuning` or `held_out`."""
    found = []
    for business, kinds in tomllib.loads((_HERE / f"{name}.toml").read_text()).items():
        found += [Question(business, text, (needle,)) for text, needle in kinds["answered"]]
        found += [Question(business, text, ()) for text in kinds["nothing"]]
        found += [Question(business, text, tuple(n)) for text, n in kinds["ambiguous"]]
    return found


async def measure(knowledge: Knowledge, tenants: dict[str, str], name: str) -> Measured:
    """Ask everything. `tenants`: business → tenant id."""
    measured = Measured()
    for question in questions(name):
        found = await knowledge.search(tenants[question.business], question.text)
        _count(measured, question, found)
    return measured


def _count(measured: Measured, question: Question, found: Found) -> None:
    texts = [passage.text for passage in found.passages]
    good = True
    if not question.needles:
        measured.unanswerable += 1
        measured.invented += bool(texts)
        good = not texts
    elif len(question.needles) == 1:
        (needle,) = question.needles
        hits = [at for at, text in enumerate(texts) if needle in text]
        measured.answered += 1
        measured.first += hits[:1] == [0]
        measured.third += bool(hits) and hits[0] < 3
        measured.asked_back += found.ambiguous
        good = hits[:1] == [0] and not found.ambiguous
    else:
        measured.ambiguous += 1
        offered = all(any(needle in text for text in texts) for needle in question.needles)
        good = found.ambiguous and offered
        measured.noticed += good
    if not good:
        mark = "?" if found.ambiguous else ""
        measured.wrong.append(f"{question.business}: {question.text} → {mark}{texts[:3]}")

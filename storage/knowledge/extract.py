"""Reading documents that strangers wrote: in a child process, with limits on all that it takes.

The child (`parsing/child.py`) sees the bytes and nothing else of ours: no environment, no
settings, no database. It bounds its own memory and processor time; we bound the wall clock and
what it answers, and kill its whole process group. Whatever becomes of it, we go on.
"""

import asyncio
import signal
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from storage.child_process import ask
from storage.knowledge.parsing.blocks import MAX_BYTES
from storage.knowledge.split import LONGEST_HEADING, Chunk

#: Why a document can't be read. What the owner is told stands in `dashboard.catalogue` under
#: `document_<reason>`.
REASONS: Final = (
    "encrypted",
    "scanned",
    "empty",
    "broken",
    "not_text",
    "too_large",
    "too_much_text",
    "too_many_pages",
    "too_complex",
    "too_slow",
)
#: Over four times the child's processor time: it is niced, and shares a small machine with calls.
WALL_SECONDS: Final = 90.0
#: Children at once, in one process: one reads while another's file arrives.
CHILDREN: Final = 2
#: The largest answer. What is read is told twice, as a text and as passages with their words, and
#: an accent takes six bytes; a French price list of the largest size takes a tenth of this.
MAX_ANSWER_BYTES: Final = 48 * 1024 * 1024
_CHILD: Final = "storage.knowledge.parsing.child"


class ExtractionFailed(Exception):
    """`reason` is one of REASONS; `detail` for the operator, without anything of the document.
    `passing`: the machine may have been at fault, and the same may succeed later."""

    def __init__(self, reason: str, detail: str = "", *, passing: bool = False) -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document's own title ("" without one), its text as a person reads it, its passages."""

    title: str
    content: str
    chunks: tuple[Chunk, ...]


class _Answer(msgspec.Struct, frozen=True):
    title: str = ""
    content: str = ""
    chunks: tuple[tuple[Literal["row", "prose"], str, str, str], ...] = ()
    error: str = ""
    detail: str = ""


class Extractor:
    """Reads documents, `children` at a time. One for the process."""

    def __init__(self, *, children: int = CHILDREN, wall_seconds: float = WALL_SECONDS) -> None:
        self._places = asyncio.Semaphore(children)
        self._wall_seconds = wall_seconds

    async def extract(
        self,
        data: bytes,
        source_type: str,
        *,
        charset: str = "",
        title: str = "",
        locale: str = "fr-FR",
    ) -> Extracted:
        """Read and split a document of `source_type` text, markdown, html or pdf. `title` "": by
        its own one. Raises ExtractionFailed; OperatorError when no process can be started."""
        if len(data) > MAX_BYTES:
            raise ExtractionFailed("too_large")
        wanted = {
            "source_type": source_type,
            "charset": charset[:40],
            "title": title[:LONGEST_HEADING],
            "locale": locale[:40],
        }
        header = msgspec.json.encode(wanted) + b"\n"
        async with self._places:
            told, status = await self._ask(header, data)
        return _read(told, status)

    async def _ask(self, header: bytes, data: bytes) -> tuple[bytes, int]:
        try:
            return await ask(
                _CHILD,
                header,
                data,
                wall_seconds=self._wall_seconds,
                max_answer=MAX_ANSWER_BYTES,
            )
        except TimeoutError:
            raise ExtractionFailed("too_slow", "wall clock", passing=True) from None


def _read(told: bytes, status: int) -> Extracted:
    """The answer, or why there is none."""
    if status == -signal.SIGXCPU:
        raise ExtractionFailed("too_slow", "processor time")
    if status != 0:
        # Killed for want of memory, or fallen over a stack that ran out.
        name = signal.Signals(-status).name if status < 0 else f"exit {status}"
        raise ExtractionFailed("too_complex", name, passing=status == -signal.SIGKILL)
    try:
        answer = msgspec.json.decode(told, type=_Answer)
    except msgspec.DecodeError as error:
        raise ExtractionFailed("too_complex", "answer") from error
    if answer.error:
        reason = answer.error if answer.error in REASONS else "broken"
        raise ExtractionFailed(reason, answer.detail)
    return Extracted(answer.title, answer.content, tuple(Chunk(*each) for each in answer.chunks))

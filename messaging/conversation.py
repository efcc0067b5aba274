"""What is to be done about what somebody has written: the rules of a text conversation. Pure.

A burst of messages is one turn. What deterministic words or buttons say is done without a model;
everything else the agent answers, unless a person has taken over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.agent import AgentProfile, introduction
from domain.folding import bare_words
from domain.messages import text

#: How long we wait for more after a message: people write in bursts (text-channels.md §1.8).
PAUSE: Final[dict[str, timedelta]] = {
    "sms": timedelta(seconds=2),
    "whatsapp": timedelta(seconds=2),
    "email": timedelta(seconds=5),
}
#: How long after a text about an appointment a bare "oui" or "annuler" is about that appointment.
ABOUT_FOR: Final = timedelta(hours=72)
#: Answers of the agent within an hour to one address; then a person must look: two machines that
#: answer each other would never end.
MOST_ANSWERS: Final = 20
#: An agent says anew that it is one after so long a silence (text-channels.md §7).
DISCLOSED_FOR: Final = timedelta(days=30)
#: Characters of an answer, by channel: three segments of an SMS in GSM-7, Meta's bound.
LONGEST: Final[dict[str, int]] = {"sms": 459, "whatsapp": 4000, "email": 12000}

_CONFIRM: Final = frozenset(
    "oui|oui merci|oui je confirme|je confirme|confirme|confirmer|c est confirme|ok|ok merci"
    "|d accord|je serai la|j y serai|c est bon|parfait|yes|yes thanks|confirm|confirmed"
    "|i confirm|i ll be there".split("|")
)
_CANCEL: Final = frozenset(
    "annuler|annule|annulez|j annule|annuler le rendez vous|annulez le rendez vous"
    "|annuler mon rendez vous|annulez mon rendez vous|je veux annuler|je souhaite annuler"
    "|cancel|cancel it|cancel my appointment".split("|")
)
_BUTTON: Final = re.compile(r"appt:(confirm|cancel|move):([0-9A-Za-z_-]{1,64})(?::([0-9]{1,6}))?")
#: What a model writes for a page.
_MARKUP: Final = re.compile(r"\*\*|__|`+|^#+\s*", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")


class Incoming(Protocol):
    """One message that waits for its answer (`storage.conversations.Line`)."""

    @property
    def content(self) -> str: ...
    @property
    def button(self) -> str: ...
    @property
    def seq(self) -> int: ...


@dataclass(frozen=True, slots=True)
class About:
    """An appointment that one of our last texts was about, written at `at`."""

    appointment_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Confirm:
    """They will come. `sequence`: the revision that they saw, if that is known."""

    appointment_id: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """They won't. `sequence` as of `Confirm`."""

    appointment_id: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class OnlyMedia:
    """Something that we can't look at, and no words."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """More answers in an hour than a conversation between people has."""


@dataclass(frozen=True, slots=True)
class Converse:
    """The agent answers. `words`: the burst, as one."""

    words: str


Move = Confirm | Cancel | OnlyMedia | TooMuch | Converse


def decide(
    burst: Sequence[Incoming], about: About | None, answers_within_hour: int, now: datetime
) -> Move:
    """What to do about a burst (not empty, oldest first)."""
    if answers_within_hour >= MOST_ANSWERS:
        return TooMuch()
    pressed = _BUTTON.fullmatch(burst[-1].button)
    if pressed is not None and pressed[1] != "move":
        seen = int(pressed[3]) if pressed[3] else None
        meant = Confirm if pressed[1] == "confirm" else Cancel
        return meant(pressed[2], seen)
    words = "\n".join(each.content for each in burst if each.content.strip())
    if not words:
        return OnlyMedia()
    # Several messages are a story: only a single one is taken at its word.
    if len(burst) == 1 and about is not None and now - about.at <= ABOUT_FOR:
        said = bare_words(words)
        if said in _CONFIRM:
            return Confirm(about.appointment_id)
        if said in _CANCEL:
            return Cancel(about.appointment_id)
    return Converse(words)


def button(verb: str, appointment_id: str, sequence: int) -> str:
    """What a button bears: `verb` is confirm, move or cancel."""
    return f"appt:{verb}:{appointment_id}:{sequence}"


def disclosed(
    words: str, who: AgentProfile, last: datetime | None, now: datetime
) -> tuple[str, bool]:
    """The answer, with the sentence before it that says an AI writes, if that is due; and whether
    it was. AI Act art. 50(1): at the first interaction."""
    if last is not None and now - last <= DISCLOSED_FOR:
        return words, False
    return f"{introduction(who)} {words}", True


def note(channel: str, locale: str, *, knows: bool = False) -> str:
    """What the model is told of writing instead of speaking, after its instructions. `knows`: our
    texts in this conversation were about appointments, which need no other proof."""
    lines = [text(locale, "text_note"), text(locale, f"text_note_{channel}")]
    return "\n".join([*lines, text(locale, "text_note_known")] if knows else lines)


def written(words: str, channel: str) -> str:
    """A model's answer as it is sent: without markup, cut at a sentence when it is too long."""
    clean = _LINK.sub(r"\1 : \2", words)
    clean = _MARKUP.sub("", clean)
    if channel == "sms":
        clean = " ".join(clean.split())
    else:
        clean = re.sub(r"\n{3,}", "\n\n", clean).strip()
    most = LONGEST[channel]
    if len(clean) <= most:
        return clean
    cut = clean[:most]
    end = max(cut.rfind(mark) for mark in ".!?\n")
    return cut[: end + 1].rstrip() if end > most // 3 else cut.rstrip()


def shown_media(kinds: Sequence[str], locale: str) -> str:
    """What stands in the history for something that isn't words."""
    known = {"image", "video", "audio", "document", "location"}
    names = [
        text(locale, f"text_media_{kind}" if kind in known else "text_media_other")
        for kind in kinds
    ]
    return " ".join(f"[{name}]" for name in names)

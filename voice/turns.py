"""A conversation without a stream and without a model: plain rules, keys and simple words. Pure.

What happened → what is said and asked next, or which function is run first. The caller hears
offered slots by number, leaves a message, reports an emergency or is put through. Nothing is said
to be done before the function that does it has answered. The shell (`voice.turn_answers`) runs
functions, stores the state between two of Twilio's requests and journals what was said.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from domain.messages import text
from domain.phone import normalise, spoken_digits
from voice.routing import fold, is_yes

#: How many slots are offered at once: more isn't remembered.
OFFERED = 3
#: Turns without a usable answer in a row after which we stop asking.
MISSES = 2
#: Lengths in characters, of what is handed to functions (voice/functions/arguments.py).
_NAME, _MESSAGE, _DAY = 120, 2000, 100

#: How an answer is given: one key or words; words alone, at length; a number by keys, ended by #,
#: or words; anything at all, for a model.
Listen = Literal["key", "words", "number", "open"]
#: Where a conversation goes when it is over; "below": to the next rung of the ladder.
Target = Literal["end", "transfer", "below"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules must know of the tenant and the caller. `caller_number` and the region of
    national numbers as in `voice.functions.context.CallContext`; `has_transfer`: somebody can be
    rung, and hasn't been in vain."""

    locale: str
    can_book: bool
    has_transfer: bool
    caller_number: str | None
    region: str


class Slot(msgspec.Struct, frozen=True):
    """A moment that was offered: ISO 8601, and in words."""

    start: str
    spoken: str


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the conversation stands. `step` names what was asked last; `purpose` what the call's
    number or message is for; `missed` counts turns without a usable answer; `done`: something was
    achieved."""

    step: str = "menu"
    missed: int = 0
    slots: tuple[Slot, ...] = ()
    chosen: Slot | None = None
    name: str = ""
    number: str = ""
    purpose: str = ""
    message: str = ""
    done: bool = False
    attempts: int = 0  # at writing down what the caller wants


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller answered; both "" when nothing came in time. `speech` as recognised."""

    speech: str = ""
    digits: str = ""

    @property
    def nothing(self) -> bool:
        return not self.speech.strip() and not self.digits


@dataclass(frozen=True, slots=True)
class Answered:
    """A function has answered: `result` is its object."""

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """Say this and listen."""

    words: str
    listen: Listen = "key"


@dataclass(frozen=True, slots=True)
class Run:
    """Run this function; `Answered` follows."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Leave:
    """Say this, then the conversation is over."""

    to: Target
    words: str = ""


Move = Ask | Run | Leave
Step = tuple[State, Move]
_next = msgspec.structs.replace


def begin(
    facts: Facts, words: str, *, done: bool = False, nobody_answered: bool = False
) -> tuple[State, Ask]:
    """The first thing that is asked, behind `words` (the greeting, or that we were cut off).
    `done`: something has been achieved already; `nobody_answered`: a transfer has failed."""
    if nobody_answered:
        state = State(step="message", purpose="message", done=done)
        return state, Ask(_say(facts, "turns_nobody"), "words")
    state = State(step="more" if done else "menu", done=done)
    return state, _prefixed(words, _asked(state, facts))


def heard(state: State, event: Heard, facts: Facts) -> Step:
    """The caller's answer to what was asked."""
    if event.nothing:
        return _missed(state, facts, "turns_nothing")
    return _STEPS[state.step](state, event, facts)


def answered(state: State, event: Answered, facts: Facts) -> Step:
    """What a function said that the rules ran."""
    return _RESULTS[event.name](state, event.result, facts)


def after_model(facts: Facts, event: Heard, *, done: bool, words: str = "") -> Step:
    """The model has fallen silent: go on by rules from the caller's last words. `words`: what a
    function has achieved that the caller hasn't been told."""
    state = State(step="more" if done else "menu", done=done)
    if words:
        return state, _prefixed(words, _asked(state, facts))
    if event.nothing:
        return _missed(state, facts, "turns_nothing")
    intent = _intent(event)
    if intent is not None:
        return _follow(intent, state, facts)
    return state, _asked(state, facts)


# ---------------------------------------------------------------------------- what was wanted

#: "Ce n'est pas très urgent": no emergency. What isn't surely denied is one.
_NOT_URGENT = re.compile(
    r"\b(?:pas|rien|jamais|aucune?|sans|n est plus|not|isn t|nothing|is no|s no)"
    r"(?: (?:d|de|du tout|l|une?|en|si|tres|trop|vraiment|forcement|specialement|absolument"
    r"|particulierement|tellement|super|hyper|plus|an|a|any|very|that|really|so|all that))*"
    r" (?:urgence|urgences|urgent|urgente|emergency)\b"
)
_KEYS = {"1": "book", "2": "message", "3": "human", "0": "human"}
#: In the order in which they are looked for, in folded words (voice.routing.fold).
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("urgent", re.compile(r"\b(urgence|urgences|urgent|urgente|urgemment|emergency)\b")),
    (
        "human",
        re.compile(
            r"\b(humain|humaine|quelqu un|vraie personne|a une personne|un conseiller"
            r"|une conseillere|un operateur|le patron|la patronne|le responsable|la responsable"
            r"|human|somebody|someone|a real person|to a person|an agent|the owner|the manager)\b"
        ),
    ),
    (
        "message",
        # Rules offer slots and nothing else: who wants to cancel or move one leaves a message.
        re.compile(
            r"\b(message|messages|rappel\w*|annul\w*|deplac\w*|report\w*|decal\w*|modifi\w*"
            r"|call me back|call back|cancel\w*|reschedul\w*|move|change)\b"
        ),
    ),
    (
        "book",
        re.compile(
            r"\b(rendez vous|rdv|reserver|reservation|creneau|creneaux|disponibilite\w*"
            r"|appointment|book|booking|reserve|slot)\b"
        ),
    ),
    (
        "bye",
        re.compile(r"\b(au revoir|c est tout|non merci|bonne journee|goodbye|bye|that s all)\b"),
    ),
)


def _intent(event: Heard) -> str | None:
    if event.digits:
        return _KEYS.get(event.digits[0])
    words = _NOT_URGENT.sub(" ", fold(event.speech[:_MESSAGE]))
    return next((name for name, pattern in _WORDS if pattern.search(words)), None)


def _follow(intent: str, state: State, facts: Facts) -> Step:
    if intent == "bye":
        return state, Leave("end", _say(facts, "goodbye"))
    if intent == "book" and facts.can_book:
        return _next(state, step="slots", missed=0), Run("check_availability", {})
    if intent == "human" and facts.has_transfer:
        return state, Leave("transfer", _say(facts, "transfer_wait"))
    if intent == "urgent":
        return _urgent(state, facts)
    state = _next(state, step="message", purpose="message", missed=0)
    ask = _asked(state, facts)
    return state, _prefixed(_say(facts, "turns_nobody_there"), ask) if intent == "human" else ask


def _urgent(state: State, facts: Facts) -> Step:
    """A danger to somebody is nothing for an answering machine: that is said first."""
    if facts.has_transfer:
        return state, Leave("transfer", _say(facts, "turns_urgent_transfer"))
    state = _next(state, step="message", purpose="urgent", missed=0)
    return state, _asked(state, facts)


# -------------------------------------------------------------------------------- the steps


def _menu(state: State, event: Heard, facts: Facts) -> Step:
    intent = _intent(event)
    if intent is None and state.step == "more" and re.search(r"\b(non|no)\b", fold(event.speech)):
        intent = "bye"
    if intent is None or (intent == "book" and not facts.can_book and bool(event.digits)):
        return _missed(state, facts, "turns_again")
    return _follow(intent, state, facts)


_ORDINALS = (
    re.compile(r"\b(premier|premiere|1|first)\b"),
    re.compile(r"\b(deuxieme|second|seconde|2|two)\b"),
    re.compile(r"\b(troisieme|3|third|dernier|derniere|last)\b"),
)
#: Understood alone: "un peu plus tard" names no slot.
_CARDINALS = tuple(
    re.compile(
        rf"(?:(?:le|la|the|oui|yes|numero|number|option|choix|plutot)\s)*(?:{names})"
        r"(?:\s(?:s il vous plait|please))?"
    )
    for names in ("un|une|one", "deux|two", "trois|three")
)
_OTHERS = re.compile(r"\b(autre|autres|aucun|aucune|other|others|none|another|neither)\b")
_REFUSES = re.compile(r"\b(non|pas|no|not)\b")


def _named(words: str) -> int | None:
    """Which of the offered slots was said, from 0; None for none, or more than one."""
    found = [at for at, pattern in enumerate(_ORDINALS) if pattern.search(words)]
    found = found or [at for at, pattern in enumerate(_CARDINALS) if pattern.fullmatch(words)]
    return found[0] if len(found) == 1 else None


def _slots(state: State, event: Heard, facts: Facts) -> Step:
    offered = state.slots[:OFFERED]
    if event.digits:
        key = event.digits[0]
        if key == "9":
            return _others(state, facts)
        index = int(key) - 1 if key.isdigit() else -1
        if not 0 <= index < len(offered):
            return _missed(state, facts, "turns_again")
        return _chosen(state, offered[index], facts)
    words = fold(event.speech[:_DAY])
    if _OTHERS.search(words):
        return _others(state, facts)
    named = _named(words)
    if named is not None and named < len(offered):
        return _chosen(state, offered[named], facts)
    if _REFUSES.search(words):
        return _others(state, facts)
    intent = _intent(event)
    if intent not in (None, "book"):
        return _follow(intent, state, facts)
    # "Plutôt jeudi": the function reads days.
    return state, Run("check_availability", {"date": event.speech.strip()[:_DAY]})


def _others(state: State, facts: Facts) -> Step:
    left = state.slots[OFFERED:]
    if left:
        state = _next(state, slots=left, missed=0)
        return state, _asked(state, facts)
    state = _next(state, step="day", missed=0)
    return state, _asked(state, facts)


def _day(state: State, event: Heard, facts: Facts) -> Step:
    intent = _intent(event)
    if intent not in (None, "book"):
        return _follow(intent, state, facts)
    if not event.speech.strip():
        return _missed(state, facts, "turns_again")
    return state, Run("check_availability", {"date": event.speech.strip()[:_DAY]})


def _chosen(state: State, slot: Slot, facts: Facts) -> Step:
    state = _next(state, chosen=slot, purpose="book", missed=0, step="name")
    if state.name:
        return _have_name(state, facts)
    return state, _asked(state, facts)


_SAYS_NAME = re.compile(
    r"^(?:(?:euh|alors|oui|bonjour|donc|well|yes|hello)[\s,]+)*"
    r"(?:je m['’ ]appelle|je suis|c['’ ]est|mon nom(?: est|,? c['’]est)?|au nom de|pour"
    r"|my name is|my name['’]s|i['’ ]?a?m|it['’ ]?i?s|this is)\s+",
    re.IGNORECASE,
)


def name_of(speech: str) -> str:
    """The name in what was answered to "à quel nom ?"; "" when there is none."""
    said = _SAYS_NAME.sub("", speech.strip()).strip(" .,;:!?…")[:_NAME]
    return said if re.search(r"[^\W\d_]", said) else ""


def _name(state: State, event: Heard, facts: Facts) -> Step:
    name = name_of(event.speech)
    if not name:
        return _missed(state, facts, "turns_again")
    return _have_name(_next(state, name=name, missed=0), facts)


def _have_name(state: State, facts: Facts) -> Step:
    if state.number:
        return _act(state, facts)
    if facts.caller_number is None:
        state = _next(state, step="number")
    else:
        state = _next(state, step="confirm", number=facts.caller_number)
    return state, _asked(state, facts)


def _number(state: State, event: Heard, facts: Facts) -> Step:
    number = normalise(event.digits or re.sub(r"[^\d+]", "", event.speech), facts.region)
    if number is None:
        return _missed(state, facts, "turns_again")
    state = _next(state, step="confirm", number=number, missed=0)
    return state, _asked(state, facts)


def _confirm(state: State, event: Heard, facts: Facts) -> Step:
    if is_yes(event.speech, event.digits):
        return _act(_next(state, missed=0), facts)
    if event.digits == "2" or (
        not event.digits and re.search(r"\b(non|no|autre|other|pas)\b", fold(event.speech))
    ):
        state = _next(state, step="number", number="", missed=0)
        return state, _asked(state, facts)
    return _missed(state, facts, "turns_again")


def _message(state: State, event: Heard, facts: Facts) -> Step:
    said = event.speech.strip()[:_MESSAGE]
    if not said:
        return _missed(state, facts, "turns_nothing")
    state = _next(state, message=said, missed=0)
    if facts.caller_number is None and not state.number:
        state = _next(state, step="number")
        return state, _asked(state, facts)
    return _act(state, facts)


def _act(state: State, facts: Facts) -> Step:
    """All is known: do it."""
    if state.purpose == "book" and state.chosen is not None:
        booking = {"start": state.chosen.start, "name": state.name, "phone": state.number}
        return state, Run("book_appointment", booking)
    about = {"phone": state.number} if state.number else {}
    if state.name:
        about["name"] = state.name
    if state.purpose == "urgent":
        subject = _say(facts, "turns_urgent_subject")
        urgent = {"subject": subject, "description": state.message, "priority": "urgent"}
        return state, Run("create_ticket", {**urgent, **about})
    return state, Run("take_message", {"message": state.message, **about})


_STEPS: Mapping[str, Callable[[State, Heard, Facts], Step]] = {
    "menu": _menu,
    "more": _menu,
    "slots": _slots,
    "day": _day,
    "name": _name,
    "number": _number,
    "confirm": _confirm,
    "message": _message,
}


# ------------------------------------------------------------------------------ the functions


def _availability(state: State, result: Mapping[str, Any], facts: Facts) -> Step:
    slots = _slots_of(result.get("slots"))
    status = result.get("status")
    if status == "invalid":  # no day could be read in what was said
        return _missed(state, facts, "turns_again")
    if not slots:
        why = str(result.get("spoken") or "") if status == "error" else ""
        return _message_instead(state, facts, why or _say(facts, "turns_none"))
    state = _next(state, step="slots", slots=slots, missed=0)
    return state, _asked(state, facts)


def _booked(state: State, result: Mapping[str, Any], facts: Facts) -> Step:
    status, spoken = result.get("status"), str(result.get("spoken") or "")
    if status == "booked":
        return _achieved(state, facts, spoken)
    state = _next(state, attempts=state.attempts + 1)
    slots = _slots_of(result.get("alternatives"))
    if slots and state.attempts <= MISSES:
        state = _next(state, step="slots", slots=slots, chosen=None)
        return state, _prefixed(_say(facts, "turns_taken"), _asked(state, facts))
    return _message_instead(state, facts, spoken)


def _noted(state: State, result: Mapping[str, Any], facts: Facts) -> Step:
    if result.get("status") == "created":
        return _achieved(state, facts, _say(facts, "turns_noted"))
    return state, Leave("below", str(result.get("spoken") or ""))


_RESULTS: Mapping[str, Callable[[State, Mapping[str, Any], Facts], Step]] = {
    "check_availability": _availability,
    "book_appointment": _booked,
    "take_message": _noted,
    "create_ticket": _noted,
}


def _achieved(state: State, facts: Facts, spoken: str) -> Step:
    state = State(step="more", done=True, name=state.name, number=state.number)
    return state, _prefixed(spoken, _asked(state, facts))


def _message_instead(state: State, facts: Facts, why: str) -> Step:
    state = _next(state, step="message", purpose="message", missed=0, chosen=None)
    return state, _prefixed(why, _asked(state, facts))


def _slots_of(listed: Any) -> tuple[Slot, ...]:
    found = listed if isinstance(listed, list) else []
    return tuple(Slot(str(each["start"]), str(each["spoken"])) for each in found)


# ------------------------------------------------------------------------------ the questions


def _missed(state: State, facts: Facts, why: str) -> Step:
    """No usable answer: asked once more, then it is the next rung's turn, or goodbye."""
    state = _next(state, missed=state.missed + 1)
    if state.done and why == "turns_nothing":
        return state, Leave("end", _say(facts, "goodbye"))
    if state.missed >= MISSES:
        return state, Leave("end", _say(facts, "goodbye")) if state.done else Leave("below")
    return state, _prefixed(_say(facts, why), _asked(state, facts))


def _asked(state: State, facts: Facts) -> Ask:
    """The question that belongs to where the conversation stands."""
    match state.step:
        case "slots":
            return Ask(_offer(state.slots[:OFFERED], facts))
        case "day":
            return Ask(_say(facts, "turns_day"), "words")
        case "name":
            when = state.chosen.spoken.removesuffix(".") if state.chosen else ""
            return Ask(_say(facts, "turns_name", when=when), "words")
        case "number":
            return Ask(_say(facts, "turns_number"), "number")
        case "confirm":
            number = spoken_digits(state.number, facts.locale)
            return Ask(_say(facts, "turns_confirm", number=number))
        case "message":
            key = "turns_urgent" if state.purpose == "urgent" else "turns_message"
            return Ask(_say(facts, key), "words")
    return Ask(_choices(state, facts))


def _choices(state: State, facts: Facts) -> str:
    lines = [_say(facts, "turns_more")] if state.step == "more" else []
    if facts.can_book:
        lines.append(_say(facts, "turns_menu_book"))
    lines.append(_say(facts, "turns_menu_message"))
    if facts.has_transfer:
        lines.append(_say(facts, "turns_menu_human"))
    if state.step == "menu":
        lines.append(_say(facts, "turns_menu_urgent"))
    return " ".join(lines)


def _offer(slots: tuple[Slot, ...], facts: Facts) -> str:
    offered = [
        _say(facts, "turns_slot", key=str(key), when=slot.spoken.removesuffix("."))
        for key, slot in enumerate(slots, 1)
    ]
    return " ".join([*offered, _say(facts, "turns_others")])


def _prefixed(words: str, ask: Ask) -> Ask:
    return Ask(f"{words} {ask.words}".strip(), ask.listen)


def _say(facts: Facts, key: str, /, **values: str) -> str:
    return text(facts.locale, key, **values)

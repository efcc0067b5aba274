"""What the emulated chat model answers to a conversation: a scenario's rules, followed from the
first message to the last one each time. It remembers nothing between requests. Pure.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sandbox.bank import clips
from sandbox.brain import Action, Brain, Heard, Note, Result, Stimulus, Tool

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a brain is chosen by: the operator's `instructions`, and the `clips` that the caller has
    said, in order."""

    instructions: str
    clips: tuple[str, ...]


@dataclass(slots=True)
class Answer:
    """What to say and do, and the mind that thought of it."""

    actions: list[Action]
    brain: Brain
    conversation: Conversation


def answer(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    brains: Callable[[Conversation], Brain],
) -> Answer:
    """To a conversation that has passed the schema."""
    turns = _turns(messages)
    instructions = "\n".join(_text(each) for each in messages if _is_operators(each))
    said = tuple(
        clip
        for turn in turns
        for stimulus in turn
        if isinstance(stimulus, Heard)
        for clip in stimulus.clips
    )
    conversation = Conversation(instructions, said)
    brain = brains(conversation)
    declared = [_tool(each["function"]) for each in tools]
    actions: list[Action] = []
    for turn in turns:
        actions = brain.think(turn, declared) if turn or turn is turns[-1] else []
    return Answer(actions, brain, conversation)


def _turns(messages: Sequence[Message]) -> list[list[Stimulus]]:
    """What happened before each answer; the last ones are still to be answered."""
    turns: list[list[Stimulus]] = [[]]
    names: dict[str, str] = {}
    spoken = False
    for message in messages:
        role = message["role"]
        if role == "assistant":
            for call in message.get("tool_calls") or ():
                names[call["id"]] = call["function"]["name"]
            if message.get("tool_calls") or _plain(_text(message)):
                turns.append([])  # otherwise it has answered nothing
        elif role == "tool":
            turns[-1].append(Result(names[message["tool_call_id"]], _text(message)))
        elif role == "user":
            turns[-1].extend(_heard(_text(message)))
            spoken = True
        elif spoken or len(turns) > 1:  # the operator's, in the middle
            turns[-1].append(Note(_text(message), order=True))
    return turns


def _heard(text: str) -> list[Stimulus]:
    """A line that begins with a bracket is nobody's speech: a stage direction."""
    found: list[Stimulus] = []
    spoken: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            found.append(Note(line, order=True))
        else:
            spoken.append(line)
    words = " ".join(" ".join(spoken).split())
    return [*([Heard(_clips(words), words)] if words else []), *found]


def _clips(text: str) -> tuple[str, ...]:
    """The clips with these words in this order; a voice can't be told from a text."""
    words = _plain(text)
    known, longest = _known()
    found: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(longest, len(words) - at), 0, -1):
            if ids := known.get(words[at : at + size]):
                found.extend(ids)
                at += size
                break
        else:
            at += 1
    return tuple(found)


@lru_cache(maxsize=1)
def _known() -> tuple[dict[tuple[str, ...], list[str]], int]:
    table: dict[tuple[str, ...], list[str]] = {}
    for each in clips(role="caller"):
        table.setdefault(_plain(each.text), []).append(each.id)
    return table, max(map(len, table))


def _plain(text: str) -> tuple[str, ...]:
    """Words without case, accents and punctuation."""
    bare = unicodedata.normalize("NFD", text.casefold().replace("œ", "oe"))
    letters = (each if each.isalnum() else " " for each in bare if not unicodedata.combining(each))
    return tuple("".join(letters).split())


def _is_operators(message: Message) -> bool:
    return message["role"] in ("system", "developer")


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def _tool(function: Mapping[str, Any]) -> Tool:
    properties = (function.get("parameters") or {}).get("properties")
    return Tool(function["name"], frozenset(properties) if properties is not None else None)


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """As a model writes them."""
    return json.dumps(arguments, ensure_ascii=False)

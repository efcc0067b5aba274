"""The scripted mind behind one emulated conversation: what it hears, reads or gets back from a
function, it answers after the `[[model.rule]]` tables of a scenario. Pure.

A rule has one condition: `heard` (a clip id, or a list of them), `words` (a part of what was said
or written), `unheard = true` (speech that it could not make out), `note` (a part of a text item or
of a response's instructions), or `result` (a function's name), the latter perhaps with `status`.
`times = n` takes the n-th match only. It answers with `say` (a text), `call` ({name, arguments}, or
a list of these), or both. Texts and arguments may hold {result.path}, {memory.function.path},
{caller.field}, {day+N} (ISO date in N days) and {workday+N} (the N-th day from today that is
neither Saturday nor Sunday).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_CONDITIONS = ("heard", "words", "unheard", "note", "result")
_FIELDS = frozenset({*_CONDITIONS, "status", "times", "say", "call"})
_PLACE = re.compile(r"\{([a-z]+)([+.][^{}]+)\}")
_QUOTED = re.compile(r"«(.+)»|“(.+)”|\"(.+)\"", re.DOTALL)
_NOT_UNDERSTOOD = "Excusez-moi, je n'ai pas bien compris. Pouvez-vous répéter, s'il vous plaît ?"
_LISTENING = "Je vous écoute."


class RuleError(ValueError):
    """A rule that no model could follow; says which and why."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Say a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function of the session."""

    name: str
    arguments: dict[str, Any]


Action = Speak | Call


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn of the caller's: the clips made out in it, in order, and its words."""

    clips: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something to read: a text item, or the instructions of one response. `order`: it comes from
    the operator (role system), whose quoted words the model says first."""

    text: str
    order: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a function gave back. `output` as it was sent: JSON by convention."""

    name: str
    output: str


Stimulus = Heard | Note | Result


@dataclass(frozen=True, slots=True)
class Tool:
    """A function as the session declares it; the names of its parameters, if it says them."""

    name: str
    parameters: frozenset[str] | None = None


@dataclass(slots=True)
class _Rule:
    table: Mapping[str, Any]
    matches: int = 0

    def fires(self) -> bool:
        """Counts one more match; whether it is the one the rule is for."""
        self.matches += 1
        return self.table.get("times") in (None, self.matches)


@dataclass(slots=True)
class Brain:
    """`caller`: what {caller.…} stands for. `names`: what this session's vendor calls functions
    that the rules call otherwise. `defects`: where the script and the session disagree.
    `unmatched`: what no rule was for."""

    rules: Sequence[Mapping[str, Any]]
    caller: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    today: date | Callable[[], date] = lambda: datetime.now(ZoneInfo("Europe/Paris")).date()
    defects: list[str] = field(default_factory=list)
    unmatched: list[Stimulus] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    _rules: list[_Rule] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, table in enumerate(self.rules, 1):
            _check(table, number)
        self._rules = [_Rule(table) for table in self.rules]

    def think(self, stimuli: Sequence[Stimulus], tools: Iterable[Tool]) -> list[Action]:
        """What to do about all that happened since the last response. Only calls declared tools."""
        declared = {tool.name: tool for tool in tools}
        stimuli = self._without_old_notes(stimuli)
        actions: list[Action] = []
        for stimulus in stimuli:
            result = self._remember(stimulus)
            rule = self._choose(stimulus, result)
            if rule is None:
                self.unmatched.append(stimulus)
                actions.extend(_by_nature(stimulus))
                continue
            actions.extend(self._follow(rule, result, declared))
        answered = any(isinstance(stimulus, Result) for stimulus in stimuli)
        return actions or ([] if answered else [Speak(_LISTENING)])

    def _without_old_notes(self, stimuli: Sequence[Stimulus]) -> list[Stimulus]:
        """Of all that it is given to read at once, what it answers is the last."""
        known = [
            each
            for each in stimuli
            if isinstance(each, Note)
            and any(_matches(rule.table, each, None) for rule in self._rules)
        ]
        return [each for each in stimuli if each not in known[:-1]]

    def _remember(self, stimulus: Stimulus) -> Any:
        if not isinstance(stimulus, Result):
            return None
        try:
            value = json.loads(stimulus.output)
        except ValueError:
            value = {"text": stimulus.output}
        self.memory[stimulus.name] = value
        return value

    def _choose(self, stimulus: Stimulus, result: Any) -> Mapping[str, Any] | None:
        """The first rule that fires. One for the n-th time goes before one for every time, and
        one for the end of what was heard before one for its beginning."""
        firing = [
            rule.table
            for rule in self._rules
            if _matches(rule.table, stimulus, result) and rule.fires()
        ]
        return min(
            firing,
            key=lambda table: ("times" not in table, -_latest(table, stimulus)),
            default=None,
        )

    def _follow(
        self, rule: Mapping[str, Any], result: Any, declared: Mapping[str, Tool]
    ) -> list[Action]:
        known = {"result": result, "memory": self.memory, "caller": self.caller}
        actions: list[Action] = []
        try:
            if "say" in rule:
                actions.append(Speak(str(self._fill(rule["say"], known))))
            for call in _calls(rule):
                arguments = self._fill(call.get("arguments", {}), known)
                name = self.names.get(call["name"], call["name"])
                actions.extend(self._call(name, arguments, declared))
        except LookupError as missing:
            self.defects.append(f"{rule}: {missing.args[0]}")
            return [Speak(_NOT_UNDERSTOOD)]
        return actions

    def _call(
        self, name: str, arguments: dict[str, Any], declared: Mapping[str, Tool]
    ) -> list[Action]:
        tool = declared.get(name)
        if tool is None:
            self.defects.append(f"the session declares no function {name}")
            return []
        extra = set(arguments) - tool.parameters if tool.parameters is not None else set()
        if extra:
            self.defects.append(f"{name} has no parameter {', '.join(sorted(extra))}")
        return [Call(name, arguments)]

    def _fill(self, value: Any, known: Mapping[str, Any]) -> Any:
        if isinstance(value, Mapping):
            return {key: self._fill(each, known) for key, each in value.items()}
        if isinstance(value, list):
            return [self._fill(each, known) for each in value]
        if not isinstance(value, str):
            return value
        whole = _PLACE.fullmatch(value)
        if whole:  # a value stands for itself, whatever its type
            return self._look_up(whole, known)
        return _PLACE.sub(lambda place: str(self._look_up(place, known)), value)

    def _look_up(self, place: re.Match[str], known: Mapping[str, Any]) -> Any:
        root, path = place[1], place[2]
        if path[0] == "+" and root in ("day", "workday"):
            today = self.today() if callable(self.today) else self.today
            return _day(today, int(path[1:]), skip_weekends=root == "workday").isoformat()
        value = known.get(root)
        for step in path[1:].split("."):
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]  # type: ignore[index]
            except (LookupError, TypeError, ValueError):
                raise LookupError(f"nothing at {place[0]}") from None
        return value


def quoted(instructions: str) -> str | None:
    """The words that instructions quote, if they do."""
    found = _QUOTED.search(instructions)
    return next(filter(None, found.groups())).strip() if found else None


def _by_nature(stimulus: Stimulus) -> list[Action]:
    """What a model does that no rule tells otherwise."""
    if isinstance(stimulus, Heard):
        return [Speak(_NOT_UNDERSTOOD)]
    words = quoted(stimulus.text) if isinstance(stimulus, Note) and stimulus.order else None
    return [Speak(words)] if words else []


def _matches(rule: Mapping[str, Any], stimulus: Stimulus, result: Any) -> bool:
    if isinstance(stimulus, Heard):
        if "words" in rule:
            return rule["words"].casefold() in stimulus.text.casefold()
        if rule.get("unheard"):
            return not stimulus.clips
        return _latest(rule, stimulus) >= 0
    if isinstance(stimulus, Note):
        return "note" in rule and rule["note"].casefold() in stimulus.text.casefold()
    if rule.get("result") != stimulus.name:
        return False
    status = result.get("status") if isinstance(result, Mapping) else None
    return "status" not in rule or rule["status"] == status


def _latest(rule: Mapping[str, Any], stimulus: Stimulus) -> int:
    """Place of the last clip in what was heard that the rule is for; -1 without one."""
    if not isinstance(stimulus, Heard):
        return -1
    wanted = rule.get("heard", [])
    clips = [wanted] if isinstance(wanted, str) else wanted
    return max((at for at, clip in enumerate(stimulus.clips) if clip in clips), default=-1)


def _calls(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    call = rule.get("call", [])
    return [call] if isinstance(call, Mapping) else list(call)


def _day(today: date, days: int, *, skip_weekends: bool) -> date:
    if not skip_weekends:
        return today + timedelta(days=days)
    day = today
    while days:
        day += timedelta(days=1)
        days -= day.isoweekday() < 6
    return day


def _check(rule: Mapping[str, Any], number: int) -> None:
    where = f"rule {number} {dict(rule)}"
    unknown = set(rule) - _FIELDS
    if unknown:
        raise RuleError(f"{where}: unknown field {', '.join(sorted(unknown))}")
    if sum(condition in rule for condition in _CONDITIONS) != 1:
        raise RuleError(f"{where}: needs exactly one of {', '.join(_CONDITIONS)}")
    if "status" in rule and "result" not in rule:
        raise RuleError(f"{where}: `status` goes with `result`")
    if "say" not in rule and "call" not in rule:
        raise RuleError(f"{where}: has neither `say` nor `call`")
    if any("name" not in call for call in _calls(rule)):
        raise RuleError(f"{where}: a call needs a name")

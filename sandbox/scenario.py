"""Scenario files: what a caller does, what the emulated model answers, what must come of it.

Read strictly: a key that isn't known, a clip that doesn't exist or an utterance that no rule of the
model's is for is an error that says where.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sandbox.bank import bank, clips
from sandbox.brain import Brain, RuleError
from sandbox.callee import Callee

FOLDER = Path(__file__).parent / "scenarios"

Wait = Literal["agent_done", "agent_speaking", "start", "silence"]
#: Functions after which the model has nothing more to say.
_FAREWELLS = frozenset({"end_call", "transfer_call"})
_PLACE = re.compile(r"\{([a-z]+)[+.][^{}]*\}")
_ROOTS = frozenset({"result", "memory", "caller", "day", "workday"})


class ScenarioError(ValueError):
    """A scenario that cannot be played: which file, where in it, and what to mend."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something the caller does. `wait`: agent_done (the agent has spoken and has been silent for
    400 ms), agent_speaking (for `over_ms`), silence (nobody has spoken for `over_ms`), start (at
    once). Exactly one of the others is set."""

    wait: Wait = "agent_done"
    over_ms: int = 0
    say: str = ""
    press: str = ""
    stay_silent_ms: int = 0
    hang_up: bool = False
    wait_end: bool = False


@dataclass(frozen=True, slots=True)
class TenantNeeds:
    """What the driver must configure for the scenario to make sense."""

    sector: str
    agent_type: str
    transfer_number: str = ""


@dataclass(frozen=True, slots=True)
class CallerScript:
    """Who rings. `number` is "anonymous" when withheld; `forwarded`: ForwardedFrom is sent.
    `repeats_after`: who hears a sentence with one of these in it says the last thing again."""

    number: str
    voice: str
    forwarded: bool
    steps: tuple[Step, ...]
    repeats_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come of the call with the emulated model. `functions`: each that is called, once,
    in the order of their first calls; not `end_call`. `barge_ins`: how many, at least."""

    outcome: str
    functions: tuple[str, ...] = ()
    barge_ins: int = 0
    hung_up_by: str = "server"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A conversation. `rules` are the model's (sandbox/brain.py)."""

    name: str
    title: str
    reference: str
    tenant: TenantNeeds
    caller: CallerScript
    expect: Expectation
    rules: tuple[Mapping[str, Any], ...]
    callee: Callee | None = None  # who is behind the tenant's transfer number


def names() -> list[str]:
    """The scenarios that come with the sandbox."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    """By name, or by path of a .toml file. Raises ScenarioError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        known = ", ".join(names())
        raise ScenarioError(f"no scenario {name!r} ({error}); there are: {known}") from error
    return parse(text, path.stem)


def parse(text: str, name: str) -> Scenario:
    """From TOML. Raises ScenarioError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: not TOML: {error}") from error
    top = _Table(tables, name)
    title, reference = top.text("title"), top.text("reference", "")
    tenant, caller, expect = top.table("tenant"), top.table("caller"), top.table("expect")
    # Without a mind of its own the model only speaks what it is told to, word for word.
    model = top.table("model", {})
    rules = tuple(each.raw() for each in model.tables("rule"))
    callee = top.optional("callee")
    model.done()
    top.done()
    scenario = Scenario(
        name,
        title,
        reference,
        _tenant(tenant),
        _caller(caller),
        _expectation(expect),
        rules,
        _callee(callee) if callee is not None else None,
    )
    if bool(scenario.tenant.transfer_number) != (scenario.callee is not None):
        raise top.fail("[tenant] transfer_number and [callee] go together")
    _check_rules(scenario)
    return scenario


class _Table:
    """A TOML table of which every key must be taken, and be of the right type."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._left = dict(values)
        self._where = where

    def _take(self, key: str, kind: type, default: Any) -> Any:
        if key not in self._left:
            if default is None:
                raise ScenarioError(f"{self._where}: {key!r} is missing")
            return default
        value = self._left.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ScenarioError(f"{self._where}: {key!r} must be {kind.__name__}, is {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value: str = self._take(key, str, default)
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value: int = self._take(key, int, default)
        if value < 0:
            raise ScenarioError(f"{self._where}: {key!r} must not be negative")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value: bool = self._take(key, bool, default)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list, [])
        if not all(isinstance(each, str) for each in values):
            raise ScenarioError(f"{self._where}: {key!r} must be a list of strings")
        return tuple(values)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> "_Table":
        return _Table(self._take(key, dict, default), f"{self._where}: [{key}]")

    def optional(self, key: str) -> "_Table | None":
        return self.table(key) if key in self._left else None

    def seconds(self, key: str, default: float) -> float:
        value: float = self._take(key, float, default)
        if value < 0:
            raise ScenarioError(f"{self._where}: {key!r} must not be negative")
        return value

    def tables(self, key: str) -> "list[_Table]":
        values = self._take(key, list, [])
        return [
            _Table(each, f"{self._where}: {key} {number}") for number, each in enumerate(values, 1)
        ]

    def raw(self) -> dict[str, Any]:
        return self._left

    def fail(self, what: str) -> ScenarioError:
        return ScenarioError(f"{self._where}: {what}")

    def done(self) -> None:
        if self._left:
            raise self.fail(f"unknown key {', '.join(map(repr, sorted(self._left)))}")


def _tenant(table: _Table) -> TenantNeeds:
    needs = TenantNeeds(
        table.text("sector"), table.text("agent_type"), table.text("transfer_number", "")
    )
    table.done()
    return needs


def _callee(table: _Table) -> Callee:
    try:
        callee = Callee(
            table.text("behaviour"),  # type: ignore[arg-type]  # checked by Callee
            rings_seconds=table.seconds("rings_seconds", 1.0),
            talks_seconds=table.seconds("talks_seconds", 2.0),
            forwards_to=table.text("forwards_to", ""),
        )
    except ScenarioError:
        raise
    except ValueError as error:
        raise table.fail(str(error)) from error
    table.done()
    return callee


def _caller(table: _Table) -> CallerScript:
    voice = table.text("voice")
    voices = sorted({each.voice for each in clips(role="caller")})
    if voice not in voices:
        raise table.fail(f"no caller has the voice {voice!r}; there are: {', '.join(voices)}")
    steps = tuple(_step(each, voice) for each in table.tables("step"))
    number, forwarded = table.text("number"), table.flag("forwarded", True)
    repeats_after = table.texts("repeats_after")
    if number != "anonymous" and not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise table.fail(f'number {number!r} is neither E.164 nor "anonymous"')
    table.done()
    if not steps:
        raise table.fail("no [[caller.step]]")
    return CallerScript(number, voice, forwarded, steps, repeats_after)


def _step(table: _Table, voice: str) -> Step:
    wait, over_ms = table.text("wait", "agent_done"), table.number("over_ms", 0)
    if wait not in get_args(Wait):
        raise table.fail(f"wait {wait!r} is none of {', '.join(get_args(Wait))}")
    if over_ms and wait not in ("agent_speaking", "silence"):
        raise table.fail(f'over_ms goes with wait = "agent_speaking" or "silence", not {wait!r}')
    step = Step(
        wait=wait,  # type: ignore[arg-type]  # one of the literals, as just checked
        over_ms=over_ms,
        say=table.text("say", ""),
        press=table.text("press", ""),
        stay_silent_ms=table.number("stay_silent_ms", 0),
        hang_up=table.flag("hang_up", False),
        wait_end=table.flag("wait_end", False),
    )
    table.done()
    deeds = (step.say, step.press, step.stay_silent_ms, step.hang_up, step.wait_end)
    if sum(map(bool, deeds)) != 1:
        raise table.fail("needs exactly one of say, press, stay_silent_ms, hang_up, wait_end")
    if step.press.strip("0123456789*#"):
        raise table.fail(f"press {step.press!r}: keys are 0-9, * and #")
    if step.say:
        _check_clip(table, step.say, voice)
    return step


def _check_clip(table: _Table, clip_id: str, voice: str) -> None:
    clip = bank().get(clip_id)
    if clip is None or clip.role != "caller":
        raise table.fail(f"no caller's clip {clip_id!r} in sandbox/clips/index.json")
    if clip.voice != voice:
        raise table.fail(f"clip {clip_id!r} is spoken by {clip.voice}, the caller is {voice}")


def _expectation(table: _Table) -> Expectation:
    expect = Expectation(
        outcome=table.text("outcome"),
        functions=table.texts("functions"),
        barge_ins=table.number("barge_ins", 0),
        hung_up_by=table.text("hung_up_by", "server"),
    )
    if expect.hung_up_by not in ("server", "caller"):
        raise table.fail(f"hung_up_by {expect.hung_up_by!r} is neither server nor caller")
    table.done()
    return expect


def _check_rules(scenario: Scenario) -> None:
    """Every utterance and every function's result must lead somewhere."""
    where = scenario.name
    try:
        Brain(scenario.rules)
    except RuleError as error:
        raise ScenarioError(f"{where}: {error}") from error
    heard: set[str] = set()
    for rule in scenario.rules:
        wanted = rule.get("heard", [])
        heard |= {wanted} if isinstance(wanted, str) else set(wanted)
        for place in _places(rule):
            if place not in _ROOTS:
                raise ScenarioError(f"{where}: {{{place}…}} in {dict(rule)} stands for nothing")
    known = {each.id for each in clips(role="caller")}
    for clip_id in sorted(heard - known):
        raise ScenarioError(f"{where}: a rule waits for {clip_id!r}, which is no caller's clip")
    for step in scenario.caller.steps:
        if step.say and step.say not in heard:
            raise ScenarioError(f"{where}: no model.rule has heard = {step.say!r}")
    called = _called(scenario.rules)
    answered = {rule["result"] for rule in scenario.rules if "result" in rule}
    for name in sorted(called - answered - _FAREWELLS):
        raise ScenarioError(f"{where}: {name} is called, and no model.rule has its result")
    if set(scenario.expect.functions) != called - {"end_call"}:
        raise ScenarioError(
            f"{where}: expected functions are {sorted(scenario.expect.functions)}, those that the "
            f"model.rules call are {sorted(called - {'end_call'})}"
        )


def _called(rules: tuple[Mapping[str, Any], ...]) -> set[str]:
    calls = (rule.get("call", []) for rule in rules)
    return {call["name"] for each in calls for call in ([each] if isinstance(each, dict) else each)}


def _places(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _PLACE.findall(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _places(each)
    elif isinstance(value, list):
        for each in value:
            yield from _places(each)

"""The shape of what makes an agent in one language: its trades, its rules, its way of speaking."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trade:
    """One sector.

    `kind` completes "the agent of <company>, …"; `prefix` goes before a bare company name in the
    greeting ("Garage" Martin), "" when the language or the trade has none; `absolute` are rules
    that nothing overrides; `questions` what to find out, most useful first; `habits` what people
    of the trade know; `vocabulary` words to be understood and said right.
    """

    kind: str
    prefix: str
    questions: tuple[str, ...]
    vocabulary: str
    absolute: tuple[str, ...] = ()
    habits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Persona:
    """One language's wording. Keys of `trades` are sectors, of `missions` and `steps` agent types,
    of `functions` function names; `lines` and `titles` are str.format templates by key; the other
    tuples are rules, one sentence or two each."""

    trades: Mapping[str, Trade]
    missions: Mapping[str, str]
    steps: Mapping[str, tuple[str, ...]]
    functions: Mapping[str, tuple[str, ...]]
    absolute: tuple[str, ...]
    style: tuple[str, ...]
    situations: tuple[str, ...]
    titles: Mapping[str, str]
    lines: Mapping[str, str]

"""What a JSON value sent to the Realtime API may be, and the refusals of what it may not be.

Messages and codes are the vendor's, as seen in its answers (unknown_parameter,
missing_required_parameter, invalid_type, invalid_value, integer_above_max_value …).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Refused(Exception):
    """A client event that the vendor answers with an `error` event."""

    def __init__(
        self, code: str | None, message: str, param: str | None = None, kind: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind or "invalid_request_error"


class Shape(Protocol):
    """`check` returns nothing and raises Refused naming `path`."""

    def check(self, value: Any, path: str) -> None: ...


def _wrong_type(value: Any, path: str, wanted: str) -> Refused:
    got = _NAMES.get(type(value), "something else")
    message = f"Invalid type for '{path}': expected {wanted}, but got {got} instead."
    return Refused("invalid_type", message, path)


@dataclass(frozen=True, slots=True)
class Text:
    """A string; one of `allowed` when given, of at most `longest` characters when given."""

    allowed: Sequence[str] = ()
    longest: int = 0

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, "a string")
        if self.allowed and value not in self.allowed:
            listed = ", ".join(f"'{each}'" for each in self.allowed)
            message = f"Invalid value: '{value}'. Supported values are: {listed}."
            raise Refused("invalid_value", message, path)
        if self.longest and len(value) > self.longest:
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{self.longest}, but got a string with length {len(value)} instead."
            )
            raise Refused("string_above_max_length", message, path)


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`; `whole` takes integers only."""

    low: float
    high: float
    whole: bool = False

    def check(self, value: Any, path: str) -> None:
        wanted = (int,) if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise _wrong_type(value, path, "an integer" if self.whole else "a decimal")
        if self.low <= value <= self.high:
            return
        kind = "integer" if self.whole else "decimal"
        above = value > self.high
        limit, side = (self.high, "above maximum") if above else (self.low, "below minimum")
        message = (
            f"Invalid '{path}': {kind} {side} value. Expected a value "
            f"{'<=' if above else '>='} {limit}, but got {value} instead."
        )
        raise Refused(f"{kind}_{'above_max' if above else 'below_min'}_value", message, path)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false; null isn't either."""

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, bool):
            raise _wrong_type(value, path, "a boolean")


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON object: a schema, metadata."""

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")


@dataclass(frozen=True, slots=True)
class Maybe:
    """null, or the inner shape."""

    inner: Shape

    def check(self, value: Any, path: str) -> None:
        if value is not None:
            self.inner.check(value, path)


@dataclass(frozen=True, slots=True)
class Either:
    """By JSON type: a string goes to `text`, an object to `object`, a number to `number`."""

    text: Shape
    object: Shape | None = None
    number: Shape | None = None

    def check(self, value: Any, path: str) -> None:
        if isinstance(value, dict) and self.object:
            self.object.check(value, path)
        elif isinstance(value, int) and not isinstance(value, bool) and self.number:
            self.number.check(value, path)
        else:
            self.text.check(value, path)


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array of one shape, of at most `longest` elements when given."""

    inner: Shape
    longest: int = 0

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, path, "an array")
        for position, each in enumerate(value):
            self.inner.check(each, f"{path}[{position}]")
        if self.longest and len(value) > self.longest:
            message = (
                f"Invalid '{path}': array too long. Expected an array with maximum length "
                f"{self.longest}, but got an array with length {len(value)} instead."
            )
            raise Refused("array_above_max_length", message, path)


@dataclass(frozen=True, slots=True)
class Object:
    """An object of known fields, of which some are required."""

    fields: Mapping[str, Shape]
    required: Sequence[str] = ()

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        inside = f"{path}." if path else ""
        for name in self.required:
            if name not in value:
                message = f"Missing required parameter: '{inside}{name}'."
                raise Refused("missing_required_parameter", message, inside + name)
        for name, each in value.items():
            shape = self.fields.get(name)
            if shape is None:
                message = f"Unknown parameter: '{inside}{name}'."
                raise Refused("unknown_parameter", message, inside + name)
            shape.check(each, inside + name)


@dataclass(frozen=True, slots=True)
class Variants:
    """An object whose `key` says which of the known objects it is."""

    key: str
    known: Mapping[str, Object]

    def check(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        where = f"{path}.{self.key}" if path else self.key
        if self.key not in value:
            raise Refused(
                "missing_required_parameter", f"Missing required parameter: '{where}'.", where
            )
        Text(tuple(self.known)).check(value[self.key], where)
        self.known[value[self.key]].check(value, path)

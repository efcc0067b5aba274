"""How Vapi's API looks at one value of a body, and how it words what is wrong with it. Pure.

Unknown properties are refused, as NestJS's whitelist does ("property x should not exist").
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Problems = list[str]
Check = Callable[[Any, str], Problems]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object with these fields and no others. `required` ones must be there."""

    fields: Mapping[str, Check]
    required: frozenset[str] = frozenset()

    def __call__(self, value: Any, path: str) -> Problems:
        if not isinstance(value, dict):
            return [f"{path} must be an object"]
        under = f"{path}." if path else ""
        problems = [
            f"{under}property {name} should not exist" for name in value.keys() - self.fields
        ]
        problems += [f"{under}{name} should not be empty" for name in self.required - value.keys()]
        for name, check in self.fields.items():
            if name in value:
                problems += check(value[name], f"{under}{name}")
        return sorted(problems)


def text(maximum: int | None = None) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, str):
            return [f"{path} must be a string"]
        if maximum is not None and len(value) > maximum:
            return [f"{path} must be shorter than or equal to {maximum} characters"]
        return []

    return check


def number(low: float, high: float) -> Check:
    def check(value: Any, path: str) -> Problems:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return [f"{path} must be a number conforming to the specified constraints"]
        if value < low:
            return [f"{path} must not be less than {low:g}"]
        return [f"{path} must not be greater than {high:g}"] if value > high else []

    return check


def flag(value: Any, path: str) -> Problems:
    return [] if isinstance(value, bool) else [f"{path} must be a boolean value"]


def any_object(value: Any, path: str) -> Problems:
    return [] if isinstance(value, dict) else [f"{path} must be an object"]


def one_of(values: frozenset[str]) -> Check:
    def check(value: Any, path: str) -> Problems:
        if isinstance(value, str) and value in values:
            return []
        return [f"{path} must be one of the following values: {', '.join(sorted(values))}"]

    return check


def list_of(each: Check) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, list):
            return [f"{path} must be an array"]
        return [said for at, item in enumerate(value) for said in each(item, f"{path}.{at}")]

    return check


def web_address(value: Any, path: str) -> Problems:
    fine = isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+(/\S*)?", value)
    return [] if fine else [f"{path} must be a URL address"]


def headers(value: Any, path: str) -> Problems:
    if not isinstance(value, dict):
        return [f"{path} must be an object"]
    wrong = [
        name
        for name, each in value.items()
        if not _HEADER.fullmatch(name) or not isinstance(each, str) or not each.isprintable()
    ]
    return [f"{path}.{name} must be a header" for name in wrong]


def uuid(value: Any, path: str) -> Problems:
    try:
        UUID(value)
    except (ValueError, TypeError, AttributeError):
        return [f"{path} must be a UUID"]
    return []


def tool_name(value: Any, path: str) -> Problems:
    fine = isinstance(value, str) and _TOOL_NAME.fullmatch(value)
    return [] if fine else [f"{path} must match /^[a-zA-Z0-9_-]{{1,64}}$/"]


def like(pattern: str, what: str) -> Check:
    """`what` names those that match, in a refusal."""
    known = re.compile(pattern)

    def check(value: Any, path: str) -> Problems:
        fine = isinstance(value, str) and known.fullmatch(value)
        return [] if fine else [f"{path} must be one of the following values: {what}"]

    return check


#: When what was posted to a server is posted again (BackoffPlan of Vapi's OpenAPI).
_BACKOFF = Shape(
    {
        "type": one_of(frozenset({"fixed", "exponential"})),
        "maxRetries": number(0, 10),
        "baseDelaySeconds": number(0, 10),
        "excludedStatusCodes": list_of(number(100, 599)),
    },
    frozenset({"type", "maxRetries", "baseDelaySeconds"}),
)
#: Whom messages and tool calls are posted to.
SERVER = Shape(
    {
        "url": web_address,
        "timeoutSeconds": number(1, 300),
        "credentialId": text(),
        "headers": headers,
        "backoffPlan": _BACKOFF,
        "staticIpAddressesEnabled": flag,
        "encryptedPaths": list_of(text()),
    }
)

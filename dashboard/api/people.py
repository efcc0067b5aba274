"""What the pages of people share: who acts, which changes a body asks for, lines of a history."""

from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec
from starlette.requests import Request

from dashboard.api.auth import tenant_access
from domain.errors import NotFound
from storage.history import Change


class HistoryLine(TypedDict):
    """`changes`: by field, what it was and what it became."""

    at: str
    actor: str
    action: str
    changes: dict[str, list[Any]]


class Done(TypedDict):
    """It is so."""

    success: bool


def actor_of(request: Request) -> str:
    """Who a history names: "user:42", "key:…"."""
    actor = tenant_access(request).actor
    return f"{actor.kind}:{actor.id}" if actor.id else actor.kind


def given(body: msgspec.Struct, *leave: str) -> dict[str, Any]:
    """The fields that were sent; of those, "" means nothing is known."""
    return {
        name: None if value == "" else value
        for name, value in msgspec.structs.asdict(body).items()
        if value is not msgspec.UNSET and name not in leave
    }


def version_of(body: Any) -> int | None:
    """The version that the client has read, if it says so."""
    return None if body.version is msgspec.UNSET else body.version


def line(change: Change) -> HistoryLine:
    """A line of a history."""
    return {
        "at": change.at.isoformat(),
        "actor": change.actor,
        "action": change.action,
        "changes": change.changes,
    }


def known(found: Any, what: str) -> Any:
    """What was found; NotFound when it is nothing of this tenant's."""
    if found is None:
        raise NotFound(f"There is no such {what}.")
    return found


def iso(value: Any) -> str | None:
    """An instant with its offset, or null."""
    return None if value is None else value.isoformat()


def translated(values: Mapping[str, Any], name: str, known_as: Mapping[str, str]) -> dict[str, Any]:
    """`values` with one of them in our words."""
    if values.get(name) is None:
        return dict(values)
    return {**values, name: known_as.get(values[name], values[name])}

"""Values made from type hints, so that what takes them can be tried without an edit."""

import dataclasses
import enum
import inspect
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

import msgspec

#: Words for parameters and fields whose text must have a form, by name. A test that says "nothing
#: that was tried was understood" wants a line here.
WORDS: dict[str, Any] = {
    "channel_type": "sms",
    "channel": "sms",
    "status": "sent",
    "priority": "high",
    "by": "voice",
    "timezone": "Europe/Paris",
    "locale": "fr-FR",
    "line": "+33261910077",
    "number": "+33261910078",
    "phone": "+33639980077",
    "transfer_number": "+33261910079",
    "to_number": "+33639980076",
    "from_number": "+33639980075",
    "email": "paul@example.org",
    "confirm": "paul@example.org",  # what is to be erased, once more
    "whatsapp": "+33639980077",
    "url": "https://example.org/tarifs",
    "open_time": "08:00",
    "close_time": "18:00",
    "open": "08:00",
    "close": "18:00",
    "limit": 5,
    "break_start": "12:00",
    "break_end": "13:00",
    "day": 2,
    "day_of_week": 2,
    "source_type": "text",
    "sourceType": "text",
    "media_type": "text/plain",
    "kind": "row",
    "type": "phone",
    "clientPhoneNumber": "02 61 91 00 77",
    "question": "Combien coûte une vidange ?",
    "query": "Combien coûte une vidange ?",
    # None: left out, because it contradicts another field.
    "sealed": None,
    # Only one of ours is understood; tests/dashboard/test_api_exports.py follows them.
    "cursor": None,
    "ranges": None,
    # Ids of other rows, checked: nobody is named.
    "resources": (),
    "holiday_region": "FR",
    "color": "#336699",
    "to": "+33639980074",
    "start_time": "08:00",
    "end_time": "18:00",
    "scheduled_at": "2100-01-05T10:00:00",
    "other_id": "0" * 32,
    "transferNumber": "+33261910079",
    "twilioSharedNumber": "+33199000001",
}
#: The words of whoever tries. None of the first tenant's.
OWN_WORD = "Paul"
WHEN = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)

#: Likewise where a name means something else elsewhere: by method or structure, before all rows.
OF_THEIRS: dict[str, Any] = {
    "Audit.list.before": (WHEN, OWN_WORD),
    "Audit.list.limit": 5,
    "Conversations.hand_to.handler": "human",
    "Keys.create.scopes": ["read"],
    "Notifications.configure.address": "+33639980077",
    "Notifications.configure.channel": "sms",
    "Notifications.configure.kinds": None,
    "Notifications.tell.kind": "ticket_new",
    "Outbox.alert.address": "+33639980077",
    "Outbox.alert.channel": "sms",
    "Exports.batch.kind": "calls",
    **{
        f"Persons.{verb}.{name}": value
        for verb in ("erase", "export")
        for name, value in (
            ("phone", "+33639980077"),
            ("email", "paul@example.org"),
            ("whatsapp", "33639980077"),
        )
    },
    "Prospects.add.contact_source": "said",
    "NewProspect.source": "web",
    "Interview.source": "phone",
    "Reminders.trying.tried": [("sms", "text-1")],
    "Wanted.kind": "24h",
}
#: Ours of each type, where nothing depends on what it is for.
_OWN: dict[type, Any] = {
    bool: True,
    float: 1.0,
    bytes: OWN_WORD.encode(),
    datetime: WHEN,
    date: WHEN.date(),
    time: time(9),
    timedelta: timedelta(minutes=30),
    uuid.UUID: uuid.UUID(int=1),
}
_REQUIRED = inspect.Parameter.empty
#: Looking them up takes longer than all else.
_hints = cache(typing.get_type_hints)
_signature = cache(inspect.signature)
_SEQUENCES = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection, abc.Set)


class Inventor:
    """Makes values for hints. Where `row`, somebody's row, has a value for a name, that one is
    taken; else one of our own. `sparse`: structures without what they don't require."""

    def __init__(self, row: Mapping[str, Any] | None = None, *, sparse: bool = False) -> None:
        self._row = row or {}
        self._sparse = sparse
        self._texts: dict[str, Any] = {}

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Keyword arguments for all that it takes, but for pages."""
        hints = _hints(function)
        return {
            parameter.name: self._of(
                function.__qualname__, parameter.name, hints.get(parameter.name, Any)
            )
            for parameter in _signature(function).parameters.values()
            if parameter.name != "self"
            and not (parameter.name in ("limit", "offset") and parameter.default is not _REQUIRED)
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }

    def _of(self, owner: str, name: str, hint: Any) -> Any:
        full = f"{owner}.{name}"
        return OF_THEIRS[full] if full in OF_THEIRS else self.value(name, hint)

    def value(self, name: str, hint: Any) -> Any:
        """One value of this type."""
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            if WORDS.get(name, "") is None and name not in self._row and type(None) in inner:
                return None
            return self.value(name, self._chosen(inner))
        if origin is typing.Annotated:
            return self.value(name, inner[0])
        if origin is typing.Literal:
            return self._row.get(name) if self._row.get(name) in inner else inner[0]
        if origin in (dict, abc.Mapping, abc.MutableMapping) or hint in (dict, abc.Mapping):
            return {"note": OWN_WORD}
        if origin in _SEQUENCES:
            if WORDS.get(name) == ():
                return () if origin is tuple else []
            item = self.value(name.removesuffix("s"), inner[0] if inner else str)
            return (item,) if origin is tuple else [item]
        if origin is not None and inspect.isclass(origin):
            return self._structure(origin)
        return self._plain(name, hint)

    @staticmethod
    def _chosen(inner: tuple[Any, ...]) -> Any:
        real = [each for each in inner if each not in (type(None), msgspec.UnsetType)]
        structures = [each for each in real if dataclasses.is_dataclass(each)]
        return (structures or real)[0]

    def _plain(self, name: str, hint: Any) -> Any:
        if hint is Any or not inspect.isclass(hint):
            return self._text(name)
        if issubclass(hint, enum.Enum):
            return next(iter(hint))
        theirs = self._row.get(name)
        if hint is not str and hint is not object and isinstance(theirs, hint):
            return theirs
        if hint is int:
            return WORDS.get(name, 30)
        if hint in _OWN:
            return _OWN[hint]
        if dataclasses.is_dataclass(hint) or hasattr(hint, "__annotations__"):
            return self._structure(hint)
        return self._text(name)

    def _structure(self, kind: Any) -> Any:
        hints = _hints(kind)
        named = getattr(kind, "__struct_fields__", None) or [
            name for name in hints if not name.startswith("_")
        ]
        if self._sparse and issubclass(kind, msgspec.Struct):
            named = [each.name for each in msgspec.structs.fields(kind) if each.required]
        return kind(**{name: self._of(kind.__name__, name, hints[name]) for name in named})

    def _text(self, name: str) -> Any:
        if name not in self._texts:
            self._texts[name] = self._found(name)
        return self._texts[name]

    def _found(self, name: str) -> Any:
        words = set(name.split("_"))
        if isinstance(self._row.get(name), str):
            return str(self._row[name])
        for column, value in self._row.items():
            if isinstance(value, str) and words <= set(column.split("_")):
                return value
        if name.endswith("id") and isinstance(self._row.get("id"), str):
            return str(self._row["id"])
        return WORDS.get(name, OWN_WORD)

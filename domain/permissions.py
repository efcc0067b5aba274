"""What one may do to a tenant, and who: roles of people, scopes of keys. Default: nothing.

An operation names one permission (`dashboard.api.operations`); nothing else decides.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class May(StrEnum):
    """One permission, each the answer to "what could somebody do who has only this?"."""

    SESSION = "session"  # know who one is, and sign out: people only
    VIEW = "view"  # read what the business runs on; no conversation's words
    CALLS = "calls"  # read what was said: calls, conversations, recordings; each reading is noted
    WORK = "work"  # the daily work: appointments, contacts, prospects, tickets, live calls
    SEND = "send"  # send from templates, and answer who wrote
    SEND_FREE = "send_free"  # send any words to anybody
    SETTINGS = "settings"  # channels, hours, services, knowledge, instructions
    EXPORT = "export"  # take data out in bulk
    ERASE = "erase"  # a person's data, for good
    KEYS = "keys"  # make, rotate and revoke API keys
    AUDIT = "audit"  # see who did what


_AGENT: Final = frozenset({May.SESSION, May.VIEW, May.CALLS, May.WORK, May.SEND})
_MANAGER: Final = _AGENT | {May.SEND_FREE, May.SETTINGS, May.EXPORT}

#: What a session's `role` may do (issue 7). The accounts' backend also writes "admin" for whoever
#: opened the account (real-users.md §1.2): the owner, of this tenant and no other.
ROLES: Final[Mapping[str, frozenset[May]]] = MappingProxyType(
    {
        "owner": frozenset(May),
        "admin": frozenset(May),
        "manager": _MANAGER,
        "agent": _AGENT,
    }
)

#: What each scope of a key opens. `admin` is all that a key may ever do.
SCOPES: Final[Mapping[str, frozenset[May]]] = MappingProxyType(
    {
        "read": frozenset({May.VIEW}),
        "calls:read": frozenset({May.CALLS}),
        "write": frozenset({May.WORK}),
        "send": frozenset({May.SEND}),
        "send:free": frozenset({May.SEND, May.SEND_FREE}),
        "settings": frozenset({May.SETTINGS}),
        "export": frozenset({May.EXPORT}),
        "admin": frozenset(May) - {May.SESSION},
    }
)

#: The scope of keys that the operator makes, and of those made before there were scopes.
ADMIN: Final = "admin"


def of_role(role: str) -> frozenset[May]:
    """What a person with this role may do; nothing for a role that we don't know."""
    return ROLES.get(role, frozenset())


def of_scopes(scopes: Iterable[str]) -> frozenset[May]:
    """What a key with these scopes may do; unknown ones open nothing."""
    return frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in scopes))

"""Errors, typed by who must act.

CoccinelleError
├── CallerError        the caller of our API sent something we can't take (4xx; says how to mend it)
│   ├── Invalid            422: a field is wrong
│   ├── NotFound           404
│   ├── Conflict           409
│   ├── Unauthorised       401
│   └── Forbidden          403
├── TenantError        the tenant must act (wrong credentials, missing configuration)
├── ProviderError      a vendor failed; `retryable` says whether trying again can help
└── OperatorError      the operator must act: settings, database, disk
"""

from dataclasses import dataclass


class CoccinelleError(Exception):
    """The root of all errors that we raise on purpose."""


@dataclass(eq=False)
class CallerError(CoccinelleError):
    """The request can't be taken.

    `detail` is an English sentence for the developer who sent it, `field` the path of the wrong
    value (`config.transferNumber`), `message_key` a key of `domain.messages` for people.
    """

    detail: str
    field: str | None = None
    message_key: str | None = None
    status: int = 400

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}" if self.field else self.detail


@dataclass(eq=False)
class Invalid(CallerError):
    """422: understood, but a value is wrong."""

    status: int = 422


@dataclass(eq=False)
class NotFound(CallerError):
    """404: no such thing for this tenant."""

    status: int = 404


@dataclass(eq=False)
class Conflict(CallerError):
    """409: taken, or changed by somebody else."""

    status: int = 409


@dataclass(eq=False)
class Unauthorised(CallerError):
    """401: no key, or a key that opens nothing."""

    status: int = 401


@dataclass(eq=False)
class Forbidden(CallerError):
    """403: known, but not allowed."""

    status: int = 403


class TenantError(CoccinelleError):
    """Something that only the tenant can mend: credentials, a missing setting."""


class ProviderError(CoccinelleError):
    """A vendor failed. `retryable`: the same request may succeed later."""

    def __init__(
        self,
        vendor: str,
        reason: str,
        *,
        retryable: bool,
        status: int | None = None,
        code: str = "",
    ) -> None:
        super().__init__(f"{vendor}: {reason}")
        self.vendor = vendor
        self.reason = reason
        self.retryable = retryable
        self.status = status
        self.code = code


class OperatorError(CoccinelleError):
    """The operator must act; the message names the cure."""

"""The two numbers of a phone configuration: the line that forwards to us and the one to which
calls are transferred. Calls would go in circles if these were mixed up, so they are checked before
anything is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import phonenumbers

from dashboard.api.settings import ApiSettings
from domain.agent import profile, wording_problem
from domain.errors import Invalid
from domain.phone import normalise
from domain.tenant import Tenant
from storage import Storage

LINE, TRANSFER, SHARED = "clientPhoneNumber", "transferNumber", "twilioSharedNumber"
LINE_FIELD, TRANSFER_FIELD = f"config.{LINE}", f"config.{TRANSFER}"


@dataclass(frozen=True, slots=True)
class PhoneNumbers:
    """The two numbers of a phone configuration in E.164; None: there is none."""

    line: str | None
    transfer: str | None


class PhoneConfig:
    """What only the phone channel needs."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings

    def reachable(self, config: Mapping[str, Any], dedicated: list[str]) -> bool:
        """Whether calls have a way in: the deployment's shared number, one of the tenant's own, or
        a line that forwards. The page locks its switch until then and sends its tenant to the
        operator, who has nothing left to do once there is a shared number (real-users.md §1.4)."""
        if self._settings.shared_number is not None or dedicated:
            return True
        return self._read(config.get(LINE)) is not None

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """With the number to forward to, which the page shows to be copied."""
        shared = self._settings.shared_number
        if config.get(SHARED) or shared is None:
            return dict(config)
        return {**config, SHARED: _as_written(shared)}

    def stored(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Without the shared number that we filled in: another one may come to be the shared."""
        shared = self._settings.shared_number
        ours = shared is not None and config.get(SHARED) == _as_written(shared)
        return {key: value for key, value in config.items() if not (ours and key == SHARED)}

    def check_greeting(self, tenant: Tenant, sent: Mapping[str, Any]) -> None:
        """First words that deny the AI are never said, so they are not taken. Raises Invalid."""
        who = profile(tenant, sent)
        for field, words in (
            ("welcomeMessage", who.greeting),
            ("textIntroduction", who.text_introduction),
        ):
            if wording_problem(who, words) == "denies_ai":
                raise Invalid(
                    "must not deny that an AI speaks",
                    field=f"config.sara.{field}",
                    message_key="greeting_denies_ai",
                )

    def numbers(self, config: Mapping[str, Any]) -> PhoneNumbers:
        """Raises Invalid for what is there and can't be read, and for a circle of the two."""
        line, transfer = config.get(LINE), config.get(TRANSFER)
        numbers = PhoneNumbers(
            self._must_read(line, LINE_FIELD, "line_unreadable"),
            self._must_read(transfer, TRANSFER_FIELD, "transfer_unreadable"),
        )
        if numbers.transfer is not None and numbers.transfer == numbers.line:
            raise _transfer_is_line()
        return numbers

    async def check(self, sent: Mapping[str, Any]) -> None:
        """What was sent against everybody's numbers. Raises Invalid.

        A tenant that swaps its two numbers must do so in two steps, since who else has its calls
        transferred to the earlier one is not told apart.
        """
        numbers = self.numbers(sent)
        operator = self._storage.operator
        ours = self._settings.deployment_numbers | await operator.our_numbers()
        if numbers.line is not None:
            if numbers.line in ours:
                raise Invalid(
                    "This is a number of ours; give the business's own, which forwards to it.",
                    field=LINE_FIELD,
                    message_key="line_is_ours",
                )
            if await operator.is_transfer_number(numbers.line):
                raise Invalid(
                    "Calls are transferred to this number; they would go in circles.",
                    field=LINE_FIELD,
                    message_key="line_is_transfer",
                )
        if numbers.transfer is not None:
            if numbers.transfer in ours:
                raise Invalid(
                    "This is a number of ours; transfer calls to somebody's telephone.",
                    field=TRANSFER_FIELD,
                    message_key="transfer_is_ours",
                )
            if await operator.is_line(numbers.transfer):
                raise _transfer_is_line()

    def _must_read(self, value: Any, field: str, key: str) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        number = self._read(value)
        if number is None:
            raise Invalid(
                "This can't be read as a telephone number; give it as 0X XX XX XX XX or +33….",
                field=field,
                message_key=key,
            )
        return number

    def _read(self, value: Any) -> str | None:
        return normalise(value, self._settings.default_region) if isinstance(value, str) else None


def _transfer_is_line() -> Invalid:
    return Invalid(
        "This number is a line that forwards to us; calls would go in circles.",
        field=TRANSFER_FIELD,
        message_key="transfer_is_line",
    )


def _as_written(e164: str) -> str:
    """+33939035760 → "+33 9 39 03 57 60"."""
    number = phonenumbers.parse(e164, None)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)

"""What WhatsApp's refusals mean for a text: Meta's codes, beside a few of 360dialog's own.

shared/reference/text-channels.md §1.3 and §2.1; what isn't listed is refused for good.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from domain.errors import ProviderError
from messaging.ports import ChannelPaused, Refused, TryLater, UnknownOutcome
from providers.http import patience, surely_undone

#: Codes after which the channel rests until its owner has acted: wrong or expired token,
#: permissions, a locked account, an unpaid one, templates of the wrong category.
_PAUSING: Final = frozenset(
    {"0", "190", "3", "10", "131005", "131031", "368", "130497", "131042", "131064"}
    | {str(code) for code in range(200, 300)}
)
#: Codes of what wasn't done and may succeed later, with seconds of patience: rates of the app, of
#: the number, of one conversation (a message in six seconds), of spam; their own troubles.
_PASSING: Final[Mapping[str, float]] = {
    "4": 60.0,
    "80007": 60.0,
    "130429": 10.0,
    "131056": 6.0,
    "131048": 4 * 3600.0,
    # Not 1, "possible server error": nobody says that nothing was sent.
    **dict.fromkeys(("2", "131000", "131016", "131057", "133004", "135000"), 30.0),
}


class _Error(msgspec.Struct):
    code: int | None = None


class _Meta(msgspec.Struct):
    developer_message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error | None = None
    meta: _Meta | None = None


def error_code(body: bytes) -> str:
    """Meta's code; of 360dialog's own refusals a word: `unpaid`, `disabled` or `rate`; or ""."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    if refusal.error is not None and refusal.error.code is not None:
        return str(refusal.error.code)
    message = refusal.meta.developer_message.lower() if refusal.meta else ""
    for word, signs in _GATEWAY.items():
        if any(sign in message for sign in signs):
            return word
    return ""


#: What 360dialog's messages say, in part (§2.1: "400 for disabled number / rate / unpaid").
_GATEWAY: Final[Mapping[str, tuple[str, ...]]] = {
    "unpaid": ("payment", "unpaid", "balance", "funds"),
    "disabled": ("disabled", "deactivated", "blocked", "not active"),
    "rate": ("rate limit", "too many"),
}


def kind_of_failure(error: ProviderError, vendor: str) -> ProviderError | ChannelPaused:
    """What a failed request means for the text that it carried."""
    if isinstance(error, Refused | TryLater | UnknownOutcome):
        return error
    code, status = error.code, error.status
    given: dict[str, Any] = {"status": status, "code": code}
    if code in _PAUSING or code in {"unpaid", "disabled", "host"}:
        return ChannelPaused(vendor, error.reason, code=code)
    if code in _PASSING or code == "rate" or surely_undone(error):
        after = patience(error) or _PASSING.get(code, 30.0)
        return TryLater(vendor, error.reason, after=after, **given)
    if status in (401, 403):
        return ChannelPaused(vendor, error.reason, code=code or str(status))
    if status is not None and 400 <= status < 500 and status not in (408, 425):
        return Refused(vendor, error.reason, **given)
    return UnknownOutcome(vendor, error.reason, **given)

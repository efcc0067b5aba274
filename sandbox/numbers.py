"""The account's telephone numbers (IncomingPhoneNumbers) and where each sends its webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_ADDRESSES = {
    "VoiceUrl": "voice_url",
    "VoiceFallbackUrl": "voice_fallback_url",
    "StatusCallback": "status_callback",
    "SmsUrl": "sms_url",
    "SmsFallbackUrl": "sms_fallback_url",
}
_METHODS = {
    "VoiceMethod": "voice_method",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallbackMethod": "status_callback_method",
    "SmsMethod": "sms_method",
    "SmsFallbackMethod": "sms_fallback_method",
}


@dataclass(slots=True)
class Number:
    """One number; an address that is "" isn't set."""

    sid: str
    phone_number: str
    friendly_name: str = ""
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    sms_url: str = ""
    sms_method: str = "POST"
    sms_fallback_url: str = ""
    sms_fallback_method: str = "POST"

    def update(self, fields: Mapping[str, str]) -> tuple[int, str] | None:
        """Set what is given; an error's code and text, and nothing set, if something is wrong."""
        for name, value in fields.items():
            if name in _ADDRESSES and value and not _is_address(value):
                return 21402, f"{name} is not a valid URL: {value}"
            if name in _METHODS and value not in ("GET", "POST"):
                return 21403, f"{name} must be GET or POST"
        for name, value in fields.items():
            attribute = _ADDRESSES.get(name) or _METHODS.get(name)
            if name == "FriendlyName":
                attribute = "friendly_name"
            if attribute is not None:
                setattr(self, attribute, value)
        return None

    def resource(self, account_sid: str) -> dict[str, Any]:
        """As GET gives it."""
        names = (*_ADDRESSES.values(), *_METHODS.values())
        return {
            "sid": self.sid,
            "account_sid": account_sid,
            "phone_number": self.phone_number,
            "friendly_name": self.friendly_name or self.phone_number,
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
            "api_version": "2010-04-01",
            "status": "in-use",
            "uri": f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{self.sid}.json",
        } | {name: getattr(self, name) for name in names}


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "_" not in parts.netloc

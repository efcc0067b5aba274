"""Recordings of running calls that were begun over Twilio's REST API (twilio.md §4.8)."""

from dataclasses import dataclass
from typing import Any

STATUSES = ("in-progress", "paused", "stopped")


@dataclass(slots=True)
class CallRecording:
    """`status` is one of STATUSES; no sound is kept."""

    sid: str
    call_sid: str
    status: str = "in-progress"

    def resource(self, account_sid: str, version: str) -> dict[str, Any]:
        """As Twilio shows it."""
        base = f"/{version}/Accounts/{account_sid}/Calls/{self.call_sid}/Recordings"
        return {
            "sid": self.sid,
            "call_sid": self.call_sid,
            "status": self.status,
            "account_sid": account_sid,
            "api_version": version,
            "source": "StartCallRecordingAPI",
            "channels": 1,
            "duration": None,
            "uri": f"{base}/{self.sid}.json",
        }

"""Where a list goes on: the instant and the id of the last row that was given, sealed for nobody
to interpret, and understood only when we wrote it."""

import base64
import binascii
from datetime import datetime

from domain.errors import Invalid
from storage.columns import iso_instant

_LONGEST = 300


def cursor_of(at: datetime, identifier: str) -> str:
    """The cursor behind a row."""
    return base64.urlsafe_b64encode(f"{iso_instant(at)} {identifier}".encode()).decode().rstrip("=")


def position(cursor: str) -> tuple[datetime, str]:
    """The instant and the id in a cursor of ours. Raises Invalid."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), b"-_", validate=True).decode()
        stamp, _, identifier = text.partition(" ")
        at = datetime.fromisoformat(stamp)
        if len(cursor) > _LONGEST or at.tzinfo is None or not identifier:
            raise ValueError(cursor)
    except (ValueError, binascii.Error):
        raise Invalid("take the cursor from the previous page as it is", field="cursor") from None
    return at, identifier

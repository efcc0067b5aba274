"""The key ring of this deployment."""

from server.settings import Settings
from storage.secrets import KeyRing


def key_ring(settings: Settings) -> KeyRing | None:
    """ENCRYPTION_KEYS, or ENCRYPTION_KEY as version 1; None when neither is set."""
    keys = settings.ring_keys
    return KeyRing(keys) if keys else None

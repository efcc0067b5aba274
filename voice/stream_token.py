"""The one-time token that a media stream must present: random, single use, 60 s, bound to a call.

The database holds only its hash and a random nonce; the token is derived from the nonce with a
secret of ours, so that a repeated webhook can be given the very answer it got before without the
token ever being stored in clear.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta

#: The issue's rule.
LIFETIME = timedelta(seconds=60)


def new_nonce() -> str:
    """128 random bits."""
    return secrets.token_urlsafe(16)


def derive(secret: bytes, call_sid: str, nonce: str) -> str:
    """The token of this call and nonce: 43 URL-safe characters."""
    message = f"media-stream\0{call_sid}\0{nonce}".encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")).rstrip(b"=").decode()


def digest(token: str) -> str:
    """What is stored: SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()

"""How Twilio signs what it sends: `X-Twilio-Signature` for webhooks and stream handshakes."""

import base64
import hashlib
import hmac
from collections.abc import Iterable

HEADER = "X-Twilio-Signature"


def sign_form(url: str, fields: Iterable[tuple[str, str]], auth_token: str) -> str:
    """Signature of a form POST to `url`, exactly as requested (scheme, port and query included).

    The text signed is the URL followed by each name and its values, both sorted, equal pairs
    once, blank values as nothing (twilio.com/docs/usage/webhooks/webhooks-security).
    """
    by_name: dict[str, set[str]] = {}
    for name, value in fields:
        by_name.setdefault(name, set()).add(value)
    signed = url + "".join(
        name + value for name in sorted(by_name) for value in sorted(by_name[name])
    )
    return _hmac_sha1(signed, auth_token)


def sign_url(url: str, auth_token: str) -> str:
    """Signature of a request without a form: a GET, or a websocket's handshake.

    For a stream `url` is the very address of the TwiML, `wss://…` (or `ws://…` on loopback).
    """
    return _hmac_sha1(url, auth_token)


def _hmac_sha1(text: str, key: str) -> str:
    # SHA-1 is the vendor's choice.
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")

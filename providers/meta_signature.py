"""Is it Meta that calls, or 360dialog? Over the raw body, and fail closed.

Rules: shared/reference/text-channels.md §1.5 and §2.2. Parsing before verifying, or verifying what
was serialised anew, breaks on everything that isn't ASCII.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

#: Meta's header, and what stands before the digest.
META_HEADER: Final = "x-hub-signature-256"
_PREFIX: Final = "sha256="

#: 360dialog's signature, which it adds for partners; hexadecimal, with the prefix or without.
DIALOG360_HEADER: Final = "x-360dialog-signature"
#: The header that we have 360dialog send with each webhook, and its secret in it.
SECRET_HEADER: Final = "x-webhook-secret"  # noqa: S105 - its name

#: Meta's are ten digits.
MAX_CHALLENGE: Final = 256

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def is_metas(body: bytes, header: str | None, app_secrets: Iterable[str]) -> bool:
    """Whether Meta signed these bytes with one of the secrets; with none, nothing is Meta's."""
    if header is None or not header.startswith(_PREFIX):
        return False
    return _signed(body, header.removeprefix(_PREFIX), app_secrets)


def is_dialog360s(
    body: bytes,
    *,
    secret: str | None,
    expected: str,
    signature: str | None = None,
    platform_secret: str = "",
) -> bool:
    """Whether the webhook carries the secret that we registered it with; and, where 360dialog signs
    too and we know its secret, whether that is right as well."""
    if not expected or secret is None:
        return False
    if not hmac.compare_digest(secret.encode(), expected.encode()):
        return False
    if signature is None or not platform_secret:
        return True
    return _signed(body, signature.removeprefix(_PREFIX), (platform_secret,))


def answers_challenge(mode: str | None, token: str | None, expected: Iterable[str]) -> bool:
    """Meta's question by GET: whether the verify token is one of ours (§1.4)."""
    given = (token or "").encode()
    matches = [hmac.compare_digest(given, each.encode()) for each in expected if each]
    return mode == "subscribe" and any(matches)


class WhatsAppProof:
    """Whether a webhook is Meta's or 360dialog's, by its headers; a messaging.doors.Proof.
    `platform_secret`: 360dialog's, for partners, "" when there is none."""

    def __init__(self, platform_secret: str = "") -> None:
        self._platform_secret = platform_secret

    def metas(self, body: bytes, headers: Mapping[str, str], secrets: Iterable[str]) -> bool:
        """Meta signed it with one of these app secrets."""
        return is_metas(body, headers.get(META_HEADER), secrets)

    def dialog360s(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        """It carries the secret that we registered with 360dialog."""
        return is_dialog360s(
            body,
            secret=headers.get(SECRET_HEADER),
            expected=secret,
            signature=headers.get(DIALOG360_HEADER),
            platform_secret=self._platform_secret,
        )

    def challenge(self, query: Mapping[str, str], tokens: Iterable[str]) -> str | None:
        """What Meta's question is answered with: the challenge, as plain text."""
        known = answers_challenge(query.get("hub.mode"), query.get("hub.verify_token"), tokens)
        return query.get("hub.challenge", "")[:MAX_CHALLENGE] if known else None


def _signed(body: bytes, digest: str, keys: Iterable[str]) -> bool:
    if not _DIGEST.fullmatch(digest):
        return False
    given = digest.lower().encode()
    matches = [
        hmac.compare_digest(
            hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode(), given
        )
        for key in keys
        if key
    ]
    return any(matches)

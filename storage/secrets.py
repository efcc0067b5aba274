"""Sealing what tenants entrust to us: AES-256-GCM under a ring of keys. Pure; no I/O.

A sealed text is `v1.<key version>.<base64url of nonce and ciphertext>`: what format it has and
which key opens it can be read without a key. It opens in one place only, since tenant, channel and
key version are authenticated with it (the associated data): a row copied to another tenant or
channel is refused like one that was tampered with.
"""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import OperatorError
from domain.key_strength import KEY_BYTES, weakness

FORMAT = "v1"
#: What GCM is made for (NIST SP 800-38D §8.2.2). With random nonces one key may seal 2³² times
#: before two alike become likely (§8.3): a thousand tenants saving once a second for 50 days.
NONCE_BYTES = 12
#: GCM's authentication tag, which the library appends to the ciphertext.
TAG_BYTES = 16
LARGEST_VERSION = 999_999

CURE = "`openssl rand -hex 32` makes a key; set ENCRYPTION_KEYS=1:<key>"

_SEALED = re.compile(r"v1\.([1-9][0-9]{0,5})\.([A-Za-z0-9_-]+)")


class NoKey(OperatorError):
    """Nothing can be sealed or opened: no key is set."""

    def __init__(self) -> None:
        super().__init__(
            "credentials can't be kept or read: no encryption key is set. "
            f"Cure: set ENCRYPTION_KEYS ({CURE})."
        )


class Unreadable(OperatorError):
    """A sealed text that this ring can't open. The message says where and why, never what."""


class KeyRing:
    """Keys by version. The first one given seals; all of them open.

    Raises OperatorError for no key at all, a key that isn't 32 bytes or is weak, a version out of
    1 … 999999, and two versions with the same key.
    """

    __slots__ = ("_ciphers", "newest")

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        if not keys:
            raise NoKey
        _check(keys)
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        #: The version that seals.
        self.newest = next(iter(keys))

    @property
    def versions(self) -> tuple[int, ...]:
        """All that can be opened, the sealing one first."""
        return tuple(self._ciphers)

    def seal(self, plaintext: bytes, tenant_id: str, channel: str) -> str:
        """`plaintext` as text that opens for this tenant and channel alone."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound_to = _associated(tenant_id, channel, self.newest)
        sealed = self._ciphers[self.newest].encrypt(nonce, plaintext, bound_to)
        return f"{FORMAT}.{self.newest}.{_base64(nonce + sealed)}"

    def open(self, sealed: str, tenant_id: str, channel: str) -> bytes:
        """What was sealed for this tenant and channel. Raises Unreadable: never garbage."""
        where = f"the credentials of tenant {tenant_id}, channel {channel},"
        match = _SEALED.fullmatch(sealed)
        data = _unbase64(match[2]) if match else None
        if match is None or data is None or len(data) < NONCE_BYTES + TAG_BYTES:
            raise Unreadable(
                f"{where} are not in a form that this version knows. "
                "Cure: restore the row, or let the tenant enter them again."
            )
        version = int(match[1])
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise Unreadable(
                f"{where} are sealed with key version {version}, which is not in ENCRYPTION_KEYS "
                f"(there: {_listed(self.versions)}). Cure: put the key of version {version} back."
            )
        bound_to = _associated(tenant_id, channel, version)
        try:
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to)
        except InvalidTag:
            raise Unreadable(
                f"{where} don't open with key version {version}: it is another key than the one "
                "that sealed them, or the row was altered. Cure: set the right key for version "
                f"{version} in ENCRYPTION_KEYS, or restore the row."
            ) from None

    def __repr__(self) -> str:
        return f"KeyRing(versions {_listed(self.versions)})"


def key_version(sealed: str) -> int | None:
    """The version that sealed this text; None when it isn't a sealed text."""
    match = _SEALED.fullmatch(sealed)
    return int(match[1]) if match else None


def sealed_with(version: int) -> str:
    """What every text begins with that this version sealed."""
    return f"{FORMAT}.{version}."


def _check(keys: Mapping[int, bytes]) -> None:
    owner: dict[bytes, int] = {}
    for version, key in keys.items():
        if not 1 <= version <= LARGEST_VERSION:
            raise OperatorError(f"a key version must be 1 to {LARGEST_VERSION}, not {version}")
        if len(key) != KEY_BYTES:
            raise OperatorError(f"the key of version {version} isn't {KEY_BYTES} bytes: {CURE}")
        if weak := weakness(key):
            raise OperatorError(f"the key of version {version} {weak}: {CURE}")
        if key in owner:
            raise OperatorError(
                f"versions {owner[key]} and {version} have the same key: a new version needs a "
                f"new key ({CURE})"
            )
        owner[key] = version


def _associated(tenant_id: str, channel: str, version: int) -> bytes:
    """What a text is bound to. JSON in ASCII: no two lists look alike."""
    bound_to = [FORMAT, tenant_id, "channel_configurations", channel, version]
    return json.dumps(bound_to, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unbase64(text: str) -> bytes | None:
    """None for what isn't base64url as we write it (one spelling per text)."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return data if _base64(data) == text else None


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions))

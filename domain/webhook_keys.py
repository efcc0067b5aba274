"""The addresses at which vendors bring a tenant's messages, and the names of what proves them."""

import hashlib
from typing import Final

#: Names of the secrets of channels.
APP_SECRET: Final = "appSecret"  # noqa: S105 - their names
VERIFY_TOKEN: Final = "verifyToken"  # noqa: S105
WEBHOOK_SECRET: Final = "webhookSecret"  # noqa: S105
INBOUND_PASSWORD: Final = "inboundPassword"  # noqa: S105
#: The unguessable part of the address for inbound email, kept to show the address again.
INBOUND_KEY: Final = "inboundKey"

#: The user that inbound e-mail presents itself as; the password is the channel's own secret.
EMAIL_USER: Final = "coccinelle"


def key_digest(key: str) -> str:
    """What is stored of the key in a webhook's address."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()

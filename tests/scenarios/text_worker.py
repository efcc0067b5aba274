"""`coccinelle work` as its own process, but for one thing: it believes the sandbox's certificates,
which no mail server of the world outside has."""

import asyncio
import functools
import ssl
import sys

from server.commands import work
from server.logs import logging_to
from server.settings import load
from server.texts import text_vendors

if __name__ == "__main__":
    trust = ssl.create_default_context(cafile=sys.argv[1])
    work.text_vendors = functools.partial(text_vendors, trust=trust)  # type: ignore[attr-defined]
    settings = load(None)
    with logging_to(sys.stderr, level="INFO", form="console", secrets=settings.secrets):
        asyncio.run(work._work(settings, child=False))

"""Whose certificates the emulated vendors believe when they call the server: the world's."""

import functools
import ssl

import httpx


@functools.cache
def trust_store() -> ssl.SSLContext:
    """Read once for the process: it takes 20 ms, and tests start hundreds of emulators."""
    return httpx.create_ssl_context(trust_env=False)

"""Whose certificates are believed of web servers, wherever nothing else is said."""

import functools
import ssl

import httpx


@functools.cache
def trust_store() -> ssl.SSLContext:
    """The world's authorities, as httpx comes with them. Read once for the process, which takes
    20 ms. For HTTP alone: httpx offers HTTP/1.1 on whatever context it is given (ALPN), and a mail
    server may refuse that."""
    return httpx.create_ssl_context(trust_env=False)

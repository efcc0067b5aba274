"""The system's resolver for the guarded door: threads of its own, few, that hold up nobody."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Final

#: Names that are looked up at once. A lookup blocks its thread, for half a minute when the name
#: server is silent, long after its caller has gone.
_AT_ONCE: Final = 8


class SystemLookups:
    """Looks names up as the machine does (/etc/hosts, DNS).

    Not on the loop's own threads: names at a dead name server would take them all, from whoever
    else needs one, and an ending process waits for them. These are daemons.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The IP addresses of `host`, best first (RFC 6724). Raises OSError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()
        await self._free.acquire()

        def tell(found: list[str] | Exception) -> None:
            self._free.release()
            if answer.done():
                return  # nobody waits any more
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look_up() -> None:
            found: list[str] | Exception
            try:
                found = _addresses(host, port)
            except (OSError, UnicodeError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell, found)

        try:
            threading.Thread(target=look_up, name="guarded-lookup", daemon=True).start()
        except RuntimeError as error:  # the system has no thread to give
            self._free.release()
            raise OSError(str(error)) from error
        return await answer


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]

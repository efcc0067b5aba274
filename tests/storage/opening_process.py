"""Opens databases when told to (tests/forked.py): one address per line, answered by "done" or the
error."""

import asyncio
import sys

from storage import Database


async def _open_and_close(url: str) -> None:
    await (await Database.open(url)).close()


def main() -> None:
    _say("ready")
    for line in sys.stdin:
        try:
            asyncio.run(_open_and_close(line.strip()))
            _say("done")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            _say(repr(error))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

"""What a process takes from itself before it reads what a stranger wrote.

Standard library only: a child imports it without the rest of our code (`storage.child_process`).
"""

import os
import resource
import sys

#: Descriptors: the three streams. With no other to be had, nothing can be opened and nobody
#: dialled, whatever a document makes of its parser.
OPEN_FILES = 3


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Take away from this process what reading a document doesn't need. What is imported later
    can't be."""
    os.nice(10)
    try:
        # When the machine runs out of memory, it is this process that the kernel takes (Linux).
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjust:
            adjust.write("1000")
    except OSError:
        pass
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)  # no child, no thread; root is not held to it


def answer_and_leave(told: bytes) -> None:
    """Write the answer and end the process, without a destructor being run."""
    view = memoryview(told)
    while view:
        view = view[os.write(1, view) :]
    os._exit(0)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (ValueError, OSError):
        # macOS knows no limit on address space; processor time and the wall clock remain.
        if sys.platform == "linux":
            raise

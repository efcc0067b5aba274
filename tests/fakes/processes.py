"""Processes of the machine, as tests look at them."""

import time

import psutil


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether no such process runs, within so long. One that nobody has buried doesn't run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False

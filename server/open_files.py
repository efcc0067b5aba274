"""How many files this process may have open: sockets are files."""

import resource

import structlog

#: Open files: a call has two sockets, Twilio's and the agent's; the rest is everybody else's.
FILES_PER_CALL = 2
OTHER_FILES = 256

log = structlog.get_logger(__name__)


def allow_files(calls: int) -> None:
    """Raise the limit of open files, usually 1024, to what so many calls need; warn if it can't
    be: beyond the limit, neither Twilio nor the model could be connected any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = calls * FILES_PER_CALL + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning(
            "too few open files are allowed",
            limit=allowed,
            cure=f"allow {wanted} (ulimit -n, LimitNOFILE) or lower MAX_CALLS_PER_NODE",
        )

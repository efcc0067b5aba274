"""A call has two sockets; a shell allows 1024 files."""

import subprocess
import sys

import pytest

_CHILD = """
import resource, sys
from server.open_files import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (512, int(sys.argv[1])))
allow_files(500)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(("hard", "limit", "warned"), [(4096, 1256, False), (700, 700, True)])
def test_as_many_files_as_the_calls_need(hard: int, limit: int, warned: bool) -> None:
    child = [sys.executable, "-c", _CHILD, str(hard)]
    said = subprocess.run(child, capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.splitlines()[-1] == str(limit)
    assert ("allow 1256 (ulimit -n" in said) is warned

"""The tests, and the programs that they start as processes (`python -m tests.…`)."""

import gc

# Neither what is imported nor what is collected is garbage: until all of it is there (conftest.py),
# and in such a process, which lives for seconds, nothing looks for any.
gc.disable()

"""Reading documents, in a child process that knows nothing of us (see `child.py`).

What is in here imports the libraries of the formats and its own siblings, nothing else.
"""

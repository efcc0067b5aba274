"""Reading other people's calendars, in a child process that knows nothing of us (`child.py`).

What is in here imports the libraries of the format and its own siblings, nothing else; but
`reader.py`, which stands outside and starts the child.
"""

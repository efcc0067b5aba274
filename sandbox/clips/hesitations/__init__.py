"""Turns of callers who hesitate: `turns.toml` says which, `make.py` speaks them."""

"""Words that two packages share; no I/O."""

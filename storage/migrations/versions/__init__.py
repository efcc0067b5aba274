"""One file per revision, applied in the order in which each names its predecessor."""

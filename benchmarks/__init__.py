"""Measurements: `make bench`; the last figures in results/."""

"""The outside world on loopback: emulated vendors and simulated callers."""

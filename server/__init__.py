"""Introduces everybody: settings, wiring, the ASGI app and the command line."""

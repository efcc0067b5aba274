"""Whom we call: one vendor per file or folder."""

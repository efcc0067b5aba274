"""The verbs of the `coccinelle` command, one per file."""

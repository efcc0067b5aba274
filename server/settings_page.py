"""The pages that are made from the settings: docs/settings.md and .env.example."""

from collections.abc import Iterator
from itertools import groupby

from pydantic import SecretStr

from server.settings import About, Settings, described

_HEAD = """\
# Settings

Every setting is an environment variable, or a line of the file `.env` in the working directory;
the environment wins. An empty one counts as not set. A wrong one stops the start with a line that
names it and its cure; a missing one is named at start together with what doesn't work meanwhile.

This page is made by `coccinelle settings --markdown` from `server/settings.py`; don't edit it.
"""

_LATER = "Checked, but nothing reads it yet."


def markdown() -> str:
    """docs/settings.md: a section per group, a paragraph per variable."""
    return "\n".join([_HEAD, *_sections()])


def env() -> str:
    """.env.example: every variable, commented out, with its default or an example."""
    lines = [
        "# Copy this file to .env and uncomment what you need; docs/settings.md says more.",
        "# It is made by `coccinelle settings --env` from server/settings.py; don't edit it.",
    ]
    for group, variables in _groups():
        lines += ["", f"# ---- {group}"]
        for name, about in variables:
            lines += ["", *(f"# {line}" for line in _wrapped(about.text)), _assignment(name, about)]
    return "\n".join(lines) + "\n"


def _sections() -> Iterator[str]:
    for group, variables in _groups():
        yield f"## {group}\n"
        for name, about in variables:
            yield f"### `{name.upper()}`\n"
            yield about.text + "\n"
            yield f"- Takes: {about.expects}. Example: `{about.example}`"
            yield f"- Default: {_default(name, about)}"
            if about.meanwhile:
                yield f"- While it isn't set: {about.meanwhile}"
            if about.later:
                yield f"- {_LATER}"
            yield ""


def _groups() -> Iterator[tuple[str, list[tuple[str, About]]]]:
    for group, variables in groupby(described(), key=lambda pair: pair[1].group):
        yield group, list(variables)


def _default(name: str, about: About) -> str:
    if about.shown:
        return about.shown
    plain = _plain_default(name)
    return f"`{plain}`" if plain else "none"


def _plain_default(name: str) -> str:
    """The default as one would write it; "" for none, or when it follows from other settings."""
    default = Settings.model_fields[name].default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, float):
        return f"{default:g}"
    return str(default) if isinstance(default, str | int) else ""


def _assignment(name: str, about: About) -> str:
    return f"#{name.upper()}={_plain_default(name) or about.example}"


def _wrapped(text: str, width: int = 96) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line

"""Templates of texts: `Bonjour {{prenom}}`, and `{{prenom|vous}}` where nobody may be known. A line
with `{{lien|}}` is left out when there is no link.

Pure: names of a fixed catalogue (domain/text_variables.py), no logic. A template with an unknown
variable can't be saved, one with a missing value can't be sent. Values are put in once and never
read again.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import Invalid
from domain.text_variables import BY_NAME, Variable, by_variable, suggestion, variable, written

#: An SMS may have 1600 characters (Twilio's 21617), WhatsApp's texts 4096, its templates 1024.
LONGEST_BODY: Final[Mapping[str, int]] = {"sms": 1600, "whatsapp": 4096, "email": 20_000}
LONGEST_SUBJECT: Final = 200

_FIELD: Final = re.compile(r"\{\{\s*([^{}|]{1,60}?)\s*(?:\|\s*([^{}|]{0,80}?)\s*)?\}\}")
#: What else looks like a variable: {prenom}, [[prenom]], ${prenom}, %prenom%, and braces left over.
_STRANGER: Final = re.compile(
    r"\$?\{+\s*([\w .-]{0,60})\s*\}*|\}+|\[\[\s*([\w .-]{1,60})\s*\]\]|%([A-Za-zÀ-ÿ]{2,40})%"
)


class MissingValue(Invalid):
    """A text that would have said "Bonjour {{prenom}}". `names`: which variables have no value."""

    def __init__(self, names: tuple[str, ...]) -> None:
        listed = ", ".join(names)
        super().__init__(
            f"no value for {listed}; give one in `variables`, or a default in the template: "
            f"{{{{{names[0]}|…}}}}",
            field=f"variables.{names[0]}",
            message_key="template_value_missing",
        )
        self.names = names


@dataclass(frozen=True, slots=True)
class Template:
    """A template's words. `version` 0: ours. `vendor`: of WhatsApp, the approved template's `name`,
    `language`, and the order of its `parameters`."""

    channel: str
    key: str
    language: str
    body: str
    subject: str = ""
    version: int = 0
    vendor_name: str = ""
    vendor_language: str = ""
    vendor_parameters: tuple[str, ...] = ()
    #: Whether Meta knows the parameters by name or by their position.
    vendor_named: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text ready to go. `parameters`: of an approved template, (name or "", value) in order."""

    body: str
    subject: str = ""
    html: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


# ----------------------------------------------------------------------------------- saving


def names_in(text: str) -> list[str]:
    """The variables' own names in the order of appearance, once each; unknown ones left out."""
    found = (variable(match[1]) for match in _FIELD.finditer(text))
    return list(dict.fromkeys(each.name for each in found if each is not None))


def checked(template: Template) -> Template:
    """The template as it is kept: variables in our spelling. Invalid when it can't be used."""
    body = _checked_text(template.body.strip(), "body")
    subject = " ".join(_checked_text(template.subject, "subject").split())
    if not body:
        raise Invalid("must not be empty", field="body", message_key="template_empty")
    longest = LONGEST_BODY[template.channel]
    if len(body) > longest:
        raise Invalid(
            f"must have at most {longest} characters, not {len(body)}",
            field="body",
            message_key="template_too_long",
        )
    if len(subject) > LONGEST_SUBJECT:
        raise Invalid(
            f"must have at most {LONGEST_SUBJECT} characters",
            field="subject",
            message_key="template_too_long",
        )
    if template.channel == "email" and not subject:
        raise Invalid("an email needs a subject", field="subject", message_key="template_subject")
    return Template(
        channel=template.channel,
        key=template.key,
        language=template.language,
        body=body,
        subject=subject,
        version=template.version,
        vendor_name=template.vendor_name,
        vendor_language=template.vendor_language,
        vendor_parameters=tuple(_own_name(name) for name in template.vendor_parameters),
        vendor_named=template.vendor_named,
    )


def _own_name(name: str) -> str:
    found = variable(name)
    if found is None:
        raise _unknown(name, "vendor.parameters")
    return found.name


def _checked_text(text: str, field: str) -> str:
    def own(match: re.Match[str]) -> str:
        found = variable(match[1])
        if found is None:
            raise _unknown(match[1], field)
        default = "" if match[2] is None else f"|{match[2]}"
        return f"{{{{{found.name}{default}}}}}"

    kept = _FIELD.sub(own, text)
    stranger = _STRANGER.search(_FIELD.sub("", kept))
    if stranger is not None:
        name = next((group for group in stranger.groups() if group), "").strip()
        if name:
            raise _unknown(name, field)
        raise Invalid(
            "braces must enclose a variable: {{prenom}}",
            field=field,
            message_key="template_braces",
        )
    return kept


def _unknown(name: str, field: str) -> Invalid:
    found = variable(name)
    near = found.name if found else suggestion(name)
    cure = f"; write {{{{{near}}}}}" if near else f"; known are {', '.join(BY_NAME)}"
    return Invalid(
        f"unknown variable {name!r}{cure}",
        field=field,
        message_key="template_variable_unknown",
    )


# ---------------------------------------------------------------------------------- sending


def render(template: Template, values: Mapping[str, str], locale: str) -> Rendered:
    """The text for these values, by any of the variables' names. MissingValue when one that the
    template holds has none."""
    known = by_variable(values)
    missing: list[str] = []

    def value(each: Variable, default: str | None) -> str:
        shown = written(each, known.get(each.name, ""), locale) or default or ""
        if not shown and default is None and each.name not in missing:
            missing.append(each.name)
        return shown

    safe = _ESCAPES[template.channel]
    body = _filled(template.body, value, safe)
    subject = _filled(template.subject, value, lambda _, text: " ".join(text.split()))
    page = ""
    if template.channel == "email":
        page = as_html(_filled(html.escape(template.body, quote=False), value, _in_html))
    parameters = tuple(
        (name if template.vendor_named else "", parameter(value(BY_NAME[name], None)))
        for name in template.vendor_parameters
    )
    if missing:
        raise MissingValue(tuple(missing))
    return Rendered(body, subject[:LONGEST_SUBJECT], page, parameters)


def _filled(
    text: str, value: Callable[[Variable, str | None], str], safe: Callable[[Variable, str], str]
) -> str:
    lines = []
    for line in text.split("\n"):
        left_out = False

        def put_in(match: re.Match[str]) -> str:
            nonlocal left_out
            found = variable(match[1])
            if found is None:  # a template that was kept before this catalogue
                raise _unknown(match[1], "body")
            shown = value(found, match[2])
            left_out = left_out or (not shown and match[2] == "")
            return safe(found, shown)

        filled = _FIELD.sub(put_in, line)
        if not left_out:
            lines.append(filled)
    return "\n".join(lines).strip()


def parameter(text: str) -> str:
    """A value as Meta takes it: on one line, no tabs, no four spaces (its 132012)."""
    return " ".join(text.split())[:1024]


def _as_it_is(_each: Variable, text: str) -> str:
    return text


def _without_markup(each: Variable, text: str) -> str:
    """WhatsApp reads *bold*, _italics_, ~struck~ and `code` in what people are called, too."""
    return text if each.kind == "link" else re.sub(r"[*_~`]", "", text)


def _in_html(each: Variable, text: str) -> str:
    escaped = html.escape(text)
    return f'<a href="{escaped}">{escaped}</a>' if each.kind == "link" else escaped


_ESCAPES: Final[Mapping[str, Callable[[Variable, str], str]]] = {
    "sms": _as_it_is,
    "email": _as_it_is,
    "whatsapp": _without_markup,
}


def as_html(escaped: str) -> str:
    """Paragraphs of a text whose characters are escaped already."""
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", escaped))
    return "".join(f"<p>{part.replace(chr(10), '<br>')}</p>" for part in paragraphs if part)


def plain_html(text: str) -> str:
    """The same for words that somebody wrote: escaped first."""
    return as_html(html.escape(text))

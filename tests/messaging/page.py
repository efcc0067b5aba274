"""A page as somebody reads it who doesn't see it, and what is wrong with it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Forms, links, headings, text; and `faults`: what an accessibility check finds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.headings: list[tuple[int, str]] = []
        self.text = ""
        self.faults: list[str] = []
        self._open: list[str] = []
        self._ids: list[str] = []
        self._inputs: list[tuple[str, str]] = []
        self._labels: set[str] = set()
        self._attributes: dict[str, dict[str, str]] = {}
        self._name = ""
        self._lang = ""
        self._title = ""
        self.feed(html)
        self.close()
        self._check()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        its = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self._open.append(tag)
        if "id" in its:
            self._ids.append(its["id"])
        if any(name.startswith("on") or name == "style" for name in its):
            self.faults.append(f"inline script or style on {tag}")
        if tag in ("script", "iframe", "img", "object", "link"):
            self.faults.append(f"{tag} isn't ours")
        if tag == "html":
            self._lang = its.get("lang", "")
        elif tag == "form":
            self.forms.append(Form(its["action"], its.get("method", "get")))
        elif tag in ("input", "textarea", "select"):
            self._control(tag, its)
        elif tag == "label":
            self._labels.add(its.get("for", ""))
        self._attributes[tag] = its
        self._name = ""

    def _control(self, tag: str, its: dict[str, str]) -> None:
        kind = its.get("type", tag)
        if kind == "radio":
            self.forms[-1].choices.append(its["value"])
        else:
            self.forms[-1].fields[its["name"]] = its.get("value", "")
        if kind != "hidden":
            self._inputs.append((kind, its.get("id", "")))
            if kind == "radio" and "fieldset" not in self._open:
                self.faults.append("a radio button outside of a fieldset")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self._title += data
        elif self._open and self._open[-1] != "style":
            self.text += data
            self._name += data

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")
        name = " ".join(self._name.split())
        if tag in ("h1", "h2", "h3"):
            self.headings.append((int(tag[1]), name))
        if tag == "a":
            self.links[name] = self._attributes["a"]["href"]
        if tag in ("a", "button", "legend", "label", "h1", "h2") and not name:
            self.faults.append(f"a {tag} without words")

    def _check(self) -> None:
        self.text = " ".join(self.text.split())
        if self._open:
            self.faults.append(f"left open: {self._open}")
        if self._lang not in ("fr", "en"):
            self.faults.append("no language")
        if not self._title.strip():
            self.faults.append("no title")
        if [level for level, _ in self.headings].count(1) != 1:
            self.faults.append("not one h1")
        levels = [level for level, _ in self.headings]
        if any(after > before + 1 for before, after in pairwise(levels)):
            self.faults.append("a heading's level is left out")
        if len(set(self._ids)) != len(self._ids):
            self.faults.append("an id twice")
        self.faults += [
            f"{kind} {id_!r} without label"
            for kind, id_ in self._inputs
            if not id_ or id_ not in self._labels
        ]

    def form(self, end: str) -> Form:
        """The one whose action ends so."""
        (found,) = [form for form in self.forms if form.action.partition("?")[0].endswith(end)]
        return found

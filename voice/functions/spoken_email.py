"""An e-mail address, as it is said aloud, spelled or mis-transcribed → as it is written."""

import re

from domain.folding import unaccented

_AT = re.compile(r"\b(?:arr?obas[es]?|arr?obaz|a commercial|at sign)\b")
_AT_ENGLISH = re.compile(r"\s(?:at|chez)\s")
_DOT = re.compile(r"\b(?:point|dot)(?=\b|com\b|fr\b|net\b|org\b|eu\b)")
_UNDERSCORE = re.compile(r"\b(?:tiret (?:du )?bas|souligne|underscore)\b")
_HYPHEN = re.compile(r"\b(?:trait d'union|tiret(?: du milieu| du six| haut)?|hyphen|dash)\b")
#: How French transcribers write what they hear of "gmail".
_GMAIL = re.compile(r"(?<=@)(?:gemel|gemail|jemel|jimail|gimail|gmel)(?=\.)")
#: "t.e.s.t", "g-m-a-i-l": letters spelled one by one.
_SPELLED = re.compile(r"(?<![^.@-])[a-z0-9](?:[.-][a-z0-9]){2,}(?![^.@-])")
_ADDRESS = re.compile(
    r"[a-z0-9_+%'-]+(?:\.[a-z0-9_+%'-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_MAX_LOCAL = 64  # RFC 5321 §4.5.3.1.1
_MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3
#: RFC 2606 §2: can't exist, so it stands for "none given".
_NOWHERE = (".invalid", ".localhost")


def read_email(heard: str) -> str | None:
    """The address, lower case; None when it can't be read. Says nothing about its existence."""
    text = _plain(heard)
    spoken = _AT.search(text) is not None or "@" not in text
    if "@" not in text:  # transcribers put commas between spelled letters
        text = text.replace(",", " ")
    text = _symbols(text)
    if text.count("@") != 1:
        return None
    local, domain = text.split("@")
    spelled = _join(domain)
    if spoken or spelled != domain:  # a typed j.r.r.tolkien@ keeps its dots
        local = _join(local)
    address = _GMAIL.sub("gmail", f"{local}@{spelled}")
    return address if _well_formed(address) else None


def _plain(text: str) -> str:
    """Lower case, unaccented (addresses are), without what surrounds an address."""
    text = unaccented(text).replace("’", "'")
    if named := re.search(r"<([^<>]+)>", text):
        text = named[1]
    return text.strip(" \t\n\"'.,;:").removeprefix("mailto:")


def _symbols(text: str) -> str:
    text = _AT.sub("@", text)
    if "@" not in text:
        text = _AT_ENGLISH.sub("@", text)
    for spoken, written in ((_UNDERSCORE, "_"), (_HYPHEN, "-"), (_DOT, ".")):
        text = spoken.sub(written, text)
    return re.sub(r"\s+", "", text)


def _join(text: str) -> str:
    return _SPELLED.sub(lambda run: re.sub("[.-]", "", run[0]), text)


def _well_formed(address: str) -> bool:
    return (
        len(address) <= _MAX_ADDRESS
        and len(address.partition("@")[0]) <= _MAX_LOCAL
        and not address.endswith(_NOWHERE)
        and _ADDRESS.fullmatch(address) is not None
    )

"""Arguments as models write them → typed values; typed values → a JSON Schema and a hash.

Strict about types, liberal about what models are known to send: numbers as strings, strings as
numbers, "" and "null" for what they don't know, keys that nobody asked for, JSON inside JSON.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec.inspect import BoolType, Field, IntType, StructType, Type, UnionType, type_info

from voice.functions.function import Refused

#: Characters of JSON text; several times what the longest permitted arguments need.
MAX_ARGUMENTS = 16_384

#: Lengths in characters: a name, a phrase, a dictated text.
Name = Annotated[str, msgspec.Meta(max_length=120)]
Phrase = Annotated[str, msgspec.Meta(max_length=300)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
#: Whole euros.
Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]

#: What models put where they have nothing to say. Never stored as if somebody had said it.
_NOTHING = frozenset(
    (
        "-", "--", "—", "?", ".", "...", "null", "none", "nil", "undefined", "n/a", "unknown",
        "not provided", "not given", "not specified", "not communicated", "inconnu", "inconnue",
        "non communiqué", "non communiquée", "non précisé", "non précisée", "non fourni",
        "non fournie", "non renseigné", "non renseignée", "non spécifié", "non spécifiée",
        "aucun", "aucune",
    )
)  # fmt: skip

#: Yes and no as models write them where a boolean is asked for.
_FLAGS = {
    **dict.fromkeys(("true", "oui", "yes", "vrai", "1"), True),
    **dict.fromkeys(("false", "non", "no", "faux", "0"), False),
}

#: Control characters and those that reverse or hide text (Unicode TR #36 §2.4). Not the joiners:
#: names in several scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]"
)

_AMOUNT = re.compile(
    r"""^[^\d-]*                                # "environ ", "jusqu'à "
        (?P<whole>\d+(?:[\s.,'’]\d{3})*)          # 300 000, 300.000
        (?:[.,](?P<part>\d{1,3}))?              # 1,5 million; 250,50
        \s*(?P<scale>k|mille|mio|m|millions?)?(?![^\W\d_²])
        \D*$""",  # "€", "euros par mois"
    re.VERBOSE | re.IGNORECASE,
)
_SCALES = {"k": 1_000, "mille": 1_000, "m": 1_000_000, "mio": 1_000_000, "million": 1_000_000}

S = TypeVar("S", bound=msgspec.Struct)


def decode(text: str, shape: type[S]) -> S:
    """The arguments, cleaned and checked. Raises Refused with a line that the model can act on."""
    values = _object(text)
    cleaned = {}
    for field in _fields(shape):
        value = _clean(values.get(field.encode_name), number=_is(IntType, field))
        if isinstance(value, str) and _is(BoolType, field):
            value = _FLAGS.get(value.casefold(), value)
        if value is not None:
            cleaned[field.encode_name] = value
    try:
        return msgspec.convert(cleaned, shape)
    except msgspec.ValidationError as error:
        raise Refused(f"{error}. Expected: {signature(shape)}") from None


def _object(text: str) -> dict[str, Any]:
    if len(text) > MAX_ARGUMENTS:
        raise Refused(f"the arguments are longer than {MAX_ARGUMENTS} characters; shorten them")
    value: Any = text
    for _ in range(2):  # some vendors send the object as text inside the text
        if not isinstance(value, str):
            break
        value = _json(value) if value.strip() else {}
    if not isinstance(value, dict):
        raise Refused("the arguments must be one JSON object")
    return value


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise Refused("the arguments are not valid JSON; send one JSON object") from None


@cache
def _fields(shape: type[msgspec.Struct]) -> tuple[Field, ...]:
    info = type_info(shape)
    assert isinstance(info, StructType)
    return info.fields


def _is(type_: type[Type], field: Field) -> bool:
    kinds = field.type.types if isinstance(field.type, UnionType) else (field.type,)
    return any(isinstance(kind, type_) for kind in kinds)


def _clean(value: Any, *, number: bool) -> Any:
    """What was meant; None when nothing was; other types are left for the check to refuse."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    if isinstance(value, str):
        value = clean_text(value)
        if value.casefold() in _NOTHING:
            return None
        value = _amount(value) if number else value
    else:
        value = round(value) if number else str(value)
    # Nobody has a budget of nothing: 0 is what models write when they don't know.
    return None if value in ("", 0) else value


def clean_text(text: str) -> str:
    """NFC, on one line, without control characters: what may be stored and shown."""
    return " ".join(_UNWANTED.sub("", unicodedata.normalize("NFC", text)).split())


def _amount(text: str) -> int | str:
    """Euros from "300 000 €", "300k", "1,5 million"; the text itself when it isn't an amount."""
    match = _AMOUNT.match(text)
    if match is None:
        return text
    whole, part = match["whole"], match["part"]
    scale = (match["scale"] or "").lower().removesuffix("s")
    if scale and part is None and (late := re.fullmatch(r"(\d{1,3})[.,](\d{3})", whole)):
        whole, part = late[1], late[2]  # "1,250 million" isn't 1250 million
    number = float(re.sub(r"\D", "", whole) + "." + (part or "0"))
    return round(number * _SCALES.get(scale, 1))


def signature(shape: type[msgspec.Struct]) -> str:
    """The names of the arguments, on one line: "start, name; optional: phone, email"."""
    fields = _fields(shape)
    required = ", ".join(f.encode_name for f in fields if f.required) or "nothing required"
    optional = ", ".join(f.encode_name for f in fields if not f.required)
    return f"{required}; optional: {optional}" if optional else required


def schema(shape: type[msgspec.Struct], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """A flat JSON Schema object for `shape`; every argument must have its description."""
    properties = {
        name: {**rule, "description": descriptions[name]} for name, rule in _rules(shape).items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in _fields(shape) if field.required],
        "additionalProperties": False,
    }


@cache
def _rules(shape: type[msgspec.Struct]) -> Mapping[str, Mapping[str, Any]]:
    """By argument, its JSON Schema. An optional one is left out, not sent as null: models
    understand that better. Kept: working it out takes a hundred microseconds."""
    _, components = msgspec.json.schema_components((shape,), ref_template="{name}")
    rules = {}
    for name, rule in components[shape.__name__]["properties"].items():
        (kind,) = (k for k in rule.get("anyOf", (rule,)) if k.get("type") != "null")
        # Words to choose from are a string: vendors want to be told.
        rules[name] = {"type": "string", **kind} if "enum" in kind else kind
    return rules


def canonical(arguments: msgspec.Struct) -> dict[str, Any]:
    """What was asked for, without what wasn't said, in the order of the names."""
    values = msgspec.to_builtins(arguments, order="sorted")
    return {name: value for name, value in values.items() if value is not None}


def digest(arguments: Mapping[str, Any]) -> str:
    """SHA-256 of canonical arguments; "marc durand" and "Marc Durand" are the same man."""
    folded = {
        name: unicodedata.normalize("NFC", value.casefold()) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    return hashlib.sha256(msgspec.json.encode(folded, order="sorted")).hexdigest()

"""Arguments as models write them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.functions.arguments import (
    MAX_ARGUMENTS,
    Amount,
    Name,
    Text,
    canonical,
    clean_text,
    decode,
    digest,
    schema,
    signature,
)
from voice.functions.function import Refused


class Order(msgspec.Struct, frozen=True, kw_only=True):
    name: Name
    budget: Amount | None = None
    notes: Text | None = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Marc Durand"}', Order(name="Marc Durand")),
        ('{"name": "  Marc \\n Durand "}', Order(name="Marc Durand")),
        ('{"name": "He\\u0301le\\u0300ne"}', Order(name="Hélène")),
        ('{"name": "Marc", "notes": ""}', Order(name="Marc")),
        ('{"name": "Marc", "notes": "null", "budget": null}', Order(name="Marc")),
        ('{"name": "Marc", "notes": "N/A"}', Order(name="Marc")),
        ('{"name": "Marc", "notes": "Non communiqué"}', Order(name="Marc")),
        ('{"name": "Marc", "urgent": true, "x": {"y": []}}', Order(name="Marc")),
        ('{"name": 12}', Order(name="12")),
        ('{"name": "Marc", "budget": 300000.0}', Order(name="Marc", budget=300_000)),
        ('"{\\"name\\": \\"Marc\\"}"', Order(name="Marc")),
        ('{"name": "M\\u0000a\\u202erc"}', Order(name="Marc")),
        ('{"name": "Na"}', Order(name="Na")),
    ],
)
def test_liberal(text: str, expected: Order) -> None:
    assert decode(text, Order) == expected


@pytest.mark.parametrize(
    ("said", "euros"),
    [
        ("300000", 300_000),
        ("300 000", 300_000),
        ("300 000 €", 300_000),
        ("300\u202f000\u00a0euros", 300_000),
        ("300.000", 300_000),
        ("300,000", 300_000),
        ("1 250 000", 1_250_000),
        ("300k", 300_000),
        ("300 K€", 300_000),
        ("300 mille", 300_000),
        ("1,5 million", 1_500_000),
        ("1.5 M€", 1_500_000),
        ("1,250 million", 1_250_000),
        ("2 millions d'euros", 2_000_000),
        ("environ 300 000 euros", 300_000),
        ("jusqu'à 900 € par mois", 900),
        ("850,50", 850),
        ("0", None),
        (0, None),
        (0.2, None),
    ],
)
def test_amounts(said: object, euros: int | None) -> None:
    assert decode(json.dumps({"name": "Marc", "budget": said}), Order).budget == euros


@pytest.mark.parametrize(
    "said", ["-5", "entre 250 et 300", "250-300", "cher", True, [300], {"max": 300}, -1, 10**12]
)
def test_amounts_that_are_none(said: object) -> None:
    with pytest.raises(Refused, match="budget"):
        decode(json.dumps({"name": "Marc", "budget": said}), Order)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name"),
        ("{}", "name"),
        ('{"name": ""}', "name"),
        ('{"name": "inconnu"}', "name"),
        ('{"name": ["Marc"]}', "name"),
        ('{"name": true}', "name"),
        ('{"name": {"first": "Marc"}}', "name"),
        (json.dumps({"name": "a" * 121}), "120"),
        (json.dumps({"name": "Marc", "notes": "a" * 2001}), "2000"),
        ("[]", "object"),
        ("12", "object"),
        ("null", "object"),
        ('{"name": "Marc"', "JSON"),
        ("name=Marc", "JSON"),
        ('{"name": "\\ud800"}', "JSON"),
        ('{"name": "\ud800"}', "JSON"),
        ('{"name": NaN}', "JSON"),
        ("[" * 5000, "JSON"),
        ('{"name": "' + "a" * MAX_ARGUMENTS + '"}', "longer"),
    ],
)
def test_strict(text: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(text, Order)
    assert says in caught.value.error
    assert "\n" not in caught.value.error


def test_a_refusal_names_what_is_expected() -> None:
    with pytest.raises(Refused) as caught:
        decode("{}", Order)
    assert signature(Order) == "name; optional: budget, notes"
    assert caught.value.error.endswith(signature(Order))


def test_schema_comes_from_the_struct() -> None:
    assert schema(Order, {"name": "Le nom", "budget": "En euros", "notes": "Le reste"}) == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 120, "description": "Le nom"},
            "budget": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1_000_000_000,
                "description": "En euros",
            },
            "notes": {"type": "string", "maxLength": 2000, "description": "Le reste"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_schema_wants_every_description() -> None:
    with pytest.raises(KeyError):
        schema(Order, {"name": "Le nom"})


def test_same_request_same_digest() -> None:
    one = canonical(decode('{"name": "Marc Durand", "budget": "300 000"}', Order))
    two = canonical(decode('{"budget": 300000, "name": "marc  durand", "notes": ""}', Order))
    assert list(one) == ["budget", "name"]
    assert digest(one) == digest(two)


@pytest.mark.parametrize(
    "other", ['{"name": "Marc Durant"}', '{"name": "Marc Durand", "budget": 1}']
)
def test_another_request_another_digest(other: str) -> None:
    mine = canonical(decode('{"name": "Marc Durand"}', Order))
    assert digest(mine) != digest(canonical(decode(other, Order)))


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.text()
    | _ANY_JSON.map(json.dumps)
    | st.fixed_dictionaries(
        {"name": _ANY_JSON}, optional={"budget": _ANY_JSON, "notes": _ANY_JSON}
    ).map(json.dumps)
)
def test_any_text_is_arguments_or_refused(text: str) -> None:
    try:
        order = decode(text, Order)
    except Refused:
        return
    assert order.name
    assert order.name == clean_text(order.name)
    assert order.budget is None or 0 <= order.budget <= 1_000_000_000
    assert decode(json.dumps(canonical(order)), Order) == order

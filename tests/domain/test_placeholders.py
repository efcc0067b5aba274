import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.placeholders import remove, resolve, resolve_lines

KNOWN = {"company": "Garage du Port", "companyname": "Garage du Port", "agent": "Sara", "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        "{company}",
        "{ company }",
        "{{company}}",
        "{{ COMPANY_NAME }}",
        "{{company-name}}",
        "${company}",
        "$company",
        "[[company]]",
        "[[ Company Name ]]",
        "[COMPANY]",
        "<company>",
        "<Company Name>",
        "< COMPANY >",
        "%company%",
        "%COMPANY_NAME%",
        "%(company)s",
        "__COMPANY_NAME__",
        "@company@",
        "#{company}",
        "COMPANY_NAME",
        "{cómpany}",
    ],
)
def test_known_variables_in_all_styles(text: str) -> None:
    assert resolve(text, KNOWN) == "Garage du Port"
    assert resolve(f"Bienvenue chez {text} !", KNOWN) == "Bienvenue chez Garage du Port !"
    assert remove(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour {first_name}",
        "Bonjour {{prénom}}",
        "Bonjour [[x]]",
        "Bonjour <nom>",
        "Bonjour ${user.name}",
        "Bonjour %name%",
        "Bonjour %(name)s",
        "Bonjour $name",
        "Bonjour [NOM]",
        "Bonjour __NAME__",
        "Bonjour @nom@",
        "Bonjour #{name}",
        "Bonjour NOM_ENTREPRISE",
        "Bonjour {}",
        "Bonjour {company",
        "Bonjour company}",
        "Bonjour {empty}",
        "{company} et {inconnu}",
        "un <b>gras",
    ],
)
def test_an_unknown_variable_spoils_the_text(text: str) -> None:
    assert resolve(text, KNOWN) is None


@pytest.mark.parametrize(
    "text",
    [
        "Remise de 20% et 30 % sur tout",
        "20 % ou 30 %",
        "Ca$h & Co",
        "de 10 à 12 $",
        "snake_case et __init__",
        "C'est à l'étage, n° 3 (au fond) ; merci !",
    ],
)
def test_ordinary_prose_is_left_alone(text: str) -> None:
    assert resolve_lines(text, KNOWN) == text


def test_values_are_inserted_once() -> None:
    values = {"company": "{agent}", "agent": "Sara"}
    assert resolve("{company} et {agent}", values) == "{agent} et Sara"
    assert resolve_lines("{company} {agent}", values) == "{agent} Sara"


def test_lines_with_unknown_variables_are_left_out() -> None:
    text = "Chez {company}, on tutoie.\nDis {mot_magique}.\nSi < 3 personnes, { oui }, sinon {"
    assert resolve_lines(text, KNOWN) == "Chez Garage du Port, on tutoie."
    assert (
        resolve_lines("Budget < 300 et > 200 [voir] {", KNOWN) == "Budget < 300 et > 200 [voir] ("
    )


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="{}[]<>$%_ aB\n", max_size=60) | st.text())
def test_nothing_that_looks_like_a_variable_survives(text: str) -> None:
    resolved = resolve(text, {"a": "x", "b": "y", "ab": "z", "aa": "w", "bb": "v", "ba": "u"})
    if resolved is not None:
        assert not set("{}[]<>") & set(resolved)
    assert not set("{}[]<>") & set(remove(text))
    assert not set("{}") & set(resolve_lines(text, {"a": "x"}))

"""Text becomes the same terms, however it is written or said."""

import pytest

from storage.knowledge.analysis import MAX_SOUGHT, analyser

FRENCH = analyser("fr-FR")
ENGLISH = analyser("en-GB")


@pytest.mark.parametrize(
    "said",
    [
        "fermé|ferme|FERMÉ|ferme\u0301",
        "œuf|oeuf|Œufs|des œufs",
        "hôtel|l'hôtel|l’hôtel|hotels|d'hôtels",
        "aujourd'hui|aujourd’hui|aujourd hui",
        "cheval|chevaux",
        "travaux|travail",
        "gâteau|gâteaux",
        "parfait|parfaits",
        "privatisé|privatisée|privatisées|privatiser",
        "week-end|week end|weekend|le week-end",
        "rendez-vous|rendez vous|RDV|un rendez-vous",
        "anti-puces|antipuces|anti puces",
        "carte bleue|CB|carte bancaire",
        "prix|tarif|tarifs|le coût",
        "79 €|79 euros|soixante-dix-neuf euros|79€",
        "80|quatre-vingts|quatre vingt",
        "97|quatre-vingt-dix-sept",
        "1 200 €|1200 euros|mille deux cents euros|1\u202f200 €|1.200 €",
        "205|deux cent cinq",
        "R1234yf|R 1234 yf|R-1234-YF|r1234 YF|r douze cent trente-quatre yf",
        "T3|T 3|T-3|t trois",
        "02 99 00 45 67|0299004567|02.99.00.45.67|+33 2 99 00 45 67",
    ],
)
def test_the_same_terms(said: str) -> None:
    forms = said.split("|")
    wanted = {sought.term for sought in FRENCH.question(forms[0])}
    assert wanted
    for form in forms:
        assert wanted <= set(FRENCH.terms(form)), form
        assert {each.term for each in FRENCH.question(form)} == wanted, form


def _sought(text: str) -> set[str]:
    return {each.term for each in FRENCH.question(text)}


def test_a_reference_is_found_by_its_parts() -> None:
    assert {"20555r16", "205", "55", "r16", "16"} <= set(FRENCH.terms("205/55 R16"))
    assert {"1234", "yf"} <= set(FRENCH.terms("R1234yf"))


@pytest.mark.parametrize(
    "text", ["", "?", "est-ce que vous avez", "bonjour euh s'il vous plaît", "c'est combien", "🙂"]
)
def test_what_says_nothing(text: str) -> None:
    assert FRENCH.question(text) == ()


def test_opening_days_are_all_named() -> None:
    assert {"mard", "mercred", "jeud"} <= set(FRENCH.terms("du lundi au vendredi"))
    assert "samed" not in FRENCH.terms("du lundi au vendredi")
    assert "wednesday" in ENGLISH.terms("Monday to Friday")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("12 quai de la Douane, 35400 Saint-Malo", "c'est quoi votre adresse"),
        ("02 99 00 45 67", "quel est votre numéro de téléphone"),
        ("atelier@garage.example", "votre mail"),
        ("Lundi : 8 h 30 – 12 h", "vos horaires"),
    ],
)
def test_facts_are_found_by_their_names(text: str, asked: str) -> None:
    assert _sought(asked) & set(FRENCH.terms(text))


def test_bounded() -> None:
    assert len(FRENCH.question(" ".join(f"mot{n}" for n in range(500)))) <= MAX_SOUGHT
    assert all(len(term) <= 40 for term in FRENCH.terms("x" * 10_000))


@pytest.mark.parametrize("text", ["Привет мир", "مرحبا", "日本語 テスト", "ßtraße", "𝕏 ½ Ⅷ ²"])
def test_every_term_can_be_looked_up(text: str) -> None:
    """Letters and digits, without spaces: it goes between quotation marks of a query."""
    for analysed in (FRENCH, ENGLISH):
        assert all(term.isalnum() for term in analysed.terms(text))
        assert all(each.term.isalnum() for each in analysed.question(text))


def test_english() -> None:
    assert {s.term for s in ENGLISH.question("How much is a tyre?")} == {
        s.term for s in ENGLISH.question("the price of tires")
    }
    assert {s.term for s in ENGLISH.question("dog's grooming")} == {
        s.term for s in ENGLISH.question("grooming for pets")
    }

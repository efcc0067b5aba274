import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agent import (
    MAX_GREETING,
    SECTORS,
    AgentProfile,
    AgentType,
    disclosure,
    function_names,
    greeting,
    introduction,
    profile,
)
from domain.tenant import Tenant

GARAGE = AgentProfile("Garage du Port", "automobile", AgentType.RECEPTION)
CLAUSE = "Bonjour, ici Sara, assistante vocale par intelligence artificielle"


def of(company: str, sector: str, **more: Any) -> str:
    return greeting(AgentProfile(company, sector, AgentType.RECEPTION, **more))


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?]) ", text)[0]


def seconds(text: str) -> float:
    """A generous estimate: vowel groups are syllables, six of them a second."""
    syllables = re.findall(r"[aeiouyàâäéèêëîïôöùûü]+", text.lower())
    return len(syllables) / 6


def test_the_first_sentence_says_that_an_ai_speaks_and_for_whom() -> None:
    assert greeting(GARAGE) == (
        "Garage du Port, bonjour, ici Sara, assistante vocale par intelligence artificielle. "
        "Que puis-je faire pour vous ?"
    )


@pytest.mark.parametrize(
    ("company", "sector", "opening"),
    [
        ("Garage du Port", "automobile", "Garage du Port"),
        ("Martin", "automobile", "Garage Martin"),
        ("GARAGE MARTIN", "automobile", "GARAGE MARTIN"),
        ("Le Garage de Léa", "automobile", "Le Garage de Léa"),
        ("Port Auto", "automobile", "Port Auto"),
        ("Garagiste & Fils", "automobile", "Garage Garagiste & Fils"),
        ("Cabinet Moreau", "sante", "Cabinet Moreau"),
        ("Moreau", "sante", "Cabinet médical Moreau"),
        ("Dr Moreau", "sante", "Cabinet du docteur Moreau"),
        ("Docteur Anne Moreau", "dentiste", "Cabinet du docteur Anne Moreau"),
        ("Me Lefèvre", "juridique", "Cabinet de maître Lefèvre"),
        ("Maître Lefèvre", "juridique", "Cabinet de maître Lefèvre"),
        ("Me Lefèvre", "restaurant", "Me Lefèvre"),
        ("Moreau", "dentiste", "Cabinet dentaire Moreau"),
        ("Lefèvre", "juridique", "Cabinet Lefèvre"),
        ("Étude Lefèvre", "juridique", "Étude Lefèvre"),
        ("La Marée", "restaurant", "Restaurant La Marée"),
        ("Chez Paul", "restaurant", "Chez Paul"),
        ("L'Atelier", "restaurant", "L'Atelier"),
        ('"Le Phare"', "restaurant", 'Restaurant "Le Phare"'),
        ("Dupont", "immobilier", "Agence Dupont"),
        ("Dupont Immobilier", "immobilier", "Dupont Immobilier"),
        ("Lemoine", "syndic", "Syndic Lemoine"),
        ("Léa & Sam", "beaute", "Salon Léa & Sam"),
        ("Olympe", "fitness", "Salle de sport Olympe"),
        ("Les Mots", "ecommerce", "Boutique Les Mots"),
        ("Dupont & Fils", "artisan", "Entreprise Dupont & Fils"),
        ("Plomberie Dupont", "artisan", "Plomberie Dupont"),
        ("Hautes Compétences", "education", "Centre de formation Hautes Compétences"),
        ("Nubbo", "generaliste", "Nubbo"),
        ("Nubbo", "autre", "Nubbo"),
        ("Nubbo", "no such sector", "Nubbo"),
        ("Nubbo", "garage", "Garage Nubbo"),
    ],
)
def test_prefixes_without_doubling(company: str, sector: str, opening: str) -> None:
    assert of(company, sector).startswith(f"{opening}, bonjour, ici Sara, ")


@pytest.mark.parametrize(
    "name", ["LEO", "SARA", "léa", "N'Golo", "N’Golo", "L3a", "Marie Claire", "Ana Sofia", "Zoë"]
)
def test_names_are_spoken_as_they_are_written(name: str) -> None:
    assert f", ici {name}, assistante" in greeting(replace(GARAGE, name=name))


@pytest.mark.parametrize("name", ["", "Assistant", "assistante", "  ", "{AGENT_NAME}", "IA"])
def test_a_word_that_is_no_name(name: str) -> None:
    assert ", ici l'assistante vocale par intelligence artificielle." in greeting(
        replace(GARAGE, name=name)
    )
    assert ", ici l'assistant vocal par intelligence artificielle." in greeting(
        replace(GARAGE, name=name, voice="male")
    )


def test_the_voice_decides_the_gender() -> None:
    assert "ici Sam, assistant vocal par" in greeting(replace(GARAGE, name="Sam", voice="male"))


@pytest.mark.parametrize("company", ["", "  ", "{COMPANY_NAME}", "[[entreprise]]", "<>"])
def test_without_a_company(company: str) -> None:
    assert of(company, "automobile") == f"{CLAUSE}. Que puis-je faire pour vous ?"


def test_english() -> None:
    assert of("Martin", "automobile", language="en-GB") == (
        "Martin, hello, this is Sara, the AI voice assistant. How can I help you?"
    )
    assert of("", "automobile", language="en") == (
        "Hello, this is Sara, an AI voice assistant. How can I help you?"
    )


@pytest.mark.parametrize("sector", SECTORS)
@pytest.mark.parametrize("voice", ["female", "male"])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_it_takes_about_six_seconds(sector: str, voice: str, language: str) -> None:
    assert seconds(of("Dupont", sector, voice=voice, language=language)) <= 6.5


@pytest.mark.parametrize(
    "company",
    [
        "Garage\x00 du\tPort",
        "Garage \u202edu Port",
        "Garage du\u200b Port \U0001f697",
        " Garage\n du Port ",
    ],
)
def test_what_cannot_be_spoken_is_left_out(company: str) -> None:
    assert of(company, "automobile") == greeting(GARAGE)


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        (
            greeting(GARAGE),
            "Garage du Port, bonjour, ici Sara, assistante vocale par intelligence artificielle.",
        ),
        (
            greeting(replace(GARAGE, language="en")),
            "Garage du Port, hello, this is Sara, the AI voice assistant.",
        ),
        (f"{CLAUSE}. Bienvenue chez Garage du Port !", f"{CLAUSE}."),
        ("Bonjour, je suis une IA, Garage du Port.", "Bonjour, je suis une IA,"),
        ("Bonjour et bienvenue.", "Bonjour et bienvenue."),
        ("", ""),
    ],
)
def test_how_much_of_it_discloses_the_ai(said: str, enough: str) -> None:
    assert disclosure(said) == enough


# ---------------------------------------------------------------- the tenant's own welcome


@pytest.mark.parametrize(
    "own",
    [
        "Garage du Port, je suis Sara, une intelligence artificielle. Je vous écoute.",
        "Garage du port bonjour, vous parlez à Sara, notre IA. Que puis-je faire ?",
        "Bonjour, je suis l'assistante IA du GARAGE DU PORT.",
        "Garage du Port : ici l'assistant vocal, un robot à votre écoute.",
    ],
)
def test_a_welcome_that_says_it_all_is_kept(own: str) -> None:
    assert greeting(replace(GARAGE, greeting=own)) == own


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            "Bonjour et bienvenue chez Garage du Port ! Je vous écoute.",
            f"{CLAUSE}, pour Garage du Port. Bienvenue chez Garage du Port ! Je vous écoute.",
        ),
        ("Je vous écoute.", f"{CLAUSE}, pour Garage du Port. Je vous écoute."),
        (
            "{{COMPANY_NAME}}, {assistant_name} à l'appareil.",
            f"{CLAUSE}, pour Garage du Port. Garage du Port, Sara à l'appareil.",
        ),
        (
            "Bonjour à tous, ici le Garage du Port.",
            f"{CLAUSE}, pour Garage du Port. Bonjour à tous, ici le Garage du Port.",
        ),
        (
            "Bonjour,\n je suis   une IA.",
            "Garage du Port, bonjour. Je suis une IA.",
        ),
        # What doesn't say that the speaker is one.
        (
            "Garage du Port, expert en intelligence artificielle.",
            f"{CLAUSE}, pour Garage du Port. Garage du Port, expert en intelligence artificielle.",
        ),
        (
            "Garage du Port, votre assistante vocale.",
            f"{CLAUSE}, pour Garage du Port. Garage du Port, votre assistante vocale.",
        ),
        (
            "Garage du Port, J'AI le temps.",
            f"{CLAUSE}, pour Garage du Port. Garage du Port, J'AI le temps.",
        ),
    ],
)
def test_what_a_welcome_leaves_unsaid_is_added(own: str, expected: str) -> None:
    assert greeting(replace(GARAGE, greeting=own)) == expected


def test_a_company_called_ai_names_none() -> None:
    own = "Vous parlez à IA Conseil, bonjour."
    said = of("IA Conseil", "generaliste", greeting=own)
    assert said == f"{CLAUSE}, pour IA Conseil. {own}"


@pytest.mark.parametrize(
    "own",
    [
        "",
        "   \n ",
        "Bonjour !",
        "Bonjour {first_name}, Garage du Port.",
        "Bonjour {{name}} !",
        "[[intro]] Garage du Port",
        "<speak>Garage du Port</speak>",
        "${intro}",
        "%INTRO% Garage du Port",
        "Garage du Port {",
        "Garage du Port, je ne suis pas un robot !",
        "Garage du Port, ici Sara, une vraie personne.",
        "Garage du Port, vous parlez à quelqu'un, pas à une IA.",
        "Garage du Port. " + "Merci de votre appel. " * 20,
    ],
)
def test_a_welcome_that_cannot_be_spoken_is_replaced(own: str) -> None:
    assert greeting(replace(GARAGE, greeting=own)) == greeting(GARAGE)


def test_an_english_welcome() -> None:
    profile = replace(GARAGE, language="en", greeting="Hello, how can I help?")
    assert greeting(profile) == (
        "Hello, this is Sara, the AI voice assistant, for Garage du Port. How can I help?"
    )


names = st.text(max_size=30) | st.sampled_from(["Garage {x}", "A & B", "{", "<b>", "IA", "Dr X"])


@settings(deadline=None, max_examples=400)
@given(
    names,
    names,
    st.text(max_size=MAX_GREETING + 10)
    | st.lists(
        st.sampled_from(
            ["Bonjour", ",", "{company}", "{", "robot", "pas un", "je suis", "une IA", ".", "<x>"]
        ),
        max_size=12,
    ).map(" ".join),
    st.sampled_from([*SECTORS, "?"]),
    st.sampled_from(["female", "male", ""]),
    st.sampled_from(["fr-FR", "en", "xx"]),
)
def test_whatever_the_tenant_writes(
    company: str, name: str, own: str, sector: str, voice: str, language: str
) -> None:
    said = greeting(
        AgentProfile(
            company,
            sector,
            AgentType.RECEPTION,
            name=name,
            voice=voice,
            language=language,
            greeting=own,
        )
    )
    assert not set("{}[]<>") & set(said)
    assert said == " ".join(said.split())
    assert re.search(r"intelligence artificielle|\bIA\b|\bAI\b|robot", said, re.IGNORECASE)
    assert len(said) < MAX_GREETING + 250


@settings(deadline=None)
@given(st.sampled_from(SECTORS), st.sampled_from(["fr", "en"]))
def test_the_default_says_it_in_one_sentence(sector: str, language: str) -> None:
    said = first_sentence(of("Dupont", sector, language=language))
    assert "Dupont" in said
    assert "intelligence artificielle" in said or "AI" in said


NOTICE = "Cet appel est enregistré ; dites « je refuse l'enregistrement » et il ne le sera pas."


def test_the_notice_of_a_recording_follows_the_sentence_that_names_the_ai() -> None:
    assert greeting(replace(GARAGE, recording=True)) == (
        "Garage du Port, bonjour, ici Sara, assistante vocale par intelligence artificielle. "
        f"{NOTICE} Que puis-je faire pour vous ?"
    )
    own = replace(GARAGE, recording=True, greeting="Garage du Port, je suis une IA")
    assert greeting(own) == f"Garage du Port, je suis une IA. {NOTICE}"


@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        ({"recording": {"enabled": True}}, True),
        ({"recording": {"enabled": "true"}}, False),
        ({"recording": {"enabled": 1}}, False),
        ({"recording": True}, False),
        ({"sara": {"recording": {"enabled": True}}}, False),
        ({}, False),
    ],
)
def test_recording_is_off_unless_the_tenant_says_so_plainly(
    config: dict[str, object], recorded: bool
) -> None:
    who = profile(Tenant("t", "Garage du Port", "1234"), config)
    assert who.recording is recorded
    names = function_names(who.agent_type, has_transfer=False, recording=who.recording)
    assert ("refuse_recording" in names) is recorded
    assert (NOTICE in greeting(who)) is recorded


def test_a_text_conversation_begins_in_the_tenants_words_around_the_clause() -> None:
    fixed = introduction(GARAGE)
    assert fixed == "Sara, assistante IA de Garage du Port :"
    for own, said in {
        "Bonjour, merci de nous écrire !": f"{fixed} Merci de nous écrire !",
        "Je suis Sara, l'IA de {entreprise}.": "Je suis Sara, l'IA de Garage du Port.",
        "Je ne suis pas une IA.": fixed,
        "{inconnu} vous répond.": fixed,
        "a" * (MAX_GREETING + 1): fixed,
        "": fixed,
    }.items():
        assert introduction(replace(GARAGE, text_introduction=own)) == said

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agent import (
    SECTORS,
    AgentProfile,
    AgentType,
    function_names,
    greeting,
    normalise_agent_type,
    normalise_sector,
    profile,
)
from domain.tenant import Tenant


def tenant(
    name: str = "Garage du Port", sector: str = "automobile", locale: str = "fr-FR"
) -> Tenant:
    return Tenant(id="t1", name=name, code="1234", sector=sector, locale=locale)


# -------------------------------------------------------------------------------- sectors


def test_the_fourteen_sectors() -> None:
    assert len(SECTORS) == len(set(SECTORS)) == 14
    for sector in SECTORS:
        assert normalise_sector(sector) == sector
        assert normalise_sector(sector.upper()) == sector


@pytest.mark.parametrize(
    ("text", "sector"),
    [
        (None, "generaliste"),
        ("", "generaliste"),
        ("  ", "generaliste"),
        ("Généraliste", "generaliste"),
        ("garage", "automobile"),
        ("Garages", "automobile"),
        ("Garage automobile", "automobile"),
        ("notaire", "juridique"),
        ("Avocat", "juridique"),
        ("Cabinet d'avocats", "juridique"),
        ("Cabinet d’avocats", "juridique"),
        ("restauration", "restaurant"),
        ("Restauration rapide", "restaurant"),
        ("salon de thé", "restaurant"),
        ("commerce", "ecommerce"),
        ("E-commerce", "ecommerce"),
        ("e_commerce", "ecommerce"),
        ("BTP", "artisan"),
        ("services", "artisan"),
        ("btp/services", "artisan"),
        ("Plomberie & chauffage", "artisan"),
        ("médecin", "sante"),
        ("MÉDECINS", "sante"),
        ("santé", "sante"),
        ("Cabinet médical", "sante"),
        ("Chirurgien-dentiste", "dentiste"),
        ("Cabinet dentaire", "dentiste"),
        ("Agence immobilière", "immobilier"),
        ("real_estate", "immobilier"),
        ("syndic de copropriété", "syndic"),
        ("Salon de coiffure", "beaute"),
        ("Beauté", "beaute"),
        ("Salle de sport", "fitness"),
        ("auto-école", "education"),
        ("Centre de formation", "education"),
        ("institut de formation", "education"),
        ("auto-entrepreneur", "autre"),
        ("vétérinaire", "autre"),
        ("agence de voyages", "autre"),
        ("?!", "generaliste"),
        ("x" * 100_000, "autre"),
    ],
)
def test_normalise_sector(text: str | None, sector: str) -> None:
    assert normalise_sector(text) == sector


# ---------------------------------------------------------------------------- agent types


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("reception", AgentType.RECEPTION),
        ("Receptionist", AgentType.RECEPTION),
        ("multi_purpose", AgentType.RECEPTION),
        ("real_estate_reception", AgentType.RECEPTION),
        ("phone_reception", AgentType.RECEPTION),
        ("custom", AgentType.RECEPTION),
        ("qualification", AgentType.QUALIFICATION),
        ("sales", AgentType.QUALIFICATION),
        ("real_estate_callback", AgentType.QUALIFICATION),
        ("appointment", AgentType.APPOINTMENT),
        ("appointment_booking", AgentType.APPOINTMENT),
        ("Prise de rendez-vous", AgentType.APPOINTMENT),
        ("support", AgentType.SUPPORT),
        ("customer_support", AgentType.SUPPORT),
        ("customerSupport", AgentType.SUPPORT),
        ("something else", AgentType.RECEPTION),
        ("", AgentType.RECEPTION),
        (None, AgentType.RECEPTION),
    ],
)
def test_normalise_agent_type(text: str | None, kind: AgentType) -> None:
    assert normalise_agent_type(text) is kind


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            AgentType.RECEPTION,
            "check_availability book_appointment find_appointment "
            "reschedule_appointment cancel_appointment qualify_prospect create_ticket take_message",
        ),
        (
            AgentType.QUALIFICATION,
            "check_availability book_appointment find_appointment "
            "reschedule_appointment cancel_appointment qualify_prospect take_message",
        ),
        (
            AgentType.APPOINTMENT,
            "check_availability book_appointment find_appointment "
            "reschedule_appointment cancel_appointment take_message",
        ),
        (AgentType.SUPPORT, "create_ticket take_message"),
    ],
)
def test_function_names(kind: AgentType, names: str) -> None:
    assert function_names(kind, has_transfer=False) == (*names.split(), "end_call")
    assert function_names(kind, has_transfer=True) == (*names.split(), "transfer_call", "end_call")


# -------------------------------------------------------------------------------- profile


def test_a_tenant_that_configured_nothing() -> None:
    assert profile(tenant(), {}) == AgentProfile(
        company="Garage du Port", sector="automobile", agent_type=AgentType.RECEPTION
    )


def test_the_dashboard_shape() -> None:
    config = {
        "clientPhoneNumber": "01 99 00 12 34",
        "sara": {
            "voice": "male",
            "assistantName": " N'Golo ",
            "agentType": "appointment",
            "customInstructions": "Le parking est au fond.",
            "language": "en-GB",
            "voiceId": "cedar",
            "scripts": {"appointment": "Demande le véhicule.", "support": "Autre chose."},
        },
        "welcomeMessage": "Bonjour !",
    }
    assert profile(tenant(), config) == AgentProfile(
        company="Garage du Port",
        sector="automobile",
        agent_type=AgentType.APPOINTMENT,
        name="N'Golo",
        voice="male",
        voice_id="cedar",
        language="en-GB",
        custom_instructions="Demande le véhicule.\nLe parking est au fond.",
        greeting="Bonjour !",
    )


@pytest.mark.parametrize(
    "config",
    [
        {"phone": {"agent_type": "customer_support", "voice": "homme", "assistant_name": "Léa"}},
        {"saraConfig": {"agent_type": "support", "voice": "MALE", "assistant_name": "Léa"}},
        {"agent_type": "support", "voice": "male", "assistant_name": "Léa"},
        {"sara": {"agentType": "support", "voice": "male"}, "assistantName": "Léa"},
    ],
)
def test_the_onboarding_shapes(config: dict[str, Any]) -> None:
    found = profile(tenant(), config)
    assert (found.agent_type, found.voice, found.name) == (AgentType.SUPPORT, "male", "Léa")


def test_the_most_specific_setting_wins() -> None:
    config = {"sara": {"assistantName": "Léa"}, "phone": {"assistant_name": "Sam"}}
    assert profile(tenant(), config).name == "Léa"


@pytest.mark.parametrize(
    ("language", "locale", "expected"),
    [
        ("fr-FR", "en-GB", "fr-FR"),
        ("", "en-GB", "en-GB"),
        ("french!", "fr-FR", "fr-FR"),
        ("{language}", "en-US", "en-US"),
        ("en", "fr-FR", "en"),
    ],
)
def test_language(language: str, locale: str, expected: str) -> None:
    config = {"sara": {"language": language}}
    assert profile(tenant(locale=locale), config).language == expected


@pytest.mark.parametrize("wrong", [None, 7, True, [], {}, ["Sara"], {"a": 1}, "", "   "])
def test_wrong_types_count_as_absent(wrong: object) -> None:
    keys = ("voice", "assistantName", "agentType", "customInstructions", "language", "voiceId")
    config = {"sara": dict.fromkeys(keys, wrong), "welcomeMessage": wrong, "phone": wrong}
    assert profile(tenant(), config) == profile(tenant(), {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sara", "scripts", "voice", "assistantName", "agentType", "reception"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["sara", "saraConfig", "phone", "welcomeMessage", "agentType", "scripts"])
        | st.text(max_size=5),
        json_values,
        max_size=6,
    ),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_configuration_is_too_odd(config: dict[str, Any], name: str, sector: str) -> None:
    found = profile(tenant(name=name, sector=sector), config)
    assert found.sector in SECTORS
    assert found.voice in ("female", "male")
    assert found.name
    assert greeting(found)

"""Templates: a fixed catalogue, one pass, nothing left open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.sms import measure
from domain.text_defaults import KEYS, LANGUAGES, TEXT_CHANNELS, default
from domain.text_templates import MissingValue, Template, checked, render
from domain.text_variables import VARIABLES, suggestion, variable

SAMPLES = {each.name: each.sample[0] for each in VARIABLES}


def of(body: str, channel: str = "sms", subject: str = "") -> Template:
    return Template(channel, "rdvRappel", "fr", body, subject)


@pytest.mark.parametrize("channel", TEXT_CHANNELS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_are_good_and_an_sms_is_short(channel: str, key: str, language: str) -> None:
    template = default(channel, key, language)
    assert checked(template) == template
    done = render(template, SAMPLES, language)
    assert "{" not in done.body + done.subject + done.html
    if channel == "sms":
        assert measure(done.body).encoding == "GSM-7"
        assert measure(done.body).segments <= 2


def test_the_earlier_services_names_are_known() -> None:
    text = checked(of("{{clientName}}, {{ rdv_date }} {{RDVTIME}} {{COMPANY_NAME}}")).body
    assert text == "{{client}}, {{date}} {{heure}} {{entreprise}}"
    assert suggestion("prennom") == "prenom"
    assert variable("nothing") is None


@pytest.mark.parametrize(
    "body",
    ["Bonjour {{prenon}}", "Bonjour {prenom}", "Bonjour [[prenom]]", "%prenom%", "}} bon", "{{}}",
     "${prenom}", "{{tenant.key}}", "  "],
)  # fmt: skip
def test_what_nobody_would_fill_in_cant_be_saved(body: str) -> None:
    with pytest.raises(Invalid):
        checked(of(body))


def test_a_missing_value_blocks_and_a_default_helps() -> None:
    with pytest.raises(MissingValue) as error:
        render(of("Bonjour {{prenom}} le {{date}}"), {"date": "demain"}, "fr")
    assert error.value.names == ("prenom",)
    assert render(of("Bonjour {{prenom|à vous}}"), {}, "fr").body == "Bonjour à vous"
    lines = of("Bonjour\nAdresse : {{adresse|}}\nÀ bientôt")
    assert render(lines, {}, "fr").body == "Bonjour\nÀ bientôt"
    assert "Lilas" in render(lines, {"adresse": "12 rue des Lilas"}, "fr").body


@given(st.text(max_size=60))
def test_values_are_data(value: str) -> None:
    inner = render(of("<{{client|x}}>"), {"client": "{{entreprise}}"}, "fr").body
    assert inner == "<{{entreprise}}>"
    done = render(of("{{client|x}}", "email", "{{client|x}}"), {"client": value}, "fr")
    assert "\n" not in done.subject
    assert "\r" not in done.subject
    assert not {"<script", "<img"} & {done.html.lower()[:7]}


def test_media_have_their_own_dangers() -> None:
    evil = {"client": "<b>*Léa*</b>\r\nBcc: x@y.fr", "lien": "javascript:alert(1)"}
    mail = render(of("{{client}}", "email", "{{client}}"), evil, "fr")
    assert mail.subject == "<b>*Léa*</b> Bcc: x@y.fr"
    assert mail.html == "<p>&lt;b&gt;*Léa*&lt;/b&gt; Bcc: x@y.fr</p>"
    assert render(of("{{client}}", "whatsapp"), evil, "fr").body == "<b>Léa</b> Bcc: x@y.fr"
    with pytest.raises(MissingValue):
        render(of("{{lien}}"), evil, "fr")


def test_days_and_hours_as_people_write_them() -> None:
    values = {"date": "2026-12-01", "heure": "09:00"}
    assert render(of("{{date}} {{heure}}"), values, "fr").body == "mardi 1er décembre 9h"
    assert render(of("{{date}} {{heure}}"), values, "en").body == "Tuesday 1 December 9:00 am"
    with pytest.raises(MissingValue):
        render(of("{{date}}"), {"date": "2026-02-30"}, "fr")

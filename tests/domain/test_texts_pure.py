"""The rules of texts: how they move, what an SMS costs, whom one may write to, what ends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.delivery import ENDS, RANKS, STATUSES, earlier, moves
from domain.errors import Invalid
from domain.opt_out import order_in
from domain.sms import economical, measure, plain, read_prices
from domain.text_address import checked, read, refusal
from domain.text_reasons import reason

# ------------------------------------------------------------------------------ delivery


@given(st.lists(st.sampled_from(sorted(STATUSES - {"queued"})), max_size=12))
def test_texts_only_go_forward_and_ends_are_final(reports: list[str]) -> None:
    status = "queued"
    for report in reports:
        before = status
        if moves(status, report):
            status = report
        if before in ENDS:
            assert status == before
        elif status != before and status not in ENDS:
            assert RANKS[status] > RANKS[before]


def test_what_has_arrived_didnt_fail_and_only_certainty_goes_back() -> None:
    assert not moves("delivered", "failed")
    assert moves("unknown", "failed")
    assert moves("unknown", "delivered")
    assert earlier("queued") == ("sending",)
    assert not moves("unknown", "queued")
    assert not moves("unknown", "sending")
    for end in ("expired", "suppressed", "cancelled"):
        assert not moves("sending", end)


# ----------------------------------------------------------------------------------- sms


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("é" * 160, "GSM-7", 160, 1),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        # A character of two units isn't split: 152 + 2 don't fit into 153.
        ("a" * 152 + "€" * 77, "GSM-7", 306, 3),
        ("ê" * 70, "UCS-2", 70, 1),
        ("ê" * 71, "UCS-2", 71, 2),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("ç", "UCS-2", 1, 1),
        ("Ç", "GSM-7", 1, 1),
    ],
)
def test_segments(text: str, encoding: str, units: int, segments: int) -> None:
    found = measure(text)
    assert (found.encoding, found.units, found.segments) == (encoding, units, segments)


def test_cheaper_letters_where_they_save_something() -> None:
    assert plain("Être là, ça : « œuf » … à 14 h’") == 'Etre là, ca : " oeuf " ... à 14 h\''
    assert economical("ça") == "ça", "it is one segment anyway"
    long = "ça va " * 20
    assert measure(economical(long)).encoding == "GSM-7"
    assert economical(long, keep_letters=True) == long
    assert plain("日本 😀") == "日本 😀"


@given(st.text(max_size=400))
def test_measuring_never_fails_and_plain_costs_no_more_letters(text: str) -> None:
    found = measure(text)
    assert found.segments >= 1
    assert found.left >= 0
    assert plain(plain(text)) == plain(text)


def test_prices() -> None:
    prices = read_prices("EUR FR=0.0725, BE=0.09 *=0.5")
    assert prices.estimate("+33639980001", 2) == 145_000
    assert prices.estimate("+41791234567", 1) == 500_000
    assert read_prices("").estimate("+33639980001", 1) is None
    for wrong in ("EUR FR", "FR=x", "EURO FR=1", "EUR FRA=1", "EUR FR=-1", "EUR FR=nan"):
        with pytest.raises(ValueError, match=r"."):
            read_prices(wrong)


# ------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("channel", "raw", "address"),
    [
        ("sms", "06 39 98 00 01", "+33639980001"),
        ("sms", "0033639980001", "+33639980001"),
        ("sms", "FR.1349", None),
        ("whatsapp", "FR.1349000001", "FR.1349000001"),
        ("sms", "+33639980001, +33639980002", None),
        ("email", " Lea@Example.FR ", "Lea@example.fr"),
        ("email", "a@b.fr, c@d.fr", None),
        ("email", "a@b.fr\nBcc: c@d.fr", None),
        ("email", "Léa <a@b.fr>", None),
        ("email", "a@b", None),
        ("email", "a..b@c.fr", None),
        ("email", "a@" + "b" * 300 + ".fr", None),
    ],
)
def test_addresses(channel: str, raw: str, address: str | None) -> None:
    assert read(channel, raw) == address
    if address is None:
        with pytest.raises(Invalid):
            checked(channel, raw)


@given(st.text(max_size=80))
def test_an_email_address_is_one_line_and_one_address(raw: str) -> None:
    found = read("email", f"{raw}@example.fr")
    assert found is None or (found.count("@") == 1 and not set(found) & set(" ,;\r\n<>"))


@pytest.mark.parametrize(
    ("channel", "to", "code"),
    [
        ("sms", "+33639980001", None),
        ("sms", "+33899123456", "number_premium"),
        ("sms", "+33142345678", "number_landline"),
        ("whatsapp", "+33142345678", None),
        ("sms", "+41791234567", "country_not_allowed"),
        ("sms", "+8835100012345", "country_not_allowed"),
        ("email", "a@b.fr", None),
        ("whatsapp", "FR.1349", None),
    ],
)
def test_where_nothing_goes(channel: str, to: str, code: str | None) -> None:
    assert refusal(channel, to, {"FR"}) == code


# -------------------------------------------------------------------------------- orders


@pytest.mark.parametrize(
    ("message", "order"),
    [
        ("STOP", "stop"),
        (" Arrêt ! ", "stop"),
        ("arrêtez", "stop"),
        ("Désabonnement.", "stop"),
        ("Ne plus recevoir", "stop"),
        ("unsubscribe", "stop"),
        ("stop pub", "stop_marketing"),
        ("START", "start"),
        ("aide", "help"),
        ("Je voudrais arrêter à 15 h", None),
        ("Stop, je préfère jeudi", None),
        ("annuler", None),
        ("cancel", None),
        ("oui", None),
        ("", None),
        ("stop " * 50, None),
    ],
)
def test_whole_messages_end_texts(message: str, order: str | None) -> None:
    assert order_in(message) == order


# -------------------------------------------------------------------------------- reasons


def test_reasons_are_sentences_in_the_tenants_language() -> None:
    assert reason("30003", "fr-FR") == "Le téléphone est éteint ou hors réseau."
    assert reason("535 5.7.8", "fr-FR").startswith("Le serveur d'e-mail refuse")
    assert reason("131047", "en-GB").startswith("Over 24 hours")
    assert reason("99999", "fr") == "Le message n'est pas arrivé (code 99999)."
    assert reason("<script>", "en") == "The message did not arrive (code script)."
    assert reason(None, "fr") == "Le message n'est pas arrivé."

from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sandbox.twilio_signature import sign_form, sign_url

TOKEN = "f6b0c3b1d2a94f1c"
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.dictionaries(st.text(min_size=1, max_size=12), texts, max_size=8))
def test_a_form_is_signed_as_twilios_library_expects(form: dict[str, str]) -> None:
    url = "https://api.example.fr/webhooks/twilio/voice?a=1"
    assert RequestValidator(TOKEN).validate(url, form, sign_form(url, form.items(), TOKEN))


@given(st.lists(texts, min_size=2, max_size=4))
def test_repeated_names_are_sorted_and_equal_values_collapse(values: list[str]) -> None:
    class Form(dict[str, str]):
        def getlist(self, name: str) -> list[str]:
            return values

    url = "https://api.example.fr/voice"
    signature = sign_form(url, [("Number", each) for each in values], TOKEN)
    assert RequestValidator(TOKEN).validate(url, Form(Number=""), signature)


def test_blank_values_are_part_of_what_is_signed() -> None:
    url = "https://api.example.fr/voice"
    assert sign_form(url, [("FromCity", ""), ("To", "+331")], TOKEN) != sign_form(
        url, [("To", "+331")], TOKEN
    )


def test_a_stream_is_signed_over_its_very_address() -> None:
    for url in ("wss://api.example.fr/media-stream", "ws://127.0.0.1:8000/media-stream"):
        signature = sign_url(url, TOKEN)
        assert RequestValidator(TOKEN).validate(url, {}, signature)
        assert not RequestValidator(TOKEN).validate(url + "/", {}, signature)
        assert not RequestValidator("another").validate(url, {}, signature)

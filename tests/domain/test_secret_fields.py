"""What is secret in what a page sends is found, whatever it is called and wherever it hides."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import secret_fields
from domain.errors import Invalid
from domain.secret_fields import MASK, changed, is_secret_name, joined, keeps, masked, named, split


@pytest.mark.parametrize(
    "name",
    """password smtpPassword smtp_password SMTP_PASSWORD Password passwd pwd pass passphrase secret
    appSecret app_secret client-secret apiKey api_key API_KEY APIKey apikey openaiApiKey
    accessToken access_token accesstoken verifyToken authToken bearerToken token refresh_token
    secretAccessKey private_key accessKey authorization credentials password2 motDePasse
    mot_de_passe motdepasse cléAPI clé_api jeton twilioAuthToken 360ApiKey""".split(),
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    """host port user fromEmail fromName clientPhoneNumber phoneNumberId language voice maxTokens
    tokenLimit tokens passing compass keyboard key keys secretariat secretary assistantName
    customInstructions passwordHint passwordless templates bypass 1234 é _ -""".split(),
)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)
    assert not is_secret_name("")


def test_secrets_are_taken_out_at_any_depth() -> None:
    config = {
        "smtp": {"host": "h", "port": 587, "user": "apikey", "password": "p1", "auth_token": "p2"},
        "access_token": "p3",
        "vendors": [{"name": "a", "apiKey": "p4"}, {"name": "b"}],
        "credentials": {"user": "p5", "deep": {"list": ["p6"]}},
        "pin": {"password": 123456},
        "showPassword": True,
        "zzz": None,
    }
    before = json.dumps(config)
    public, secrets = split(config)
    assert public == {
        "smtp": {"host": "h", "port": 587, "user": "apikey"},
        "vendors": [{"name": "a"}, {"name": "b"}],
        "pin": {},
        "showPassword": True,
        "zzz": None,
    }
    assert secrets == {
        "smtp.password": "p1",
        "smtp.authToken": "p2",
        "accessToken": "p3",
        "vendors.0.apiKey": "p4",
        "credentials.user": "p5",
        "credentials.deep.list": ["p6"],
        "pin.password": 123456,
    }
    assert json.dumps(config) == before


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefghijklmnop0123",
        " sk-0123456789abcdef0123",
        "pcsk_0123456789abcdef",
        "EAA" + "G0aZ" * 15,
        "-----BEGIN PRIVATE KEY-----\nMIIE",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_vendors_key_is_secret_whatever_it_is_called(key: str) -> None:
    public, secrets = split({"openaiKey": key, "sara": {"note": key, "name": "Sara"}})
    assert public == {"sara": {"name": "Sara"}}
    assert secrets == {"openaiKey": key, "sara.note": key}


@pytest.mark.parametrize("text", ["sk-i", "ski-alpin-pour-debutants", "EAA", "un sk-ateboard"])
def test_other_texts_are_none(text: str) -> None:
    assert split({"name": text}).public == {"name": text}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["host", "smtp", "user", "a b", "x.y", "é"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8).filter(lambda k: not is_secret_name(k)), values))
def test_what_holds_no_secret_is_left_as_it_is(config: dict[str, object]) -> None:
    assert split(config) == (config, {})


@given(values, st.lists(st.sampled_from(["smtp", "deep", "a"]), max_size=3))
def test_a_secret_is_found_and_nothing_is_left_of_it(other: object, path: list[str]) -> None:
    config: object = {"password": "Zw7-unmistakable", "other": other}
    for key in reversed(path):
        config = {key: config}
    assert isinstance(config, dict)
    public, secrets = split(config)
    assert secrets == {".".join([*path, "password"]): "Zw7-unmistakable"}
    assert "unmistakable" not in json.dumps(public)


def test_what_a_page_calls_secret_is_named_alike() -> None:
    sent = {"access_token": "a", "phoneNumberId": "1", "smtp": {"password": "p"}, "gone": None}
    assert named(sent) == {
        "accessToken": "a",
        "phoneNumberId": "1",
        "smtp.password": "p",
        "gone": None,
    }


def test_the_same_secret_twice() -> None:
    assert split({"accessToken": "", "access_token": "x"}).secrets == {"accessToken": "x"}
    assert split({"accessToken": "x", "access_token": "••••"}).secrets == {"accessToken": "x"}
    assert joined({"apiKey": "x"}, {"apiKey": "x", "b": ""}) == {"apiKey": "x", "b": ""}
    for differing in ({"accessToken": "x", "access_token": "y"}, {"apiKey": "x", "api_key": None}):
        with pytest.raises(Invalid, match="twice"):
            split(differing)
    with pytest.raises(Invalid, match="twice"):
        joined({"apiKey": "x"}, {"apiKey": "y"})
    with pytest.raises(Invalid, match="at most"):
        named({"k" * 201: "x"})


@given(st.text(max_size=60) | st.integers() | st.lists(st.text()))
def test_what_is_shown_of_a_secret_keeps_it(secret: object) -> None:
    shown = masked(secret)
    assert keeps(shown)
    assert changed({"a": secret}, {"a": shown}) == {"a": secret}
    if isinstance(secret, str):
        assert len(shown) - len(MASK) == (4 if len(secret) >= secret_fields.LONG else 0)


@pytest.mark.parametrize("sent", ["", "   ", "••••", "••••••••1234", "********", "●●●●●", True, {}])
def test_what_keeps(sent: object) -> None:
    assert changed({"a": "x"}, {"a": sent}) == {"a": "x"}
    assert changed({}, {"a": sent}) == {}


@pytest.mark.parametrize("sent", ["x", "**", "a••••", "*a*", "0", 0, 12, ["x"]])
def test_what_replaces(sent: object) -> None:
    assert changed({"a": "y"}, {"a": sent, "b": None}) == {"a": sent}


def test_what_is_absent_keeps_and_null_removes() -> None:
    assert changed({"a": "x", "b": "y"}, {"b": None}) == {"a": "x"}

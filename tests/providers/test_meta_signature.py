"""Whose webhook it is: over the raw bytes, and closed when nothing is configured."""

import hashlib
import hmac

import pytest

from messaging.doors import Proof
from providers.meta_signature import WhatsAppProof

BODY = '{"entry":[],"texte":"d\\u00e9j\\u00e0 é"}'.encode()


def mac(key: str, body: bytes = BODY) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("header", "secrets", "genuine"),
    [
        (f"sha256={mac('app')}", ["app"], True),
        (f"sha256={mac('app').upper()}", ["app"], True),
        (f"sha256={mac('app')}", ["new", "app"], True),
        (f"sha256={mac('other')}", ["app"], False),
        (f"sha256={mac('app', BODY + b' ')}", ["app"], False),
        (mac("app"), ["app"], False),
        (f"sha256={mac('')}", [""], False),
        (f"sha256={mac('app')}", [], False),
        ("sha256=é", ["app"], False),
        ("", ["app"], False),
        (None, ["app"], False),
    ],
)
def test_metas(header: str | None, secrets: list[str], genuine: bool) -> None:
    proof: Proof = WhatsAppProof()
    headers = {} if header is None else {"x-hub-signature-256": header}
    assert proof.metas(BODY, headers, secrets) is genuine


@pytest.mark.parametrize(
    ("secret", "signature", "expected", "genuine"),
    [
        ("s3cret", None, "s3cret", True),
        ("s3cret", mac("platform"), "s3cret", True),
        ("s3cret", f"sha256={mac('platform')}", "s3cret", True),
        ("s3cret", mac("other"), "s3cret", False),
        ("wrong", mac("platform"), "s3cret", False),
        (None, mac("platform"), "s3cret", False),
        ("", None, "", False),
        ("é", None, "s3cret", False),
    ],
)
def test_dialog360s(
    secret: str | None, signature: str | None, expected: str, genuine: bool
) -> None:
    given = {"x-webhook-secret": secret, "x-360dialog-signature": signature}
    headers = {name: value for name, value in given.items() if value is not None}
    assert WhatsAppProof("platform").dialog360s(BODY, headers, expected) is genuine


@pytest.mark.parametrize(
    ("mode", "token", "tokens", "answer"),
    [
        ("subscribe", "ours", ["ours"], "1158201444"),
        ("subscribe", "theirs", ["ours"], None),
        ("unsubscribe", "ours", ["ours"], None),
        ("subscribe", "", [""], None),
        ("subscribe", "ours", [], None),
    ],
)
def test_the_question(mode: str, token: str, tokens: list[str], answer: str | None) -> None:
    query = {"hub.mode": mode, "hub.verify_token": token, "hub.challenge": "1158201444"}
    assert WhatsAppProof().challenge(query, tokens) == answer

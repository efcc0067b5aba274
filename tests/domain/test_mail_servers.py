"""Tenants' mail servers, as their pages send them."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.mail_servers import PORTS, PRESETS, mail_server

GMAIL = {
    "host": "smtp.gmail.com",
    "port": 587,
    "secure": True,
    "user": "salon@gmail.com",
    "fromEmail": "salon@gmail.com",
    "fromName": "Salon",
}


def test_as_the_page_sends_it() -> None:
    server = mail_server({"smtp": GMAIL})
    assert server is not None
    assert (server.host, server.port, server.user, server.sender_name) == (
        "smtp.gmail.com",
        587,
        "salon@gmail.com",
        "Salon",
    )
    assert mail_server({"smtp": GMAIL | {"port": " 465 "}}) is not None


def test_sendgrids_user_is_apikey_whatever_the_page_insists_on() -> None:
    server = mail_server({"smtp": GMAIL | {"host": "smtp.sendgrid.net"}})
    assert server is not None
    assert (server.user, server.sender) == ("apikey", "salon@gmail.com")


def test_a_preset_knows_host_and_port() -> None:
    server = mail_server({"smtp": {"preset": "ovh", "user": "a@b.fr", "fromEmail": "a@b.fr"}})
    assert server is not None
    assert (server.host, server.port, server.sender) == ("ssl0.ovh.net", 465, "a@b.fr")
    assert all(preset.port in PORTS for preset in PRESETS.values())


@pytest.mark.parametrize("config", [{}, {"smtp": None}, {"smtp": {}}, {"smtp": {"host": "x"}}])
def test_what_is_not_yet_a_server(config: dict[str, Any]) -> None:
    assert mail_server(config) is None


@pytest.mark.parametrize("port", ["x", True, -1, "²", 10**9, None])
def test_what_is_no_port(port: Any) -> None:
    with pytest.raises(Invalid):
        mail_server({"smtp": GMAIL | {"port": port}})

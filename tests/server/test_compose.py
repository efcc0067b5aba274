"""compose.yaml and its balancer against what they are about: there is no Docker in the tests."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import Route

from server.health import health_routes
from server.metrics import Metrics
from server.settings import Settings
from storage.schema import metadata
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CADDYFILE = re.sub(r"(?m)^\s*#.*$", "", (ROOT / "deploy" / "Caddyfile").read_text())

#: `${NAME:?why}`: the start stops and says why when it isn't given.
_PLACE = re.compile(r"\$\{(\w+)(:\?[^}]+)?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content


@pytest.fixture
def nodes(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that are built from our Dockerfile."""
    return {name: each for name, each in compose["services"].items() if each.get("build") == "."}


def seconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(ms|s|m|h)", text)
    assert match is not None, text
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def filled(text: str) -> str:
    return _PLACE.sub(lambda place: "a" * 24, text)


def directive(name: str) -> list[str]:
    (line,) = re.findall(rf"(?m)^\s*{name} (.+)$", CADDYFILE)
    return str(line).split()


def test_two_nodes_that_are_alike(nodes: dict[str, dict[str, Any]]) -> None:
    assert len(nodes) == 2
    first, second = nodes.values()
    assert first == second
    assert first["env_file"] == ".env"


def test_the_nodes_settings_are_settings(nodes: dict[str, dict[str, Any]]) -> None:
    for node in nodes.values():
        variables = {name: filled(str(value)) for name, value in node["environment"].items()}
        fields = {name.lower(): value for name, value in variables.items()}
        assert fields.keys() <= Settings.model_fields.keys()
        settings = Settings.of(**fields)
        assert settings.host == "0.0.0.0"  # noqa: S104 - in a container
        assert settings.public_url == "https://" + "a" * 24
        assert settings.stream_url == "wss://" + "a" * 24 + "/media-stream"
        assert settings.database_name.startswith("postgresql://")


def test_the_nodes_database_is_the_one_that_is_started(
    compose: dict[str, Any], nodes: dict[str, dict[str, Any]]
) -> None:
    postgres = compose["services"]["postgres"]["environment"]
    for node in nodes.values():
        assert node["environment"]["DATABASE_URL"] == (
            f"postgresql://{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
            f"@postgres/{postgres['POSTGRES_DB']}"
        )
        assert node["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert metadata.tables  # what it is made for


def test_postgresql_is_what_the_tests_run_on(
    compose: dict[str, Any], postgres_server: PostgresServer
) -> None:
    postgres = compose["services"]["postgres"]
    (major,) = re.findall(r"^postgres:(\d+)$", postgres["image"])
    assert postgres_server.programs.parent.name == f"pginstall{major}"
    # Since 18 the image keeps its data in a directory per version, below this one.
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql"]
    command, *arguments = postgres["healthcheck"]["test"][1:]
    assert (postgres_server.programs / command).is_file()
    environment = postgres["environment"]
    assert arguments[arguments.index("-U") + 1] == environment["POSTGRES_USER"]
    assert arguments[arguments.index("-d") + 1] == environment["POSTGRES_DB"]
    # During its first start the image runs a server that only a socket reaches.
    assert arguments[arguments.index("-h") + 1] == "127.0.0.1"


def test_stopping_gives_everybody_their_time(
    compose: dict[str, Any], nodes: dict[str, dict[str, Any]]
) -> None:
    for node in nodes.values():
        settings = Settings.of()
        needed = settings.drain_seconds + settings.shutdown_seconds + 10
        assert seconds(node["stop_grace_period"]) >= needed
        assert settings.drain_seconds >= settings.max_call_seconds
    for service in compose["services"].values():
        assert service["restart"] == "unless-stopped"
        assert "stop_grace_period" in service


def test_what_must_be_given_is_asked_for_and_documented() -> None:
    text = (ROOT / "compose.yaml").read_text()
    page = (ROOT / "docs" / "deploy.md").read_text()
    section = page.split("## Two nodes and PostgreSQL")[1].split("\n## ")[0]
    given = set(re.findall(r"(?m)^([A-Z_]+)=", section))
    places = _PLACE.findall(text)
    assert {name for name, _ in places} == {"DOMAIN", "POSTGRES_PASSWORD"}
    assert all(why for _, why in places), "an empty one stops the start"
    assert {name for name, _ in places} <= given
    ours = {name.lower() for name in given} - {"domain", "postgres_password"}
    assert ours <= Settings.model_fields.keys()
    # No value of a secret stands in the file itself.
    assert not re.search(r"(?i)(token|key|password|secret)\w*: +[^$ ]", text)
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert ".*" in (ROOT / ".dockerignore").read_text().split()


def test_the_image_is_what_the_services_expect(nodes: dict[str, dict[str, Any]]) -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    (user,) = re.findall(r"(?m)^USER (\w+)$", final)
    assert user == "coccinelle"
    (port,) = re.findall(r"(?m)^EXPOSE (\d+)$", final)
    for node in nodes.values():
        assert str(node["environment"]["PORT"]) == port
        assert "healthcheck" not in node  # the image's own
    assert "/readyz" in final
    for copied in re.findall(r"(?m)^COPY ([\w./]+) ", DOCKERFILE):
        assert (ROOT / copied).exists()


def test_the_balancer_reaches_the_nodes_and_asks_for_their_health(
    compose: dict[str, Any], nodes: dict[str, dict[str, Any]]
) -> None:
    *upstreams, brace = directive("reverse_proxy")
    assert brace == "{"
    assert set(upstreams) == {f"{n}:{each['environment']['PORT']}" for n, each in nodes.items()}

    async def ping() -> None: ...

    routes: list[Route] = health_routes(
        ping=ping, draining=lambda: False, metrics=Metrics(), metrics_token=None
    )
    paths = {route.path for route in routes}
    assert directive("health_uri")[0] in paths
    assert directive("@metrics") == ["path", "/metrics"]
    assert "/metrics" in paths
    assert directive("lb_policy") == ["least_conn"]
    # Twilio gives up after 15 s (twilio.md): before that, another node must have been asked.
    patience = seconds(directive("lb_try_duration")[0]) + seconds(directive("dial_timeout")[0])
    assert patience < 15
    balancer = compose["services"]["balancer"]
    mounted = dict(each.split(":")[:2] for each in balancer["volumes"])
    assert mounted["./deploy/Caddyfile"] == "/etc/caddy/Caddyfile"
    assert set(balancer["depends_on"]) == set(nodes)
    assert "{$DOMAIN} {" in CADDYFILE
    assert "DOMAIN" in balancer["environment"]
    assert CADDYFILE.count("{") == CADDYFILE.count("}")


def test_volumes_and_services_that_are_named_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mounted in service.get("volumes", ()):
            source = mounted.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).is_file(), source
        assert set(service.get("depends_on", ())) <= set(compose["services"])

"""Sessions of people: what opens, what never does, renewing and signing out."""

import base64
import hmac
import json
from typing import Any

import httpx
import jwt
import pytest

from dashboard.api.tokens import LEEWAY, LONGEST_CHAIN, REFRESH_WITHIN, TokenRules, Tokens
from domain.errors import ProviderError, Unauthorised
from domain.tenant import Tenant
from storage import Storage
from tests.dashboard.api_client import JWT_SECRET, Client, assert_problem, session, token
from tests.fakes.clock import START, FakeClock

ME = "/api/v1/auth/me"
REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"
NOW = int(START.timestamp())


def unsigned(tenant_id: str, algorithm: str) -> str:
    """A token whose header says that no signature is needed."""
    payload = {"user_id": "u", "tenant_id": tenant_id, "role": "owner", "exp": NOW + 3600}
    parts = ({"alg": algorithm, "typ": "JWT"}, payload)
    text = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*text, ""])


async def test_who_signed_in_is_told_in_the_pages_shape(
    http: httpx.AsyncClient, garage: Tenant
) -> None:
    me = await session(http, garage.id, "manager", name="Paul").get(ME)
    assert me["user"]["id"] == "u-1"
    assert me["user"]["role"] == "manager"
    assert me["user"]["email"] == "paul@example.org"
    assert "keys" not in me["user"]["permissions"]
    assert me["tenant"]["name"] == garage.name
    assert me["tenant"]["agent_name"] == "Sara"
    assert me["session"]["expires_at"].startswith("20")


async def test_a_key_is_nobodys_session(owner: Client) -> None:
    assert_problem(await owner.send("GET", ME), 403)
    assert_problem(await owner.send("POST", REFRESH), 401)


@pytest.mark.parametrize(
    "claims",
    [
        {"tenant_id": None},
        {"tenant_id": ""},
        {"tenant_id": "nobody"},
        {"tenant_id": ["a"]},
        {"user_id": None},
        {"user_id": True},
        {"user_id": "x" * 201},
        {"role": None},
        {"role": {"$ne": ""}},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": float("inf")},
        {"exp": -1e18},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"aud": "another service"},
    ],
)
async def test_what_a_token_lacks_opens_nothing(
    http: httpx.AsyncClient, garage: Tenant, claims: dict[str, Any]
) -> None:
    answer = await session(http, garage.id, **claims).send("GET", ME)
    assert_problem(answer, 401)


async def test_another_signature_opens_nothing(http: httpx.AsyncClient, garage: Tenant) -> None:
    good = token(garage.id)
    head, payload, signature = good.split(".")
    for wrong in (
        token(garage.id, secret=JWT_SECRET[:-1] + "x"),
        token(garage.id, algorithm="HS512", secret=JWT_SECRET * 2),
        unsigned(garage.id, "none"),
        unsigned(garage.id, "None"),
        unsigned(garage.id, "HS256"),
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{head}.{payload}",
        f"{good}.{signature}",
        good + "x" * 5000,
        "..",
    ):
        answer = await http.get(ME, headers={"authorization": f"Bearer {wrong}"})
        assert_problem(answer, 401)
    assert (await http.get(ME, headers={"authorization": f"Bearer {good}"})).status_code == 200


async def test_an_unknown_role_may_do_nothing(http: httpx.AsyncClient, garage: Tenant) -> None:
    for role in ("superadmin", "OWNER", "operator"):
        problem = assert_problem(await session(http, garage.id, role).send("GET", ME), 403)
        assert problem["code"] == "not_allowed"


async def test_whoever_claims_another_tenant_gets_their_own(
    http: httpx.AsyncClient, garage: Tenant, dentist: Tenant
) -> None:
    somebody = session(http, garage.id)
    headers = dict.fromkeys(("x-tenant-id", "x-voixia-tenant"), dentist.id)
    me = await somebody.get(ME, headers=headers, params={"tenantId": dentist.id})
    assert me["tenant"]["id"] == garage.id


async def test_a_session_ends(http: httpx.AsyncClient, garage: Tenant, clock: FakeClock) -> None:
    somebody = session(http, garage.id)
    await somebody.get(ME)
    clock.advance(3600 + LEEWAY.total_seconds() - 1)
    await somebody.get(ME)
    clock.advance(6)
    problem = assert_problem(await somebody.send("GET", ME), 401)
    assert problem["code"] == "session_expired"
    assert problem["error"] == "Session expirée, veuillez vous reconnecter."


async def test_it_can_be_renewed_for_seven_days_more(
    http: httpx.AsyncClient, garage: Tenant, clock: FakeClock
) -> None:
    somebody = session(http, garage.id, "agent")
    clock.advance(3600 + REFRESH_WITHIN.total_seconds())
    answer = (await somebody.send("POST", REFRESH)).json()
    renewed = Client(http, {"authorization": f"Bearer {answer['token']}"})
    me = await renewed.get(ME)
    assert (me["user"]["role"], me["user"]["id"]) == ("agent", "u-1")
    assert me["session"]["expires_at"] == answer["expires_at"]
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600  # as long as the one before
    clock.advance(LEEWAY.total_seconds() + 1)
    assert_problem(await somebody.send("POST", REFRESH), 401)


async def test_it_cant_be_renewed_for_ever(
    http: httpx.AsyncClient, garage: Tenant, clock: FakeClock
) -> None:
    week = 6 * 86400
    bearer = token(garage.id, exp=NOW + week)
    for _ in range(LONGEST_CHAIN.days // 6):
        clock.advance(week)
        headers = {"authorization": f"Bearer {bearer}"}
        bearer = (await http.post(REFRESH, headers=headers)).json()["token"]
    clock.advance(week)
    headers = {"authorization": f"Bearer {bearer}"}
    assert_problem(await http.post(REFRESH, headers=headers), 401)


async def test_signing_out_ends_the_session_and_what_it_was_renewed_to(
    http: httpx.AsyncClient, garage: Tenant, clock: FakeClock
) -> None:
    first = session(http, garage.id)
    renewed = (await first.send("POST", REFRESH)).json()["token"]
    second = Client(http, {"authorization": f"Bearer {renewed}"})
    another = session(http, garage.id, user_id="u-2")
    await second.get(ME)
    assert (await second.send("POST", LOGOUT)).status_code == 200
    assert_problem(await second.send("GET", ME), 401)  # here at once
    clock.advance(5)  # on other nodes within seconds
    for each in (first, second):
        assert_problem(await each.send("GET", ME), 401)
        assert_problem(await each.send("POST", REFRESH), 401)
    await another.get(ME)


async def test_signing_out_ends_every_spelling_of_a_token(
    http: httpx.AsyncClient, garage: Tenant
) -> None:
    given = session(http, garage.id)
    # Base64's padding, which RFC 7515 leaves out and libraries take.
    again = Client(http, {"authorization": given.headers["authorization"] + "="})
    await again.get(ME)
    assert (await given.send("POST", LOGOUT)).status_code == 200
    fresh = Client(http, {"authorization": given.headers["authorization"] + "=="})
    assert_problem(await fresh.send("GET", ME), 401)


async def test_signing_out_ends_nobody_elses_session(
    http: httpx.AsyncClient, garage: Tenant, dentist: Tenant
) -> None:
    mine = session(http, garage.id, jti="1")
    others = [session(http, dentist.id, jti="1"), session(http, garage.id, jti="1", user_id="u-2")]
    assert (await mine.send("POST", LOGOUT)).status_code == 200
    assert_problem(await mine.send("GET", ME), 401)
    for each in others:
        await each.get(ME)


async def test_a_suspended_tenants_people_are_told(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    await storage.operator.set_tenant_status(garage.id, "suspended")
    problem = assert_problem(await session(http, garage.id).send("GET", ME), 403)
    assert problem["code"] == "tenant_suspended"


# ------------------------------------------------------------------------------ public keys


class Published:
    """A key set; each `kid` that is asked for is counted."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys
        self.asked: list[str | None] = []
        self.down = False

    async def key(self, key_id: str | None) -> dict[str, Any] | None:
        self.asked.append(key_id)
        if self.down:
            raise ProviderError("jwks", "no key set to go by", retryable=True)
        return self.keys.get(key_id or "")


def pair(algorithm: str) -> tuple[Any, dict[str, Any]]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if algorithm == "RS256":
        rsa_key = rsa.generate_private_key(65537, 2048)
        return rsa_key, json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
    ec_key = ec.generate_private_key(ec.SECP256R1())
    return ec_key, json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key.public_key()))


def confused(good: str, public: dict[str, Any]) -> str:
    """The claims of a good token, signed with what everybody knows as if it were a secret."""
    _, payload, _ = good.split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').decode()
    said = f"{header.rstrip('=')}.{payload}"
    signature = hmac.digest(json.dumps(public).encode(), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_public_keys_read_what_the_private_one_signed(
    clock: FakeClock, algorithm: str
) -> None:
    private, public = pair(algorithm)
    published = Published(one=public)
    tokens = Tokens(TokenRules(algorithm, issuer="https://l.test"), clock, published)  # type: ignore[arg-type]

    def signed(**more: Any) -> str:
        given = {"secret": private, "algorithm": algorithm, "iss": "https://l.test", **more}
        return token("t", headers={"kid": "one"}, **given)

    assert (await tokens.read(signed())).tenant_id == "t"
    assert not tokens.renews
    asked = len(published.asked)
    for wrong in (
        signed(iss="https://somebody.test"),
        signed(iss=None),
        # The public key, which everybody knows, taken for a secret.
        confused(signed(), public),
        unsigned("t", "none"),
    ):
        with pytest.raises(Unauthorised):
            await tokens.read(wrong)
    assert len(published.asked) == asked + 2  # another algorithm asks nobody for a key
    published.down = True
    with pytest.raises(ProviderError):
        await tokens.read(signed())


async def test_a_service_that_signs_itself_renews_itself(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    from starlette.applications import Starlette

    from dashboard.api import routes
    from tests.dashboard.api_client import SETTINGS

    private, public = pair("ES256")
    published = Published(one=public)
    tokens = Tokens(TokenRules("ES256"), clock, published)
    app = Starlette(routes=routes(storage, SETTINGS, clock, tokens=tokens))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        more = {"secret": private, "algorithm": "ES256", "headers": {"kid": "one"}}
        somebody = session(client, garage.id, **more)
        await somebody.get(ME)
        problem = assert_problem(await somebody.send("POST", REFRESH), 409)
        assert problem["code"] == "refresh_elsewhere"
        published.down = True
        clock.advance(6)
        assert_problem(await somebody.send("GET", ME), 503)

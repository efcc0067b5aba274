"""Sessions of people: JSON Web Tokens (RFC 7519) that the accounts' backend signs.

The algorithm is this deployment's; a token that names another one is nobody's. Time comes from our
clock, so PyJWT is told not to look at its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

import jwt

from domain.clock import Clock
from domain.errors import Unauthorised
from storage.sessions import token_hash

Algorithm = Literal["HS256", "RS256", "ES256"]

#: An RS256 token of Auth0 or Keycloak has one to two kB; nobody needs more to say who they are.
LONGEST_TOKEN: Final = 4096
#: Clocks of two servers differ by this much at most.
LEEWAY: Final = timedelta(seconds=30)
#: How long after its end a token can still be exchanged for a new one (issue 7).
REFRESH_WITHIN: Final = timedelta(days=7)
#: A token that we renew lasts as long as the one before, and no longer than the accounts' backend
#: lets its own last (real-users.md §1.1); a token that doesn't say when it was made, a day.
LONGEST_LIFE: Final = timedelta(days=30)
UNKNOWN_LIFE: Final = timedelta(days=1)
#: After so long somebody has to sign in again: only then the accounts' backend is asked whether
#: they still have the role that their token says.
LONGEST_CHAIN: Final = timedelta(days=90)

_REFUSED = "This token opens nothing: sign in again."
_EXPIRED = "This token is over: exchange it (POST /api/v1/auth/refresh), or sign in again."


class SigningKeys(Protocol):
    """Public keys of whoever signs (`providers.jwks`)."""

    async def key(self, key_id: str | None) -> Mapping[str, Any] | None:
        """The JWK with this `kid`; without one, the only key there is. None: there is none.
        Raises ProviderError when nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says, once it is proven. `chain` names it and all that it was renewed from and
    to; `signed_in_at` when the first of them was made."""

    tenant_id: str
    user_id: str
    role: str
    expires_at: datetime
    issued_at: datetime | None
    signed_in_at: datetime | None
    chain: str
    claims: Mapping[str, Any]

    @property
    def revocable(self) -> str:
        """What signing out ends: nobody else's tokens, should another service's `jti` not be as
        unique as it must."""
        return f"{self.tenant_id}\n{self.user_id}\n{self.chain}"


@dataclass(frozen=True, slots=True)
class TokenRules:
    """`secret` goes with HS256; the others ask `SigningKeys`. `issuer` None: any."""

    algorithm: Algorithm
    secret: str | None = None
    issuer: str | None = None


class Tokens:
    """Reads tokens, and renews those that we can sign."""

    def __init__(self, rules: TokenRules, clock: Clock, keys: SigningKeys | None = None) -> None:
        self._rules = rules
        self._clock = clock
        self._keys = keys

    @property
    def renews(self) -> bool:
        """Whether we hold what signs; public keys only read."""
        return self._rules.algorithm == "HS256"

    async def read(self, token: str, *, over_for: timedelta = timedelta()) -> Session:
        """Who it is. `over_for`: how long ago it may have ended. Raises Unauthorised, whose
        `message_key` is "session_expired" for a good token that is over; ProviderError when the
        keys can't be asked for."""
        try:
            claims = await self._proven(token)
            session = self._session(token, claims)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError):
            raise Unauthorised(_REFUSED) from None
        if self._clock.now() - LEEWAY - over_for >= session.expires_at:
            raise Unauthorised(_EXPIRED, message_key="session_expired")
        return session

    def renew(self, session: Session) -> tuple[str, datetime]:
        """A token that says the same, and until when. Raises Unauthorised when the first one is
        so old that somebody has to sign in again."""
        now = self._clock.now().replace(microsecond=0)
        first = session.signed_in_at or session.issued_at or now
        if now - first > LONGEST_CHAIN:
            raise Unauthorised("Sign in again.", message_key="session_expired")
        issued = session.issued_at
        life = session.expires_at - issued if issued else UNKNOWN_LIFE
        ends = now + max(min(life, LONGEST_LIFE), timedelta(minutes=1))
        claims = {
            **session.claims,
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "auth_time": int(first.timestamp()),
            "jti": session.chain,
        }
        claims.pop("nbf", None)
        secret = self._rules.secret
        if not self.renews or not secret:
            raise RuntimeError("only HS256 can be renewed")
        return jwt.encode(claims, secret, algorithm="HS256"), ends

    async def _proven(self, token: str) -> dict[str, Any]:
        rules = self._rules
        key: Any = rules.secret
        if not self.renews:
            key = await self._public_key(token)
        if not key:
            raise ValueError("no key")
        return jwt.decode(
            token,
            key,
            algorithms=[rules.algorithm],
            issuer=rules.issuer,
            options={
                "require": ["exp", "tenant_id", "user_id", "role"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )

    async def _public_key(self, token: str) -> Any:
        header = jwt.get_unverified_header(token)
        # Before anybody is asked for a key: another algorithm than ours is nobody's.
        if header.get("alg") != self._rules.algorithm or self._keys is None:
            raise ValueError("another algorithm")
        found = await self._keys.key(header.get("kid"))
        if found is None:
            raise ValueError("an unknown key")
        return jwt.PyJWK(dict(found), algorithm=self._rules.algorithm).key

    def _session(self, token: str, claims: Mapping[str, Any]) -> Session:
        tenant_id, user_id, role = (
            _text(claims[name]) for name in ("tenant_id", "user_id", "role")
        )
        issued = _instant(claims.get("iat"))
        begins = _instant(claims.get("nbf")) or issued
        if begins is not None and begins > self._clock.now() + LEEWAY:
            raise ValueError("not yet")
        expires = _instant(claims["exp"])
        if expires is None:
            raise ValueError("never ends")
        named = claims.get("jti")
        chain = (
            named if isinstance(named, str) and 0 < len(named) <= 200 else token_hash(signed(token))
        )
        return Session(
            tenant_id=tenant_id,
            user_id=user_id,
            role=role,
            expires_at=expires,
            issued_at=issued,
            signed_in_at=_instant(claims.get("auth_time")),
            chain=chain,
            claims=claims,
        )


def signed(token: str) -> str:
    """What the signature is about. The signature itself can be spelled in several ways, each of
    which would pass for another token."""
    return token.rpartition(".")[0]


def _text(value: Any) -> str:
    """An id as the accounts' backend writes it: text, or a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= 200 or not text.isprintable():
        raise ValueError("no id")
    return text


def _instant(value: Any) -> datetime | None:
    """A NumericDate (RFC 7519 §2). Raises ValueError, OverflowError for what isn't one."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("no date")
    return datetime.fromtimestamp(value, UTC)

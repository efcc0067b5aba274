"""What the values of settings must look like: annotated types, each with its check.

A check raises ValueError with the end of a sentence that begins with the variable's name.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from domain.key_strength import KEY_BYTES, weakness
from domain.phone import DEFAULT_REGION, normalise
from domain.sms import read_prices

STREAM_PATH = "/media-stream"
DATABASE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+asyncpg")


def _split(value: object) -> object:
    """A comma-separated text → its parts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _address(value: str, schemes: tuple[str, ...]) -> SplitResult:
    if re.search(r"\s", value):
        raise ValueError("contains white space")
    parts = urlsplit(value)
    if parts.scheme not in schemes:
        raise ValueError(f"doesn't begin with {' or '.join(f'{s}://' for s in schemes)}")
    if not parts.hostname:
        raise ValueError("names no host")
    _ = parts.port  # raises ValueError("Port out of range …") when it isn't one
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user or a password")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("carries a query or a fragment")
    return parts


def _http_url(value: str) -> str:
    _address(value, ("http", "https"))
    return value.rstrip("/")


def _callback_url(value: str) -> str:
    # Twilio refuses host names with an underscore in addresses that it calls (twilio.md §1.3).
    parts = _address(value, ("http", "https"))
    if "_" in (parts.hostname or ""):
        raise ValueError("has an underscore in its host name, which Twilio refuses")
    # Twilio signs the name in lower case, however it was given (twilio.md §2.2).
    return urlunsplit(parts._replace(netloc=parts.netloc.lower())).rstrip("/")


def stream_address(value: str) -> str:
    """Any of ws, wss, http, https → ws or wss, with the stream's path once."""
    parts = _address(value, ("ws", "wss", "http", "https"))
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/").removesuffix(STREAM_PATH) + STREAM_PATH
    return urlunsplit((scheme, parts.netloc, path, "", ""))


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        raise ValueError(f"doesn't begin with {', '.join(f'{s}://' for s in DATABASE_SCHEMES)}")
    if scheme.startswith("sqlite") and not rest.startswith("/"):
        raise ValueError("needs three slashes before a relative path, four before an absolute one")
    if not rest.strip("/") or rest == "/:memory:":
        raise ValueError("names no database that outlives a connection")
    return value


def _encryption_key(value: SecretStr) -> SecretStr:
    if weak := weakness(key_bytes(value)):
        raise ValueError(f"is too weak: it {weak}")
    return value


def key_bytes(value: SecretStr) -> bytes:
    """32 characters, 64 hexadecimal digits or 44 characters of base64 → 32 bytes."""
    text = value.get_secret_value()
    try:
        if len(text) == 64:
            return bytes.fromhex(text)
        if len(text) == 44:
            decoded = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
            if len(decoded) == KEY_BYTES:
                return decoded
        elif len(text) == 32 and text.isascii():
            return text.encode("ascii")
    except (ValueError, binascii.Error):
        pass
    raise ValueError(f"has {len(text)} characters and is none of the three forms")


def _encryption_keys(value: SecretStr) -> SecretStr:
    seen: dict[bytes, int] = {}
    for version, text in key_texts(value).items():
        try:
            key = key_bytes(_encryption_key(SecretStr(text)))
        except ValueError as error:
            raise ValueError(f"is wrong: the key of version {version} {error}") from None
        if key in seen:
            raise ValueError(f"has the same key as version {seen[key]} and as version {version}")
        seen[key] = version
    return value


def key_texts(value: SecretStr) -> dict[int, str]:
    """`2:<key>,1:<key>` → the keys as they are written, by version, in that order."""
    found: dict[int, str] = {}
    # Only a key of 32 characters may hold a comma, and then reads as a wrong part: it can be
    # written in hexadecimal instead.
    for part in value.get_secret_value().split(","):
        version, colon, text = part.strip().partition(":")
        if not colon or not re.fullmatch(r"[1-9][0-9]{0,5}", version):
            raise ValueError("has a part that isn't <version>:<key>, with a version from 1")
        if int(version) in found:
            raise ValueError(f"names version {version} twice")
        found[int(version)] = text.strip()
    return found


def _one_or_two(value: SecretStr) -> SecretStr:
    tokens = value.get_secret_value().split(",")
    if len(tokens) > 2 or not all(token.strip() for token in tokens):
        raise ValueError("isn't one token or two with a comma between them")
    return value


def _account_sid(value: str) -> str:
    if not re.fullmatch(r"AC[0-9A-Za-z]+", value):
        raise ValueError("isn't an account SID")
    return value


def _number(value: str, info: ValidationInfo) -> str:
    number = normalise(value, info.data.get("default_region", DEFAULT_REGION))
    if number is None:
        raise ValueError("isn't a telephone number")
    return number


def _sender(value: str, info: ValidationInfo) -> str:
    """A telephone number, or up to eleven letters and digits (an alphanumeric sender)."""
    number = normalise(value, info.data.get("default_region", DEFAULT_REGION))
    if number is not None:
        return number
    if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", value):
        return value
    raise ValueError("is neither a telephone number nor an alphanumeric sender")


def _graph_version(value: str) -> str:
    if not re.fullmatch(r"v[1-9][0-9]\.0", value):
        raise ValueError("isn't a version of Meta's API")
    return value


def _region(value: str) -> str:
    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("isn't a region")
    return value.upper()


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("has a part that is no address or network") from None


def _jwt_secret(value: SecretStr) -> SecretStr:
    """At least 32 bytes (RFC 7518 §3.2), of which some 32 at least look drawn at random."""
    key = value.get_secret_value().encode()
    if len(key) < KEY_BYTES:
        raise ValueError(f"is too short: it has {len(key)} bytes, and HS256 needs {KEY_BYTES}")
    parts = [key[at : at + KEY_BYTES] for at in range(0, len(key) - KEY_BYTES + 1, KEY_BYTES)]
    weak = [weakness(part) for part in parts]
    if all(weak):
        raise ValueError(f"is too weak: it {weak[0]}")
    return value


def _origin(value: str) -> str:
    """`https://app.example.fr`, perhaps with `*` in its first label, as a browser sends it."""
    match = _ORIGIN.fullmatch(value.lower().rstrip("/"))
    if match is None:
        raise ValueError(
            "has a part that is no origin (https://app.example.fr), or a pattern with * outside "
            "its first label or before a bare top-level domain"
        )
    return match[0]


#: A `*` stands for a part of the first label alone, and two labels must follow: `https://*.com`
#: would be everybody.
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ORIGIN = re.compile(
    rf"https?://(?:[a-z0-9-]*\*[a-z0-9*-]*\.{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?:\.{_LABEL})*)"
    r"(?::[0-9]{1,5})?"
)


#: Of a chat request, what is ours to say.
_OUR_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "tools"})


def _request_fields(value: object) -> object:
    """A JSON object → its fields."""
    try:
        fields = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("isn't JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("isn't a JSON object")
    if ours := sorted(_OUR_FIELDS & fields.keys()):
        raise ValueError(f"sets {', '.join(ours)}, which we do")
    return fields


def _log_level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
CallbackUrl = Annotated[str, AfterValidator(_callback_url)]
StreamUrl = Annotated[str, AfterValidator(stream_address)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
EncryptionKey = Annotated[SecretStr, AfterValidator(_encryption_key)]
EncryptionKeys = Annotated[SecretStr, AfterValidator(_encryption_keys)]
JwtSecret = Annotated[SecretStr, AfterValidator(_jwt_secret)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)
]
AuthTokens = Annotated[SecretStr, AfterValidator(_one_or_two)]
AccountSid = Annotated[str, AfterValidator(_account_sid)]
Number = Annotated[str, AfterValidator(_number)]
Sender = Annotated[str, AfterValidator(_sender)]
GraphVersion = Annotated[str, AfterValidator(_graph_version)]
Region = Annotated[str, AfterValidator(_region)]
Network = Annotated[str, AfterValidator(_network)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_log_level)
]
RequestFields = Annotated[Mapping[str, Any], NoDecode, BeforeValidator(_request_fields)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
#: Neither 0, which could mean "nothing" or "for ever", nor for ever: a hundred years at most.
Days = Annotated[int, Field(ge=1, le=36_500)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _countries(values: tuple[str, ...]) -> tuple[str, ...]:
    known = phonenumbers.SUPPORTED_REGIONS
    for value in values:
        if value not in known:
            raise ValueError(f"names {value!r}, which is no country (two capitals)")
    return values


def _sms_prices(value: str) -> str:
    read_prices(value)
    return value


Countries = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_countries)
]
#: Read by `domain.sms.read_prices`.
SmsPrices = Annotated[str, AfterValidator(_sms_prices)]

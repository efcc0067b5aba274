"""What in a channel's configuration is secret: pages send passwords among everything else.

Secrets are named by where they were: `{"smtp": {"password": "x"}}` has the secret `smtp.password`,
`{"access_token": "y"}` the secret `accessToken` (camelCase, however it was spelled).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from domain.errors import Invalid

#: What stands for a secret that is kept; of a long one its end follows.
MASK = "••••••••"
#: The last characters of a secret help its owner to recognise it. Of one shorter than this they
#: would help others to guess it.
LONG = 20
SHOWN_END = 4

#: The most secrets that one channel keeps, and the longest name of one. Origin: four times what
#: any page sends.
MOST_SECRETS = 32
LONGEST_NAME = 200

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: The last word of a secret's name …
_LAST_WORDS = frozenset(
    "password passwords passwd passphrase passwort pwd pass mdp secret secrets token jeton apikey "
    "accesskey secretkey privatekey authkey credential credentials bearer authorization".split()
)
#: … or its last two.
_LAST_TWO = frozenset(
    {
        *(("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key")),
        *(("auth", "key"), ("encryption", "key"), ("signing", "key"), ("license", "key")),
        *(("mot", "passe"), ("pass", "word"), ("pass", "phrase"), ("cle", "api")),
    }
)
#: Whatever its name: keys of OpenAI, Pinecone, Meta, Stripe, Slack, and private ones (RFC 7468).
_KEY = re.compile(
    r"\s*(?:(?:sk|rk|pcsk)[-_][\w-]{16,}|EAA[0-9A-Za-z]{40,}|xox[abeprs]-[\w-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----)",
    re.ASCII,
)
#: Names written in one go.
_ENDS = ("password", "motdepasse", "apikey", "token", "secret")


class Split(NamedTuple):
    """A configuration without its secrets, and these by name. None: to be removed."""

    public: dict[str, Any]
    secrets: dict[str, Any]


@lru_cache(maxsize=1024)  # configurations are read for every call, and use the same few names
def is_secret_name(key: str) -> bool:
    """Whether a value of this name is a secret: `apiKey`, `smtp_password`, `AUTH-TOKEN` …"""
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _WORD.findall(plain)]
    words = [word for word in words if word not in ("de", "du")]  # « mot de passe »
    while words and words[-1].isdigit():
        words.pop()
    if not words:
        return False
    if words[-1] in _LAST_WORDS or tuple(words[-2:]) in _LAST_TWO:
        return True
    return len(words) == 1 and words[0].endswith(_ENDS)


def split(config: Mapping[str, Any]) -> Split:
    """Take the secrets out, at any depth, whatever they are spelled like; and what is written as
    the key of a known vendor, whatever it is called. A switch (`showPassword: true`) is none.
    Raises Invalid when two of the same name differ."""
    secrets: dict[str, Any] = {}
    public = _without(config, (), secrets)
    return Split(public, secrets)


def named(secrets: Mapping[str, Any]) -> dict[str, Any]:
    """`configSecret` of a page, where all is secret: `{"smtp": {"password": "x"}}` or
    `{"access_token": "y"}` by name. Raises Invalid."""
    found: dict[str, Any] = {}
    for path, value in _leaves(secrets, ()):
        _put(found, path, value)
    return found


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both. What one of them merely keeps, the other may say. Raises Invalid where they differ."""
    found = dict(first)
    for name, value in second.items():
        _put(found, (name,), value)
    return found


def keeps(value: Any) -> bool:
    """Whether this, sent for a secret, means that the stored one stays: empty, or a mask."""
    if isinstance(value, str):
        text = value.strip()
        return not text or is_masked(text)
    return isinstance(value, bool) or (isinstance(value, Mapping | list) and not value)


def is_masked(text: str) -> bool:
    """Whether this is what we, or a page, show instead of a secret."""
    return bool(re.fullmatch(r"[•●]{4,}.{0,4}|[*•●]{3,}", text, re.DOTALL))


def masked(value: Any) -> str:
    """What may be shown of a secret: that there is one, and the end of a long one."""
    if isinstance(value, str) and len(value) >= LONG:
        return MASK + value[-SHOWN_END:]
    return MASK


def changed(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` after `sent`: a value that keeps changes nothing, None removes. Raises Invalid when
    there are too many."""
    result = dict(stored)
    for name, value in sent.items():
        if value is None:
            result.pop(name, None)
        elif not keeps(value):
            result[name] = value
    if len(result) > MOST_SECRETS:
        raise Invalid(f"a channel keeps at most {MOST_SECRETS} secrets", field="configSecret")
    return result


# --------------------------------------------------------------------------------- walking


def _without(value: Any, path: tuple[str, ...], secrets: dict[str, Any]) -> Any:
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, each in value.items():
            here = (*path, _camel(key))
            if _is_secret(key, each):
                for deeper, leaf in _leaves(each, here):
                    _put(secrets, deeper, leaf)
            else:
                kept[key] = _without(each, here, secrets)
        return kept
    if isinstance(value, list | tuple):
        return [_without(each, (*path, str(n)), secrets) for n, each in enumerate(value)]
    return value


def _is_secret(key: str, value: Any) -> bool:
    if isinstance(value, str) and _KEY.match(value):
        return True
    return is_secret_name(key) and not isinstance(value, bool)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of an object, each with its path; a list is one value."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*path, _camel(key)))
    else:
        yield path, value


def _put(secrets: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    name = ".".join(path)
    if len(name) > LONGEST_NAME:
        raise Invalid(f"the name of a secret has at most {LONGEST_NAME} characters")
    before = secrets.get(name)
    if name in secrets and before != value and not _says_less(value):
        if not _says_less(before):
            raise Invalid("this is sent twice, with different values", field=name)
    elif name in secrets:
        return
    secrets[name] = value


def _says_less(value: Any) -> bool:
    return value is not None and keeps(value)


@lru_cache(maxsize=1024)
def _camel(key: str) -> str:
    """`access_token`, `access-token` → `accessToken`; what has no such joint stays as it is."""
    first, *rest = [part for part in re.split(r"[_-]+", key) if part] or [key]
    if not rest:
        return key
    words = [part.lower() if part.isupper() else part for part in (first, *rest)]
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])

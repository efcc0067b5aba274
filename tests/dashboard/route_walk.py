"""Every address that the application answers, asked with another tenant's ids and claims."""

import asyncio
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from dashboard.api.operations import declared
from tests.furniture import Rows
from tests.invented import WORDS, Inventor
from tests.storage.method_walk import told

App = Callable[[Any, Any, Any], Awaitable[None]]

#: Whoever has the link may: a text's own id is what opens it, and it does one thing.
_BY_LINK = frozenset({"/u/{text_id}"})
#: Ids of tables that have nothing to do with a path, that are tried there when few are.
_OTHERS = 4
#: Tries that cost money are few, whoever's they are.
_SCARCE = re.compile(r"/api/(?:v1/)?channels/(?:\w+/|\{type\}/)?(?:test|send)|/api/v1/lines/.*")
#: A wrong code is refused as what it is, whoever sends it.
_REFUSES = frozenset({"/api/v1/notifications/settings/verify"})
#: How long a stream of events is listened to, s.
_STREAM_SECONDS = 0.15
_ANSWER_SECONDS = 20.0
#: The request's form was refused: whether it is guarded was not tried.
_NOT_UNDERSTOOD = frozenset({400, 405, 406, 411, 413, 415, 422})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_BOUNDARY = "cigogne"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str  # headers and body


@dataclass(frozen=True, slots=True)
class Address:
    """A path with its parameters open, and who answers there, by method."""

    path: str
    handlers: Mapping[str, Any]
    parameters: Sequence[str]

    def filled(self, value: str) -> str:
        path = self.path
        for name in self.parameters:
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return path


@dataclass
class Walked:
    """What went wrong, in words; `shown`: the addresses that told anything."""

    leaks: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    asked: int = 0

    def assert_clean(self) -> None:
        assert not self.leaks
        assert not self.errors
        assert not self.changes
        assert not self.unclear, (
            "no request to these was understood: give tests/invented.WORDS a word for the field "
            f"at fault: {self.unclear}"
        )


def addresses(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[Address]:
    """All of them, mounted applications' too. Fails for a kind of route that it doesn't know."""
    for route in routes:
        if isinstance(route, Mount):
            assert route.routes, f"{prefix}{route.path}: what is mounted there has no routes"
            yield from addresses(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            handlers = _handlers(route)
            yield Address(prefix + route.path_format, handlers, list(route.param_convertors))
        else:
            assert isinstance(route, WebSocketRoute), f"an unknown kind of route: {route!r}"
            assert not prefix, f"{prefix}{route.path}: no test walks tenants' websockets yet"


def _handlers(route: Route) -> dict[str, Any]:
    closed = {}
    if inspect.isfunction(route.endpoint):
        closed = inspect.getclosurevars(route.endpoint).nonlocals
    by_method = closed.get("handlers")
    methods = sorted(route.methods or {"GET"})
    if isinstance(by_method, Mapping):
        return {method: by_method.get(method, by_method.get("GET")) for method in methods}
    return dict.fromkeys(methods, route.endpoint)


def bodies(handler: Any, ids: Mapping[str, str]) -> Iterator[tuple[bytes, str]]:
    """Requests that the handler may understand, as (body, content type): the structure that it
    declares (of one that declares nothing: each that its module takes apart), a form with a file,
    and nothing."""
    for structure in _structures(handler):
        whole = msgspec.to_builtins(Inventor(ids).value("body", structure))
        sparse = msgspec.to_builtins(Inventor(ids, sparse=True).value("body", structure))
        required = {name: whole.get(name, value) for name, value in sparse.items()}
        yield json.dumps(whole).encode(), "application/json"
        named = {name: value for name, value in whole.items() if name.endswith(("_id", "Id"))}
        # Nobody's, then nothing that would have to be theirs.
        nobody = {**whole, **dict.fromkeys(named, "0" * 32)}
        alone = {name: value for name, value in whole.items() if name not in {*named, "url"}}
        for body in (
            whole,
            required,
            sparse,
            *((nobody, alone) if named or "url" in whole else ()),
        ):
            yield json.dumps({**body, **_claims(ids["id"])}).encode(), "application/json"
    fields = {"title": "Paul", **_claims(ids["id"])}
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append('name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nVidange 89 EUR')
    form = "".join(f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {p}\r\n" for p in parts)
    yield f"{form}--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"
    yield b"", "application/json"


def _structures(handler: Any) -> list[Any]:
    its = declared(handler)
    if its is not None:
        return [its.body] if its.body is not None and not its.form else []
    module = sys.modules[inspect.unwrap(getattr(handler, "__func__", handler)).__module__]
    return [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, msgspec.Struct) and each is not msgspec.Struct
    ]


def _invented_query(handler: Any) -> dict[str, str]:
    """The parameters that it declares, but for pages."""
    its = declared(handler)
    if its is None or its.query is None:
        return {}
    made = msgspec.to_builtins(Inventor().value("query", its.query))
    known = {name: value for name, value in made.items() if name in WORDS and name != "limit"}
    return {name: str(value) for name, value in known.items() if value is not None}


def _claims(tenant_id: str) -> dict[str, str]:
    return dict.fromkeys(("tenantId", "tenant_id", "tenant"), tenant_id)


def stem(word: str) -> str:
    """The same for one and for many."""
    return word.removesuffix("s")


def sha256(*words: str) -> str:
    """An order that nobody chose, and that is the same each time."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def _claiming_headers(tenant_id: str) -> dict[str, str]:
    names = ("x-tenant-id", "tenant-id", "x-voixia-tenant", "x-user-id")
    return {**dict.fromkeys(names, tenant_id), "last-event-id": "0"}


@dataclass
class RouteWalk:
    """Asks as somebody (`headers`) for what `furnished`, another tenant's rows, tell of.

    `changed`: the tables in which those rows aren't anymore what they were; of those that were
    written to since it was last asked, or of all.
    """

    app: App
    routes: Sequence[BaseRoute]
    headers: Mapping[str, str]
    furnished: Rows
    mark: str
    ids: set[str]
    changed: Callable[[bool], Awaitable[list[str]]]
    few: bool = False
    walked: Walked = field(default_factory=Walked)
    _stored: set[str] = field(default_factory=set)
    _said: str = ""

    async def run(self, only: Callable[[str], bool] = lambda _path: True) -> Walked:
        """All addresses, or only some."""
        for address in addresses(self.routes):
            if address.path in _BY_LINK or not only(address.path):
                continue
            for method, handler in address.handlers.items():
                if self.few and method == "HEAD":  # the same as GET
                    continue
                understood = await self._try(method, address, handler)
                if not understood and address.path.startswith("/api/"):
                    self.walked.unclear.append(f"{method} {address.path}: {self._said}")
                tables = await self.changed(False)
                self.walked.changes += [f"{method} {address.path}: {table}" for table in tables]
        # Whatever wrote it, and however.
        self.walked.changes += [f"all in all: {table}" for table in await self.changed(True)]
        return self.walked

    async def _try(self, method: str, address: Address, handler: Any) -> bool:
        """Everything with the first value of the path's parameters, and with each further one what
        was understood, together with claims. Whether anything was."""
        ways: list[tuple[int, bool]] = []
        for nth, value in enumerate(self._values(address)):
            requests = list(self._bodies(method, handler, value))
            every = [(at, claims) for at in range(len(requests)) for claims in (False, True)]
            # One way that was understood is enough for ids of everything that there is.
            claiming = [way for way in ways or every if way[1]][:1]
            asked = _invented_query(handler)
            for at, claims in claiming if nth else every:
                body, kind = requests[at]
                query = {**asked, **_claims(self._owner)} if claims else {}
                if await self._ask(method, address, value, body, kind, query) and not nth:
                    ways.append((at, claims))
        return bool(ways)

    @property
    def _owner(self) -> str:
        return str(self.furnished["tenants"][0]["id"])

    def _values(self, address: Address) -> list[str]:
        """Ids to ask for: of every table, unless `few`; then of those whose names the path bears,
        and of some others, other ones for each path."""
        if not address.parameters:
            return [self._owner]
        words = [str(WORDS[name]) for name in address.parameters if name in WORDS]
        near, far = [], []
        for table, rows in self.furnished.items():
            ids = sorted(self.ids & {str(value) for value in rows[0].values()})
            stems = {stem(word) for word in re.findall(r"[a-z]+", table)}
            named = stems & {stem(word) for word in re.findall(r"[a-z]+", address.path)}
            (near if named else far).extend(ids)
        others = sorted(set(far) - set(near), key=lambda each: sha256(address.path, each))
        return [*words, *dict.fromkeys(near), *(others[:_OTHERS] if self.few else others)]

    def _bodies(self, method: str, handler: Any, value: str) -> Iterable[tuple[bytes, str]]:
        return bodies(handler, {"id": value}) if method in _WITH_BODY else [(b"", "")]

    async def _ask(
        self,
        method: str,
        address: Address,
        value: str,
        body: bytes,
        kind: str,
        said: Mapping[str, str],
    ) -> bool:
        """`said`: the query, of whoever claims to be the owner; empty for who doesn't."""
        path = address.filled(value)
        headers = {**self.headers, **({"content-type": kind} if kind else {})}
        if said:
            headers |= _claiming_headers(self._owner)
        query = urlencode(said)
        answer = await ask(self.app, method, path, query=query, headers=headers, body=body)
        self.walked.asked += 1
        what = f"{method} {path}?{query} {body[:200]!r}: {answer.status}"
        given = told(f"{path} {query} {headers} {body.decode()}", self.mark, self.ids)
        leaked = told(answer.text, self.mark, self.ids) - given - self._stored
        self.walked.leaks += [f"{what} told {each!r}" for each in sorted(leaked)]
        if leaked:
            self.walked.shown.add(f"{method} {address.path}")
        if answer.status >= 500:
            self.walked.errors.append(f"{what} {answer.text[-300:]}")
        if body and answer.status < 300:
            self._stored |= given
        if b"{" in body:
            self._said = f"{body[:200]!r} → {answer.text[-300:]}"
        # Whoever is told to come back later learns nothing, and neither does this walk.
        assert answer.status != 429 or _SCARCE.fullmatch(address.path), what
        unclear = answer.status in _NOT_UNDERSTOOD or answer.status >= 500
        if address.path in _REFUSES and answer.status == 422:
            return True
        return not unclear and (answer.status != 404 or bool(address.parameters))


async def ask(
    app: App,
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Answer:
    """One request to an ASGI application. A stream of events is left after a moment."""
    gone = asyncio.Event()
    sent: list[dict[str, Any]] = []
    bodies_left = [body]

    async def receive() -> dict[str, Any]:
        if bodies_left:
            return {"type": "http.request", "body": bodies_left.pop(), "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if b"text/event-stream" in dict(message.get("headers", ())).get(b"content-type", b""):
            asyncio.get_running_loop().call_later(_STREAM_SECONDS, gone.set)

    everything = {"host": "voice.example.fr", "content-length": str(len(body)), **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in everything.items()],
        "client": ("192.0.2.7", 50000),
        "server": ("voice.example.fr", 443),
        "state": {},
        "extensions": {},
    }
    failure = ""
    async with asyncio.timeout(_ANSWER_SECONDS):
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever escapes the application is a finding
            failure = repr(error)
    starts = [each for each in sent if each["type"] == "http.response.start"]
    status = 599 if failure or not starts else int(starts[0]["status"])
    text = "".join(
        f"{name.decode()}: {value.decode()}\n" for each in starts for name, value in each["headers"]
    )
    content = b"".join(each.get("body", b"") for each in sent)
    return Answer(status, f"{text}\n{content.decode(errors='replace')}{failure}")

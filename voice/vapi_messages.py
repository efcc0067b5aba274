"""What Vapi posts to us, in every shape that is documented or was seen. Pure.

Rules: shared/reference/vapi-openai-pinecone.md §1.8 and §1.9. The body is from outside and hostile:
whatever isn't as expected counts as absent. It echoes the assistant's configuration, our secret
included, so nothing of it is kept but what is read here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard

import msgspec

from storage.vapi_calls import Turn, VapiReport

#: All of §1.8; others are counted under one name.
KNOWN: Final = frozenset(
    "assistant-request tool-calls function-call status-update end-of-call-report hang transcript "
    "speech-update conversation-update user-interrupted model-output transfer-destination-request "
    "handoff-destination-request transfer-update phone-call-control language-change-detected "
    "knowledge-base-request assistant.started assistant.speechStarted voice-input voice-request "
    "call.endpointing.request call.deleted call.delete.failed call.artifact.upload "
    "campaign.predial".split()
)
#: More than any model asks for in one message.
MAX_TOOL_CALLS: Final = 32
#: Longer than any id of a vendor's: not looked up.
MAX_ID: Final = 200
#: More than is said in four hours.
MAX_TURNS: Final = 4000
MAX_TEXT: Final = 10_000
MAX_TRANSCRIPT: Final = 400_000
MAX_ARGUMENTS: Final = 64 * 1024
#: Beyond it a cost is a mistake: cents.
MAX_CENTS: Final = 1_000_000
_LONGEST_CALL: Final = 43_200.0

#: `endedReason`s (§1.8; by how they begin) of a call that came to its end, …
BY_THE_ASSISTANT: Final = ("assistant-ended-call", "assistant-said-end-call-phrase")
BY_THE_CALLER: Final = ("customer-ended-call", "call.in-progress.twilio-completed-call")
#: … that was ended by a limit of the assistant's configuration, …
EXCEEDED_MAX_DURATION: Final = "exceeded-max-duration"
SILENCE_TIMED_OUT: Final = "silence-timed-out"
#: … and, where the caller is on the line all the same, that broke without Vapi's doing.
NOT_BY_VAPI: Final = (*BY_THE_CALLER, "phone-call-provider-closed-websocket", "manually-canceled")

_LISTS: Final = ("toolCallList", "toolCalls", "toolWithToolCallList")
_WHO: Final = {"user": "caller", "assistant": "agent", "bot": "agent"}
#: Line breaks to whoever splits lines as Unicode does; JSON leaves them as they are.
_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class _Envelope(msgspec.Struct):
    message: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Message:
    """`kind`: without what narrows it (`transcript[…]`); `call_id`: of the call at Vapi, or ""."""

    kind: str
    call_id: str
    fields: Mapping[str, msgspec.Raw] = field(repr=False)

    def value(self, name: str) -> Any:
        """One field, decoded; None when it is absent or nested too deeply."""
        raw = self.fields.get(name)
        return None if raw is None else _decoded(raw)

    def words(self, name: str) -> str:
        """One field that is text; "" for anything else."""
        value = self.value(name)
        return value if isinstance(value, str) else ""

    @property
    def label(self) -> str:
        """For counting."""
        return self.kind if self.kind in KNOWN else "unknown"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments`: JSON text for the function, without the static parameters, which are `static`:
    those whose names begin with an underscore. None when the arguments are no object."""

    id: str
    name: str
    arguments: str = field(repr=False)
    static: Mapping[str, Any] | None = field(repr=False, default_factory=dict)


def read(body: bytes) -> Message:
    """Raises ValueError when it is no message. Fields that nobody asks for are never built."""
    try:
        fields = msgspec.json.decode(body, type=_Envelope).message
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError('the body must be {"message": {…}}') from error
    kind = _decoded(fields["type"]) if "type" in fields else None
    # Only its id: the rest repeats the whole assistant.
    call = _as(fields.get("call"), _Identified)
    call_id = call.id if call is not None and _is_id(call.id) else ""
    name = kind.partition("[")[0] if isinstance(kind, str) else ""
    return Message(name, call_id, fields)


class _Identified(msgspec.Struct):
    id: str = ""


def tool_calls(message: Message) -> list[ToolCall]:
    """Each once, in order, from the first of the lists that has any."""
    found: dict[str, ToolCall] = {}
    for outer, call in _listed(message):
        call_id = call.get("id")
        if not _is_id(call_id) or len(found) >= MAX_TOOL_CALLS:
            continue
        function = call.get("function")
        inner: Mapping[str, Any] = function if isinstance(function, Mapping) else {}
        name = _first(str, inner.get("name"), call.get("name"), _name_of(outer)) or ""
        given = _first(
            (Mapping, str),
            *(inner.get(key) for key in ("arguments", "parameters")),
            *(call.get(key) for key in ("arguments", "parameters")),
        )
        found.setdefault(call_id, _tool_call(call_id, name[:MAX_ID], given))
    return list(found.values())


def legacy_call(message: Message) -> ToolCall | None:
    """`function-call`, as older assistants send it: it has no id."""
    asked = message.value("functionCall")
    if not isinstance(asked, Mapping) or not isinstance(asked.get("name"), str):
        return None
    given = _first((Mapping, str), asked.get("parameters"), asked.get("arguments"))
    stamp = message.value("timestamp")
    return _tool_call(f"legacy-{asked['name']}-{stamp}"[:MAX_ID], asked["name"][:MAX_ID], given)


def one_line(result: Mapping[str, Any]) -> str:
    """A function's object as one line of JSON: Vapi drops what contains a line break."""
    text = json.dumps(dict(result), ensure_ascii=False, separators=(",", ":"))
    return text.translate(_BREAKS)


def refusal(call: ToolCall, known: Mapping[str, str]) -> str | None:
    """Why a request isn't taken: "unreadable"; "unproven", without the static parameters that our
    assistants give each request; "another_call", when they name another tenant or call than those
    that we stored. None: it is this call's."""
    if call.static is None:
        return "unreadable"
    if any(call.static.get(name) in (None, "") for name in known):
        return "unproven"
    agrees = all(call.static[name] == expected for name, expected in known.items())
    return None if agrees else "another_call"


# --------------------------------------------------------------------------------- reports


def report(message: Message, began: datetime) -> VapiReport:
    """An end-of-call-report. `began`: of the call, for turns that tell no time."""
    artifact = _as(message.fields.get("artifact"), _Artifact) or _Artifact()
    analysis = _as(message.fields.get("analysis"), _Analysis) or _Analysis()
    summary = _text(_decoded(analysis.summary)) or _text(message.value("summary"))
    transcript = _decoded(artifact.transcript) or message.value("transcript")
    return VapiReport(
        summary=summary or None,
        cost_cents=_cents(message.value("cost")),
        turns=tuple(_turns(_decoded(artifact.messages), began)),
        transcript=_text(transcript, MAX_TRANSCRIPT) or None,
    )


class _Artifact(msgspec.Struct):
    messages: msgspec.Raw = msgspec.Raw(b"null")
    transcript: msgspec.Raw = msgspec.Raw(b"null")


class _Analysis(msgspec.Struct):
    summary: msgspec.Raw = msgspec.Raw(b"null")


def said(message: Message) -> tuple[str, str] | None:
    """(who, text) of a final transcript; None for any other."""
    who = _WHO.get(message.words("role"))
    text = _text(message.value("transcript"))
    if who is None or not text or message.value("transcriptType") not in (None, "final"):
        return None
    return who, text


def _turns(messages: Any, began: datetime) -> Iterator[Turn]:
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return
    last = began
    for each in messages[:MAX_TURNS]:
        role = each.get("role") if isinstance(each, Mapping) else None
        who = _WHO.get(role) if isinstance(role, str) else None
        text = _text(each.get("message")) if who is not None else ""
        if who is None or not text:
            continue  # the system's, a tool's
        after = each.get("secondsFromStart")
        at = last + timedelta(milliseconds=1)
        if isinstance(after, int | float) and 0 <= after <= _LONGEST_CALL:
            at = max(at, began + timedelta(seconds=after))
        last = at
        yield Turn(at, who, text)


def _cents(cost: Any) -> int | None:
    """US dollars → cents, rounded; None for what is no cost."""
    if isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    return round(cost * 100) if 0 <= cost * 100 <= MAX_CENTS else None


# -------------------------------------------------------------------------------- the shapes


def _listed(message: Message) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(the tool's definition or nothing, the call). A definition's `function.parameters` are a
    schema and no arguments: it is only asked for a name."""
    for name in _LISTS:
        listed = message.value(name)
        if not isinstance(listed, list) or not listed:
            continue
        items = [each for each in listed if isinstance(each, Mapping)]
        if name != "toolWithToolCallList":
            return [({}, each) for each in items]
        return [(each, call) for each in items if isinstance(call := each.get("toolCall"), Mapping)]
    return []


def _name_of(definition: Mapping[str, Any]) -> Any:
    function = definition.get("function")
    named = function.get("name") if isinstance(function, Mapping) else None
    return named or definition.get("name")


def _tool_call(call_id: str, name: str, given: Any) -> ToolCall:
    if isinstance(given, str):
        given = _as_object(given or "{}")
        if given is None:
            return ToolCall(call_id, name, "", None)
    arguments = given if isinstance(given, Mapping) else {}
    own = {key: value for key, value in arguments.items() if not str(key).startswith("_")}
    static = {key: value for key, value in arguments.items() if key not in own}
    text = json.dumps(own, ensure_ascii=False)
    return ToolCall(call_id, name, text if len(text) <= MAX_ARGUMENTS else "too long", static)


def _as_object(text: str) -> Mapping[str, Any] | None:
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _first(kind: Any, *values: Any) -> Any:
    return next((each for each in values if isinstance(each, kind)), None)


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable()


def _text(value: Any, limit: int = MAX_TEXT) -> str:
    return value.strip()[:limit] if isinstance(value, str) else ""


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _as(raw: msgspec.Raw | None, kind: type[Any]) -> Any:
    """`raw` as a Struct whose other fields are passed over; None when it is none."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None

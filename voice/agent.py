"""Who answers: a tenant's configuration → the agent's brief and the sentences that are ours."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.agent import (
    CallContext,
    about_call,
    disclosure,
    function_names,
    greeting,
    instructions,
    profile,
)
from domain.memory import Contacted, hinted
from domain.messages import text
from domain.tenant import Tenant
from voice.call import Script
from voice.events import FunctionFinished
from voice.history import History
from voice.ports import AgentSpec, FunctionSpec, TurnDetection

#: The functions of these names as the model sees them, in this language.
FunctionSpecs = Callable[[Sequence[str], str], Sequence[FunctionSpec]]
#: The secret of the phone channel that is a tenant's own key of OpenAI.
OWN_KEY = "openaiApiKey"
#: Turns of an earlier stream that the next agent is told.
HISTORY_TURNS = 40
#: … and of what functions answered, the latest: so many that achieved something, and others.
HISTORY_DEEDS = 6
HISTORY_ANSWERS = 2
#: Characters of JSON. Five slots take 500; a longer answer can be asked for again.
LONGEST_ANSWER = 800
#: … and what is told of a deed whose answer is longer.
_OF_A_DEED = ("status", "code", "spoken")
#: A model's name, of any vendor that speaks OpenAI's protocol.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
#: Nothing was done, nothing found out.
_FAILED = frozenset({"error", "invalid"})


@dataclass(frozen=True, slots=True)
class RealtimeDefaults:
    """The deployment's own; a tenant's phone configuration may say otherwise under `realtime`."""

    model: str
    voices: Mapping[str, str]  # female, male → the vendor's voice
    known_voices: frozenset[str]
    transcription_model: str
    turn_detection: TurnDetection
    api_key: str = field(repr=False)

    def paid_with(self, api_key: str | None) -> "RealtimeDefaults":
        """The same with a tenant's own key, when it has one."""
        return replace(self, api_key=api_key) if api_key else self


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier stream of the same call left."""

    history: History = field(default_factory=History)
    transfer_failed: bool = False
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """When and from where the call comes, whether there are documents to search, whether the
    caller can be sent texts, and whether their number has contacted us before. `now` is an instant
    (the agent is told local time), `caller_number` E.164 or None."""

    now: datetime
    caller_number: str | None
    has_knowledge: bool
    has_texts: bool = False
    contacted: Contacted | None = None


def earlier(
    tenant: Tenant, config: Mapping[str, Any], history: History, *, transfer_failed: bool
) -> Earlier:
    """What the next stream must know. One whose greeting nobody heard is begun anew."""
    greeted = history.greeted(disclosure(greeting(profile(tenant, config))))
    return Earlier(history, transfer_failed, resumed=greeted)


def resumption(locale: str, history: History, *, transfer_failed: bool) -> str:
    """The first words after a break: what has been done and nobody has told the caller goes with
    them, so that they hear it whatever the next agent makes of its brief."""
    if transfer_failed:
        return text(locale, "transfer_failed")
    if history.untold:
        return text(locale, "resume_done", done=history.untold)
    return text(locale, "resume")


def script(tenant: Tenant, config: Mapping[str, Any], earlier: Earlier) -> Script:
    """Our own sentences, in the language of the tenant's agent."""
    who = profile(tenant, config)
    locale = who.language

    def say(key: str) -> str:
        return text(locale, key)

    return Script(
        greeting=greeting(who),
        disclosure=disclosure(greeting(who)),
        recording=say("recording_notice") if who.recording else "",
        resume=resumption(locale, earlier.history, transfer_failed=earlier.transfer_failed),
        silence_prompts=(say("silence_prompt_1"), say("silence_prompt_2")),
        silence_goodbye=say("silence_goodbye"),
        fillers=(say("filler_1"), say("filler_2")),
        goodbye=say("goodbye"),
        maximum_goodbye=say("max_duration_goodbye"),
        transfer_wait=say("transfer_wait"),
        keys_pressed=say("keys_pressed"),
        introduce=text(locale, "introduce", greeting=greeting(who)),
        holds=(say("hold_1"), say("hold_2"), say("hold_3")),
        repeat=say("repeat"),
        function_note=say("function_note"),
        said_note=say("said_note"),
    )


def brief(
    tenant: Tenant,
    config: Mapping[str, Any],
    defaults: RealtimeDefaults,
    *,
    functions: FunctionSpecs,
    moment: Moment,
    earlier: Earlier,
) -> AgentSpec:
    """What the model is told, and which model."""
    who = profile(tenant, config)
    has_transfer = bool(config.get("transferNumber"))
    chosen = config.get("realtime")
    wanted: Mapping[str, Any] = chosen if isinstance(chosen, Mapping) else {}
    voice = str(wanted.get("voice") or who.voice_id or "")
    deeds, answers = _answered(earlier.history.ran)
    context = CallContext(
        now=moment.now.astimezone(ZoneInfo(tenant.timezone)),
        caller_number=moment.caller_number,
        has_transfer=has_transfer,
        resumed=earlier.resumed,
        already_done=deeds,
        looked_up=answers,
        has_knowledge=moment.has_knowledge,
        has_texts=moment.has_texts,
        remembered=hinted(moment.contacted, tenant.timezone, who.language),
    )
    return AgentSpec(
        instructions=instructions(who, context),
        about_call=about_call(who, context),
        functions=functions(
            function_names(
                who.agent_type,
                has_transfer=has_transfer,
                has_knowledge=moment.has_knowledge,
                has_texts=moment.has_texts,
                recording=who.recording,
            ),
            who.language,
        ),
        model=_model(wanted.get("model"), defaults.model),
        voice=voice if voice in defaults.known_voices else defaults.voices[who.voice],
        gender=who.voice,
        language=who.language[:2].lower(),
        api_key=defaults.api_key,
        transcription_model=defaults.transcription_model,
        turn_detection=_turn_detection(wanted.get("turnDetection"), defaults.turn_detection),
        history=[
            ("user" if who == "caller" else "assistant", text)
            for who, text in earlier.history.turns[-HISTORY_TURNS:]
        ],
    )


def _answered(ran: Sequence[FunctionFinished]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What functions have answered, a line each, oldest first: deeds, and other answers."""
    deeds, answers = [], []
    for each in ran:
        if each.effect is not None:
            result = each.result
            if len(_json(result)) > LONGEST_ANSWER:
                result = {key: result[key] for key in _OF_A_DEED if key in result}
            deeds.append(f"{each.name} : {_json(result)}")
        elif not each.then and each.result.get("status") not in _FAILED:
            answers.append(f"{each.name} : {_json(each.result)}")
    # The same deed asked for again has the same answer.
    told = tuple(dict.fromkeys(deeds))[-HISTORY_DEEDS:]
    short = [line for line in answers[-HISTORY_ANSWERS:] if len(line) <= LONGEST_ANSWER]
    return told, tuple(short)


def _json(result: Mapping[str, Any]) -> str:
    return json.dumps(dict(result), ensure_ascii=False, separators=(",", ":"))


def _model(wanted: object, default: str) -> str:
    """The tenant's own, if that can be a model's name: it becomes part of an address, which no
    server takes at any length."""
    return wanted if isinstance(wanted, str) and _MODEL.fullmatch(wanted) else default


def _turn_detection(wanted: object, default: TurnDetection) -> TurnDetection:
    """The tenant's own, each value within what the vendor takes; anything else is the default."""
    if not isinstance(wanted, Mapping):
        return default

    def number(key: str, low: float, high: float, otherwise: float) -> float:
        value = wanted.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return value
        return otherwise

    return TurnDetection(
        threshold=number("threshold", 0.0, 1.0, default.threshold),
        prefix_padding_ms=int(number("prefixPaddingMs", 0, 2000, default.prefix_padding_ms)),
        silence_duration_ms=int(
            number("silenceDurationMs", 200, 3000, default.silence_duration_ms)
        ),
    )

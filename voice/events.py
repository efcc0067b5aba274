"""What can happen on a call, and what can be done about it.

Pure words: frozen, without behaviour. Audio is in none of them: frames go straight across
(`voice.bridge`), and `voice.call.Call` hears only of their consequences.
Durations are milliseconds where the name says `ms`, otherwise seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.outcome import Outcome

# --------------------------------------------------------------------------- what happens


@dataclass(frozen=True, slots=True)
class CallerJoined:
    """The caller's stream is open and its token was good. `resumed`: an earlier stream died.
    `was_cut`: it broke, and until this one came the line was dead."""

    resumed: bool = False
    was_cut: bool = False


@dataclass(frozen=True, slots=True)
class AgentReady:
    """The agent's session is configured and takes audio. `greets`: it says the first words of a
    call by itself, and isn't to be asked for them."""

    greets: bool = False


#: Items that we play ourselves, without an agent, are called "announcement-1" and so on.
ANNOUNCEMENT = "announcement-"


@dataclass(frozen=True, slots=True)
class AgentAudioStarted:
    """The first audio of an item went out to the caller."""

    item_id: str


@dataclass(frozen=True, slots=True)
class AgentDry:
    """The agent is in the middle of a response, and all audio of it that came has been played
    (`dry`), or more has come. A model that is a little slower than speech, or one that is dead."""

    dry: bool


@dataclass(frozen=True, slots=True)
class AgentHeard:
    """All that was sent to the caller has been played: the line is silent on our side.

    Per item: (item_id, heard_ms), oldest first.
    """

    items: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class AgentCut:
    """Playback was cleared. Per item: (item_id, heard_ms, sent_ms), oldest first."""

    items: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class CallerSpeechStarted:
    """The model's voice activity detection heard the caller begin."""


@dataclass(frozen=True, slots=True)
class CallerSpeechStopped:
    """… and end."""


@dataclass(frozen=True, slots=True)
class CallerAudible:
    """Our own ears, which know loud from quiet and no more: the caller began to be loud, or has
    been quiet for half a second. What counts when the agent's ears are gone or deaf."""

    loud: bool


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """What the caller said, as transcribed; empty text when nothing was understood."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The model began a response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class AgentText:
    """Words the agent is about to speak. `text` is the increment; `final` carries the whole."""

    item_id: str
    text: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """The model ended a response.

    `status` completed | cancelled | failed | incomplete. `usage` is the vendor's token counts,
    flat. `error` the vendor's code when it failed (a quota, for instance).
    """

    response_id: str
    status: str
    usage: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The agent wants a function run. `arguments` is JSON text, as the model wrote it."""

    function_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class FunctionFinished:
    """A function's result is committed. `effect` is what it achieved, if anything. What nobody on
    this stream asked for ran elsewhere, for an agent that is gone.

    `then` is what the call must do next: "" | "end" | "transfer"; `detail` its reason or number.
    """

    function_call_id: str
    name: str
    result: Mapping[str, Any]
    effect: Outcome | None = None
    then: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AgentFault:
    """The vendor reported an error. `fatal`: the leg is lost."""

    code: str
    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class AgentLags:
    """What the agent says of the caller's audio comes so many seconds after the audio left."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AgentChecked:
    """The answer to `CheckAgent`."""

    alive: bool


@dataclass(frozen=True, slots=True)
class AgentGone:
    """The agent's connection is closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAgentLeft:
    """None of the ladder's agents can take the call over on this stream."""

    reason: str


@dataclass(frozen=True, slots=True)
class AnnouncementMissing:
    """A line of ours was to be heard, and was never spoken beforehand."""


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """The caller pressed a key: 0-9, *, #."""

    digit: str


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """The caller's stream ended. `hung_up` is False when we cannot tell (a network loss)."""

    hung_up: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that `StartTimer` set has run out."""

    name: str


Event = (
    CallerJoined
    | AgentReady
    | AgentAudioStarted
    | AgentDry
    | AgentHeard
    | AgentCut
    | CallerSpeechStarted
    | CallerSpeechStopped
    | CallerAudible
    | CallerSaid
    | ResponseStarted
    | AgentText
    | ResponseDone
    | FunctionCalled
    | FunctionFinished
    | AgentFault
    | AgentLags
    | AgentChecked
    | AgentGone
    | NoAgentLeft
    | AnnouncementMissing
    | DigitPressed
    | CallerLeft
    | TimerFired
)

# ----------------------------------------------------------------------- what is to be done


@dataclass(frozen=True, slots=True)
class Say:
    """Make the agent speak this very sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Let the agent answer what it has heard or been given."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Silence the agent now: clear the caller's buffer, truncate the model at what was heard.

    `cancel`: also stop a running response (needed when it wasn't the caller's voice that
    interrupted, since the vendor then doesn't stop by itself).
    """

    cancel: bool = False


@dataclass(frozen=True, slots=True)
class TellAgent:
    """Put a text turn of the caller (a key press) or a note of ours before the agent."""

    text: str
    role: str = "user"


@dataclass(frozen=True, slots=True)
class RunFunction:
    """Run it, exactly once; the answer comes back as `FunctionFinished`."""

    function_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class GiveResult:
    """Hand a function's result to the agent. `respond`: and let it speak."""

    function_call_id: str
    output: str
    respond: bool


@dataclass(frozen=True, slots=True)
class StartTimer:
    """(Re)start the timer of this name."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget the timer of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """Write a line of the call's timeline. `kind`: turn | function | latency | usage | event.

    `at`: when it began, on the call's monotonic clock.
    """

    kind: str
    data: Mapping[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class StartRecording:
    """The caller has heard that the call is recorded, and how to refuse."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the telephone call."""

    reason: str


@dataclass(frozen=True, slots=True)
class TransferCall:
    """Redirect the telephone call to the tenant's transfer number."""

    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Play this very sentence from our own store, whoever the agent is: it can't fail late."""

    text: str


@dataclass(frozen=True, slots=True)
class ChangeAgent:
    """Let go of the agent and bring the next one; `AgentReady` or `NoAgentLeft` follows.
    `reason`: agent_gone | agent_stuck | agent_mute | agent_deaf | agent_lags | agent_failed, the
    last one with the vendor's `code`, "" if there is none."""

    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class CheckAgent:
    """See whether the agent's connection is alive; `AgentChecked` follows."""


@dataclass(frozen=True, slots=True)
class LeaveStream:
    """Close the stream without ending the call: Twilio asks the action address what to do."""

    reason: str


Command = (
    Say
    | Respond
    | Interrupt
    | TellAgent
    | RunFunction
    | GiveResult
    | StartTimer
    | StopTimer
    | Record
    | StartRecording
    | HangUp
    | TransferCall
    | Announce
    | ChangeAgent
    | CheckAgent
    | LeaveStream
)

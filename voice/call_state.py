"""What the heart of a call is given (rules, sentences), and what it keeps in mind."""

from dataclasses import dataclass, field
from enum import Enum

from domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Rules:
    """Durations in seconds; origins in docs/settings.md."""

    prompt_after: float = 8.0
    prompts: int = 2
    goodbye_after: float = 25.0
    max_seconds: float = 900.0
    filler_after: float = 1.2
    next_filler_after: float = 5.0
    goodbye_cap: float = 10.0
    digits_pause: float = 1.5
    opening_cap: float = 8.0
    agent_within: float = 4.0  # without a sign of an agent that owes us words
    # 2.5 s at the ear is the limit. Any ears, ours or a model's, need half a second to be sure that
    # the caller has finished; the rest is for a busy machine, and Twilio's buffer.
    hold_after: float = 1.7  # it is the agent's turn and nothing sounds: a line of our own
    # After a stream that broke the line has been silent for as long as it took to notice: a second
    # with two nodes, three where one of them froze. What the agent says at once is soon enough.
    hold_after_cut: float = 0.1
    agents: int = 4  # changes of agent on one stream, then the stream is left
    in_vain: int = 3  # … and so many in a row without a sound in between
    deaf_after: float = 0.8  # loud for so long and the agent heard nothing: is it deaf?
    # By our own ears the caller has fallen silent, and the agent, who heard them speak, doesn't say
    # so: longer than any of ours waits for a hesitating caller (voice/turn_taking.py: 1.24 s).
    hushed_turn: float = 1.5
    longest_turn: float = 60.0  # without a pause: that is no speech but noise


@dataclass(frozen=True, slots=True)
class Script:
    """The sentences that are ours and not the model's, in the tenant's language."""

    greeting: str
    disclosure: str  # the part of the greeting that must be heard: an AI speaks
    resume: str
    silence_prompts: tuple[str, ...]
    silence_goodbye: str
    fillers: tuple[str, ...]
    goodbye: str
    maximum_goodbye: str
    transfer_wait: str
    keys_pressed: str  # "{keys}" is replaced
    introduce: str  # a note to the agent whose greeting nobody heard
    holds: tuple[str, ...] = ()  # while an agent is late or being changed, in this order
    repeat: str = ""  # the agent heard nothing, the caller did speak
    recording: str = ""  # the notice that calls are recorded; "" when they aren't
    function_note: str = ""  # a note to an agent that didn't ask for it: "{name}", "{result}"
    said_note: str = ""  # a note to an agent that takes over, of the last one's words: "{text}"


class Phase(Enum):
    """Where the call stands."""

    OPENING = "opening"
    TALKING = "talking"
    CLOSING = "closing"  # the last words are on their way; then we hang up
    LEAVING = "leaving"  # … then the call is transferred
    OVER = "over"


@dataclass(slots=True)
class Spoken:
    """An item of the agent, as its words come in."""

    text: str = ""
    began: float = 0.0
    response: int = 0  # of which response, counted on this stream
    of_a_lost_agent: bool = False
    broken_off: bool = False  # it has no end


@dataclass(frozen=True, slots=True)
class Given:
    """What an agent was told of and has to speak of, as a note."""

    note: str
    response: int  # the last one begun by then: it can't speak of this


@dataclass(slots=True)
class Silence:
    """Nobody speaks, and it is the caller's turn."""

    began: float | None = None
    prompts: int = 0
    prompting: bool = False


@dataclass(slots=True)
class Waiting:
    """The caller has finished; the agent's first sound is awaited."""

    since: float | None = None


@dataclass(slots=True)
class Rescue:
    """The agent is late, deaf or gone."""

    holding: bool = False  # the timer of the next line of ours runs
    was_cut: bool = False  # the line was dead before this stream, and nothing has sounded since
    held: int = 0  # lines of ours since the agent last sounded
    changes: int = 0  # agents lost on this stream
    in_vain: int = 0  # … since one of them last sounded
    replaying: bool = False  # the caller's last words are played to the next agent
    replayed: bool = False  # … were, and it hasn't shown yet that it heard them
    orphans: set[str] = field(default_factory=set)  # functions that an agent now gone asked for
    notes: list[str] = field(default_factory=list)  # their results, while nobody is there
    loud_since: float | None = None  # by our own ears
    noticed: bool = False  # … and the agent heard it too
    hushed: float | None = None  # by our own ears: since when, if nothing has sounded since
    checking: bool = False  # whether an agent that shows nothing of a short word is there at all
    presumed: bool = False  # that the caller has finished: the agent didn't say so
    unheard: bool = False  # the caller spoke to an agent that owed an answer, and didn't notice
    given: list[Given] = field(default_factory=list)  # results, not spoken of to the end
    said: list[str] = field(default_factory=list)  # notes of the lost agent's last words
    deaf: int = 0  # how often it didn't


@dataclass(slots=True)
class State:
    """Where a conversation stands."""

    joined: float | None = None
    ready: bool = False
    greets: bool = False
    resumed: bool = False
    phase: Phase = Phase.OPENING
    caller_speaking: bool = False
    responding: bool = False
    responses: int = 0  # begun so far
    audible: bool = False
    announcing: bool = False  # … and it is a line of our own
    dry: bool = False  # … but what came has been played, and more is due
    asked: bool = False  # the agent shall speak; the response hasn't begun
    owed: bool = False  # the caller has finished; no response has begun
    last_was_caller: bool = False  # of the turns that are on record
    progress: float = 0.0  # when the agent last gave a sign
    sounded: bool = False  # the agent has been on the line at least once
    spoke: bool = False  # the agent said something in the running response
    heard_anything: bool = False
    failures: int = 0
    fillers: int = 0
    digits: str = ""
    closing_because: str = ""
    caller_turns: int = 0
    addressed: bool = False  # the caller has said something on this stream
    answered: bool = False  # the agent's last answer was heard to its end
    ever_answered: bool = False
    farewell: bool = False  # the caller's last words were a goodbye
    introduced: bool = False
    recording: bool = False  # it was asked for
    words_due: bool = False  # the last words were asked for and haven't begun to sound
    words_begun: bool = False  # … but their response has begun
    expired: bool = False  # the maximum is reached: nothing reopens the call
    unspoken: bool = False  # a result of a function of which the agent hasn't spoken yet
    ending: str = ""  # why the call ends once that is said
    ended_by: str = ""
    functions: dict[str, str] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)  # into these the caller has spoken
    worded: set[str] = field(default_factory=set)  # of these the agent spoke when it called them
    spoken: dict[str, Spoken] = field(default_factory=dict)
    caller_began: list[float] = field(default_factory=list)
    achieved: set[Outcome] = field(default_factory=set)

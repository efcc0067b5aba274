"""What the heart of a call and its parts are given: rules, sentences, and a call's phases."""

from dataclasses import dataclass
from enum import Enum


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

"""What goes wrong on a call, on demand."""

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of the carrier or of somebody who plays the carrier; none by default."""

    #: The first webhook is delivered twice, as after a lost answer; both answers are reported.
    duplicate_webhook: bool = False
    #: The first webhook carries a signature made with another token.
    forged_webhook: bool = False
    #: The stream's handshake does.
    forged_stream: bool = False
    #: `start` arrives this long after `connected`.
    late_start_ms: int = 0
    #: `start` never arrives.
    no_start: bool = False
    #: Every `<Parameter>` value is replaced by this.
    wrong_parameters: str = ""
    #: A second stream presents the parameters of the first once that one runs.
    second_stream: bool = False
    #: The network loses the first stream after this long: no `stop`, no closing handshake.
    drop_stream_after_ms: int = 0
    #: The end of a stream isn't told: the call ends with it.
    no_action: bool = False
    #: The end of the call isn't told.
    no_status_callback: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From plain values. Raises ValueError naming what isn't known."""
        unknown = values.keys() - {each.name for each in fields(cls)}
        if unknown:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        return cls(**values)

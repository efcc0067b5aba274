"""The jobs that send texts, with what may stop one at the last moment."""

from collections.abc import Mapping, Sequence

from domain.clock import Clock
from domain.jobs import JobKind
from messaging.checks import outside_quiet_hours, still_the_agents, still_the_appointment
from messaging.outbox import Check, SendingPolicy, TextSending, sending_jobs
from messaging.ports import Sender
from server.money import money_cap
from server.settings import Settings
from storage import Storage

#: By the purpose of a text, "" for all: what is looked at just before one is sent. Whoever puts
#: texts that may become untrue adds a line.
CHECKS: Mapping[str, Sequence[Check]] = {
    "answer": (still_the_agents,),
    "service": (still_the_appointment,),
    "marketing": (outside_quiet_hours,),
}


def text_jobs(
    settings: Settings, storage: Storage, clock: Clock, senders: Mapping[str, Sender]
) -> list[JobKind]:
    """A kind per channel."""
    return sending_jobs(
        TextSending(
            storage=storage,
            clock=clock,
            senders=senders,
            policy=sending_policy(settings),
            checks={**CHECKS, "": (*CHECKS.get("", ()), money_cap(settings))},
        )
    )


def sending_policy(settings: Settings) -> SendingPolicy:
    """The deployment's rules."""
    return SendingPolicy(
        countries=frozenset(settings.allowed_countries),
        per_day=settings.texts_per_day,
        public_url=settings.public_url,
    )

"""What this process counts, for Prometheus. Plain methods: hand them on as callables.

A counter's `inc` costs half a microsecond, so nothing here belongs on the frame path: what is
counted per frame stays a plain int where it happens and is read at scrape (`read_counter`).
"""

import re
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A caller waits: what is said to feel immediate, slow and broken on the telephone.
_SOUND = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
# The machine answers: budgets of 10 ms (clear) and 50 ms (TwiML) lie in the middle.
_MACHINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0)

_LABEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:-]{0,39}")
#: Distinct values of one label; what comes after counts as "other". A name that a model or a
#: stranger made up must not become a time series each.
_MOST_LABELS = 64


class _Labels:
    """Keeps a label's values few and short."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) < _MOST_LABELS and _LABEL.fullmatch(value):
            self._known.add(value)
            return value
        return "other"


class _AtScrape(Collector):
    """Values that are read when Prometheus asks."""

    def __init__(self) -> None:
        self._families: list[tuple[type[Metric], str, str, Callable[[], float]]] = []

    def add(
        self, family: type[Metric], name: str, documentation: str, read: Callable[[], float]
    ) -> None:
        if any(name == known for _, known, _, _ in self._families):
            raise ValueError(f"{name} is read already")
        self._families.append((family, name, documentation, read))

    def collect(self) -> Iterator[Metric]:
        for family, name, documentation, read in self._families:
            metric = family(name, documentation)  # type: ignore[call-arg]  # stub lacks defaults
            metric.add_metric([], read())  # type: ignore[attr-defined]
            yield metric


class Metrics:
    """One per process, with a registry of its own. Durations are seconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._at_scrape = _AtScrape()
        self.registry.register(self._at_scrape)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._labels = {
            name: _Labels() for name in ("outcome", "function", "status", "reason", "door")
        }
        self._calls = self._counter("calls", "Calls that ended, by outcome", "outcome")
        self._functions = self._counter(
            "function_calls", "Functions that agents ran", "function", "status"
        )
        self._refused = self._counter("streams_refused", "Media streams refused", "reason")
        self._lost = self._counter("agents_lost", "Agent legs lost during a call", "reason")
        self._doors = self._histogram(
            "webhook_seconds", "Webhook received to answer", _MACHINE, "door"
        )
        self._connect = self._histogram(
            "agent_connect_seconds", "Agent leg opened and configured", _SOUND
        )
        self._first_sound = self._histogram(
            "first_sound_seconds", "Call answered to first audio of the agent", _SOUND
        )
        self._turns = self._histogram(
            "turn_seconds", "End of the caller's speech to the agent's audio", _SOUND
        )
        self._barge_in = self._histogram(
            "barge_in_seconds", "Caller heard to begin to `clear` sent", _MACHINE
        )
        self._run = self._histogram("function_seconds", "A function's run", _SOUND, "function")

    def call_ended(self, outcome: str) -> None:
        """A call got its stored outcome."""
        self._calls.labels(self._labels["outcome"](outcome)).inc()

    def function_ran(self, function: str, status: str, seconds: float) -> None:
        """An agent's function answered: `status` as in its result ("booked", "taken", …)."""
        name = self._labels["function"](function)
        self._functions.labels(name, self._labels["status"](status)).inc()
        self._run.labels(name).observe(seconds)

    def stream_refused(self, reason: str) -> None:
        """A media stream was turned away."""
        self._refused.labels(self._labels["reason"](reason)).inc()

    def agent_lost(self, reason: str) -> None:
        """An agent's connection broke while its call went on."""
        self._lost.labels(self._labels["reason"](reason)).inc()

    def webhook_answered(self, door: str, seconds: float) -> None:
        """A vendor's webhook got its answer. `door` is the route's name, never its path."""
        self._doors.labels(self._labels["door"](door)).observe(seconds)

    def agent_connected(self, seconds: float) -> None:
        """An agent's leg stood after so long."""
        self._connect.observe(seconds)

    def first_sound(self, seconds: float) -> None:
        """The caller was answered and then waited so long for the agent's voice."""
        self._first_sound.observe(seconds)

    def turn(self, seconds: float) -> None:
        """The caller stopped speaking and then waited so long for the agent's voice."""
        self._turns.observe(seconds)

    def barge_in(self, seconds: float) -> None:
        """From the model's "speech started" to our `clear`."""
        self._barge_in.observe(seconds)

    def read_gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A value that goes up and down, read at scrape: live calls, a queue's length."""
        self._at_scrape.add(GaugeMetricFamily, f"coccinelle_{name}", documentation, read)

    def read_counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A plain int that only grows, read at scrape: frames in, frames dropped."""
        self._at_scrape.add(CounterMetricFamily, f"coccinelle_{name}", documentation, read)

    def render(self) -> bytes:
        """All of it, in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"coccinelle_{name}", documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"coccinelle_{name}", documentation, labels, buckets=buckets, registry=self.registry
        )

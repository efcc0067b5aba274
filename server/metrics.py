"""What this process counts, for Prometheus. Plain methods: hand them on as callables.

A counter's `inc` costs half a microsecond, so nothing here belongs on the frame path: what is
counted per frame stays a plain int where it happens and is read at scrape (`read_counter`).
"""

import re
from collections import defaultdict
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

# Two budgets share these: what a caller feels as immediate, slow or broken (tenths of a second),
# and what the machine may take: 10 ms for `clear`, 50 ms for TwiML.
_BUCKETS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 15.0),
)

#: Counters that have a name of their own: event → (what it counts, its label). Others are series
#: of `coccinelle_events_total`.
_COUNTERS = {
    "calls_ended": ("Calls that ended, by their stored outcome", "outcome"),
    "functions": ("Functions that agents ran, by the status of the result", "status"),
    "streams_refused": ("Media streams turned away", "reason"),
}

_LABEL = re.compile(r"[a-zA-Z0-9_.:-]{0,40}")
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
    """One per process, with a registry of its own. Fulfils `voice.ports.CallMetrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._at_scrape = _AtScrape()
        self.registry.register(self._at_scrape)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._stages = Histogram(
            "coccinelle_stage_seconds",
            "How long a stage took: first_sound, turn, barge_in, function, agent_connect, webhook",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._counters = {
            name: Counter(f"coccinelle_{name}", about, [label], registry=self.registry)
            for name, (about, label) in _COUNTERS.items()
        }
        self._events = Counter(
            "coccinelle_events",
            "Whatever else happened",
            ["event", "label"],
            registry=self.registry,
        )
        self._stage, self._event = _Labels(), _Labels()
        self._label: defaultdict[str, _Labels] = defaultdict(_Labels)

    def observe(self, stage: str, seconds: float) -> None:
        """A stage took so long."""
        self._stages.labels(self._stage(stage)).observe(seconds)

    def count(self, name: str, label: str = "") -> None:
        """It happened once more."""
        counter = self._counters.get(name)
        if counter is not None:
            counter.labels(self._label[name](label)).inc()
            return
        event = self._event(name)
        self._events.labels(event, self._label[event](label)).inc()

    def read_gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A value that goes up and down, read at scrape: live calls, a queue's length."""
        self._at_scrape.add(GaugeMetricFamily, f"coccinelle_{name}", documentation, read)

    def read_counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A plain int that only grows, read at scrape: frames in, frames dropped."""
        self._at_scrape.add(CounterMetricFamily, f"coccinelle_{name}", documentation, read)

    def render(self) -> bytes:
        """All of it, in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

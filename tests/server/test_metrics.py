import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Metrics
from voice.ports import CallMetrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample as Prometheus would read it."""
    found = [
        sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.count("calls_ended", "booked")
    metrics.count("calls_ended", "booked")
    metrics.count("calls_ended", "failed")
    metrics.count("functions", "taken")
    metrics.count("streams_refused", "token")
    assert value(metrics, "coccinelle_calls_ended_total", outcome="booked") == 2
    assert value(metrics, "coccinelle_calls_ended_total", outcome="failed") == 1
    assert value(metrics, "coccinelle_functions_total", status="taken") == 1
    assert value(metrics, "coccinelle_streams_refused_total", reason="token") == 1


def test_what_has_no_counter_of_its_own_is_counted_too() -> None:
    metrics = Metrics()
    metrics.count("marks_missing")
    metrics.count("agents_lost", "timeout")
    assert value(metrics, "coccinelle_events_total", event="marks_missing", label="") == 1
    assert value(metrics, "coccinelle_events_total", event="agents_lost", label="timeout") == 1


def test_durations_fall_into_their_buckets() -> None:
    metrics = Metrics()
    metrics.observe("first_sound", 0.45)
    metrics.observe("barge_in", 0.004)
    name = "coccinelle_stage_seconds"
    assert value(metrics, f"{name}_bucket", stage="first_sound", le="0.5") == 1
    assert value(metrics, f"{name}_bucket", stage="first_sound", le="0.3") == 0
    assert value(metrics, f"{name}_sum", stage="first_sound") == 0.45
    assert value(metrics, f"{name}_bucket", stage="barge_in", le="0.005") == 1
    assert value(metrics, f"{name}_bucket", stage="barge_in", le="0.002") == 0


def test_it_is_what_a_call_needs() -> None:
    metrics: CallMetrics = Metrics()
    metrics.observe("turn", 0.8)
    metrics.count("calls_ended", "booked")


def test_plain_ints_are_read_at_scrape() -> None:
    metrics = Metrics()
    state = {"live": 3, "frames": 100}
    metrics.read_gauge("live_calls", "Calls in progress", lambda: state["live"])
    metrics.read_counter("frames_dropped", "Frames dropped", lambda: state["frames"])
    assert value(metrics, "coccinelle_live_calls") == 3
    state.update(live=1, frames=102)
    assert value(metrics, "coccinelle_live_calls") == 1
    assert value(metrics, "coccinelle_frames_dropped_total") == 102


def test_a_name_is_read_once() -> None:
    metrics = Metrics()
    metrics.read_gauge("live_calls", "…", lambda: 1)
    with pytest.raises(ValueError, match="live_calls"):
        metrics.read_gauge("live_calls", "…", lambda: 2)


def test_made_up_labels_do_not_become_series() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.count("functions", f"made_up_{number}")
        metrics.count(f"event_{number}", f"label_{number}")
        metrics.observe(f"stage_{number}", 0.1)
    metrics.count("functions", '"} evil{')
    metrics.count("functions", "x" * 1000)
    lines = metrics.render().decode().splitlines()
    series = [line for line in lines if line.startswith("coccinelle_functions_total{")]
    assert len(series) == 65
    assert value(metrics, "coccinelle_functions_total", status="other") == 500 - 64 + 2
    assert sum(line.startswith("coccinelle_events_total{") for line in lines) <= 2 * 64 + 1
    assert sum(line.startswith("coccinelle_stage_seconds_sum{") for line in lines) == 65


def test_two_processes_worth_of_metrics_do_not_share() -> None:
    one, other = Metrics(), Metrics()
    one.count("calls_ended", "booked")
    assert value(other, "coccinelle_calls_ended_total", outcome="booked") is None


def test_the_process_is_in_it() -> None:
    text = Metrics().render().decode()
    assert "process_resident_memory_bytes" in text
    assert "python_gc_collections_total" in text

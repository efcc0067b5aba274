import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Metrics


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
    metrics.call_ended("booked")
    metrics.call_ended("booked")
    metrics.call_ended("failed")
    metrics.function_ran("book_appointment", "taken", 0.01)
    metrics.stream_refused("token")
    metrics.agent_lost("timeout")
    assert value(metrics, "coccinelle_calls_total", outcome="booked") == 2
    assert value(metrics, "coccinelle_calls_total", outcome="failed") == 1
    labels = {"function": "book_appointment", "status": "taken"}
    assert value(metrics, "coccinelle_function_calls_total", **labels) == 1
    assert value(metrics, "coccinelle_streams_refused_total", reason="token") == 1
    assert value(metrics, "coccinelle_agents_lost_total", reason="timeout") == 1


def test_durations_fall_into_their_buckets() -> None:
    metrics = Metrics()
    metrics.first_sound(0.45)
    metrics.turn(0.8)
    metrics.barge_in(0.004)
    metrics.agent_connected(0.2)
    metrics.webhook_answered("voice", 0.03)
    assert value(metrics, "coccinelle_first_sound_seconds_bucket", le="0.5") == 1
    assert value(metrics, "coccinelle_first_sound_seconds_bucket", le="0.3") == 0
    assert value(metrics, "coccinelle_turn_seconds_sum") == 0.8
    assert value(metrics, "coccinelle_barge_in_seconds_bucket", le="0.005") == 1
    assert value(metrics, "coccinelle_barge_in_seconds_bucket", le="0.002") == 0
    assert value(metrics, "coccinelle_agent_connect_seconds_count") == 1
    assert value(metrics, "coccinelle_webhook_seconds_bucket", door="voice", le="0.05") == 1


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


def test_made_up_names_do_not_become_series() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.function_ran(f"made_up_{number}", "unknown", 0.1)
    metrics.function_ran('"} evil{', "unknown", 0.1)
    metrics.function_ran("x" * 1000, "unknown", 0.1)
    lines = metrics.render().decode().splitlines()
    series = [line for line in lines if line.startswith("coccinelle_function_calls_total{")]
    assert len(series) == 65
    labels = {"function": "other", "status": "unknown"}
    assert value(metrics, "coccinelle_function_calls_total", **labels) == 500 - 64 + 2


def test_two_processes_worth_of_metrics_do_not_share() -> None:
    one, other = Metrics(), Metrics()
    one.call_ended("booked")
    assert value(other, "coccinelle_calls_total", outcome="booked") is None


def test_the_process_is_in_it() -> None:
    text = Metrics().render().decode()
    assert "process_resident_memory_bytes" in text
    assert "python_gc_collections_total" in text

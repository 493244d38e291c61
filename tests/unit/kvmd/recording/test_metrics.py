from pyganeti.kvmd.recording import metrics
from pyganeti.model import cause as causes


def _samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_every_cause_is_there_before_anything_stopped() -> None:
    found = _samples(metrics.Metrics().render())
    for cause in causes.Cause:
        assert found[f'ganeti_kvmd_stops_total{{cause="{cause}"}}'] == 0


def test_stops_are_counted_by_cause() -> None:
    counted = metrics.Metrics()
    for cause in (causes.Cause.KILLED, causes.Cause.KILLED, causes.Cause.CRASHED):
        counted.stopped(cause)
    found = _samples(counted.render())
    assert found['ganeti_kvmd_stops_total{cause="killed"}'] == 2
    assert found['ganeti_kvmd_stops_total{cause="crashed"}'] == 1


def test_every_sample_has_its_help_and_type_once() -> None:
    lines = metrics.Metrics().render().splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helped == typed
    assert len(helped) == len(set(helped))
    for sample in _samples("\n".join(lines)):
        assert any(sample.startswith(name) for name in helped)


def test_histogram_counts_up_to_each_bound_and_all_in_the_last() -> None:
    histogram = metrics.Histogram()
    for seconds in (0.0001, 0.0005, 0.0006, 0.02, 100.0):
        histogram.observe(seconds)
    rows = dict(histogram.cumulative())
    assert rows["0.0005"] == 2  # a bound belongs to its own bucket
    assert rows["0.001"] == 3
    assert rows["2.5"] == 4
    assert rows["+Inf"] == histogram.count == 5
    assert list(rows.values()) == sorted(rows.values())

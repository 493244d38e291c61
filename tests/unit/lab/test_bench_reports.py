"""How figures become a table, and when a target counts as reached."""

import pytest

from lab.bench import contestants, figures, pages, reports

OWN, PEER = contestants.Own.title, contestants.Peer.title


@pytest.mark.parametrize(
    ("part", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_one_of_the_values(part: float, expected: int) -> None:
    assert figures.percentile(range(1, 101), part) == expected


def test_the_median_of_the_runs_counts() -> None:
    found = figures.Results()
    for value in (9.0, 1.0, 2.0):
        found.add(OWN, "flood.cpu", value)
    assert found.median(OWN, "flood.cpu") == 2.0
    assert found.spread(OWN, "flood.cpu") == (1.0, 9.0)
    assert found.median(PEER, "flood.cpu") is None


def test_a_target_may_be_a_part_of_what_the_peer_needs() -> None:
    figure = figures.Figure("pss.1000", "memory", "MiB", target=25.0, of_peer=0.5)
    assert figures.bound(figure, None) == 25.0
    assert figures.bound(figure, 40.0) == 20.0


def test_what_was_not_measured_is_not_in_the_table() -> None:
    assert reports.rows(figures.Results(), figures.catalogue()) == []


def test_a_missed_target_is_marked() -> None:
    found = figures.Results()
    found.add(OWN, "flood.cpu", 5.1)
    found.add(PEER, "flood.cpu", 51.0)
    (line,) = reports.rows(found, figures.catalogue())
    assert line[1:] == ["5.10 µs", "51 µs", "0.10", "≤ 5", "NO"]


def test_why_there_is_no_figure_stands_in_its_place() -> None:
    found = figures.Results()
    found.remark(PEER, "idle.cpu", "the guests were not attached")
    (line,) = reports.rows(found, figures.catalogue())
    assert line[2] == "(the guests were not attached)"


def a_part(key: str, catalogue: list[figures.Figure], found: figures.Results) -> pages.Part:
    return pages.part(
        key,
        catalogue,
        found,
        machine={"processor": "a slow one"},
        peer="Nobody beside it.",
        runs="3 runs",
        stops=300,
        idle=20.0,
        lines="200,000",
        sockets=10,
        calls=10_000,
        warm_up=1000,
    )


def test_a_part_names_the_machine_and_what_was_missed() -> None:
    found = figures.Results()
    found.add(OWN, "boots.missed", 1)
    text = a_part("kvmd", figures.catalogue(), found).text
    assert "- processor: a slow one" in text
    assert "| **NO** |" in text
    assert "Nobody beside it." in text


def test_a_part_is_written_without_touching_the_others() -> None:
    found = figures.Results()
    found.add(OWN, "boots.missed", 1)
    page = pages.written("", a_part("kvmd", figures.catalogue(), found))
    assert "ganeti-noded" not in page
    found.add(OWN, "version.kept", 0.4)
    both = pages.written(page, a_part("noded", figures.nodes_catalogue(), found))
    assert "| boots of real" not in both.partition("## ganeti-noded")[2]
    assert both.startswith(page.rstrip())
    again = pages.written(both, a_part("noded", figures.nodes_catalogue(), found))
    assert again == both


def test_no_figure_of_two_daemons_has_the_same_key() -> None:
    keys = [figure.key for figure in (*figures.catalogue(), *figures.nodes_catalogue())]
    assert len(keys) == len(set(keys))


def test_what_was_found_earlier_counts_too() -> None:
    wanted = [figures.Figure("one", "one", "ms"), figures.Figure("lost", "lost", "")]
    before = figures.Results()
    before.add(OWN, "one", 1.0)
    before.add(OWN, "one", 2.0)
    before.add(PEER, "one", 7.0)
    before.remark(PEER, "lost", "it ended")
    document = reports.document(before, wanted, {})
    found = figures.Results()
    found.add(OWN, "one", 3.0)
    reports.take_up(found, document)
    assert found.median(OWN, "one") == 2.0
    assert found.median(PEER, "one") == 7.0
    assert found.remarks == before.remarks

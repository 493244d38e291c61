"""Two witnesses of one directory: what each says, and whom to believe when both speak."""

from pyganeti.kvmd.watching import listing


def _finish(one: listing.Listing) -> set[str]:
    gone = set()
    while (name := one.missed()) is not None:
        gone.add(name)
    return gone


def test_a_first_scan_tells_every_name_once() -> None:
    one = listing.Listing()
    one.begin()
    assert [one.saw(name) for name in ("a", "b", "a")] == [True, True, False]
    assert _finish(one) == set()
    assert one.names == {"a", "b"}


def test_a_later_scan_tells_only_what_is_new_or_gone() -> None:
    one = listing.Listing()
    one.come("a")
    one.come("b")
    one.begin()
    assert not one.saw("b")
    assert one.saw("c")
    assert _finish(one) == {"a"}
    assert one.names == {"b", "c"}


def test_what_a_scan_saw_before_the_event_that_removed_it_stays_removed() -> None:
    one = listing.Listing()
    one.begin()
    assert not one.gone("a")
    assert not one.saw("a")
    assert _finish(one) == set()
    assert one.names == set()


def test_what_came_after_the_scan_had_passed_is_not_missed() -> None:
    one = listing.Listing()
    one.begin()
    one.come("a")
    assert _finish(one) == set()
    assert one.names == {"a"}


def test_a_name_that_comes_while_the_missing_are_told_is_kept() -> None:
    one = listing.Listing()
    one.come("a")
    one.come("b")
    one.begin()
    first = one.missed()
    other = ({"a", "b"} - {first}).pop()
    one.come(other)
    assert one.missed() is None
    assert one.names == {other}


def test_an_abandoned_scan_concludes_nothing() -> None:
    one = listing.Listing()
    one.come("a")
    one.begin()
    one.abandon()
    assert one.missed() is None
    assert not one.saw("b")
    assert one.names == {"a"}


def test_a_scan_begun_anew_forgets_what_events_said_during_the_old_one() -> None:
    one = listing.Listing()
    one.begin()
    one.come("a")
    one.begin()
    assert _finish(one) == {"a"}

import pytest

from pyganeti.kvmd.watching import backoff


@pytest.mark.parametrize("attempt", [1, 2, 3, 8, 11])
def test_pause_doubles_with_each_attempt(attempt: int) -> None:
    grown = min(backoff.LAST, backoff.FIRST * 2 ** (attempt - 1))
    for _ in range(100):
        assert 0.8 * grown <= backoff.pause(attempt) <= grown


@pytest.mark.parametrize("attempt", [12, 1_000, 10**9])
def test_pause_never_grows_beyond_the_longest(attempt: int) -> None:
    assert 0.8 * backoff.LAST <= backoff.pause(attempt) <= backoff.LAST


def test_sockets_that_fail_together_are_not_tried_together() -> None:
    assert len({backoff.pause(5) for _ in range(100)}) > 50

"""A thousand schedules of faults over the election and the queue, in a time of their own.

A seed that fails is in the message; ``python -m lab.takeover SEED`` runs it again and tells all.
"""

import logging
from collections.abc import Iterator

import pytest

pytest.importorskip("aetcd", reason="the client of etcd is not installed")

from lab.takeover import running
from pyganeti.clients.etcd import leases, messages
from pyganeti.masterd.backing.etcd import fence

SCHEDULES = 1000
_SHARES = 10


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Have the daemons' logs cost nothing."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", range(_SHARES))
def test_no_job_is_lost_or_done_twice_and_only_leaders_write(share: int) -> None:
    accepted = done = reigns = 0
    for seed in range(share, SCHEDULES, _SHARES):
        outcome = running.run(seed)
        assert not outcome.broken, (
            f"seed {seed}: {'; '.join(outcome.broken)}; see python -m lab.takeover {seed}"
        )
        accepted += outcome.accepted
        done += outcome.done
        reigns += outcome.reigns
    # The schedules mean something: jobs came through, and leaders changed.
    count = SCHEDULES // _SHARES
    assert accepted > 5 * count
    assert done > accepted // 2
    assert reigns > 1.5 * count


@pytest.mark.parametrize("seed", [104537])
def test_what_went_wrong_once_goes_well(seed: int) -> None:
    """104537: refused for want of room, a change took effect when it came again."""
    assert not running.run(seed).broken


def test_a_seed_replays() -> None:
    first, again = running.run(4711), running.run(4711)
    assert first.history
    assert first.history == again.history


def test_what_must_not_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue whose writes demand nothing of who leads does not pass."""
    always = messages.Created(b"/there is no such key", 0)
    monkeypatch.setattr(fence.Fence, "condition", property(lambda _: always))
    monkeypatch.setattr(leases.Lease, "is_held", property(lambda lease: not lease.is_over))
    assert any(running.run(seed).broken for seed in range(60))

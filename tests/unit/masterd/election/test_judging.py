import pytest

from pyganeti.masterd.election import judging
from pyganeti.wire import epochs

OWN, LATER = epochs.of(4, "node1"), epochs.of(5, "node2")


@pytest.mark.parametrize(
    ("voters", "following", "silent", "later", "verdict"),
    [
        (3, 3, 0, 0, judging.Verdict.LEADS),
        (3, 2, 1, 0, judging.Verdict.LEADS),
        (3, 1, 2, 0, judging.Verdict.DOUBTFUL),
        (2, 1, 1, 0, judging.Verdict.LEADS),  # one of two is no majority
        (1, 1, 0, 0, judging.Verdict.LEADS),
        (4, 2, 2, 0, judging.Verdict.LEADS),
        (4, 1, 3, 0, judging.Verdict.DOUBTFUL),
        (5, 2, 2, 0, judging.Verdict.LEADS),  # one is marked offline
        (3, 2, 0, 1, judging.Verdict.CHALLENGED),
        (3, 1, 0, 2, judging.Verdict.DEPOSED),
        (3, 1, 1, 1, judging.Verdict.DEPOSED),
        (4, 2, 1, 1, judging.Verdict.DEPOSED),
        (2, 1, 0, 1, judging.Verdict.DEPOSED),
    ],
)
def test_a_master_leads_unless_another_could_have_been_made(
    voters: int, following: int, silent: int, later: int, verdict: judging.Verdict
) -> None:
    names = tuple(f"silent{number}" for number in range(silent))
    look = judging.Look(OWN, voters, following, names, [LATER] * later)
    assert look.verdict() is verdict
    assert f"{following} of {voters}" in look.describe()
    assert ("node2" in look.describe()) == bool(later)

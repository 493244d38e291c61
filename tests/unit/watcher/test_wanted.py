import pytest

from pyganeti.watcher import wanted

_OURS = frozenset((wanted.NODED, wanted.KVMD, wanted.MASTERD))
_THEIRS = frozenset(
    (wanted.NODED, wanted.KVMD, wanted.LUXID, wanted.WCONFD, wanted.CONFD, wanted.RAPI)
)


def _standing(*, is_master: bool = False, may_lead: bool = False) -> wanted.Standing:
    return wanted.Standing(is_member=True, is_master=is_master, may_lead=may_lead)


@pytest.mark.parametrize(
    ("standing", "installed", "daemons"),
    [
        (wanted.Standing(is_member=False), _OURS, ""),
        (_standing(), _OURS, "noded kvmd"),
        (_standing(is_master=True), _OURS, "noded kvmd masterd"),
        (_standing(is_master=True), _OURS | {wanted.RAPI}, "noded kvmd masterd rapi"),
        (_standing(may_lead=True), _OURS | {wanted.RAPI}, "noded kvmd masterd"),
        (_standing(), _THEIRS, "noded kvmd confd"),
        (_standing(is_master=True), _THEIRS, "noded kvmd confd wconfd luxid rapi"),
        (_standing(is_master=True), _THEIRS | _OURS, "noded kvmd confd masterd rapi"),
        (_standing(is_master=True), frozenset(), ""),
    ],
)
def test_what_a_node_is_says_which_daemons_it_has(
    standing: wanted.Standing, installed: frozenset[str], daemons: str
) -> None:
    assert " ".join(wanted.daemons(standing, installed)) == " ".join(
        f"ganeti-{name}" for name in daemons.split()
    )

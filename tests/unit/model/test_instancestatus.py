import itertools

import pytest

from pyganeti.model import instancestatus
from pyganeti.model.instancestatus import Seen


def said(
    seen: Seen, state: str, source: str = "admin", *, cluster: bool = True, instance: bool = True
) -> str:
    return instancestatus.status(
        seen, state, source, cluster_allows=cluster, instance_allows=instance
    )


@pytest.mark.parametrize(
    ("seen", "up", "down", "offline"),
    [
        (Seen.RUNNING, "running", "ERROR_up", "ERROR_up"),
        (Seen.SHUTDOWN, "USER_down", "ADMIN_down", "ADMIN_down"),
        (Seen.ABSENT, "ERROR_down", "ADMIN_down", "ADMIN_offline"),
        (Seen.ELSEWHERE, "ERROR_wrongnode", "ERROR_wrongnode", "ERROR_wrongnode"),
        (Seen.NODE_DOWN, "ERROR_nodedown", "ERROR_nodedown", "ERROR_nodedown"),
        (Seen.NODE_OFFLINE, "ERROR_nodeoffline", "ERROR_nodeoffline", "ERROR_nodeoffline"),
    ],
)
def test_the_table_to_the_letter(seen: Seen, up: str, down: str, offline: str) -> None:
    assert [said(seen, state) for state in ("up", "down", "offline")] == [up, down, offline]


@pytest.mark.parametrize(("cluster", "instance"), [(False, True), (True, False), (False, False)])
def test_a_shutdown_from_inside_is_an_error_unless_both_switches_are_on(
    cluster: bool,  # noqa: FBT001
    instance: bool,  # noqa: FBT001
) -> None:
    assert said(Seen.SHUTDOWN, "up", cluster=cluster, instance=instance) == "ERROR_down"


@pytest.mark.parametrize("instance", [False, True])
def test_a_shutdown_from_inside_that_was_noted_is_the_users_if_the_cluster_allows_it(
    instance: bool,  # noqa: FBT001
) -> None:
    assert said(Seen.ABSENT, "down", "user", instance=instance) == "USER_down"
    assert said(Seen.ABSENT, "down", "user", cluster=False, instance=instance) == "ADMIN_down"
    assert said(Seen.ABSENT, "offline", "user", instance=instance) == "ADMIN_offline"
    assert said(Seen.SHUTDOWN, "down", "user", instance=instance) == "ADMIN_down"


def test_what_does_not_exist_yet_is_down() -> None:
    assert said(Seen.ABSENT, "", "") == "ADMIN_down"


def test_who_wanted_it_matters_in_no_other_case() -> None:
    for seen, state in itertools.product(Seen, ("up", "down", "offline")):
        if (seen, state) != (Seen.ABSENT, "down"):
            assert said(seen, state, "user") == said(seen, state, "admin")

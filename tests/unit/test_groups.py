"""Tests that share a cluster are a group, which pytest-xdist has to give to one worker."""

import pytest

pytestmark = pytest.mark.xdist_group("groups")


def test_the_group_is_in_the_id_by_which_workers_are_chosen(request: pytest.FixtureRequest) -> None:
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("there are no groups without --dist loadgroup")
    assert request.node.nodeid.endswith("@groups")

import pytest

from pyganeti.kvmd import descriptors


def _connected(limit: int) -> descriptors.Budget:
    """Connect, and hold each process, for as long as there is room."""
    budget = descriptors.Budget(limit)
    while budget.may_connect:
        budget.connections += 1
        budget.processes += budget.may_hold_process
    return budget


@pytest.mark.parametrize("limit", [1024, 20_000])
def test_guests_leave_the_daemon_s_own_descriptors_alone(limit: int) -> None:
    budget = _connected(limit)
    assert budget.connections + budget.processes == limit - descriptors.RESERVE


def test_where_there_are_very_few_guests_get_half_of_them() -> None:
    budget = _connected(64)
    assert budget.connections + budget.processes == 32


def test_connections_have_room_when_processes_have_none_any_more() -> None:
    budget = _connected(1024)
    assert budget.connections > budget.processes
    assert not budget.may_hold_process


def test_descriptor_given_back_is_there_for_the_next() -> None:
    budget = _connected(1024)
    budget.connections -= 1
    assert budget.may_connect

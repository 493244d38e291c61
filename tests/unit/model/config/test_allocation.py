"""MAC addresses and ports are free when they are given, and run out with a clear word."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.model.config import macs, ports
from pyganeti.model.config.cluster import Cluster


class _All:
    """Every address, but those named."""

    def __init__(self, *free: str) -> None:
        self.free = free

    def __contains__(self, address: object) -> bool:
        return address not in self.free


@given(st.integers(0, 2**32))
def test_a_mac_begins_with_its_prefix_and_is_not_taken(seed: int) -> None:
    drawn = random.Random(seed)
    taken: set[str] = set()
    for _ in range(20):
        address = macs.free("aa:bb:cc", taken, drawn.randrange)
        assert address.startswith("aa:bb:cc:")
        assert address not in taken
        taken.add(address)


def test_draws_that_hit_taken_ones_are_repeated() -> None:
    draws = iter([1, 1, 0xABCDEF])
    taken = {"aa:00:00:00:00:01"}
    assert macs.free("aa:00:00", taken, lambda _: next(draws)) == "aa:00:00:ab:cd:ef"


def test_the_only_free_mac_is_found_however_the_draws_fall() -> None:
    only = "aa:00:00:00:00:05"
    assert macs.free("aa:00:00", _All(only), lambda _: 2**24 - 3) == only


_PLAIN = Cluster(uuid="c", cluster_name="c", master_node="n", master_ip="", master_netdev="lo")


def test_a_port_given_back_is_given_out_first() -> None:
    first, cluster = ports.allocate(_PLAIN)
    second, cluster = ports.allocate(cluster)
    assert (first, second) == (11000, 11001)
    cluster = ports.release(ports.release(cluster, first), first)
    assert cluster.tcpudp_port_pool == (first,)
    again, cluster = ports.allocate(cluster)
    third, _ = ports.allocate(cluster)
    assert (again, third) == (first, 11002)


def test_ports_end_where_ganeti_s_end() -> None:
    given_out = []
    cluster = _PLAIN
    for _ in range(ports.FIRST, ports.LAST + 1):
        port, cluster = ports.allocate(cluster)
        given_out.append(port)
    assert given_out == list(range(11000, 15000))
    with pytest.raises(errors.Exhausted, match="14999"):
        ports.allocate(cluster)

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cluster import clusters, namespaces
from lab.etcd import etcds, members

pytestmark = pytest.mark.skipif(bool(etcds.why_not()), reason=etcds.why_not() or "-")


@pytest.fixture(scope="module")
def etcd() -> Iterator[etcds.Etcd]:
    with etcds.here(quota=etcds.SMALL) as made:
        yield made


def value(etcd: etcds.Etcd, key: str) -> str:
    return etcd.leader().control("get", key, "--print-value-only").strip()


def test_what_a_member_was_given_it_has_after_a_kill(etcd: etcds.Etcd) -> None:
    etcd.member.control("put", "a", "1")
    etcd.restart()
    assert value(etcd, "a") == "1"


def test_a_frozen_member_answers_nothing_until_it_goes_on(etcd: etcds.Etcd) -> None:
    with etcd.frozen():
        assert not etcd.member.is_well()
    etcd.member.wait_well()


def test_a_full_etcd_takes_nothing_and_an_emptied_one_does_again(etcd: etcds.Etcd) -> None:
    with etcd.full():
        assert not etcd.member.is_well()
        with pytest.raises(members.Failed, match="space exceeded"):
            etcd.member.control("put", "b", "2")
    etcd.member.control("put", "b", "3")
    assert value(etcd, "b") == "3"


def test_a_compacted_etcd_has_no_past(etcd: etcds.Etcd) -> None:
    etcd.member.control("put", "c", "4")
    revision = etcd.compact()
    with pytest.raises(members.Failed, match="compacted"):
        etcd.member.control("get", "c", f"--rev={revision - 1}")


def test_a_restored_etcd_is_what_it_was(etcd: etcds.Etcd, tmp_path: Path) -> None:
    etcd.member.control("put", "d", "5")
    etcd.save(tmp_path / "snapshot")
    etcd.member.control("put", "d", "6")
    etcd.restore(tmp_path / "snapshot")
    assert value(etcd, "d") == "5"


def test_an_etcd_with_tls_wants_to_see_a_certificate() -> None:
    with etcds.here(tls=True) as etcd:
        etcd.member.control("put", "a", "1")
        bare = ["etcdctl", f"--endpoints={etcd.endpoints[0]}", "--insecure-skip-tls-verify"]
        done = etcd.member.ground.run([*bare, "--command-timeout=500ms", "get", "a"], 20)
        assert done.returncode


@pytest.mark.root
def test_members_on_machines_choose_another_leader_when_one_is_switched_off() -> None:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3, founded=False) as cluster, etcds.on(cluster.nodes) as etcd:
        first = etcd.leader()
        cluster.nodes[etcd.members.index(first)].power_off()
        assert etcd.leader() is not first
        etcd.leader().control("put", "a", "1")

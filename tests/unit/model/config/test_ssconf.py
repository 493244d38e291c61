"""The simple settings are, line by line, those that a real master sends to its nodes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import configurations
from pyganeti.model.config import datafile, entries, ssconf
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table
from pyganeti.wire import noderpc

_RPC = Path(__file__).parents[3] / "golden/rpc"


def _bodies(call: str) -> list[Any]:
    found: list[Any] = json.loads((_RPC / f"{call}.json").read_text())
    return found


def _uploaded() -> list[Snapshot]:
    blobs = (body[1] for body in _bodies("upload_file_single"))
    return [entries.to_snapshot(datafile.parse(noderpc.decode_blob(blob))) for blob in blobs]


@pytest.mark.parametrize("number", range(2))
def test_they_are_those_that_a_real_master_sent(number: int) -> None:
    sent = _bodies("write_ssconf_files")[number][0]
    made = [ssconf.make(snapshot) for snapshot in _uploaded()]
    without_instances = [{**values, "instance_list": []} for values in made]
    assert sent in made + without_instances
    assert list(ssconf.make(_uploaded()[1])) != []


def test_values_of_every_kind_are_written_as_ganeti_writes_them() -> None:
    snapshot = configurations.real("config-drbd.data")
    hvparams = {"kvm": {"a": True, "b": 1, "c": 2.0, "d": 1.5, "e": "x=y z", "f": ["l"], "g": None}}
    cluster = msgspec.structs.replace(
        snapshot.cluster, hvparams=hvparams, tags=("b", "a", "b"), master_node="gone"
    )
    values = ssconf.make(msgspec.structs.replace(snapshot, cluster=cluster))
    assert values["hvparams_kvm"] == [
        "a=True", "b=1", "c=2", "d=1.5", "e=x=y z", 'f=["l"]', "g=null",
    ]  # fmt: skip
    assert values["hvparams_lxc"] == []
    assert values["cluster_tags"] == ["a", "b"]
    assert values["master_node"] == ["NO MASTER"]
    assert values["uid_pool"] == ["1000-1999", "3000"]


def test_nodes_are_listed_as_people_count_and_candidates_by_uuid() -> None:
    snapshot = configurations.real("config-drbd.data")
    values = ssconf.make(snapshot)
    assert values["node_list"] == [f"node{number}.example.com" for number in (1, 2, 10)]
    assert values["offline_nodes"] == ["node10.example.com"]
    assert values["online_nodes"] == ["node1.example.com", "node2.example.com"]
    assert values["node_vm_capable"][2] == "node10.example.com=False"
    assert values["ssh_ports"] == [
        "node1.example.com=22", "node2.example.com=2222", "node10.example.com=22",
    ]  # fmt: skip
    assert values["master_candidates_certs"] == [
        "00000001-0000-4000-8000-000000000001=AA:BB",
        "00000002-0000-4000-8000-000000000002=CC:DD",
    ]
    assert values["nodegroups"] == [
        "00000015-0000-4000-8000-000000000015 away",
        "00000014-0000-4000-8000-000000000014 default",
    ]
    assert values["networks"] == ["0000001e-0000-4000-8000-00000000001e lan"]
    assert values["instance_list"] == [
        "db1.example.com", "none10.example.com", "web1.example.com",
    ]  # fmt: skip


def test_a_node_whose_group_is_lost_has_no_port() -> None:
    snapshot = msgspec.structs.replace(configurations.of(0, 1), groups=Table({}))
    assert ssconf.make(snapshot)["ssh_ports"] == ["node1.example.com="]

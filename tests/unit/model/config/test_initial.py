"""A new cluster's configuration is whole, by Ganeti's rules, and nothing else."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model.config import codec, defaults, initial

_GOLDEN = Path(__file__).parents[3] / "golden/config/config.data"

WANTED = initial.Wanted(
    cluster_name="cluster.example.com",
    node_name="node1.example.com",
    primary_ip="192.0.2.1",
    master_ip="192.0.2.9",
    master_netdev="eth0",
    cluster_uuid="c",
    group_uuid="g",
    node_uuid="n",
    now=1234.5,
)


def test_the_first_node_is_master_and_the_only_candidate() -> None:
    made = initial.make(WANTED)
    assert made.master.name == "node1.example.com"
    assert made.master.secondary_ip == "192.0.2.1"
    assert made.candidates() == (made.master,)
    assert made.group_of(made.master).name == "default"
    assert (made.version, made.serial_no, made.mtime) == (3000000, 1, 1234.5)
    assert made.cluster.highest_used_port == 10999
    assert made == initial.make(WANTED)


def test_it_has_every_field_that_a_real_cluster_s_has() -> None:
    real = json.loads(_GOLDEN.read_text())
    made = initial.make(WANTED)
    # the last is not there unless said
    assert set(codec.to_wire(made.cluster)) == set(real["cluster"]) - {"drbd_usermode_helper"}
    assert set(codec.to_wire(made.master)) == set(next(iter(real["nodes"].values())))
    assert set(codec.to_wire(made.groups["g"])) == set(next(iter(real["nodegroups"].values())))
    assert set(made.cluster.hvparams["kvm"]) == set(real["cluster"]["hvparams"]["kvm"])


def test_parameters_are_the_defaults_with_what_is_wanted_above() -> None:
    wanted = dataclasses.replace(
        WANTED,
        hvparams={"kvm": {"kvm_flag": "tcg"}},
        beparams={"maxmem": 64, "minmem": 64},
        nicparams={"link": "br9"},
        ndparams={"ssh_port": 2222},
        diskparams={"rbd": {"pool": "fast"}},
        ipolicy={"std": {"cpu-count": 2}},
        settings={"enabled_user_shutdown": True, "uid_pool": [[1000, 1999]], "tags": ["a"]},
    )
    cluster = initial.make(wanted).cluster
    assert cluster.hvparams == {"kvm": {**defaults.HYPERVISORS["kvm"], "kvm_flag": "tcg"}}
    assert cluster.beparams == {"default": {**defaults.BACKEND, "maxmem": 64, "minmem": 64}}
    assert cluster.nicparams["default"]["link"] == "br9"
    assert cluster.ndparams["ssh_port"] == 2222
    assert cluster.diskparams["rbd"] == {"access": "kernelspace", "pool": "fast"}
    assert cluster.ipolicy["std"]["cpu-count"] == 2
    assert cluster.ipolicy["disk-templates"] == ["diskless", "file", "sharedfile"]
    assert cluster.enabled_user_shutdown is True
    assert cluster.uid_pool == ((1000, 1999),)
    assert cluster.tags == ("a",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster_name": ""}, "cluster_name"),
        ({"mac_prefix": "aa:00"}, "MAC prefix"),
        ({"mac_prefix": "01:00:00"}, "of groups"),
        ({"enabled_hypervisors": ()}, "enabled_hypervisors"),
        ({"enabled_disk_templates": ("file", "flopy")}, "no disk templates: flopy"),
        ({"diskparams": {"rbd": {"pol": ""}}}, "no parameters of rbd disks: pol"),
        ({"beparams": {"memory": 1}}, "no backend parameters: memory"),
        ({"nicparams": {"bridge": ""}}, "no NIC parameters: bridge"),
        ({"ndparams": {"ssh": 1}}, "no node parameters: ssh"),
        ({"ipolicy": {"max": {}}}, "no keys of an instance policy: max"),
        ({"settings": {"master_node": "x"}}, "no settings of a cluster: master_node"),
        ({"settings": {"nonsense": 1}}, "no settings of a cluster: nonsense"),
        ({"settings": {"tags": 5}}, "tags"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        initial.make(dataclasses.replace(WANTED, **change))

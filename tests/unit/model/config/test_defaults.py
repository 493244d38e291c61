"""Ours are Ganeti 3.0.2's defaults, but where we say that they are not."""

import json
from pathlib import Path
from typing import Any

from pyganeti.model.config import defaults, ports

_GOLDEN = Path(__file__).parents[3] / "golden/config/defaults-3.0.2.json"


def test_defaults_are_those_of_ganeti() -> None:
    golden: dict[str, Any] = json.loads(_GOLDEN.read_text())
    assert defaults.HYPERVISORS["kvm"] == {**golden["hypervisor"], "kernel_path": ""}
    assert golden["nic"] == {**defaults.NIC, "link": "xen-br0"}
    assert golden["backend"] == defaults.BACKEND
    assert golden["node"] == defaults.NODE
    assert golden["disks"] == defaults.DISKS
    assert golden["policy"] == defaults.POLICY
    assert golden["hypervisor_state"] == defaults.HYPERVISOR_STATE
    assert set(golden["hypervisor_globals"]) == defaults.HYPERVISOR_GLOBALS
    assert set(golden["node_globals"]) == defaults.NODE_GLOBALS
    assert golden["collectors"] == list(defaults.COLLECTORS)
    assert golden["candidate_pool_size"] == defaults.CANDIDATE_POOL_SIZE
    assert golden["ports"] == [ports.FIRST, ports.LAST]
    assert golden["max_running_jobs"] == defaults.MAX_RUNNING_JOBS
    assert golden["max_tracked_jobs"] == defaults.MAX_TRACKED_JOBS
    assert golden["compression_tools"] == list(defaults.COMPRESSION_TOOLS)
    assert golden["mac_prefix"] == defaults.MAC_PREFIX

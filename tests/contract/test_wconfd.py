"""Debian's daemon of the configuration takes ours for its own: nothing lost, nothing wrong."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lab import configurations, luxids
from pyganeti.base import paths
from pyganeti.model.config.snapshot import Snapshot

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(luxids.missing()), reason=luxids.missing() or "all is there"),
]


def _ask(layout: paths.Paths, method: str) -> Any:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(luxids.PATIENCE)
        asking.connect(str(luxids.wconfd_socket(layout)))
        request = {"method": method, "args": [], "version": 3000000}
        asking.sendall(json.dumps(request).encode() + b"\3")
        said = b""
        while not said.endswith(b"\3"):
            said += asking.recv(65536)
    answer = json.loads(said[:-1])
    assert answer["success"], answer
    return answer["result"]


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(configurations.of(20, 4), id="a cluster of the laboratory"),
        pytest.param(configurations.real(), id="one of a real master"),
        pytest.param(configurations.real("config-drbd.data"), id="one with all there is"),
    ],
)
def test_it_finds_nothing_wrong_and_has_all_that_we_wrote(
    snapshot: Snapshot, short_dir: Path
) -> None:
    with luxids.started(short_dir, snapshot, luxids.WCONFD) as layout:
        wrong = _ask(layout, "verifyConfig")
        theirs = _ask(layout, "readConfig")
        ours = json.loads(layout.config_data.read_bytes())
    assert wrong == []
    for rule in theirs["filters"].values():  # it writes the older word for the same
        rule["predicates"] = json.loads(json.dumps(rule["predicates"]).replace('"=="', '"="'))
    assert theirs["cluster"].pop("mtime") == pytest.approx(ours["cluster"].pop("mtime"), abs=1e-6)
    assert theirs == ours

import socket
from pathlib import Path

import pytest

from pyganeti.base import paths
from pyganeti.noded.verify import reaching

_SSH = """#!/bin/sh
# Plays ssh: what it is told is kept, and each "node" answers in its own way.
echo "$@" >>"{told}"
case "$*" in
  *root@good.example.com*) echo good.example.com;;
  *root@short.example.com*) echo short;;
  *root@other.example.com*) echo somebody;;
  *root@closed.example.com*) echo 'Permission denied (publickey).' >&2; exit 255;;
  *) exit 255;;
esac
"""


async def test_nodes_say_their_names_or_why_not(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path)
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("ssh_ports").write_text("good.example.com=2222\nnonsense\n")
    told = tmp_path / "told"
    (tmp_path / "ssh").write_text(_SSH.format(told=told))
    (tmp_path / "ssh").chmod(0o755)
    names = [f"{name}.example.com" for name in ("good", "short", "other", "closed", "mute")]
    found = await reaching.by_ssh(
        layout, "cluster", [*names, "-oProxyCommand=x"], path=str(tmp_path)
    )
    assert found == {
        "short.example.com": "hostname not FQDN: expected short.example.com but got short",
        "other.example.com": "hostname mismatch: expected other.example.com but got somebody",
        "closed.example.com": "ssh problem: Permission denied (publickey).",
        "mute.example.com": "ssh problem: (no output)",
        "-oProxyCommand=x": "'-oProxyCommand=x' is not the name of a node",
    }
    lines = told.read_text()
    (good,) = [line for line in lines.splitlines() if "good" in line]
    assert "-oPort=2222 " in good
    assert f"-oGlobalKnownHostsFile={layout.state_dir}/known_hosts " in good
    assert "-oHostKeyAlias=cluster " in good
    assert "BatchMode=yes" in good
    assert "ProxyCommand" not in lines


async def test_without_ssh_that_is_the_answer(tmp_path: Path) -> None:
    found = await reaching.by_ssh(paths.Paths(tmp_path), "cluster", ["n1"], path=str(tmp_path))
    assert found == {"n1": "ssh problem: there is no ssh on the node that asked"}


def test_ports_come_from_the_clusters_setting() -> None:
    assert reaching.ssh_ports("a=22\nb.c=2222\nbad=x\n\n=\n") == {"a": 22, "b.c": 2222}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_port_is_open_or_not(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {address}: {error}")
    with listening:
        port = listening.getsockname()[1]
        assert await reaching.is_open(address, port, source=None)
        assert await reaching.is_open(address, port, source=address)
        assert not await reaching.is_open(address, port, source="203.0.113.9")
        assert await reaching.master(address, port, own=True)
    assert not await reaching.is_open(address, port, source=None)

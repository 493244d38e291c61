"""Real node daemons take the configuration and the simple settings, over TLS, also when late."""

import asyncio
import json
from pathlib import Path

import msgspec

from lab import configurations, nodedaemons
from pyganeti.base import paths, ssconf
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as masternodes
from pyganeti.masterd.config import distribution, filestore, state
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

replace = msgspec.structs.replace
_PATIENCE = 20.0


def _of_three() -> Snapshot:
    made = configurations.of(50, 3)
    nodes = {
        node.uuid: replace(node, primary_ip=f"127.0.0.{n}", secondary_ip=f"127.0.0.{n}")
        for n, node in enumerate(made.nodes.values(), 1)
    }
    # Without our own certificate in the map the nodes would not let us call a second time.
    certs = {configurations.uuid(3, 1): nodedaemons.cluster().client.digest}
    return replace(
        made,
        cluster=replace(made.cluster, candidate_certs=certs),
        nodes=made.nodes.changed(nodes),
    )


async def test_real_nodes_have_what_the_master_has(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path / "master", "node1.example.com")
    filestore.create(layout, entries.from_snapshot(_of_three()))
    with nodedaemons.Noded(tmp_path / "1") as first:
        flags = ("-p", str(first.port))
        second = nodedaemons.Noded(tmp_path / "2", *flags, "-b", "127.0.0.2")
        with second, nodedaemons.Noded(tmp_path / "3", *flags, "-b", "127.0.0.3") as third:
            await _distribute(layout, first, second, third)


async def _distribute(layout: paths.Paths, *nodeds: nodedaemons.Noded) -> None:
    first, second, third = nodeds
    kept = filestore.FileStore(layout)
    async with (
        nodeclient.Caller(first.context(), port=first.port) as caller,
        state.opened(kept) as config,
    ):
        distributor = distribution.Distributor(
            masternodes.Nodes(caller), kept.copy, pauses=(0.05, 0.2)
        )
        config.distribution = distributor
        config.follow(distributor.follow)
        async with distributor.running():
            distributor.follow(config.current)
            assert list(await config.distributed(timeout=_PATIENCE)) == []
            assert ssconf.read(first.layout, "master_node") == "node1.example.com\n"
            assert not first.layout.config_data.exists()
            for noded in (second, third):
                assert noded.layout.config_data.read_bytes() == layout.config_data.read_bytes()
                assert ssconf.read(noded.layout, "node_list") == "".join(
                    f"node{number}.example.com\n" for number in (1, 2, 3)
                )
            await asyncio.to_thread(third.kill)
            await config.change(
                lambda draft: draft.put(replace(draft.snapshot.instance("inst7"), name="renamed"))
            )
            async with asyncio.timeout(_PATIENCE):
                while list(await config.distributed(timeout=0.2)) != ["node3.example.com"]:
                    pass
            await asyncio.to_thread(third.start)
            assert list(await config.distributed(timeout=_PATIENCE)) == []
            assert third.layout.config_data.read_bytes() == layout.config_data.read_bytes()
            assert "renamed\n" in (ssconf.read(third.layout, "instance_list") or "")
            assert json.loads(third.layout.config_data.read_bytes())["serial_no"] == 2

"""The opcodes that answer what the cluster is, by a real queue and configuration."""

from pathlib import Path

import pytest

from lab import clusters, masterparts
from pyganeti.base import errors
from pyganeti.model.opcodes import cluster


async def test_the_cluster_is_told_as_clients_know_it(tmp_path: Path) -> None:
    snapshot = masterparts.offline(clusters.small())
    async with masterparts.opened(tmp_path, snapshot) as parts:
        [told] = await parts.run(cluster.ClusterQuery())
        [values] = await parts.run(
            cluster.ClusterConfigQuery(output_fields=["cluster_name", "master_node", "drain_flag"])
        )

    assert told["name"] == snapshot.cluster.cluster_name
    assert told["software_version"] == "3.0.2"
    assert values == [snapshot.cluster.cluster_name, snapshot.master.name, False]


async def test_a_field_that_there_is_not_is_refused_by_name(tmp_path: Path) -> None:
    async with masterparts.opened(tmp_path, masterparts.offline(clusters.small())) as parts:
        with pytest.raises(errors.BadInput, match="Unknown output fields selected: colour"):
            await parts.run(cluster.ClusterConfigQuery(output_fields=["colour", "cluster_name"]))

"""What parameters come to: the cluster's below the group's or operating system's below one's own.

As Ganeti merges them: key by key, the nearest wins, one level deep. What comes back is a new dict
that its caller may change.
"""

import copy
from collections.abc import Mapping
from typing import Any

from pyganeti.base import errors
from pyganeti.model.config import defaults
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params

Filled = dict[str, Any]

_DEFAULT = "default"
"""The one set of parameters that backend and NIC parameters have."""


def hypervisor(cluster: Cluster, name: str, os: str, given: Params) -> Filled:
    """Return hypervisor parameters: the cluster's, then those for the OS as named, then given.

    An OS with a variant has its own, not those of the name without it. What holds for the whole
    cluster comes from nowhere else, whatever an instance has.
    """
    own = {key: value for key, value in given.items() if key not in defaults.HYPERVISOR_GLOBALS}
    return hypervisor_of_os(cluster, name, os) | own


def hypervisor_of_os(cluster: Cluster, name: str, os: str) -> Filled:
    """Return the parameters that instances with an OS have if they say nothing themselves."""
    return {
        **defaults.HYPERVISORS.get(name, {}),
        **cluster.hvparams.get(name, {}),
        **cluster.os_hvp.get(os, {}).get(name, {}),
    }


def without_globals(params: Params) -> Filled:
    """Return hypervisor parameters without those that are the cluster's alone."""
    return {key: val for key, val in params.items() if key not in defaults.HYPERVISOR_GLOBALS}


def hypervisor_of(cluster: Cluster, instance: Instance) -> Filled:
    """Return an instance's hypervisor parameters."""
    return hypervisor(cluster, instance.hypervisor, instance.os, instance.hvparams)


def backend(cluster: Cluster, given: Params) -> Filled:
    """Return backend parameters."""
    return {**defaults.BACKEND, **cluster.beparams.get(_DEFAULT, {}), **given}


def nic(cluster: Cluster, given: Params) -> Filled:
    """Return the parameters of a network card."""
    return {**defaults.NIC, **cluster.nicparams.get(_DEFAULT, {}), **given}


def node(cluster: Cluster, group: NodeGroup, given: Node | None = None) -> Filled:
    """Return the parameters of a node, or those of its group if none is given."""
    own: Params = {} if given is None else given.ndparams
    return {**defaults.NODE, **cluster.ndparams, **group.ndparams, **own}


def operating_system(
    cluster: Cluster,
    os: str,
    public: Params,
    private: Params | None = None,
    secret: Params | None = None,
) -> Filled:
    """Return OS parameters: the OS's, then those of its variant, then given; each kind likewise.

    Private and secret ones are in only if given, {} for the cluster's private ones alone. Raises
    BadInput if a name would come from two kinds.
    """
    filled: Filled = _of_os(cluster.osparams, os) | dict(public)
    kinds: list[Filled] = []
    if private is not None:
        kinds.append(_of_os(cluster.osparams_private_cluster, os) | dict(private))
    if secret is not None:
        kinds.append(dict(secret))
    for kind in kinds:
        if twice := sorted(filled.keys() & kind.keys()):
            raise errors.BadInput(
                "these OS parameters would be set at two visibilities: " + ", ".join(twice)
            )
        filled |= kind
    return filled


def private_of(cluster: Cluster, instance: Instance) -> Filled:
    """Return an instance's private OS parameters alone."""
    return _of_os(cluster.osparams_private_cluster, instance.os) | dict(instance.osparams_private)


def disk(cluster: Cluster, group: NodeGroup | None = None) -> dict[str, Filled]:
    """Return disk parameters by template: the cluster's, then a group's."""
    of_group = {} if group is None else group.diskparams
    return {
        template: {
            **default,
            **cluster.diskparams.get(template, {}),
            **of_group.get(template, {}),
        }
        for template, default in defaults.DISKS.items()
    }


def policy(cluster: Cluster, group: NodeGroup | None = None) -> Filled:
    """Return what instances in a group, or in the cluster, may be like."""
    filled = _policy(defaults.POLICY, cluster.ipolicy)
    return filled if group is None else _policy(filled, group.ipolicy)


def _policy(below: Params, above: Params) -> Filled:
    """Put one policy on another: whole values, but for the standard one of its parts."""
    filled = copy.deepcopy({**below, **above})
    if "std" in above:
        filled["std"] = {**below["std"], **above["std"]}
    return filled


def _of_os(params: Mapping[str, Params], os: str) -> Filled:
    name = os.split("+", 1)[0]
    return {**params.get(name, {}), **params.get(os, {})}

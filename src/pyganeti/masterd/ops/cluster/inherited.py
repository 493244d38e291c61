"""The parameters that all inherit, as they are after a change of the cluster's; pure.

A value ``default`` takes Ganeti's own again, at the cluster nothing is above that.
"""

from collections.abc import Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import parameters
from pyganeti.model import hvparams as kvm
from pyganeti.model.config import defaults, filling
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.record import Params
from pyganeti.model.opcodes import cluster as opcodes

_ONE: Final = "default"
_SPECS: Final = defaults.POLICY["std"]
_RATIOS: Final = frozenset({"spindle-ratio", "vcpu-ratio"})

_KVM: Final[Params] = {name: getattr(kvm.HvParams(), name) for name in sorted(kvm.KNOWN)}

Fields = dict[str, Any]


def changes(cluster: Cluster, op: opcodes.ClusterSetParams) -> Fields:
    """Return the fields of the cluster that change; raises BadInput for what makes no sense."""
    found: Fields = {}
    hypervisors = op.enabled_hypervisors or ()
    if op.hvparams or hypervisors:
        found["hvparams"] = hypervisor_parameters(cluster.hvparams, op.hvparams or {}, hypervisors)
    if op.os_hvp:
        found["os_hvp"] = of_systems(cluster.os_hvp, op.os_hvp)
    if op.beparams:
        found["beparams"] = {_ONE: _typed(
            filling.backend(cluster, {}), _backend(op.beparams), defaults.BACKEND, "backend"
        )}  # fmt: skip
    if op.nicparams:
        found["nicparams"] = {
            _ONE: _typed(filling.nic(cluster, {}), op.nicparams, defaults.NIC, "NIC")
        }
    if op.ndparams:
        found["ndparams"] = _typed(
            {**defaults.NODE, **cluster.ndparams}, op.ndparams, defaults.NODE, "node"
        )
    if op.diskparams:
        found["diskparams"] = disk_parameters(cluster, op.diskparams)
    if op.osparams is not None:
        found["osparams"] = system_parameters(cluster.osparams, op.osparams)
    if op.osparams_private_cluster is not None:
        found["osparams_private_cluster"] = system_parameters(
            cluster.osparams_private_cluster, op.osparams_private_cluster
        )
    if op.ipolicy:
        found["ipolicy"] = policy(filling.policy(cluster), op.ipolicy)
    return found


def hypervisor_parameters(
    before: Mapping[str, Params],
    given: Mapping[str, Params],
    enabled: Any,  # noqa: ANN401 - names
) -> dict[str, dict[str, Any]]:
    """Return every hypervisor's parameters; one that is enabled anew gets its defaults."""
    found = {name: dict(params) for name, params in before.items()}
    for name in enabled:
        found[name] = {**defaults.HYPERVISORS.get(name, {}), **found.get(name, {})}
    for name, params in given.items():
        own = found.setdefault(name, dict(defaults.HYPERVISORS.get(name, {})))
        for key, value in _of_hypervisor(name, params).items():
            if value == parameters.DEFAULT:
                own.pop(key, None)
                if key in defaults.HYPERVISORS.get(name, {}):
                    own[key] = defaults.HYPERVISORS[name][key]
            else:
                own[key] = value
    return found


def of_systems(
    before: Mapping[str, Mapping[str, Params]], given: Mapping[str, Any]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the hypervisor parameters of operating systems; null takes a hypervisor's away."""
    found = {os: {name: dict(one) for name, one in of.items()} for os, of in before.items()}
    for os, hypervisors in given.items():
        if not isinstance(hypervisors, Mapping):
            raise errors.BadInput(f"the parameters of {os} are by the hypervisor's name")
        own = found.setdefault(os, {})
        for name, params in hypervisors.items():
            if params is None:
                own.pop(name, None)
                continue
            if not isinstance(params, Mapping):
                raise errors.BadInput(f"the parameters of {os} for {name} are no parameters")
            own[name] = parameters.merged(own.get(name, {}), _of_hypervisor(name, params))
            if not own[name]:
                del own[name]
    return {os: of for os, of in found.items() if of}


def disk_parameters(cluster: Cluster, given: Mapping[str, Params]) -> dict[str, dict[str, Any]]:
    """Return every template's disk parameters."""
    found = filling.disk(cluster)
    for template, params in given.items():
        if template not in defaults.DISKS:
            raise errors.BadInput(f"there is no disk template {template!r}")
        right = defaults.DISKS[template]
        found[template] = _typed(found[template], params, right, f"{template} disk")
    return found


def system_parameters(
    before: Mapping[str, Params], given: Mapping[str, Params]
) -> dict[str, dict[str, Any]]:
    """Return the parameters of operating systems; null or ``default`` takes one away."""
    found = {os: dict(params) for os, params in before.items()}
    for os, params in given.items():
        found[os] = parameters.merged(found.get(os, {}), params, null_takes_away=True)
    return {os: params for os, params in found.items() if params}


def policy(before: Params, given: Params) -> dict[str, Any]:
    """Return the cluster's instance policy; what it must not be the configuration says."""
    found = dict(before)
    for name, value in given.items():
        if name not in defaults.POLICY:
            raise errors.BadInput(f"Invalid key in new ipolicy: {name}")
        if not value or value in (parameters.DEFAULT, [parameters.DEFAULT]):
            raise errors.BadInput(f"Can't unset ipolicy attribute '{name}' on the cluster")
        if name in _RATIOS:
            try:
                found[name] = float(value)
            except (TypeError, ValueError) as error:
                raise errors.BadInput(f"Invalid value for attribute '{name}': {value!r}") from error
        elif name == "std":
            if not isinstance(value, Mapping):
                raise errors.BadInput("the standard instance of a policy is a specification")
            own = parameters.typed(value, _SPECS, "specification")
            found[name] = {**before.get(name, {}), **own}
        elif not isinstance(value, list | tuple):
            raise errors.BadInput(f"the {name} of an instance policy is a list")
        else:
            found[name] = list(value)
    return found


def _backend(given: Params) -> dict[str, Any]:
    """Return backend parameters by today's names: ``memory`` is both the least and the most."""
    found = dict(given)
    if "memory" in found:
        memory = found.pop("memory")
        found.setdefault("maxmem", memory)
        found.setdefault("minmem", memory)
    return found


def _typed(before: Params, given: Params, right: Params, what: str) -> dict[str, Any]:
    own = parameters.typed(given, right, what)
    own = {
        name: right[name] if value == parameters.DEFAULT else value for name, value in own.items()
    }
    return {**before, **own}


def _of_hypervisor(name: str, given: Params) -> dict[str, Any]:
    """Return a hypervisor's parameters with their types; nobody here knows others' than KVM's."""
    return parameters.typed(given, _KVM, "kvm") if name == "kvm" else dict(given)

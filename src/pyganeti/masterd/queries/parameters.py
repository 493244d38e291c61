"""Fields for the parameters of instances and nodes: ``be/maxmem``, ``hv/kvm_path``, ``ndp/ovs``.

One field a parameter, of any hypervisor that Ganeti knows: the names are the protocol's. Which of
them an object has, its hypervisor decides.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pyganeti.masterd.queries import cells, fields
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model.config import defaults, filling
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_BACKEND: Final[Mapping[str, tuple[str, Kind]]] = {
    "always_failover": ("", Kind.BOOL),
    "auto_balance": ("Auto_balance", Kind.BOOL),
    "maxmem": ("ConfigMaxMem", Kind.UNIT),
    "minmem": ("ConfigMinMem", Kind.UNIT),
    "spindle_use": ("", Kind.NUMBER),
    "vcpus": ("ConfigVCPUs", Kind.NUMBER),
}

_NODE: Final[Mapping[str, tuple[str, Kind]]] = {
    "cpu_speed": ("", Kind.FLOAT),
    "exclusive_storage": ("ExclusiveStorage", Kind.BOOL),
    "oob_program": ("OutOfBandProgram", Kind.OTHER),
    "ovs": ("OpenvSwitch", Kind.BOOL),
    "ovs_link": ("OpenvSwitchLink", Kind.OTHER),
    "ovs_name": ("OpenvSwitchName", Kind.OTHER),
    "spindle_count": ("SpindleCount", Kind.NUMBER),
    "ssh_port": ("", Kind.NUMBER),
}

_HYPERVISOR: Final[Mapping[Kind, str]] = {
    Kind.BOOL: """
        acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent
        use_bootloader use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian
        vnc_tls vnc_x509_verify vnet_hdr
    """,
    Kind.NUMBER: """
        cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations migration_downtime
        num_ttys serial_speed spice_ip_version startup_timeout virtio_net_queues
    """,
    Kind.OTHER: """
        blockdev_prefix boot_order bootloader_args bootloader_path cdrom2_image_path cdrom_disk_type
        cdrom_image_path cpu_mask cpu_type cpuid device_model devices disk_aio disk_cache
        disk_discard disk_type drop_capabilities extra_cgroups extra_config floppy_image_path
        init_script initrd_path kernel_args kernel_path keymap kvm_extra kvm_flag kvm_path
        machine_version mem_path migration_caps nic_type pci_pass reboot_behavior root_path
        scsi_controller_type security_domain security_model soundhw spice_bind
        spice_image_compression spice_jpeg_wan_compression spice_password_file
        spice_streaming_video spice_tls_ciphers spice_zlib_glz_wan_compression usb_devices
        usb_mouse vga vif_script vif_type vnc_bind_address vnc_password_file vnc_x509_path
    """,
}

_TITLES: Final[Mapping[str, str]] = {
    "acpi": "ACPI",
    "boot_order": "Boot_order",
    "cdrom_image_path": "CDROM_image_path",
    "cpu_type": "cpu_type",
    "disk_type": "Disk_type",
    "initrd_path": "Initrd_path",
    "kernel_path": "Kernel_path",
    "nic_type": "NIC_type",
    "pae": "PAE",
    "pci_pass": "pci_pass",
    "vnc_bind_address": "VNC_bind_address",
}


def backend() -> Iterator[fields.Field[Instance, Any]]:
    """Yield a field for each backend parameter."""
    for name, (title, kind) in _BACKEND.items():
        yield fields.bound(
            f"be/{name}",
            title or f"be/{name}",
            kind,
            f"Backend parameter {name}, as it holds for the instance",
            _backend(name),
        )


def hypervisor() -> Iterator[fields.Field[Instance, Any]]:
    """Yield a field for each hypervisor parameter."""
    for kind, names in _HYPERVISOR.items():
        for name in names.split():
            yield fields.bound(
                f"hv/{name}",
                _TITLES.get(name, f"hv/{name}"),
                kind,
                f"Hypervisor parameter {name}, as it holds for the instance",
                _hypervisor(name),
            )


def of_nodes() -> Iterator[fields.Field[Node, Any]]:
    """Yield a field for each parameter of a node."""
    return _node_parameters(_of_node)


def of_groups() -> Iterator[fields.Field[NodeGroup, Any]]:
    """Yield a field for each parameter of a group's nodes."""
    return _node_parameters(_of_group)


def node_filled(snapshot: Snapshot, node: Node) -> dict[str, Any] | None:
    """Return a node's parameters as they hold, None if its group does not exist."""
    group = snapshot.groups.get(node.group)
    return None if group is None else filling.node(snapshot.cluster, group, node)


def _node_parameters(
    of: Callable[[str], Callable[[Snapshot], fields.Getter[Any]]],
) -> Iterator[fields.Field[Any, Any]]:
    for name, (title, kind) in _NODE.items():
        yield fields.bound(
            f"ndp/{name}",
            title or f"ndp/{name}",
            kind,
            f"Node parameter {name}, as it holds here",
            of(name),
        )


def _of_node(name: str) -> Callable[[Snapshot], fields.Getter[Node]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Node]:
        def getter(node: Node) -> Cell:
            filled = node_filled(snapshot, node)
            return (
                cells.NO_DATA if filled is None else cells.value_or(filled.get(name), cells.NO_DATA)
            )

        return getter

    return bind


def _of_group(name: str) -> Callable[[Snapshot], fields.Getter[NodeGroup]]:
    def bind(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
        def getter(group: NodeGroup) -> Cell:
            filled = filling.node(snapshot.cluster, group)
            return cells.value_or(filled.get(name), cells.NO_DATA)

        return getter

    return bind


def _backend(name: str) -> Callable[[Snapshot], fields.Getter[Instance]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        below = filling.backend(snapshot.cluster, {}).get(name)

        def getter(instance: Instance) -> Cell:
            return cells.value_or(instance.beparams.get(name, below), cells.NO_DATA)

        return getter

    return bind


def _hypervisor(name: str) -> Callable[[Snapshot], fields.Getter[Instance]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        of_cluster = snapshot.cluster.hvparams
        of_os = snapshot.cluster.os_hvp

        def getter(instance: Instance) -> Cell:
            kind = instance.hypervisor
            for params in (
                instance.hvparams,
                of_os.get(instance.os, {}).get(kind, {}),
                of_cluster.get(kind, {}),
                defaults.HYPERVISORS.get(kind, {}),
            ):
                if name in params:
                    return cells.NORMAL, params[name]
            return cells.UNAVAILABLE

        return getter

    return bind

"""The seed: what cloud-init's NoCloud reads to learn who the guest is. An ISO9660 named ``cidata``.

``meta-data``, ``user-data`` and ``network-config`` are JSON where we write them, which is YAML too,
so that nothing in a name or a key can become something else.
"""

import ipaddress
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from . import parameters, tools
from .parameters import Wrong

LABEL: Final = "cidata"
LIMIT: Final = 4 * 1024 * 1024
"""Bytes that a seed may have: what is kept free for it."""

_VOLUME_AT: Final = 16 * 2048
_VOLUME: Final = b"\x01CD001"
_NAME_AT: Final = 40
_MAKERS: Final = (("xorriso", "-as", "mkisofs"), ("genisoimage",), ("mkisofs",))


def contents(wanted: parameters.Wanted, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the seed's files: names and contents. Raises Wrong."""
    name = wanted.hostname or environ.get("INSTANCE_NAME", "")
    meta: dict[str, Any] = {
        "instance-id": environ.get("INSTANCE_UUID") or name,
        "local-hostname": name,
    }
    if wanted.ssh_keys:
        meta["public-keys"] = parameters.keys(parameters.text(wanted.ssh_keys, "ssh_keys"))
    told = parameters.user_data(parameters.text(wanted.user_data, "user_data"))
    files = {
        "meta-data": json.dumps(meta, indent=1) + "\n",
        "user-data": told or "#cloud-config\n{}\n",
    }
    network = _network(wanted, environ)
    if network is not None:
        files["network-config"] = network
    return files


def make(files: Mapping[str, str]) -> bytes:
    """Return the seed as an ISO9660; raises Wrong if there is no tool for it, or it is too big."""
    maker = next((line for line in _MAKERS if tools.has(line[0])), None)
    if maker is None:
        raise Wrong(
            "xorriso, which makes the seed, is not installed on this node (package xorriso)"
        )
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        content, image = Path(folder) / "content", Path(folder) / "seed.iso"
        content.mkdir()
        for name, text in files.items():
            (content / name).write_text(text, encoding="utf-8")
        tools.run(
            [*maker, "-quiet", "-output", str(image), "-volid", LABEL, "-joliet", "-rational-rock",
             str(content)]
        )  # fmt: skip
        made = image.read_bytes()
    if len(made) > LIMIT:
        raise Wrong(f"the seed has {len(made)} bytes, and there is room for {LIMIT}")
    return made


def is_seed(data: bytes) -> bool:
    """Tell whether a partition or disk begins with a seed."""
    volume = data[_VOLUME_AT:]
    return volume.startswith(_VOLUME) and volume[_NAME_AT:].startswith(LABEL.encode())


def _network(wanted: parameters.Wanted, environ: Mapping[str, str]) -> str | None:
    """Return the network's configuration, None if the image is to do what it does by itself."""
    if wanted.network not in parameters.NETWORKS:
        return parameters.network(parameters.text(wanted.network, "network"))
    count = int(environ.get("NIC_COUNT", "0"))
    if wanted.network == "none" or count == 0:
        return None
    ethernets: dict[str, Any] = {}
    has_way_out = False
    for index in range(count):
        told = {
            key: environ.get(f"NIC_{index}_{key}", "")
            for key in ("MAC", "IP", "NETWORK_SUBNET", "NETWORK_GATEWAY")
        }
        nic: dict[str, Any] = {"match": {"macaddress": told["MAC"].lower()}}
        if index:
            nic["optional"] = True  # the guest need not wait for it
        if wanted.network == "auto" and told["IP"] and told["NETWORK_SUBNET"]:
            prefix = ipaddress.ip_network(told["NETWORK_SUBNET"], strict=False).prefixlen
            nic["addresses"] = [f"{told['IP']}/{prefix}"]
            if told["NETWORK_GATEWAY"] and not has_way_out:
                nic["routes"] = [{"to": "0.0.0.0/0", "via": told["NETWORK_GATEWAY"]}]
                has_way_out = True
        else:
            nic["dhcp4"] = True
        servers: dict[str, list[str]] = {}
        if wanted.dns:
            servers["addresses"] = list(wanted.dns)
        if wanted.search:
            servers["search"] = list(wanted.search)
        if servers:
            nic["nameservers"] = servers
        ethernets[f"nic{index}"] = nic
    return json.dumps({"version": 2, "ethernets": ethernets}, indent=1) + "\n"

"""One of the cluster's networks, as far as a node is told of it: what scripts and hooks hear."""

from collections.abc import Mapping
from typing import Any, Final

_SAID: Final = {
    "NETWORK_SUBNET": "network",
    "NETWORK_GATEWAY": "gateway",
    "NETWORK_SUBNET6": "network6",
    "NETWORK_GATEWAY6": "gateway6",
    "NETWORK_MAC_PREFIX": "mac_prefix",
}


def environment(info: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a network, from its dictionary, as environment; what is not set is left out."""
    said = {
        "NETWORK_NAME": str(info.get("name") or ""),
        "NETWORK_UUID": str(info.get("uuid") or ""),
        "NETWORK_TAGS": " ".join(sorted(str(tag) for tag in info.get("tags") or ())),
    }
    for name, key in _SAID.items():
        if info.get(key):
            said[name] = str(info[key])
    return {prefix + name: value for name, value in said.items()}

"""How a disk is, in the shape that masters read. What has no value is left out of it."""

from typing import Any, Final

from pyganeti.noded.storage import driver

_OKAY: Final = 1
_FAULTY: Final = 4
"""Ganeti's numbers for the state of local data; 2 (syncing) and 3 (unknown) are for mirrors."""


def of(device: driver.Device) -> dict[str, Any]:
    """Return the status of a disk that is there; only mirrors could be syncing."""
    said: dict[str, Any] = {
        "dev_path": device.path,
        "major": device.major,
        "minor": device.minor,
        "is_degraded": device.degraded,
        "ldisk_status": _FAULTY if device.degraded else _OKAY,
    }
    return {key: value for key, value in said.items() if value is not None}

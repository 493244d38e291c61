"""Which VLANs a NIC hears: ``10`` or ``.10`` one, untagged; ``:20:30`` several, tagged; or both.

The form is Ganeti's, for bridged and openvswitch NICs: an access port, a trunk, a hybrid
(``.10:20:30``). Decides only.
"""

import re
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors

_FORM: Final = re.compile(r"(?:\.?(\d{1,4}))?((?::\d{1,4})*)", re.ASCII)
_MOST: Final = 4094


@dataclass(frozen=True, slots=True)
class Vlans:
    """The VLAN of untagged frames, None for none, and those of tagged ones."""

    untagged: int | None = None
    tagged: tuple[int, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        """Every VLAN, the untagged one first."""
        return self.tagged if self.untagged is None else (self.untagged, *self.tagged)


def parse(text: str) -> Vlans | None:
    """Return what a NIC's ``vlan`` means, None if it is empty; raises BadInput if it is neither."""
    if not text:
        return None
    found = _FORM.fullmatch(text)
    if found is None or text == ".":
        raise errors.BadInput(f"{text!r} does not say VLANs: 10, .10, :20:30 or .10:20:30")
    untagged = int(found[1]) if found[1] else None
    tagged = tuple(dict.fromkeys(int(vlan) for vlan in found[2].split(":")[1:]))
    vlans = Vlans(untagged, tuple(vlan for vlan in tagged if vlan != untagged))
    for vlan in vlans.all:
        if not 1 <= vlan <= _MOST:
            raise errors.BadInput(f"there is no VLAN {vlan}, in {text!r}")
    return vlans

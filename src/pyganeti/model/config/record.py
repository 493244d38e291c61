"""What all objects of the configuration have in common.

A field that Ganeti always writes is declared with `written`, so that it is there in the file even
with its default value: Ganeti's own programs refuse a file without it. Every other field is left
out while it has its default, which for Ganeti means the same as null. A field that nobody here
knows is kept in ``rest`` and stands in the file beside the others again, so a newer Ganeti's
configuration survives us; `codec` does that.

Objects are immutable, all the way down: what is a list in the file is a tuple here, and what is an
object there is a Mapping nobody may change. A new one is made with ``msgspec.structs.replace``.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

REST: Final = "(rest)"
"""The name that ``rest`` has for msgspec: one that no field of Ganeti's has."""

Params = Mapping[str, Any]
"""Parameters by name, as JSON has them: strings, numbers, booleans."""

T = TypeVar("T")


def written(default: T) -> T:
    """Declare a field that is always in the file, with the value it has when nobody says one."""

    def same() -> T:
        return default

    field: T = msgspec.field(default_factory=same)
    return field


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True,
             forbid_unknown_fields=True):  # fmt: skip
    """An object of the configuration, with what only newer versions know about it in ``rest``."""

    rest: Params = msgspec.field(default_factory=dict, name=REST)

    def __repr__(self) -> str:
        """Say which object it is; parameters may be secret, and messages end in logs."""
        words = [type(self).__name__]
        words += [str(getattr(self, key)) for key in ("name", "uuid") if getattr(self, key, None)]
        return f"<{' '.join(words)}>"

    def __rich_repr__(self) -> list[Any]:
        """Say no more to who prints prettily."""
        return []

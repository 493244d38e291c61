"""The words in which locks are asked for: levels, names, modes.

Names are those that Ganeti's tools show: ``instance/web1``, ``node-res/UUID``, and
``node/[lockset]`` for a whole level. Whatever lies at a level belongs to it whole: who has the
lockset has every name there is, and every one that will be.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias


class Level(enum.IntEnum):
    """What kind of thing is locked, in the order in which Ganeti takes the locks."""

    CLUSTER = 0
    INSTANCE = 1
    NODEGROUP = 2
    NODE = 3
    NODE_RES = 4
    NETWORK = 5

    @property
    def word(self) -> str:
        """What it is called on the wire."""
        return self.name.lower().replace("_", "-")


class Mode(enum.StrEnum):
    """Whether others may have it too."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class All(enum.Enum):
    """Every name of a level; there is only `ALL`."""

    ALL = "[lockset]"


ALL: Final = All.ALL

BIG: Final = "BGL"
"""The cluster's one name: shared by nearly every opcode, exclusive for those that want no other."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Names of one level, and in which mode."""

    names: frozenset[str] | Literal[All.ALL]
    mode: Mode

    @property
    def is_nothing(self) -> bool:
        """Whether there is no name in it."""
        return self.names is not ALL and not self.names

    def covers(self, other: "Claim") -> bool:
        """Tell whether who has this one has the other too."""
        if other.is_nothing:
            return True
        if other.mode is Mode.EXCLUSIVE and self.mode is Mode.SHARED:
            return False
        if self.names is ALL:
            return True
        return other.names is not ALL and other.names <= self.names


Wanted: TypeAlias = Mapping[Level, Claim]
"""At each level at most one claim."""


def shared(names: Iterable[str] | Literal[All.ALL]) -> Claim:
    """Return a claim on names, or on all of them, that others may have too."""
    return Claim(names if isinstance(names, All) else frozenset(names), Mode.SHARED)


def exclusive(names: Iterable[str] | Literal[All.ALL]) -> Claim:
    """Return a claim on names, or on all of them, that nobody else may have."""
    return Claim(names if isinstance(names, All) else frozenset(names), Mode.EXCLUSIVE)


def lock_name(level: Level, name: str | Literal[All.ALL]) -> str:
    """Return what a lock is called on the wire."""
    return f"{level.word}/{name.value if isinstance(name, All) else name}"

"""What a verification has found, told as Ganeti's clients know it: in words, or for programs.

Each kind of finding has a code by which it can be ignored: then it is told as a warning, and is no
reason to fail.
"""

import enum
from collections.abc import Callable, Collection, Iterable
from typing import Final

from pyganeti.base import errors


class Level(enum.StrEnum):
    """How bad it is. Warnings do not make a verification fail."""

    ERROR = "ERROR"
    WARNING = "WARNING"


class Code(enum.Enum):
    """What kind of thing is wrong: Ganeti's code, and what it is about."""

    CLUSTER_CERTIFICATE = ("ECLUSTERCERT", "cluster")
    CLUSTER_CLIENT_CERTIFICATE = ("ECLUSTERCLIENTCERT", "cluster")
    CLUSTER_CONFIG = ("ECLUSTERCFG", "cluster")
    CLUSTER_DANGLING_INSTANCES = ("ECLUSTERDANGLINGINST", "node")
    CLUSTER_DANGLING_NODES = ("ECLUSTERDANGLINGNODES", "node")
    CLUSTER_FILES = ("ECLUSTERFILECHECK", "cluster")
    GROUP_PV_SIZES = ("EGROUPDIFFERENTPVSIZE", "group")
    INSTANCE_BAD_NODE = ("EINSTANCEBADNODE", "instance")
    INSTANCE_DOWN = ("EINSTANCEDOWN", "instance")
    INSTANCE_FAULTY_DISK = ("EINSTANCEFAULTYDISK", "instance")
    INSTANCE_LAYOUT = ("EINSTANCELAYOUT", "instance")
    INSTANCE_MISSING_PARAMETER = ("EINSTANCEMISSINGCFGPARAMETER", "instance")
    INSTANCE_MISSING_DISK = ("EINSTANCEMISSINGDISK", "instance")
    INSTANCE_POLICY = ("EINSTANCEPOLICY", "instance")
    INSTANCE_SPLIT_GROUPS = ("EINSTANCESPLITGROUPS", "instance")
    INSTANCE_UNSUITABLE_NODE = ("EINSTANCEUNSUITABLENODE", "instance")
    INSTANCE_WRONG_NODE = ("EINSTANCEWRONGNODE", "instance")
    NODE_DRBD = ("ENODEDRBD", "node")
    NODE_DRBD_HELPER = ("ENODEDRBDHELPER", "node")
    NODE_DRBD_VERSION = ("ENODEDRBDVERSION", "node")
    NODE_FILES = ("ENODEFILECHECK", "node")
    NODE_FILE_PATHS = ("ENODEFILESTORAGEPATHS", "node")
    NODE_FILE_PATH = ("ENODEFILESTORAGEPATHUNUSABLE", "node")
    NODE_GLUSTER_PATH = ("ENODEGLUSTERSTORAGEPATHUNUSABLE", "node")
    NODE_HOOKS = ("ENODEHOOKS", "node")
    NODE_HYPERVISOR = ("ENODEHV", "node")
    NODE_LVM = ("ENODELVM", "node")
    NODE_MEMORY = ("ENODEN1", "node")
    NODE_NETWORK = ("ENODENET", "node")
    NODE_OOB_PATH = ("ENODEOOBPATH", "node")
    NODE_ORPHAN_INSTANCE = ("ENODEORPHANINSTANCE", "node")
    NODE_ORPHAN_VOLUME = ("ENODEORPHANLV", "node")
    NODE_OS = ("ENODEOS", "node")
    NODE_RPC = ("ENODERPC", "node")
    NODE_SETUP = ("ENODESETUP", "node")
    NODE_SHARED_FILE_PATH = ("ENODESHAREDFILESTORAGEPATHUNUSABLE", "node")
    NODE_SSH = ("ENODESSH", "node")
    NODE_TIME = ("ENODETIME", "node")
    NODE_USER_SCRIPTS = ("ENODEUSERSCRIPTS", "node")
    NODE_VERSION = ("ENODEVERSION", "node")
    TAGS = ("EEXTAGS", "node")


CODES: Final = frozenset(code.value[0] for code in Code)
CHECKS: Final = frozenset({"nplusone_mem"})
"""What can be left out."""


def check_codes(ignored: Iterable[str]) -> None:
    """Raise BadInput for codes that are none."""
    if unknown := sorted(set(ignored) - CODES):
        raise errors.BadInput(f"these are no codes of errors: {', '.join(unknown)}")


def check_skipped(skipped: Iterable[str]) -> None:
    """Raise BadInput for checks that are none, or that cannot be left out."""
    if unknown := sorted(set(skipped) - CHECKS):
        raise errors.BadInput(f"these are no checks that can be skipped: {', '.join(unknown)}")


class Findings:
    """Takes findings and tells them.

    ``for_programs``: in the form ``level:code:kind:item:text``. With ``is_simulated`` whatever is
    checked is told as if it were wrong, so that people see what could be.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        ignored: Collection[str] = (),
        for_programs: bool = False,
        is_simulated: bool = False,
    ) -> None:
        self._say = say
        self._ignored = frozenset(ignored)
        self._for_programs = for_programs
        self._is_simulated = is_simulated
        self.is_bad = False

    def add(self, code: Code, item: str | None, text: str, level: Level = Level.ERROR) -> None:
        """Take one; ``item`` is the name of what is wrong, None for the cluster as a whole."""
        word, kind = code.value
        if word in self._ignored:
            level = Level.WARNING
        if self._for_programs:
            self._say(f"  - {level}:{word}:{kind}:{item}:{text}")
        else:
            self._say(f"  - {level}: {kind} {item or ''}: {text}")
        if level is Level.ERROR:
            self.is_bad = True

    def when(
        self,
        is_so: object,
        code: Code,
        item: str | None,
        text: str,
        level: Level = Level.ERROR,
    ) -> bool:
        """Take one if it is so; return whether it is."""
        if is_so or self._is_simulated:
            self.add(code, item, text, level)
        return bool(is_so)

    def notice(self, text: str) -> None:
        """Tell something that is not wrong."""
        self._say(text)

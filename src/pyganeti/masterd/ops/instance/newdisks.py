"""From what is asked for to disks in the configuration: where each will be, by its template; pure.

Names are drawn by the caller: each disk has a uuid of its own, and a name of its storage.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

FILES: Final = frozenset({Template.FILE, Template.SHARED_FILE})
"""Templates whose disks are files in a directory of the instance's."""

MOST: Final = 16
ADOPTABLE: Final = frozenset({Template.PLAIN, Template.BLOCK})
_MODES: Final = ("rw", "ro")
_OURS: Final = frozenset(
    {"size", "mode", "name", "adopt", "vg", "metavg", "spindles", "provider", "access", "uuid"}
)
_LOOP: Final = "loop"
_MANUAL: Final = "manual"
_RBD: Final = "rbd"
_WITH_ACCESS: Final = frozenset({Template.RBD, Template.EXT, Template.GLUSTER})
"""Templates whose disks a qemu may reach by itself instead of through the kernel."""

_ACCESSES: Final = ("kernelspace", "userspace")


def make(
    snapshot: Snapshot,
    template: Template,
    asked: Sequence[Mapping[str, Any]],
    *,
    instance: str,
    node: str,
    new_uuid: Callable[[], str],
    directory: str | None = None,
    driver: str | None = None,
    first: int = 0,
) -> list[Disk]:
    """Return the disks that are asked for, the first being number ``first`` of its instance.

    ``node`` is the uuid of the node that will have those that are tied to one. ``directory`` is
    below the cluster's directory for files, ``driver`` is how a file is reached. Raises BadInput.
    """
    if template is Template.DRBD:
        raise errors.BadInput("disks of template drbd cannot be made yet")
    if template is Template.DISKLESS and asked:
        raise errors.BadInput("a diskless instance has no disks")
    if first + len(asked) > MOST:
        raise errors.BadInput(f"an instance has at most {MOST} disks")
    made = []
    for index, one in enumerate(asked, first):
        size = _checked(one, template, index)
        uuid = new_uuid()
        params: dict[str, Any] = {}
        if template is Template.EXT:
            params = {key: value for key, value in one.items() if key not in _OURS}
            params["provider"] = one["provider"]
        if "access" in one:
            params["access"] = one["access"]
        made.append(
            Disk(
                uuid=uuid,
                dev_type=template,
                logical_id=_place(
                    snapshot, template, one, new_uuid(), index,
                    instance=instance, directory=directory, driver=driver,
                ),
                iv_name=f"disk/{index}",
                size=size,
                mode=one.get("mode", "rw"),
                name=one.get("name") or None,
                spindles=one.get("spindles"),
                params=params,
                nodes=(node,) if template in {Template.PLAIN, Template.FILE} else (),
            )
        )  # fmt: skip
    return made


def directory_of(
    snapshot: Snapshot, template: Template, instance: str, below: str | None
) -> str | None:
    """Return where an instance's files are; None for templates without. Raises BadInput."""
    roots = {
        Template.FILE: snapshot.cluster.file_storage_dir,
        Template.SHARED_FILE: snapshot.cluster.shared_file_storage_dir,
    }
    root = roots.get(template)
    if root is None:
        return None
    if not root:
        raise errors.BadInput(f"the cluster has no directory for disks of template {template}")
    path = PurePosixPath(root, below or "", instance)
    if below and (PurePosixPath(below).is_absolute() or ".." in PurePosixPath(below).parts):
        raise errors.BadInput(f"the directory {below!r} is not below {root}")
    return str(path)


def _checked(one: Mapping[str, Any], template: Template, index: int) -> int:
    """Return a disk's size in MiB; raises BadInput if what is asked makes no sense."""
    strange = sorted(set(one) - _OURS)
    if strange and template is not Template.EXT:
        raise errors.BadInput(f"disk/{index}: there is no parameter {strange[0]!r}")
    if one.get("mode", "rw") not in _MODES:
        raise errors.BadInput(f"Invalid disk access mode '{one.get('mode')}'")
    if "access" in one and (template not in _WITH_ACCESS or one["access"] not in _ACCESSES):
        raise errors.BadInput(f"disk/{index}: access={one['access']} is nothing for {template}")
    if "adopt" in one:
        if template not in ADOPTABLE and template not in FILES:
            raise errors.BadInput(f"disks of template {template} cannot be adopted")
        return _size(one.get("size", 0), index, least=0)
    if template is Template.BLOCK:
        raise errors.BadInput(f"disk/{index}: a disk of template blockdev is adopted: adopt=DEVICE")
    if template is Template.EXT and not one.get("provider"):
        raise errors.BadInput(f"disk/{index}: a disk of template ext needs provider=NAME")
    if "size" not in one:
        raise errors.BadInput(f"disk/{index}: Missing disk size")
    return _size(one["size"], index, least=1)


def _size(said: Any, index: int, *, least: int) -> int:  # noqa: ANN401 - JSON
    if isinstance(said, str) and said.isdigit():
        said = int(said)
    if not isinstance(said, int) or isinstance(said, bool) or said < least:
        raise errors.BadInput(f"disk/{index}: Invalid disk size '{said}'")
    return said


def _place(
    snapshot: Snapshot,
    template: Template,
    one: Mapping[str, Any],
    unique: str,
    index: int,
    *,
    instance: str,
    directory: str | None,
    driver: str | None,
) -> tuple[Any, ...]:
    """Return a disk's logical id: where its template's driver finds it."""
    adopted = one.get("adopt")
    match template:
        case Template.FILE | Template.SHARED_FILE:
            folder = directory_of(snapshot, template, instance, directory)
            name = adopted or f"{folder}/{unique}.{template.value}.disk{index}"
            return (driver or _LOOP, name)
        case Template.PLAIN:
            volumes = one.get("vg") or snapshot.cluster.volume_group_name
            if not volumes:
                raise errors.BadInput("the cluster has no volume group for disks of template plain")
            return (volumes, adopted or f"{unique}.disk{index}")
        case Template.BLOCK:
            return (_MANUAL, adopted)
        case Template.RBD:
            return (_RBD, f"{unique}.rbd.disk{index}")
        case Template.EXT:
            return (one["provider"], f"{unique}.ext.disk{index}")
        case Template.GLUSTER:
            return (driver or _LOOP, f"ganeti/{unique}.{index}")
    raise errors.BadInput(f"disks of template {template} cannot be made")

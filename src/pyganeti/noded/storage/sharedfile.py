"""Disks that are files on a file system which all nodes see at the same place.

To this node they are files like others. That only one node at a time writes to one is the
master's business, and qemu's, which locks an image that it has open.
"""

from typing import ClassVar

from pyganeti.model import disk as disks
from pyganeti.noded.storage import file


class SharedFile(file.File):
    """The driver of disks that are files on shared storage."""

    template: ClassVar = disks.Template.SHARED_FILE

"""The sub-command ``gnt-instance list``."""

from pyganeti.cli import completing, listing

USUAL = ("name", "hypervisor", "os", "pnode", "status", "oper_ram")

command = listing.list_command(
    "instance",
    USUAL,
    "List instances and how they are: all, by name or pattern, or those that a filter matches.",
    complete=completing.instances,
)

"""The sub-command ``gnt-group list``."""

from pyganeti.cli import completing, listing

USUAL = ("name", "node_cnt", "pinst_cnt", "alloc_policy", "ndparams")

command = listing.list_command(
    "group",
    USUAL,
    "List node groups: all, by name or pattern, or those that a filter matches.",
    complete=completing.groups,
)

"""The sub-command ``gnt-node list``."""

from pyganeti.cli import completing, listing

USUAL = ("name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt")

command = listing.list_command(
    "node",
    USUAL,
    "List nodes: all, by name or pattern, or those that a filter matches.",
    complete=completing.nodes,
)

"""The sub-command ``gnt-network list``."""

from pyganeti.cli import completing, listing

USUAL = ("name", "network", "gateway", "mac_prefix", "group_list", "tags")

command = listing.list_command(
    "network",
    USUAL,
    "List networks: all, by name or pattern, or those that a filter matches.",
    complete=completing.networks,
)

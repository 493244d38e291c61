"""The sub-command ``gnt-node list-fields``."""

from pyganeti.cli import listing

command = listing.fields_command(
    "node", "List what can be shown of nodes: all fields, or those given."
)

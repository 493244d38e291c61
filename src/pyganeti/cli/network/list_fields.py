"""The sub-command ``gnt-network list-fields``."""

from pyganeti.cli import listing

command = listing.fields_command(
    "network", "List what can be shown of networks: all fields, or those given."
)

"""The sub-command ``gnt-group list-fields``."""

from pyganeti.cli import listing

command = listing.fields_command(
    "group", "List what can be shown of node groups: all fields, or those given."
)

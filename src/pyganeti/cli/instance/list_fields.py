"""The sub-command ``gnt-instance list-fields``."""

from pyganeti.cli import listing

command = listing.fields_command(
    "instance", "List what can be shown of instances: all fields, or those given."
)

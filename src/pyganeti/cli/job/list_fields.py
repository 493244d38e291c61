"""The sub-command ``gnt-job list-fields``."""

from pyganeti.cli import listing

command = listing.fields_command(
    "job", "List what can be shown of jobs: all fields, or those given."
)

"""The sub-command ``gnt-group add-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.add_command("nodegroup", completing.groups)

"""The sub-command ``gnt-group remove-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.remove_command("nodegroup", completing.groups)

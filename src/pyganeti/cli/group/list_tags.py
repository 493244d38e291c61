"""The sub-command ``gnt-group list-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.list_command("nodegroup", completing.groups)

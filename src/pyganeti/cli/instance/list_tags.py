"""The sub-command ``gnt-instance list-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.list_command("instance", completing.instances)

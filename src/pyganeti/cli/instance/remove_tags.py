"""The sub-command ``gnt-instance remove-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.remove_command("instance", completing.instances)

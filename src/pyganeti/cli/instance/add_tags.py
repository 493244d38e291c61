"""The sub-command ``gnt-instance add-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.add_command("instance", completing.instances)
